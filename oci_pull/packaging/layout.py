"""From a plan and the contents of its archives to the files of a tree."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import assert_never

from oci_pull.errors import InvalidSetting, NotAModel, PathConflict
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import (
    ApplyLayers,
    FilePlan,
    LeftOut,
    Operation,
    PlaceBlob,
    UnpackArchive,
)
from oci_pull.packaging.root import find_root
from oci_pull.packaging.selection import Selection, leave_out_pickles


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive, as it was unpacked."""

    path: RelPath
    size: int
    digest: Digest


#: The whole file set of each archive that was unpacked, by the digest of the archive.
Members = Mapping[Digest, Sequence[Member]]


@dataclass(frozen=True, slots=True)
class Merged:
    """The model in a container image, written out: what its layers make of one directory."""

    #: The root as it was asked for, empty where it had to be found.
    root: str
    #: Their paths are relative to the directory that is the root.
    members: tuple[Member, ...]
    #: What the image holds beside it, all in one.
    outside: LeftOut | None = None


#: The model of each image that was written out, by the digest of the image's manifest.
Images = Mapping[Digest, Merged]


@dataclass(frozen=True, slots=True)
class FromBlob:
    """The content of a file is a blob."""

    blob: Descriptor


@dataclass(frozen=True, slots=True)
class FromArchive:
    """The content of a file is that of a member of an archive."""

    archive: Descriptor


@dataclass(frozen=True, slots=True)
class FromImage:
    """The content of a file is what the layers of an image make of it."""

    image: Digest
    #: As it was asked for.
    root: str


Origin = FromBlob | FromArchive | FromImage


@dataclass(frozen=True, slots=True)
class TreeFile:
    """One file of a tree: where it goes, what it holds, where that comes from."""

    path: RelPath
    size: int
    digest: Digest
    origin: Origin


@dataclass(frozen=True, slots=True)
class Layout:
    """Every file of a tree, and what is left out of it and why."""

    files: tuple[TreeFile, ...]
    left_out: tuple[LeftOut, ...] = ()


def arrange(
    plan: FilePlan, selection: Selection, members: Members, images: Images = MappingProxyType({})
) -> Layout:
    """The files of the tree that the plan and the selection call for.

    Archives that are not in `members` are passed over, and while one is missing nothing is decided
    that it could change: called before the download, this tells what has to be fetched. Pickles are
    not: with safer weights they are left out, and without they are refused.

    Raises:
        PathConflict: two different files for one path, or for two that differ by case or by their
            Unicode form, or a file where another has a directory.
        SeveralRoots, PickleOnly: see `find_root` and `leave_out_pickles`.
        NotAModel: there is no file at all.
        InvalidSetting: the patterns let no file in.
    """
    wanted = [op for op in plan.operations if selection.datasets or not _is_dataset(op)]
    left_out = [*plan.left_out, *_datasets(plan, selection)]
    left_out += [each.outside for each in images.values() if each.outside]
    is_complete = all(_is_here(op, members, images) for op in wanted)
    files = _unique(_files(wanted, members, images))
    if is_complete and not files:
        raise NotAModel("there is no file in it")
    # In an image the root was found, or was the wanted one, before its files were written.
    needs_root = not plan.is_rooted or bool(selection.root and not plan.images)
    if needs_root and not is_complete:
        files, unwanted = _matching(files, selection.reason_against_any)
    else:
        if needs_root:
            root = find_root([file.path for file in files], selection.root)
            files, outside = _rooted(files, root)
            left_out += outside
        _refuse_conflicts(files)
        files, unwanted = _matching(files, selection.reason_against)
    left_out += unwanted
    if is_complete and not files:
        raise InvalidSetting("no file of the model is let in by --include and --exclude")
    if not selection.allow_pickle:
        files, pickles = leave_out_pickles(
            files, lambda f: f.path, lambda f: f.size, is_all=is_complete
        )
        left_out += pickles
    return Layout(tuple(sorted(files, key=lambda file: file.path)), tuple(left_out))


def _matching(
    files: Iterable[TreeFile], reason_against: Callable[[RelPath], str | None]
) -> tuple[list[TreeFile], list[LeftOut]]:
    """The files that the patterns let in, and the others."""
    inside, outside = [], []
    for file in files:
        if reason := reason_against(file.path):
            outside.append(LeftOut(str(file.path), file.size, reason))
        else:
            inside.append(file)
    return inside, outside


