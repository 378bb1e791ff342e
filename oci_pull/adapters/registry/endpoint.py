"""One registry as it is reached: which scheme, with what authorization, over which redirects."""

import threading

import httpx

from oci_pull.adapters.registry.auth import RegistryAuth
from oci_pull.adapters.registry.disclosure import PATH
from oci_pull.adapters.registry.http import translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.routes import IS_LED_TO, MAY_BE_PLAIN, REGISTRY
from oci_pull.adapters.registry.site import Site
from oci_pull.errors import NotTls, RedirectRefused, ServerFailed

_MAX_REDIRECTS = 8
#: What goes along to another origin; any other header is the registry's business.
_CARRIED = ("Accept", "Range")
#: How often one request is sent until the registry takes it: bare, with a token that has expired,
#: with a new one, and with one for what the registry only then says that it wants.
_MAX_ANSWERS = 4


class Endpoint:
    """Sends requests to a registry, and follows it wherever it points, without its credential."""

    def __init__(self, site: Site, client: httpx.Client, auth: RegistryAuth) -> None:
        self.site = site
        self._client = client
        self._auth = auth
        scheme = "http" if site.plain_http else "https"
        self._base = httpx.URL(f"{scheme}://{site.host}")
        self._may_be_plain = (site.is_loopback or site.may_be_plain) and not site.plain_http
        self._lock = threading.Lock()

    @property
    def origin(self) -> str:
        """The `host:port` of the registry."""
        return origin_of(self._base)

    @property
    def url(self) -> str:
        """Its scheme and host."""
        return str(self._base)

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
        return self._followed(
            self._plain("GET", url, headers, is_led_to=True), headers, has_left=True
        )

    def glance(self, path: str, seconds: float) -> httpx.Response:
        """The registry's own reply to a GET, its body unread; nothing is waited for longer.

        With what authorization there is, for what is good to know and not worth another token.

        Raises:
            OciPullError: nobody answered in time.
        """
        url = self._base.join(path)
        headers = _with({}, self._auth.header())
        with translating(self.origin):
            request = self._client.build_request(
                "GET", url, headers=headers, timeout=seconds, extensions={REGISTRY: self.origin}
            )
            return self._client.send(request, stream=True)

    def is_own(self, response: httpx.Response) -> bool:
        """Whether the registry itself gave this reply."""
        return origin_of(response.url) == self.origin

    def _ask(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        base, shown = self._base, path
        if self.site.namespace:
            # How a cache of several registries knows which one is meant (containerd's `ns`).
            path = f"{path}?ns={self.site.namespace}"
        try:
            return self._authorized(method, base.join(path), headers, shown=shown)
        except NotTls:
            with self._lock:
                if not self._may_be_plain:
                    raise
                self._base = base.copy_with(scheme="http")
        # Not in the handler: what fails from here on has nothing to do with TLS.
        return self._authorized(method, self._base.join(path), headers, shown=shown)

    def _authorized(
        self, method: str, url: httpx.URL, headers: dict[str, str], *, shown: str = ""
    ) -> httpx.Response:
        """The reply of the registry; `shown` is the path where it may be told."""
        sent = self._auth.header()
        for _ in range(_MAX_ANSWERS):
            response = self._plain(method, url, _with(headers, sent), shown=shown)
            if response.status_code != httpx.codes.UNAUTHORIZED:
                self._auth.worked(sent)
                return response
            response.close()
            sent = self._auth.answer(response, sent)
        raise self._auth.refused()

    def _followed(
        self, response: httpx.Response, headers: dict[str, str], *, has_left: bool = False
    ) -> httpx.Response:
        """The reply of whoever the redirects lead to.

        Once one of them has left the registry, what is sent along stays behind, even where a later
        one leads back: that was somebody else's choice.
        """
        for _ in range(_MAX_REDIRECTS):
            if not response.has_redirect_location:
                return response
            response.close()
            target = self._target(response)
            method = response.request.method
            has_left = has_left or not self._is_at(target)
            if has_left:
                kept = {name: text for name, text in headers.items() if name in _CARRIED}
                response = self._plain(method, target, kept, is_led_to=True)
            else:
                response = self._authorized(method, target, headers)
        response.close()
        raise ServerFailed(f"{self.origin} redirects in circles", origin=self.origin)

    def _target(self, response: httpx.Response) -> httpx.URL:
        """Where one redirect leads; raises `RedirectRefused` where that is out of encryption."""
        with translating(self.origin):
            target = response.url.join(response.headers["Location"])
        if target.scheme not in ("http", "https") or (
            (response.url.scheme, target.scheme) == ("https", "http")
        ):
            raise RedirectRefused(
                f"{origin_of(response.url)} redirects to {origin_of(target)} without encryption",
                hint="the registry's storage has to be reachable over https",
            )
        return target

    def _is_at(self, url: httpx.URL) -> bool:
        return (url.scheme, origin_of(url)) == (self._base.scheme, self.origin)

    def _plain(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str],
        *,
        is_led_to: bool = False,
        shown: str = "",
    ) -> httpx.Response:
        said = {
            REGISTRY: self.origin,
            IS_LED_TO: is_led_to,
            MAY_BE_PLAIN: self._may_be_plain and origin_of(url) == self.origin,
            PATH: shown,
        }
        with translating(origin_of(url)):
            request = self._client.build_request(method, url, headers=headers, extensions=said)
            return self._client.send(request, stream=True)


def _with(headers: dict[str, str], authorization: str | None) -> dict[str, str]:
    return headers | {"Authorization": authorization} if authorization else headers
