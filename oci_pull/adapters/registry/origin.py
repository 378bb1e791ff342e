"""Who is asked: the host and the port of a URL, as one text that can be compared."""

import httpx

_PORTS = {"http": 80, "https": 443}


def origin_of(url: httpx.URL) -> str:
    """`host:port` of a URL, the port always said, and the host as DNS has it (punycode)."""
    return f"{url.raw_host.decode('ascii')}:{port_of(url)}"


def port_of(url: httpx.URL) -> int:
    """The port of a URL, said or not; 0 for a scheme that has none."""
    return url.port or _PORTS.get(url.scheme, 0)


def host_text(origin: str) -> str:
    """How a person writes an origin: without the port that https has anyway."""
    host, _, port = origin.rpartition(":")
    host = f"[{host}]" if ":" in host else host
    return host if port == str(_PORTS["https"]) else f"{host}:{port}"
