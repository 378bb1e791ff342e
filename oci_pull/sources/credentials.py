"""As whom a registry is asked: every place that may say so, in the order in which it counts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from oci_pull.errors import InvalidSetting
from oci_pull.ports import Cancel
from oci_pull.settings import Settings
from oci_pull.sources.once import once

if TYPE_CHECKING:
    from oci_pull.adapters.credentials.chain import Credentials


def make_credentials(
    settings: Settings,
    warn: Callable[[str], None],
    command_line_host: str = "",
    cancel: Cancel | None = None,
) -> "Credentials":
    """Everything that may say who to be, in the order in which it counts.

    What the command line says is for `command_line_host` alone. `warn` is told of what is broken,
    once: several are looked for where there are mirrors. `cancel` stops a helper.

    Raises:
        InvalidSetting: the command line has a user without a password, or the reverse, or names a
            file that is not there.
    """
    from oci_pull.adapters.clock import NEVER
    from oci_pull.adapters.credentials.chain import CommandLine, Credentials, NamedHelpers, Place
    from oci_pull.adapters.credentials.docker_config import (
        DOCKER_FILES,
        FilePlace,
        TextPlace,
        is_missing,
    )
    from oci_pull.adapters.credentials.given import given_credential

    warn, cancel = once(warn), cancel or NEVER
    places: list[Place] = []
    if command_line_host:
        who = given_credential(settings.username, settings.password, settings.password_file)
        places += [CommandLine(command_line_host, who)] if who else []
    helpers = {host: table.credential_helper for host, table in settings.tables.items()}
    places.append(NamedHelpers(helpers, warn, cancel))
    if settings.docker_auth:
        places.append(TextPlace(settings.docker_auth, "DOCKER_AUTH_CONFIG", warn, cancel))
    if settings.authfile and is_missing(settings.authfile):
        raise InvalidSetting(f"--authfile: there is no file {settings.authfile}")
    if named := settings.authfile or settings.registry_auth_file:
        places.append(FilePlace((named,), warn, cancel))
    if directory := settings.docker_config:
        places.append(FilePlace(tuple(directory / name for name in DOCKER_FILES), warn, cancel))
    places += [FilePlace((path,), warn, cancel) for path in settings.auth_files]
    return Credentials(tuple(places))
