"""Who owns an unfinished blob, and what of it a later run finds."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from oci_pull.adapters.cache.owner import Owner, this_host
from oci_pull.adapters.cache.partial import (
    OwnedPartial,
    abandoned,
    claim,
    excess,
    shorten,
    unfinished,
)
from oci_pull.errors import Busy, DiskError, NoSpace, NotWritable
from oci_pull.oci.digest import Digest
from oci_pull.oci.ranges import Span
from oci_pull.oci.verify import verify
from oci_pull.ports import Taken, Unfinished
from tests.fakes.memory import blob_of
from tests.unit.adapters.support import Shelf, mode_of, no_file_beyond, without_privileges

CONTENT = bytes(range(256)) * 40
BLOB = blob_of(CONTENT)
PROOF = verify(BLOB, CONTENT)
ELSEWHERE = "nas+00000000-7-1-ab"
#: What is in the directory of an owner.
PARTS = {"data", "journal", "reference", "size"}


def own(shelf: Shelf) -> OwnedPartial:
    claimed = claim(shelf.cache, BLOB)
    assert isinstance(claimed, OwnedPartial)
    return claimed


def home(shelf: Shelf) -> Path:
    return shelf.cache.partial(BLOB.digest)


def directory(shelf: Shelf) -> Path:
    (found,) = home(shelf).iterdir()
    return found


def put(partial: OwnedPartial, *spans: tuple[int, int]) -> None:
    for start, end in spans:
        partial.write_at(start, CONTENT[start:end])
        partial.record(Span(start, end))


def leave(shelf: Shelf, *spans: tuple[int, int], owner: str = "free") -> Path:
    """What a run that ended has left, under the name of its owner."""
    partial = own(shelf)
    put(partial, *(spans or ((0, 1000),)))
    partial.release()
    return directory(shelf).rename(home(shelf) / owner)


def silence(path: Path, seconds: float) -> None:
    """Nothing was heard from there for so long."""
    moment = time.time() - seconds
    for each in (*path.iterdir(), path):
        os.utime(each, (moment, moment))


def record(start: int, end: int) -> bytes:
    span = struct.pack("<QQ", start, end)
    return span + struct.pack("<I", zlib.crc32(span, zlib.crc32(BLOB.digest.hex.encode())))


# --- who owns it


def test_a_claim_is_exclusive_in_one_process(shelf: Shelf) -> None:
    first = own(shelf)
    assert claim(shelf.cache, BLOB) == Taken(Owner.new().describe())
    first.release()
    own(shelf).release()


def test_a_claim_is_named_after_its_owner(shelf: Shelf) -> None:
    own(shelf)
    owner = Owner.parse(directory(shelf).name)
    assert owner
    assert owner.is_here
    assert owner.runs()


def test_an_empty_home_is_nobodys(shelf: Shelf) -> None:
    home(shelf).mkdir(parents=True)
    assert own(shelf).present == ()


@pytest.mark.parametrize(
    "owner",
    [
        "free",
        f"{this_host()}-{2**22 + 1}-5-ab",
        f"{this_host()}-{os.getpid()}-5-ab",
    ],
    ids=["given up", "dead", "pid used again"],
)
def test_what_nobody_has_is_taken_over(shelf: Shelf, owner: str) -> None:
    left = leave(shelf, (0, 1000), (2000, 3000), owner=owner)
    inode = (left / "data").stat().st_ino
    mine = own(shelf)
    assert mine.present == (Span(0, 1000), Span(2000, 3000))
    view = memoryview(bytearray(1000))
    assert mine.pread(view, 2000) == 1000
    assert view == CONTENT[2000:3000]
    # By rename: a dead process does not write again.
    assert (directory(shelf) / "data").stat().st_ino == inode


def litter(shelf: Shelf) -> set[str]:
    """What file managers and network file systems leave everywhere."""
    home(shelf).mkdir(parents=True, exist_ok=True)
    (home(shelf) / ".DS_Store").write_bytes(b"junk")
    (home(shelf) / "zzz").write_bytes(b"junk")
    (home(shelf) / "a directory").mkdir()
    (home(shelf) / "b directory").symlink_to(home(shelf).parent)
    return {".DS_Store", "zzz", "a directory", "b directory"}


@pytest.mark.parametrize("is_begun", [False, True])
def test_what_is_not_ours_is_in_nobodys_way(shelf: Shelf, is_begun: bool) -> None:
    if is_begun:
        leave(shelf)
    strange = litter(shelf)
    assert unfinished(shelf.cache, BLOB).present == (1000 if is_begun else 0)
    mine = own(shelf)
    assert mine.present == ((Span(0, 1000),) if is_begun else ())
    assert isinstance(claim(shelf.cache, BLOB), Taken)
    put(mine, (1000, 2000))
    mine.release()
    mine = own(shelf)
    assert mine.present == (Span(1000 - 1000 * is_begun, 2000),)
    mine.commit(PROOF)
    assert {path.name for path in home(shelf).iterdir()} == strange
    assert [path.name for path in home(shelf).parent.iterdir()] == [BLOB.digest.hex]


def test_a_partial_that_cannot_be_looked_into_has_nothing_for_us(open_path: Path) -> None:
    shelf = Shelf(open_path)
    leave(shelf)
    home(shelf).chmod(0o000)
    with without_privileges():
        assert unfinished(shelf.cache, BLOB) == Unfinished()
    home(shelf).chmod(0o755)


def test_an_owner_on_another_host_with_a_heartbeat_has_it(shelf: Shelf) -> None:
    left = leave(shelf, owner=ELSEWHERE)
    silence(left, 20)
    assert claim(shelf.cache, BLOB) == Taken("pid 7 on nas")


def test_a_process_whose_start_nobody_could_tell_is_judged_by_its_silence(shelf: Shelf) -> None:
    left = leave(shelf, owner=f"{this_host()}-{2**22 + 1}-0-ab")
    assert isinstance(claim(shelf.cache, BLOB), Taken)
    silence(left, 70)
    assert own(shelf).present == (Span(0, 1000),)


@pytest.mark.parametrize("alive", [".", "data", "journal"])
def test_any_sign_of_life_counts(shelf: Shelf, alive: str) -> None:
    left = leave(shelf, owner=ELSEWHERE)
    silence(left, 1000)
    os.utime(left / alive)
    assert isinstance(claim(shelf.cache, BLOB), Taken)


def test_a_silent_owner_on_another_host_loses_it_and_cannot_write_to_it(shelf: Shelf) -> None:
    left = leave(shelf, owner=ELSEWHERE)
    silence(left, 70)
    with (left / "data").open("r+b") as asleep:
        mine = own(shelf)
        assert mine.present == (Span(0, 1000),)
        asleep.write(b"it wakes up")
        asleep.flush()
        view = memoryview(bytearray(1000))
        mine.pread(view, 0)
        assert view == CONTENT[:1000]
        assert (directory(shelf) / "data").stat().st_ino != os.fstat(asleep.fileno()).st_ino
    assert {path.name for path in directory(shelf).iterdir()} == PARTS


def test_what_a_slow_owner_takes_back_while_it_is_moved_is_not_waited_for(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It found its bytes to be wrong, and forgot them."""
    left = leave(shelf, owner=ELSEWHERE)
    silence(left, 70)
    read = os.pread
    with (left / "data").open("r+b") as asleep:

        def woken(descriptor: int, count: int, offset: int) -> bytes:
            asleep.truncate(0)
            return read(descriptor, count, offset)

        monkeypatch.setattr(os, "pread", woken)
        mine = own(shelf)
    assert mine.present == ()
    assert {path.name for path in directory(shelf).iterdir()} == PARTS


