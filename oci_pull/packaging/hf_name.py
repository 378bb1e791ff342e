"""What a model is called in the Hugging Face hub cache.

The rules are those of `validate_repo_id` of huggingface_hub, which loaders apply to what they get.
"""

import hashlib

from oci_pull.errors import UsageError
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Locator, Reference

_LONGEST = 96
_COMMIT = 40


def hub_id(reference: Locator) -> str:
    """The repository without its registry, as `org/name` or `name`.

    Raises:
        UsageError: the Hub has no such names, or it is a layout on disk, which has none.
    """
    if not isinstance(reference, Reference):
        raise _refusal(reference, "it is a layout on disk, which has no name")
    name = reference.repository
    if reason := _objection(name):
        raise _refusal(reference, f"{name!r} {reason}")
    return name


def commit_of(manifest: Digest, selection: str) -> str:
    """What stands for a commit: 40 hexadecimal digits, the same for the same files."""
    whole = hashlib.sha256(f"{manifest} {selection}".encode())
    return whole.hexdigest()[:_COMMIT]


def _objection(name: str) -> str:
    """What the Hub has against the name of a repository, whose characters are fewer anyway."""
    parts = name.split("/")
    if len(parts) > 2:  # noqa: PLR2004 - an organization and a name
        return "has more than two components"
    if len(name) > _LONGEST:
        return f"has more than {_LONGEST} characters"
    if "--" in name:
        return "contains --"
    if name.endswith(".git"):
        return "ends in .git"
    return ""


def _refusal(reference: Locator, reason: str) -> UsageError:
    return UsageError(
        f"{reference} cannot be in the Hugging Face hub cache: {reason}",
        hint=f"oci-pull --layout dir -o DIR {reference}",
    )
