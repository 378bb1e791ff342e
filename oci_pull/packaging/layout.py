"""From a plan and the contents of its archives to the files of a tree."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from oci_pull.errors import InvalidSetting, NotAModel, PathConflict
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.packaging.path import RelPath
from oci_pull.packaging.plan import LeftOut, PlaceBlob, Plan, UnpackArchive
from oci_pull.packaging.root import find_root
from oci_pull.packaging.selection import Selection, has_safe_weights, leave_out_pickles


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive, as it was unpacked."""

    path: RelPath
    size: int
    digest: Digest


#: The whole file set of each archive that was unpacked, by the digest of the archive.
Members = Mapping[Digest, Sequence[Member]]


@dataclass(frozen=True, slots=True)
class FromBlob:
    """The content of a file is a blob."""

    blob: Descriptor


@dataclass(frozen=True, slots=True)
class FromArchive:
    """The content of a file is that of a member of an archive."""

    archive: Descriptor


Origin = FromBlob | FromArchive


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


def arrange(plan: Plan, selection: Selection, members: Members) -> Layout:
    """The files of the tree that the plan and the selection call for.

    Archives that are not in `members` are passed over, and while one is missing nothing is decided
    that it could change: called before the download, this tells what has to be fetched.

    Raises:
        PathConflict: two different files for one path, or for two that differ by case or by their
            Unicode form, or a file where another has a directory.
        SeveralRoots, PickleOnly: see `find_root` and `leave_out_pickles`.
        NotAModel: there is no file at all.
        InvalidSetting: the patterns let no file in.
    """
    wanted = [op for op in plan.operations if selection.datasets or not op.is_dataset]
    left_out = [*plan.left_out, *_datasets(plan, selection)]
    is_complete = all(op.blob.digest in members for op in wanted if isinstance(op, UnpackArchive))
    files = _unique(_files(replace(plan, operations=tuple(wanted)), members))
    if is_complete and not files:
        raise NotAModel("there is no file in it")
    needs_root = not plan.is_rooted or bool(selection.root)
    if needs_root and not is_complete:
        return Layout(tuple(files), tuple(left_out))
    if needs_root:
        root = find_root([file.path for file in files], selection.root)
        files, outside = _rooted(files, root)
        left_out += outside
    _refuse_conflicts(files)
    files, unwanted = _matching(files, selection)
    left_out += unwanted
    if is_complete and not files:
        raise InvalidSetting("no file of the model is let in by --include and --exclude")
    if not selection.allow_pickle and (is_complete or has_safe_weights(f.path for f in files)):
        files, pickles = leave_out_pickles(files, lambda f: f.path, lambda f: f.size)
        left_out += pickles
    return Layout(tuple(sorted(files, key=lambda file: file.path)), tuple(left_out))


def _matching(
    files: Iterable[TreeFile], selection: Selection
) -> tuple[list[TreeFile], list[LeftOut]]:
    """The files that the patterns let in, and the others."""
    inside, outside = [], []
    for file in files:
        if reason := selection.reason_against(file.path):
            outside.append(LeftOut(str(file.path), file.size, reason))
        else:
            inside.append(file)
    return inside, outside


def _datasets(plan: Plan, selection: Selection) -> Iterator[LeftOut]:
    if selection.datasets:
        return
    for op in plan.operations:
        if op.is_dataset:
            name = op.path if isinstance(op, PlaceBlob) else op.hint or op.blob.media_type
            yield LeftOut(str(name), op.blob.size, "a dataset (--datasets takes it in)")


def _files(plan: Plan, members: Members) -> list[TreeFile]:
    certain: list[TreeFile] = []
    guesses: list[TreeFile] = []
    for op in plan.operations:
        match op:
            case PlaceBlob(path, blob):
                file = TreeFile(path, blob.size, blob.digest, FromBlob(blob))
                (guesses if op.if_absent else certain).append(file)
            case UnpackArchive(archive, hint=hint):
                certain += _unpacked(archive, hint, members.get(archive.digest, ()))
            case _:
                assert_never(op)
    taken = {file.path.folded for file in certain}
    return certain + [file for file in guesses if file.path.folded not in taken]


def _unpacked(
    archive: Descriptor, hint: RelPath | None, members: Sequence[Member]
) -> Iterator[TreeFile]:
    """The files of an archive under their own names, or its only one under the annotated name.

    modctl names the entry like the annotation; AIKit by its base name alone, and gives the archive
    of all small files the name of a category, which is no file's.
    """
    only = len(members) == 1 and hint is not None and members[0].path.name == hint.name
    for member in members:
        path = hint if only and hint else member.path
        yield TreeFile(path, member.size, member.digest, FromArchive(archive))


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
