"""Which addresses a registry may lead its clients to."""

import enum
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

_Address = IPv4Address | IPv6Address
_Network = IPv4Network | IPv6Network


class Reach(enum.IntEnum):
    """Who can be behind an address, from this machine alone to everybody."""

    LOOPBACK = 1
    #: A private network, or one that is shared behind a provider's translation.
    PRIVATE = 2
    PUBLIC = 3
    #: Link-local, unspecified, multicast, reserved, and the metadata of clouds.
    NOBODY = 4


def _networks(*texts: str) -> tuple[_Network, ...]:
    return tuple(ip_network(text) for text in texts)


#: Services of a cloud that give its machines their credentials, beside those of 169.254.0.0/16.
_METADATA = _networks(
    "100.100.100.200",  # Alibaba
    "168.63.129.16",  # Azure
    "192.0.0.192",  # Oracle
    "fd00:ec2::254",  # AWS
    "fd00:ec2::23",  # AWS, for a pod
    "fd20:ce::254",  # Google
)
_NEVER = _METADATA + _networks(
    "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::", "fe80::/10", "ff00::/8"
)
_LOOPBACK = _networks("127.0.0.0/8", "::1")
_PRIVATE = _networks(
    "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "64:ff9b:1::/48", "fc00::/7", "fec0::/10",
)  # fmt: skip
#: IPv6 addresses that end with the IPv4 address that is reached (RFC 6052).
_TRANSLATED = _networks("64:ff9b::/96")
_OCTETS = 4
_WORD = 32


def reach_of(address: str) -> Reach:
    """The reach of a literal address, with or without a zone; raises `ValueError` for no address.

    An IPv4 address in IPv6 is what it stands for: mapped, or translated by NAT64.
    """
    found = plain(address)
    if _is_in(found, _NEVER):
        return Reach.NOBODY
    if _is_in(found, _LOOPBACK):
        return Reach.LOOPBACK
    return Reach.PRIVATE if _is_in(found, _PRIVATE) else Reach.PUBLIC


def plain(address: str) -> _Address:
    """The address that is meant, IPv4 wherever that is what is reached; raises `ValueError`."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv4Address):
        return found
    if found.ipv4_mapped:
        return found.ipv4_mapped
    # The old compatible form (RFC 4291, 2.5.5.1), in whose range `::` and `::1` are as well.
    is_compatible = 1 < int(found) < 1 << _WORD
    if is_compatible or _is_in(found, _TRANSLATED):
        return IPv4Address(int(found) % (1 << _WORD))
    return found


def literal(host: str) -> str | None:
    """The address that a host of a URL is, None where it is a name that has to be looked up.

    Numbers in the old forms (`127.1`, `0x7f000001`) count: resolvers take them for addresses.
    """
    name = host.lower().strip("[]").rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"  # RFC 6761
    for parse in (plain, _old_form):
        try:
            return str(parse(name))
        except (ValueError, OverflowError):
            continue
    return None


def _old_form(text: str) -> IPv4Address:
    """Up to four numbers, the last of which fills what is left."""
    *first, last = (_number(part) for part in text.split("."))
    return IPv4Address(bytes(first) + last.to_bytes(max(1, _OCTETS - len(first)), "big"))


def _number(text: str) -> int:
    """A part of an address as C's `inet_aton` reads it; raises `ValueError`."""
    if not text.isascii() or not text.isalnum():
        raise ValueError(text)
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def may_lead(source: Reach, target: Reach, *, private: bool = False) -> bool:
    """Whether a registry of one reach may send its clients to an address of another.

    Nobody may be sent further in than where the registry itself is; `private` is its user's word
    that this one may. Nothing opens the way to what is nobody's.
    """
    if target is Reach.NOBODY:
        return False
    return private or target >= min(source, Reach.PUBLIC)


def _is_in(address: _Address, networks: Iterable[_Network]) -> bool:
    return any(address in network for network in networks)
