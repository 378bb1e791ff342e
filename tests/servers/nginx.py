"""nginx as a server of static files: the storage that a registry redirects to."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tests.servers import access_log, debian, process
from tests.servers.process import HOST

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.access_log import Request
    from tests.servers.tls import Certificate

_CONFIG = """\
daemon off;
worker_processes 1;
{user}
pid "{state}/nginx.pid";
error_log "{state}/error.log";
events {{ worker_connections 256; }}
http {{
  access_log "{state}/access.log" combined;
  client_body_temp_path "{state}/temp";
  proxy_temp_path "{state}/temp";
  fastcgi_temp_path "{state}/temp";
  uwsgi_temp_path "{state}/temp";
  scgi_temp_path "{state}/temp";
  default_type application/octet-stream;
  sendfile on;
  server {{
    listen {host}:{port}{ssl};
{tls}{refusal}
    location / {{
      root "{root}";
      limit_rate {rate};
    }}
  }}
}}
"""
_TLS = """\
    ssl_certificate "{chain}";
    ssl_certificate_key "{key}";
"""
_REFUSAL = """\
    ssl_verify_client optional;
    ssl_client_certificate "{ca}";
    if ($ssl_client_verify != NONE) {{ return 409; }}
    if ($http_authorization != "") {{ return 409; }}
"""


@dataclass(frozen=True)
class Options:
    tls: Certificate | None = None
    # Bytes a second and connection; 0 is no limit.
    rate: int = 0
    # Whoever shows a certificate of this authority, or any authorization, is sent away with 409.
    refused_ca: Path | None = None


class Nginx:
    """Serves `root` from `start` (or `with`) until `stop`; its own files are in `directory`."""

    def __init__(self, directory: Path, root: Path, options: Options | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.options = options or Options()
        self.root = root
        self._directory = directory
        self._process: process.Process | None = None
        self._port: int | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        nginx = debian.tool("nginx")

        def command(port: int) -> list[str | Path]:
            config = self._directory / "nginx.conf"
            config.write_text(self._config(port))
            return [nginx.path, "-p", self._directory, "-c", config]

        log = self._directory / "nginx.log"
        env = nginx.environment()
        self._process = process.start(command, log=log, env=env, port=self._port)
        self._port = self._process.port
        return self

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    @property
    def host(self) -> str:
        if self._port is None:
            raise RuntimeError("not started")
        return f"{HOST}:{self._port}"

    @property
    def url(self) -> str:
        return f"{'http' if self.options.tls is None else 'https'}://{self.host}"

    def access_log(self) -> tuple[Request, ...]:
        """Every request that was answered before this call."""
        return access_log.read(self._directory / "access.log", self.url)

    def _config(self, port: int) -> str:
        tls, refused = self.options.tls, self.options.refused_ca
        return _CONFIG.format(
            # Workers of a root nginx would be nobody, who cannot read a test's directory.
            user=f"user {_account()};" if os.geteuid() == 0 else "",
            state=self._directory,
            root=self.root,
            host=HOST,
            port=port,
            ssl=" ssl" if tls else "",
            tls=_TLS.format(chain=tls.chain, key=tls.key) if tls else "",
            refusal=_REFUSAL.format(ca=refused) if refused else "",
            rate=self.options.rate,
        )


def _account() -> str:
    return f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
