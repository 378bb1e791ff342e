"""Who reads what: the path on stdout, words on stderr, bars on terminals and nowhere else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests import builders
from tests.e2e.disk import assert_sound, assert_tree
from tests.e2e.models import MIB, model, pack, put, raw_layer
from tests.fakes.registry import BlobFaults, FakeRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.command import Command, Running

_FILES = model()
_ESCAPE = "\x1b"
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_COLOR = re.compile(r"\x1b\[(\d+;)?\d+m([\w: ]+)\x1b\[0m")
_SLOW = ("httpx", "httpcore", "rich", "truststore")


@pytest.fixture
def reference(registry: FakeRegistry) -> str:
    return put(registry, builders.docker_v02(_FILES))


@pytest.fixture
def gguf(registry: FakeRegistry) -> str:
    """A model that is a success with a warning."""
    content = b"GGUF" + bytes(1000)
    return put(registry, pack([raw_layer("model.gguf", content, "weight")]), tag="gguf")


# Two ways to say the same


@pytest.mark.parametrize("words", [(), ("pull",), ("pull", "--")], ids=["bare", "pull", "dashes"])
def test_pull_is_what_a_reference_alone_means(
    words: tuple[str, ...], reference: str, oci_pull: Command
) -> None:
    assert_tree(oci_pull(*words, reference).path, _FILES)


def test_options_may_come_before_the_reference(reference: str, oci_pull: Command) -> None:
    assert_tree(oci_pull("--jobs", "2", "-q", reference).path, _FILES)
    assert oci_pull("--format", "json", "inspect", reference).json["packaging"] == "docker-model"


def test_the_module_is_the_same_program(reference: str, oci_pull: Command) -> None:
    module = replace(oci_pull, program=(sys.executable, "-m", "oci_pull"))
    assert module(reference).path == oci_pull(reference).path
    assert module("--version").stdout == oci_pull("-V").stdout


# stdout


@pytest.mark.parametrize("progress", ["auto", "bar", "plain", "json", "none"])
def test_stdout_is_the_path_and_nothing_else(
    progress: str, reference: str, oci_pull: Command
) -> None:
    path = oci_pull("--progress", progress, reference).path
    assert path.is_absolute()
    assert_tree(path, _FILES)


def test_warnings_are_not_on_stdout(gguf: str, oci_pull: Command) -> None:
    config = oci_pull.home / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text("this is not JSON")
    run = oci_pull(gguf)
    assert run.path.is_dir()
    assert "GGUF" in run.stderr


def test_json_is_one_object_a_reference(reference: str, gguf: str, oci_pull: Command) -> None:
    run = oci_pull("--format", "json", reference, gguf).must_succeed()
    first, second = (json.loads(line) for line in run.stdout.splitlines())
    assert set(first) == {
        "schema", "reference", "digest", "packaging", "path", "primary", "files", "bytes",
        "fetched", "reused", "seconds", "unchanged", "servable", "warnings",
    }  # fmt: skip
    assert (first["schema"], first["reference"]) == (1, reference)
    assert (first["packaging"], first["primary"]) == ("docker-model", None)
    assert (first["servable"], first["unchanged"], first["warnings"]) == (True, False, [])
    assert {file["path"]: file["size"] for file in first["files"]} == {
        name: len(bytes(content)) for name, content in _FILES.items()
    }
    assert first["bytes"] == sum(file["size"] for file in first["files"])
    assert not second["servable"]
    assert second["primary"] == f"{second['path']}/model.gguf"
    assert len(second["warnings"]) == 1
    again = oci_pull("--format", "json", reference).json
    assert (again["unchanged"], again["fetched"], again["path"]) == (True, 0, first["path"])


def test_text_is_for_people(reference: str, oci_pull: Command) -> None:
    text = oci_pull("--format", "text", reference).must_succeed().stdout
    assert reference in text
    assert "docker-model" in text
    assert str(oci_pull.cache) in text


@pytest.mark.parametrize("form", ["path", "json"])
def test_a_closed_pipe_on_stdout_is_no_traceback(
    form: str, reference: str, oci_pull: Command
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = oci_pull("--format", form, reference, stdout=writing)
    finally:
        os.close(writing)
    assert run.code != 0
    assert "Traceback" not in run.stderr
    assert "Exception" not in run.stderr
    assert_sound(oci_pull.cache)
    assert oci_pull(reference).path.is_dir()


@pytest.mark.parametrize("progress", ["plain", "bar"])
def test_a_closed_pipe_on_stderr_breaks_nothing(
    progress: str, reference: str, oci_pull: Command
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = oci_pull("--progress", progress, reference, stderr=writing)
    finally:
        os.close(writing)
    assert run.code in (0, 1)
    assert_sound(oci_pull.cache)
    assert_tree(oci_pull(reference).path, _FILES)


def test_without_stdin_stdout_and_stderr_it_breaks_nothing(
    reference: str, oci_pull: Command
) -> None:
    closed = replace(oci_pull, prefix=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"))
    assert closed(reference).code in (0, 1)
    assert_sound(oci_pull.cache)
    assert_tree(oci_pull(reference).path, _FILES)


def test_a_closed_stdout_is_told(reference: str, oci_pull: Command) -> None:
    closed = replace(oci_pull, prefix=("sh", "-c", 'exec "$@" >&-', "sh"))
    assert "stdout is closed" in closed(reference).must_fail(1).stderr
    assert not oci_pull.cache.exists(), "nothing was fetched that nobody can find"


def test_no_file_gets_the_number_of_a_closed_stderr(reference: str, oci_pull: Command) -> None:
    closed = replace(oci_pull, prefix=("sh", "-c", 'exec "$@" 2>&-', "sh"))
    assert_tree(closed(reference).path, _FILES)
    assert_sound(oci_pull.cache)
    assert closed(reference + "-not").code == 3


@pytest.mark.parametrize(
    "words",
    [(), ("cache", "df"), ("inspect", "--raw"), ("-V",), ("-h",), ("plan", "-h")],
    ids=" ".join,
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_without_room_is_told(
    words: tuple[str, ...], unbuffered: str, reference: str, oci_pull: Command
) -> None:
    names = (reference,) if words in ((), ("inspect", "--raw")) else ()
    command = oci_pull.with_env(PYTHONUNBUFFERED=unbuffered)
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        run = command(*words, *names, stdout=full).must_fail(7)
    assert "error: stdout cannot be written: No space left on device\n" in run.stderr
    assert "Exception" not in run.stderr


@pytest.mark.parametrize("words", [("-V",), ("-h",), ("plan", "-h"), ("cache", "ls")], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_page_whose_reader_has_seen_enough_says_nothing(
    words: tuple[str, ...], unbuffered: str, oci_pull: Command
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        run = oci_pull.with_env(PYTHONUNBUFFERED=unbuffered)(*words, stdout=writing)
    finally:
        os.close(writing)
    assert (run.code, run.stderr) == (1, "")


@pytest.mark.parametrize("progress", ["plain", "bar", "json"])
def test_a_log_without_room_costs_no_pull(progress: str, reference: str, oci_pull: Command) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        run = oci_pull("--progress", progress, reference, stderr=full)
        assert oci_pull(reference + "-not", stderr=full).code == 3
    assert_tree(run.path, _FILES)


def test_a_terminal_that_is_gone_costs_no_pull(reference: str, oci_pull: Command) -> None:
    ours, theirs = pty.openpty()
    os.close(ours)
    try:
        run = oci_pull(reference, stderr=theirs)
    finally:
        os.close(theirs)
    assert_tree(run.path, _FILES)


@pytest.mark.parametrize("name", ["ü 漢", os.fsdecode(b"bad\xff")], ids=["unicode", "bytes"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict"])
def test_a_path_is_written_as_the_file_system_has_it(
    name: str, encoding: str, reference: str, oci_pull: Command
) -> None:
    run = oci_pull.with_env(PYTHONIOENCODING=encoding)(reference, "-o", name).must_succeed()
    assert run.output == os.fsencode(oci_pull.home / name) + b"\n"


# stderr


def test_quiet_is_silent(reference: str, gguf: str, oci_pull: Command) -> None:
    for each in (reference, reference):
        run = oci_pull("-q", each)
        assert run.path.is_dir()
        assert run.stderr == ""
    failed = oci_pull("-q", reference + "-not").must_fail(3)
    assert failed.stderr.startswith("error: ")


def test_no_progress_is_silent_too(reference: str, oci_pull: Command) -> None:
    assert oci_pull("--progress", "none", reference).must_succeed().stderr == ""


def test_plain_progress_is_whole_lines(reference: str, oci_pull: Command) -> None:
    run = oci_pull("--progress", "plain", reference).must_succeed()
    assert run.stderr.endswith("\n")
    assert "\r" not in run.stderr
    assert "resolved" in run.stderr
    assert "Ready" in run.stderr
    assert "Up to date" in oci_pull("--progress", "plain", reference).stderr


def test_json_progress_is_an_event_a_line(reference: str, oci_pull: Command) -> None:
    run = oci_pull("--progress", "json", reference).must_succeed()
    events = [json.loads(line) for line in run.stderr.splitlines()]
    assert all({"t", "event"} <= event.keys() for event in events)
    named = [event["event"] for event in events]
    assert named.index("resolved") < named.index("planned") < named.index("laying_out")
    assert named.count("committed") == len(_FILES) + 1  # and the config
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)


def test_json_progress_is_json_to_the_end_of_a_failure(
    registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    registry.blob_faults = BlobFaults(corrupt_at=0)
    run = oci_pull("--progress", "json", "--retries", "0", reference)
    assert run.code == 8
    for line in run.stderr.splitlines():
        assert "event" in json.loads(line)


def _assert_plain(oci_pull: Command, *words: str) -> None:
    """Also where colours are forced, as some CI services do: of those there may be one a line."""
    service = oci_pull.with_env(GITHUB_ACTIONS="true", TTY_COMPATIBLE="1", TERM="xterm-256color")
    for forced in ("", "1"):
        run = service.with_env(FORCE_COLOR=forced, CLICOLOR_FORCE=forced)(*words)
        assert _ESCAPE not in run.stdout
        shown = _COLOR.sub("", run.stderr) if forced else run.stderr
        assert _ESCAPE not in shown
        assert "\r" not in run.stdout + run.stderr


@pytest.mark.parametrize("progress", ["auto", "plain", "json", "none", "bar"])
def test_nothing_is_drawn_in_a_pipe(
    progress: str, registry: FakeRegistry, reference: str, oci_pull: Command
) -> None:
    registry.blob_faults = BlobFaults(cut_after=1000, times=1)
    _assert_plain(oci_pull, "--progress", progress, reference)


@pytest.mark.parametrize(
    "words",
    [("plan",), ("inspect",), ("cache", "path"), ("-h",), ("--no-such-option",)],
    ids=" ".join,
)
def test_nothing_is_drawn_by_other_commands(
    words: tuple[str, ...], reference: str, oci_pull: Command
) -> None:
    _assert_plain(oci_pull, *words, reference)


@pytest.mark.parametrize(
    ("words", "env", "is_colored"),
    [
        ((), {"FORCE_COLOR": "1"}, True),
        (("--color", "always"), {"NO_COLOR": "1"}, True),
        (("--color", "never"), {"FORCE_COLOR": "1"}, False),
        ((), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ((), {"OCI_PULL_COLOR": "always"}, True),
    ],
)
def test_colours_are_of_one_word_and_as_they_are_asked_for(
    words: tuple[str, ...],
    env: dict[str, str],
    is_colored: bool,
    reference: str,
    oci_pull: Command,
) -> None:
    run = oci_pull.with_env(**env)(*words, reference).must_succeed()
    assert (_COLOR.findall(run.stderr) == [("", "Ready")]) is is_colored
    assert (_ESCAPE in run.stderr) is is_colored
    failed = oci_pull.with_env(**env)(*words, f"{reference}-gone")
    assert ("\x1b[1;31merror:\x1b[0m " in failed.stderr) is is_colored


# A terminal


class _Terminal:
    """What a process wrote to a terminal, as it came."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._content = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                chunk = os.read(self._master, 65536)
            except OSError as error:
                if error.errno == errno.EIO:  # nobody has the other end open any more
                    return
                raise
            if not chunk:
                return
            self._content += chunk

    @property
    def text(self) -> str:
        return self._content.decode(errors="replace")

    @property
    def plain(self) -> str:
        """Without escape sequences."""
        return _SEQUENCE.sub("", self.text)

    def close(self) -> None:
        self._thread.join(60.0)


