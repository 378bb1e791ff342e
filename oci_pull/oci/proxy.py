"""Which proxy stands between this machine and another: the variables that everybody has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Self
from urllib.parse import unquote, urlsplit

from oci_pull.errors import InvalidSetting
from oci_pull.oci.address import Reach, literal, plain, reach_of

_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_HOST = re.compile(r"[^\s/?#@\\]+")
_ANY = ("*", "*:*")
_HINT = "http://[USER:PASSWORD@]HOST:PORT, with %40 for an @ in the password"


@dataclass(frozen=True, slots=True)
class ProxyServer:
    """A proxy, and as whom it is asked."""

    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str, variable: str) -> Self:
        """Parse `[http://][USER:PASSWORD@]HOST[:PORT]`; also https, socks5 and socks5h.

        Raises:
            InvalidSetting: it is something else; the message names the variable and not the value.
        """
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            scheme, host = parts.scheme, parts.hostname or ""
            port = parts.port or _PORTS[scheme]
            if not _HOST.fullmatch(host) or parts.path not in ("", "/"):
                raise ValueError("no host")
        except (ValueError, KeyError) as error:
            # Without the text of the error, which may quote what is a password.
            raise InvalidSetting(f"{variable} is no proxy", hint=_HINT) from error
        return cls(scheme, host, port, unquote(parts.username or ""), unquote(parts.password or ""))

    @property
    def url(self) -> str:
        """Where it is, without who asks."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS, not HTTP."""
        return self.scheme.startswith("socks")

    def __str__(self) -> str:
        return self.url.partition("://")[2]


@dataclass(frozen=True, slots=True)
class Exceptions:
    """Hosts that are reached directly: the rules of `NO_PROXY`, as Go's programs read it.

    Names (`corp` and what is below), suffixes (`.corp`, `*.corp`: only what is below), addresses,
    networks (`10.0.0.0/8`), each but a network with a port where it is for that alone; `*` is all.
    """

    entries: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a list with commas or blanks; what is no rule fits nothing."""
        return cls(tuple(entry.lower() for entry in re.split(r"[,\s]+", text) if entry))

    def match(self, host: str, port: int) -> bool:
        """Whether one of the rules is for this host and port."""
        name = host.lower().strip("[]").rstrip(".")
        return any(_fits(entry, name, port) for entry in self.entries)


def _fits(entry: str, host: str, port: int) -> bool:
    if entry in _ANY:
        return True
    address = literal(host) if host != "localhost" else None
    if "/" in entry:
        return address is not None and _is_within(address, entry)
    pattern, its_port = _split(entry)
    if its_port is not None and its_port != port:
        return False
    if address is not None:
        return literal(pattern) == address
    if pattern.startswith("*."):
        pattern = pattern[1:]
    if pattern.startswith("."):
        return host.endswith(pattern)
    return bool(pattern) and (host == pattern or host.endswith(f".{pattern}"))


def _is_within(address: str, network: str) -> bool:
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return False
    return plain(address) in found


def _split(entry: str) -> tuple[str, int | None]:
    """The host of a rule and its port; an IPv6 address has one only behind brackets."""
    match = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", entry)
    if match is None:
        return entry, None
    return match[1].strip("[]").rstrip("."), int(match[2]) if match[2] else None


@dataclass(frozen=True, slots=True)
class Proxies:
    """Which proxy is asked for which URL."""

    http: ProxyServer | None = None
    https: ProxyServer | None = None
    exceptions: Exceptions = Exceptions()
    #: A proxy of the environment is not for this machine, as curl and Go have it.
    for_loopback: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str], given: str = "") -> Self:
        """What the environment says, in lower case before upper case; `given` is the option.

        Raises:
            InvalidSetting: a variable that counts, or the option, names no proxy.
        """
        exceptions = Exceptions.parse(_value(environ, "no_proxy")[1])
        if given:
            server = ProxyServer.parse(given, "--proxy")
            return cls(server, server, exceptions, for_loopback=True)
        return cls(_server(environ, "http"), _server(environ, "https"), exceptions)

    def choose(self, scheme: str, host: str, port: int) -> ProxyServer | None:
        """The proxy for a URL of these; None where it is asked directly."""
        server = self.https if scheme == "https" else self.http
        if server is None or self.exceptions.match(host, port):
            return None
        return None if _is_loopback(host) and not self.for_loopback else server


def _is_loopback(host: str) -> bool:
    address = literal(host)
    return address is not None and reach_of(address) is Reach.LOOPBACK


def _server(environ: Mapping[str, str], scheme: str) -> ProxyServer | None:
    for name in (f"{scheme}_proxy", "all_proxy"):
        variable, text = _value(environ, name)
        if text:
            return ProxyServer.parse(text, variable)
    return None


def _value(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """A variable in either case, and its value, empty where there is none."""
    names: tuple[str, ...] = (name, name.upper())
    if name == "http_proxy" and environ.get("REQUEST_METHOD"):
        # Under CGI the upper case is a header of whoever asks: `Proxy:` (CVE-2016-5385).
        names = (name,)
    values = ((each, environ.get(each, "").strip()) for each in names)
    return next((found for found in values if found[1]), ("", ""))
