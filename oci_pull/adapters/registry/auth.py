"""What is sent along so that a registry answers: tokens from wherever its challenge points."""

import threading
from collections.abc import Callable
from dataclasses import replace

import httpx

from oci_pull.adapters.registry.discretion import DiscreetClient
from oci_pull.adapters.registry.http import translating
from oci_pull.adapters.registry.origin import origin_of
from oci_pull.adapters.registry.refusals import says_expired, status_error
from oci_pull.adapters.registry.token_service import fetch_token
from oci_pull.adapters.registry.tokens import Token, TokenCache, TokenKey
from oci_pull.errors import (
    AccessDenied,
    AccessError,
    CredentialsRejected,
    CredentialsRequired,
    RealmNotTrusted,
    RedirectRefused,
    ServerFailed,
    TransferError,
)
from oci_pull.events import Authorized, Identified
from oci_pull.oci.challenge import Challenge, parse_challenges, preferred
from oci_pull.oci.credential import (
    Anonymous,
    Basic,
    Credential,
    IdentityToken,
    RegistryToken,
    asked_as,
)
from oci_pull.oci.realm import may_have_credential
from oci_pull.ports import Clock

#: How many scopes a registry may come to want one after the other.
_MAX_SCOPES = 8
_ROOT = "/v2/"
#: Found before what a login writes down.
_VARIABLE = "DOCKER_AUTH_CONFIG"
#: What a token has to allow, in the words of those who make it.
_RIGHTS = {"ghcr.io": "read:packages"}


