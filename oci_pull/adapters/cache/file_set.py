"""Files of an archive or an image on their way into the cache: `files/<digest>`, `members.json`.

Files lie there under the digest of their content, so that no name from an archive is ever a name in
the cache.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from oci_pull.adapters.cache.owner import Owner
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import (
    KEPT,
    remove_tree,
    rename_tree,
    sync_directory,
    write_file,
    writing,
)
from oci_pull.errors import NoSpace, OciPullError
from oci_pull.oci.digest import Bytes, Digest, Hasher
from oci_pull.options import amount
from oci_pull.packaging.layout import Member
from oci_pull.packaging.path import RelPath

FILES = "files"
_MEMBERS = "members.json"
_READ_ONLY = 0o444


def read_members(directory: Path) -> tuple[Member, ...] | None:
    """The members of a published file set; None for what is not there or was not written by us."""
    return members_of(read_listing(directory))


def are_there(directory: Path, members: Iterable[Member]) -> bool:
    """Whether the content of every member is in the file set, with its size."""
    try:
        return all(
            (directory / FILES / each.digest.hex).stat().st_size == each.size for each in members
        )
    except OSError:
        return False


def complete_members(directory: Path) -> tuple[Member, ...] | None:
    """The members of a published file set that has all of them; None for any other."""
    found = read_members(directory)
    return found if found is not None and are_there(directory, found) else None


def read_listing(directory: Path) -> Mapping[str, Any]:
    """What was written down of a published file set, empty where that cannot be read."""
    try:
        value = json.loads((directory / _MEMBERS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def members_of(listing: Mapping[str, Any]) -> tuple[Member, ...] | None:
    """The members in a listing, None where it is none."""
    try:
        return tuple(
            Member(RelPath.parse(each["path"]), int(each["size"]), Digest.parse(each["digest"]))
            for each in listing["members"]
        )
    except (ValueError, LookupError, TypeError, OciPullError):
        return None


class StagedFiles:
    """A file set beside its final place."""

    def __init__(self, cache: Cache, final: Path, *, is_space_checked: bool) -> None:
        self._final = final
        self._directory = cache.incomplete / f"layer-{Owner.new()}"
        self._is_space_checked = is_space_checked
        self._members: list[Member] = []
        with writing(self._directory):
            (self._directory / FILES).mkdir(parents=True)

    def write(self, path: RelPath, size: int | None, content: Iterable[Bytes]) -> Member:
        """Store the content of a file, of a size that may be known, under its digest."""
        new = self._directory / "new"
        hasher = Hasher()
        with writing(new):
            if size is not None and self._is_space_checked:
                _require(new.parent, path, size)
            new.unlink(missing_ok=True)
            with new.open("xb") as file:
                for chunk in content:
                    hasher.update(chunk)
                    file.write(chunk)
                os.fchmod(file.fileno(), _READ_ONLY)
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._directory / FILES / hasher.digest().hex)
        member = Member(path, hasher.size, hasher.digest())
        self._members.append(member)
        return member

    def name(self, member: Member) -> None:
        """The same content once more, under another name."""
        self._members.append(member)

    def finish(self, **more: object) -> None:
        """Write down what there is."""
        members = [
            {"path": str(each.path), "size": each.size, "digest": str(each.digest)}
            for each in self._members
        ]
        content = json.dumps({"schema": 1, **more, "members": members}, indent=1).encode()
        write_file(self._directory / _MEMBERS, content)

    def publish(self) -> None:
        """Give the file set its final name; whoever comes second finds it there."""
        with writing(self._final):
            self._final.parent.mkdir(parents=True, exist_ok=True)
            sync_directory(self._directory / FILES)
            rename_tree(
                self._directory, self._final, lambda: complete_members(self._final) is not None
            )
            sync_directory(self._final.parent)

    def discard(self) -> None:
        """Remove it, unless it was published."""
        remove_tree(self._directory)


def _require(directory: Path, path: RelPath, size: int) -> None:
    """Refuse before it is written what cannot fit; raises `NoSpace`."""
    free = shutil.disk_usage(directory).free
    if size > free:
        raise NoSpace(
            f"not enough space: {path} in an archive needs {amount(size)}, {amount(free)} free at "
            f"{directory.parent.parent}",
            facts=[KEPT],
            hint="make room, and run the same command again",
            needed=size,
            free=free,
            place=str(directory.parent.parent),
        )