def test_a_silent_owner_that_had_written_nothing_leaves_nothing(shelf: Shelf) -> None:
    (home(shelf) / ELSEWHERE).mkdir(parents=True)
    silence(home(shelf) / ELSEWHERE, 70)
    assert own(shelf).present == ()


def test_whoever_takes_over_is_heard_from_at_once(shelf: Shelf) -> None:
    """Else a third host would take the new owner for dead."""
    silence(leave(shelf), 1000)
    own(shelf)
    assert time.time() - directory(shelf).stat().st_mtime < 500


def test_an_owner_can_say_that_it_lives(shelf: Shelf) -> None:
    mine = own(shelf)
    silence(directory(shelf), 1000)
    mine.keep_alive()
    assert time.time() - directory(shelf).stat().st_mtime < 500
    directory(shelf).rename(home(shelf) / ELSEWHERE)
    mine.keep_alive()


_RACER = """
import sys
from pathlib import Path
from oci_pull.adapters.cache.paths import Cache
from oci_pull.adapters.cache.partial import OwnedPartial, claim
from oci_pull.oci.descriptor import Descriptor
from oci_pull.oci.digest import Digest

blobs = [Descriptor("", Digest.of(bytes([n])), 1) for n in range(40)]
print("ready", flush=True)
sys.stdin.readline()
held = [claim(Cache(Path(sys.argv[1])), blob) for blob in blobs]
print("".join("+" if isinstance(each, OwnedPartial) else "-" for each in held), flush=True)
sys.stdin.readline()
"""