class RegistryAuth:
    """The authorization of one registry for one repository, shared by all workers.

    Without a repository it is for whoever only wants to know whether a credential is good, and no
    token is asked to allow anything. `tokens` may be shared with others of the same run;
    `token_hosts` are hosts, beside those that are the registry's own, that may see its credential.
    """

    def __init__(
        self,
        *,
        host: str,
        repository: str,
        credential: Callable[[], Credential],
        client: DiscreetClient,
        clock: Clock,
        tokens: TokenCache | None = None,
        token_hosts: tuple[str, ...] = (),
    ) -> None:
        self._host = host
        self._repository = repository
        self._find_credential = credential
        self._client = client
        self._clock = clock
        self._tokens = tokens or TokenCache()
        self._token_hosts = token_hosts
        self._lock = threading.Lock()
        self._credential: Credential | None = None
        #: What the first challenge came to: a header that stays the same, or what to ask for.
        self._way: str | TokenKey | None = None

    @property
    def credential(self) -> Credential:
        """Who asks; found when the registry first wants to know."""
        if self._credential is None:
            self._credential = self._find_credential()
            self._client.disclosure.tell(Identified(self._host, str(self._credential)))
        return self._credential

    @property
    def known(self) -> Credential:
        """As whom the registry was asked so far: nobody, where it never wanted to know."""
        return self._credential or Anonymous()

    def header(self) -> str | None:
        """What to send with a request, None as long as nobody has asked for anything.

        Raises:
            AccessError, TransferError: the token has expired, and there is no other.
        """
        with self._lock:
            way = self._way
        return self._take(way) if isinstance(way, TokenKey) else way

    def answer(self, response: httpx.Response, sent: str | None) -> str:
        """What to send after this 401; one thread asks for a token, the others get the same.

        Raises:
            AccessError: there is nothing better to send.
            TransferError: the token service did not give any.
        """
        challenge = preferred(parse_challenges(response.headers.get_list("WWW-Authenticate")))
        with self._lock:
            # A registry may point elsewhere once a token expired (nvcr.io): the first one counts.
            if self._way is None:
                self._way = self._choose(challenge, response.url)
            elif challenge and isinstance(self._way, TokenKey):
                self._way = _widened(self._way, challenge)
            way = self._way
        if isinstance(way, TokenKey):
            header = self._take(way, refused=sent, is_asked_for=True)
        else:
            header = way
        if header is None or header == sent:
            raise self.refused(challenge)
        return header

    def worked(self, sent: str | None) -> None:
        """The registry answered: a token that it took and refuses later on has expired."""
        way = self._way
        if isinstance(way, TokenKey):
            self._tokens.worked(way, sent)

    def refused(self, challenge: Challenge | None = None) -> AccessError:
        """The error for a registry that took none of what was sent, not even a new token."""
        message = f"{self._host} refused access to {self._repository or 'its API'}"
        if not isinstance(self._way, TokenKey) or isinstance(self.credential, Anonymous):
            is_login = isinstance(self.credential, Basic) and not self._repository
            who = f"{self._host} refused this user name and password"
            return self.refusal(who if is_login else message)
        if challenge and challenge.error == "invalid_token":
            return CredentialsRejected(
                f"{message}: it does not take the token that its own token service gave",
                facts=[asked_as(self.credential)],
                hint="date  to see whether the clock here is wrong; so may be that of the registry",
            )
        return self.denial(message)

    def refusal(self, message: str) -> AccessError:
        """The error for a registry that will not let these credentials in."""
        who = self.credential
        if isinstance(who, Anonymous):
            hint = f"oci-pull login {self._host}  if the name is right and it is private"
            return CredentialsRequired(message, facts=[asked_as(who)], hint=hint)
        return CredentialsRejected(message, facts=[asked_as(who)], hint=self._another_way(who))

    def denial(self, message: str) -> AccessError:
        """The error for credentials that are good and not good enough."""
        who = self.credential
        if isinstance(who, Anonymous):
            hint = f"oci-pull login {self._host}  if the name is right and it is private"
        else:
            right = _RIGHTS.get(self._host, "the right to pull it")
            hint = f"{self._another_way(who)}  with an account or a token that has {right}"
        return AccessDenied(message, facts=[asked_as(who)], hint=hint)

    def _another_way(self, who: Credential) -> str:
        """How to be somebody else, where a new login would not count before what was found."""
        source = "" if isinstance(who, Anonymous) else who.source
        if source.startswith("--"):
            return "--username USER --password-stdin <FILE"
        login = f"oci-pull login {self._host}"
        return f"unset {source}; {login}" if source == _VARIABLE else login

    def forbidden(self, response: httpx.Response, message: str) -> AccessError:
        """The error for a 403 of the registry; ECR means by it that a password has expired."""
        if says_expired(response):
            return CredentialsRejected(
                f"{message}: the password has expired",
                facts=[asked_as(self.credential)],
                hint=f"aws ecr get-login-password | oci-pull login --username AWS "
                f"--password-stdin {self._host}",
            )
        return self.denial(message)

    def failure(self, response: httpx.Response, what: str) -> TransferError:
        """The error for any other status of the registry, which says as whom it was asked."""
        return status_error(response, what, who=str(self.known), host=self._host)

    def _choose(self, challenge: Challenge | None, url: httpx.URL) -> str | TokenKey:
        """What this challenge to a request of `url` wants."""
        who = self.credential
        if isinstance(who, RegistryToken):
            return who.header
        if challenge is None and url.path != _ROOT:
            # Google's registry says it only at its root, at times.
            challenge = self._challenge_of(url.join(_ROOT))
        if challenge is None:
            raise self.refusal(f"{self._host} wants credentials and does not say which")
        if challenge.scheme == "basic":
            if not isinstance(who, Basic):
                what = self._repository or "its API"
                raise self.refusal(f"{self._host} wants a user and a password for {what}")
            return who.header
        realm = _realm(challenge, url)
        if isinstance(who, Basic | IdentityToken):
            self._check(realm)
        wanted = tuple(challenge.scope.split()) or (f"repository:{self._repository}:pull",)
        scopes = wanted if self._repository else ()
        return TokenKey(self._host, str(realm), challenge.service, scopes, who)

    def _challenge_of(self, url: httpx.URL) -> Challenge | None:
        with translating(origin_of(url)):
            response = self._client.send(self._client.build_request("GET", url), stream=True)
            response.close()
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return None
        return preferred(parse_challenges(response.headers.get_list("WWW-Authenticate")))

    def _check(self, realm: httpx.URL) -> None:
        """Return if the credential may go to this token service; raises `RealmNotTrusted`."""
        host = realm.raw_host.decode("ascii")
        place = f"[{host}]" if ":" in host else host
        port = origin_of(realm).rpartition(":")[2]
        if may_have_credential(f"{place}:{port}", self._host, self._token_hosts):
            return
        raise RealmNotTrusted(
            f"{self._host} wants the credential to go to {place}, which is not known to belong"
            " to it",
            facts=[asked_as(self.credential), "nothing was sent there"],
            hint=f'[registry."{self._host}"]  token_hosts = ["{place}"]  in the configuration'
            " file, if it does",
        )

    def _take(
        self, key: TokenKey, refused: str | None = None, *, is_asked_for: bool = False
    ) -> str | None:
        """The header with a token; of a new one, or of one that was asked for, is told."""
        is_cached = True

        def fetch() -> Token:
            nonlocal is_cached
            is_cached = False
            return self._fetch(key)

        header = self._tokens.take(key, fetch, now=self._clock.now, refused=refused)
        if header and (is_asked_for or not is_cached):
            service = origin_of(httpx.URL(key.realm))
            scope = " ".join(key.scopes)
            self._client.disclosure.tell(Authorized(self._host, service, scope, is_cached))
        return header

    def _fetch(self, key: TokenKey) -> Token:
        token = fetch_token(key, self._client, self._clock)
        if token is None:
            service = origin_of(httpx.URL(key.realm))
            what = self._repository or self._host
            raise self.refusal(f"the token service {service} gave no token for {what}")
        return token


def _widened(key: TokenKey, challenge: Challenge) -> TokenKey:
    """The key for a token that allows what the last one did not, if the registry says what."""
    new = tuple(scope for scope in challenge.scope.split() if scope not in key.scopes)
    is_more = challenge.error == "insufficient_scope" and new and key.scopes
    if not is_more or len(new) + len(key.scopes) > _MAX_SCOPES:
        return key
    return replace(key, scopes=new + key.scopes)


def _realm(challenge: Challenge, url: httpx.URL) -> httpx.URL:
    """Where to ask for a token; never over a connection that is weaker than the registry's."""
    origin = origin_of(url)
    if not challenge.realm:
        message = f"{origin} wants a token and does not say from where"
        raise ServerFailed(message, origin=origin)
    with translating(origin):
        # A user and a password in it would be sent as ours.
        realm = url.join(challenge.realm).copy_with(userinfo=b"", fragment=None)
    if realm.scheme not in ("http", "https") or (url.scheme, realm.scheme) == ("https", "http"):
        raise RedirectRefused(
            f"{origin} sends for a token to {origin_of(realm)} without encryption"
        )
    return realm
