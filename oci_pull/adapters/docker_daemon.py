"""What Docker's daemon was told of registries (daemon.json).

`registry-mirrors` are of Docker Hub: https://docs.docker.com/docker-hub/image-library/mirror/
`insecure-registries` need prove nothing: https://docs.docker.com/reference/cli/dockerd/
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

from oci_pull.oci.address import plain
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


def insecure_by(host: str, files: Sequence[Path]) -> Path | None:
    """The file which says that a registry may speak http, and show any certificate.

    A network is for literal addresses in it. Docker looks names up for that; here whoever answers
    for names does not get to take TLS away.
    """
    for file in files:
        with suppress(OSError, ValueError, RecursionError, AttributeError, TypeError):
            entries = json.loads(file.read_text("utf-8-sig")).get("insecure-registries", [])
            if any(_means(str(entry).lower(), host.lower()) for entry in entries):
                return file
    return None


def _means(entry: str, host: str) -> bool:
    name = (entry.partition("://")[2] or entry).removesuffix("/")
    if name == host:
        return True
    with suppress(ValueError):
        end = "]" if host.startswith("[") else ":"
        bare = host.partition(end)[0].lstrip("[")
        return plain(bare) in ip_network(name, strict=False)
    return False