def test_of_racing_processes_one_owns_each_blob(shelf: Shelf) -> None:
    for n in range(0, 40, 2):
        # Half of them are there already, and free.
        blob = blob_of(bytes([n]))
        claimed = claim(shelf.cache, blob)
        assert isinstance(claimed, OwnedPartial)
        claimed.record(Span(0, 1))
        claimed.release()
    command = [sys.executable, "-c", _RACER, str(shelf.root)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for line in ("ready", None):
            replies = []
            for racer in racers:
                assert racer.stdout
                replies.append(racer.stdout.readline().strip())
            if line:
                assert replies == [line] * 3
                for racer in racers:
                    assert racer.stdin
                    racer.stdin.write("go\n")
                    racer.stdin.flush()
        assert [column.count("+") for column in map("".join, zip(*replies, strict=True))] == [
            1
        ] * 40
    finally:
        for racer in racers:
            racer.communicate("\n")


# --- the journal


@pytest.mark.parametrize(
    ("damage", "present"),
    [
        (lambda good: good[:-1], (Span(0, 1000),)),
        (lambda good: good + b"torn", (Span(0, 1000), Span(2000, 3000))),
        (lambda good: good[:25] + bytes([good[25] ^ 1]) + good[26:], (Span(0, 1000),)),
        (lambda good: bytes([good[0] ^ 1]) + good[1:], ()),
        (lambda good: bytes(20) + good, ()),
        (lambda good: record(10, 10) + good, ()),
        (lambda good: good + record(9000, 10_241), (Span(0, 1000), Span(2000, 3000))),
        (lambda good: good + record(500, 2500), (Span(0, 3000),)),
        (lambda _: b"", ()),
        (lambda _: b"garbage" * 100, ()),
    ],
    ids=["torn", "tail", "flipped", "first", "zeros", "empty", "beyond", "overlap", "none", "junk"],
)
def test_a_journal_is_cut_at_its_first_damaged_record(
    shelf: Shelf, damage: object, present: tuple[Span, ...]
) -> None:
    assert callable(damage)
    journal = leave(shelf, (0, 1000), (2000, 3000)) / "journal"
    journal.write_bytes(damage(journal.read_bytes()))
    assert unfinished(shelf.cache, BLOB).present == sum(span.size for span in present)
    mine = own(shelf)
    assert mine.present == present
    # What is recorded from now on is not behind the damage.
    put(mine, (5000, 6000))
    mine.release()
    assert own(shelf).present == (*present, Span(5000, 6000))


def test_a_journal_that_is_gone_is_an_empty_one(shelf: Shelf) -> None:
    (leave(shelf) / "journal").unlink()
    assert own(shelf).present == ()


@pytest.mark.parametrize("size", [0, 1000])
def test_data_that_is_too_short_starts_over(shelf: Shelf, size: int) -> None:
    os.truncate(leave(shelf) / "data", size)
    mine = own(shelf)
    assert mine.present == ()
    assert (directory(shelf) / "data").stat().st_size == BLOB.size
    put(mine, (10, 20))
    mine.release()
    assert own(shelf).present == (Span(10, 20),)


def test_what_is_behind_the_end_of_a_blob_goes_and_the_rest_counts(shelf: Shelf) -> None:
    left = leave(shelf)
    mine = own(shelf)
    present = mine.present
    mine.release()
    assert excess(left) == 0
    os.truncate(left / "data", len(CONTENT) + 7)
    assert excess(left) == 7
    mine = own(shelf)
    assert mine.present == present != ()
    assert (directory(shelf) / "data").stat().st_size == BLOB.size
    mine.release()


def test_it_can_be_shortened_without_the_blob_being_wanted(shelf: Shelf) -> None:
    left = leave(shelf)
    os.truncate(left / "data", len(CONTENT) + 7)
    assert shorten(left)
    assert left.name == "free"
    assert (left / "data").stat().st_size == BLOB.size
    own(shelf).release()
    assert not shorten(home(shelf) / ELSEWHERE)


@pytest.mark.parametrize("content", [None, b"", b"many", b"\xff"])
def test_nothing_is_too_long_for_a_size_that_nobody_knows(
    shelf: Shelf, content: bytes | None
) -> None:
    """The first release wrote none."""
    left = leave(shelf)
    (left / "size").unlink()
    if content is not None:
        (left / "size").write_bytes(content)
    os.truncate(left / "data", len(CONTENT) + 7)
    assert excess(left) == 0
    assert own(shelf).present != ()


def test_a_journal_that_cannot_be_read_loses_nothing(shelf: Shelf) -> None:
    """As where no more files can be opened: that does not mean that nothing is there."""
    journal = leave(shelf) / "journal"
    good = journal.read_bytes()
    journal.unlink()
    journal.symlink_to(journal)
    assert unfinished(shelf.cache, BLOB) == Unfinished()
    with pytest.raises(DiskError):
        claim(shelf.cache, BLOB)
    assert directory(shelf).name == "free"
    journal.unlink()
    journal.write_bytes(good)
    assert own(shelf).present == (Span(0, 1000),)


def test_several_threads_write_one_blob(shelf: Shelf) -> None:
    mine = own(shelf)
    lock = threading.Lock()

    def write(start: int) -> None:
        put_at = range(start, len(CONTENT), 4 * 256)
        for offset in put_at:
            mine.write_at(offset, CONTENT[offset : offset + 256])
            view = memoryview(bytearray(256))
            assert mine.pread(view, offset) == 256
            assert view == CONTENT[offset : offset + 256]
            with lock:
                mine.record(Span(offset, offset + 256))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(0, 4 * 256, 256)))
    mine.release()
    mine = own(shelf)
    assert mine.present == (Span(0, len(CONTENT)),)
    assert mine.commit(PROOF).path.read_bytes() == CONTENT


