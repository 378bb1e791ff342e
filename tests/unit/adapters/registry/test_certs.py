"""The directories in which Docker and containers keep certificates for a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from oci_pull.adapters.registry.certs import HostCertificates
from oci_pull.errors import InvalidSetting

HOST = "registry.corp:5000"


def write(directory: Path, *names: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch()


def test_what_is_there_is_found(tmp_path: Path) -> None:
    here = tmp_path / HOST
    write(here, "b.crt", "a.crt", "me.cert", "me.key", "note.txt", "z.cert", "z.key")
    assert HostCertificates.find([HOST], [tmp_path]) == HostCertificates(
        (here / "a.crt", here / "b.crt"), (here / "me.cert", here / "me.key")
    )


@pytest.mark.parametrize(("half", "missing"), [("me.cert", "me.key"), ("me.key", "me.cert")])
def test_half_of_a_pair_is_an_error(tmp_path: Path, half: str, missing: str) -> None:
    write(tmp_path / HOST, half)
    with pytest.raises(InvalidSetting, match=f"{half} has no {missing} beside it"):
        HostCertificates.find([HOST], [tmp_path])


def test_the_first_directory_of_that_name_counts(tmp_path: Path) -> None:
    user, system = tmp_path / "user", tmp_path / "system"
    write(system / HOST, "system.crt")
    assert HostCertificates.find([HOST], [user, system]).authorities == (
        system / HOST / "system.crt",
    )
    write(user / HOST)
    assert HostCertificates.find([HOST], [user, system]) == HostCertificates()


def test_one_host_is_not_another(tmp_path: Path) -> None:
    write(tmp_path / "registry.corp", "a.crt")
    assert HostCertificates.find([HOST], [tmp_path]) == HostCertificates()
    (tmp_path / HOST).touch()
    assert HostCertificates.find([HOST], [tmp_path]) == HostCertificates()
