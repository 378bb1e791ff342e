"""Whom a reference is asked of, as our own configuration or that of other tools says."""

from collections.abc import Callable
from dataclasses import dataclass

from oci_pull.errors import RegistryBlocked
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import DOCKER_HUB, Reference
from oci_pull.settings import RegistrySettings, Settings


@dataclass(frozen=True, slots=True)
class Route:
    """Whom a reference is asked of: mirrors in their order, then the registry."""

    mirrors: tuple[Mirror, ...] = ()
    #: In the place of the registry, where the tools of containers were told of another one.
    location: Mirror | None = None
    #: The registry need not prove who it is, nor speak TLS.
    insecure: bool = False


def find_route(
    reference: Reference,
    settings: Settings,
    warn: Callable[[str], None],
    said: RegistrySettings | None = None,
) -> Route:
    """What our own configuration says, else what Docker's and that of the tools of containers do.

    `warn` is told of what is broken in theirs; `said` is ours where the command line does not name
    the registry.

    Raises:
        RegistryBlocked: theirs says that nothing is to be fetched from there.
    """
    from oci_pull.adapters.docker_daemon import hub_mirrors, insecure_by

    is_insecure = insecure_by(reference.host, settings.docker_daemons) is not None
    own = (said or settings.registry(reference.host)).mirrors
    # An empty list is said as well: it keeps theirs out.
    if own or f"registry.{reference.host}.mirrors" in settings.origins:
        return Route(own, insecure=is_insecure)
    from oci_pull.adapters.containers_registries import find_rule

    rule = find_rule(reference, settings.containers_registries, settings.containers_dropins, warn)
    if rule.is_blocked:
        raise RegistryBlocked(
            f"{reference.name} is blocked in {rule.file}",
            hint="ask whoever runs this machine, or take  blocked = true  out of the file",
        )
    mirrors = rule.mirrors
    if reference.host == DOCKER_HUB:
        mirrors += tuple(
            each for each in hub_mirrors(settings.docker_daemons, warn) if each not in mirrors
        )
    return Route(mirrors, rule.location, rule.insecure or is_insecure)