def test_data_that_a_kill_left_read_only_is_gone_on_with(shelf: Shelf) -> None:
    """Just before the commit; a user who is not root could not open it again."""
    left = leave(shelf)
    (left / "data").chmod(0o444)
    mine = own(shelf)
    assert mode_of(directory(shelf) / "data") == 0o644
    assert mine.present == (Span(0, 1000),)


def test_a_blob_that_is_unfinished_is_counted(shelf: Shelf) -> None:
    assert unfinished(shelf.cache, BLOB) == Unfinished()
    left = leave(shelf, (0, 1000), (2000, 3000))
    assert unfinished(shelf.cache, BLOB) == Unfinished(2000, BLOB.size)
    (left / "data").unlink()
    assert unfinished(shelf.cache, BLOB) == Unfinished(2000, 0)


def test_what_is_or_was_another_containers_has_its_room_already(shelf: Shelf) -> None:
    """While it lives its blob is used, and afterwards it is moved, in the room that it has."""
    leave(shelf, (0, 1000), owner=ELSEWHERE)
    assert unfinished(shelf.cache, BLOB) == Unfinished(1000, BLOB.size)


# --- what nobody needs any more

OLD = "docker.io/ai/x:latest"


def begin(shelf: Shelf, content: bytes, reference: str, *spans: tuple[int, int]) -> OwnedPartial:
    claimed = claim(shelf.cache, blob_of(content), reference)
    assert isinstance(claimed, OwnedPartial)
    for start, end in spans:
        claimed.record(Span(start, end))
    return claimed


