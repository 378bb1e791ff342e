"""What the environment says of proxies and of certificates."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.oci.proxy import Proxies
from oci_pull.settings import Settings

ETC = Path("/nowhere/etc")


def test_only_the_variables_of_proxies_are_kept() -> None:
    environ = {"https_proxy": "p:1", "NO_PROXY": "corp", "HOME": "/home/ada", "SECRET": "s3cr3t"}
    found = Settings.load(environ, etc=ETC).proxy_variables
    assert found == {"https_proxy": "p:1", "NO_PROXY": "corp"}
    assert str(Proxies.of(found).choose("https", "a.example", 443)) == "p:1"


def test_a_password_in_a_variable_is_not_shown() -> None:
    settings = Settings.load({"ALL_PROXY": "http://ada:s3cr3t@p:1"}, etc=ETC)
    assert "s3cr3t" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/home/ada"}, ["/home/ada/.config", "/nowhere/etc"]),
        ({"HOME": "/home/ada", "XDG_CONFIG_HOME": "/xdg"}, ["/xdg", "/nowhere/etc"]),
        ({}, ["/nowhere/etc"]),
    ],
    ids=["home", "xdg", "neither"],
)
def test_certificates_of_the_user_count_before_the_machines(
    environ: dict[str, str], expected: list[str]
) -> None:
    assert [str(each) for each in Settings.load(environ, etc=ETC).certificate_directories] == [
        f"{place}/{tool}/certs.d" for place in expected for tool in ("containers", "docker")
    ]
