"""The text of a configuration file becomes values, and each knows the line that it is on.

Which keys there are is not known here: `oci_pull.settings` has them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from oci_pull.errors import InvalidSetting
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import canonical_host
from oci_pull.options import Option, shown
from oci_pull.places import as_path

_TABLES = "registry"
#: Options whose value may be a number without a unit.
_COUNTED = ("N", "RATE", "TIME", "SIZE")
_LINE = re.compile(r"line (\d+)")
_SECRETS = ("password", "passwd", "pass", "secret", "token", "auth", "identity_token")

_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as TOML has it, and where it stands."""

    value: object
    file: Path
    line: int

    @property
    def origin(self) -> str:
        """The file and the line, for people."""
        return f"{self.file} line {self.line}"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What one file says, or several on top of each other."""

    #: By the name of the field, with underscores.
    values: Mapping[str, Entry] = field(default_factory=dict)
    #: The same for each registry, by its canonical name.
    tables: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def over(self, other: Self) -> Self:
        """Key by key what is said here, else what the other one says."""
        hosts = {**other.tables, **self.tables}
        return type(self)(
            {**other.values, **self.values},
            {host: {**other.tables.get(host, {}), **self.tables.get(host, {})} for host in hosts},
        )


def parse(
    text: str, file: Path, *, keys: Collection[str], table_keys: Collection[str]
) -> Configuration:
    """The entries of a file, whose keys are all known.

    Keys may be written with dashes, as options are, or with underscores.

    Raises:
        InvalidSetting: it is not TOML, or has a key that there is none of, or one twice; with the
            file and the line.
    """
    import tomllib

    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _no_toml(str(error), text, file) from error
    reader = _Reader(file, _lines(text), keys, table_keys)
    tables = tree.pop(_TABLES, {})
    return Configuration(reader.entries(tree, (), keys), reader.tables(tables))


def typed(entry: Entry, option: Option, home: Path | None) -> object:
    """The value of an entry as its field wants it; paths are relative to the file.

    Raises:
        InvalidSetting: it is of another type, or cannot be, with the file and the line.
    """
    value = entry.value
    try:
        if not option.is_list:
            return _item(value, option, entry.file, home)
        items = value if isinstance(value, list) else [value]
        return tuple(_item(item, option, entry.file, home) for item in items)
    except ValueError as error:
        raise InvalidSetting(f"{entry.origin}: {shown(value)} is not right: {error}") from error


def _item(value: object, option: Option, file: Path, home: Path | None) -> object:
    match value:
        case bool() if option.is_switch:
            return option.parse(str(value))
        case int() if option.is_counted:
            return option.parse(str(value))
        case int() | float() if option.metavar in _COUNTED and not isinstance(value, bool):
            return option.parse(str(value))
        case dict() if option.metavar == "URL" and option.is_list:
            return _mirror(value)
        case str() if option.parse is as_path:
            return (
                home / value[2:]
                if home and value.startswith("~/")
                else file.parent / as_path(value)
            )
        case str():
            return option.parse(value)
    raise ValueError("it is " + ("true or false" if option.is_switch else "text in quotes"))


def _mirror(table: Mapping[str, object]) -> Mirror:
    """A mirror that has more to it than a URL; raises `ValueError`."""
    url, tags = table.get("url"), table.get("tags", True)
    if not isinstance(url, str) or not isinstance(tags, bool) or table.keys() - {"url", "tags"}:
        raise ValueError('a mirror has a url, and may have tags: {url = "URL", tags = false}')
    return Mirror.parse(url, tags=tags)


@dataclass(frozen=True, slots=True)
class _Reader:
    file: Path
    lines: Mapping[_Path, int]
    keys: Collection[str]
    table_keys: Collection[str]

    def tables(self, tables: object) -> Mapping[str, Mapping[str, Entry]]:
        """The tables by registry; raises `InvalidSetting`."""
        found: dict[str, Mapping[str, Entry]] = {}
        if not isinstance(tables, dict):
            raise self._misplaced((_TABLES,))
        for host, table in tables.items():
            where = (_TABLES, host)
            name = canonical_host(host)
            if not isinstance(table, dict):
                raise self._misplaced(where)
            if name in found:
                raise InvalidSetting(f"{self._at(where)}: there is a table of {name} already")
            found[name] = self.entries(table, where, self.table_keys)
        return found

    def entries(
        self, table: Mapping[str, object], where: _Path, known: Collection[str]
    ) -> Mapping[str, Entry]:
        """The entries of one table; raises `InvalidSetting`."""
        found: dict[str, Entry] = {}
        for key, value in table.items():
            entry = Entry(value, self.file, self._line((*where, key)))
            name = key.replace("-", "_")
            if name not in known:
                raise self._unknown(key, entry, is_top=not where)
            if name in found:
                raise InvalidSetting(f"{entry.origin}: {key!r} is in {found[name].origin} already")
            found[name] = entry
        return found

    def _line(self, path: _Path) -> int:
        return self.lines.get(path, 1)

    def _at(self, path: _Path) -> str:
        return Entry(None, self.file, self._line(path)).origin

    def _misplaced(self, path: _Path) -> InvalidSetting:
        return InvalidSetting(
            f"{self._at(path)}: what is said of a registry is a table",
            hint='[registry."docker.io"]',
        )

    def _unknown(self, key: str, entry: Entry, *, is_top: bool) -> InvalidSetting:
        whose = "there is no key" if is_top else "the table of a registry has no key"
        name = key.replace("-", "_")
        return InvalidSetting(
            f"{entry.origin}: {whose} {key[:80]!r}", hint=self._meant(name, is_top=is_top)
        )

    def _meant(self, name: str, *, is_top: bool) -> str | None:
        """What to type instead, where that can be guessed."""
        from difflib import get_close_matches

        if name.lower() in _SECRETS:
            return "secrets do not belong in this file: oci-pull login, or --password-stdin"
        if is_top and name in self.table_keys:
            return f'{name} belongs below  [registry."HOST"]'
        known = self.keys if is_top else self.table_keys
        near = get_close_matches(name.lower(), [*known, *([_TABLES] if is_top else [])], n=1)
        if near:
            return f"did you mean {near[0].replace('_', '-') if is_top else near[0]}?"
        if not is_top and name in self.keys:
            return f"{name.replace('_', '-')} belongs above the first table"
        return None


def _no_toml(reason: str, text: str, file: Path) -> InvalidSetting:
    match = _LINE.search(reason)
    line = int(match[1]) if match else text.rstrip().count("\n") + 1
    words = reason.partition(" (at ")[0][:100]
    return InvalidSetting(f"{file} line {line}: it is not TOML: {words}")


def _lines(text: str) -> Mapping[_Path, int]:
    """The line of every key of a valid document, where it is named for the first time.

    tomllib does not tell; but each statement of a document is a document too.
    """
    found: dict[_Path, int] = {}
    table: _Path = ()
    for line, statement, tree in _statements(text):
        if statement.lstrip().startswith("["):
            *_, table = _paths(tree)
            paths: Iterator[_Path] = (table[:end] for end in range(1, len(table) + 1))
        else:
            paths = ((*table, *path) for path in _paths(tree))
        for path in paths:
            found.setdefault(path, line)
    return found


def _statements(text: str) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Each statement with the line on which it begins, and what it says alone."""
    import tomllib

    statement, begin = "", 1
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begin = begin if statement else number
        statement += line
        try:
            tree = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            # A list, or a text in three quotes, that goes on in the next line.
            continue
        yield begin, statement, tree
        statement = ""


def _paths(tree: object) -> Iterator[_Path]:
    """The path of each key, those of outer tables before those of inner ones."""
    if isinstance(tree, list):
        tree = tree[0] if tree else None
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield (key,)
            yield from ((key, *path) for path in _paths(value))
