"""A registry of one's own: a threaded HTTP server on loopback that fails as it is told.

    with FakeRegistry() as registry:
        digest = registry.put("team/model", "v1", manifest, MEDIA_TYPE, {blob_digest: b"…"})
        registry.auth = Auth(users={"ada": "secret"})
        registry.redirects = Redirects(uses=1)
        registry.blob_faults = BlobFaults(cut_after=100_000, times=3)

It has four origins: the registry itself, two storages that blobs may be redirected to, and the
token server. What each of them was asked is in `requests`.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from tests.fakes.blobs import blob_reply, etag_of
from tests.fakes.faults import (
    HTML_PAGE,
    Auth,
    BlobFaults,
    Faults,
    ManifestFaults,
    Redirects,
    ServerFaults,
    Switch,
    TokenFaults,
)
from tests.fakes.journal import Journal, Kind, OriginName, Request
from tests.fakes.manifests import Manifest, accepts, manifest_reply, tags_reply
from tests.fakes.replies import html_page, refusal, refused_by
from tests.fakes.signed import SignedUrls
from tests.fakes.tokens import Doorman
from tests.fakes.wire import Origin, Reply

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

__all__ = [
    "HTML_PAGE",
    "Auth",
    "BlobFaults",
    "FakeRegistry",
    "Faults",
    "Kind",
    "ManifestFaults",
    "Origin",
    "OriginName",
    "Redirects",
    "Request",
    "ServerFaults",
    "TokenFaults",
]

_SETTLED = 60.0  # seconds
_ROUTE = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs|referrers|tags)/(?P<key>[^/]+)")


class FakeRegistry:
    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        plain: Collection[OriginName] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start listening.

        Args:
            tls: A server's context; all origins speak TLS then, except those in `plain`.
            plain: Origins that speak plain HTTP in spite of `tls`.
            clock: What the expiry of tokens and signed URLs goes by.
        """
        self.redirects: Redirects | None = None
        self._journal = Journal()
        self._lock = threading.Lock()
        self._manifests: dict[tuple[str, str], Manifest] = {}
        self._blobs: dict[str, bytes | Path] = {}
        self._server_faults = Switch(ServerFaults())
        self._token_faults = Switch(TokenFaults())
        self._manifest_faults = Switch(ManifestFaults())
        self._blob_faults = Switch(BlobFaults())

        def origin(name: OriginName) -> Origin:
            return Origin(name, self._answer, self._journal, None if name in plain else tls)

        self.registry = origin("registry")
        self.storage = origin("storage")
        self.other = origin("other")
        self.token_server = origin("token")
        self._origins: dict[OriginName, Origin] = {
            "registry": self.registry,
            "storage": self.storage,
            "other": self.other,
            "token": self.token_server,
        }
        self.address = self.registry.address
        self.url = self.registry.url
        urls = {name: origin.url for name, origin in self._origins.items()}
        self._signed = SignedUrls(clock, urls)
        self._doorman = Doorman(clock, urls, self._token_faults)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        broken = [one for origin in self._origins.values() for one in origin.errors]
        if broken and error is None:
            raise AssertionError("the fake registry itself failed") from broken[0]

    def settle(self) -> None:
        """Return once all is counted that clients which are gone by now were sent."""
        for origin in self._origins.values():
            assert origin.wait_until_idle(_SETTLED), f"{origin.url} is still asked"

    def close(self) -> None:
        """Stop listening and drop every connection, whatever it waits for."""
        for origin in self._origins.values():
            origin.close()

    # --- content

    def put(
        self,
        repository: str,
        tag: str | None,
        manifest: bytes,
        media_type: str,
        blobs: Mapping[str, bytes | Path],
    ) -> str:
        """Store a manifest, under its tag too, and blobs by digest; return its digest.

        Nothing is checked: a manifest may be any bytes, and a blob need not match its digest.
        """
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        other = f"sha512:{hashlib.sha512(manifest).hexdigest()}"
        with self._lock:
            for key in (tag, digest, other):
                if key is not None:
                    named = other if key == other else digest
                    self._manifests[repository, key] = Manifest(manifest, media_type, named)
            self._blobs.update(blobs)
        return digest

    # --- faults: assigning starts their counts anew

    @property
    def auth(self) -> Auth | None:
        """Who may pull; None is everybody."""
        return self._doorman.auth

    @auth.setter
    def auth(self, auth: Auth | None) -> None:
        self._doorman.auth = auth

    @property
    def server_faults(self) -> Sequence[ServerFaults]:
        return self._server_faults.blocks

    @server_faults.setter
    def server_faults(self, faults: ServerFaults | Sequence[ServerFaults]) -> None:
        self._server_faults.set(faults)

    @property
    def token_faults(self) -> Sequence[TokenFaults]:
        return self._token_faults.blocks

    @token_faults.setter
    def token_faults(self, faults: TokenFaults | Sequence[TokenFaults]) -> None:
        self._token_faults.set(faults)

    @property
    def manifest_faults(self) -> Sequence[ManifestFaults]:
        return self._manifest_faults.blocks

    @manifest_faults.setter
    def manifest_faults(self, faults: ManifestFaults | Sequence[ManifestFaults]) -> None:
        self._manifest_faults.set(faults)

    @property
    def blob_faults(self) -> Sequence[BlobFaults]:
        return self._blob_faults.blocks

    @blob_faults.setter
    def blob_faults(self, faults: BlobFaults | Sequence[BlobFaults]) -> None:
        self._blob_faults.set(faults)

    def fail_next_connections(self, n: int, origin: OriginName = "registry") -> None:
        """Accept the next `n` connections and close them at once."""
        self._origins[origin].fail_next_connections(n)

    def revoke_tokens(self) -> None:
        """Let every token that was issued be expired from now on."""
        self._doorman.revoke()

    # --- what happened

    @property
    def requests(self) -> list[Request]:
        return self._journal.find()

    def find(
        self,
        method: str | None = None,
        kind: Kind | None = None,
        origin: OriginName | None = None,
        status: int | None = None,
    ) -> list[Request]:
        return self._journal.find(method, kind, origin, status)

    def count(
        self,
        method: str | None = None,
        kind: Kind | None = None,
        origin: OriginName | None = None,
        status: int | None = None,
    ) -> int:
        return len(self.find(method, kind, origin, status))

    @property
    def bytes_served(self) -> int:
        """Bytes of blobs handed to sockets, by whichever origin; error bodies do not count."""
        return sum(one.sent for one in self.find("GET", "blob") if one.status in (200, 206))

    # --- routing

    def _answer(self, request: Request) -> Reply:
        if request.origin == "registry" and request.kind != "token":
            return self._guarded(request)
        return self._routed(request)

    def _guarded(self, request: Request) -> Reply:
        faults = self._server_faults.take(request.path)
        reply = refused_by(faults)
        if faults.html:
            reply = html_page()
        elif faults.ping_status is not None and request.kind == "ping":
            reply = refusal(faults.ping_status)
        reply = reply or self._routed(request)
        return replace(
            reply, headers=(*reply.headers, *faults.headers.items()), hold=faults.hold or reply.hold
        )

    def _routed(self, request: Request) -> Reply:
        if request.kind == "token":
            return self._doorman.token(request)
        if request.path.startswith("/objects/"):
            return self._signed.answer(request)
        if request.origin == "registry" and request.path.startswith("/v2"):
            version = ("Docker-Distribution-Api-Version", "registry/2.0")
            reply = self._api(request)
            return replace(reply, headers=(version, *reply.headers))
        return refusal(404)

    def _api(self, request: Request) -> Reply:
        route = _ROUTE.fullmatch(request.path)
        name = route["name"] if route else None
        stopped = self._doorman.stop(request, name)
        if stopped is not None:
            return stopped
        if request.kind == "ping":
            return Reply.of(200, {"Content-Type": "application/json"}, b"{}")
        parts = route.group("what", "name", "key") if route and request.method != "POST" else ()
        match parts:
            case ("manifests", repository, reference):
                return self._manifest(request, repository, reference)
            case ("blobs", repository, digest):
                return self._blob(request, repository, digest)
            case ("tags", repository, "list"):
                return self._tags(request, repository)
        return refusal(404)  # referrers as well: clients fall back to the tag

    def _known(self, repository: str) -> bool:
        with self._lock:
            return any(name == repository for name, _ in self._manifests)

    def _tags(self, request: Request, repository: str) -> Reply:
        if not self._known(repository):
            return _unknown_name()
        with self._lock:
            keys = [key for name, key in self._manifests if name == repository]
        return tags_reply(request, repository, keys)

    # --- manifests

    def _manifest(self, request: Request, repository: str, reference: str) -> Reply:
        faults = self._manifest_faults.take(reference)
        reply = refused_by(faults)
        if request.method == "HEAD" and faults.head_status is not None:
            reply = refusal(faults.head_status)
        if reply is None:
            reply = self._stored_manifest(request, repository, reference, faults)
        return replace(reply, hold=faults.hold)

    def _stored_manifest(
        self, request: Request, repository: str, reference: str, faults: ManifestFaults
    ) -> Reply:
        with self._lock:
            manifest = self._manifests.get((repository, reference))
        if manifest is None:
            if not self._known(repository):
                return _unknown_name()
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        if faults.exact_accept and not accepts(request, manifest.media_type):
            message = "OCI manifest found, but accept header does not support OCI manifests"
            return refusal(404, "MANIFEST_UNKNOWN", message)
        if faults.redirect is not None:
            terms = Redirects(status=faults.redirect)
            there = replace(faults, digest_header=faults.digest_header or "")
            return self._signed.redirect(
                request,
                f"manifests/{manifest.digest}",
                lambda at_storage: manifest_reply(at_storage, manifest, there),
                terms,
            )
        return manifest_reply(request, manifest, faults)

    # --- blobs

    def _blob(self, request: Request, repository: str, digest: str) -> Reply:
        terms = self.redirects
        if terms is not None:
            front = self._take_blob_faults(request, digest, front=True)
            refused = refused_by(front)
            if refused is not None:
                return replace(refused, hold=front.hold)
            if digest in self._blobs and self._known(repository):
                reply = self._signed.redirect(
                    request,
                    f"blobs/{digest}",
                    lambda at_storage: self._stored_blob(at_storage, digest),
                    terms,
                )
                return replace(reply, hold=front.hold)
        if not self._known(repository):
            return _unknown_name()
        etag = f'"{digest}"'
        if request.headers.get("if-none-match") == etag:
            return Reply.of(304, {"ETag": etag})
        return self._stored_blob(
            request,
            digest,
            {
                "Docker-Content-Digest": digest,
                "ETag": etag,
                "Cache-Control": "max-age=31536000",
            },
        )

    def _stored_blob(
        self, request: Request, digest: str, headers: Mapping[str, str] | None = None
    ) -> Reply:
        # Without headers it is the storage that answers, behind the redirect.
        faults = self._take_blob_faults(request, digest, front=False if headers is None else None)
        if request.method == "HEAD":
            if faults.head_status is not None:
                return replace(refusal(faults.head_status), hold=faults.hold)
            faults = BlobFaults()
        data = self._blobs.get(digest)
        if data is None and faults.status is None:
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        return blob_reply(data or b"", request, faults, headers or {"ETag": etag_of(digest)})

    def _take_blob_faults(self, request: Request, digest: str, *, front: bool | None) -> BlobFaults:
        def suits(faults: BlobFaults) -> bool:
            right_place = front is None or faults.front == front
            right_place &= faults.at in (None, request.origin)
            return right_place and (request.method != "HEAD" or faults.head_status is not None)

        return self._blob_faults.take(digest, suits=suits)


def _unknown_name() -> Reply:
    return refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
