"""The man page, in the macros that groff and mandoc both have."""

from collections.abc import Iterator, Mapping
from itertools import groupby

from oci_pull import __version__
from oci_pull.cli.help import GROUPS
from oci_pull.cli.manual.commands import Command, Switch
from oci_pull.cli.manual.facts import (
    ENVIRONMENT,
    EXAMPLES,
    FILES,
    causes,
    default_of,
    typed,
    variable_of,
)
from oci_pull.settings import FILE_KEYS, OPTIONS, TABLE_KEYS, flag_of

_DESCRIPTION = (
    (
        "Fetches a model from an OCI registry, verifies every byte, and lays it out as a "
        "directory that vLLM serves. The directory is printed on stdout, and nothing else is; all "
        "that is said to people is on stderr. What an interrupted run fetched is kept, and the "
        "same command goes on. A model that is complete in the cache takes one request, and with "
        "--offline none."
    ),
    (
        "A REF is [oci://][REGISTRY/]REPOSITORY[:TAG][@DIGEST], with the rules of Docker; or "
        "oci:DIR[:TAG] and oci-archive:FILE[:TAG] for an OCI image layout on disk."
    ),
    "Sizes are 50M, 1.5G, or 2GiB where binary is meant; durations 30s, 10m, 7d.",
)
_OPTIONS = (
    "pull takes all of these; what another command takes, its own -h lists. An option counts "
    "before its variable, that before the configuration, and that before the default. A switch is "
    "taken back with --no- before its name. Lists are repeated, and have commas between in a "
    "variable."
)
_CONFIGURATION = (
    "--config, else the two files below. The keys are the names of the options, with _ or with -, "
    "and these; one that is unknown is an error with its line. A path is relative to the file."
)
_TABLE = "A table for each registry. Nothing of it is for anybody else."


def page(found: tuple[Command, ...]) -> str:
    """The whole page."""
    lines = (
        '.\\" `make man` makes it from the commands and their options.',
        f'.TH OCI\\-PULL 1 "" "oci\\-pull {__version__}" "User Commands"',
        ".SH NAME",
        r"oci\-pull \- pull models from OCI registries into directories that vLLM serves",
        ".SH SYNOPSIS",
        r".B oci\-pull",
        "[pull] REF... [OPTIONS]",
        ".br",
        r".B oci\-pull",
        "COMMAND ...",
        *_section("DESCRIPTION", _DESCRIPTION),
        ".SH COMMANDS",
        *(line for each in found for line in _command(each)),
        *_section("OPTIONS", (_OPTIONS,)),
        *_options(),
        *_section("ENVIRONMENT", ("Beside the twins of the options:",)),
        *_terms(ENVIRONMENT),
        *_configuration(),
        ".SH FILES",
        *_terms(FILES),
        ".SH EXIT STATUS",
        *_exits(),
        ".SH EXAMPLES",
        *(line for code, what in EXAMPLES.items() for line in _example(code, what)),
        ".SH SEE ALSO",
        r".BR docker\-login (1),",
        r".BR podman\-login (1),",
        r".BR skopeo (1)",
    )
    return "\n".join(lines) + "\n"


def _section(title: str, paragraphs: tuple[str, ...]) -> Iterator[str]:
    yield f".SH {title}"
    yield _plain(paragraphs[0])
    for paragraph in paragraphs[1:]:
        yield from (".PP", _plain(paragraph))


def _command(command: Command) -> Iterator[str]:
    name, _, arguments = command.usage.partition(" ")
    if name == "cache":
        below, _, arguments = arguments.partition(" ")
        name = f"{name} {below}"
    yield from (".TP", f"\\fB{_plain(name)}\\fR {_plain(arguments)}".rstrip())
    yield _plain(f"{command.summary}.")
    for each in command.own:
        if each.flag != "--help":
            yield from (".RS", ".TP", _words(each), _plain(each.help), ".RE")


def _words(switch: Switch) -> str:
    value = f" \\fI{_plain(switch.metavar)}\\fR" if switch.metavar else ""
    return ", ".join(f"\\fB{_plain(each)}\\fR" for each in switch.words) + value


def _options() -> Iterator[str]:
    for group, names in groupby(OPTIONS, key=lambda name: OPTIONS[name].group):
        yield f".SS {_plain(GROUPS[group])}"
        for name in names:
            yield from _option(name)


def _option(name: str) -> Iterator[str]:
    option = OPTIONS[name]
    words = [each for each in (option.short, flag_of(name)) if each]
    value = f" \\fI{_plain(option.metavar)}\\fR" if option.metavar else ""
    yield from (".TP", ", ".join(f"\\fB{_plain(each)}\\fR" for each in words) + value)
    yield _plain(option.help) + (r" (may be repeated)" if option.is_list else "")
    default = f", default {_plain(default_of(name))}" if default_of(name) else ""
    yield f"[{_plain(variable_of(name))}{default}]"


def _configuration() -> Iterator[str]:
    yield from _section("CONFIGURATION", (_CONFIGURATION,))
    yield from _terms({typed(name, option): option.help for name, option in FILE_KEYS.items()})
    yield from (f".SS {_plain('[registry.')}\\(dqHOST\\(dq]", _plain(_TABLE))
    yield from _terms({typed(name, option): option.help for name, option in TABLE_KEYS.items()})


def _exits() -> Iterator[str]:
    yield from (".TP", "0", "Done, or unchanged.")
    for each in causes():
        if each.is_head:
            yield from (".TP", str(each.exit_code), _plain(each.meaning))


def _terms(terms: Mapping[str, str]) -> Iterator[str]:
    for term, meaning in terms.items():
        yield from (".TP", f"\\fB{_plain(term)}\\fR", _plain(meaning))


def _example(code: str, meaning: str) -> Iterator[str]:
    yield from (".PP", _plain(meaning), ".PP", ".RS", ".nf", _plain(code), ".fi", ".RE")


def _plain(text: str) -> str:
    """The text as it is, for whatever formats it."""
    special = {"\\": r"\e", "-": r"\-", "'": r"\(aq", '"': r"\(dq", "~": r"\(ti", "^": r"\(ha"}
    found = text.translate({ord(key): value for key, value in special.items()})
    return f"\\&{found}" if found.startswith((".", "\\(aq")) else found
