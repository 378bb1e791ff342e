"""What the pages say that no table of options has: variables of others, files, errors, examples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from oci_pull.errors import OciPullError
from oci_pull.options import Option, duration, seconds
from oci_pull.settings import OPTIONS, PREFIX, Settings

#: The variables that are no twins of options.
ENVIRONMENT: Mapping[str, str] = {
    "OCI_PULL_PASSWORD_FILE": "a file with the password that belongs to --username",
    "XDG_CACHE_HOME": "the cache is in oci-pull below it; else below ~/.cache, on macOS "
    "~/Library/Caches",
    "XDG_CONFIG_HOME": "the configuration is in oci-pull below it; else below ~/.config",
    "DOCKER_CONFIG": "the directory with config.json of Docker; else ~/.docker",
    "DOCKER_AUTH_CONFIG": "credentials in the format of that file, as text",
    "REGISTRY_AUTH_FILE": "credentials, as podman and skopeo keep them",
    "XDG_RUNTIME_DIR": "podman has its auth.json in containers below it",
    "CONTAINERS_REGISTRIES_CONF": "registries.conf, from which mirrors are read",
    "HF_HUB_CACHE": "the Hugging Face hub cache, for --layout hf",
    "HF_HOME": "the hub cache is in hub below it",
    "HTTPS_PROXY": "the proxy for https",
    "HTTP_PROXY": "the proxy for http",
    "ALL_PROXY": "the proxy for both",
    "NO_PROXY": "hosts, domains and networks that are reached without one",
    "CI": "stderr is written down: plain lines, whatever it looks like",
    "JOURNAL_STREAM": "the same, by systemd",
    "NO_COLOR": "no colours, unless --color asks for them",
    "FORCE_COLOR": "colours, wherever stderr goes",
    "CLICOLOR_FORCE": "the same",
    "TERM": "no colours where it is dumb",
    "HOME": "what ~ is",
}

FILES: Mapping[str, str] = {
    "~/.config/oci-pull/config.toml": "the configuration; what it says counts before the next",
    "/etc/oci-pull/config.toml": "the configuration of the machine",
    "~/.cache/oci-pull": "the cache, which is an OCI image layout",
    "~/.docker/config.json": "credentials, as docker login keeps them",
}

EXAMPLES: Mapping[str, str] = {
    "oci-pull aistaging/smollm2-vllm": "Pull a model of Docker Hub and print its directory.",
    'vllm serve "$(oci-pull aistaging/smollm2-vllm)"': "Serve it.",
    "oci-pull registry.example.com/ml/llama:prod -o /models/llama": (
        "Lay a model of a private registry out somewhere else, again and again."
    ),
    "oci-pull plan aistaging/smollm2-vllm --exclude '*.md'": "See what a pull would do.",
    "oci-pull cache prune --max-size 500G --dry-run": "See what would go.",
    'echo "$TOKEN" | oci-pull login ghcr.io --username ada --password-stdin': (
        "Keep a credential."
    ),
}


@dataclass(frozen=True, slots=True)
class Cause:
    """A class of errors."""

    exit_code: int
    #: `code` of the error in JSON.
    code: str
    meaning: str
    is_retryable: bool
    #: Whether it stands for those below it, and gives them its exit code.
    is_head: bool


def causes() -> tuple[Cause, ...]:
    """Every class, by exit code, and before others the one that they are kinds of."""
    base = replace(_cause(OciPullError), meaning=_UNEXPECTED)
    found = [base, *_below(OciPullError)]
    return tuple(sorted(found, key=lambda each: each.exit_code))


def _below(kind: type[OciPullError]) -> Iterator[Cause]:
    for each in kind.__subclasses__():
        yield _cause(each)
        yield from _below(each)


def _cause(kind: type[OciPullError]) -> Cause:
    parent = kind.__mro__[1]
    is_head = not issubclass(parent, OciPullError) or parent.exit_code != kind.exit_code
    meaning = " ".join((kind.__doc__ or "").partition("\n\n")[0].split())
    return Cause(kind.exit_code, kind("").code, meaning, kind.retryable, is_head)


def variable_of(name: str) -> str:
    """The environment twin of an option."""
    return PREFIX + name.upper()


def default_of(name: str) -> str:
    """What counts where nobody said anything, as one would type it; empty for nothing."""
    value = _DEFAULTS[name]
    if isinstance(value, float) and OPTIONS[name].parse is seconds:
        return duration(value)
    return "" if value in (None, (), False) else str(value)


def typed(name: str, option: Option) -> str:
    """How a key of the configuration is written."""
    if option.is_switch:
        return f"{name} = true"
    example = option.metavar.replace("[HOST=]", "")
    if option.metavar == "N":
        return f"{name} = N"
    return f'{name} = ["{example}"]' if option.is_list else f'{name} = "{example}"'


#: What the base of all errors stands for where it is no other.
_UNEXPECTED = "Something unexpected, which is worth a report."
_DEFAULTS = {each.name: each.default for each in fields(Settings)}
