"""The tokens of one run, each asked for once by whoever needs it first."""

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from oci_pull.errors import OciPullError
from oci_pull.oci.credential import Credential


@dataclass(frozen=True, slots=True)
class Token:
    """What a token service gave."""

    #: The value of an Authorization header.
    header: str = field(repr=False)
    #: When to get another one, on the clock of who asked.
    expires: float


@dataclass(frozen=True, slots=True)
class TokenKey:
    """All that makes one token another one than the next."""

    host: str
    #: The whole URL, which may have a query of its own.
    realm: str = field(repr=False)
    service: str
    #: In the order in which they are asked for: some services read only the first.
    scopes: tuple[str, ...]
    who: Credential


class TokenCache:
    """Tokens that several repositories, and several pulls, of one run share; safe in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[TokenKey, _Slot] = {}

    def take(
        self,
        key: TokenKey,
        fetch: Callable[[], Token],
        *,
        now: Callable[[], float],
        refused: str | None = None,
    ) -> str | None:
        """The header of a token that has not expired, and is not the one that was `refused`.

        Whoever comes while another one fetches gets what that one gets, its failure too. None
        means that the refused token was new: the next one would be no better.
        """
        slot = self._slot(key)
        round_before = slot.round
        with slot.lock:
            token = slot.token
            if slot.round != round_before and slot.failure:
                # One object of several threads would collect the tracebacks of all of them.
                raise copy.copy(slot.failure)
            if token and token.header == refused and not slot.has_worked:
                return None
            if token and token.header != refused and now() < token.expires:
                return token.header
            return slot.renew(fetch).header

    def worked(self, key: TokenKey, header: str | None) -> None:
        """The registry took this token: should it refuse it later, then it has expired."""
        slot = self._slot(key)
        token = slot.token
        if token and token.header == header:
            slot.has_worked = True

    def _slot(self, key: TokenKey) -> "_Slot":
        with self._lock:
            return self._slots.setdefault(key, _Slot())


class _Slot:
    """One token and its successors."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.token: Token | None = None
        #: Whether the registry took the token before.
        self.has_worked = False
        #: How often a token was asked for, and what the last time failed with.
        self.round = 0
        self.failure: OciPullError | None = None

    def renew(self, fetch: Callable[[], Token]) -> Token:
        """Another token; raises what `fetch` raises."""
        self.failure = None
        try:
            token = fetch()
        except OciPullError as error:
            self.failure = error
            raise
        finally:
            self.round += 1
        self.token, self.has_worked = token, False
        return token
