"""What processes tell each other of a tag while one of them pulls it."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import pytest

from oci_pull.adapters.cache.agreement import agreement
from oci_pull.adapters.cache.paths import Cache
from oci_pull.errors import Cancelled
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = Digest.of(b"old"), Digest.of(b"new")
TAG = Reference.parse("registry.example/team/model:v1")
_PROGRAM = """
import sys, threading
from pathlib import Path
from oci_pull.adapters.cache.agreement import agreement
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.clock import SystemClock
from oci_pull.oci.digest import Digest
from oci_pull.oci.reference import Reference

tag = Reference.parse("registry.example/team/model:v1")
with agreement(Cache(Path(sys.argv[1])), tag, SystemClock(), threading.Event(), 60.0) as agreed:
    print(agreed.found, flush=True)
    for line in sys.stdin:
        agreed.tell(Digest.parse(line.strip()))
        print("told", flush=True)
"""


class Other:
    """Another process that pulls the tag."""

    def __init__(self, root: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.found = self._line()

    def tell(self, digest: Digest) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{digest}\n")
        self._process.stdin.flush()
        assert self._line() == "told"

    def end(self) -> None:
        self._process.communicate()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@contextmanager
def asking(root: Path, on_wait: Callable[[int], None] | None = None) -> Iterator[Digest | None]:
    clock = FakeClock()
    clock.on_wait = on_wait
    with agreement(Cache(root), TAG, clock, threading.Event(), 60.0) as agreed:
        yield agreed.found


def test_who_is_alone_asks_for_itself(tmp_path: Path) -> None:
    for _ in range(2):
        with asking(tmp_path) as found:
            assert found is None


def test_what_one_has_told_is_what_those_find_that_come_while_it_pulls(tmp_path: Path) -> None:
    with Other(tmp_path) as other:
        other.tell(OLD)
        for _ in range(2):
            with asking(tmp_path) as found:
                assert found == OLD
        other.end()
        with asking(tmp_path) as found:
            assert found is None


def test_one_that_does_not_know_yet_is_waited_for(tmp_path: Path) -> None:
    with Other(tmp_path) as other:
        with asking(tmp_path, lambda count: other.tell(NEW) if count == 3 else None) as found:
            assert found == NEW
        # It told what it found out itself, not what was there before.
        other.tell(OLD)
        with asking(tmp_path) as found:
            assert found == OLD


def test_one_that_has_ended_meanwhile_has_told_as_well(tmp_path: Path) -> None:
    with Other(tmp_path) as other:

        def ended(_: int) -> None:
            other.tell(NEW)
            other.end()

        with asking(tmp_path, ended) as found:
            assert found == NEW


def test_one_that_dies_before_it_knows_is_followed_by_another(tmp_path: Path) -> None:
    with Other(tmp_path) as other:
        other.tell(OLD)
        other.end()
    with (
        Other(tmp_path) as other,
        asking(tmp_path, lambda _: other.kill()) as found,
    ):
        assert other.found == "None"
        assert found is None


def test_waiting_has_a_limit_and_ends_where_it_is_cancelled(tmp_path: Path) -> None:
    cancel = threading.Event()
    with Other(tmp_path) as other:
        with asking(tmp_path) as found:
            assert found is None
        other.tell(OLD)
    with Other(tmp_path):
        cancel.set()
        with (
            pytest.raises(Cancelled),
            agreement(Cache(tmp_path), TAG, FakeClock(), cancel, 60.0),
        ):
            pass


def test_another_tag_is_another_matter(tmp_path: Path) -> None:
    other = Reference.parse("registry.example/team/model:v2")
    with (
        Other(tmp_path),
        agreement(Cache(tmp_path), other, FakeClock(), threading.Event(), 60.0) as agreed,
    ):
        assert agreed.found is None


def test_where_nothing_can_be_written_everybody_asks(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("999")
    with asking(tmp_path) as found:
        assert found is None
    (tmp_path / "file").touch()
    with asking(tmp_path / "file") as found:
        assert found is None
