"""What the layers of a container image make of each other, in memory and from their headers alone.

The rules are those of the image-spec (layer.md) and of containerd, which applies layers for nearly
everybody. Links never leave the image: its own top is the root of every absolute one.
"""

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from oci_pull.errors import UnsafePath

#: As the kernel has it (path_resolution(7)).
_MAX_LINKS = 40
_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
#: Of AUFS, for its own use.
_META = ".wh..wh."
#: Directories below each other; file systems and tools end long before.
_MAX_DEPTH = 256
#: Files and directories of one model, with those that links repeat.
_MAX_STEPS = 200_000

Parts = tuple[str, ...]


class EntryKind(Enum):
    """What an entry of a layer is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    #: A device or a pipe: it hides what was there, and is no file of a model.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """An entry of a layer as its header has it. The size is in bytes."""

    kind: EntryKind
    name: str
    target: str = ""
    size: int = 0
    #: Kept of the few that have to be read to find the model.
    content: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the content of a file is: which layer, and which of its entries, counted from 0."""

    layer: int
    ordinal: int


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A regular file. Hard links of it are the same one under several paths."""

    place: Place
    size: int
    content: str = ""


@dataclass(frozen=True, slots=True)
class Symlink:
    """A link to a path, which need not be there."""

    target: str


@dataclass(slots=True)
class Directory:
    """Names and what they are."""

    children: "dict[str, Node]" = field(default_factory=dict)


Node = ImageFile | Symlink | Directory


class Overlay:
    """The file system of an image, growing layer by layer from the lowest."""

    def __init__(self) -> None:
        self._top = Directory()
        self._layers = 0

    def apply(self, entries: Iterable[LayerEntry]) -> None:
        """Put a layer on top; of what it says of itself twice, the last counts.

        Raises:
            UnsafePath: a name with `..` in it.
        """
        layer = self._layers
        self._layers += 1
        found = [(_parts(entry.name), entry) for entry in entries]
        own = {parts for parts, entry in found if entry.kind is EntryKind.DIRECTORY}
        # Whiteouts are about the layers below, wherever in their own they stand.
        for parts, _ in found:
            if parts and parts[-1].startswith(_WHITEOUT):
                self._white_out(parts, own)
        for ordinal, (parts, entry) in enumerate(found):
            if parts and not any(part.startswith(_WHITEOUT) for part in parts):
                self._add(parts, entry, Place(layer, ordinal))

    def files(self) -> Iterator[tuple[Parts, ImageFile]]:
        """Every file, and every link to one, in directories that are really there."""
        yield from self._walk((), self._top, is_following=False)

    def below(self, directory: Parts) -> Iterator[tuple[Parts, ImageFile]]:
        """Every file below a directory, by its path from there; links are what they lead to.

        Links that lead nowhere, or to a directory that they are in, are left out.

        Raises:
            UnsafePath: links make more of it than any model has.
        """
        found = self.find(directory)
        if isinstance(found, Directory):
            for path, file in self._walk(directory, found, is_following=True):
                yield path[len(directory) :], file

    def find(self, path: Parts) -> ImageFile | Directory | None:
        """What a path leads to in the end, None where that is nothing."""
        where = self._resolve(path)
        node = None if where is None else self._at(where)
        return None if isinstance(node, Symlink) else node

    def directory(self, path: Parts) -> Parts | None:
        """Where a directory really is, behind all links; None where there is none."""
        where = self._resolve(path)
        return where if where is not None and isinstance(self._at(where), Directory) else None

    def _walk(
        self, path: Parts, top: Directory, *, is_following: bool
    ) -> Iterator[tuple[Parts, ImageFile]]:
        left: list[tuple[Parts, Directory, frozenset[int]]] = [(path, top, frozenset())]
        steps = 0
        while left:
            path, directory, above = left.pop()
            above |= {id(directory)}
            for name, node in directory.children.items():
                here = (*path, name)
                found = self.find(here) if isinstance(node, Symlink) else node
                if isinstance(found, ImageFile):
                    yield here, found
                elif found and (is_following or found is node) and id(found) not in above:
                    left.append((here, found, above))
                steps += 1
            if is_following and steps > _MAX_STEPS:
                raise UnsafePath(f"the links in /{'/'.join(path[:3])} of the image lead to no end")

    def _white_out(self, parts: Parts, own: Container[Parts]) -> None:
        above, name = parts[:-1], parts[-1]
        if above in own and isinstance(self._named(above), Symlink):
            # The layer has a directory of its own in the place of a link: nothing is below it.
            return
        where = self._resolve(above)
        parent = None if where is None else self._at(where)
        if not isinstance(parent, Directory):
            return
        if name == _OPAQUE:
            parent.children.clear()
        elif not name.startswith(_META):
            parent.children.pop(name.removeprefix(_WHITEOUT), None)

    def _add(self, parts: Parts, entry: LayerEntry, place: Place) -> None:
        parent, name = self._made(parts[:-1]), parts[-1]
        before = parent.children.get(name)
        if entry.kind is EntryKind.DIRECTORY:
            if not isinstance(before, Directory):
                parent.children[name] = Directory()
        elif node := self._node(entry, place):
            parent.children[name] = node
        else:
            parent.children.pop(name, None)

    def _node(self, entry: LayerEntry, place: Place) -> Node | None:
        match entry.kind:
            case EntryKind.FILE:
                return ImageFile(place, entry.size, entry.content)
            case EntryKind.SYMLINK:
                return Symlink(entry.target)
            case EntryKind.HARDLINK:
                return self._linked(_parts(entry.target))
            case _:
                return None

    def _linked(self, target: Parts) -> Node:
        """What a hard link shares, a link too; a link to what is not there yet, or a directory."""
        node = self._named(target)
        if node is None or isinstance(node, Directory):
            return Symlink("/" + "/".join(target))
        return node

    def _named(self, path: Parts) -> Node | None:
        """What a path names: a link itself, and not what it leads to."""
        where = self._resolve(path[:-1])
        return None if where is None else self._at((*where, *path[-1:]))

    def _made(self, path: Parts) -> Directory:
        """The directory that a path leads to, made where something else or nothing is there."""
        resolved = self._resolve(path)
        directory = self._top
        for name in path if resolved is None else resolved:
            child = directory.children.get(name)
            if not isinstance(child, Directory):
                child = directory.children[name] = Directory()
            directory = child
        return directory

    def _at(self, path: Parts) -> Node | None:
        """What is at a path without links on the way."""
        node: Node | None = self._top
        for name in path:
            if not isinstance(node, Directory):
                return None
            node = node.children.get(name)
        return node

    def _resolve(self, path: Parts) -> Parts | None:
        """The same path without links, whether or not something is there; None in a circle.

        As in a root file system of its own: `..` at the top stays there.
        """
        left = list(reversed(path))
        done: list[str] = []
        directories = [self._top]
        links = 0
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if done:
                    done.pop()
                    del directories[len(done) + 1 :]
                continue
            is_there = len(directories) == len(done) + 1
            node = directories[-1].children.get(name) if is_there else None
            if isinstance(node, Symlink):
                links += 1
                if links > _MAX_LINKS:
                    return None
                left += reversed(node.target.split("/"))
                if node.target.startswith("/"):
                    done, directories = [], [self._top]
                continue
            done.append(name)
            if isinstance(node, Directory):
                directories.append(node)
        return tuple(done)


def _parts(name: str) -> Parts:
    """A name in a layer, which is relative to the top of the image however it begins."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts or len(parts) > _MAX_DEPTH:
        raise UnsafePath(f"a layer of the image has an unsafe file name: {name[:200]!r}")
    return parts


def merge(layers: Iterable[Iterable[LayerEntry]]) -> Overlay:
    """The file system that layers make, lowest first; raises `UnsafePath`."""
    overlay = Overlay()
    for entries in layers:
        overlay.apply(entries)
    return overlay
