"""The commands from their words to what they print, in this process and over a real cache."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from oci_pull.cli.app import obey
from oci_pull.cli.arguments import rewrite
from oci_pull.errors import InvalidSetting
from tests import builders
from tests.e2e.models import model, put
from tests.fakes.registry import Auth, BlobFaults, FakeRegistry, ServerFaults
from tests.servers.push import write_layout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.content import Content

_MODEL = builders.docker_v02(model())
_SECRET = "s3cret-of-ada"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass(frozen=True)
class Command:
    """What a user types, in a home of their own."""

    home: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    def __call__(self, *words: str | Path, stdin: str = "") -> Said:
        self.patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        code = obey(rewrite([str(word) for word in words]))
        out, err = self.capture.readouterr()
        return Said(code, out, err)


@pytest.fixture
def command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCI_PULL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return Command(tmp_path, capsys, monkeypatch)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as found:
        yield found


@pytest.fixture
def reference(tmp_path: Path) -> str:
    write_layout(tmp_path / "layout", _MODEL, "v1")
    return f"oci:{tmp_path / 'layout'}:v1"


def sha256(content: Content) -> str:
    assert isinstance(content, bytes)
    return hashlib.sha256(content).hexdigest()


def spoil(path: Path) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"!")


# --- pull, plan, inspect


def test_a_pull_prints_the_directory_and_nothing_else(command: Command, reference: str) -> None:
    run = command(reference)
    assert run.code == 0
    assert Path(run.out.removesuffix("\n")).is_dir()
    assert command("cache", "path", reference).out == run.out
    again = command("pull", reference, "--format", "text")
    assert "unchanged" in again.out
    assert command(reference, "--format", "json").json["unchanged"] is True


def test_several_go_on_past_a_failure(command: Command, reference: str) -> None:
    run = command(f"{reference}x", reference, "--format", "json", "--progress", "none")
    assert run.code == 3
    failure, result = map(json.loads, run.out.splitlines())
    assert (failure["error"]["exit"], result["digest"]) == (3, _MODEL.digest)
    with pytest.raises(InvalidSetting, match="one -o DIR cannot hold several models"):
        command(reference, reference, "-o", command.home / "out")


def test_what_to_pin_is_written_where_nothing_failed(command: Command, reference: str) -> None:
    pins = command.home / "pins"
    assert command("plan", f"{reference}x", "--digest-file", pins).code == 3
    assert not pins.exists()
    for words in (("plan", reference), (reference, "--dry-run")):
        assert _MODEL.digest[:19] in command(*words, "--digest-file", pins).out
        assert pins.read_text() == f"{reference}@{_MODEL.digest}\n"
        pins.unlink()
    assert command(reference, "--dry-run", "--format", "json").json["digest"] == _MODEL.digest
    assert not list(command.cache.glob("models/*"))


def test_what_is_there_is_shown_as_words_or_as_it_is(command: Command, reference: str) -> None:
    assert command("inspect", reference, "--raw").out.encode() == _MODEL.manifest
    assert command("inspect", reference, "--format", "json").json["digest"] == _MODEL.digest
    assert _MODEL.digest in command("inspect", reference).out


def test_a_mistake_is_told_with_the_page_that_helps(command: Command) -> None:
    run = command("pull", "--jbos", "3", "ai/x")
    assert (run.code, run.out) == (2, "")
    assert "has no option --jbos" in run.err
    assert "--jobs" in run.err


# --- the cache


def test_the_models_are_listed_for_people_and_programs(command: Command, reference: str) -> None:
    assert command("cache", "ls").out == "REFERENCE  DIGEST  SIZE  USED\n"
    path = command(reference).out.strip()
    command(reference, "--include", "*.json")
    lines = command("cache", "ls").out.splitlines()
    name = f"{reference.removesuffix(':v1')}@{_MODEL.digest[:19]}"
    assert [line.split()[0] for line in lines] == ["REFERENCE", name, name]
    assert sum("(selection)" in line for line in lines) == 1
    found = command("cache", "ls", "--format", "json").json["models"]
    assert {each["digest"] for each in found} == {_MODEL.digest}
    assert path in {each["path"] for each in found}
    assert command("cache", "path", reference, "--format", "json").json["path"] == path


def test_one_file_for_the_engine_is_asked_for_where_there_is_one(
    command: Command, reference: str
) -> None:
    command(reference)
    run = command("cache", "path", reference, "--primary")
    assert run.code == 2
    assert "is a directory for the engine" in run.err
    write_layout(command.home / "layout", builders.docker_v02({"m.gguf": b"GGUF" * 100}), "gguf")
    gguf = f"oci:{command.home / 'layout'}:gguf"
    tree = Path(command(gguf).out.strip())
    assert Path(command("cache", "path", gguf, "--primary").out.strip()).parent == tree


def test_what_the_cache_takes_is_told(command: Command, reference: str) -> None:
    command(reference)
    found = command("cache", "df", "--format", "json").json
    assert (found["models"], found["partials"], found["oldest_partial"]) == (1, 0, None)
    assert found["on_disk"] > 0
    lines = command("cache", "df").out.splitlines()
    assert [line.split()[0] for line in lines] == ["models", "blobs", "partial", "free"]
    assert lines[-1].endswith(f"at {command.cache}")


def test_nothing_goes_unless_somebody_says_so(command: Command, reference: str) -> None:
    tree = Path(command(reference).out.strip())
    for words in (("rm", reference), ("prune", "--max-size", "1k")):
        run = command("cache", *words)
        assert run.code == 2
        assert "-y  to do it" in run.err
    dry = command("cache", "prune", "--max-size", "1k", "--dry-run")
    assert "would remove" in dry.out
    kept = command("cache", "prune", "--max-size", "1k", "-y", "--keep", reference)
    assert "it is on the list of those to keep" in kept.out
    assert tree.exists()
    gone = command("cache", "prune", "--max-size", "1k", "-y", "--format", "json").json
    assert [each["goes"] for each in gone["candidates"] if each["path"] == str(tree)] == [True]
    assert not tree.exists()


def test_a_model_is_removed_by_its_name(command: Command, reference: str) -> None:
    command(reference)
    run = command("cache", "rm", reference, "-y")
    assert run.out.startswith(f"removed       {reference.removesuffix(':v1')}@sha256:")
    assert not list(command.cache.glob("models/*"))
    assert command("cache", "rm", reference, "-y", "--format", "json").json["error"]["exit"] == 3


def test_damage_has_its_exit_code_until_it_is_mended(command: Command, reference: str) -> None:
    tree = Path(command(reference).out.strip())
    spoil(tree / "model.safetensors")
    found = command("cache", "verify", "--format", "json")
    assert (found.code, found.json["error"]["exit"]) == (8, 8)
    assert {each["became"] for each in found.json["damage"]} == {"damaged"}
    assert "--repair" in command("cache", "verify", reference).err
    mended = command("cache", "verify", "--repair")
    assert mended.code == 0
    assert command("cache", "verify").out.endswith("all of it right\n")


def test_a_password_is_for_no_registry_that_nobody_named(
    command: Command, registry: FakeRegistry
) -> None:
    with FakeRegistry() as other:
        trees = [
            Path(command(put(each, builders.docker_v02(model(seed=port)))).out.strip())
            for port, each in enumerate((registry, other))
        ]
        for tree in trees:
            spoil(tree / "model.safetensors")
        registry.auth = other.auth = Auth(users={"ada": _SECRET}, anonymous=False)
        words = ("cache", "verify", "--username", "ada", "--password-stdin")
        with pytest.raises(InvalidSetting, match="--username is for one registry, and these are 2"):
            command(*words, "--repair", stdin=_SECRET)
        # Nobody is asked for anything.
        assert command(*words, stdin=_SECRET).code == 8
        asked = [each.headers.get("authorization", "") for each in other.requests]
        assert not any(each.startswith("Basic") for each in asked)
        name = f"{registry.address}/team/model:v1"
        assert command(*words, "--repair", name, stdin=_SECRET).code == 0
        command("cache", "rm", "-y", name)
        assert command(*words, "--repair", stdin=_SECRET).code == 0


def test_a_model_that_lost_its_receipt_is_asked_for_by_its_directory(
    command: Command, reference: str
) -> None:
    command(reference)
    name = f"[++1]+5000/team/model@{_MODEL.digest[7:19]}"
    shutil.rmtree(command.cache / "models/layout")
    (command.cache / "models" / name).mkdir(parents=True)
    (command.cache / "blobs/sha256" / sha256(model()["config.json"])).unlink()
    run = command("cache", "verify", "--repair", "--offline", "--format", "json")
    lost = {each["name"]: each["reason"] for each in run.json["lost"]}
    assert "offline, and [::1]:5000/team/model@sha256:" in lost[name]


# --- warm


def test_a_list_and_names_are_kept_warm(command: Command, reference: str) -> None:
    (command.home / "models.txt").write_text(f"# ours\n{reference} --include '*.json'\n")
    metrics = command.home / "m.prom"
    words = ("warm", "./models.txt", reference, "-", "--metrics-file", metrics, "--jitter", "1ms")
    run = command(*words, stdin=f"{reference}\n{reference}x\n")
    assert run.code == 3
    assert len(run.out.splitlines()) == 2
    assert "2 of 3 ready, 1 failed" in run.err
    assert "oci_pull_failures 1" in metrics.read_text()


def test_what_is_not_on_the_list_makes_room(command: Command, reference: str) -> None:
    write_layout(command.home / "layout", builders.docker_v02(model(seed=1)), "v2")
    old = Path(command(f"{reference.removesuffix('v1')}v2").out.strip())
    run = command("warm", reference, "--max-size", "1k")
    assert "Pruned" in run.err
    assert not old.exists()
    assert Path(run.out.strip()).is_dir()


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["/nowhere.txt"], "", "the list /nowhere.txt cannot be read: No such file"),
        (["UPPER/CASE"], "", "repositories are lower case"),
        (["-"], "ai/x --output y", "stdin line 1: --output is not an option of one line"),
        (["-", "--username", "ada", "--password-stdin"], "ai/x", "cannot be the list and the pass"),
        (["ai/x", "--max-size", "much"], "", "--max-size: 'much' is not right"),
        (["ai/x", "ghcr.io/a/b", "--username", "ada"], "", "is for one registry, and these are 2"),
    ],
)
def test_a_list_that_cannot_be_is_told_before_anything_is_fetched(
    command: Command, words: list[str], stdin: str, said: str
) -> None:
    run = command("warm", *words, stdin=stdin)
    assert run.code == 2
    assert said in run.err
    assert not command.cache.exists()


def test_a_list_that_is_no_text_is_told(command: Command) -> None:
    (command.home / "models").write_bytes(b"\xff\xfe")
    assert "the list models cannot be read: it is not text" in command("warm", "models").err


# --- login and doctor


def test_a_credential_is_kept_and_forgotten(command: Command, registry: FakeRegistry) -> None:
    registry.auth = Auth(users={"ada": _SECRET}, anonymous=False)
    host = registry.address
    run = command("login", host, "-u", "ada", "--password-stdin", stdin=f"{_SECRET}\n")
    assert (run.code, run.out) == (0, "")
    assert f"{host} as 'ada', kept in" in run.err
    kept = json.loads((command.home / ".docker/config.json").read_text())["auths"][host]["auth"]
    assert base64.b64decode(kept).decode() == f"ada:{_SECRET}"
    assert "removed from" in command("logout", host).err
    assert "there was no credential" in command("logout", host).err
    assert command("logout", host, "-q").err == ""


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        ([], "", "there is no terminal to ask for a password at"),
        (["--password-stdin"], _SECRET, "reads a password, and nobody says whose"),
        (["-u", "ada", "--password-stdin"], "", "is empty"),
        (["-u", "a:b", "--password-stdin"], _SECRET, "without a colon"),
    ],
)
def test_who_logs_in_has_to_be_said(
    command: Command, words: list[str], stdin: str, said: str
) -> None:
    with pytest.raises(InvalidSetting, match=said):
        command("login", "registry.example", *words, stdin=stdin)


def test_a_password_is_for_the_pull_that_it_was_given_to(
    command: Command, registry: FakeRegistry
) -> None:
    reference = put(registry, _MODEL)
    registry.auth = Auth(users={"ada": _SECRET}, anonymous=False)
    assert command(reference).code == 4
    words = ("--username", "ada", "--password-stdin", reference)
    assert command(*words, stdin=_SECRET).code == 0
    assert not (command.home / ".docker").exists()


_STEPS = ("name", "connect", "tls", "registry", "token", "manifest", "rate limit")


def states(run: Said) -> list[str]:
    found = {each["name"]: each["state"] for each in run.json["checks"]}
    return [found[step] for step in _STEPS]


def test_the_way_to_a_model_is_tried_step_by_step(command: Command, registry: FakeRegistry) -> None:
    words = ("--format", "json", "--retries", "0")
    reference = put(registry, _MODEL)
    assert states(command("doctor", *words)) == ["skipped"] * 7
    all_is_well = ["ok", "ok", "warning", "ok", "ok", "ok", "ok"]
    assert states(command("doctor", reference, *words)) == all_is_well
    alone = command("doctor", registry.address, *words)
    assert states(alone) == [*all_is_well[:5], "skipped", "skipped"]
    missing = command("doctor", f"{reference}x", *words)
    assert missing.code == 3
    assert states(missing) == [*all_is_well[:5], "failed", "skipped"]
    assert states(command("doctor", "--offline", reference, *words)) == ["skipped"] * 7


def test_who_is_not_let_in_is_told_at_the_token(command: Command, registry: FakeRegistry) -> None:
    reference = put(registry, _MODEL)
    registry.auth = Auth(users={"ada": _SECRET}, private=["team/model"])
    run = command("doctor", reference, "--format", "json", "--retries", "0")
    assert run.code == 4
    assert "failed" in states(run)[4:6]
    words = ("--username", "ada", "--password-stdin", "--format", "json")
    assert command("doctor", reference, *words, stdin=_SECRET).code == 0


def test_nobody_at_the_other_end_is_a_failed_connection(command: Command) -> None:
    with FakeRegistry() as gone:
        address = gone.address
    run = command("doctor", f"{address}/a/b", "--format", "json", "--retries", "0")
    assert run.code == 5
    assert states(run) == ["ok", "failed", *["skipped"] * 5]


def test_a_layout_is_looked_into(command: Command, reference: str) -> None:
    run = command("doctor", reference)
    assert run.code == 0
    assert any(_MODEL.digest in line for line in run.out.splitlines())
    assert command("doctor", f"{reference}x").code == 3


def test_a_configuration_that_cannot_be_read_is_a_finding(command: Command) -> None:
    file = command.home / "config.toml"
    file.write_text("jobs = = 3\n")
    run = command("doctor", "--config", file, "--format", "json")
    assert run.code == 2
    assert run.json["checks"][0]["state"] == "failed"
    assert str(file) in run.json["error"]["message"]


@pytest.mark.parametrize(
    ("faults", "step", "said"),
    [
        (ServerFaults(html=True), "registry", "it is not an OCI registry"),
        (ServerFaults(ping_status=404), "registry", "answers 404 at /v2/"),
    ],
)
def test_what_is_no_registry_is_told(
    command: Command, registry: FakeRegistry, faults: ServerFaults, step: str, said: str
) -> None:
    reference = put(registry, _MODEL)
    registry.server_faults = faults
    run = command("doctor", reference, "--format", "json", "--retries", "0")
    assert run.code == 5
    failed = {
        each["name"]: each["message"] for each in run.json["checks"] if each["state"] == "failed"
    }
    assert failed.keys() == {step}
    assert said in failed[step]


def test_a_limit_that_is_used_up_is_a_warning(command: Command, registry: FakeRegistry) -> None:
    reference = put(registry, _MODEL)
    told = {"RateLimit-Limit": "100;w=21600", "Docker-RateLimit-Source": "203.0.113.7"}
    for left, state in (("3", "ok"), ("0", "warning")):
        registry.server_faults = ServerFaults(
            headers={**told, "RateLimit-Remaining": f"{left};w=21600"}
        )
        run = command("doctor", reference, "--format", "json")
        assert states(run)[-1] == state
        facts = run.json["checks"][-1]["facts"]
        assert (facts["remaining"], facts["source"]) == (int(left), "203.0.113.7")


def test_a_cache_that_is_of_no_use_is_a_finding(command: Command, reference: str) -> None:
    command(reference)
    (command.cache / "version").write_text("99\n")
    run = command("doctor", "--format", "json")
    assert run.code == 7
    found = {each["name"]: each["state"] for each in run.json["checks"]}
    assert (found["cache"], found["links"]) == ("failed", "skipped")
    for words in (("ls",), ("df",), ("verify",), ("prune", "-y"), ("path", reference)):
        assert command("cache", *words).code == 7


def test_mirrors_are_told_in_their_order(command: Command, registry: FakeRegistry) -> None:
    reference = put(registry, _MODEL)
    words = ("--mirror", "https://one.example", "--mirror", "https://two.example")
    run = command("doctor", reference, *words, "--format", "json", "--offline")
    facts = next(each for each in run.json["checks"] if each["name"] == "mirrors")["facts"]
    assert facts["mirrors"] == ["https://one.example", "https://two.example"]


# --- what a look at this machine adds to a failure


def test_a_name_that_is_nearly_right_is_shown_offline(
    command: Command, registry: FakeRegistry
) -> None:
    reference = put(registry, _MODEL)
    command(reference)
    run = command("--offline", reference.replace("model:", "models:"))
    assert run.code == 12
    assert f"a name that is there: {reference}" in run.err
    assert f"try: oci-pull --offline {reference}" in run.err


def test_a_download_that_was_begun_is_told_offline(
    command: Command, registry: FakeRegistry
) -> None:
    reference = put(registry, _MODEL)
    registry.blob_faults = BlobFaults(cut_after=3000)
    assert command(reference, "--retries", "0").code == 5
    (listed,) = command("cache", "ls", "--partial", "--format", "json").json["partials"]
    assert (listed["reference"], listed["owner"]) == (reference, None)
    line = command("cache", "ls", "--partial").out.splitlines()[1]
    assert (line.split()[0], line.split()[-1]) == (reference, "nobody")
    shutil.rmtree(command.cache / "refs", ignore_errors=True)
    run = command("--offline", reference)
    assert run.code == 12
    assert "a download of it was begun, and is not finished" in run.err


def test_what_could_go_is_told_where_there_is_no_room(command: Command, reference: str) -> None:
    tree = Path(command(reference).out.strip())
    for path in (command.cache / "used").rglob("*@*"):
        os.utime(path, (0, 0))
    write_layout(command.home / "layout", builders.docker_v02(model(seed=1)), "v2")
    full = type("Disk", (), {"free": 0, "total": 10**9})
    command.patch.setattr("shutil.disk_usage", lambda _: full)
    run = command(f"{reference.removesuffix('v1')}v2")
    assert run.code == 7
    assert "of models that were not used for 30d can go" in run.err
    assert "oci-pull cache prune --older-than 30d --dry-run" in run.err
    typed = command("--cache-dir", command.cache, f"{reference.removesuffix('v1')}v2")
    assert f"--older-than 30d --cache-dir {command.cache} --dry-run" in typed.err
    assert tree.exists()


class Terminal(io.TextIOWrapper):
    """A stream that somebody sits at."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "stays"), [("y\n", False), ("n\n", True), ("", True)])
def test_whoever_sits_there_is_asked_before_something_goes(
    command: Command, reference: str, answer: str, stays: bool
) -> None:
    tree = Path(command(reference).out.strip())
    command.patch.setattr(sys, "stdin", Terminal(io.BytesIO(answer.encode())))
    command.patch.setattr(sys, "stderr", shown := Terminal(io.BytesIO()))
    assert obey(["cache", "rm", reference]) == (2 if stays else 0)
    shown.seek(0)
    told = shown.read()
    assert told.startswith("would remove  oci:")
    assert "remove? [y/N] " in told
    assert tree.exists() is stays
