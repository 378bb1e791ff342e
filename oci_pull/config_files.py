"""Where the configuration is: the file that somebody names, or the user's and the machine's."""

from collections.abc import Collection
from pathlib import Path

from oci_pull.configuration import Configuration, parse
from oci_pull.errors import InvalidSetting

_FILE = Path("oci-pull/config.toml")


def read_configuration(
    named: tuple[Path, str] | None,
    user: Path | None,
    etc: Path,
    *,
    keys: Collection[str],
    table_keys: Collection[str],
) -> Configuration:
    """The file that was named, with who named it; or else the user's on top of the machine's.

    A file that is not there is not missed, unless it was named.

    Raises:
        InvalidSetting: a file that cannot be read, or that says what cannot be.
    """

    def parsed(file: Path) -> Configuration:
        try:
            text = file.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidSetting(f"{file} is not text in UTF-8") from error
        return parse(text, file, keys=keys, table_keys=table_keys)

    if named:
        file, who = named
        try:
            return parsed(file.absolute())
        except OSError as error:
            raise _unreadable(file, error, f"{who} names it") from error
    whole = Configuration()
    for directory in filter(None, (etc, user)):
        file = (directory / _FILE).absolute()
        try:
            whole = parsed(file).over(whole)
        except OSError as error:
            if not _may_be_passed_over(file, error, is_ours=directory is user):
                raise _unreadable(file, error, "--config FILE  names another one") from error
    return whole


def _may_be_passed_over(file: Path, error: OSError, *, is_ours: bool) -> bool:
    """Whether it is as if there was no such file."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return True
    return isinstance(error, PermissionError) and not (is_ours and _is_seen(file))


def _is_seen(file: Path) -> bool:
    """Whether it is there; in a directory of somebody else's, as HOME in a container, it is not."""
    try:
        return file.exists()
    except OSError:
        return False


def _unreadable(file: Path, error: OSError, hint: str) -> InvalidSetting:
    return InvalidSetting(f"{file} cannot be read: {error.strerror}", hint=hint)
