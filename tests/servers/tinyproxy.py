"""Debian's tinyproxy: a forward proxy on a loopback port."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from tests.servers import debian, process
from tests.servers.process import HOST

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
Port {port}
Listen {host}
Timeout 600
LogFile "{log}"
LogLevel Connect
MaxClients 50
{auth}
"""


class Tinyproxy:
    """Runs from `with` on; asks for `user` and its password where they are given."""

    def __init__(self, directory: Path, user: tuple[str, str] | None = None) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._log = directory / "requests.log"
        self._user = user
        self._process: process.Process | None = None

    def __enter__(self) -> Self:
        tinyproxy = debian.tool("tinyproxy")
        auth = f"BasicAuth {self._user[0]} {self._user[1]}" if self._user else ""

        def command(port: int) -> list[str | Path]:
            config = self._directory / "tinyproxy.conf"
            config.write_text(_CONFIG.format(port=port, host=HOST, log=self._log, auth=auth))
            return [tinyproxy.path, "-d", "-c", config]

        log = self._directory / "tinyproxy.log"
        self._process = process.start(command, log=log, env=tinyproxy.environment())
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop()

    @property
    def host(self) -> str:
        if self._process is None:
            raise RuntimeError("not started")
        return f"{HOST}:{self._process.port}"

    def requests(self) -> tuple[str, ...]:
        """What it was asked for: `CONNECT host:port` or `GET http://host:port/...`."""
        text = self._log.read_text(errors="replace")
        return tuple(re.findall(r"Request \(file descriptor \d+\): (\S+ \S+) HTTP", text))
