"""The configuration file: its keys, its values, its lines, and what wins over what."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oci_pull.errors import InvalidSetting
from oci_pull.oci.mirror import Mirror
from oci_pull.oci.reference import Reference
from oci_pull.settings import OPTIONS, PREFIX, RegistrySettings, Settings
from tests.unit.adapters.support import without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Load = Callable[..., Settings]


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every user may look into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings of a user whose file has this text."""

    def load_it(
        text: str = "",
        *,
        environ: Mapping[str, str] | None = None,
        system: str | None = None,
        **given: object,
    ) -> Settings:
        if text:
            _write(tmp_path / ".config/oci-pull/config.toml", text)
        if system is not None:
            _write(tmp_path / "etc/oci-pull/config.toml", system)
        whole = {"HOME": str(tmp_path), **(environ or {})}
        return Settings.load(whole, given, etc=tmp_path / "etc")

    return load_it


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def _refused(load: Load, text: str) -> InvalidSetting:
    with pytest.raises(InvalidSetting) as caught:
        load(text)
    return caught.value


# --- what wins


def test_a_flag_wins_over_a_variable_that_over_the_file_and_that_over_the_default(
    load: Load,
) -> None:
    text = "jobs = 2\nretries = 2\nstall-timeout = 2\n"
    environ = {"OCI_PULL_JOBS": "3", "OCI_PULL_RETRIES": "3"}
    settings = load(text, environ=environ, jobs=4)
    found = (settings.jobs, settings.retries, settings.stall_timeout, settings.connect_timeout)
    assert found == (4, 3, 2.0, 10.0)


def test_every_value_knows_where_it_came_from(load: Load, tmp_path: Path) -> None:
    text = '\njobs = 2\n\nretries = 2\n[registry."ghcr.io"]\nstray = 1\n'.replace("stray", "jobs")
    settings = load(text, environ={"OCI_PULL_RETRIES": "3"}, quiet=True)
    file = tmp_path / ".config/oci-pull/config.toml"
    wanted = {
        "jobs": f"{file} line 2",
        "retries": "OCI_PULL_RETRIES",
        "quiet": "--quiet",
        "output": "default",
        "registry.ghcr.io.jobs": f"{file} line 6",
    }
    assert {name: settings.origins[name] for name in wanted} == wanted
    assert settings.origins.keys() >= OPTIONS.keys()


def test_the_users_file_is_on_top_of_the_machines_key_by_key(load: Load) -> None:
    settings = load(
        'jobs = 2\n[registry."a.io"]\njobs = 2\n',
        system='jobs = 3\nretries = 3\n[registry."a.io"]\njobs = 3\ninsecure = true\n'
        '[registry."b.io"]\njobs = 3\n',
    )
    assert (settings.jobs, settings.retries) == (2, 3)
    assert settings.tables == {
        "a.io": RegistrySettings(jobs=2, insecure=True),
        "b.io": RegistrySettings(jobs=3),
    }


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_a_file_that_is_named_is_the_only_one(load: Load, tmp_path: Path, way: str) -> None:
    _write(tmp_path / "mine.toml", "jobs = 5\n")
    name = str(tmp_path / "mine.toml")
    environ = {"OCI_PULL_CONFIG": name} if way == "variable" else {}
    given = {"config": name} if way == "flag" else {}
    settings = load("retries = 1\n", system="retries = 2\n", environ=environ, **given)
    assert (settings.jobs, settings.retries) == (5, 8)
    assert settings.config == tmp_path / "mine.toml"
    assert settings.origins["config"] == ("--config" if given else PREFIX + "CONFIG")


def test_xdg_says_where_the_file_is(load: Load, tmp_path: Path) -> None:
    _write(tmp_path / "xdg/oci-pull/config.toml", "jobs = 5\n")
    assert load("jobs = 2\n", environ={"XDG_CONFIG_HOME": str(tmp_path / "xdg")}).jobs == 5


def test_no_file_is_missed(load: Load) -> None:
    assert load().jobs == 8


def test_options_of_a_later_call_say_so(load: Load) -> None:
    settings = load("jobs = 2\n").with_options({"jobs": 6})
    assert (settings.jobs, settings.origins["jobs"]) == (6, "--jobs")


def test_a_file_is_for_loading_only(load: Load) -> None:
    with pytest.raises(TypeError, match="config"):
        load().with_options({"config": "x.toml"})


# --- files that cannot be read


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_a_file_that_is_named_has_to_be_there(load: Load, tmp_path: Path, way: str) -> None:
    name = str(tmp_path / "none.toml")
    environ = {"OCI_PULL_CONFIG": name} if way == "variable" else {}
    with pytest.raises(InvalidSetting, match=r"none\.toml cannot be read") as caught:
        load(environ=environ, **({"config": name} if way == "flag" else {}))
    named = "--config" if way == "flag" else "OCI_PULL_CONFIG"
    assert named in (caught.value.hint or "")


