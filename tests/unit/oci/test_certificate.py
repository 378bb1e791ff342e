"""What is read from a certificate that nobody vouches for."""

from __future__ import annotations

import base64
import ipaddress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from oci_pull.oci.certificate import Certificate

KEY = ec.generate_private_key(ec.SECP256R1())


def issued(
    issuer: dict[x509.ObjectIdentifier, str],
    *names: x509.GeneralName,
    start: datetime = datetime(2024, 1, 1, tzinfo=UTC),
    days: int = 30,
) -> bytes:
    def name(parts: dict[x509.ObjectIdentifier, str]) -> x509.Name:
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts.items()])

    builder = (
        x509.CertificateBuilder()
        .subject_name(name({NameOID.COMMON_NAME: "registry.example"}))
        .issuer_name(name(issuer))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


DER = issued(
    {NameOID.COUNTRY_NAME: "FI", NameOID.ORGANIZATION_NAME: "Corp", NameOID.COMMON_NAME: "Büro CA"},
    x509.DNSName("registry.example"),
    x509.DNSName("*.registry.example"),
    x509.RFC822Name("ada@registry.example"),
    x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("fd00::1")),
)


def test_a_certificate_says_who_when_and_for_whom() -> None:
    assert Certificate.parse(DER) == Certificate(
        "registry.example",
        "Büro CA",
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 31, tzinfo=UTC),
        ("registry.example", "*.registry.example", "10.0.0.1", "fd00::1"),
    )


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        ({NameOID.ORGANIZATION_NAME: "Corp"}, "Corp"),
        ({NameOID.ORGANIZATIONAL_UNIT_NAME: "Testing"}, "Testing"),
        ({NameOID.COUNTRY_NAME: "FI"}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_an_issuer_without_a_common_name(
    issuer: dict[x509.ObjectIdentifier, str], expected: str
) -> None:
    found = Certificate.parse(issued(issuer))
    assert (found.issuer, found.names) == (expected, ())


def test_a_certificate_of_the_first_version_has_no_version_in_it() -> None:
    # `openssl x509 -req` of OpenSSL 3.0, which many a registry of a company was given it by.
    der = base64.b64decode(
        "MIIBLzCB1wIUTXaKUHBv0HQm0CjulcQhDKGuD4MwCgYIKoZIzj0EAwIwGzEZMBcGA1UEAwwQcmVnaXN0cnkuZXhh"
        "bXBsZTAeFw0yNjExMjgyMDEyNTBaFw0zNjExMjUyMDEyNTBaMBsxGTAXBgNVBAMMEHJlZ2lzdHJ5LmV4YW1wbGUw"
        "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARQMQaULboQQO3Y/XZGRvjxA1u/ZAxQIy7ZkengQqrEUifvTlosyro0"
        "SEenmJWbLZf9Qh9UbbzX0d8WWF5/9/JDMAoGCCqGSM49BAMCA0cAMEQCIDD7mqwm1hMfC7YpCSvmfTEso0zhh8xr"
        "wjUBh8irSOp0AiBNoRrY9BIHFkYHpitufeZTOQm/5HhwFj8ty/E+Gdqi2A=="
    )
    found = Certificate.parse(der)
    assert (found.subject, found.issuer, found.names) == ("registry.example",) * 2 + ((),)
    assert found.not_after == datetime(2036, 11, 25, 20, 12, 50, tzinfo=UTC)


def test_an_attribute_without_a_type_is_passed_over() -> None:
    common_name = b"\x06\x03\x55\x04\x03"
    assert Certificate.parse(DER).issuer == "Büro CA"
    untyped = DER.replace(common_name, b"\x04" + common_name[1:])
    found = Certificate.parse(untyped)
    assert (found.issuer, found.subject) == ("Corp", "")


@pytest.mark.parametrize(
    ("der", "why"),
    [
        (DER[:1], "ends early"),
        (DER[:-1], "ends early"),
        (b"\x30\x80", "a length that no certificate has"),
        (b"\x30\x85" + DER[2:], "a length that no certificate has"),
        (b"\x04\x00", "another structure"),
        (DER * 2, "more than a certificate"),
        (b"", "more than a certificate"),
    ],
)
def test_another_shape_is_refused(der: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Certificate.parse(der)


def test_a_time_that_is_none_is_refused() -> None:
    utc_time = b"\x17\x0d"
    assert DER.count(utc_time) == 2
    with pytest.raises(ValueError, match="no time"):
        Certificate.parse(DER.replace(utc_time, b"\x04\x0d"))


@pytest.mark.parametrize("year", [1950, 1999, 2049, 2050, 9998])
def test_years_of_two_and_of_four_digits(year: int) -> None:
    start = datetime(year, 6, 1, tzinfo=UTC)
    assert Certificate.parse(issued({}, start=start)).not_before == start


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_damaged_certificate_is_read_or_refused(place: int, value: int) -> None:
    damaged = bytearray(DER)
    damaged[place] = value
    for der in (bytes(damaged), DER[:place], DER + bytes([value])):
        try:
            found = Certificate.parse(der)
        except ValueError:
            continue
        assert found.not_after.tzinfo is UTC


@given(st.binary(max_size=400))
def test_what_is_no_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Certificate.parse(data)
