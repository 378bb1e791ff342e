"""Which files are open or mapped, and by which process, as far as Linux shows it (proc(5))."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_FIELDS_BEFORE_PATH = 5


@dataclass(frozen=True, slots=True)
class OpenFiles:
    """What was open at one moment."""

    #: The process that has it, by device and inode: a name that was renamed is the same file.
    holders: Mapping[tuple[int, int], int]
    #: Whether the system shows it at all.
    is_known: bool

    @classmethod
    def now(cls) -> "OpenFiles":
        """Of every process that this one may look at."""
        if not (_PROC / "self" / "fd").is_dir():
            return cls({}, is_known=False)
        holders: dict[tuple[int, int], int] = {}
        for process in _PROC.iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                for path in (*_opened(process), *_mapped(process)):
                    with suppress(OSError):
                        found = path.stat()
                        holders.setdefault((found.st_dev, found.st_ino), int(process.name))
        return cls(holders, is_known=True)

    def holder(self, directory: Path) -> int | None:
        """The process that has a file below a directory open, or is in it; None if nobody has."""
        if not self.holders:
            return None
        for parent, _, names in os.walk(directory):
            for path in (Path(parent), *(Path(parent, name) for name in names)):
                with suppress(OSError):
                    found = path.stat()
                    if pid := self.holders.get((found.st_dev, found.st_ino)):
                        return pid
        return None


def _opened(process: Path) -> Iterator[Path]:
    """Links of the kernel that lead to the open files and to the working directory."""
    yield process / "cwd"
    with suppress(OSError):
        yield from (process / "fd").iterdir()


def _mapped(process: Path) -> Iterator[Path]:
    with suppress(OSError):
        lines = (process / "maps").read_bytes().splitlines()
        paths = {
            fields[_FIELDS_BEFORE_PATH]
            for line in lines
            if len(fields := line.split(maxsplit=_FIELDS_BEFORE_PATH)) > _FIELDS_BEFORE_PATH
        }
        yield from (Path(os.fsdecode(path)) for path in paths if path.startswith(b"/"))
