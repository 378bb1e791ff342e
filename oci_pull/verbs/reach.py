"""How far a request comes: the name, the connection, TLS, the registry, its token, the manifest.

All of it is one or two requests of the kind that a pull makes, so that proxies, certificates and
mirrors are the same; what came of them says which step it was that failed.
"""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from oci_pull.errors import (
    AccessDenied,
    AccessError,
    Cancelled,
    ConnectionFailed,
    NameNotResolved,
    NotARegistry,
    OciPullError,
    TlsFailed,
    TransferError,
)
from oci_pull.oci.manifest import Document
from oci_pull.verbs.finding import Finding, State
from oci_pull.verbs.watch import Watch

if TYPE_CHECKING:
    import httpx

    from oci_pull.adapters.registry.endpoint import Endpoint
    from oci_pull.adapters.registry.rate_limit import RateLimit

T = TypeVar("T")

#: The steps in their order; what follows one that failed is not tried.
STEPS = ("name", "connect", "tls", "registry", "token", "manifest", "rate limit")
_OK = 200
#: What is known of a step where it is a later one that failed.
_PASSED = {
    "name": "it is known",
    "connect": "it answers",
    "tls": "it holds",
    "registry": "it asks who you are",
}
_NO_TLS = Finding("tls", State.WARNING, "none: plain http", {"version": None})


@dataclass(frozen=True, slots=True)
class Route:
    """How the registry is asked."""

    endpoint: "Endpoint"
    #: Asks for the manifest as a pull does; None where only a registry was named.
    document: Callable[[], Document] | None
    #: Where the manifest is, below the registry's root.
    path: str
    who: str
    watch: Watch
    #: The longest wait for an answer, in seconds.
    patience: float

    def ask(self, question: Callable[[], T]) -> T:
        """The answer, in time; raises `ConnectionFailed`, `Cancelled`, and what `question` does."""
        try:
            return self.watch.run(question, self.patience)
        except TimeoutError as error:
            origin = self.endpoint.origin
            raise ConnectionFailed(f"{origin} did not answer in time", origin=origin) from error


@dataclass(slots=True)
class _Log:
    """What is known by now, and the step that is next."""

    endpoint: "Endpoint"
    findings: list[Finding] = field(default_factory=list)

    def ok(self, name: str, message: str, **facts: Any) -> None:
        self.findings.append(Finding(name, State.OK, message, facts))

    def skip_until(self, name: str) -> None:
        """Steps before this one that nothing is said of went well."""
        done = {each.name for each in self.findings}
        for step in STEPS[: STEPS.index(name)]:
            if step not in done and step == "tls" and self.endpoint.url.startswith("http:"):
                self.findings.append(_NO_TLS)
            elif step not in done:
                self.ok(step, _PASSED.get(step, "done"))

    def fail(self, name: str, error: OciPullError) -> None:
        """A step failed; the ones behind it are not tried."""
        self.skip_until(name)
        if error.hint and error.hint.startswith("oci-pull doctor "):
            # It is what was just done.
            error.hint = None
        self.findings.append(Finding.failed(name, error))
        self.skip_rest(f"{name} failed")

    def skip_rest(self, reason: str) -> None:
        done = {each.name for each in self.findings}
        left = (step for step in STEPS if step not in done)
        self.findings += [Finding(step, State.SKIPPED, reason) for step in left]


def reach(route: Route) -> Iterator[Finding]:
    """Every step, up to the first that fails; the others are skipped.

    Raises:
        Cancelled: stopped meanwhile.
    """
    log = _Log(route.endpoint)
    _ask(route, log)
    yield from log.findings


def _ask(route: Route, log: _Log) -> None:
    try:
        answer = route.ask(lambda: _registry(route.endpoint))
    except OciPullError as error:
        if isinstance(error, Cancelled):
            raise
        step = step_of(error, route.endpoint.origin)
        if step != "token" or not isinstance(error, AccessError) or route.document is None:
            log.fail(step, error)
            return
        # Not every registry lets everybody ask its root who may well have a public model.
        log.skip_until("token")
    else:
        _connected(log, answer)
        if refusal := _no_registry(answer, route.endpoint.origin):
            log.fail("registry", refusal)
            return
        log.ok("registry", f"{route.endpoint.origin} speaks the distribution API", **answer.facts)
    if route.document is None:
        log.ok("token", f"asked as {route.who}", asked_as=route.who)
        log.skip_rest("name a model to ask for one")
        return
    _manifest(route, route.document, log)


