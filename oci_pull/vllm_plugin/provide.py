"""A reference becomes a directory of this machine, the same one for all processes of an engine.

Everything else of this package is imported from here: only who wants a model comes by.
"""

import json
import logging
import os
import re
from asyncio import current_task
from contextlib import suppress
from dataclasses import replace

from oci_pull.adapters.cache.agreement import agreement
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.clock import SystemClock
from oci_pull.api import pull
from oci_pull.errors import OciPullError
from oci_pull.oci.reference import LayoutReference, Locator, parse_locator
from oci_pull.packaging.selection import PICKLES, SAFE_WEIGHTS
from oci_pull.pull import PullResult
from oci_pull.settings import OPTIONS, PREFIX, Settings
from oci_pull.vllm_plugin.lines import Lines

#: What references were found to be, as JSON: for the processes that this one starts.
PINS = "OCI_PULL_VLLM_PINS"
_WEIGHTS = tuple(f"*{suffix}" for suffix in (*SAFE_WEIGHTS, *PICKLES))

_log = logging.getLogger("vllm.oci_pull")


def provide(reference: str, *, is_weighted: bool = True) -> PullResult:
    """The model is on this machine, and all processes that this one starts find the same.

    Raises:
        OciPullError: in one line that names the reference.
    """
    try:
        found = _pull(_pins().get(reference, reference), is_weighted=is_weighted)
    except OciPullError as error:
        raise told(reference, error) from None
    if pinned(found) != reference:
        os.environ[PINS] = json.dumps({**_pins(), reference: pinned(found)})  # noqa: TID251
    _log.info("oci-pull: %s is %s, in %s", reference, found.digest, found.path)
    return found


def pinned(found: PullResult) -> str:
    """What to pull to get the very same."""
    reference = found.reference
    if isinstance(reference, LayoutReference) and reference.is_archive:
        return str(reference)  # it has no digests in its syntax
    return str(replace(reference, tag=None, digest=found.digest))


def told(reference: str, error: OciPullError) -> OciPullError:
    """The same error in one line: below a traceback of vLLM it is the last one, and is read."""
    known = "; ".join((error.message, *error.facts))
    line = f"cannot serve {reference}: {_on_one_line(known)}"
    error.args = (f"{line}. Try: {_in_variables(error.hint)}" if error.hint else line,)
    return error.with_traceback(None)


def _pins() -> dict[str, str]:
    """What this process, or one that started it, found references to be."""
    found: dict[str, str] = json.loads(os.environ.get(PINS) or "{}")  # noqa: TID251
    return found


def _pull(text: str, *, is_weighted: bool) -> PullResult:
    """Pull into the cache; settings are those of the environment and the configuration file."""
    settings = Settings.load(os.environ)  # noqa: TID251 - handed to settings
    # Several models may be asked for: none of them gets the one directory of OCI_PULL_OUTPUT.
    settings = replace(settings, output=None, no_cache=False, layout="dir")
    if not is_weighted:
        settings = replace(settings, exclude=(*settings.exclude, *_WEIGHTS))
    locator = parse_locator(text, default_registry=settings.default_registry)
    if locator.moving_tag is None or settings.require_digest:
        return pull(locator, settings=settings, observer=Lines(), cancel=_Task())
    return _pull_agreed(locator, settings)


def _pull_agreed(locator: Locator, settings: Settings) -> PullResult:
    """The same for a tag: processes that begin while another one pulls it take what that found."""
    cancel, clock, cache = _Task(), SystemClock(), Cache(settings.cache)
    with agreement(cache, locator, clock, cancel, settings.lock_timeout) as agreed:
        if agreed.found:
            _log.info("oci-pull: %s is %s, as a process that pulls it found", locator, agreed.found)
            locator = replace(locator, digest=agreed.found)
        lines = Lines(agreed.tell)
        found = pull(locator, settings=settings, observer=lines, cancel=cancel)
        agreed.tell(found.digest)
    return found


def _in_variables(hint: str) -> str:
    """A hint for whoever has no command line of ours: options are variables of the environment."""
    hint = " or ".join(_on_one_line(line) for line in hint.splitlines())
    if "oci-pull" in hint:
        return hint  # a command of its own
    return re.sub(r"--([a-z-]+)(\s([^\s,;]+))?", _variable, hint)


def _variable(match: re.Match[str]) -> str:
    name = match[1].replace("-", "_")
    option = OPTIONS.get(name)
    if option is None:
        return match[0]
    if option.is_switch:
        return f"{PREFIX}{name.upper()}=1{match[2] or ''}"
    return f"{PREFIX}{name.upper()}={match[3] or 'VALUE'}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


class _Task:
    """Set when the task that pulls is cancelled: an event loop has Ctrl-C for itself."""

    def __init__(self) -> None:
        self._task = None
        with suppress(RuntimeError):  # there is no loop
            self._task = current_task()

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._task is not None and self._task.cancelling() > 0
