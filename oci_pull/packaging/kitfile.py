"""Kitfiles, as `kit` keeps them beside a ModelKit: JSON, hostile until it is a `Kitfile`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Self

from oci_pull.errors import InconsistentModel, InvalidManifest
from oci_pull.oci.digest import Digest


class Kind(Enum):
    """What an entry of a Kitfile is, and so of which type its layer is."""

    MODEL = "model"
    PART = "modelpart"
    CODE = "code"
    DOCS = "docs"
    DATASET = "dataset"


#: The lists of a Kitfile. Prompts are packed as code, behind it.
_LISTS = (("code", Kind.CODE), ("prompts", Kind.CODE), ("docs", Kind.DOCS))


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that `kit` has packed, as a layer of its own."""

    kind: Kind
    #: As it was written, and nothing that may be used as a path yet.
    path: str
    #: Of its layer; None in ModelKits from before 0.5.
    digest: Digest | None


@dataclass(frozen=True, slots=True)
class Kitfile:
    """What a ModelKit says that it is made of, each kind in its order."""

    #: Its path may be the reference of another ModelKit instead, which is not packed.
    model: Entry | None
    others: tuple[Entry, ...]

    @classmethod
    def parse(cls, raw: str | bytes) -> Self:
        """Parse the JSON form; members that are not needed are not looked at.

        Raises:
            InconsistentModel: it is no Kitfile.
        """
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise InconsistentModel("the Kitfile is not JSON") from error
        whole = _object(value, "the Kitfile")
        model = _object(whole.get("model"), "model")
        path, digest = _text(model, "path", "model"), _digest(model, "model")
        others = [*_entries(model, "parts", Kind.PART, "model.parts")]
        for name, kind in _LISTS:
            others += _entries(whole, name, kind, name)
        # What is at a remote path was not packed.
        datasets = _entries(whole, "datasets", Kind.DATASET, "datasets", unless="remotePath")
        return cls(
            Entry(Kind.MODEL, path, digest) if path or digest else None,
            (*others, *datasets),
        )

    @property
    def has_digests(self) -> bool:
        """Whether entries name their layers (since 0.5); otherwise their order does."""
        return any(entry.digest for entry in (self.model, *self.others) if entry)


def _entries(
    value: dict[str, Any], name: str, kind: Kind, where: str, *, unless: str = ""
) -> Iterator[Entry]:
    found = value.get(name)
    if found is None:
        return
    if not isinstance(found, list):
        raise InconsistentModel(f"{where} of the Kitfile is not a list")
    for number, each in enumerate(found):
        place = f"{where}[{number}]"
        entry = _object(each, place)
        if not (unless and _text(entry, unless, place)):
            yield Entry(kind, _text(entry, "path", place), _digest(entry, place))


def _object(value: Any, where: str) -> dict[str, Any]:
    """The object; Go writes null for one that is not there."""
    if value is None and where != "the Kitfile":
        return {}
    if not isinstance(value, dict):
        raise InconsistentModel(f"{where} is not an object in the Kitfile")
    return value


def _text(value: dict[str, Any], name: str, where: str) -> str:
    text = value.get(name)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise InconsistentModel(f"{where}.{name} of the Kitfile is not a text")
    return text


def _digest(value: dict[str, Any], where: str) -> Digest | None:
    text = _text(value, "digest", where)
    if not text:
        return None
    try:
        return Digest.parse(text)
    except InvalidManifest as error:
        raise InconsistentModel(f"{where}.digest of the Kitfile: {error.message}") from error
