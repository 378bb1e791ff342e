"""What a certificate says of itself: read where nobody vouches for it, to tell a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Self

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_UTC_TIME, _LONG_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_UTF16 = 0x1E
_COMMON_NAME, _ORGANIZATION, _UNIT = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x04\x0b"
_ALTERNATIVE_NAMES = b"\x55\x1d\x11"
_LONG_LENGTH = 0x80
_MAX_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Certificate:
    """The few fields that say why it is not believed (RFC 5280, 4.1)."""

    subject: str
    #: The common name of whoever signed it, else the organization; empty where neither is said.
    issuer: str
    not_before: datetime
    not_after: datetime
    #: Hosts and addresses that it is for.
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, der: bytes) -> Self:
        """Parse an X.509 certificate; raises `ValueError` for anything else."""
        certificate = _only(der, _SEQUENCE)
        parts = list(_elements(_first(certificate, _SEQUENCE)))
        if parts and parts[0][0] == _VERSION:
            del parts[0]
        _, _, (_, issuer), (_, validity), (_, subject), *rest = parts
        not_before, not_after = (_time(*part) for part in _elements(validity))
        names = tuple(name for tag, body in rest if tag == _EXTENSIONS for name in _names(body))
        return cls(_who(subject), _who(issuer), not_before, not_after, names)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The tag and the content of each element (X.690, 8.1); raises `ValueError`."""
    while data:
        head = data[:2]
        if len(head) < len(b"TL"):
            raise ValueError("it ends early")
        tag, length = head
        start = 2
        if length >= _LONG_LENGTH:
            count = length - _LONG_LENGTH
            if not 1 <= count <= _MAX_LENGTH:
                raise ValueError("a length that no certificate has")
            start += count
            length = int.from_bytes(data[2:start], "big")
        if len(data) < start + length:
            raise ValueError("it ends early")
        yield tag, data[start : start + length]
        data = data[start + length :]


def _first(data: bytes, tag: int) -> bytes:
    """The content of the first element, which is of this tag; raises `ValueError`."""
    found, body = next(_elements(data), (None, b""))
    if found != tag:
        raise ValueError("another structure")
    return body


def _only(data: bytes, tag: int) -> bytes:
    if len(list(_elements(data))) != 1:
        raise ValueError("more than a certificate")
    return _first(data, tag)


def _time(tag: int, body: bytes) -> datetime:
    text = body.decode("ascii")
    if tag == _LONG_TIME:
        found = datetime.strptime(text, "%Y%m%d%H%M%SZ")  # noqa: DTZ007 - it is UTC, below
    elif tag == _UTC_TIME:
        # Two digits of a year: from 50 on they are of the last century (RFC 5280, 4.1.2.5.1).
        century = "19" if text[:2] >= "50" else "20"
        found = datetime.strptime(century + text, "%Y%m%d%H%M%SZ")  # noqa: DTZ007
    else:
        raise ValueError("no time")
    return found.replace(tzinfo=UTC)


def _who(name: bytes) -> str:
    """What a person knows somebody by: the common name, else the organization, else the unit."""
    found: dict[bytes, str] = {}
    for _, attributes in _elements(name):
        for _, attribute in _elements(attributes):
            pair = list(_elements(attribute))
            if len(pair) == len(("type", "value")) and pair[0][0] == _OID:
                tag, value = pair[1]
                encoding = "utf-16-be" if tag == _UTF16 else "utf-8"
                found.setdefault(pair[0][1], value.decode(encoding, "replace"))
    known = (_COMMON_NAME, _ORGANIZATION, _UNIT)
    return next((found[each] for each in known if found.get(each)), "")


def _names(extensions: bytes) -> Iterator[str]:
    """The alternative names among the extensions (RFC 5280, 4.2.1.6)."""
    for _, extension in _elements(_only(extensions, _SEQUENCE)):
        parts = list(_elements(extension))
        if len(parts) > 1 and parts[0] == (_OID, _ALTERNATIVE_NAMES) and parts[-1][0] == _OCTETS:
            for tag, body in _elements(_only(parts[-1][1], _SEQUENCE)):
                if tag == _DNS_NAME:
                    yield body.decode("ascii", "replace")
                elif tag == _IP_ADDRESS:
                    yield str(ip_address(body))
