"""A repository in a registry as a source (distribution-spec)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import httpx

from oci_pull.adapters.registry.absence import Absence, is_page
from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.body import HttpBody, open_body, size_in
from oci_pull.adapters.registry.endpoint import Endpoint
from oci_pull.adapters.registry.http import read_body
from oci_pull.adapters.registry.locations import Locations
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.refusals import status_error
from oci_pull.errors import (
    AccessError,
    BadReply,
    BlobUnknown,
    IntegrityError,
    InvalidManifest,
    OciPullError,
)
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest
from oci_pull.oci.manifest import ACCEPT, MAX_BYTES, Document, parse_document
from oci_pull.oci.ranges import Span
from oci_pull.oci.reference import Reference
from oci_pull.ports import Cancel

_DIGEST_HEADER = "Docker-Content-Digest"
#: How often the registry is asked for another storage host than one that sent wrong bytes.
_DETOURS = 3


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """Manifests and blobs of one repository."""

    reference: Reference
    endpoint: Endpoint
    auth: RegistryAuth
    locations: Locations = field(default_factory=Locations, repr=False, compare=False)

    def digest_of(self, tag: str) -> Digest | None:
        """What the tag is now; None where the registry does not tell without the whole manifest.

        HEAD, because Docker Hub counts it as no pull. The header is only compared with what is
        known already, never believed for anything new.
        """
        try:
            response = self.endpoint.send("HEAD", self._manifest(tag), {"Accept": ACCEPT})
        except OciPullError as error:
            if error.retryable:
                raise
            return None
        response.close()
        if response.status_code != httpx.codes.OK:
            return None
        try:
            return Digest.parse(response.headers.get(_DIGEST_HEADER, ""))
        except InvalidManifest:
            return None

    def document(self, selector: str | Digest) -> Document:
        """The manifest or index of a tag or a digest.

        Raises:
            ManifestUnknown, RepositoryUnknown: there is none.
            AccessError, TransferError: the registry did not answer.
            NotARegistry: what answers is none.
            InvalidManifest, DigestMismatch: the answer is no manifest, or not the one asked for.
        """
        try:
            response = self.endpoint.send("GET", self._manifest(str(selector)), {"Accept": ACCEPT})
        except AccessError as error:
            self._absence.explain(error)
            raise
        try:
            if response.status_code != httpx.codes.OK:
                raise self._absence.error(response, selector)
            content_type = response.headers.get("Content-Type", "")
            if is_page(response):
                raise self._absence.no_registry()
            raw = read_body(response, MAX_BYTES + 1)
        finally:
            response.close()
        digest = selector if isinstance(selector, Digest) else None
        try:
            return parse_document(raw, content_type=content_type, digest=digest)
        except IntegrityError as error:
            error.explain(f"from {origin_of(response.url)}, for {self.reference}")
            raise

    def size_of(self, blob: Descriptor) -> int:
        """How many bytes the blob has where it is.

        Where HEAD is not answered, as by a signed URL that is good for GET alone, the first byte
        is asked for, because the reply to that says of how many it is one.

        Raises:
            BlobUnknown: the registry has no such blob.
            AccessError, TransferError: it did not answer, or does not tell.
        """
        for method, headers in (("HEAD", {}), ("GET", {"Range": Span(0, 1).header})):
            response = self.endpoint.send(method, self._blob(blob), headers)
            try:
                size = size_in(response)
                if size is not None:
                    return size
                if method == "GET" and not response.is_success:
                    raise self._blob_error(response, blob)
            finally:
                response.close()
        origin = origin_of(response.url)
        raise BadReply(f"{origin} does not tell the size of {blob.digest.short}", origin=origin)

    def open(
        self,
        blob: Descriptor,
        span: Span,
        *,
        cancel: Cancel,
        avoid: frozenset[str] = frozenset(),
    ) -> HttpBody:
        """The bytes of a span of a blob.

        Where the registry redirected to another origin, that is asked directly as long as its URL
        works; one that leads to an origin in `avoid` is exchanged for a new one, wherever that
        leads.

        Raises:
            BlobUnknown: the registry has no such blob.
            AccessError, TransferError: it did not answer, or not what was asked.
            SizeMismatch: it has one of another size.
        """
        headers = {} if span == Span(0, blob.size) else {"Range": span.header}
        response = self._ask(blob, headers, avoid)
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and headers:
            response.close()
            response = self._ask(blob, {}, avoid)
        forget = partial(self.locations.forget, blob.digest, response.url)
        try:
            if not response.is_success:
                raise self._blob_error(response, blob)
            body = open_body(response, blob, span, on_broken=forget)
        except BaseException:
            forget()
            response.close()
            raise
        if not self.endpoint.is_own(response):
            self.locations.learn(blob.digest, response.url)
        return body

    def _ask(
        self, blob: Descriptor, headers: dict[str, str], avoid: frozenset[str]
    ) -> httpx.Response:
        """The reply of whoever has the blob.

        A signed URL may have expired on the way: any refusal from where the registry pointed to is
        asked about once more.
        """
        path = self._blob(blob)
        response = self._ask_directly(blob, headers, avoid)
        if response is None:
            response = self._ask_registry(path, headers, avoid)
        if response.is_client_error and not self.endpoint.is_own(response):
            response.close()
            self.locations.forget(blob.digest, response.url)
            response = self._ask_registry(path, headers, avoid)
        if response.status_code == httpx.codes.NOT_FOUND and self.endpoint.is_own(response):
            return self._ask_elsewhere(blob, headers, response)
        return response

    def _ask_elsewhere(
        self, blob: Descriptor, headers: dict[str, str], refusal: httpx.Response
    ) -> httpx.Response:
        """The reply of one of the places that the descriptor names, else the registry's refusal.

        Layers that nobody may distribute are kept by their owner (image-spec, non-distributable
        layers). The places are those of a redirect: without credentials, and judged as such.
        """
        if self.endpoint.site.namespace:
            # A mirror: the registry is asked first.
            return refusal
        for url in _foreign(blob):
            try:
                response = self.endpoint.fetch(url, headers)
            except OciPullError:
                continue
            if response.is_success:
                refusal.close()
                return response
            response.close()
        return refusal

    def _ask_registry(
        self, path: str, headers: dict[str, str], avoid: frozenset[str]
    ) -> httpx.Response:
        """The reply from where the registry sends to, another place than those to be avoided."""
        for _ in range(_DETOURS):
            response = self.endpoint.send("GET", path, headers)
            if self.endpoint.is_own(response) or origin_of(response.url) not in avoid:
                return response
            response.close()
        return self.endpoint.send("GET", path, headers)

    def _ask_directly(
        self, blob: Descriptor, headers: dict[str, str], avoid: frozenset[str]
    ) -> httpx.Response | None:
        """The reply from where the blob was before; None where only the registry can help.

        Raises:
            TransferError: that place fails; asking again leads to the registry.
        """
        url = self.locations.find(blob.digest, avoid=avoid)
        if url is None:
            return None
        try:
            response = self.endpoint.fetch(url, headers)
        except OciPullError as error:
            self.locations.forget(blob.digest, url)
            if error.retryable:
                raise
            # Its name or its certificate is gone for good; the registry may know another one.
            return None
        if response.url != url:
            # It points on by now: what comes of that says nothing about the URL itself.
            self.locations.forget(blob.digest, url)
        return response

    @property
    def _absence(self) -> Absence:
        return Absence(self.reference, self.endpoint, self.auth)

    def _blob(self, blob: Descriptor) -> str:
        return f"/v2/{self.endpoint.site.repository}/blobs/{blob.digest}"

    def _manifest(self, selector: str) -> str:
        return f"/v2/{self.endpoint.site.repository}/manifests/{selector}"

    def _blob_error(self, response: httpx.Response, blob: Descriptor) -> OciPullError:
        origin = origin_of(response.url)
        if response.status_code in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            return BlobUnknown(
                f"{origin} has no blob {blob.digest.short}, which the manifest names",
                facts=[
                    f"blob: {blob.digest}",
                    "the registry lost it, or the model was pushed in part",
                ],
                hint="ask its publisher to push it again",
            )
        if not self.endpoint.is_own(response):
            return status_error(response, f"blob {blob.digest.short}")
        if response.status_code == httpx.codes.FORBIDDEN:
            message = f"{origin} denied a blob of {self.reference.name}"
            return self.auth.forbidden(response, message)
        return self.auth.failure(response, f"blob {blob.digest.short}")


def _foreign(blob: Descriptor) -> Iterator[httpx.URL]:
    """The places that a descriptor names and that may be asked, without what looks like a user."""
    for text in blob.urls:
        try:
            url = httpx.URL(text).copy_with(userinfo=b"", fragment=None)
        except (httpx.InvalidURL, UnicodeError, ValueError):
            continue
        if url.scheme == "https" and url.host:
            yield url