@contextmanager
def _on_a_terminal(
    oci_pull: Command, *words: str, columns: int = 100, stdout: bool = False
) -> Iterator[tuple[Running, _Terminal]]:
    """The command with its stderr (and stdout) on a terminal of that width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    try:
        command = oci_pull.with_env(TERM="xterm-256color", **oci_pull.env)
        options = {"stderr": slave} | ({"stdout": slave} if stdout else {})
        with command.start(*words, **options) as running:
            terminal = _Terminal(master)
            yield running, terminal
            with contextlib.suppress(subprocess.TimeoutExpired):
                running.process.wait(60.0)
            os.close(slave)
            slave = -1
            terminal.close()
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


def _held(registry: FakeRegistry) -> tuple[str, threading.Event]:
    """A model of which the weights come only when the event is set."""
    files = model(MIB)
    artifact = builders.docker_v02(files)
    reference = put(registry, artifact)
    weights = max(artifact.document["layers"], key=lambda layer: int(layer["size"]))
    go_on = threading.Event()
    registry.blob_faults = BlobFaults(hold=go_on, only=[weights["digest"]])
    return reference, go_on


@pytest.mark.parametrize(("progress", "columns"), [("auto", 100), ("auto", 40), ("bar", 40)])
def test_a_terminal_gets_a_bar_that_fits(
    progress: str, columns: int, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference, go_on = _held(registry)
    with _on_a_terminal(oci_pull, "--progress", progress, reference, columns=columns) as (
        running,
        terminal,
    ):
        running.until(lambda: _ESCAPE in terminal.text and "total" in terminal.text, "a bar")
        lines = re.split(r"[\r\n]+", terminal.plain)
        drawn = [line for line in lines if line.startswith("  total")]
        go_on.set()
        run = running.wait()
    assert drawn
    assert max(map(len, drawn)) <= columns
    assert run.path.is_dir()
    assert "Ready" in terminal.plain
    # The cursor is there again, and the bars are gone.
    assert terminal.text.rfind("\x1b[?25h") >= terminal.text.rfind("\x1b[?25l")


@pytest.mark.parametrize(
    ("progress", "env"),
    [("plain", {}), ("json", {}), ("none", {}), ("auto", {"CI": "true"})],
    ids=["plain", "json", "none", "in-ci"],
)
def test_a_terminal_that_wants_no_bar_is_not_drawn_on(
    progress: str, env: dict[str, str], reference: str, oci_pull: Command
) -> None:
    command = replace(oci_pull, env=env)
    with _on_a_terminal(command, "--progress", progress, reference) as (running, terminal):
        assert running.wait().path.is_dir()
    assert _ESCAPE not in _COLOR.sub("", terminal.text)


@pytest.mark.parametrize(("end", "is_drawn"), [("& wait $!", False), ("; exit $?", True)])
def test_a_job_in_the_background_does_not_draw_over_what_is_typed(
    end: str, is_drawn: bool, registry: FakeRegistry, oci_pull: Command
) -> None:
    reference, go_on = _held(registry)
    # Of a shell with job control, whose terminal this is.
    shell = f"""exec setsid --ctty --wait bash -mc '"$@" {end}' bash "$@" <&2"""
    command = replace(oci_pull, prefix=("sh", "-c", shell, "sh"))
    with _on_a_terminal(command, reference) as (running, terminal):
        running.until(lambda: "plan " in terminal.text.lower(), "a plan")
        if is_drawn:
            running.until(lambda: "total" in terminal.text, "a bar")
        go_on.set()
        assert running.wait().path.is_dir()
    assert (_ESCAPE in _COLOR.sub("", terminal.text)) is is_drawn


def test_a_person_at_a_terminal_is_told_what_to_type_next(
    reference: str, oci_pull: Command
) -> None:
    with _on_a_terminal(oci_pull, reference, stdout=True) as (running, terminal):
        running.wait().must_succeed()
    path = oci_pull(reference).path
    assert f"vllm serve {path}" in terminal.plain


def test_ctrl_c_in_a_terminal_leaves_no_bar_behind(
    registry: FakeRegistry, oci_pull: Command
) -> None:
    reference, _ = _held(registry)
    with _on_a_terminal(oci_pull, reference) as (running, terminal):
        running.until(lambda: "total" in terminal.text, "a bar")
        running.process.send_signal(2)
        assert running.wait().code == 130
    assert "kept" in terminal.plain
    assert terminal.text.rfind("\x1b[?25h") >= terminal.text.rfind("\x1b[?25l")


# Start-up


def _imported(oci_pull: Command, *words: str) -> set[str]:
    """Every module that is imported, and what has them all, until the command has succeeded."""
    program = (sys.executable, "-X", "importtime", "-m", "oci_pull")
    run = replace(oci_pull, program=program)(*words)
    assert run.code == 0, run
    lines = [line for line in run.stderr.splitlines() if line.startswith("import time:")]
    names = [line.rpartition("|")[2].strip() for line in lines]
    assert names
    return {*names, *(name.partition(".")[0] for name in names)}


def _ours(imported: set[str]) -> set[str]:
    return {name for name in imported if name.startswith("oci_pull.")}


def test_the_version_needs_next_to_nothing(oci_pull: Command) -> None:
    imported = _imported(oci_pull, "--version")
    assert not _ours(imported) - {"oci_pull.__main__", "oci_pull.cli", "oci_pull.cli.streams"}
    assert not imported & {"typing", "re", "dataclasses", "pathlib", "json", "typer", "click"}
    assert oci_pull("--version").stdout.startswith("oci-pull ")


def test_importing_the_package_imports_nothing_else(oci_pull: Command) -> None:
    program = (sys.executable, "-X", "importtime", "-c", "import oci_pull")
    lines = replace(oci_pull, program=program)().must_succeed().stderr.splitlines()
    ours = {line.rpartition("|")[2].strip() for line in lines if "oci_pull" in line}
    assert ours == {"oci_pull"}


def test_the_overview_needs_no_command_line_library(oci_pull: Command) -> None:
    imported = _imported(oci_pull, "-h")
    assert not imported & {"typer", "click", "oci_pull.api", "oci_pull.adapters", *_SLOW}


@pytest.mark.parametrize("command", ["pull", "cache"])
def test_the_help_of_a_command_needs_no_network_and_no_colours(
    command: str, oci_pull: Command
) -> None:
    assert not _imported(oci_pull, command, "-h") & set(_SLOW)


def test_a_tab_needs_no_settings(reference: str, oci_pull: Command) -> None:
    oci_pull(reference).must_succeed()
    imported = _imported(oci_pull, "__complete", "references", "")
    assert not imported & {"typer", "dataclasses", "oci_pull.settings", "oci_pull.api", *_SLOW}
    assert reference in oci_pull("__complete", "references", "").stdout.split()


#: What only those need who have something to fetch, to lay out, to draw, or to explain.
_FOR_WORK = {
    "typer", "click", "rich", "oci_pull.packaging.detect", "oci_pull.cli.progress.bar",
    "oci_pull.cli.app", "oci_pull.adapters.output", "oci_pull.adapters.hf_cache",
}  # fmt: skip


@pytest.mark.parametrize("words", [(), ("--progress", "bar"), ("--jobs=2", "-q")], ids=" ".join)
def test_a_hit_by_digest_imports_neither_the_network_nor_what_does_work(
    words: tuple[str, ...], reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    digest = oci_pull("--format", "json", reference).json["digest"]
    requests = len(registry.requests)
    imported = _imported(oci_pull, *words, f"{reference}@{digest}")
    assert not imported & {"ssl", "oci_pull.adapters.registry", *_SLOW, *_FOR_WORK}
    assert len(registry.requests) == requests


def test_a_hit_by_tag_imports_a_client_and_nothing_that_does_work(
    reference: str, registry: FakeRegistry, oci_pull: Command
) -> None:
    oci_pull(reference).must_succeed()
    requests = len(registry.requests)
    imported = _imported(oci_pull, "--plain-http", reference)
    assert "httpx" in imported
    assert not imported & {"truststore", *_FOR_WORK}
    assert [each.method for each in registry.requests[requests:]] == ["HEAD"]


def test_help_names_the_commands_and_the_options_of_pull(oci_pull: Command) -> None:
    for words in (("-h",), ("--help",)):
        run = oci_pull(*words).must_succeed()
        for word in ("pull", "plan", "inspect", "cache"):
            assert word in run.stdout
    assert "--cache-dir" in oci_pull("pull", "-h").stdout
    assert "--output" in oci_pull("-h").stdout
