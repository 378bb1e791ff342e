"""What the pulls of one run share of the registries that they ask."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from oci_pull.adapters.registry.connections import Connections
from oci_pull.adapters.registry.disclosure import NOTHING, Disclosure
from oci_pull.adapters.registry.http import Network
from oci_pull.adapters.registry.trust import RegistryAccess, Trust
from oci_pull.oci.proxy import Proxies
from tests.fakes.memory import Recorder

_HOST = "registry.example:443"


def _network(access: RegistryAccess) -> Network:
    return Network(trust=Trust((), (access,)))


@pytest.fixture
def connections() -> Iterator[Connections]:
    with closing(Connections()) as found:
        yield found


def test_a_registry_that_is_reached_in_the_same_way_has_one_line(connections: Connections) -> None:
    first = connections.line(_network(RegistryAccess(_HOST)), NOTHING)
    assert connections.line(_network(RegistryAccess(_HOST)), NOTHING) is first


@pytest.mark.parametrize(
    "other",
    [
        _network(RegistryAccess("other.example:443")),
        _network(RegistryAccess(_HOST, client_cert=Path("/secret.pem"))),
        _network(RegistryAccess(_HOST, insecure=True)),
        replace(_network(RegistryAccess(_HOST)), proxies=Proxies.of({}, "http://proxy:1")),
        replace(_network(RegistryAccess(_HOST)), trust=Trust((Path("/ca.pem"),))),
    ],
    ids=["host", "certificate", "insecure", "proxy", "authorities"],
)
def test_what_is_shown_to_one_is_not_shown_over_the_line_of_another(
    connections: Connections, other: Network
) -> None:
    assert connections.line(other, NOTHING) is not connections.line(
        _network(RegistryAccess(_HOST)), NOTHING
    )


def test_who_is_told_of_requests_hears_of_no_others(connections: Connections) -> None:
    network = _network(RegistryAccess(_HOST))
    first, second = (Disclosure.of(Recorder(), verbose=1) for _ in range(2))
    assert connections.line(network, first) is connections.line(network, first)
    assert connections.line(network, first) is not connections.line(network, second)
    assert connections.line(network, first) is not connections.line(network, NOTHING)


def test_lines_are_closed_in_the_end(connections: Connections) -> None:
    line = connections.line(_network(RegistryAccess(_HOST)), NOTHING)
    connections.close()
    assert line.client.is_closed
    assert connections.line(_network(RegistryAccess(_HOST)), NOTHING) is not line
