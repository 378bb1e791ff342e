"""Whose token service a registry may send its users to with their credential.

A token service on another host is normal, and asking it as nobody does no harm. A password goes
only where the registry's owner can be believed to be: anybody who can write a challenge (a proxy,
a registry that was broken into) could otherwise collect passwords (CVE-2025-51471).
"""

from collections.abc import Iterable

from oci_pull.oci.address import Reach, literal, reach_of

#: Registries whose token service is known to be elsewhere.
_KNOWN = {
    "docker.io": ("auth.docker.io",),
    "hf.co": ("huggingface.co",),
    "nvcr.io": ("authn.nvidia.com",),
}
#: What countries put before their own label, so that a name of somebody's has three labels.
_GENERIC = frozenset({
    "ac", "co", "com", "edu", "gen", "go", "gob", "gouv", "gov", "gv", "id", "ltd", "me",
    "mil", "ne", "net", "nhs", "nom", "or", "org", "plc", "sch", "web",
})  # fmt: skip
#: Domains whose names belong to whoever rents one.
_RENTED = frozenset({
    "amazonaws.com", "amazonaws.com.cn", "appspot.com", "azurecr.cn", "azurecr.io",
    "azurecr.us", "azurefd.net", "azurewebsites.net", "cloudapp.azure.com", "cloudfront.net",
    "cloudsmith.io", "core.windows.net", "duckdns.org", "fly.dev", "github.io", "gitlab.io",
    "googleapis.com", "herokuapp.com", "jfrog.io", "netlify.app", "ngrok-free.app",
    "ngrok.app", "ngrok.io", "nip.io", "onrender.com", "pages.dev", "r2.dev", "run.app",
    "sslip.io", "trycloudflare.com", "vercel.app", "web.app", "workers.dev",
})  # fmt: skip
_COUNTRY = 2


def may_have_credential(realm: str, registry: str, others: Iterable[str] = ()) -> bool:
    """Whether a credential for `registry` may go to the token service at `realm`.

    Both are `host` or `host:port`, an IPv6 address in its brackets. Yes for the same host, for two
    of one owner's domain, for registries that are known to have theirs elsewhere, and for what the
    user lists in `others`.
    """
    host, home = _host(realm), _host(registry)
    if host == home or (_is_here(host) and _is_here(home)):
        return True
    if host in _KNOWN.get(home, ()):
        return True
    if any(other.lower() in (host, realm.lower()) for other in others):
        return True
    domain = owner_domain(home)
    return domain is not None and owner_domain(host) == domain


def owner_domain(host: str) -> str | None:
    """The part of a name that somebody registered; None where no part of it says who that is.

    An approximation, which takes two names for one owner's rather too seldom: addresses, single
    labels, and names that are rented out below somebody else's domain say nothing.
    """
    name = _host(host)
    labels = name.split(".")
    if literal(name) or len(labels) < _COUNTRY or not all(labels):
        return None
    if any(".".join(labels[start:]) in _RENTED for start in range(len(labels))):
        return None
    size = 3 if len(labels[-1]) == _COUNTRY and labels[-2] in _GENERIC else 2
    return ".".join(labels[-size:]) if len(labels) >= size else None


def _host(authority: str) -> str:
    """The host of `host:port`, as it is compared."""
    text = authority.lower()
    end = "]" if text.startswith("[") else ":"
    return text.partition(end)[0].removeprefix("[").removesuffix(".")


def _is_here(host: str) -> bool:
    address = literal(host)
    return address is not None and reach_of(address) is Reach.LOOPBACK
