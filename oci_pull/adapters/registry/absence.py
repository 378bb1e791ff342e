"""Why a registry gives no manifest, and what may have been meant by its reference."""

import json
from dataclasses import dataclass

import httpx

from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.endpoint import Endpoint
from oci_pull.adapters.registry.http import read_body
from oci_pull.errors import (
    AccessError,
    ManifestUnknown,
    NotARegistry,
    OciPullError,
    RepositoryUnknown,
)
from oci_pull.oci.credential import Anonymous, asked_as
from oci_pull.oci.descriptor import media_type
from oci_pull.oci.digest import Digest
from oci_pull.oci.meant import meant_name, meant_tag, parse_tags, tags_listed
from oci_pull.oci.reference import DOCKER_HUB, Reference

_MAX_ERROR = 64 * 1024
#: How many tags are asked for, and how long for any part of the list (seconds).
_MAX_TAGS, _MOMENT = 500, 2.0
_HTML = ("text/html", "application/xhtml+xml")


def is_page(response: httpx.Response) -> bool:
    """Whether it is for people: a login page, or that of a proxy."""
    return media_type(response.headers.get("Content-Type", "")) in _HTML


@dataclass(frozen=True, slots=True)
class Absence:
    """A manifest that a registry did not give."""

    reference: Reference
    endpoint: Endpoint
    auth: RegistryAuth

    def error(self, response: httpx.Response, selector: str | Digest) -> OciPullError:
        """What a status other than 200 for a tag or a digest means."""
        what = "digest" if isinstance(selector, Digest) else "tag"
        status = response.status_code
        if status == httpx.codes.FORBIDDEN:
            message = f"{self.endpoint.origin} denied {self.reference.name}"
            return self.auth.forbidden(response, message)
        if status != httpx.codes.NOT_FOUND:
            return self.auth.failure(response, f"the manifest of {self.reference.name}")
        codes = _error_codes(response)
        if not codes and not self._is_registry():
            return self.no_registry()
        tags = () if "NAME_UNKNOWN" in codes else self._tags() if what == "tag" else None
        if tags == ():
            return self._unknown_repository()
        error = ManifestUnknown(
            f"{what} {str(selector)!r} does not exist in {self.reference.name} (404)",
            facts=[f"tags there: {tags_listed(tags)}"] if tags else [],
            hint=meant_name(self.reference) or f"check the spelling of the {what}",
        )
        if tags:
            error.explain(hint=meant_tag(self.reference, tags))
        return error

    def _unknown_repository(self) -> RepositoryUnknown:
        host, who = self.reference.host, self.auth.known
        hints = [meant_name(self.reference)]
        if isinstance(who, Anonymous):
            hints.append(f"oci-pull login {host}  if the name is right and it is private")
        return RepositoryUnknown(
            f"{self.reference.name} does not exist (404; unknown or private)",
            facts=[asked_as(who)],
            hint="\n".join(filter(None, hints)) or "check the spelling of the name",
        )

    def explain(self, error: AccessError) -> None:
        """Docker Hub does not tell a name that does not exist from a private one."""
        if self.reference.registry != DOCKER_HUB:
            return
        error.explain("Docker Hub answers like this for names that do not exist as well")
        if meant := meant_name(self.reference):
            error.explain(hint="\n".join(filter(None, (meant, error.hint))))

    def _tags(self) -> tuple[str, ...] | None:
        """Some of the tags, for whoever mistyped one; none of a repository that does not exist.

        None where that cannot be known in a moment. A mirror is not asked: the registry comes next.
        """
        if self.endpoint.site.namespace:
            return None
        path = f"/v2/{self.endpoint.site.repository}/tags/list?n={_MAX_TAGS}"
        try:
            response = self.endpoint.glance(path, _MOMENT)
            try:
                if response.status_code == httpx.codes.NOT_FOUND:
                    return () if "NAME_UNKNOWN" in _error_codes(response) else None
                body = read_body(response, _MAX_ERROR) if response.is_success else b""
            finally:
                response.close()
        except OciPullError:
            return None
        return parse_tags(body) or None

    def _is_registry(self) -> bool:
        """Whether the API answers at its root, as every registry's does."""
        try:
            response = self.endpoint.send("GET", "/v2/")
        except OciPullError:
            return True
        response.close()
        return response.status_code != httpx.codes.NOT_FOUND and not is_page(response)

    def no_registry(self) -> NotARegistry:
        """The error for something that answers in the place of a registry."""
        return NotARegistry(
            f"{self.endpoint.origin} answers, but it is not an OCI registry",
            facts=["a proxy or a login page may answer in its place"],
            hint=f"curl -i {self.endpoint.url}/v2/  shows what does",
            origin=self.endpoint.origin,
        )


def _error_codes(response: httpx.Response) -> tuple[str, ...]:
    """The codes of an error body (distribution-spec, Error Codes); none for any other body."""
    try:
        errors = json.loads(read_body(response, _MAX_ERROR))["errors"]
        return tuple(str(error["code"]) for error in errors)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
