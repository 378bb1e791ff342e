"""One registry as it is reached: which scheme, with what authorization, over which redirects."""

import threading

import httpx

from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.http import origin_of, translating
from oci_pull.errors import NotTls, RedirectRefused, ServerFailed
from oci_pull.oci.reference import DOCKER_HUB, Reference

_MAX_REDIRECTS = 8
#: Docker Hub answers under another name than the one that people know.
_SERVERS = {DOCKER_HUB: "registry-1.docker.io"}


class Endpoint:
    """Sends requests to a registry, and follows it wherever it points, without its credential."""

    def __init__(
        self, reference: Reference, client: httpx.Client, auth: RegistryAuth, *, plain_http: bool
    ) -> None:
        self._client = client
        self._auth = auth
        host = _SERVERS.get(reference.host, reference.host)
        scheme = "http" if plain_http else "https"
        self._base = httpx.URL(f"{scheme}://{host}")
        #: A registry on this machine may turn out to speak no TLS; anywhere else that is an error.
        self._may_be_plain = reference.is_loopback and not plain_http
        self._lock = threading.Lock()

    @property
    def origin(self) -> str:
        """The `host:port` of the registry."""
        return origin_of(self._base)

    def send(self, method: str, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        """The reply of whoever answers in the end, its body unread; the caller closes it.

        Raises:
            TransferError: nobody answered.
            RedirectRefused: a redirect that must not be followed.
            AccessError: the registry does not let these credentials in.
        """
        return self._followed(self._ask(method, path, headers or {}), headers or {})

    def fetch(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        """The reply to a GET of a URL that the registry redirected to before; as `send` has it.

        The registry is not asked, and its authorization does not go along.
        """
        return self._followed(self._plain("GET", url, headers), headers)

    def is_own(self, response: httpx.Response) -> bool:
        """Whether the registry itself gave this reply."""
        return origin_of(response.url) == self.origin

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        base = self._base
        try:
            return self._authorized(method, base.join(path), headers)
        except NotTls:
            with self._lock:
                if not self._may_be_plain:
                    raise
                self._base = base.copy_with(scheme="http")
        # Not in the handler: what fails from here on has nothing to do with TLS.
        return self._authorized(method, self._base.join(path), headers)

    def _authorized(self, method: str, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        sent = self._auth.header(url)
        response = self._plain(method, url, _with(headers, sent))
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return response
        response.close()
        fresh = self._auth.answer(response, sent)
        response = self._plain(method, url, _with(headers, fresh))
        if response.status_code == httpx.codes.UNAUTHORIZED:
            response.close()
            raise self._auth.refused()
        return response

    def _followed(self, response: httpx.Response, headers: dict[str, str]) -> httpx.Response:
        """The reply of whoever the redirects lead to."""
        for _ in range(_MAX_REDIRECTS):
            if not response.has_redirect_location:
                return response
            response.close()
            response = self._follow(response, headers)
        response.close()
        raise ServerFailed(f"{self.origin} redirects in circles", origin=self.origin)

    def _follow(self, response: httpx.Response, headers: dict[str, str]) -> httpx.Response:
        """One redirect; the authorization goes along only where it came from."""
        with translating(self.origin):
            target = response.url.join(response.headers["Location"])
        method = response.request.method
        if target.scheme not in ("http", "https") or (
            (response.url.scheme, target.scheme) == ("https", "http")
        ):
            raise RedirectRefused(
                f"{origin_of(response.url)} redirects to {origin_of(target)} without encryption",
                hint="the registry's storage has to be reachable over https",
            )
        if (target.scheme, origin_of(target)) == (self._base.scheme, self.origin):
            return self._authorized(method, target, headers)
        return self._plain(method, target, headers)

    def _plain(self, method: str, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        with translating(origin_of(url)):
            request = self._client.build_request(method, url, headers=headers)
            return self._client.send(request, stream=True)


def _with(headers: dict[str, str], authorization: str | None) -> dict[str, str]:
    return headers | {"Authorization": authorization} if authorization else headers
