"""`oci-pull warm`: a list, from cron."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.command import until
from tests.e2e.models import MIB, pack_around, put, raw_layer
from tests.fakes.registry import Auth, BlobFaults

if TYPE_CHECKING:
    from tests.e2e.command import Command
    from tests.fakes.registry import FakeRegistry

_SHARED = b"shared" * (MIB // 6)


@pytest.fixture
def names(registry: FakeRegistry) -> list[str]:
    return [
        put(
            registry,
            pack_around(raw_layer("own.json", name.encode() * 1000), raw_layer("s.json", _SHARED)),
            repository=f"team/{name}",
        )
        for name in ("one", "two")
    ]


def _listed(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def _blobs_of(registry: FakeRegistry) -> int:
    return sum(each.kind == "blob" for each in registry.requests)


def test_a_list_is_fetched_past_failures(
    registry: FakeRegistry, oci_pull: Command, names: list[str], tmp_path: Path
) -> None:
    one, two = names
    missing = one.replace("one", "none")
    lines = ("# models", "", f"{one}  # the first", missing, f"{two} --include '*.json'", one)
    metrics = tmp_path / "m.prom"
    listed = _listed(tmp_path / "models.txt", *lines)
    run = oci_pull("warm", str(listed), "--metrics-file", str(metrics))
    assert run.code == 3, run
    assert len(run.stdout.splitlines()) == 2
    assert "2 of 3 ready, 1 failed" in run.stderr
    # What both have was fetched once.
    served = [each.path for each in registry.requests if each.kind == "blob"]
    assert len(served) == len(set(served))
    text = metrics.read_text()
    assert f'oci_pull_last_exit_code{{reference="{missing}"}} 3' in text
    assert f'oci_pull_last_exit_code{{reference="{one}"}} 0' in text
    assert f'oci_pull_last_success_timestamp_seconds{{reference="{missing}"}}' not in text
    assert "oci_pull_failures 1" in text
    before = _blobs_of(registry)
    again = oci_pull("warm", str(listed), "--format", "json", "-q")
    assert again.code == 3
    assert _blobs_of(registry) == before


def test_the_last_success_is_kept_over_a_failure(
    registry: FakeRegistry, oci_pull: Command, names: list[str], tmp_path: Path
) -> None:
    metrics = tmp_path / "m.prom"
    listed = _listed(tmp_path / "models.txt", names[0])
    words = ("warm", str(listed), "--metrics-file", str(metrics), "--retries", "0")
    oci_pull(*words).must_succeed()
    (success,) = (
        line for line in metrics.read_text().splitlines() if "success" in line and line[0] != "#"
    )
    put(registry, pack_around(raw_layer("own.json", b"new" * MIB)), repository="team/one")
    registry.blob_faults = BlobFaults(cut_after=1000)
    assert oci_pull(*words).code == 5
    text = metrics.read_text()
    assert success in text.splitlines()
    assert f'oci_pull_last_exit_code{{reference="{names[0]}"}} 5' in text


def test_the_list_may_come_on_stdin(oci_pull: Command, names: list[str], tmp_path: Path) -> None:
    with _listed(tmp_path / "list", *names).open("rb") as stdin:
        run = oci_pull("warm", "-", stdin=stdin).must_succeed()
    assert len(run.stdout.splitlines()) == len(names)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("UPPER/CASE", "line 2"),
        ("a/b c/d", "2 references"),
        ("a/b --output x", "--output is not an option of one line"),
        ("a/b --platform nonsense", "platform"),
        ("a/b 'open", "line 2"),
        ("--include x", "0 references"),
        ("a/b --include", "needs a value"),
        ("a/b --datasets=yes", "takes no value"),
    ],
)
def test_a_wrong_line_is_told_before_anything_is_fetched(
    registry: FakeRegistry,
    oci_pull: Command,
    names: list[str],
    tmp_path: Path,
    line: str,
    said: str,
) -> None:
    listed = _listed(tmp_path / "models.txt", names[0], line)
    run = oci_pull("warm", str(listed)).must_fail(2)
    assert "models.txt line 2" in run.stderr
    assert said in run.stderr
    assert list(registry.requests) == []


@pytest.mark.parametrize("word", ["/nowhere.txt", "./nowhere.txt", "."])
def test_a_list_that_is_not_there_is_told(oci_pull: Command, word: str) -> None:
    assert f"the list {word} cannot be read" in oci_pull("warm", word).must_fail(2).stderr


def test_lists_and_references_may_be_mixed(
    registry: FakeRegistry, oci_pull: Command, names: list[str]
) -> None:
    three, four = (
        put(registry, pack_around(raw_layer("own.json", name.encode())), repository=name)
        for name in ("three", "four")
    )
    # In the current directory, and a name like that of a repository.
    _listed(oci_pull.home / "models", names[0], three)
    (oci_pull.home / "library").mkdir()
    with _listed(oci_pull.home / "stdin", f"{names[1]} --include '*.json'").open("rb") as stdin:
        run = oci_pull("warm", four, "models", "-", three, stdin=stdin).must_succeed()
    pulled = [path.partition("/models/")[2].partition("@")[0] for path in run.stdout.splitlines()]
    host = registry.address.replace(":", "+")
    assert pulled == [f"{host}/{name}" for name in ("four", "team/one", "three", "team/two")]
    assert "4 of 4 ready" in run.stderr


def test_what_is_neither_a_file_nor_a_path_is_a_reference(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    put(registry, pack_around(raw_layer("own.json", b"{}")), repository="library", tag="latest")
    (oci_pull.home / "library").mkdir()
    words = ("--default-registry", registry.address, "warm", "library")
    assert "/library@" in oci_pull(*words).must_succeed().stdout
    assert "repositories are lower case" in oci_pull("warm", "UPPER/CASE").must_fail(2).stderr


def test_a_token_is_asked_for_once_in_a_run(
    registry: FakeRegistry, oci_pull: Command, names: list[str], tmp_path: Path
) -> None:
    registry.auth = Auth(users={"ada": "secret"}, anonymous=False)
    tags = [
        put(
            registry,
            pack_around(raw_layer("own.json", tag.encode())),
            repository="team/one",
            tag=tag,
        )
        for tag in ("v2", "v3")
    ]
    login = ("--username", "ada", "--password-stdin")
    (tmp_path / "password").write_text("secret")
    with (tmp_path / "password").open("rb") as stdin:
        run = oci_pull("warm", *login, *names, *tags, stdin=stdin).must_succeed()
    assert "4 of 4 ready" in run.stderr
    # What allows the one repository allows nothing of the other.
    scopes = [each.params["scope"] for each in registry.find(kind="token")]
    assert scopes == [["repository:team/one:pull"], ["repository:team/two:pull"]]


def test_what_is_not_on_the_list_makes_room(
    oci_pull: Command, names: list[str], tmp_path: Path
) -> None:
    one, two = names
    oci_pull(one).must_succeed()
    listed = _listed(tmp_path / "models.txt", two)
    run = oci_pull("warm", str(listed), "--max-size", "1k").must_succeed()
    assert "Pruned" in run.stderr
    assert "; --max-size is 1.0 kB\n" in run.stderr, "which the list does not allow"
    models = oci_pull("cache", "ls", "--format", "json").json["models"]
    assert [each["reference"] for each in models] == [two]


def test_two_do_not_overlap_and_a_dead_one_is_not_waited_for(
    registry: FakeRegistry, oci_pull: Command, names: list[str], tmp_path: Path
) -> None:
    listed = _listed(tmp_path / "models.txt", *names)
    registry.blob_faults = BlobFaults(stall_after=1000)
    with oci_pull.start("warm", str(listed)) as first:
        turn = oci_pull.cache / "locks" / "warm"
        first.until(turn.exists, "its turn")
        busy = oci_pull("warm", str(listed)).must_fail(11)
        assert f"pid {first.process.pid}" in busy.stderr
    assert turn.exists()
    registry.blob_faults = BlobFaults()
    oci_pull("warm", str(listed)).must_succeed()
    assert not turn.exists()


def test_a_jitter_can_be_interrupted(oci_pull: Command, names: list[str], tmp_path: Path) -> None:
    listed = _listed(tmp_path / "models.txt", *names)
    with oci_pull.start("warm", str(listed), "--jitter", "30d") as running:
        until(lambda: _catches(running.process.pid), "it listens to signals")
        running.send(signal.SIGTERM)
        assert running.wait().code == 143


def _catches(pid: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) & 1 << 14)