def test_a_directory_in_the_place_of_the_file_is_told(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".config/oci-pull/config.toml").mkdir(parents=True)
    with pytest.raises(InvalidSetting, match=r"config\.toml cannot be read"):
        load()


def test_a_file_that_is_no_text_is_told(load: Load, tmp_path: Path) -> None:
    load("jobs = 2\n")
    (tmp_path / ".config/oci-pull/config.toml").write_bytes(b"jobs = \xff\n")
    with pytest.raises(InvalidSetting, match="UTF-8"):
        load()


def test_a_file_that_is_there_and_may_not_be_read_is_told(load: Load, open_path: Path) -> None:
    file = open_path / ".config/oci-pull/config.toml"
    _write(file, "jobs = 2\n")
    file.chmod(0)
    with without_privileges(), pytest.raises(InvalidSetting, match="Permission denied"):
        load(environ={"HOME": str(open_path)})


@pytest.mark.parametrize("hidden", ["user", "machine"])
def test_what_may_not_even_be_seen_is_not_there(open_path: Path, hidden: str) -> None:
    _write(open_path / "private/oci-pull/config.toml", "jobs = 2\n")
    (open_path / "private").chmod(0o700)
    environ = {"HOME": str(open_path)}
    if hidden == "user":
        environ["XDG_CONFIG_HOME"] = str(open_path / "private")
    etc = open_path / ("private" if hidden == "machine" else "etc")
    with without_privileges():
        assert Settings.load(environ, etc=etc).jobs == 8


def test_a_file_of_the_machine_that_may_not_be_read_is_not_there(open_path: Path) -> None:
    file = open_path / "etc/oci-pull/config.toml"
    _write(file, "jobs = 2\n")
    file.chmod(0)
    with without_privileges():
        assert Settings.load({"HOME": str(open_path)}, etc=open_path / "etc").jobs == 8


# --- keys


@pytest.mark.parametrize(
    ("text", "line", "words", "hint"),
    [
        ("\ncache-dri = '/c'\n", 2, "'cache-dri'", "cache-dir?"),
        ("job = 2\n", 1, "'job'", "jobs?"),
        ("jobs = 1\npassword = 'x'\n", 2, "'password'", "secrets"),
        ("\n\nmirrors = []\n", 3, "'mirrors'", '[registry."HOST"]'),
        ("config = '/c'\n", 1, "'config'", ""),
        ("[registry.'a.io']\ncafile = 'x'\n", 2, "'cafile'", "ca_file?"),
        ("[registry.'a.io']\n\npassword = 'x'\n", 3, "'password'", "secrets"),
        ("[registry.'a.io']\nretries = 1\n", 2, "'retries'", "above"),
        ("# all\n[registy.'a.io']\njobs = 1\n", 2, "'registy'", "registry?"),
        ("registry.'a.io'.job = 1\n", 1, "'job'", "jobs?"),
        ("include = [\n 'a',\n 'b',\n]\njob = 1\n", 5, "'job'", "jobs?"),
        ('root = """\njob = 1\n"""\n[registry]\n[registry.x]\nkob = 1\n', 6, "'kob'", ""),
    ],
)
def test_a_key_that_there_is_none_of_is_told_with_its_line(
    load: Load, tmp_path: Path, text: str, line: int, words: str, hint: str
) -> None:
    error = _refused(load, text)
    assert error.message.startswith(f"{tmp_path}/.config/oci-pull/config.toml line {line}: ")
    assert words in error.message
    assert hint in (error.hint or "")


def test_keys_have_dashes_or_underscores(load: Load) -> None:
    settings = load("stall-timeout = 4\nconnect_timeout = 5\n")
    assert (settings.stall_timeout, settings.connect_timeout) == (4, 5)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("max-wait = 1\nmax_wait = 2\n", 2),
        ("[registry.'docker.io']\njobs = 1\n[registry.'index.docker.io']\njobs = 2\n", 3),
        ("[registry.'A.io']\n[registry.'a.io']\n", 2),
    ],
)
def test_what_is_said_twice_is_told(load: Load, text: str, line: int) -> None:
    error = _refused(load, text)
    assert f"line {line}: " in error.message
    assert "already" in error.message


@pytest.mark.parametrize(
    ("text", "line"),
    [("jobs = \n", 1), ("jobs = 1\n\nretries = [1,\n", 3), ("jobs = 1\njobs = 2\n", 2), ("x", 1)],
)
def test_what_is_no_toml_is_told_with_its_line(load: Load, text: str, line: int) -> None:
    assert f"line {line}: it is not TOML" in _refused(load, text).message


