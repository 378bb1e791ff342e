"""Who is behind an address, and who may send whom there."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.address import Reach, literal, may_lead, reach_of

LOOPBACK, PRIVATE, PUBLIC, NOBODY = Reach


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1.1.1.1", PUBLIC),
        ("2606:4700::1111", PUBLIC),
        ("172.32.0.1", PUBLIC),
        ("127.0.0.1", LOOPBACK),
        ("127.255.255.254", LOOPBACK),
        ("::1", LOOPBACK),
        ("::ffff:127.0.0.1", LOOPBACK),
        ("10.0.0.1", PRIVATE),
        ("172.16.0.1", PRIVATE),
        ("172.31.255.255", PRIVATE),
        ("192.168.1.1", PRIVATE),
        ("100.64.0.1", PRIVATE),
        ("198.18.0.1", PRIVATE),
        ("fd12:3456::1", PRIVATE),
        ("fec0::1", PRIVATE),
        ("::ffff:10.0.0.1", PRIVATE),
        ("64:ff9b::10.0.0.1", PRIVATE),
        ("::10.0.0.1", PRIVATE),
        ("64:ff9b::1.1.1.1", PUBLIC),
        ("0.0.0.0", NOBODY),
        ("0.1.2.3", NOBODY),
        ("::", NOBODY),
        ("169.254.169.254", NOBODY),
        ("169.254.170.2", NOBODY),
        ("::ffff:169.254.169.254", NOBODY),
        ("64:ff9b::169.254.169.254", NOBODY),
        ("100.100.100.200", NOBODY),
        ("168.63.129.16", NOBODY),
        ("fd00:ec2::254", NOBODY),
        ("fd20:ce::254", NOBODY),
        ("fe80::1", NOBODY),
        ("fe80::1%eth0", NOBODY),
        ("224.0.0.1", NOBODY),
        ("255.255.255.255", NOBODY),
        ("ff02::1", NOBODY),
    ],
)
def test_the_reach_of_an_address(address: str, expected: Reach) -> None:
    assert reach_of(address) is expected


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
def test_an_address_has_one_reach_in_every_form(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [ipaddress.IPv6Address(0xFFFF << 32 | number)]
    forms.append(ipaddress.IPv6Address(0x64FF9B << 96 | number))
    assert {reach_of(str(form)) for form in forms} == {reach_of(str(address))}
    for text in (str(number), hex(number), str(address), f"[{forms[0]}]"):
        assert literal(text) == str(address)


@pytest.mark.parametrize("text", ["", "registry.example", "1.2.3.4.5", "10.0.0", "::g"])
def test_what_is_no_address_has_no_reach(text: str) -> None:
    with pytest.raises(ValueError, match=r"address"):
        reach_of(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("2852039166", "169.254.169.254"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("169.254.43518", "169.254.169.254"),
        ("10.0.0.1.", "10.0.0.1"),
        ("[::1]", "::1"),
        ("localhost", "127.0.0.1"),
        ("a.LocalHost.", "127.0.0.1"),
        ("registry.example", None),
        ("256.1.1.1", None),
        ("1.2.3.4.5", None),
        ("1.2.3.4.0", None),
        ("4294967296", None),
        ("1_0.1", None),
        ("08.1.1.1", None),
        ("", None),
        ("deadbeef", None),
    ],
)
def test_a_host_that_is_an_address(host: str, expected: str | None) -> None:
    assert literal(host) == expected


@given(st.text())
def test_no_host_is_a_surprise(host: str) -> None:
    found = literal(host)
    assert found is None or reach_of(found) in Reach


@pytest.mark.parametrize(
    ("source", "target", "by_itself", "by_configuration"),
    [
        (PUBLIC, PUBLIC, True, True),
        (PUBLIC, PRIVATE, False, True),
        (PUBLIC, LOOPBACK, False, True),
        (PUBLIC, NOBODY, False, False),
        (PRIVATE, PUBLIC, True, True),
        (PRIVATE, PRIVATE, True, True),
        (PRIVATE, LOOPBACK, False, True),
        (PRIVATE, NOBODY, False, False),
        (LOOPBACK, PUBLIC, True, True),
        (LOOPBACK, PRIVATE, True, True),
        (LOOPBACK, LOOPBACK, True, True),
        (LOOPBACK, NOBODY, False, False),
        (NOBODY, PUBLIC, True, True),
        (NOBODY, PRIVATE, False, True),
        (NOBODY, NOBODY, False, False),
    ],
)
def test_where_a_registry_may_lead(
    source: Reach, target: Reach, by_itself: bool, by_configuration: bool
) -> None:
    assert may_lead(source, target) is by_itself
    assert may_lead(source, target, private=True) is by_configuration
