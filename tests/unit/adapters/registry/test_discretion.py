"""A host program that logs all there is, and what it must not find in its log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import httpx

from oci_pull.oci.credential import Basic, IdentityToken
from tests.fakes.registry import Auth, FakeRegistry, Redirects
from tests.unit.adapters.pulling import CONTENT, REPOSITORY, Pull

if TYPE_CHECKING:
    import pytest

SECRET = "s3cr3t"


def test_no_token_and_no_signed_url_is_logged(
    registry: FakeRegistry, puller: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    registry.redirects = Redirects()
    registry.auth = Auth(users={"ada": SECRET}, identity_tokens=[SECRET], anonymous=False)
    for who in (Basic("ada", SECRET), IdentityToken(SECRET)):
        assert puller(credential=who).read() == CONTENT
    signed = [each for each in registry.requests if each.origin == "storage"]
    assert signed
    assert all(each.query for each in signed)
    for secret in (SECRET, "fake-token", *(each.query for each in signed)):
        assert secret not in caplog.text
    assert REPOSITORY not in caplog.text


def test_the_requests_of_others_are_logged_as_before(
    registry: FakeRegistry, puller: Pull, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    puller().document()
    assert registry.address not in caplog.text
    with httpx.Client() as other:
        other.get(registry.url)
    assert registry.address in caplog.text
    assert "send_request_headers" in caplog.text