@pytest.mark.parametrize("text", ["registry = 1\n", "registry = ['a.io']\n", "registry.a = 1\n"])
def test_what_is_said_of_a_registry_is_a_table(load: Load, text: str) -> None:
    assert "is a table" in _refused(load, text).message


# --- values


def test_values_are_typed_or_text(load: Load, tmp_path: Path) -> None:
    settings = load(
        'jobs = 3\nlimit-rate = "50M"\nmax-bytes = 1000\nretries = "2"\noffline = true\n'
        'quiet = "yes"\nstall-timeout = 1.5\nconnect-timeout = "1m"\ninclude = ["*.json", "a,b"]\n'
        'exclude = "*.bin"\nselect = ["quant=int8"]\nusername = "ada"\nformat = "json"\n'
        'mirror = ["ghcr.io=https://m.example"]\n'
    )
    assert (settings.jobs, settings.limit_rate, settings.max_bytes) == (3, 50_000_000, 1000)
    assert (settings.retries, settings.offline, settings.quiet) == (2, True, True)
    assert (settings.stall_timeout, settings.connect_timeout) == (1.5, 60.0)
    assert (settings.include, settings.exclude) == (("*.json", "a,b"), ("*.bin",))
    assert (settings.select, settings.username) == ((("quant", "int8"),), "ada")
    assert (settings.format, settings.mirror) == ("json", (("ghcr.io", Mirror("m.example")),))


def test_paths_are_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    settings = load(
        'cache-dir = "cache"\noutput = "/models"\nauthfile = "~/auth.json"\n'
        'extra_cache_dirs = ["/mnt/a", "b"]\nkeep = ["ai/smollm2"]\n'
        '[registry."a.io"]\nca_file = "ca.pem"\nclient_cert = "~/c.pem"\n'
    )
    here = tmp_path / ".config/oci-pull"
    assert (settings.cache_dir, settings.output) == (here / "cache", Path("/models"))
    assert settings.authfile == tmp_path / "auth.json"
    assert settings.extra_cache_dirs == (Path("/mnt/a"), here / "b")
    assert settings.keep == ("ai/smollm2",)
    table = settings.tables["a.io"]
    assert (table.ca_file, table.client_cert) == (here / "ca.pem", tmp_path / "c.pem")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\njobs = 0\n", 2, "from 1 to"),
        ("jobs = true\n", 1, "true is not right"),
        ("offline = 1\n", 1, "true or false"),
        ("offline = 'perhaps'\n", 1, "yes or no"),
        ("cache-dir = 5\n", 1, "text in quotes"),
        ("format = 'yaml'\n", 1, "one of"),
        ("retries = -1\n", 1, "a number"),
        ("stall-timeout = 'soon'\n", 1, "30s"),
        ("include = [1]\n", 1, "text in quotes"),
        ("username = ['ada']\n", 1, "text in quotes"),
        ("root = 2026-01-01\n", 1, "text in quotes"),
        ("[registry.'a.io']\n\nmirrors = ['ftp://x']\n", 3, "http or https"),
        ("[registry.'a.io']\nmirrors = [{url = 'm.io', tag = false}]\n", 2, "tags = false"),
        ("[registry.'a.io']\nmirrors = [{tags = false}]\n", 2, "url"),
        ("[registry.'a.io']\nmirrors = [{url = 'm.io', tags = 'no'}]\n", 2, "tags = false"),
        ("[registry.'a.io']\n[[registry.'a.io'.mirrors]]\nurl = 'a b'\n", 2, "looks like"),
        ("[registry.'a.io']\njobs = 1000\n", 2, "from 1 to"),
        ("[registry.'a.io']\nplain_http = 'x'\n", 2, "yes or no"),
    ],
)
def test_a_value_that_cannot_be_is_told_with_its_line(
    load: Load, text: str, line: int, words: str
) -> None:
    error = _refused(load, text)
    assert f"config.toml line {line}: " in error.message
    assert words in error.message


# --- registries


def test_the_table_of_a_registry(load: Load) -> None:
    settings = load(
        '[registry."index.docker.io"]\n'
        'mirrors = ["https://M.example/hub", {url = "http://n.example:5000", tags = false}]\n'
        "plain_http = true\ninsecure = true\nprivate_redirects = true\njobs = 2\n"
        'credential_helper = "ecr-login"\ntoken-hosts = ["auth.example"]\n'
    )
    assert settings.tables == {
        "docker.io": RegistrySettings(
            mirrors=(
                Mirror("m.example", "hub"),
                Mirror("n.example:5000", plain_http=True, tags=False),
            ),
            plain_http=True,
            insecure=True,
            private_redirects=True,
            jobs=2,
            credential_helper="ecr-login",
            token_hosts=("auth.example",),
        )
    }


