"""Keeping a credential, and forgetting it: in a file, or through the helper that the file names."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oci_pull.adapters.credentials.docker_config import DockerConfig, read_file
from oci_pull.adapters.credentials.entry import write_entry
from oci_pull.adapters.credentials.helper import Helper
from oci_pull.adapters.credentials.keys import keys_of, own_key
from oci_pull.errors import InvalidSetting, NotWritable
from oci_pull.oci.credential import Anonymous, Basic

#: What says who somebody is; the rest of an entry stays.
_SECRETS = ("auth", "username", "password", "identitytoken", "registrytoken")


@dataclass(frozen=True, slots=True)
class ConfigWriter:
    """The `config.json` that credentials are kept in. What else is in it stays as it is."""

    path: Path

    def store(self, host: str, who: Basic) -> str:
        """The credential is found from now on; returns where it is.

        Raises:
            InvalidSetting: the file is no configuration; it is left alone.
            NotWritable: it cannot be read or written.
            HelperFailed: the helper that the file names did not take it.
        """
        members, auths = self._read()
        name = DockerConfig(members, str(self.path)).helper(host)
        key = own_key(host)
        old = auths.get(key)
        rest = {k: v for k, v in old.items() if k not in _SECRETS} if isinstance(old, dict) else {}
        if name:
            Helper(name).store(host, who)
            # Docker leaves a mark, and no secret, beside what a helper has.
            entry = rest
        else:
            entry = rest | write_entry(who)
        if old != entry:
            self._write(members | {"auths": auths | {key: entry}})
        return Helper(name).program if name else str(self.path)

    def erase(self, host: str) -> list[str]:
        """The credential is not found here any more; returns where it was, nothing for nowhere.

        Raises: as `store`.
        """
        members, auths = self._read()
        places = []
        if name := DockerConfig(members, str(self.path)).helper(host):
            helper = Helper(name)
            if not isinstance(helper.get(host), Anonymous):
                helper.erase(host)
                places.append(helper.program)
        if keys := keys_of(auths, host):
            if any(auths[key] for key in keys):
                places.append(str(self.path))
            self._write(members | {"auths": {key: auths[key] for key in auths if key not in keys}})
        return places

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
