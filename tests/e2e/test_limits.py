"""A registry that counts: what is waited out, and what is told at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tree
from tests.e2e.models import model, put
from tests.fakes.registry import Auth, FakeRegistry, ServerFaults, TokenFaults

if TYPE_CHECKING:
    from tests.e2e.command import Command

_HUB = {
    "RateLimit-Limit": "100;w=21600",
    "RateLimit-Remaining": "0;w=21600",
    "Docker-RateLimit-Source": "192.0.2.7",
}


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(model()))


def test_a_window_of_hours_is_told_at_once_with_its_end_and_as_whom(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    registry.server_faults = ServerFaults(status=429, headers=_HUB)
    run = oci_pull("--format", "json", reference).must_fail(6)
    told = " ".join((run.json["error"]["message"], *run.json["error"]["facts"]))
    for words in ("asked as: anonymous", "100 in 6 h", "in at most 21600 s, until 20", " UTC"):
        assert words in told
    assert f"oci-pull login {registry.address}" in run.json["error"]["hint"]
    assert registry.count(status=429) == 1


def test_a_limit_of_the_token_service_is_waited_out(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(status=429, retry_after=1, times=1)
    assert_tree(oci_pull(reference).path, model())
    assert [each.status for each in registry.find(kind="token")] == [429, 200]


def test_what_is_longer_than_max_wait_is_not_waited_out(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    registry.auth = Auth()
    registry.token_faults = TokenFaults(status=429, retry_after=3)
    oci_pull("--max-wait", "2s", reference).must_fail(6)
    assert len(registry.find(kind="token")) == 1