def test_what_the_command_line_says_is_not_for_registries_that_it_does_not_name(
    load: Load,
) -> None:
    settings = load(
        'mirror = ["https://for-the-named.example", "b.io=https://for-b.example"]\n'
        "insecure = true\nplain_http = true\n"
        "[registry.'a.io']\nmirrors = ['https://of-a.example']\njobs = 3\n"
        "[registry.'b.io']\nmirrors = ['https://of-b.example']\n"
    )
    assert settings.registry("c.io").mirrors == (Mirror("for-the-named.example"),)
    assert settings.unnamed_registry("c.io") == RegistrySettings()
    assert settings.unnamed_registry("a.io") == RegistrySettings(
        mirrors=(Mirror("of-a.example"),), jobs=3
    )
    assert settings.unnamed_registry("b.io").mirrors == (Mirror("for-b.example"),)


def test_mirrors_may_be_tables_of_their_own(load: Load) -> None:
    text = "[[registry.'a.io'.mirrors]]\nurl = 'm.io'\n[[registry.'a.io'.mirrors]]\nurl = 'n.io'\n"
    assert load(text).registry("a.io").mirrors == (Mirror("m.io"), Mirror("n.io"))


def test_the_command_line_wins_over_the_table(load: Load) -> None:
    text = "[registry.'a.io']\nmirrors = ['m.io']\nca_file = '/a.pem'\n"
    own = load(text, mirror=["n.io", "b.io=o.io"], ca_file="/b.pem").registry("a.io")
    assert (own.mirrors, own.ca_file) == ((Mirror("n.io"),), Path("/b.pem"))
    assert load(text, mirror=["b.io=o.io"]).registry("a.io").mirrors == (Mirror("m.io"),)


def test_a_mirror_of_docker_hub_may_name_it_as_people_do(load: Load) -> None:
    settings = load(mirror=["Index.Docker.io=m.io"])
    assert settings.registry("docker.io").mirrors == (Mirror("m.io"),)


@pytest.mark.parametrize(
    ("text", "environ", "given", "jobs"),
    [
        ("", {}, {}, 8),
        ("[registry.'a.io']\njobs = 2\n", {}, {}, 2),
        ("[registry.'b.io']\njobs = 2\n", {}, {}, 8),
        ("jobs = 3\n[registry.'a.io']\njobs = 2\n", {}, {}, 2),
        ("jobs = 3\n[registry.'a.io']\nplain_http = true\n", {}, {}, 3),
        ("[registry.'a.io']\njobs = 2\n", {"OCI_PULL_JOBS": "4"}, {}, 4),
        ("[registry.'a.io']\njobs = 2\n", {}, {"jobs": "8"}, 8),
    ],
)
def test_the_jobs_of_a_registry_are_for_those_who_gave_none(
    load: Load, text: str, environ: dict[str, str], given: dict[str, object], jobs: int
) -> None:
    settings = load(text, environ=environ, **given)
    assert settings.jobs_for(Reference.parse("a.io/team/model")) == jobs


# --- secrets, and whose files there are


@pytest.mark.parametrize("url", ["https://ada:secret@m.io", "a.io=https://ada:secret@m.io"])
def test_no_message_has_a_password(load: Load, url: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(mirror=[url])
    assert "secret" not in str(caught.value)
    with pytest.raises(InvalidSetting) as caught:
        load(environ={"OCI_PULL_MIRROR": url})
    assert "secret" not in str(caught.value)
    assert "secret" not in _refused(load, f"mirror = ['{url}']\n").message


def test_where_docker_and_podman_may_name_mirrors(tmp_path: Path) -> None:
    settings = Settings.load({"HOME": "/home/ada"}, etc=tmp_path)
    home = Path("/home/ada/.config")
    assert settings.docker_daemons == (home / "docker/daemon.json", tmp_path / "docker/daemon.json")
    conf = "containers/registries.conf"
    assert settings.containers_registries == (home / conf, tmp_path / conf)
    assert settings.containers_dropins == (tmp_path / f"{conf}.d", home / f"{conf}.d")


def test_podman_may_be_told_of_another_file(tmp_path: Path) -> None:
    environ = {"CONTAINERS_REGISTRIES_CONF": "/mine.conf", "XDG_CONFIG_HOME": "/x"}
    settings = Settings.load(environ, etc=tmp_path)
    assert settings.containers_registries == (Path("/mine.conf"),)
    assert settings.docker_daemons[0] == Path("/x/docker/daemon.json")
