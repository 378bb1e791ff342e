"""What the tools of containers (podman, skopeo) were told of registries: `registries.conf`.

https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import Reference, canonical_host

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a file says of a reference."""

    mirrors: tuple[Mirror, ...] = ()
    #: Where the registry is instead, if it is not where its name says.
    location: Mirror | None = None
    #: Its certificate is not verified, and it may turn out to speak no TLS.
    insecure: bool = False
    is_blocked: bool = False
    file: Path = Path()


def find_rule(
    reference: Reference, files: Sequence[Path], directories: Sequence[Path], warn: Warn
) -> Rule:
    """The rule with the longest prefix that the reference is below; an empty one without any.

    The first of `files` that exists counts, and the `*.conf` of `directories` on top of it, later
    ones over earlier ones. `warn` is told of what is broken, and it is as if it was not there.
    """
    tables: dict[str, tuple[Path, Mapping[str, Any]]] = {}
    for file in _existing(files, directories):
        for table in _tables_in(file, warn):
            prefix = table.get("prefix") or table.get("location")
            if isinstance(prefix, str) and prefix:
                tables[prefix] = (file, table)
            else:
                warn(f"{file}: a registry without a location; going on without it")
    matching = [prefix for prefix in tables if _below(reference, prefix) is not None]
    if not matching:
        return Rule()
    prefix = max(matching, key=len)
    file, table = tables[prefix]
    try:
        return _rule(reference, prefix, file, table)
    except ValueError as error:
        warn(f"{file}: what it says of {prefix} is not used: {error}")
        return Rule()


def _existing(files: Sequence[Path], directories: Sequence[Path]) -> Iterator[Path]:
    yield from [file for file in files if _is_file(file)][:1]
    for directory in directories:
        try:
            yield from sorted(directory.glob("*.conf"))
        except OSError:
            # Of somebody else; what cannot be seen is not there.
            continue


def _is_file(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False


def _tables_in(file: Path, warn: Warn) -> list[Mapping[str, Any]]:
    import tomllib

    try:
        tables = tomllib.loads(file.read_text("utf-8-sig")).get("registry", [])
    except OSError as error:
        warn(f"{file} is not used: {error.strerror}")
        return []
    except (ValueError, RecursionError):
        warn(f"{file} is not used: it is not TOML")
        return []
    # Version 1 has no list of tables there.
    return [each for each in tables if isinstance(each, dict)] if isinstance(tables, list) else []


def _below(reference: Reference, prefix: str) -> str | None:
    """The beginning of the repository that the prefix covers; None where it is not below it."""
    host, _, path = prefix.partition("/")
    if host.startswith("*."):
        if not reference.host.partition(":")[0].endswith(host[1:].lower()):
            return None
    elif canonical_host(host) != reference.host:
        return None
    covers = not path or f"{reference.repository}/".startswith(f"{path}/")
    return path if covers else None


def _rule(reference: Reference, prefix: str, file: Path, table: Mapping[str, Any]) -> Rule:
    """The rule of a table; raises `ValueError` where it cannot be one."""
    below = _below(reference, prefix) or ""
    only_digests = table.get("mirror-by-digest-only") is True
    mirrors = []
    listed = table.get("mirror", [])
    for each in listed if isinstance(listed, list) else [listed]:
        if not isinstance(each, dict):
            raise ValueError("a mirror is a table")  # noqa: TRY004 - it is a value of a file
        use = "digest-only" if only_digests else each.get("pull-from-mirror", "all")
        if use not in ("all", "digest-only", "tag-only"):
            raise ValueError(f"pull-from-mirror cannot be {str(use)[:40]!r}")
        if use == "tag-only" and reference.digest:
            continue
        mirrors.append(_mirror(each, below, tags=use != "digest-only"))
    return Rule(
        mirrors=tuple(mirrors),
        location=_location(reference, prefix, table, below),
        insecure=table.get("insecure") is True,
        is_blocked=table.get("blocked") is True,
        file=file,
    )


def _location(
    reference: Reference, prefix: str, table: Mapping[str, Any], below: str
) -> Mirror | None:
    if "location" not in table or table["location"] in ("", prefix):
        return None
    found = _mirror(table, below, tags=True)
    is_same = canonical_host(found.host) == reference.host
    if is_same and found.repository(reference.repository) == reference.repository:
        return None
    return found


def _mirror(table: Mapping[str, Any], below: str, *, tags: bool) -> Mirror:
    location = table.get("location")
    if not isinstance(location, str):
        raise ValueError("a mirror has a location")  # noqa: TRY004 - it is a value of a file
    mirror = Mirror.parse(location, tags=tags)
    return replace(mirror, below=below, insecure=table.get("insecure") is True)
