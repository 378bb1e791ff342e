"""The user and the password of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.adapters.credentials.given import MAX_BYTES, given_credential, password_of
from oci_pull.errors import InvalidSetting
from oci_pull.oci.credential import Basic


@pytest.mark.parametrize(
    ("raw", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b"secret\n\n", "secret\n"),
        (b"secret\r", "secret\r"),
        (b" a:b \n", " a:b "),
        ("pä\U0001f511\n".encode(), "pä\U0001f511"),
    ],
)
def test_one_end_of_a_line_is_not_the_password(raw: bytes, password: str) -> None:
    assert password_of(raw, "here") == password


@pytest.mark.parametrize("raw", [b"", b"\n", b"\r\n", b"s3cret\xff", b"s3cret" * MAX_BYTES])
def test_what_is_no_password_is_told_with_where_it_was(raw: bytes) -> None:
    with pytest.raises(InvalidSetting, match=r"^here is") as failure:
        password_of(raw, "here")
    assert "s3cret" not in str(failure.value)


def test_what_is_on_stdin_counts_before_the_file() -> None:
    found = given_credential("ada", "x", Path("/none"))
    assert found == Basic("ada", "x", "--username and --password-stdin")


def test_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x:y\n")
    source = f"--username and OCI_PULL_PASSWORD_FILE ({file})"
    assert given_credential("ada", "", file) == Basic("ada", "x:y", source)


def test_nothing_is_nobody() -> None:
    assert given_credential("", "", None) is None


@pytest.mark.parametrize(
    ("username", "password", "file", "named"),
    [
        ("ada", "", None, "--password-stdin"),
        ("", "s3cret", None, "--username"),
        ("", "", Path("/dev/null"), "OCI_PULL_USERNAME"),
        ("ada", "", Path("/none"), "/none"),
        ("ada", "", Path("/"), "OCI_PULL_PASSWORD_FILE"),
        ("ada", "", Path("/dev/null"), "is empty"),
        ("a:b", "s3cret", None, "colon"),
        ("a\udcff", "s3cret", None, "UTF-8"),
    ],
)
def test_what_is_missing_is_named(
    username: str, password: str, file: Path | None, named: str
) -> None:
    with pytest.raises(InvalidSetting) as failure:
        given_credential(username, password, file)
    said = f"{failure.value} {failure.value.hint}"
    assert named in said
    assert "s3cret" not in said
