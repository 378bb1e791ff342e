"""What a pull tells its observer: frozen facts, and counters to be read at leisure.

None of them ever holds a secret, or a URL with a query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oci_pull.oci.digest import Digest


class Counter:
    """Bytes so far. The engine writes it, anybody may read it; it never runs backwards."""

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        self.value: int = value


@dataclass(frozen=True, slots=True)
class Resolving:
    """The registry, or whatever the reference names, is about to be asked what it is."""

    reference: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The reference was resolved, and its packaging recognised."""

    reference: str
    digest: Digest
    packaging: str


@dataclass(frozen=True, slots=True)
class Planned:
    """Everything is known that is known before the first byte. Sizes in bytes."""

    files: int
    #: Archives whose files are not counted, because nobody has looked into them yet.
    archives: int
    #: What all of them come from; more than files where a config or a layer is none.
    blobs: int
    size: int
    #: In whole blobs that are here already.
    reused: int
    #: In parts of blobs that an earlier run has left.
    resumed: int
    #: Of these two, what this very run had to fetch in order to plan.
    early: int
    to_fetch: int
    free: int


@dataclass(frozen=True, slots=True)
class Started:
    """A blob is being fetched; `counter` starts at the bytes that were here already.

    `hashed` follows it, from 0: what of the blob went through its digest so far.
    """

    name: str
    digest: Digest
    size: int
    resumed: int
    counter: Counter
    hashed: Counter


@dataclass(frozen=True, slots=True)
class Retrying:
    """Something failed and will be tried again after `wait` seconds."""

    name: str
    attempt: int
    attempts: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True)
class Stalled:
    """A connection that brings nothing, or far less than the others, is replaced."""

    name: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody else is fetching the same blob; it will be reused."""

    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """What was fetched of a blob turned out to be wrong, and it is fetched anew."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Reused:
    """A blob is here already, and is not fetched."""

    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Rereading:
    """A file that is here is read again, to see whether it is still the blob that it was."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """Unfinished blobs of what the tag was before: kept, and not needed any more."""

    blobs: int
    #: What is on disk of them, in bytes.
    size: int


@dataclass(frozen=True, slots=True)
class Verified:
    """All bytes of a blob are here, and its digest holds."""

    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Committed:
    """A blob is under its final name, durably."""

    name: str
    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Unpacking:
    """Files are being taken out of an archive; `counter` follows it up to `size` bytes.

    That is how far the archive was read, or, of the model in an image, what was written.
    """

    name: str
    size: int
    counter: Counter = field(compare=False)


@dataclass(frozen=True, slots=True)
class LayingOut:
    """Everything is here, and the tree is being built; `counter` follows it up to `size` bytes.

    A link counts with the size of its file, at once; a copy as far as it was written.
    """

    files: int
    size: int
    counter: Counter = field(compare=False)


@dataclass(frozen=True, slots=True)
class Examining:
    """What is in a cache is being read again; `counter` follows it, from 0 to `size` bytes."""

    files: int
    size: int
    counter: Counter = field(compare=False)


@dataclass(frozen=True, slots=True)
class LookedUp:
    """The cache was asked for a manifest (`verbose`)."""

    digest: Digest
    is_here: bool


@dataclass(frozen=True, slots=True)
class Identified:
    """It is known as whom a registry is asked, and where that was found (`verbose`)."""

    registry: str
    who: str


@dataclass(frozen=True, slots=True)
class Authorized:
    """A token service gave a token, now or earlier in this run (`verbose`)."""

    registry: str
    #: The `host:port` of the token service.
    service: str
    #: What the token allows, separated by spaces.
    scope: str
    is_cached: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """A server answered a request (`verbose`)."""

    method: str
    #: With the path of what was asked of a registry; the host alone of wherever that leads.
    url: str
    status: int
    #: From the request to the head of the reply.
    seconds: float
    #: What the server says of the body, in bytes.
    size: int | None
    #: How whoever runs the server finds the request; empty where it does not say.
    request_id: str
    #: The host that it redirects to; empty where it does not.
    leads_to: str
    #: The headers, from `verbose` 2 on. Values that could be a secret are `***`.
    sent: Mapping[str, str]
    received: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request that there was no reply to (`verbose`)."""

    method: str
    url: str
    seconds: float
    #: The kind of failure, in one word.
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment has passed: time to look at the counters. Always from the thread that waits."""


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a person should know and that stops nothing."""

    message: str


Event = (
    Resolving
    | Resolved
    | Planned
    | Started
    | Retrying
    | Stalled
    | Waiting
    | Restarted
    | Reused
    | Rereading
    | Superseded
    | Verified
    | Committed
    | Unpacking
    | LayingOut
    | Examining
    | LookedUp
    | Identified
    | Authorized
    | Answered
    | Unanswered
    | Tick
    | Warned
)
