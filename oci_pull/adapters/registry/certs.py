"""What Docker and containers were told about the certificates of a host: their `certs.d`."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from oci_pull.errors import InvalidSetting

_AUTHORITY, _CERTIFICATE, _KEY = ".crt", ".cert", ".key"


@dataclass(frozen=True, slots=True)
class HostCertificates:
    """The files in the directory of a host (docs.docker.com, "Verify repository client")."""

    authorities: tuple[Path, ...] = ()
    #: The certificate to show, and its key.
    client: tuple[Path, Path] | None = None

    @classmethod
    def find(cls, names: Iterable[str], directories: Iterable[Path]) -> "HostCertificates":
        """What is in the first directory that is called like the host; nothing where none is.

        `names` are `host` or `host:port`, all of them tried in one directory before the next one.

        Raises:
            InvalidSetting: a client certificate without its key, or a key alone.
        """
        names = tuple(names)
        for directory in directories:
            for name in names:
                try:
                    files = sorted((directory / name).iterdir())
                except OSError:
                    # Not there, or not for this user: then it is nobody's word.
                    continue
                return cls._of(files)
        return cls()

    @classmethod
    def _of(cls, files: list[Path]) -> "HostCertificates":
        for suffix, other in ((_CERTIFICATE, _KEY), (_KEY, _CERTIFICATE)):
            for file in files:
                if file.suffix == suffix and (missing := file.with_suffix(other)) not in files:
                    raise InvalidSetting(
                        f"{file} has no {missing.name} beside it",
                        hint="a client certificate is NAME.cert with NAME.key; NAME.crt believes",
                    )
        client = next((file for file in files if file.suffix == _CERTIFICATE), None)
        return cls(
            tuple(file for file in files if file.suffix == _AUTHORITY),
            (client, client.with_suffix(_KEY)) if client else None,
        )
