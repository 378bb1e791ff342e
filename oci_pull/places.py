"""Where this machine and its user have what is read, and what else the environment says of them.

It is handed the environment, as `oci_pull.settings` is.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
#: A program that is run for a web server takes no proxy from whoever asks that.
_PROXY_VARIABLES = (*_PROXIES, *(name.upper() for name in _PROXIES), "REQUEST_METHOD")
_COLOR_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "TERM")


def as_path(text: str) -> Path:
    """Take a path, whose `~/` a shell has not seen; raises `ValueError`."""
    if not text or "\0" in text:
        raise ValueError("it is a path")
    try:
        return Path(text).expanduser() if text.startswith("~/") else Path(text)
    except RuntimeError as error:
        raise ValueError("there is no home directory") from error


def home_of(environ: Mapping[str, str]) -> Path | None:
    """The user's home."""
    return Path(environ["HOME"]) if environ.get("HOME") else None


def config_home(environ: Mapping[str, str]) -> Path | None:
    """Where the user has configurations."""
    home = home_of(environ)
    return _path(environ, "XDG_CONFIG_HOME") or (home and home / ".config")


def places(environ: Mapping[str, str], etc: Path) -> dict[str, Any]:
    """The fields of `Settings` that are no options; `etc` is where the machine is configured."""
    home, settled = home_of(environ), config_home(environ)
    both = [settled, etc] if settled else [etc]
    registries = _path(environ, "CONTAINERS_REGISTRIES_CONF")
    return {
        "home": home,
        "docker_config": _path(environ, "DOCKER_CONFIG") or (home and home / ".docker"),
        "default_cache": _default_cache(environ, home),
        "hub_cache": _hub_cache(environ, home),
        "docker_auth": environ.get("DOCKER_AUTH_CONFIG", ""),
        "registry_auth_file": _path(environ, "REGISTRY_AUTH_FILE"),
        "auth_files": tuple(dict.fromkeys(_auth_files(environ, home))),
        "password_file": _path(environ, "OCI_PULL_PASSWORD_FILE"),
        "is_logged": any(environ.get(name) for name in ("CI", "JOURNAL_STREAM")),
        "color_variables": {name: environ[name] for name in _COLOR_VARIABLES if name in environ},
        "proxy_variables": {name: environ[name] for name in _PROXY_VARIABLES if name in environ},
        "certificate_directories": tuple(
            place / tool / "certs.d" for place in both for tool in ("containers", "docker")
        ),
        "docker_daemons": tuple(place / "docker/daemon.json" for place in both),
        "containers_registries": (
            (registries,)
            if registries
            else tuple(place / "containers/registries.conf" for place in both)
        ),
        "containers_dropins": tuple(
            place / "containers/registries.conf.d" for place in reversed(both)
        ),
    }


def _path(environ: Mapping[str, str], variable: str) -> Path | None:
    text = environ.get(variable)
    try:
        return as_path(text) if text else None
    except ValueError:
        # That of another program, which is told of it by that.
        return None


def _auth_files(environ: Mapping[str, str], home: Path | None) -> Iterator[Path]:
    """Where podman keeps credentials, for the session first; and the file that Docker once had."""
    name = "containers/auth.json"
    if sys.platform == "linux":
        session = _path(environ, "XDG_RUNTIME_DIR")
        yield session / name if session else Path(f"/run/containers/{os.getuid()}/auth.json")
    if settled := config_home(environ):
        yield settled / name
    if home:
        yield home / ".config" / name
        yield home / ".dockercfg"


def _default_cache(environ: Mapping[str, str], home: Path | None) -> Path | None:
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"]) / "oci-pull"
    if home is None:
        return None
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "oci-pull"


def _hub_cache(environ: Mapping[str, str], home: Path | None) -> Path | None:
    """Where huggingface_hub has its cache."""
    if exact := _path(environ, "HF_HUB_CACHE"):
        return exact
    if hugging_face := _path(environ, "HF_HOME"):
        return hugging_face / "hub"
    caches = _path(environ, "XDG_CACHE_HOME") or (home and home / ".cache")
    return caches and caches / "huggingface/hub"
