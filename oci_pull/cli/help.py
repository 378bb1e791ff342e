"""`oci-pull -h`: the commands and the options of `pull`, from the table that they are parsed by.

Nothing here imports Typer, which has the options of `pull` that are no settings: there is one.
"""

from collections.abc import Iterator
from itertools import groupby

from oci_pull.cli.arguments import COMMANDS
from oci_pull.options import Option
from oci_pull.settings import OPTIONS, PREFIX, flag_of

_INTRODUCTION = """\
Usage: oci-pull [pull] REF... [OPTIONS]
       oci-pull COMMAND ...

Pull models from OCI registries into directories that vLLM serves.
stdout is the directory and nothing else.
"""
#: What no line of an option says.
TWIN = f"""\
Settings have environment twins: {PREFIX}CACHE_DIR is --cache-dir.
A switch is taken back with --no- before its name."""
_EXAMPLES = f"""\
{TWIN}
What a command takes: oci-pull COMMAND -h

Examples:
  oci-pull aistaging/smollm2-vllm
  vllm serve "$(oci-pull aistaging/smollm2-vllm)"
  oci-pull registry.example.com/ml/llama:prod -o /models/llama
  oci-pull plan aistaging/smollm2-vllm --exclude '*.md'
"""
#: The groups of options, and what they are called.
GROUPS = {
    "where": "Where it goes",
    "what": "What is taken",
    "how": "How it is fetched",
    "registry": "Which registry",
    "trust": "What is trusted",
    "output": "What is said",
}


def overview() -> str:
    """The whole page."""
    width = max(len(_flags(name, option)) for name, option in OPTIONS.items())
    parts = [_INTRODUCTION, "Commands:", *_commands(width), *_options(width), _EXAMPLES]
    return "\n".join(parts)


def _commands(width: int) -> Iterator[str]:
    for name, summary in COMMANDS.items():
        yield f"  {name:{width}}  {summary}"
    yield ""


def _options(width: int) -> Iterator[str]:
    yield "What is done:"
    yield f"  {'    --dry-run':{width}}  say what would be done, and do nothing"
    yield ""
    for group, names in groupby(OPTIONS, key=lambda name: OPTIONS[name].group):
        yield f"{GROUPS[group]}:"
        for name in names:
            yield f"  {_flags(name, OPTIONS[name]):{width}}  {OPTIONS[name].help}"
        yield ""


def _flags(name: str, option: Option) -> str:
    short = f"{option.short}, " if option.short else "    "
    value = f" {option.metavar}" if option.metavar else ""
    return f"{short}{flag_of(name)}{value}"
