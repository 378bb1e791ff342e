"""A program says who it is by keywords; its password is in no text that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull import Settings, api, inspect, plan, pull
from oci_pull.errors import AccessError, InvalidSetting
from oci_pull.settings import OPTIONS
from tests import builders
from tests.e2e.models import model, put
from tests.fakes.registry import Auth, FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET = "s3cret-of-ada"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        found.auth = Auth(users={"ada": _SECRET}, private=["team/model"])
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


def test_a_program_hands_over_user_and_password(registry: FakeRegistry, settings: Settings) -> None:
    reference = put(registry, builders.docker_v02(model()))
    with pytest.raises(AccessError):
        pull(reference, settings=settings)
    assert plan(reference, settings=settings, username="ada", password=_SECRET).items
    assert inspect(reference, settings=settings, username="ada", password=_SECRET).manifest
    assert pull(reference, settings=settings, username="ada", password=_SECRET).path.is_dir()
    used = [each.headers.get("authorization", "") for each in registry.find(kind="token")]
    assert any(each.startswith("Basic ") for each in used)


def test_a_password_that_is_wrong_is_not_repeated(
    registry: FakeRegistry, settings: Settings
) -> None:
    reference = put(registry, builders.docker_v02(model()))
    with pytest.raises(AccessError) as caught:
        pull(reference, settings=settings, username="ada", password="wr0ng-word")
    assert "wr0ng-word" not in f"{caught.value!r} {caught.value} {caught.value.hint}"


def test_a_password_without_a_user_is_a_mistake(registry: FakeRegistry, settings: Settings) -> None:
    reference = put(registry, builders.docker_v02(model()))
    with pytest.raises(InvalidSetting, match="nobody says whose"):
        pull(reference, settings=settings, password=_SECRET)


def test_no_option_of_the_command_line_holds_a_password(settings: Settings) -> None:
    assert "password" not in OPTIONS
    held = api.configured(settings, {"username": "ada", "password": _SECRET})
    assert held.password == _SECRET
    assert _SECRET not in repr(held)
    # An empty one is none, as of any other option: what the settings have stays.
    assert api.configured(held, {"password": ""}).password == _SECRET
