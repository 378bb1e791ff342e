"""A shell at a terminal, with somebody who presses keys."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers import debian

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_COMPLETIONS = Path(__file__).parents[2] / "completions"
_LIMIT = 120.0  # seconds; a Tab takes a tenth of one
_PROMPT = "READY"
#: Makes the terminal on stdin the one that the session belongs to, and becomes the shell.
_LEADER = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
_HOME_KEY = "\x01"
TAB = "\t"
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?>]*[A-Za-z]|\][^\x07]*\x07|[()].|[=>])")
#: What nobody wants to see for a Tab.
_NOISE = ("Traceback", "error:", "not found", "bad substitution")
_ROWS, _COLUMNS = 60, 200


@dataclass(frozen=True)
class _Start:
    arguments: tuple[str, ...]
    #: The file in the home that the shell reads, and what is in it.
    file: str
    content: str


_STARTS = {
    "bash": _Start(
        ("--noprofile", "--rcfile", ".bashrc", "-i"),
        ".bashrc",
        """
bind 'set enable-bracketed-paste off'
. {completions}/oci-pull.bash
show() { printf 'MARK|'; printf '%s|' "$@"; echo END; }
PS1={prompt}
""",
    ),
    "zsh": _Start(
        ("-d", "-i"),
        ".zshrc",
        """
[[ -n $MODULES ]] && module_path=($MODULES) fpath=($FUNCTIONS $FUNCTIONS/**/*(/))
fpath=({completions} $fpath)
autoload -Uz compinit && compinit -u -D
bindkey -e
show() { printf 'MARK|'; printf '%s|' "$@"; echo END; }
PROMPT={prompt}
""",
    ),
    "fish": _Start(
        ("-i",),
        ".config/fish/config.fish",
        """
set -g fish_greeting
set -g fish_autosuggestion_enabled 0
source {completions}/oci-pull.fish
function show; printf 'MARK|'; printf '%s|' $argv; echo END; end
function fish_prompt; echo {prompt}; end
""",
    ),
}
NAMES = tuple(_STARTS)


class Shell:
    """Reads what is typed; what it would run is printed instead."""

    def __init__(self, name: str, terminal: int) -> None:
        self.name = name
        self._terminal = terminal
        self._seen = ""

    def typed(self, keys: str) -> list[str]:
        """The words of the line after these keys."""
        # The key goes to the beginning once all before it is dealt with, a Tab as well.
        return self._shown(f"{keys}{_HOME_KEY}show ")

    def lists(self, line: str, words: Sequence[str]) -> None:
        """Two Tabs show all of these, in whatever order and colours."""
        self.send(f"{line}{TAB}{TAB}")
        self._wait(lambda: set(words) <= set(self._plain().split()))
        assert not [each for each in _NOISE if each in self._plain()], self._plain()

    def _shown(self, keys: str) -> list[str]:
        self.send(f"{keys}\r")
        found = self.until(r"MARK\|([^\r\n]*)\|END")
        self.until(_PROMPT)
        return found[1].split("|")

    def send(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Read on until there is something; what is after it is for the next one."""
        self._wait(lambda: re.search(pattern, self._seen))
        found = re.search(pattern, self._seen)
        assert found
        self._seen = self._seen[found.end() :]
        return found

    def _wait(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + _LIMIT
        while not condition():
            assert time.monotonic() < end, self._seen
            if select.select([self._terminal], [], [], 1.0)[0]:
                self._seen += os.read(self._terminal, 65536).decode(errors="replace")

    def _plain(self) -> str:
        """What was seen without colours and movements."""
        return _ESCAPES.sub("", self._seen)


@contextmanager
def shell(name: str, home: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """The shell of a user who has the completion and nothing else; skips where there is none."""
    start = _STARTS[name]
    program, more = program_of(name)
    file = home / start.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(start.content.replace("{completions}", str(_COMPLETIONS)).replace(
        "{prompt}", _PROMPT))  # fmt: skip
    path = f"{Path(sys.executable).parent}:{environment['PATH']}"
    whole = {"TERM": "xterm", **environment, **more, "PATH": path}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (_ROWS, _COLUMNS))
    process = subprocess.Popen(
        [sys.executable, "-c", _LEADER, program, *start.arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=whole, cwd=home,
    )  # fmt: skip
    os.close(theirs)
    try:
        found = Shell(name, ours)
        found.until(_PROMPT)
        yield found
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def program_of(name: str) -> tuple[Path, dict[str, str]]:
    """A shell, and the variables that it needs; skips where there is none."""
    if name == "bash":
        return Path("/bin/bash"), {}
    try:
        tool = debian.tool(name)
    except debian.ToolUnavailable as error:
        pytest.skip(str(error))
    more = dict(tool.env)
    root = debian.TOOLS / "root" / name
    if name == "zsh" and more:
        # Where it was built to be is not where it is.
        more["MODULES"] = str(next(root.glob("usr/lib/*/zsh/*")))
        more["FUNCTIONS"] = str(root / "usr/share/zsh/functions")
    return tool.path, more
