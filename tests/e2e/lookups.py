"""Other answers of the operating system for one command, without touching the machine.

A `sitecustomize` on PYTHONPATH replaces functions of Python's own library before it begins.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.command import Command

NAME = "registry.test"
"""A name that every look-up which is let through finds on this machine."""

_COMMON = """
import os
import socket
import threading
import time

_look_up = socket.getaddrinfo

def note(what):
    with open({notes!r}, "a") as file:
        print(what, file=file)

def here(host, *rest, **options):
    return _look_up("127.0.0.1" if host == {name!r} else host, *rest, **options)
"""

_ONCE = """
failed = threading.Event()

def getaddrinfo(host, *rest, **options):
    if host == {name!r} and not failed.is_set():
        failed.set()
        note("look-up")
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return here(host, *rest, **options)

socket.getaddrinfo = getaddrinfo
"""

_NOTHING = """
def getaddrinfo(host, *rest, **options):
    if host == {name!r}:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return here(host, *rest, **options)

socket.getaddrinfo = getaddrinfo
"""

_HUB = """
def getaddrinfo(host, port, *rest, **options):
    if host == "registry-1.docker.io":
        return here("127.0.0.1", {port}, *rest, **options)
    return here(host, port, *rest, **options)

socket.getaddrinfo = getaddrinfo
"""

_SURPRISE = """
import shutil

def disk_usage(path):
    raise KeyError("f_frsize")

shutil.disk_usage = disk_usage
"""

_HERE = "socket.getaddrinfo = here"

_NEVER = """
def getaddrinfo(host, *rest, **options):
    if host == {name!r}:
        note("look-up")
        while True:
            time.sleep(3600)
    return here(host, *rest, **options)

socket.getaddrinfo = getaddrinfo
"""

_FULL = """
_pwrite = os.pwrite
room = {room}
lock = threading.Lock()

def pwrite(file, data, offset):
    # As a disk does: what still fits is written, and then nothing is.
    global room
    with lock:
        fits = min(room, len(data))
        room -= fits
    if len(data) and not fits:
        note("full")
        raise OSError(28, "No space left on device")
    return _pwrite(file, data[:fits], offset)

os.pwrite = pwrite
"""

_NO_HARD_LINKS = """
def link(*names, **options):
    note("link")
    raise OSError(1, "Operation not permitted")

os.link = link
"""

_LOCKS = """
import fcntl

def locked(*what):
    note("lock")

fcntl.flock = fcntl.lockf = locked
"""


def look_up_fails_once(command: Command) -> Command:
    """The name server is out of order for the first question (EAI_AGAIN)."""
    return _with(command, _ONCE)


def look_up_finds_nothing(command: Command) -> Command:
    """There is no such host."""
    return _with(command, _NOTHING)


def look_up_finds_it_here(command: Command) -> Command:
    """The name is one of this machine."""
    return _with(command, _HERE)


def docker_hub_is_here(command: Command, port: int) -> Command:
    """Docker Hub answers at a port of this machine."""
    return _with(command, _HUB, port=port)


def a_surprise(command: Command) -> Command:
    """Python's own library raises what it never does."""
    return _with(command, _SURPRISE)


def look_up_hangs(command: Command) -> Command:
    """The name server never answers."""
    return _with(command, _NEVER)


def disk_is_full_after(command: Command, room: int) -> Command:
    """A disk that reserves whatever it is asked for, and has room for so many bytes of blobs."""
    return _with(command, _FULL, room=room)


def no_hard_links(command: Command) -> Command:
    """A file system that has none, as FAT and some network file systems."""
    return _with(command, _NO_HARD_LINKS)


def every_lock_is_given(command: Command) -> Command:
    """Locks that keep nobody out, as on some network file systems."""
    return _with(command, _LOCKS)


def happened(command: Command) -> list[str]:
    """What the replaced functions did, a word each."""
    notes = Path(command.env["PYTHONPATH"]) / "notes"
    return notes.read_text().split() if notes.exists() else []


def _with(command: Command, code: str, **values: int) -> Command:
    folder = command.home / "sitecustomize"
    folder.mkdir(exist_ok=True)
    text = dedent(_COMMON + code).format(name=NAME, notes=str(folder / "notes"), **values)
    (folder / "sitecustomize.py").write_text(text)
    return replace(command, env={**command.env, "PYTHONPATH": str(folder)})