def _is_dataset(op: Operation) -> bool:
    return not isinstance(op, ApplyLayers) and op.is_dataset


def _datasets(plan: FilePlan, selection: Selection) -> Iterator[LeftOut]:
    if selection.datasets:
        return
    for op in plan.operations:
        if not isinstance(op, ApplyLayers) and op.is_dataset:
            name = op.path if isinstance(op, PlaceBlob) else op.title
            yield LeftOut(str(name), op.blob.size, "a dataset (--datasets takes it in)")


def _is_here(op: Operation, members: Members, images: Images) -> bool:
    """Whether it is known which files an operation gives."""
    match op:
        case PlaceBlob():
            return True
        case UnpackArchive(blob):
            return blob.digest in members
        case ApplyLayers(image):
            return image in images
        case _:
            assert_never(op)


def _files(operations: Sequence[Operation], members: Members, images: Images) -> list[TreeFile]:
    """What every operation gives, but for what another one in front of it gives as well."""
    found: list[TreeFile] = []
    for rank in sorted({_rank(op) for op in operations}):
        taken = {file.path.folded for file in found}
        ranked = (op for op in operations if _rank(op) == rank)
        files = (file for op in ranked for file in _given(op, members, images))
        found += [file for file in files if file.path.folded not in taken]
    return found


def _rank(op: Operation) -> tuple[int, bool]:
    """What is nearer comes first, and what is certain before a guess."""
    return (0, False) if isinstance(op, ApplyLayers) else (op.generation, op.if_absent)


def _given(op: Operation, members: Members, images: Images) -> Iterable[TreeFile]:
    match op:
        case PlaceBlob(path, blob):
            return (TreeFile(path, blob.size, blob.digest, FromBlob(blob)),)
        case UnpackArchive(blob):
            return _unpacked(op, members.get(blob.digest, ()))
        case ApplyLayers(image):
            return _merged(image, images.get(image))
        case _:
            assert_never(op)


def _unpacked(op: UnpackArchive, members: Sequence[Member]) -> Iterator[TreeFile]:
    """The files of an archive under their own names, or its only one under the annotated name.

    modctl names the entry like the annotation; AIKit by its base name alone, and gives the archive
    of all small files the name of a category, which is no file's.
    """
    hint = op.hint
    only = len(members) == 1 and hint is not None and members[0].path.name == hint.name
    for member in members:
        path = hint if hint and (only or op.is_bare) else RelPath(op.below + member.path.parts)
        yield TreeFile(path, member.size, member.digest, FromArchive(op.blob))


def _merged(image: Digest, merged: Merged | None) -> Iterator[TreeFile]:
    if merged is None:
        return
    origin = FromImage(image, merged.root)
    for member in merged.members:
        yield TreeFile(member.path, member.size, member.digest, origin)


def _unique(files: Iterable[TreeFile]) -> list[TreeFile]:
    """Each path once; the same content twice under one name is one file."""
    unique: dict[RelPath, TreeFile] = {}
    for file in files:
        other = unique.setdefault(file.path, file)
        if other.digest != file.digest:
            raise PathConflict(f"two different files are both {file.path}")
    return list(unique.values())


def _rooted(
    files: Iterable[TreeFile], root: tuple[str, ...]
) -> tuple[list[TreeFile], list[LeftOut]]:
    """The files as seen from the root, and those that are not below it."""
    inside, outside = [], []
    for file in files:
        if path := file.path.below(root):
            inside.append(replace(file, path=path))
        else:
            reason = f"not in {'/'.join(root)}, which is the model"
            outside.append(LeftOut(str(file.path), file.size, reason))
    return inside, outside


def _refuse_conflicts(files: Sequence[TreeFile]) -> None:
    folded: dict[str, RelPath] = {}
    for file in files:
        other = folded.setdefault(file.path.folded, file.path)
        if other != file.path:
            raise PathConflict(
                f"{other} and {file.path} are one file on some file systems, two on others"
            )
    for file in files:
        for depth in range(1, len(file.path.parts)):
            directory = RelPath(file.path.parts[:depth])
            if directory.folded in folded:
                raise PathConflict(
                    f"{directory} is a file, and {file.path} needs it as a directory"
                )
