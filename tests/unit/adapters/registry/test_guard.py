"""Where a registry may lead to, by where it is itself."""

from __future__ import annotations

import socket

import httpcore
import pytest

from oci_pull.adapters.registry.guard import Guard, Watch
from oci_pull.adapters.registry.trust import RegistryAccess, Trust
from oci_pull.errors import RedirectRefused

HOME, STORAGE = "registry.example:443", "storage.example:443"


def guard_of(address: str, access: RegistryAccess | None = None) -> Guard:
    """Of a registry that is at an address."""
    guard = Guard(Trust((), (access,) if access else ()))
    guard.meet(HOME)
    guard.judge(address, HOME)
    return guard


@pytest.mark.parametrize(
    ("registry", "target", "words"),
    [
        ("1.1.1.1", "8.8.8.8", ""),
        ("1.1.1.1", "10.0.0.1", "a private network"),
        ("1.1.1.1", "127.0.0.1", "this machine"),
        ("1.1.1.1", "169.254.169.254", "no registry may lead to"),
        ("10.0.0.1", "10.9.9.9", ""),
        ("10.0.0.1", "::1", "this machine"),
        ("10.0.0.1", "fe80::1%eth0", "no registry may lead to"),
        ("127.0.0.1", "127.0.0.1", ""),
        ("127.0.0.1", "10.0.0.1", ""),
        ("127.0.0.1", "100.100.100.200", "no registry may lead to"),
    ],
)
def test_where_a_registry_may_lead_to(registry: str, target: str, words: str) -> None:
    guard = guard_of(registry)
    if not words:
        guard.judge(target, STORAGE)
        return
    with pytest.raises(RedirectRefused, match=words) as caught:
        guard.judge(target, STORAGE)
    assert f"{HOME} leads to {STORAGE} ({target})" in str(caught.value)


def test_the_setting_is_named_and_opens_the_way() -> None:
    with pytest.raises(RedirectRefused) as caught:
        guard_of("1.1.1.1", RegistryAccess("registry.example")).judge("10.0.0.1", STORAGE)
    assert '[registry."registry.example"]  private_redirects = true' in str(caught.value.hint)
    guard = guard_of("1.1.1.1", RegistryAccess("registry.example", private_redirects=True))
    guard.judge("10.0.0.1", STORAGE)
    guard.judge("127.0.0.1", STORAGE)
    with pytest.raises(RedirectRefused) as caught:
        guard.judge("169.254.169.254", STORAGE)
    assert caught.value.hint is None


def test_docker_hub_is_called_what_people_call_it() -> None:
    guard = Guard(Trust((), (RegistryAccess("registry-1.docker.io", "docker.io"),)))
    guard.meet("registry-1.docker.io:443")
    with pytest.raises(RedirectRefused) as caught:
        guard.judge("10.0.0.1", STORAGE)
    assert '[registry."docker.io"]' in str(caught.value.hint)


def test_a_name_does_not_move_its_registry_further_in() -> None:
    """What was public once stays so, whatever its name is looked up as later."""
    guard = guard_of("1.1.1.1")
    guard.judge("10.0.0.1", HOME)
    with pytest.raises(RedirectRefused):
        guard.judge("10.0.0.2", STORAGE)


def test_whoever_named_the_registry_is_asked_of_each_of_its_addresses_and_of_no_other() -> None:
    asked: list[tuple[str, str]] = []

    def allow(address: str, origin: str) -> None:
        asked.append((address, origin))
        if address == "10.0.0.1":
            raise RedirectRefused("not there")

    guard = Guard(Trust(), allow)
    guard.meet(HOME)
    guard.judge("1.1.1.1", HOME)
    guard.judge("8.8.8.8", STORAGE)
    with pytest.raises(RedirectRefused, match="not there"):
        guard.judge("10.0.0.1", HOME)
    assert asked == [("1.1.1.1", HOME), ("10.0.0.1", HOME)]


def test_where_a_registry_is_is_known_once_it_was_connected_to() -> None:
    guard = Guard(Trust())
    guard.meet(HOME)
    assert not guard.is_placed
    guard.judge("8.8.8.8", STORAGE)
    assert not guard.is_placed
    guard.judge("1.1.1.1", HOME)
    assert guard.is_placed


def test_who_has_no_registry_is_led_nowhere() -> None:
    Guard(Trust()).judge("10.0.0.1", STORAGE)


def test_another_port_of_the_registry_is_another_place() -> None:
    with pytest.raises(RedirectRefused, match="this machine"):
        guard_of("10.0.0.1").judge("127.0.0.1", "registry.example:8443")


def test_a_connection_that_is_refused_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = httpcore.SyncBackend().connect_tcp("127.0.0.1", server.getsockname()[1])
        watch = Watch(guard_of("1.1.1.1"), STORAGE)
        with pytest.raises(RedirectRefused):
            watch("connection.connect_tcp.complete", {"return_value": stream})
        assert stream.get_extra_info("socket").fileno() == -1


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "fd00:ec2::254"])
def test_a_registry_that_only_a_proxy_can_find_leads_to_no_private_address(address: str) -> None:
    guard = Guard(Trust())
    # Nobody saw its address: the proxy looked its name up.
    guard.meet(HOME)
    guard.judge_host("registry.example", HOME)
    with pytest.raises(RedirectRefused):
        guard.judge_host(address, f"{address}:443")
    with pytest.raises(RedirectRefused):
        guard.judge(address, STORAGE)
