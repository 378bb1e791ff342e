"""The user and the password of the command line."""

from pathlib import Path

from oci_pull.errors import InvalidSetting
from oci_pull.oci.credential import Basic

#: The longest that a password may be.
MAX_BYTES = 64 * 1024


def given_credential(username: str, password: str, password_file: Path | None) -> Basic | None:
    """Who the command line says to be; None where it says nothing.

    Raises:
        InvalidSetting: there is a user without a password, or the reverse, or the file of the
            password cannot be read.
    """
    if not username:
        if password or password_file:
            origin = "--password-stdin" if password else "OCI_PULL_PASSWORD_FILE"
            raise InvalidSetting(
                f"{origin} has a password, and nobody says whose",
                hint="--username USER  or OCI_PULL_USERNAME",
            )
        return None
    if ":" in username or not _is_text(username):
        raise InvalidSetting("--username: a user is text in UTF-8, without a colon")
    if password:
        return Basic(username, password, "--username and --password-stdin")
    if password_file:
        source = f"--username and OCI_PULL_PASSWORD_FILE ({password_file})"
        return Basic(username, _read(password_file), source)
    raise InvalidSetting(
        "--username comes without a password",
        hint="--password-stdin <FILE  or OCI_PULL_PASSWORD_FILE=FILE",
    )


def _is_text(word: str) -> bool:
    """Whether it is more than bytes that the command line took as they were."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return password_of(file.read(MAX_BYTES + 1), f"OCI_PULL_PASSWORD_FILE ({path})")
    except OSError as error:
        raise InvalidSetting(
            f"OCI_PULL_PASSWORD_FILE: {path} cannot be read: {error.strerror}"
        ) from error


def password_of(raw: bytes, origin: str) -> str:
    """The password in what was read, without the end of its line.

    Raises:
        InvalidSetting: there is none, or it is no text.
    """
    if len(raw) > MAX_BYTES:
        raise InvalidSetting(f"{origin} is too long for a password")
    try:
        password = raw.decode()
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"{origin} is no password: it is not UTF-8") from error
    if password.endswith("\n"):
        password = password[:-1].removesuffix("\r")
    if not password:
        raise InvalidSetting(f"{origin} is empty")
    return password
