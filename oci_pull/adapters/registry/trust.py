"""Whom to believe, and what to show: the system's authorities, and what was said of a host."""

import ssl
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from oci_pull.adapters.registry.certs import HostCertificates
from oci_pull.adapters.registry.origin import host_text
from oci_pull.errors import InvalidSetting

#: Where systems keep their authorities, for a Python that was built somewhere else.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_HTTPS = ":443"


@dataclass(frozen=True, slots=True)
class Identity:
    """How TLS is spoken with a host: equal identities share their connections."""

    ca_files: tuple[Path, ...] = ()
    #: A certificate to show, and its key.
    client: tuple[Path, Path] | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """What was said of one registry; nothing of it counts for any other host."""

    #: `host` or `host:port` as it is connected to.
    host: str
    #: What its user calls it, where that is something else (docker.io).
    name: str = ""
    ca_file: Path | None = None
    client_cert: Path | None = None
    #: None where it is in the same file as the certificate.
    client_key: Path | None = None
    #: Believe whatever answers.
    insecure: bool = False
    #: It may lead to private addresses and to this machine from wherever it is.
    private_redirects: bool = False

    @property
    def client(self) -> tuple[Path, Path] | None:
        """The certificate and its key; raises `InvalidSetting` for a key alone."""
        if self.client_cert:
            return self.client_cert, self.client_key or self.client_cert
        if self.client_key:
            raise InvalidSetting(
                f"a client key without its certificate: {self.client_key}",
                hint="--client-cert FILE --client-key FILE",
            )
        return None

    def is_at(self, origin: str) -> bool:
        """Whether an origin is this registry; without a port it is so over http as well."""
        host = self.host.lower()
        return host in (host_text(origin), origin) or f"{host}:80" == origin


@dataclass(frozen=True, slots=True)
class Trust:
    """What a run believes."""

    #: Beside the system's own, and for all hosts.
    ca_files: tuple[Path, ...] = ()
    registries: tuple[RegistryAccess, ...] = ()
    #: The `certs.d` of this machine and its user, in the order in which they count.
    directories: tuple[Path, ...] = field(default=())

    def registry(self, origin: str) -> RegistryAccess | None:
        """What was said of the registry at an origin; None where that is none."""
        return next((each for each in self.registries if each.is_at(origin)), None)

    def identity(self, origin: str, *, is_led_to: bool = False) -> Identity:
        """How to speak TLS with an origin; no certificate is shown where somebody led to it.

        Raises:
            InvalidSetting: half of a client certificate.
        """
        access = self.registry(origin)
        names = [host_text(origin), *([origin] if origin.endswith(_HTTPS) else [])]
        if access is None:
            found = HostCertificates.find(names, self.directories)
            return Identity(self.ca_files + found.authorities)
        found = HostCertificates.find([*filter(None, [access.name]), *names], self.directories)
        own = (access.ca_file,) if access.ca_file else ()
        client = None if is_led_to else access.client or found.client
        return Identity(self.ca_files + found.authorities + own, client, access.insecure)


def context_for(identity: Identity) -> ssl.SSLContext:
    """A context that believes the system and the files of an identity, and shows what it has.

    Raises:
        InvalidSetting: a file that cannot be read or used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if identity.insecure else system_trust()
    if identity.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        _believe(context, identity.ca_files)
    if identity.client:
        _show(context, *identity.client)
    return context


def system_trust() -> ssl.SSLContext:
    """A context that verifies what it connects to as the system does.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` are honoured. On Linux the authorities are read here, once:
    truststore reads them for every connection, and lets one handshake wait for the other.
    """
    if sys.platform == "darwin":
        import truststore

        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_default_verify_paths()
    directory = ssl.get_default_verify_paths().capath
    has_any = context.cert_store_stats()["x509_ca"] or (
        directory and any(Path(directory).glob("*.0"))
    )
    if not has_any:
        bundle = next((path for path in _BUNDLES if Path(path).is_file()), None)
        if bundle:
            context.load_verify_locations(bundle)
    return context


def _believe(context: ssl.SSLContext, files: Iterable[Path]) -> None:
    for file in files:
        try:
            context.load_verify_locations(file)
        except ssl.SSLError as error:
            raise InvalidSetting(
                f"there is no certificate of an authority in {file}",
                hint="it has to be PEM:  openssl x509 -inform der -in FILE -out FILE.pem",
            ) from error
        except OSError as error:
            raise _unreadable(file, error) from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    def ask() -> str:
        # OpenSSL would ask on the terminal, where a timer or a container has nobody.
        raise InvalidSetting(
            f"the client key {key} is encrypted",
            hint=f"openssl pkey -in {key} -out PLAIN.key  and --client-key PLAIN.key",
        )

    for file in (certificate, key):
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise _unreadable(file, error) from error
    try:
        context.load_cert_chain(certificate, key, password=ask)
    except ssl.SSLError as error:
        wrong = error.reason == "KEY_VALUES_MISMATCH"
        what = f"{key} is not the key of {certificate}" if wrong else (
            f"there is no client certificate with its key in {certificate} and {key}"
        )  # fmt: skip
        raise InvalidSetting(what, hint="--client-cert FILE --client-key FILE, both PEM") from error


def _unreadable(file: Path, error: OSError) -> InvalidSetting:
    return InvalidSetting(f"the file {file} cannot be read: {error.strerror}")
