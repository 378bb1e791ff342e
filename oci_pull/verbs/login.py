"""Keeping a credential that a registry takes, and forgetting one."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

from oci_pull.adapters.credentials.docker_config import is_missing
from oci_pull.adapters.credentials.helper import Helper
from oci_pull.adapters.credentials.writer import ConfigWriter
from oci_pull.adapters.registry.refusals import status_error
from oci_pull.errors import (
    AccessDenied,
    InvalidReference,
    InvalidSetting,
    NotARegistry,
)
from oci_pull.oci.credential import Anonymous, Basic, Credential
from oci_pull.oci.descriptor import media_type
from oci_pull.oci.reference import Reference, canonical_host
from oci_pull.ports import Observer
from oci_pull.settings import Settings
from oci_pull.sources.credentials import make_credentials
from oci_pull.sources.source import open_registry

_FILE = "config.json"
_SECRET = ".dockerconfigjson"  # noqa: S105 - the name that Kubernetes mounts a pull secret under
_FORBIDDEN, _NOT_FOUND = 403, 404
_HTML = ("text/html", "application/xhtml+xml")
#: What people paste in front of a registry, and behind it.
_SCHEMES = ("https://", "http://", "oci://", "docker://")
_PATHS = ("/", "/v1", "/v2")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A credential that is kept."""

    registry: str
    username: str
    #: The file or the helper that has it.
    place: str
    #: What counts before it and says something else; None where nothing does.
    shadowed_by: Credential | None


@dataclass(frozen=True, slots=True)
class LoggedOut:
    """A registry that is asked as nobody from now on, as far as this file goes."""

    registry: str
    #: The files and helpers that had a credential; none where there was nothing.
    places: tuple[str, ...]
    #: What is still found somewhere else; None where nothing is.
    left: Credential | None


def login(
    registry: str,
    who: Basic,
    settings: Settings,
    warn: Callable[[str], None],
    *,
    observer: Observer,
    user_agent: str,
) -> LoggedIn:
    """The registry took the credential, and it is kept.

    Raises:
        InvalidReference: the text is no registry.
        AccessError, TransferError: the registry does not take it, or nobody answers; nothing is
            written.
        InvalidSetting, NotWritable, HelperFailed: it cannot be kept.
    """
    host = registry_host(registry)
    writer = _writer(settings)
    _check(host, who, settings, observer, user_agent)
    if name := _own_helper(host, settings):
        helper = Helper(name)
        helper.store(host, who)
        place = helper.program
    else:
        place = writer.store(host, who)
    found = _found(host, settings, warn)
    is_same = isinstance(found, Basic) and found.source == place
    return LoggedIn(host, who.username, place, None if is_same else found)


def logout(registry: str, settings: Settings, warn: Callable[[str], None]) -> LoggedOut:
    """No credential of the registry is kept any more where `login` keeps them.

    Raises:
        InvalidReference: the text is no registry.
        InvalidSetting, NotWritable, HelperFailed: it cannot be removed.
    """
    host = registry_host(registry)
    places = _writer(settings).erase(host)
    if name := _own_helper(host, settings):
        helper = Helper(name)
        if not isinstance(helper.get(host), Anonymous):
            helper.erase(host)
            places.append(helper.program)
    found = _found(host, settings, warn)
    return LoggedOut(host, tuple(places), None if isinstance(found, Anonymous) else found)


def registry_host(text: str) -> str:
    """The registry that a text names, as credentials know it.

    Raises:
        InvalidReference: it is something else.
    """
    bare = text
    for scheme in _SCHEMES:
        bare = bare.removeprefix(scheme)
    for path in _PATHS:
        bare = bare.removesuffix("/").removesuffix(path)
    try:
        found = Reference.parse(f"{bare}/any/thing")
    except InvalidReference:
        found = None
    if found is None or found.repository != "any/thing":
        host = bare.partition("/")[0]
        raise InvalidReference(
            f"{text!r} is not a registry",
            hint=f"oci-pull login {host}" if "." in host else "for example  registry.example.com",
        )
    return canonical_host(found.host)


def _found(host: str, settings: Settings, warn: Callable[[str], None]) -> Credential:
    """Who asks the registry from now on."""
    if settings.authfile and is_missing(settings.authfile):
        settings = replace(settings, authfile=None)
    return make_credentials(settings, warn).find(host)


def _own_helper(host: str, settings: Settings) -> str:
    """The helper that the configuration names for a registry; empty where it names none."""
    return settings.registry(host).credential_helper


def _writer(settings: Settings) -> ConfigWriter:
    """Where credentials are kept; raises `InvalidSetting` where there is no such place."""
    if settings.authfile:
        return ConfigWriter(settings.authfile)
    directory = settings.docker_config
    if directory is None:
        raise InvalidSetting(
            "there is no HOME and so no place for credentials",
            hint="DOCKER_CONFIG=DIR  or --authfile FILE",
        )
    mounted = directory / _SECRET
    is_mounted = is_missing(directory / _FILE) and not is_missing(mounted)
    return ConfigWriter(mounted if is_mounted else directory / _FILE)


def _check(host: str, who: Basic, settings: Settings, observer: Observer, user_agent: str) -> None:
    """The registry lets this credential in, or wants none.

    Raises:
        CredentialsRejected, AccessDenied: it does not.
        TransferError: nobody answered, or no registry.
    """
    with ExitStack() as stack:
        endpoint = open_registry(
            host, settings, who, stack, observer=observer, user_agent=user_agent
        )
        response = endpoint.send("GET", "/v2/")
        stack.callback(response.close)
        kind = media_type(response.headers.get("Content-Type", ""))
        if response.status_code == _NOT_FOUND or kind in _HTML:
            raise NotARegistry(
                f"{endpoint.origin} answers, but it is not an OCI registry",
                hint="check the host; a proxy or a login page may answer in its place",
                origin=endpoint.origin,
            )
        if response.status_code == _FORBIDDEN:
            raise AccessDenied(f"{host} does not let {who} in", hint=f"oci-pull login {host}")
        if not response.is_success:
            raise status_error(response, "the check of the credential")