def test_what_was_begun_for_the_same_reference_and_is_not_needed_is_found(shelf: Shelf) -> None:
    assert abandoned(shelf.cache, OLD, ()) == ()
    begin(shelf, bytes(5000), OLD, (0, 2000), (3000, 3500)).release()
    begin(shelf, bytes(6000), OLD, (0, 100)).release()
    begin(shelf, bytes(7000), "docker.io/ai/y:latest", (0, 100)).release()
    begin(shelf, bytes(8000), "", (0, 100)).release()
    needed = [blob_of(bytes(6000)).digest, blob_of(b"not begun").digest]
    assert [each.present for each in abandoned(shelf.cache, OLD, needed)] == [2500]
    assert abandoned(shelf.cache, OLD, needed)[0].allocated >= 2500
    assert {each.present for each in abandoned(shelf.cache, OLD, ())} == {2500, 100}


def test_what_somebody_fetches_is_not_abandoned(shelf: Shelf) -> None:
    mine = begin(shelf, bytes(5000), OLD, (0, 2000))
    assert abandoned(shelf.cache, OLD, ()) == ()
    mine.release()
    home = shelf.cache.partial(blob_of(bytes(5000)).digest)
    far = (home / "free").rename(home / ELSEWHERE)
    assert abandoned(shelf.cache, OLD, ()) == ()
    silence(far, 70)
    assert [each.present for each in abandoned(shelf.cache, OLD, ())] == [2000]
    far.rename(home / f"{this_host()}-{2**22 + 1}-5-ab")
    assert [each.present for each in abandoned(shelf.cache, OLD, ())] == [2000]


def test_a_reference_may_be_a_path_that_is_no_text(shelf: Shelf) -> None:
    reference = f"oci:{os.fsdecode(b'/models/caf' + bytes([0xE9]))}:v1"
    begin(shelf, bytes(5000), reference, (0, 2000)).release()
    assert [each.present for each in abandoned(shelf.cache, reference, ())] == [2000]


def test_whose_it_was_stays_known_when_it_is_taken_over(shelf: Shelf) -> None:
    begin(shelf, bytes(5000), OLD, (0, 2000)).release()
    begin(shelf, bytes(5000), "docker.io/ai/y:latest").release()
    assert [each.present for each in abandoned(shelf.cache, OLD, ())] == [2000]


@pytest.mark.parametrize("name", ["reference", "data"])
def test_a_partial_without_a_part_is_no_surprise(shelf: Shelf, name: str) -> None:
    begin(shelf, CONTENT, OLD, (0, 2000)).release()
    litter(shelf)
    (shelf.cache.root / "partial" / "notes.txt").write_bytes(b"\xff")
    (home(shelf) / "free" / name).unlink()
    assert abandoned(shelf.cache, OLD, ()) == ()
    begin(shelf, CONTENT, OLD).release()


# --- the end


def test_a_commit_gives_the_final_name_and_leaves_nothing(shelf: Shelf) -> None:
    mine = own(shelf)
    put(mine, (0, len(CONTENT)))
    stored = mine.commit(PROOF)
    assert stored.path == shelf.cache.blob(BLOB.digest)
    assert (stored.path.read_bytes(), mode_of(stored.path)) == (CONTENT, 0o444)
    assert not home(shelf).exists()
    mine.release()
    assert stored.path.exists()


