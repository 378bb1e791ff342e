"""The mirrors of Docker Hub that Docker's daemon was told of (`registry-mirrors`, daemon.json).

https://docs.docker.com/docker-hub/image-library/mirror/
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from oci_pull.oci.mirror import Mirror


def hub_mirrors(files: Sequence[Path], warn: Callable[[str], None]) -> tuple[Mirror, ...]:
    """The mirrors in all files, in their order; `warn` is told of what is broken."""
    found: dict[Mirror, None] = {}
    for file in files:
        found |= dict.fromkeys(_mirrors_in(file, warn))
    return tuple(found)


def _mirrors_in(file: Path, warn: Callable[[str], None]) -> list[Mirror]:
    try:
        config = json.loads(file.read_text("utf-8-sig"))
        urls = config.get("registry-mirrors", [])
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON of the daemon's"
        warn(f"{file} is not used: {reason}")
        return []
    found = []
    for url in urls if isinstance(urls, list) else [urls]:
        try:
            found.append(Mirror.parse(url))
        except (ValueError, AttributeError):
            # It is not shown: there may be a password in it.
            warn(f"{file}: one of registry-mirrors is no mirror; going on without it")
    return found
