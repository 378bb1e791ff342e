"""Pulls that outlive their tokens, from a registry that verifies every one of them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree
from tests.servers.distribution import Distribution, Options
from tests.servers.process import HOST
from tests.servers.push import Credentials, push, reference
from tests.servers.token_service import REGISTRY_LEEWAY, Policy, TokenService
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.command import Command

_ADA = Credentials("ada", "secret")
_REPOSITORY = "private/model"
_SIZE = 10_000_000
_CONTENT = bytes(range(256)) * (_SIZE // 256)
_FILES = {
    "config.json": b"{}",
    "model.safetensors": builders.safetensors({"w": ((len(_CONTENT) // 4,), _CONTENT)}),
}
#: Of a token, in seconds. The registry counts whole ones, so it may be up to one less. A token that
#: is refused when it is new is no good, so that a busy machine has this long to use it once.
_LIFETIME = 5
_LIFETIMES = 2
#: At the least these and a half for the model, in which every connection begins several ranges.
_LINE = Conditions(rtt=0.01, link=800_000, cut_after=100_000)
_POLICY = Policy(users={_ADA.username: _ADA.password}, anonymous_pull=False)


@pytest.fixture(scope="module")
def tokens(scratch: Path) -> Iterator[TokenService]:
    with TokenService(scratch / "lifetimes", _POLICY) as found:
        yield found


@pytest.fixture(scope="module")
def guarded(scratch: Path, tokens: TokenService) -> Iterator[Distribution]:
    with Distribution(scratch / "guarded", Options(auth=tokens)) as found:
        push(found.url, _REPOSITORY, "v1", builders.docker_v02(_FILES), credentials=_ADA)
        yield found


@pytest.fixture(autouse=True)
def _long_lived(tokens: TokenService) -> Iterator[None]:
    tokens.forget_requests()
    yield
    tokens.policy = _POLICY


def _log_in(oci_pull: Command, *hosts: str) -> None:
    pair = base64.b64encode(f"{_ADA.username}:{_ADA.password}".encode()).decode()
    directory = oci_pull.home / ".docker"
    directory.mkdir()
    auths = {host: {"auth": pair} for host in hosts}
    (directory / "config.json").write_text(json.dumps({"auths": auths}))


def test_a_pull_asks_for_as_many_tokens_as_it_outlives(
    guarded: Distribution, tokens: TokenService, oci_pull: Command
) -> None:
    """With sixteen connections, all of which notice that the token has expired."""
    tokens.policy = replace(_POLICY, lifetime=_LIFETIME, backdate=REGISTRY_LEEWAY)
    port = int(guarded.host.rpartition(":")[2])
    with Wan((HOST, port), _LINE) as wan:
        _log_in(oci_pull, wan.host)
        run = oci_pull("--jobs", "16", f"{wan.host}/{_REPOSITORY}:v1", limit=300)
        assert_tree(run.path, _FILES)
        # More than sixteen requests by far were made, each of which a token had to be good for.
        assert wan.connections > 3 * 16
    asked = tokens.requests
    assert {(each.status, each.account) for each in asked} == {(200, _ADA.username)}
    assert len(asked) > _LIFETIMES
    # Not one before the last one was over: the count is that of the lifetimes that passed.
    assert all(later.at - earlier.at > _LIFETIME - 1 for earlier, later in pairwise(asked))
    assert_sound(oci_pull.cache)


def test_a_token_service_that_fails_once_is_asked_again(
    guarded: Distribution, tokens: TokenService, oci_pull: Command
) -> None:
    tokens.policy = replace(_POLICY, outages=1)
    _log_in(oci_pull, guarded.host)
    run = oci_pull(reference(guarded.url, _REPOSITORY, "v1"))
    assert_tree(run.path, _FILES)
    assert [each.status for each in tokens.requests] == [503, 200]


def test_a_token_service_that_goes_on_failing_is_named(
    guarded: Distribution, tokens: TokenService, oci_pull: Command
) -> None:
    tokens.policy = replace(_POLICY, outages=1000)
    _log_in(oci_pull, guarded.host)
    named = reference(guarded.url, _REPOSITORY, "v1")
    run = oci_pull("--retries", "1", "--format", "json", named).must_fail(5)
    assert run.json["error"]["code"] == "server_failed"
    assert tokens.realm.split("/")[2] in run.json["error"]["message"]
    assert len(tokens.requests) == 2
