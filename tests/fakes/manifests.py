"""How a stored manifest, and the list of a repository's tags, is served."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fakes.wire import Delivery, Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fakes.faults import ManifestFaults
    from tests.fakes.journal import Request


@dataclass(frozen=True, slots=True)
class Manifest:
    body: bytes
    media_type: str
    digest: str  # by the algorithm it was asked with


def manifest_reply(request: Request, manifest: Manifest, faults: ManifestFaults) -> Reply:
    etag = f'"{manifest.digest}"'
    headers = {"ETag": etag}
    content_type = manifest.media_type if faults.content_type is None else faults.content_type
    if content_type:
        headers["Content-Type"] = content_type + faults.content_type_suffix
    digest = manifest.digest if faults.digest_header is None else faults.digest_header
    if digest:
        headers["Docker-Content-Digest"] = digest
    if request.headers.get("if-none-match") == etag:
        return Reply.of(304, headers)
    body = manifest.body if faults.body is None else faults.body
    if faults.gzip:
        body = gzip.compress(body, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return Reply.of(
        200,
        headers,
        body,
        framing="chunked" if faults.chunked else "asked",
        delivery=Delivery(cut_after=faults.cut_after),
    )


def accepts(request: Request, media_type: str) -> bool:
    """Compare as Distribution does: literally, without wildcards or q."""
    return media_type in [one.strip() for one in request.headers.get("accept", "").split(",")]


def tags_reply(request: Request, repository: str, keys: Sequence[str]) -> Reply:
    """Return one page of the tags among `keys`, with a Link to the next."""
    last = request.params.get("last", [""])[0]
    tags = sorted(key for key in keys if ":" not in key and key > last)
    most = int(request.params.get("n", ["0"])[0]) or len(tags)
    headers = {"Content-Type": "application/json"}
    if len(tags) > most:
        headers["Link"] = f'<{request.path}?n={most}&last={tags[most - 1]}>; rel="next"'
    body = json.dumps({"name": repository, "tags": tags[:most]}).encode()
    return Reply.of(200, headers, body)
