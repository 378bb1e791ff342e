"""The line between the tests and their servers does what it says, and nothing else."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.servers.process import HOST
from tests.servers.wan import Wan, WanProcess
from tests.servers.wan_line import FIRST_WINDOW, Conditions, Cuts, Line, Rate, SlowStart

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZE = 3_000_000
_CONTENT = bytes(range(256)) * (_SIZE // 256 + 1)
_LIMIT = 60.0


@pytest.fixture
def server() -> Iterator[tuple[str, int]]:
    """Answers a line with the number of bytes that it asks for, then waits for the next."""
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)  # or accept would not notice


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client, client.makefile("rb") as lines:
        try:
            for line in lines:
                client.sendall(_CONTENT[: int(line)])
        except OSError:
            return


def _ask(connection: socket.socket, size: int) -> bytes:
    """What comes for a request of so many bytes, until they are here or the connection ends."""
    connection.sendall(f"{size}\n".encode())
    found = bytearray()
    while len(found) < size and (data := connection.recv(1 << 16)):
        found += data
    return bytes(found)


def _connect(wan: Wan | WanProcess) -> socket.socket:
    return socket.create_connection((HOST, wan.port), timeout=_LIMIT)


# What is computed


def test_without_conditions_bytes_are_there_at_once() -> None:
    line = Line(Conditions())
    assert line.book(5.0, 1_000_000) == (5.0, 5.0)
    assert line.book(5.0, 1_000_000) == (5.0, 5.0)


def test_a_way_takes_half_a_round_trip() -> None:
    assert Line(Conditions(rtt=0.05)).book(1.0, 10) == (1.0, 1.025)


def test_a_cap_spreads_bytes_over_time_and_saves_nothing_up() -> None:
    line = Line(Conditions(cap=1000, rtt=1.0))
    assert line.book(0.0, 500) == (0.5, 1.0)
    assert line.book(0.0, 500) == (1.0, 1.5)
    assert line.book(10.0, 500) == (10.5, 11.0)


def test_connections_have_a_cap_each_and_share_a_link() -> None:
    conditions = Conditions(cap=1000)
    link = Rate(1500)
    one, other = Line(conditions, link), Line(conditions, link)
    assert one.book(0.0, 1500).sent == 1.5
    assert other.book(0.0, 1500).sent == 2.0
    assert one.book(1.5, 0).sent == 2.0


def test_slow_start_doubles_in_every_round_trip() -> None:
    start = SlowStart(0.1)
    assert start.book(0.0, FIRST_WINDOW) == 0.0
    assert start.book(0.0, 2 * FIRST_WINDOW) == pytest.approx(0.1)
    assert start.book(0.0, 4 * FIRST_WINDOW) == pytest.approx(0.2)
    assert start.book(0.0, 8 * FIRST_WINDOW) == pytest.approx(0.3)


def test_slow_start_is_over_when_the_cap_is_reached() -> None:
    line = Line(Conditions(rtt=0.1, cap=1_000_000, slow_start=True))
    sizes = [50_000] * 40
    sent = [line.book(0.0, size).sent for size in sizes]
    steps = [after - before for before, after in pairwise(sent)]
    assert steps[0] > 0.05
    assert steps[-1] == pytest.approx(0.05)


def test_cuts_are_those_of_the_seed_within_a_fifth() -> None:
    cuts = Cuts(1000, seed=7)
    found = [cuts.next() for _ in range(50)]
    again = Cuts(1000, seed=7)
    assert found == [again.next() for _ in range(50)]
    assert len(set(found)) > 10
    assert all(each is not None and 800 <= each <= 1200 for each in found)
    assert Cuts(0).next() is None


# What is done


def test_bytes_arrive_as_they_were_and_are_counted(server: tuple[str, int]) -> None:
    with Wan(server) as wan, _connect(wan) as connection:
        assert _ask(connection, _SIZE) == _CONTENT[:_SIZE]
        assert _ask(connection, 10) == _CONTENT[:10]
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""  # an end is passed on as well, both ways
    assert (wan.served, wan.connections) == (_SIZE + 10, 1)


def test_many_connections_with_every_condition(server: tuple[str, int]) -> None:
    conditions = Conditions(rtt=0.01, cap=50e6, link=100e6, slow_start=True)
    found: list[bytes] = []

    def fetch() -> None:
        with _connect(wan) as connection:
            found.append(hashlib.sha256(_ask(connection, _SIZE)).digest())

    with Wan(server, conditions) as wan:
        threads = [threading.Thread(target=fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_LIMIT)
    assert found == [hashlib.sha256(_CONTENT[:_SIZE]).digest()] * 8
    assert (wan.served, wan.connections) == (8 * _SIZE, 8)


def test_a_new_connection_costs_two_round_trips_and_a_request_on_it_one(
    server: tuple[str, int],
) -> None:
    # Lower bounds only: a slow machine cannot fail them.
    with Wan(server, Conditions(rtt=0.1)) as wan:
        begun = time.monotonic()
        with _connect(wan) as connection:
            _ask(connection, 10)
            first = time.monotonic()
            _ask(connection, 10)
            second = time.monotonic()
    assert first - begun >= 0.2
    assert second - first >= 0.1


def test_connections_are_cut_where_the_seed_says(server: tuple[str, int]) -> None:
    cuts = Cuts(1_000_000, seed=3)
    expected = [cuts.next() for _ in range(3)]
    found = []
    with Wan(server, Conditions(cut_after=1_000_000, seed=3)) as wan:
        for _ in expected:
            with _connect(wan) as connection:
                part = _ask(connection, _SIZE)
                assert part == _CONTENT[: len(part)]
                found.append(len(part))
    assert found == expected
    assert wan.served == sum(found)


def test_a_cut_can_be_a_reset(server: tuple[str, int]) -> None:
    conditions = Conditions(cut_after=1_000_000, reset=True)
    with (
        Wan(server, conditions) as wan,
        _connect(wan) as connection,
        pytest.raises(ConnectionResetError),
    ):
        _ask(connection, _SIZE)


def test_it_dies_and_comes_back_on_its_port(server: tuple[str, int]) -> None:
    # So slow that the answer is under way when it dies.
    with Wan(server, Conditions(cap=1e6)) as wan, _connect(wan) as connection:
        connection.sendall(b"%d\n" % _SIZE)
        assert connection.recv(1)
        port = wan.port
        wan.stop()
        while connection.recv(1 << 16):
            pass
        with pytest.raises(ConnectionRefusedError):
            _connect(wan)
        wan.start()
        assert wan.port == port
        with _connect(wan) as another:
            assert _ask(another, 1000) == _CONTENT[:1000]
    assert wan.connections == 2


def test_a_target_that_is_away_ends_connections() -> None:
    with socket.socket() as away:
        away.bind((HOST, 0))  # nobody else gets the port, and nobody listens
        with Wan(away.getsockname()) as wan, _connect(wan) as connection:
            assert connection.recv(1) == b""
    assert wan.served == 0


def test_as_a_process_of_its_own(server: tuple[str, int]) -> None:
    conditions = Conditions(rtt=0.001, cap=100e6, cut_after=2_000_000, seed=1)
    limit = Cuts(2_000_000, seed=1).next()
    with WanProcess(server, conditions) as wan:
        with _connect(wan) as connection:
            assert len(_ask(connection, _SIZE)) == limit
        assert (wan.served, wan.connections) == (limit, 1)
        wan.stop()
        with pytest.raises(ConnectionRefusedError):
            _connect(wan)
        wan.start()
        with _connect(wan) as connection:
            assert _ask(connection, 1000) == _CONTENT[:1000]
