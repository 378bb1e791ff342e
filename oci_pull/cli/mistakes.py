"""What Typer has against a command line, told as every other error is."""

from difflib import get_close_matches
from typing import Any

import typer

from oci_pull.errors import UsageError

#: What all of them are; Typer exports only some.
TyperUsageError: Any = typer.BadParameter.__bases__[0]
_NEAR = " Did you mean"


def mistake(error: Any) -> UsageError:
    """The same in our words, with what was probably meant."""
    command = getattr(error.ctx, "command_path", None) or "oci-pull"
    page = f"{command} -h"
    # Others have one of these: an option without its value, and in newer Clicks an unknown command.
    if hasattr(error, "option_name") and hasattr(error, "possibilities"):
        # Typer has several, in the order of the alphabet.
        near = get_close_matches(error.option_name, error.possibilities or (), n=1)
        return UsageError(
            f"{command} has no option {error.option_name}",
            hint=f"{near[0]}\n{page}  for all of them" if near else page,
        )
    words = str(error.format_message())
    if words.count(_NEAR) > 1:
        # An old Typer and a new Click each say it.
        words = words[: words.rindex(_NEAR)]
    return UsageError(words[:1].lower() + words[1:].rstrip("."), hint=page)
