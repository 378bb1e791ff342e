"""What an examination finds, check by check."""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oci_pull.errors import Cancelled, OciPullError


class State(enum.Enum):
    """What came of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; nothing of it is a secret."""

    name: str
    state: State
    #: In one line, for people.
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    hint: str | None = None
    #: What a pull would have raised.
    error: OciPullError | None = None

    @classmethod
    def failed(cls, name: str, error: OciPullError) -> "Finding":
        """A check that ended as a pull would."""
        return cls(name, State.FAILED, error.message, {"code": error.code}, error.hint, error)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, in the order in which it was looked for."""

    findings: Sequence[Finding]

    @property
    def error(self) -> OciPullError | None:
        """The first failure: what a pull would end with."""
        return next((each.error for each in self.findings if each.error), None)


def checked(name: str, check: Callable[[], Finding]) -> Finding:
    """What a check found; what it raises is a finding too, unless that is a cancel."""
    try:
        return check()
    except OciPullError as error:
        if isinstance(error, Cancelled):
            raise
        return Finding.failed(name, error)
