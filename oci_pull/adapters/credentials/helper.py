"""Programs that keep credentials: `docker-credential-NAME`, and the protocol that they speak."""

import json
import re
import shutil
from dataclasses import dataclass, field

from oci_pull.adapters.clock import NEVER
from oci_pull.adapters.credentials.entry import read_reply
from oci_pull.adapters.credentials.keys import helper_keys, own_key
from oci_pull.adapters.credentials.process import Reply, ask
from oci_pull.errors import HelperFailed
from oci_pull.oci.credential import Anonymous, Basic, Credential
from oci_pull.ports import Cancel

_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_PREFIX = "docker-credential-"
_SECONDS = 30.0
_MAX_REPLY = 1024 * 1024
#: How they say that they have none, on stdout and with an exit code of 1.
_NONE = b"credentials not found"


@dataclass(frozen=True, slots=True)
class Helper:
    """A credential helper by its name."""

    name: str
    #: The longest that it may take.
    seconds: float = _SECONDS
    #: Stops it, and whatever it started.
    cancel: Cancel = field(default=NEVER, repr=False)

    @property
    def program(self) -> str:
        """What it is called on the PATH; named in errors, and short enough for them."""
        return f"{_PREFIX}{self.name[:60]}"

    def get(self, host: str) -> Credential:
        """What it has for a registry; anonymous where that is nothing.

        Raises:
            HelperFailed: it is not there, or does not work.
        """
        for key in helper_keys(host):
            reply = self._run("get", key)
            if reply.code:
                if _NONE not in reply.output:
                    raise self._failure("failed")
                continue
            try:
                found = read_reply(json.loads(reply.output), self.program)
            except (ValueError, RecursionError) as error:
                raise self._failure("does not answer with a credential") from error
            if not isinstance(found, Anonymous):
                return found
        return Anonymous()

    def store(self, host: str, who: Basic) -> None:
        """It has the credential from now on; raises `HelperFailed`."""
        entry = {"ServerURL": own_key(host), "Username": who.username, "Secret": who.password}
        if self._run("store", json.dumps(entry)).code:
            raise self._failure("did not take the credential")

    def erase(self, host: str) -> None:
        """It has no credential of the registry any more; raises `HelperFailed`."""
        for key in helper_keys(host):
            reply = self._run("erase", key)
            if reply.code and _NONE not in reply.output:
                raise self._failure("did not erase the credential")

    def _run(self, action: str, question: str) -> Reply:
        path = shutil.which(self.program) if _NAME.fullmatch(self.name) else None
        if path is None:
            raise self._failure("is not installed", "install it, or take its name out of the file")
        try:
            return ask(
                [path, action],
                question.encode(),
                seconds=self.seconds,
                limit=_MAX_REPLY,
                cancel=self.cancel,
            )
        except TimeoutError as error:
            raise self._failure(f"did not answer within {self.seconds:g} s") from error
        except (OSError, ValueError) as error:
            raise self._failure("does not work") from error

    def _failure(self, words: str, hint: str = "") -> HelperFailed:
        """An error in words of ours: what a helper says may be a secret."""
        hint = hint or f"{self.program} list  shows whether it works"
        return HelperFailed(f"the credential helper {self.program} {words}", hint=hint)
