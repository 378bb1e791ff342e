"""Tar archives as producers write them, and as nobody should."""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Protocol

from tests.content import Content, Layer, size_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterable

Form = Literal["tar", "tar+gzip", "tar+zstd"]

MTIME = 1_735_689_600  # 2025-01-01: the same input is the same digest on every day


@dataclass(frozen=True)
class Entry:
    """One member; the name goes into the header as it is, hostile or not."""

    name: str
    content: Content = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644


def directory(name: str) -> Entry:
    return Entry(name, type=tarfile.DIRTYPE, mode=0o755)


def symlink(name: str, target: str) -> Entry:
    return Entry(name, type=tarfile.SYMTYPE, link=target, mode=0o777)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Hashed(io.RawIOBase):
    """Passes bytes on and keeps their digest, so that no archive is read again for it."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._state = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # only ever given bytes
        self._sink.write(data)
        self._state.update(data)
        self.size += len(data)
        return len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._state.hexdigest()}"


def tar_of(
    members: Mapping[str, Content] | Iterable[Entry],
    *,
    form: Form = "tar",
    scratch: Path | None = None,
) -> Layer:
    """A layer without media type and annotations; `typed` adds them.

    With `scratch`, an archive that has a file on disk as a member is itself a file there;
    otherwise everything is in memory.
    """
    entries = _entries(members)
    on_disk = scratch is not None and any(isinstance(each.content, Path) for each in entries)
    with ExitStack() as stack:
        file: IO[bytes]
        if on_disk:
            file = stack.enter_context(
                tempfile.NamedTemporaryFile(dir=scratch, suffix=".layer", delete=False)
            )
        else:
            file = io.BytesIO()
        outer = _Hashed(file)
        with _compressor(form, outer) as compressor:
            inner = _Hashed(compressor)
            _write(entries, inner)
        content = Path(file.name) if on_disk else _value(file)
    return Layer("", content, outer.digest, outer.size, {}, inner.digest)


def typed(archive: Layer, media_type: str, annotations: Mapping[str, str] | None = None) -> Layer:
    return replace(archive, media_type=media_type, annotations=annotations or {})


def _entries(members: Mapping[str, Content] | Iterable[Entry]) -> list[Entry]:
    if isinstance(members, Mapping):
        return [Entry(name, content) for name, content in members.items()]
    return list(members)


def _compressor(form: Form, sink: _Hashed) -> AbstractContextManager[_Sink]:
    if form == "tar+gzip":
        # The time and name that gzip would record are not ours to have.
        return gzip.GzipFile("", "wb", compresslevel=6, fileobj=sink, mtime=0)
    if form == "tar+zstd":
        return zstd.ZstdFile(sink, "wb")
    return sink


def _write(entries: Iterable[Entry], sink: _Hashed) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            header = tarfile.TarInfo(entry.name)
            header.type = entry.type
            header.linkname = entry.link
            header.mode = entry.mode
            header.mtime = MTIME
            header.size = size_of(entry.content)
            if isinstance(entry.content, Path):
                with entry.content.open("rb") as stream:
                    archive.addfile(header, stream)
            else:
                archive.addfile(header, io.BytesIO(entry.content))


def _value(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
