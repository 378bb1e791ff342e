import io
import json

import pytest

from oci_pull import events
from oci_pull.cli.progress.json_lines import JsonProgress
from oci_pull.cli.progress.plain import PlainProgress
from oci_pull.oci.digest import Digest

_DIGEST = Digest.of(b"m")
_ANSWERED = events.Answered(
    method="GET",
    url="https://ghcr.io/v2/a/b",
    status=307,
    seconds=0.0123,
    size=1_200,
    request_id="4711",
    leads_to="cdn.example",
    sent={"range": "bytes=0-1", "authorization": "Bearer ***"},
    received={"location": "***"},
)


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            _ANSWERED,
            (
                "request GET https://ghcr.io/v2/a/b  307  12 ms  1.2 kB  to cdn.example  id 4711\n"
                "  > range: bytes=0-1\n  > authorization: Bearer ***\n  < location: ***\n"
            ),
        ),
        (
            events.Answered("HEAD", "https://x", 200, 1.5, None, "", "", {}, {}),
            "request HEAD https://x  200  1500 ms\n",
        ),
        (
            events.Unanswered("GET", "https://x/v2/", 10.0, "ConnectTimeout"),
            "request GET https://x/v2/  no answer (ConnectTimeout)  10000 ms\n",
        ),
        (
            events.Identified("ghcr.io", "user 'ada' from /c.json"),
            "asking ghcr.io as user 'ada' from /c.json\n",
        ),
        (
            events.Authorized("ghcr.io", "ghcr.io:443", "repository:a/b:pull", is_cached=False),
            "token for ghcr.io, given by ghcr.io:443: repository:a/b:pull\n",
        ),
        (
            events.Authorized("ghcr.io", "ghcr.io:443", "", is_cached=True),
            "token for ghcr.io, given before by ghcr.io:443\n",
        ),
        (
            events.LookedUp(_DIGEST, is_here=True),
            f"cache hit, manifest sha256:{_DIGEST.short}\n",
        ),
        (
            events.LookedUp(_DIGEST, is_here=False),
            f"cache miss, manifest sha256:{_DIGEST.short}\n",
        ),
    ],
)
def test_what_was_asked_is_a_line_with_its_headers_below(event: events.Event, lines: str) -> None:
    stream = io.StringIO()
    PlainProgress(stream, clock=lambda: 0.0, stamps=False).on(event)
    assert stream.getvalue() == lines


def test_a_header_writes_nothing_to_a_terminal() -> None:
    stream = io.StringIO()
    event = events.Answered("GET", "https://x", 200, 0, 0, "", "", {}, {"server": "\x1b[2J"})
    PlainProgress(stream, clock=lambda: 0.0, stamps=False).on(event)
    assert "\x1b" not in stream.getvalue()


def test_programs_get_headers_as_an_object_and_what_is_unknown_as_null() -> None:
    stream = io.StringIO()
    progress = JsonProgress(stream, clock=lambda: 0.0)
    progress.on(_ANSWERED)
    progress.on(events.Answered("GET", "https://x", 200, 0.5, None, "", "", {}, {}))
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (first["event"], first["received"]) == ("answered", {"location": "***"})
    assert (second["size"], second["seconds"]) == (None, 0.5)
