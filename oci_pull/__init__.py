"""Pull models from OCI registries into directories that an inference engine reads.

The names below are the whole public interface. They are imported when they are first used, so that
importing the package costs nothing.
"""

import sys
from types import ModuleType

# As `typing` has it: importing that takes longer than all that `oci-pull -V` does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from oci_pull import events as events
    from oci_pull.api import inspect as inspect
    from oci_pull.api import plan as plan
    from oci_pull.api import pull as pull
    from oci_pull.errors import *  # noqa: F403 - every cause is public
    from oci_pull.look import Plan as Plan
    from oci_pull.oci.digest import Digest as Digest
    from oci_pull.oci.reference import Reference as Reference
    from oci_pull.ports import Observer as Observer
    from oci_pull.pull import PullResult as PullResult
    from oci_pull.settings import Settings as Settings

__version__ = "0.1.0"

_HOMES = {
    "inspect": "oci_pull.api",
    "plan": "oci_pull.api",
    "pull": "oci_pull.api",
    "Digest": "oci_pull.oci.digest",
    "Observer": "oci_pull.ports",
    "Plan": "oci_pull.look",
    "PullResult": "oci_pull.pull",
    "Reference": "oci_pull.oci.reference",
    "Settings": "oci_pull.settings",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name == "events":
        return _module("oci_pull.events")
    if name in _HOMES:
        return getattr(_module(_HOMES[name]), name)
    if name in _errors():
        return _errors()[name]
    raise AttributeError(f"module 'oci_pull' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*_HOMES, *_errors(), "events", "__version__"])


def _errors() -> dict[str, type]:
    errors = _module("oci_pull.errors")
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, errors.OciPullError)}


def _module(name: str) -> ModuleType:
    from importlib import import_module

    return import_module(name)


class _Package(ModuleType):
    """Importing the module `oci_pull.pull` would hide the function of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
