"""Something is broken in a file that is read for every mirror: its user is told once."""

from collections.abc import Callable


def once(warn: Callable[[str], None]) -> Callable[[str], None]:
    """The same, but what was said is not said again."""
    said: set[str] = set()

    def tell(message: str) -> None:
        if message not in said:
            said.add(message)
            warn(message)

    return tell
