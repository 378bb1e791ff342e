"""Credential helpers: what they are asked, and what becomes of those that misbehave."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from oci_pull.adapters.credentials.helper import Helper
from oci_pull.adapters.credentials.process import ask
from oci_pull.errors import HelperFailed
from oci_pull.oci.credential import Anonymous, Basic
from tests.e2e.command import until

SECRET = "s3cr3t-pass:wörd"
WHO = Basic("ada", SECRET, "stdin")


class Bin:
    """Helpers on the PATH."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = path / "log"

    def add(self, script: str, name: str = "h", *, shell: str = "/bin/sh") -> Helper:
        program = self.path / f"docker-credential-{name}"
        program.write_text(f"#!{shell}\n{script}\n")
        program.chmod(0o755)
        return Helper(name)

    def said(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bin:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Bin(tmp_path)


def test_store_hands_over_the_credential_on_stdin(programs: Bin) -> None:
    helper = programs.add(f'echo "$@" >{programs.log}; cat >>{programs.log}')
    helper.store("docker.io", WHO)
    action, entry = programs.said()
    assert action == "store"
    assert json.loads(entry) == {
        "ServerURL": "https://index.docker.io/v1/",
        "Username": "ada",
        "Secret": SECRET,
    }


def test_docker_hub_is_asked_for_under_the_name_of_podman_as_well(programs: Bin) -> None:
    helper = programs.add(
        f'read -r key; echo "$1 $key" >>{programs.log}\n'
        'if [ "$key" = docker.io ]; then echo \'{"Username": "ada", "Secret": "x"}\'\n'
        "else echo 'credentials not found in native keychain'; exit 1; fi"
    )
    assert helper.get("registry-1.docker.io") == Basic("ada", "x", "docker-credential-h")
    assert programs.said() == ["get https://index.docker.io/v1/", "get docker.io"]


def test_erase_is_told_the_key(programs: Bin) -> None:
    helper = programs.add(f'read -r key; echo "$1 $key" >>{programs.log}')
    helper.erase("r.example:5000")
    assert programs.said() == ["erase r.example:5000"]


def test_what_is_gone_already_may_be_erased(programs: Bin) -> None:
    programs.add("echo credentials not found in native keychain; exit 1").erase("r.example")


@pytest.mark.parametrize("script", [f"echo {SECRET}; exit 1", "kill -9 $$"])
def test_a_helper_that_does_not_store_or_erase_is_named(script: str, programs: Bin) -> None:
    helper = programs.add(f"cat >/dev/null; {script}")
    for work in (partial(helper.store, who=WHO), helper.erase):
        with pytest.raises(HelperFailed, match="docker-credential-h did not") as failure:
            work("r.example")
        assert SECRET not in f"{failure.value} {failure.value.hint} {failure.value!r}"


@pytest.mark.parametrize(
    "script",
    [
        "exec tail -f /dev/null",
        # A child that has the pipe, after the helper itself is gone.
        "tail -f /dev/null & echo $! >{pid}; exit 0",
        # One that closed it and goes on.
        "exec >/dev/null; echo $$ >{pid}; exec tail -f /dev/null",
    ],
)
def test_a_helper_that_hangs_is_ended_with_its_children(
    script: str, programs: Bin, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    helper = Helper(programs.add(script.format(pid=pid)).name, seconds=0.3)
    with pytest.raises(HelperFailed, match=r"did not answer within 0\.3 s"):
        helper.get("r.example")
    if pid.exists() and pid.read_text():
        child = int(pid.read_text())
        until(lambda: not _runs(child), "the end of the child")


def _runs(pid: int) -> bool:
    """Whether a process does anything; one that nobody reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_helper_may_leave_something_running(programs: Bin) -> None:
    """Such as an agent that remembers; it has let go of the pipe."""
    helper = programs.add(
        f"tail -f /dev/null >/dev/null 2>&1 & echo $! >{programs.log}\n"
        'echo \'{"Username": "ada", "Secret": "x"}\''
    )
    assert helper.get("r.example") == Basic("ada", "x", "docker-credential-h")
    (agent,) = programs.said()
    assert _runs(int(agent))
    os.kill(int(agent), 9)


@pytest.mark.parametrize("script", ["head -c 10000000 /dev/zero", "yes"])
def test_a_helper_that_says_too_much_is_ended(script: str, programs: Bin) -> None:
    with pytest.raises(HelperFailed, match="does not work"):
        programs.add(script).get("r.example")


def test_an_answer_may_come_before_the_question_was_read(tmp_path: Path) -> None:
    """Both are larger than a pipe."""
    script = "head -c 300000 /dev/zero; cat | wc -c"
    reply = ask(["/bin/sh", "-c", script], b"x" * 300_000, seconds=120, limit=10**6)
    assert reply.output.strip(b"\0").strip() == b"300000"


def test_nobody_reads_the_question(programs: Bin) -> None:
    helper = programs.add('exec <&-; echo \'{"Username": "ada", "Secret": "x"}\'')
    assert helper.get("r.example") == Basic("ada", "x", "docker-credential-h")


def test_what_it_says_on_stderr_goes_nowhere(
    programs: Bin, capfd: pytest.CaptureFixture[str]
) -> None:
    assert programs.add(f"echo {SECRET} >&2; echo '{{}}'").get("r.example") == Anonymous()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["", "../sh", "/bin/sh", "a b", "x;id", "a\nb"])
def test_a_name_that_is_none_is_not_run(name: str, programs: Bin) -> None:
    with pytest.raises(HelperFailed, match="is not installed"):
        Helper(name).get("r.example")


def test_no_secret_is_in_a_representation(tmp_path: Path) -> None:
    reply = ask(["/bin/cat"], SECRET.encode(), seconds=120, limit=100)
    assert reply.output == SECRET.encode()
    assert SECRET not in repr(reply)
    assert SECRET not in repr(WHO)