def _manifest(route: Route, ask: Callable[[], Document], log: _Log) -> None:
    try:
        document = route.ask(ask)
    except OciPullError as error:
        if isinstance(error, Cancelled):
            raise
        is_token = step_of(error, route.endpoint.origin) == "token"
        log.fail("token" if is_token else "manifest", error)
        return
    log.ok("token", f"asked as {route.who}", asked_as=route.who)
    found = document.descriptor
    log.ok("manifest", str(found.digest), digest=str(found.digest), type=found.media_type)
    _rate_limit(route, log)


def _rate_limit(route: Route, log: _Log) -> None:
    try:
        limit = route.ask(lambda: _limit(route.endpoint, route.path))
    except OciPullError as error:
        if isinstance(error, Cancelled):
            raise
        log.skip_rest(f"not told: {error.message}")
        return
    if limit is None:
        log.ok("rate limit", "none that the registry tells of")
        return
    facts: dict[str, Any] = {
        "remaining": limit.remaining,
        "limit": limit.limit,
        "window": limit.window,
    }
    source = f", counted for {limit.source}" if limit.source else ""
    said = f"{limit.remaining} left of {limit}{source}"
    state = State.OK if limit.remaining is None or limit.remaining > 0 else State.WARNING
    facts["source"] = limit.source
    log.findings.append(Finding("rate limit", state, said, facts))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a registry said at its root, and over which connection."""

    status: int
    is_page: bool
    address: str | None
    tls: str | None
    issuer: str | None
    facts: Mapping[str, Any]


def _registry(endpoint: "Endpoint") -> _Answer:
    response = endpoint.send("GET", "/v2/")
    try:
        version = response.headers.get("Docker-Distribution-Api-Version", "")
        return _Answer(
            response.status_code,
            response.headers.get("Content-Type", "").startswith("text/html"),
            *_connection(response),
            {"origin": endpoint.origin, "version": version},
        )
    finally:
        response.close()


def _connection(response: "httpx.Response") -> tuple[str | None, str | None, str | None]:
    """The address, the version of TLS, and who signed the certificate, as far as they are told."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return None, None, None
    peer = stream.get_extra_info("server_addr")
    address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else None
    secured = stream.get_extra_info("ssl_object")
    if secured is None:
        return address, None, None
    # Empty where nothing is verified.
    names = (secured.getpeercert() or {}).get("issuer", ())
    issuer = ", ".join(value for part in names for key, value in part if key.endswith("Name"))
    return address, secured.version(), issuer or None


def _connected(log: _Log, answer: _Answer) -> None:
    log.ok("name", "it is known")
    log.ok("connect", f"to {answer.address or 'it'}", address=answer.address)
    if answer.tls is None:
        log.findings.append(_NO_TLS)
        return
    signed = f", signed by {answer.issuer}" if answer.issuer else ", certificate not verified"
    log.ok("tls", f"{answer.tls}{signed}", version=answer.tls, issuer=answer.issuer)


def _no_registry(answer: _Answer, origin: str) -> OciPullError | None:
    if answer.status == _OK and not answer.is_page:
        return None
    return NotARegistry(
        f"{origin} answers {answer.status} at /v2/: it is not an OCI registry",
        hint="check the host; a proxy or a login page may answer in its place",
        origin=origin,
    )


def _limit(endpoint: "Endpoint", path: str) -> "RateLimit | None":
    """What is left, from a request that Docker Hub does not count."""
    from oci_pull.adapters.registry.rate_limit import RateLimit

    response = endpoint.send("HEAD", path, {"Accept": "*/*"})
    response.close()
    return RateLimit.parse(response.headers)


def step_of(error: OciPullError, origin: str) -> str:
    """The step that an error is about, of a request to `origin`."""
    is_elsewhere = isinstance(error, TransferError) and error.origin not in ("", origin)
    is_refused = isinstance(error, AccessError) and not isinstance(error, AccessDenied)
    if is_elsewhere or is_refused:
        # Whoever else is asked before the registry answers is its token service.
        return "token"
    if isinstance(error, NameNotResolved) or _is_below(error, socket.gaierror):
        return "name"
    if isinstance(error, TlsFailed):
        return "tls"
    if isinstance(error, ConnectionFailed) and (error.is_refused or _is_unconnected(error)):
        return "connect"
    return "registry"


def _is_below(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _is_unconnected(error: ConnectionFailed) -> bool:
    import httpx

    kinds = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)
    return any(_is_below(error, kind) for kind in kinds)
