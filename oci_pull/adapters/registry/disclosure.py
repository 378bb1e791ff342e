"""What may be told of a request and its reply: what is on the lists here, and of the rest nothing.

A path is told only where it is ours. Whatever a registry leads to may be signed, in its query or in
its path, so of that, and of a token service, it is the host alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import httpx

from oci_pull.adapters.registry.origin import host_text, origin_of
from oci_pull.events import Answered, Event, Unanswered
from oci_pull.ports import Observer

#: The extension of a request that has its path, where we have made it.
PATH = "oci_pull.path"
_MASK = "***"
_LONGEST = 200
_SENT = frozenset({"accept", "accept-encoding", "connection", "host", "range", "user-agent"})
#: What servers call the number that they find a request by, in their own logs and ours.
_IDS = (
    "x-request-id", "x-github-request-id", "x-amz-request-id", "x-amzn-requestid", "x-amz-cf-id",
    "x-ms-request-id", "x-ms-correlation-request-id", "x-goog-request-id", "x-correlation-id",
    "cf-ray",
)  # fmt: skip
_RECEIVED = frozenset({
    "accept-ranges", "age", "cache-control", "connection", "content-encoding", "content-length",
    "content-range", "content-type", "date", "docker-content-digest",
    "docker-distribution-api-version", "docker-ratelimit-source", "etag", "expires",
    "last-modified", "oci-subject", "ratelimit", "ratelimit-limit", "ratelimit-policy",
    "ratelimit-remaining", "ratelimit-reset", "retry-after", "server", "transfer-encoding", "vary",
    "via", "x-cache", *_IDS,
})  # fmt: skip
#: Headers whose first word is a scheme, and the schemes that are no secret.
_SCHEMED = ("authorization", "proxy-authorization", "www-authenticate")
_SCHEMES = ("basic", "bearer")


@dataclass(frozen=True, slots=True)
class Disclosure:
    """Who is told of requests, and how much; nobody, where nobody is named."""

    observer: Observer | None = None
    headers: bool = False

    @classmethod
    def of(cls, observer: Observer, verbose: int) -> Self:
        """To the observer, from 1 on; with the headers from 2 on."""
        return cls(observer, verbose > 1) if verbose else cls()

    def tell(self, event: Event) -> None:
        """Tell what has no secret in it."""
        if self.observer:
            self.observer.on(event)

    def tell_answer(self, response: httpx.Response, seconds: float) -> None:
        """Tell of a reply whose head came after so many seconds."""
        if self.observer:
            self.observer.on(_answered(response, seconds, is_whole=self.headers))

    def tell_failure(self, request: httpx.Request, error: Exception, seconds: float) -> None:
        """Tell of a request that there was no reply to; what the error says may hold a URL."""
        kind = type(error).__name__
        self.tell(Unanswered(request.method, _place(request), round(seconds, 4), kind))


#: For nobody.
NOTHING = Disclosure()


def _answered(response: httpx.Response, seconds: float, *, is_whole: bool) -> Answered:
    request, headers = response.request, response.headers
    length = headers.get("Content-Length", "")
    return Answered(
        method=request.method,
        url=_place(request),
        status=response.status_code,
        seconds=round(seconds, 4),
        size=int(length) if length.isascii() and length.isdigit() else None,
        request_id=next((headers[name][:_LONGEST] for name in _IDS if name in headers), ""),
        leads_to=_leads_to(response) if response.has_redirect_location else "",
        sent=_masked(request.headers, _SENT) if is_whole else {},
        received=_masked(headers, _RECEIVED) if is_whole else {},
    )


def _place(request: httpx.Request) -> str:
    host = host_text(origin_of(request.url))
    return f"{request.url.scheme}://{host}{request.extensions.get(PATH, '')}"


def _leads_to(response: httpx.Response) -> str:
    try:
        return host_text(origin_of(response.url.join(response.headers["Location"])))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return "a URL that is none"


def _masked(headers: Mapping[str, str], shown: frozenset[str]) -> Mapping[str, str]:
    """Every header by its name, with the value of those that are known to be harmless."""
    return {name: _value(name, text, shown) for name, text in headers.items()}


def _value(name: str, text: str, shown: frozenset[str]) -> str:
    if name in shown:
        return text[:_LONGEST]
    scheme = text.partition(" ")[0]
    if name in _SCHEMED and scheme.lower() in _SCHEMES:
        return f"{scheme} {_MASK}"
    return _MASK
