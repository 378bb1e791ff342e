"""What a test can make the fake registry do wrong, one frozen dataclass for each part of it.

Everything here was seen in a real registry, token server, store or proxy. The default of every
field is the behaviour of a good server, so a test names only what it is about.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from tests.fakes.journal import OriginName

RetryAfter = int | datetime | str
Framing = Literal["asked", "sent", "close", "chunked"]

HTML_PAGE = b"<!doctype html><html><title>Sign in</title><form action=/login></form></html>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What every block has; the first block of a sequence that still applies is the one used."""

    status: int | None = None  # answer with this status and an error body instead
    retry_after: RetryAfter | None = None  # with it: seconds, or a datetime sent as an HTTP-date
    hold: threading.Event | None = None  # answer nothing before this is set; never set = silence
    times: int | None = None  # apply to this many requests, then be good; None = to all
    every: int = 1  # … and of them to each second, third, …
    only: Collection[str] = ()  # apply to these alone (each block says to what); empty = to all


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFaults(Faults):
    """The registry's own origin as a whole; `only` names paths."""

    ping_status: int | None = None  # `/v2/` answers this (404: not a registry)
    html: bool = False  # a web page with 200 for everything
    headers: Mapping[str, str] = field(default_factory=dict)  # on every reply (Warning, RateLimit)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFaults(Faults):
    """The token endpoint; `only` names repositories in the scopes asked for."""

    fields: Literal["both", "token", "access_token"] = "both"  # which members carry the token
    expires_in: int | None = 300  # None leaves it out (the token then lives 60 s); clock decides
    uses: int | None = None  # the token is expired after this many registry requests
    issued_at: timedelta | None = timedelta(0)  # relative to now (ahead: skew); None leaves it out
    post_status: int | None = None  # POST is answered so (404 GCR, 400 ACR, 401 JFrog, 405)
    no_access: bool = False  # 200 with a token that grants nothing
    padding: int = 0  # valid JSON with a member of this many characters more
    body: bytes | None = None  # this with 200 instead of JSON
    content_type: str = "application/json"
    chunked: bool = False  # no Content-Length to judge the size by


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestFaults(Faults):
    """Manifest GET and HEAD; `only` names tags or digests, as they were asked for."""

    content_type: str | None = None  # this instead of the media type; "" leaves the header out
    content_type_suffix: str = ""  # appended to it: "; charset=utf-8"
    digest_header: str | None = None  # this as Docker-Content-Digest; "" leaves the header out
    exact_accept: bool = False  # 404 unless Accept has the media type literally
    redirect: int | None = None  # this status and a Location on the storage origin
    body: bytes | None = None  # these bytes instead, with the true manifest's digest header
    head_status: int | None = None  # HEAD is answered so (405: not supported)
    gzip: bool = False  # Content-Encoding: gzip, whatever was accepted
    chunked: bool = False  # no Content-Length
    cut_after: int | None = None  # the connection is closed after this many body bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobFaults(Faults):
    """Blob GET, at the origin that sends the body; `only` names digests."""

    at: OriginName | None = None  # only where this origin sends the body
    front: bool = False  # `status` and `hold` at the registry, in front of the redirect instead
    head_status: int | None = None  # HEAD is answered so; a HEAD minds nothing else here

    ignore_range: bool = False  # 200 and everything
    refuse_open_ended: bool = False  # 416 to `bytes=N-`
    refuse_ranges: bool = False  # 416 to every Range
    no_content_range: bool = False  # 206 that does not say what it is
    content_range_total: str | None = None  # this after the slash: "*", or a wrong number
    shift: int = 0  # 206 that starts this many bytes late, and says so
    shorter: int = 0  # 206 that ends this many bytes early, and says so

    gzip: bool = False  # compressed by Content-Encoding, and Range ignored, as proxies do
    content_encoding: str | None = None  # only the label; the bytes are as they should be
    framing: Framing = "asked"  # the end: Content-Length of what was asked for, of what is sent, …
    short_by: int = 0  # this many bytes missing at the end
    long_by: int = 0  # this many bytes too many
    corrupt_at: int | None = None  # the byte at this offset of the blob is wrong; -1: everywhere

    # Close after this many body bytes, every time; a function is asked for each reply.
    cut_after: int | Callable[[], int] | None = None
    reset: bool = False  # … with RST, which may overtake bytes already written
    stall_after: int | None = None  # fall silent after this many; the connection stays open
    drip_after: int | None = None  # one byte at a time after this many
    drip_interval: float = 0.05  # … and this many seconds between two of them

    def __post_init__(self) -> None:
        if self.long_by and self.framing == "asked":
            # Bytes after a Content-Length belong to no reply; the client would never see them.
            raise ValueError('long_by needs framing="sent", "close" or "chunked"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirects:
    """How the registry sends clients elsewhere for blobs: a signed URL for each request."""

    status: int = 307
    to: Callable[[], OriginName] | None = None  # asked for each redirect; else the storage
    relative: bool = False  # Location is a path; the registry's own origin serves it
    hops: int = 1  # more: storage, registry, storage, … each with a redirect to the next
    location: str | None = None  # exactly this instead; "" leaves the header out
    reject_authorization: bool = True  # 400 to a request that carries credentials, as S3 does
    uses: int | None = None  # a URL works this often, then is expired; 0 = never
    expires_in: int = 1200  # seconds by the registry's clock, and in the URL
    expired_status: int = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who may pull, and how the registry says so.

    `{registry}`, `{storage}` and `{token}` in a realm stand for those origins' URLs. Realms that
    do something else than issue tokens: any origin's `/token/moved` redirects to the storage
    origin's `/token`, `/token/refuses` always answers 401.
    """

    scheme: Literal["bearer", "basic"] = "bearer"
    users: Mapping[str, str] = field(default_factory=dict)  # name to password
    identity_tokens: Collection[str] = ()  # refresh tokens that POST accepts
    anonymous: bool = True  # the token server serves those who do not say who they are
    private: Collection[str] = ()  # … but with a token that is no good for these repositories

    realm: str = "{token}/token"
    realm_after_expiry: str | None = None  # another one beside error="invalid_token" (nvcr.io)
    service: str | None = "fake-registry"  # None leaves it out
    scope: str | None = "repository:{name}:pull"  # None leaves it out; "…:pull,push" has a comma
    challenge_name: str = ""  # how the scheme is spelled ("bearer"); empty: as usual
    quoted: bool = True  # False: bare values, as old NVIDIA registries
    beside: str = ""  # another challenge before ours, in a header line of its own
    joined: bool = False  # … or in the same line
    challenge_on: Literal["all", "ping", "none"] = "all"  # which 401 has a challenge at all


F = TypeVar("F", bound=Faults)


def _always(_: object) -> bool:
    return True


class Switch(Generic[F]):
    """The blocks a test has set for one part, with the count of what each was applied to."""

    def __init__(self, calm: F) -> None:
        self._calm = calm
        self._lock = threading.Lock()
        self._blocks: list[tuple[F, int]] = []

    @property
    def blocks(self) -> tuple[F, ...]:
        with self._lock:
            return tuple(block for block, _ in self._blocks)

    def set(self, faults: F | Sequence[F]) -> None:
        blocks = [faults] if isinstance(faults, Faults) else list(faults)
        with self._lock:
            self._blocks = [(block, 0) for block in blocks]

    def take(self, *subjects: str, suits: Callable[[F], bool] = _always) -> F:
        """Return the block for a request about `subjects`, and count the request against it."""
        with self._lock:
            for index, (block, used) in enumerate(self._blocks):
                spent = block.times is not None and used >= block.times * block.every
                meant = not block.only or any(subject in block.only for subject in subjects)
                if meant and not spent and suits(block):
                    self._blocks[index] = (block, used + 1)
                    if (used + 1) % block.every == 0:
                        return block
        return self._calm


def retry_after_text(value: RetryAfter) -> str:
    if isinstance(value, datetime):
        return format_datetime(value.astimezone(UTC), usegmt=True)
    return str(value)
