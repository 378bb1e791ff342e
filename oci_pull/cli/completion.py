"""What a Tab is answered with: names that are in the cache, the configuration, and the credentials.

Nobody is asked, no program is run, and nothing that is slow to import is: a person waits. So this
reads names of directories where `oci_pull.adapters.cache` reads receipts, and looks at the
environment and at files without checking them. Whatever is not as expected is not there.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from oci_pull.places import as_path, config_home, places

_HUB = "docker.io"
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io")
_OFFICIAL = "library/"
_SCHEME = "oci://"
#: What references and names of hosts are made of, beside letters and digits.
_PLAIN = "._-/:@+[]"
_ETC = Path("/etc")
_MAX_BYTES = 16 * 1024 * 1024


def answer(words: Sequence[str], environ: Mapping[str, str], etc: Path = _ETC) -> str:
    """The lines for the last of the words, which are kinds and then the command line so far.

    The kinds are `references`, `registries` and `logins` (registries that have a credential),
    with commas between them. `etc` is where the machine has its configuration.
    """
    kinds, *line = words or [""]
    typed = line[-1] if line else ""
    known = _Known(line[:-1], environ, etc)
    names = [
        each for kind in kinds.split(",") if kind in _KINDS for each in _KINDS[kind](known, typed)
    ]
    # Whatever a shell would have to quote is not worth the trouble.
    fit = {each for each in names if each.startswith(typed) and _is_plain(each)}
    return "".join(f"{each}\n" for each in sorted(fit))


class _Known:
    """What the words of a line, the environment and the configuration say."""

    def __init__(self, line: Sequence[str], environ: Mapping[str, str], etc: Path) -> None:
        self._line = line
        self._environ = environ
        self._etc = etc
        self.places = places(environ, etc)
        self.written = self._written()

    @property
    def cache(self) -> Path | None:
        """The directory of the cache."""
        return self.path("cache_dir") or self.places["default_cache"]

    @property
    def default_registry(self) -> str:
        """Where a name without a host is."""
        return self.text("default_registry") or _HUB

    def path(self, name: str) -> Path | None:
        """The value of an option as a path."""
        return as_path(text) if (text := self.text(name)) else None

    def text(self, name: str) -> str:
        """The value of an option, empty where nobody gave one."""
        return self._given(name) or str(self.written.get(name, ""))

    def _given(self, name: str) -> str:
        flag = "--" + name.replace("_", "-")
        for position, word in enumerate(self._line):
            if word == flag and position + 1 < len(self._line):
                return self._line[position + 1]
            if word.startswith(f"{flag}="):
                return word.partition("=")[2]
        return self._environ.get(f"OCI_PULL_{name.upper()}", "")

    def _written(self) -> Mapping[str, Any]:
        """The files of the configuration, the user's on top of the machine's."""
        if named := self._given("config"):
            return _toml(as_path(named))
        user = config_home(self._environ)
        files = [each / "oci-pull/config.toml" for each in (self._etc, user) if each]
        whole: dict[str, Any] = {}
        for found in map(_toml, files):
            tables = _mapping(whole, "registry") | _mapping(found, "registry")
            whole |= {**found, "registry": tables}
        return whole


def _toml(file: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        text = file.read_text("utf-8-sig")
        import tomllib

        found = {key.replace("-", "_"): value for key, value in tomllib.loads(text).items()}
        if isinstance(written := found.get("cache_dir"), str) and not written.startswith("~/"):
            found["cache_dir"] = str(file.absolute().parent / written)
        return found
    return {}


def _references(known: _Known, typed: str) -> Iterator[str]:
    """Each model of the cache once, in the form that was begun: the shortest one that fits."""
    for name in _cached(known.cache) if known.cache else ():
        short = name.removeprefix(f"{known.default_registry}/")
        official = short.removeprefix(_OFFICIAL) if known.default_registry == _HUB else short
        forms = (official, short, name, f"{_SCHEME}{name}")
        yield next((form for form in forms if form.startswith(typed)), "")


def _cached(cache: Path) -> Iterator[str]:
    """The models that are complete: by every tag that was last seen to be one, else by digest."""
    tags: dict[str, list[str]] = {}
    for name, path in _entries(cache / "refs"):
        repository, _, tag = name.rpartition("@")
        short = _text(path).partition(":")[2][:12]
        tags.setdefault(f"{repository}@{short}", []).append(f"{_with_port(repository)}:{tag}")
    for name, path in _entries(cache / "models"):
        repository, _, rest = name.rpartition("@")
        yield from tags.get(f"{repository}@{rest.partition('-')[0]}") or _of_receipt(path)


def _entries(directory: Path) -> Iterator[tuple[str, Path]]:
    """What has an `@` in its name, which no repository has, by its path from here."""
    for parent, inside, files in os.walk(directory):
        for name in (*inside, *files):
            if "@" in name:
                path = Path(parent, name)
                yield path.relative_to(directory).as_posix(), path
        inside[:] = [name for name in inside if "@" not in name]


def _of_receipt(tree: Path) -> Iterator[str]:
    receipt = _json(_text(tree / ".oci-pull/receipt.json"))
    reference, digest = str(receipt.get("reference", "")), str(receipt.get("digest", ""))
    if reference.startswith(("oci:", "oci-archive:")):
        yield reference
    elif reference and digest:
        name, _, tag = reference.partition("@")[0].rpartition(":")
        yield f"{reference.partition('@')[0] if '/' in tag else name or tag}@{digest}"


def _with_port(repository: str) -> str:
    host, slash, rest = repository.partition("/")
    return f"{host.replace('+', ':')}{slash}{rest}"


def _registries(known: _Known, typed: str) -> Iterator[str]:
    """Those that anything is said of, or that something was pulled from."""
    yield known.default_registry
    yield from map(_host, _mapping(known.written, "registry"))
    yield from _logins(known, typed)
    if known.cache:
        with suppress(OSError):
            hosts = (_with_port(path.name) for path in (known.cache / "refs").iterdir())
            yield from (host for host in hosts if host != "layout")


def _logins(known: _Known, _: str) -> Iterator[str]:
    """Those that a file has a credential of, or names a helper for."""
    given = known.path("authfile")
    docker = known.places["docker_config"]
    files = [given, known.places["registry_auth_file"], docker and docker / "config.json"]
    files += known.places["auth_files"]
    texts = [_text(file) for file in files if file]
    for members in map(_json, [known.places["docker_auth"], *texts]):
        for key in (*_mapping(members, "auths"), *_mapping(members, "credHelpers")):
            yield _host(key)
    for host, table in _mapping(known.written, "registry").items():
        if isinstance(table, dict) and (
            "credential_helper" in table or "credential-helper" in table
        ):
            yield _host(host)


def _host(key: str) -> str:
    """The registry that an entry is for, under the name that people know."""
    host = key.rpartition("://")[2].partition("/")[0].lower()
    return _HUB if host in _HUB_NAMES else host


def _is_plain(text: str) -> bool:
    return text.isascii() and bool(text) and all(c.isalnum() or c in _PLAIN for c in text)


def _mapping(members: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = members.get(name)
    return value if isinstance(value, dict) else {}


def _json(text: str) -> dict[str, Any]:
    if not text:
        return {}
    import json

    with suppress(ValueError, RecursionError):
        found = json.loads(text)
        return found if isinstance(found, dict) else {}
    return {}


def _text(path: Path) -> str:
    """The text of a file, empty for what is none; a pipe would make a Tab wait."""
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= _MAX_BYTES:
            return path.read_text("utf-8-sig").strip()
    return ""


_KINDS: Mapping[str, Callable[[_Known, str], Iterator[str]]] = {
    "references": _references,
    "registries": _registries,
    "logins": _logins,
}
