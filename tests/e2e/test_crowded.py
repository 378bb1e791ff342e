"""Servers that serve a few connections at once, and one slow line among fast ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_tidy, assert_tree
from tests.e2e.models import MIB, model, put
from tests.fakes.registry import FakeRegistry
from tests.servers.process import HOST
from tests.servers.wan import Wan
from tests.servers.wan_line import Conditions

if TYPE_CHECKING:
    from tests.content import Content
    from tests.e2e.command import Command

_CAP = 6e6


def _files() -> dict[str, Content]:
    """Some large, many small: more than enough for every connection."""
    large = {
        f"model-{number}.safetensors": builders.safetensors(
            {f"w{number}": ((9 * MIB // 4,), bytes([number]) * (9 * MIB))}
        )
        for number in range(2)
    }
    small = {f"part-{number}.json": b"%d" % number for number in range(12)}
    return {**model(9 * MIB), **large, **small}


@dataclass(frozen=True)
class _Crowd:
    at_once: int
    #: How others are turned away; 0 is an RST.
    status: int


_CROWDS = [_Crowd(1, 429), _Crowd(1, 0), _Crowd(3, 503), _Crowd(3, 0)]


@pytest.mark.parametrize("crowd", _CROWDS, ids=lambda crowd: f"{crowd.at_once}-{crowd.status}")
def test_a_server_of_a_few_connections_serves_a_model(
    crowd: _Crowd, registry: FakeRegistry, oci_pull: Command
) -> None:
    files = _files()
    put(registry, builders.docker_v02(files))
    line = Conditions(cap=_CAP * 3, at_once=crowd.at_once, status=crowd.status)
    with Wan((HOST, registry.registry.port), line) as wan:
        run = oci_pull(f"{wan.host}/team/model:v1")
        assert_tree(run.path, files)
        # Otherwise nothing of this was tried; and who is turned away does not keep on knocking.
        assert 0 < wan.turned_away < 100
    assert_tidy(oci_pull.cache)


def test_one_slow_connection_among_fast_ones_is_replaced(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    files = {
        f"model-{number}.safetensors": builders.safetensors(
            {f"w{number}": ((5 * MIB,), bytes([number]) * (20 * MIB))}
        )
        for number in range(4)
    } | {"config.json": b"{}"}
    put(registry, builders.docker_v02(files))
    line = Conditions(cap=2e6, slow=1e5, slow_one=3)
    with Wan((HOST, registry.registry.port), line) as wan:
        run = oci_pull("-j", "4", "--progress", "json", f"{wan.host}/team/model:v1")
        assert_tree(run.path, files)
    assert "much slower" in run.stderr
    assert_tidy(oci_pull.cache)
