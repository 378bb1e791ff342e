"""Over which network a registry is asked, and what it may be shown of the configuration."""

from dataclasses import replace
from typing import TYPE_CHECKING

from oci_pull.oci.reference import Reference
from oci_pull.settings import RegistrySettings, Settings

if TYPE_CHECKING:
    from oci_pull.adapters.registry.http import Network
    from oci_pull.adapters.registry.site import Site


def find_network(host: str, settings: Settings, user_agent: str) -> "Network":
    """How a registry would be reached; raises `InvalidSetting` for a proxy that is none."""
    site, said = site_of(host, settings)
    return network_of(settings, host, site, said, user_agent)


def site_of(host: str, settings: Settings) -> "tuple[Site, RegistrySettings]":
    """A registry itself, and what is said of it, by Docker's configuration as well."""
    from oci_pull.adapters.docker_daemon import insecure_by
    from oci_pull.adapters.registry.site import Site

    said = settings.registry(host)
    is_insecure = insecure_by(host, settings.docker_daemons) is not None
    site = Site.of(Reference(host, "", None, None), plain_http=said.plain_http)
    return (
        replace(site, may_be_plain=is_insecure),
        replace(said, insecure=said.insecure or is_insecure),
    )


def network_of(
    settings: Settings, name: str, site: "Site", said: RegistrySettings, user_agent: str
) -> "Network":
    """How a registry is reached; only what was said of it is shown to it."""
    from oci_pull.adapters.registry.http import Network
    from oci_pull.adapters.registry.trust import RegistryAccess, Trust
    from oci_pull.oci.proxy import Proxies

    access = RegistryAccess(
        site.host,
        name,
        ca_file=said.ca_file,
        client_cert=said.client_cert,
        client_key=said.client_key,
        insecure=said.insecure,
        private_redirects=said.private_redirects,
    )
    return Network(
        connect_timeout=settings.connect_timeout,
        stall_timeout=settings.stall_timeout,
        user_agent=user_agent,
        proxies=Proxies.of(settings.proxy_variables, settings.proxy),
        trust=Trust(
            (settings.ca_file,) if settings.ca_file else (),
            (access,),
            settings.certificate_directories,
        ),
    )
