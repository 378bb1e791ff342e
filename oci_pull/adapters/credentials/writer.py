"""Keeping a credential, and forgetting it: in a file, or through the helper that the file names."""

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_pull.adapters.clock import NEVER, SystemClock
from oci_pull.adapters.credentials.docker_config import DockerConfig, read_file
from oci_pull.adapters.credentials.entry import write_entry
from oci_pull.adapters.credentials.helper import Helper
from oci_pull.adapters.credentials.keys import keys_of, own_key
from oci_pull.errors import Busy, InvalidSetting, NotWritable
from oci_pull.oci.credential import Anonymous, Basic

#: What says who somebody is; the rest of an entry stays.
_SECRETS = ("auth", "username", "password", "identitytoken", "registrytoken")
#: The longest wait for another process that changes the file, and how often it is looked, in
#: seconds. It takes milliseconds.
_PATIENCE = 10.0
_POLL = 0.02
_HELD = (errno.EAGAIN, errno.EACCES)


@dataclass(frozen=True, slots=True)
class ConfigWriter:
    """The `config.json` that credentials are kept in. What else is in it stays as it is."""

    path: Path
    patience: float = _PATIENCE

    def store(self, host: str, who: Basic) -> str:
        """The credential is found from now on; returns where it is.

        Raises:
            InvalidSetting: the file is no configuration; it is left alone.
            NotWritable: it cannot be read or written.
            HelperFailed: the helper that the file names did not take it.
            Busy: another process is changing the file, and takes too long.
        """
        members, _ = self._read()
        if helper := DockerConfig(members, str(self.path)).helper(host):
            Helper(helper).store(host, who)
        # Docker leaves a mark, and no secret, beside what a helper has.
        secret = {} if helper else write_entry(who)
        with self._alone():
            members, auths = self._read()
            key = own_key(host)
            old = auths.get(key)
            known = old if isinstance(old, dict) else {}
            rest = {name: value for name, value in known.items() if name not in _SECRETS}
            if old != rest | secret:
                self._write(members | {"auths": auths | {key: rest | secret}})
        return Helper(helper).program if helper else str(self.path)

    def erase(self, host: str) -> list[str]:
        """The credential is not found here any more; returns where it was, nothing for nowhere.

        Raises: as `store`.
        """
        members, auths = self._read()
        places: list[str] = []
        if name := DockerConfig(members, str(self.path)).helper(host):
            helper = Helper(name)
            if not isinstance(helper.get(host), Anonymous):
                helper.erase(host)
                places.append(helper.program)
        if not keys_of(auths, host):
            return places
        with self._alone():
            members, auths = self._read()
            keys = keys_of(auths, host)
            if any(auths[key] for key in keys):
                places.append(str(self.path))
            self._write(members | {"auths": {key: auths[key] for key in auths if key not in keys}})
        return places

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other of these changes the file meanwhile, and none of its changes is lost.

        The directory is locked: that leaves no file behind, and ends with the process. Where a file
        system knows no locks there is only the rename. Raises `Busy`.
        """
        target = Path(os.path.realpath(self.path))
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(target.parent, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise self._trouble("written", error) from error
        clock = SystemClock()
        end = clock.now() + self.patience
        try:
            while not _is_locked(descriptor):
                if clock.now() >= end:
                    raise Busy(
                        f"{self.path} is being changed by another process",
                        hint="the same command later",
                    )
                clock.wait(_POLL, NEVER)
            yield
        finally:
            os.close(descriptor)

    def _read(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Everything in the file, and its `auths`; nothing where there is no file."""
        try:
            members = json.loads(read_file(self.path).decode("utf-8-sig") or "{}")
        except FileNotFoundError:
            return {}, {}
        except OSError as error:
            raise self._trouble("read", error) from error
        except (ValueError, RecursionError) as error:
            raise self._foreign("is not JSON") from error
        auths = members.get("auths") if isinstance(members, dict) else None
        if not isinstance(members, dict) or not isinstance(auths or {}, dict):
            raise self._foreign("is not a configuration of Docker")
        return members, auths or {}

    def _write(self, members: dict[str, Any]) -> None:
        """The file is this as a whole, for nobody but its owner; a link to it stays one."""
        target = Path(os.path.realpath(self.path))
        text = json.dumps(members, indent="\t") + "\n"
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        except OSError as error:
            raise self._trouble("written", error) from error
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException as error:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            if isinstance(error, OSError):
                raise self._trouble("written", error) from error
            raise

    def _foreign(self, words: str) -> InvalidSetting:
        return InvalidSetting(
            f"{self.path} {words}; it is left as it is",
            hint="mend it or move it away, or DOCKER_CONFIG=DIR  names another place",
        )

    def _trouble(self, what: str, error: OSError) -> NotWritable:
        return NotWritable(
            f"{self.path} cannot be {what}: {error.strerror}",
            hint="DOCKER_CONFIG=DIR  names another place",
        )


def _is_locked(descriptor: int) -> bool:
    """Whether it is ours now, or cannot be anybody's."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in _HELD
    return True
