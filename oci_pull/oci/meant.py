"""What may have been meant by a reference that leads nowhere."""

import difflib
import json
import re
from collections.abc import Sequence
from dataclasses import replace

from oci_pull.oci.reference import DOCKER_HUB, TAG, Reference

_OFFICIAL = "library/"
_LATEST = "latest"
#: A name that is a host where anybody but Docker reads it: `ghcr.io`, and no `llama3.2`.
_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}|localhost")
_NUMBER = re.compile(r"(\d+)")
_MAX_LISTED = 6


def meant_name(reference: Reference) -> str | None:
    """The command for the name that was likely meant, where Docker's rules read another one."""
    name = reference.repository.removeprefix(_OFFICIAL)
    if reference.registry != DOCKER_HUB or name == reference.repository:
        return None
    tag = reference.tag or ""
    is_port = tag.isdigit()
    if is_port or _HOST.fullmatch(name):
        return f"oci-pull {name}{f':{tag}' if is_port else ''}/REPOSITORY"
    return f"oci-pull ai/{name}{f':{tag}' if tag not in ('', _LATEST) else ''}"


def parse_tags(body: bytes) -> tuple[str, ...]:
    """The tags of a repository (distribution-spec, Listing Tags); none in what is no list."""
    try:
        found = json.loads(body)["tags"]
        return tuple(tag for tag in found if isinstance(tag, str) and TAG.fullmatch(tag))
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def tags_listed(tags: Sequence[str]) -> str:
    """A few of the tags, the highest versions first."""
    ordered = sorted(tags, key=_version, reverse=True)
    more = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return " ".join(ordered[:_MAX_LISTED]) + more


def meant_tag(reference: Reference, tags: Sequence[str]) -> str | None:
    """The command for the tag that is spelled nearly like the one that is not there."""
    by_case = {tag.lower(): tag for tag in tags}
    near = difflib.get_close_matches((reference.tag or "").lower(), by_case, n=1)
    return f"oci-pull {replace(reference, tag=by_case[near[0]])}" if near else None


def _version(tag: str) -> tuple[bool, list[tuple[int, str]]]:
    """Numbers count as numbers, and a tag with one before a tag without."""
    parts = _NUMBER.split(tag)
    return len(parts) > 1, [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
