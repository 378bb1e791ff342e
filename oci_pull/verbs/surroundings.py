"""What a pull would use on this machine: looked at and tried, without a request."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.disk import writing
from oci_pull.adapters.docker_daemon import insecure_by
from oci_pull.adapters.file_system import FileSystem, links
from oci_pull.errors import NotWritable, OciPullError, UsageError
from oci_pull.oci.credential import Anonymous, Credential
from oci_pull.oci.proxy import Proxies, ProxyServer
from oci_pull.oci.reference import Reference
from oci_pull.ports import Cancel
from oci_pull.settings import DEFAULT, OPTIONS, Settings
from oci_pull.sources.credentials import make_credentials
from oci_pull.sources.network import find_network
from oci_pull.sources.route import find_route
from oci_pull.verbs.finding import Finding, State, checked
from oci_pull.verbs.target import Target

if TYPE_CHECKING:
    from oci_pull.adapters.credentials.chain import Credentials
    from oci_pull.adapters.registry.http import Network

#: File systems that are memory: a model in them is paid for twice.
_MEMORY = ("tmpfs", "ramfs")
#: What the origins of the keys in the tables of registries begin with.
_TABLE = "registry."


@dataclass(frozen=True, slots=True)
class Identity:
    """Who would ask. Looked for once: a helper may want a password for every answer."""

    #: None where the settings name nobody that there could be.
    credentials: "Credentials | None"
    who: Credential
    #: What is broken on the way.
    warnings: tuple[str, ...] = ()
    error: UsageError | None = None

    @classmethod
    def find(cls, settings: Settings, target: Target | None, cancel: Cancel) -> "Identity":
        """As whom the target is asked; nobody is looked for where there is none."""
        warnings: list[str] = []
        host = target.host if target else ""
        try:
            places = make_credentials(settings, warnings.append, host, cancel).remembering()
            who = places.find(host, target.repository) if target and host else Anonymous()
        except UsageError as error:
            return cls(None, Anonymous(), tuple(warnings), error)
        return cls(places, who, tuple(warnings))


def local(
    settings: Settings, target: Target | None, user_agent: str, identity: Identity
) -> Iterator[Finding]:
    """Everything that is on this machine, without a request."""
    yield configuration(settings)
    yield from cache(settings)
    if target is None or target.host:
        yield from network(settings, target, user_agent)
        yield credential(settings, target, identity)
    if target is not None and target.host:
        yield checked("mirrors", lambda: mirrors(settings, target))


def configuration(settings: Settings) -> Finding:
    """Every option with the place that its value is from."""
    facts: dict[str, Any] = {}
    for name in OPTIONS:
        origin = settings.origins.get(name, DEFAULT)
        facts[name] = {"value": shown(getattr(settings, name)), "origin": origin}
    if settings.proxy:
        # With a password, more often than not.
        facts["proxy"]["value"] = _proxy_url(settings.proxy)
    for host, table in settings.tables.items():
        for each in fields(table):
            origin = settings.origins.get(f"{_TABLE}{host}.{each.name}", DEFAULT)
            if origin != DEFAULT:
                value = shown(getattr(table, each.name))
                facts[f"{_TABLE}{host}.{each.name}"] = {"value": value, "origin": origin}
    count = sum(fact["origin"] != DEFAULT for fact in facts.values())
    said = f"{count} of {len(facts)} values are not the default"
    return Finding("configuration", State.OK, said, facts)


def shown(value: object) -> Any:
    """A value as JSON has it, without the password that a URL may have."""
    if isinstance(value, tuple):
        return [shown(each) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    before, separator, rest = text.partition("://")
    return f"{before}://***@{rest.rpartition('@')[2]}" if separator and "@" in rest else text


def _proxy_url(text: str) -> str:
    try:
        return ProxyServer.parse(text, "--proxy").url
    except UsageError:
        return "(not a proxy)"


def network(settings: Settings, target: Target | None, user_agent: str) -> Iterator[Finding]:
    """Whom it is asked through, and whose certificates are believed."""
    host = target.host if target else settings.default_registry
    try:
        found = find_network(host, settings, user_agent)
    except OciPullError as error:
        yield Finding.failed("proxy", error)
        yield Finding("trust", State.SKIPPED, "proxy failed")
        return
    yield _proxy(found.proxies, target)
    told = insecure_by(host, settings.docker_daemons)
    why = f"insecure-registries in {told}" if told else "--insecure"
    yield checked("trust", lambda: _trust(found, found.trust.registries[0].host, why))


def _proxy(proxies: Proxies, target: Target | None) -> Finding:
    servers = {"http": proxies.http, "https": proxies.https}
    facts: dict[str, Any] = {name: each.url if each else None for name, each in servers.items()}
    facts["exceptions"] = list(proxies.exceptions.entries)
    if target is not None:
        name, _, port = target.host.rpartition(":")
        host, number = (name, int(port)) if name and port.isdigit() else (target.host, 443)
        chosen = proxies.choose("https", host, number)
        facts["chosen"] = chosen.url if chosen else None
        said = f"{target.host} through {chosen.url}" if chosen else f"none for {target.host}"
        return Finding("proxy", State.OK, said, facts)
    given = ", ".join(
        f"{name} through {url}" for name, url in facts.items() if name != "exceptions" and url
    )
    return Finding("proxy", State.OK, given or "none", facts)


def _trust(found: "Network", host: str, why: str) -> Finding:
    from oci_pull.adapters.registry.trust import context_for

    identity = found.trust.identity(host if ":" in host else f"{host}:443")
    stats = context_for(identity).cert_store_stats()
    facts = {
        "authorities": stats["x509_ca"],
        "files": [str(path) for path in identity.ca_files],
        "client_certificate": str(identity.client[0]) if identity.client else None,
        "insecure": identity.insecure,
    }
    if identity.insecure:
        return Finding("trust", State.WARNING, f"whatever answers is believed: {why}", facts)
    files = "".join(f", {path}" for path in identity.ca_files)
    return Finding("trust", State.OK, f"the system's authorities{files}", facts)


def cache(settings: Settings) -> Iterator[Finding]:
    """The directory, its file system, and the links that work there."""
    try:
        found = _file_system(settings)
    except OciPullError as error:
        yield Finding.failed("cache", error)
        yield Finding("links", State.SKIPPED, "there is no cache to try them in")
        return
    facts = {
        "path": str(settings.cache),
        "exists": settings.cache.is_dir(),
        "file_system": found.kind,
        "free": found.free,
        "size": found.size,
        "writable": found.is_writable,
    }
    kind = found.kind or "a file system of unknown type"
    if not found.is_writable:
        refused = NotWritable(
            f"cannot write below {found.path}: no permission, or read-only",
            hint="--cache-dir DIR  or OCI_PULL_CACHE_DIR for another place",
        )
        yield Finding("cache", State.FAILED, refused.message, facts, refused.hint, refused)
        yield Finding("links", State.SKIPPED, "nothing can be written there")
        return
    said = f"{settings.cache} on {kind}"
    if found.kind in _MEMORY:
        hint = "--cache-dir DIR  on a disk"
        yield Finding("cache", State.WARNING, f"{said}, which is memory", facts, hint)
    else:
        yield Finding("cache", State.OK, said, facts)
    yield checked("links", lambda: _links(found))


def _file_system(settings: Settings) -> FileSystem:
    directory = settings.cache
    Cache(directory).require_known()
    with writing(directory):
        return FileSystem.of(directory)


def _links(found: FileSystem) -> Finding:
    with writing(found.path):
        works = links(found.path)
    # In the order of `--link-mode auto`; a symbolic link is never taken unasked.
    mode = next(way for way in ("reflink", "hardlink", "copy") if works[way] or way == "copy")
    facts = {"mode": mode, **works}
    tried = ", ".join(f"{way} {'works' if does else 'no'}" for way, does in works.items())
    if mode == "copy":
        hint = "a cache and an output that share blocks need ext4, xfs, btrfs or the like"
        return Finding("links", State.WARNING, f"copies only ({tried})", facts, hint)
    return Finding("links", State.OK, f"{mode} ({tried})", facts)


def credential(settings: Settings, target: Target | None, identity: Identity) -> Finding:
    """Who would ask, and which place says so; what is broken on the way is a warning."""
    if identity.error:
        return Finding.failed("credential", identity.error)
    if target is None:
        return _credential_files(settings)
    who, warnings = identity.who, list(identity.warnings)
    facts = {"registry": target.host, "asked_as": str(who), "warnings": warnings}
    said = f"{target.host} is asked as {who}"
    if warnings:
        return Finding("credential", State.WARNING, "; ".join([said, *warnings]), facts)
    hint = f"oci-pull login {target.host}" if isinstance(who, Anonymous) else None
    return Finding("credential", State.OK, said, facts, hint)


def _credential_files(settings: Settings) -> Finding:
    directory = settings.docker_config
    facts = {
        "docker_config": str(directory) if directory else None,
        "authfile": shown(settings.authfile or settings.registry_auth_file),
        "auth_files": [str(path) for path in settings.auth_files],
    }
    said = f"looked for in {directory}" if directory else "there is no HOME to look for them in"
    return Finding("credential", State.OK, f"{said}; name a registry to see whose", facts)


def mirrors(settings: Settings, target: Target) -> Finding:
    """Who is asked before the registry, by our configuration or by that of other tools."""
    reference = target.locator
    if not isinstance(reference, Reference):
        reference = Reference.parse(f"{target.host}/repository")
    warnings: list[str] = []
    route = find_route(reference, settings, warnings.append)
    found = [str(mirror) for mirror in route.mirrors]
    instead = str(route.location) if route.location else None
    said = ", then ".join(found) if found else f"none for {target.host}"
    said += f"; {instead} in the place of {target.host}" if instead else ""
    facts = {
        "registry": target.host,
        "mirrors": found,
        "location": instead,
        "warnings": warnings,
    }
    if warnings:
        return Finding("mirrors", State.WARNING, "; ".join([said, *warnings]), facts)
    return Finding("mirrors", State.OK, said, facts)
