import pwd
from pathlib import Path

import pytest

from oci_pull.errors import InvalidSetting
from oci_pull.oci.descriptor import Platform
from oci_pull.options import duration, seconds, size
from oci_pull.settings import OPTIONS, PREFIX, Settings

_HOME = {"HOME": "/home/ada"}


def test_what_was_given_wins_over_the_environment_and_that_over_the_default() -> None:
    environ = {**_HOME, "OCI_PULL_JOBS": "3", "OCI_PULL_RETRIES": "2"}
    settings = Settings.load(environ, {"jobs": "5", "retries": None})
    assert (settings.jobs, settings.retries, settings.format) == (5, 2, "path")


def test_an_empty_variable_counts_as_unset() -> None:
    assert Settings.load({**_HOME, "OCI_PULL_JOBS": ""}).jobs == 8


def test_lists_in_the_environment_are_separated_by_commas() -> None:
    settings = Settings.load({**_HOME, "OCI_PULL_INCLUDE": "*.json, *.jinja"})
    assert settings.include == ("*.json", "*.jinja")


def test_a_comma_on_the_command_line_is_part_of_the_value() -> None:
    assert Settings.load(_HOME, {"include": ["a,b"]}).include == ("a,b",)


def test_a_single_text_for_a_list_is_a_list_of_one() -> None:
    assert Settings.load(_HOME, {"include": "*.json"}).include == ("*.json",)


def test_values_of_the_right_type_are_taken_as_they_are() -> None:
    settings = Settings.load(_HOME, {"output": Path("/models"), "jobs": 2, "offline": True})
    assert (settings.output, settings.jobs, settings.offline) == (Path("/models"), 2, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("jobs", 0), ("jobs", 2.5), ("retries", -1), ("timeout", 0), ("max_wait", -1.0),
     ("limit_rate", 0), ("max_bytes", -1)],
)  # fmt: skip
def test_a_number_that_cannot_be_typed_cannot_be_given_either(name: str, value: float) -> None:
    with pytest.raises(InvalidSetting, match=f"--{name.replace('_', '-')}: .*{value}"):
        Settings.load(_HOME, {name: value})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("offline", "yes", True),
        ("offline", "0", False),
        ("platform", "linux/arm64/v8", Platform("linux", "arm64", "v8")),
        ("select", "quant=int8", (("quant", "int8"),)),
        ("stall_timeout", "1m", 60.0),
        ("cache_dir", "/c", Path("/c")),
        ("progress", "json", "json"),
        ("limit_rate", "50M", 50_000_000),
        ("limit_rate", "1.5 MiB/s", 1_572_864),
        ("timeout", "10m", 600.0),
        ("max_bytes", "2GiB", 2**31),
        ("no_space_check", "1", True),
        ("verbose", "2", 2),
        ("verbose", "yes", 1),
    ],
)
def test_text_is_parsed_by_the_type_of_its_option(name: str, text: str, value: object) -> None:
    assert getattr(Settings.load({**_HOME, PREFIX + name.upper(): text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("offline", "perhaps"),
        ("jobs", "0"),
        ("jobs", "many"),
        ("jobs", "1000"),
        ("retries", "-1"),
        ("platform", "Linux"),
        ("select", "int8"),
        ("max_wait", "soon"),
        ("format", "yaml"),
        ("progress", "loud"),
        ("limit_rate", "0"),
        ("limit_rate", "0.2"),
        ("limit_rate", "-5M"),
        ("limit_rate", "50M/m"),
        ("timeout", "0"),
        ("timeout", "never"),
        ("max_bytes", "0G"),
        ("max_bytes", "50M/s"),
        ("max_bytes", "much"),
        ("no_space_check", "maybe"),
        ("verbose", "loud"),
    ],
)
def test_a_value_that_cannot_be_names_where_it_came_from(name: str, text: str) -> None:
    with pytest.raises(InvalidSetting, match=PREFIX + name.upper()):
        Settings.load({**_HOME, PREFIX + name.upper(): text})
    with pytest.raises(InvalidSetting, match="--" + name.replace("_", "-")):
        Settings.load(_HOME, {name: text})


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("10m", 600), ("7d", 604800), ("1.5h", 5400), ("2", 2)]
)
def test_durations_have_units(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("50M", 50_000_000),
        ("50mb", 50_000_000),
        ("1.5G", 1_500_000_000),
        ("2GiB", 2_147_483_648),
        ("2 gi", 2_147_483_648),
        ("0.5k", 500),
        ("1T", 10**12),
        ("1TiB", 2**40),
    ],
)
def test_sizes_are_decimal_unless_they_say_otherwise(text: str, value: int) -> None:
    assert size(text) == value


@pytest.mark.parametrize("name", ["output", "cache_dir", "ca_file", "config"])
@pytest.mark.parametrize("text", ["", "models\0"])
def test_what_is_no_path_is_refused_and_not_taken_for_the_directory_that_one_is_in(
    name: str, text: str
) -> None:
    with pytest.raises(InvalidSetting, match="it is a path"):
        Settings.load(_HOME, {name: text})


def test_an_empty_path_in_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('cache_dir = ""')
    with pytest.raises(InvalidSetting, match="it is a path"):
        Settings.load(_HOME, {"config": file})


def test_a_home_that_nobody_has_is_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    with pytest.raises(InvalidSetting, match="there is no home directory"):
        Settings.load({"OCI_PULL_CACHE_DIR": "~/cache"})
    found = Settings.load({"OCI_PULL_CACHE_DIR": "/cache", "DOCKER_CONFIG": "~/.docker"})
    assert found.docker_config is None


@pytest.mark.parametrize("text", ["", "G", "1.G", "1e9", "-1", "1,5G", "2GiBs", "1P", "0"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|more than 0"):
        size(text)


@pytest.mark.parametrize("text", ["90s", "10m", "1h", "7d", "0.5s", "100m"])
def test_a_duration_is_told_as_it_was_typed(text: str) -> None:
    assert duration(seconds(text)) == text


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"HOME": "/home/ada"}, "/home/ada/.cache/oci-pull"),
        ({"HOME": "/home/ada", "XDG_CACHE_HOME": "/x"}, "/x/oci-pull"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/oci-pull"),
        ({"OCI_PULL_CACHE_DIR": "/c"}, "/c"),
    ],
)
def test_the_cache_is_where_the_environment_says(
    environ: dict[str, str], cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert Settings.load(environ).cache == Path(cache)


def test_without_a_home_the_cache_has_to_be_named() -> None:
    with pytest.raises(InvalidSetting) as caught:
        _ = Settings.load({}).cache
    assert "--cache-dir" in (caught.value.hint or "")


def test_the_docker_configuration_is_where_docker_has_it() -> None:
    assert Settings.load(_HOME).docker_config == Path("/home/ada/.docker")
    assert Settings.load({**_HOME, "DOCKER_CONFIG": "/d"}).docker_config == Path("/d")
    assert Settings.load({}).docker_config is None


def test_every_option_says_what_it_does() -> None:
    for name, option in OPTIONS.items():
        assert option.help, name
        assert option.group in ("where", "what", "how", "registry", "trust", "output")
