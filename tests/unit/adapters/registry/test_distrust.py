"""Why a certificate was not believed."""

from __future__ import annotations

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from oci_pull.adapters.registry.distrust import shown_certificate, untrusted
from oci_pull.oci.certificate import Certificate

_ORIGIN = "registry.example:443"
_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)


def certificate(since: timedelta = -_DAY, until: timedelta = _DAY, *names: str) -> Certificate:
    return Certificate("registry.example", "Corp CA", _NOW + since, _NOW + until, names)


def refused(code: int, said: str = "") -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, said
    return error


@pytest.mark.parametrize(
    ("code", "shown", "message", "hint"),
    [
        (10, certificate(until=-_DAY), f"expired on {_NOW - _DAY:%Y-%m-%d}", "has to renew it"),
        (
            9,
            certificate(since=_DAY),
            f"is valid only from {_NOW + _DAY:%Y-%m-%d} on",
            "date  to see",
        ),
        (62, certificate(-_DAY, _DAY, "a.example"), "is for a.example", "ask for it by a name"),
        (62, certificate(-_DAY, _DAY, *"abcdef"), "is for a, b, c, d, e, ...", "ask for it by"),
        (62, None, "is for another host", "ask for it by a name"),
        # Somebody between signed it: what is shown to us is not at fault.
        (10, certificate(), "is not trusted: verification failed", "--ca-file FILE"),
    ],
)
def test_the_reason_is_told_with_what_to_do(
    code: int, shown: Certificate | None, message: str, hint: str
) -> None:
    error = untrusted(refused(code), _ORIGIN, shown)
    assert error.message == f"the certificate of {_ORIGIN} {message}"
    assert (error.hint or "").startswith(hint) or hint in (error.hint or "")
    assert "--insecure" not in (error.hint or "")


def test_where_its_authority_was_looked_for_is_told() -> None:
    unknown = refused(20, "unable to get local issuer certificate")
    error = untrusted(
        unknown, _ORIGIN, certificate(), believed=[Path("/etc/corp.pem")], is_registry=True
    )
    assert error.message.endswith("is not trusted: unable to get local issuer certificate")
    assert tuple(error.facts) == (
        "issued by: Corp CA",
        "looked for its authority in: the system's store, /etc/corp.pem",
    )
    assert "--insecure for registry.example" in (error.hint or "")


def test_what_shows_no_certificate_is_no_failure_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        peer = server.getsockname()
        assert shown_certificate(peer, "registry.example", 10.0) is None
        thread.join()
    # And nobody is there any more.
    assert shown_certificate(peer, "registry.example", 10.0) is None
