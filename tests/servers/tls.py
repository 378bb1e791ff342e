"""A private certificate authority, and what it issued, as files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificate:
    chain: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain, self.key)
        return context


class Authority:
    """Writes its own certificate to `ca_file` and every certificate that it issues beside it."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._name = name
        self._ca = trustme.CA()
        self.ca_file = directory / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(self, *names: str) -> Certificate:
        """For the names, else for everything that loopback is called."""
        return self._write("server", self._ca.issue_cert(*(names or NAMES)))

    def expired(self) -> Certificate:
        """For everything that loopback is called, until a day of 2021."""
        start, end = (datetime(2021, month, 1, tzinfo=UTC) for month in (1, 2))
        return self._write("expired", self._ca.issue_cert(*NAMES, not_before=start, not_after=end))

    def itself(self) -> Certificate:
        """Its own certificate, for a server that signed what it shows."""
        key = self._directory / f"{self._name}-itself.key"
        self._ca.private_key_pem.write_to_path(key)
        return Certificate(self.ca_file, key)

    def client(self, name: str = "client@example.org") -> Certificate:
        return self._write("client", self._ca.issue_cert(name))

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority and nobody else."""
        return ssl.create_default_context(cafile=self.ca_file)

    def _write(self, kind: str, issued: trustme.LeafCert) -> Certificate:
        number = len(list(self._directory.glob(f"{self._name}-{kind}-*.key")))
        chain = self._directory / f"{self._name}-{kind}-{number}.pem"
        key = self._directory / f"{self._name}-{kind}-{number}.key"
        for part in issued.cert_chain_pems:
            part.write_to_path(chain, append=True)
        issued.private_key_pem.write_to_path(key)
        return Certificate(chain, key)