def test_a_blob_of_another_algorithm_has_its_own_directory(shelf: Shelf) -> None:
    blob = blob_of(b"")
    blob = type(blob)(blob.media_type, Digest("sha512", "0" * 128), 0)
    claimed = claim(shelf.cache, blob)
    assert isinstance(claimed, OwnedPartial)
    assert claimed.commit(PROOF).path == shelf.root / "blobs" / "sha512" / ("0" * 128)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_commit_of_what_was_taken_over_is_refused(shelf: Shelf, is_replaced: bool) -> None:
    mine = own(shelf)
    put(mine, (0, len(CONTENT)))
    name = directory(shelf).name
    taken = directory(shelf).rename(home(shelf) / ELSEWHERE)
    if is_replaced:
        (home(shelf) / name).mkdir()
        (home(shelf) / name / "data").write_bytes(CONTENT)
    with pytest.raises(Busy):
        mine.commit(PROOF)
    mine.release()
    assert not shelf.cache.blob(BLOB.digest).exists()
    assert (taken / "data").read_bytes() == CONTENT


def test_a_release_keeps_what_is_there_for_anybody(shelf: Shelf) -> None:
    mine = own(shelf)
    put(mine, (0, 1000))
    mine.release()
    mine.release()
    assert directory(shelf).name == "free"
    assert own(shelf).present == (Span(0, 1000),)


def test_a_release_without_a_byte_leaves_nothing(shelf: Shelf) -> None:
    own(shelf).release()
    assert not home(shelf).exists()


def test_a_claim_that_fails_for_whatever_reason_is_nobodys(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process runs on, and would wait for itself."""

    def fail(descriptor: int, size: int) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        with pytest.raises(MemoryError):
            own(shelf)
    own(shelf).release()


def test_a_discard_forgets_every_byte_and_stays_the_owner(shelf: Shelf) -> None:
    mine = own(shelf)
    put(mine, (0, 1000))
    mine.discard()
    assert mine.present == ()
    assert isinstance(claim(shelf.cache, BLOB), Taken)
    put(mine, (2000, 3000))
    mine.release()
    assert own(shelf).present == (Span(2000, 3000),)


# --- disks that say no


def test_a_full_disk_is_told_before_the_first_byte(shelf: Shelf) -> None:
    with no_file_beyond(5000), pytest.raises(NoSpace):
        own(shelf)
    assert not home(shelf).exists()
    own(shelf).release()


def test_a_full_disk_is_told_while_writing(shelf: Shelf) -> None:
    mine = own(shelf)
    put(mine, (0, 1000))
    with no_file_beyond(5000), pytest.raises(NoSpace):
        mine.write_at(4000, CONTENT[4000:6000])
    mine.release()
    assert own(shelf).present == (Span(0, 1000),)


def test_a_place_that_cannot_be_written_is_told() -> None:
    with pytest.raises(NotWritable):
        claim(Shelf(Path("/sys/cache")).cache, BLOB)


def test_what_nobody_has_and_this_user_may_not_take_is_told(open_path: Path) -> None:
    """It is not asked for ever."""
    shelf = Shelf(open_path)
    leave(shelf)
    home(shelf).chmod(0o555)
    try:
        with without_privileges(), pytest.raises(NotWritable):
            claim(shelf.cache, BLOB)
    finally:
        home(shelf).chmod(0o755)


def test_no_room_for_new_files_leaves_the_name_of_the_silent_owner(shelf: Shelf) -> None:
    """Else the next run would take it over without moving it."""
    left = leave(shelf, owner=ELSEWHERE)
    silence(left, 70)
    with no_file_beyond(5000), pytest.raises(NoSpace):
        claim(shelf.cache, BLOB)
    assert directory(shelf).name == ELSEWHERE
    assert unfinished(shelf.cache, BLOB).present == 1000
    silence(left, 70)
    assert own(shelf).present == (Span(0, 1000),)
    assert {path.name for path in directory(shelf).iterdir()} == PARTS


def test_a_cache_with_a_file_in_the_way_is_told(shelf: Shelf) -> None:
    home(shelf).parent.mkdir(parents=True)
    home(shelf).touch()
    with pytest.raises(DiskError):
        claim(shelf.cache, BLOB)


def test_what_goes_wrong_under_an_owner_is_told(shelf: Shelf) -> None:
    """The data is a directory: no system call on it works."""
    leave(shelf)
    (directory(shelf) / "data").unlink()
    (directory(shelf) / "data").mkdir()
    with pytest.raises(DiskError):
        claim(shelf.cache, BLOB)
    assert directory(shelf).name == "free"
