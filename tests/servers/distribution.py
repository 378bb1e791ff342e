"""Debian's docker-registry (Distribution 2.8) on a loopback port."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import bcrypt

from tests.servers import access_log, debian, process
from tests.servers.process import HOST
from tests.servers.token_service import TokenService

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.access_log import Request
    from tests.servers.tls import Certificate


@dataclass(frozen=True)
class Htpasswd:
    users: Mapping[str, str]


@dataclass(frozen=True)
class Upstream:
    """The registry that a pull-through cache stands in front of.

    Distribution 2.8 uses the credentials for a token only, never for a Basic challenge.
    """

    url: str
    username: str = ""
    password: str = ""


@dataclass(frozen=True)
class Options:
    auth: Htpasswd | TokenService | None = None
    tls: Certificate | None = None
    # Whoever asks has to show a certificate of this authority.
    client_ca: Path | None = None
    # Where blobs are redirected to: a server of the `storage` directory (see nginx.py).
    redirect_to: str | None = None
    # False: the storage never redirects, whatever it could do.
    redirect: bool = True
    upstream: Upstream | None = None
    # A certificate authority that the registry itself trusts, as a client of its upstream.
    ca_file: Path | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Distribution:
    """A registry that serves `directory/storage`, from `start` (or `with`) until `stop`.

    It can be started again, and then has the port that it had before.
    """

    def __init__(self, directory: Path, options: Options | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.options = options or Options()
        self.storage = directory / "storage"
        self.storage.mkdir(exist_ok=True)
        self.log = directory / "registry.log"
        self._directory = directory
        self._process: process.Process | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        registry = debian.tool("docker-registry")
        more = {}
        if self.options.ca_file is not None:
            more["SSL_CERT_FILE"] = str(self.options.ca_file)

        def command(port: int) -> list[str | Path]:
            return [registry.path, "serve", self._write_config(port)]

        env = registry.environment(more)
        self._process = process.start(command, log=self.log, env=env, port=self._port)
        self._port = self._process.port
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def host(self) -> str:
        """As it stands in a reference."""
        if self._port is None:
            raise RuntimeError("not started")
        return f"{HOST}:{self._port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.options.tls is None else 'https'}://{self.host}"

    def access_log(self) -> tuple[Request, ...]:
        """Every request that was answered before this call."""
        return access_log.read(self.log, self.url)

    def manifest_requests(self) -> tuple[Request, ...]:
        return tuple(each for each in self.access_log() if "/manifests/" in each.path)

    def blob_requests(self) -> tuple[Request, ...]:
        return tuple(
            each
            for each in self.access_log()
            if "/blobs/" in each.path and each.method in {"GET", "HEAD"}
        )

    def _write_config(self, port: int) -> Path:
        config = self._directory / "config.yml"
        config.write_text(json.dumps(self._config(port), indent=2))  # JSON is YAML
        return config

    def _config(self, port: int) -> dict[str, Any]:
        options = self.options
        storage: dict[str, Any] = {
            "filesystem": {"rootdirectory": str(self.storage)},
            "delete": {"enabled": True},
            "redirect": {"disable": not options.redirect},
            # Its uploadpurging reads the whole storage at a random moment.
            "maintenance": {"uploadpurging": {"enabled": False}},
        }
        http_: dict[str, Any] = {
            "addr": f"{HOST}:{port}",
            "secret": "for one registry alone",
            "headers": {name: [value] for name, value in options.headers.items()},
        }
        if options.tls is not None:
            http_["tls"] = {
                "certificate": str(options.tls.chain),
                "key": str(options.tls.key),
            }
            if options.client_ca is not None:
                http_["tls"]["clientcas"] = [str(options.client_ca)]
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "formatter": "text"},
            "storage": storage,
            "http": http_,
        }
        if options.redirect_to is not None:
            redirect = {"name": "redirect", "options": {"baseurl": options.redirect_to}}
            config["middleware"] = {"storage": [redirect]}
        if options.upstream is not None:
            config["proxy"] = {
                "remoteurl": options.upstream.url,
                "username": options.upstream.username,
                "password": options.upstream.password,
            }
        if options.auth is not None:
            config["auth"] = self._auth(options.auth)
        return config

    def _auth(self, auth: Htpasswd | TokenService) -> dict[str, Any]:
        if isinstance(auth, TokenService):
            return {
                "token": {
                    "realm": auth.realm,
                    "service": auth.service,
                    "issuer": auth.issuer,
                    "rootcertbundle": str(auth.bundle),
                }
            }
        path = self._directory / "htpasswd"
        lines = []
        for name, password in auth.users.items():
            # The lowest cost there is: the registry computes it for every request.
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
            lines.append(f"{name}:{hashed}\n")
        path.write_text("".join(lines))
        return {"htpasswd": {"realm": "registry", "path": str(path)}}
