"""How far a pull is, as its events and counters tell: the same for bars, lines and JSON."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from oci_pull import events
from oci_pull.cli.units import size

#: What a rate is taken over, in seconds.
_WINDOW = 10.0
_KNOWN_AFTER = 0.5
#: What is left is not told before that many seconds, and is corrected over so many.
_SETTLES = 3.0
_CORRECTED_OVER = 5.0
_LEAST_SAMPLES = 2
#: Blobs below this have no row of their own (bytes).
_SMALL = 1_000_000


class Rate:
    """How fast a number grew lately."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()

    def after(self, now: float, done: int) -> float | None:
        """The growth a second over the last moments, where the number is `done` by now.

        None while that is not known.
        """
        self._samples.append((now, done))
        while len(self._samples) > _LEAST_SAMPLES and now - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        since, before = self._samples[0]
        return max(0, done - before) / (now - since) if now - since >= _KNOWN_AFTER else None


class Left:
    """The seconds that are left as they are shown: they pass, and are corrected bit by bit."""

    def __init__(self) -> None:
        self._begun: float | None = None
        self._end: float | None = None
        self._corrected = 0.0

    def after(self, now: float, missing: int, rate: float | None) -> float | None:
        """The seconds until `missing` bytes are here at this rate; None while nobody can know."""
        if self._begun is None:
            self._begun = now
        if now - self._begun < _SETTLES or not missing or not rate:
            return None
        end = now + missing / rate
        share = min(1.0, (now - self._corrected) / _CORRECTED_OVER)
        self._end = end if self._end is None else self._end + (end - self._end) * share
        self._corrected = now
        return max(0.0, self._end - now)


@dataclass(frozen=True, slots=True)
class Row:
    """Something under way: what, how far (bytes), how fast (bytes a second), and what about it."""

    name: str
    done: int = 0
    size: int = 0
    rate: float | None = None
    note: str = ""

    @property
    def share(self) -> float:
        """How much of it is done, from 0 to 1; all of nothing."""
        return min(1.0, self.done / self.size) if self.size else 1.0


class Totals:
    """Adds up what the counters say.

    Events may come from any thread. What is computed from them is asked by one: rates are kept.
    """

    def __init__(self) -> None:
        self.reference = ""
        self.planned: events.Planned | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget what is under way: it is planned, maybe once more, from what is here now."""
        self.examining: events.Examining | None = None
        self.laying_out: events.LayingOut | None = None
        self._started: dict[str, events.Started] = {}
        self._finished: set[str] = set()
        self._unpacking: dict[str, events.Unpacking] = {}
        self._waiting: dict[str, str] = {}
        #: By name: what happened to a blob, and the bytes of it that were here then.
        self._notes: dict[str, tuple[str, int]] = {}
        self._rates: dict[str, Rate] = {}
        self._rate, self._left = Rate(), Left()
        self._done = 0

    def on(self, event: events.Event) -> None:
        """Take notice of an event."""
        match event:
            case events.Resolving(reference=reference):
                self.reference = reference
            case events.Planned():
                self._begin()
                self.planned = event
            case events.Examining():
                self._begin()
                self.examining = event
            case events.Started(name=name, digest=digest):
                self._started[str(digest)] = event
                self._finished.discard(str(digest))
                self._waiting.pop(name, None)
            case (
                events.Committed(name=name, digest=digest) | events.Reused(name=name, digest=digest)
            ):
                self._finished.add(str(digest))
                self._waiting.pop(name, None)
            case events.Unpacking(name=name):
                self._unpacking[name] = event
            case events.LayingOut():
                self.laying_out = event
            case _:
                self._note(event)

    def _note(self, event: events.Event) -> None:
        match event:
            case events.Retrying(name=name, attempt=attempt, attempts=attempts):
                self._notes[name] = (f"retry {attempt}/{attempts}", self._here(name))
            case events.Stalled(name=name):
                self._notes[name] = ("reconnects", self._here(name))
            case events.Restarted(name=name):
                self._notes[name] = ("again", self._here(name))
            case events.Waiting(name=name, owner=owner):
                self._waiting[name] = owner

    def _here(self, name: str) -> int:
        found = (each.counter.value for each in list(self._started.values()) if each.name == name)
        return next(found, 0)

    @property
    def active(self) -> list[events.Started]:
        """The blobs that are fetched, hashed, or on their way to their final names."""
        started = list(self._started.items())
        return [each for digest, each in started if digest not in self._finished]

    @property
    def unhashed(self) -> int:
        """The bytes of these that are still to go through their digests."""
        return sum(max(0, each.size - each.hashed.value) for each in self.active)

    @property
    def done(self) -> int:
        """The bytes that are here, of all that are wanted; never fewer than a moment ago."""
        planned = self.planned
        started = sum(each.counter.value for each in list(self._started.values()))
        resumed = sum(each.resumed for each in list(self._started.values()))
        done = started
        if planned is not None:
            done = min(planned.reused + planned.resumed - resumed + started, planned.size)
        self._done = max(self._done, done)
        return self._done

    @property
    def blobs(self) -> tuple[int, int, int]:
        """How many blobs are here and verified, are wanted, and nobody has begun with."""
        finished, wanted = len(self._finished), self.planned.blobs if self.planned else 0
        waiting = max(0, wanted - finished - len(self.active) - len(self._waiting))
        return finished, max(finished, wanted), waiting

    @property
    def waiting(self) -> list[Row]:
        """The blobs that another process fetches."""
        return [
            Row(name, note=f"waiting for {owner}") for name, owner in list(self._waiting.items())
        ]

    @property
    def kept(self) -> str:
        """How much of what is wanted stays here, whatever happens; for people."""
        if self.planned is None:
            return "what was fetched is kept"
        return f"{size(self.done)} of {size(self.planned.size)} kept"

    def total(self, now: float) -> tuple[Row, float | None]:
        """What all of it is doing, and the seconds that fetching will still take if that is known.

        Fetching comes first; what is left to be hashed, unpacked and laid out when it is done is a
        line of its own, which begins anew.
        """
        if self.laying_out:
            event = self.laying_out
            return Row("laying out", event.counter.value, event.size), None
        for each in self._from_images():
            return Row("unpacking", each.counter.value, each.size), None
        if self.examining:
            return self._read(now, self.examining)
        if self.planned is None:
            return Row("resolving", note=self.reference), None
        done, whole = self.done, self.planned.size
        rate = self._rate.after(now, done)
        left = self._left.after(now, whole - done, rate)
        if done < whole or not self.unhashed:
            return Row("total", done, whole, rate), left
        return Row("verifying", whole - self.unhashed, whole), None

    def _read(self, now: float, event: events.Examining) -> tuple[Row, float | None]:
        done = event.counter.value
        rate = self._rate.after(now, done)
        left = self._left.after(now, event.size - done, rate)
        return Row("reading", done, event.size, rate), left

    def rows(self, now: float) -> list[Row]:
        """A row for each blob that is under way and takes a while, by their names."""
        large = [each for each in self.active if each.size >= _SMALL]
        large.sort(key=lambda each: each.name)
        return [self._row(each, now) for each in large] + self.waiting

    def _row(self, blob: events.Started, now: float) -> Row:
        done = blob.counter.value
        rate = self._rates.setdefault(str(blob.digest), Rate()).after(now, done)
        note, before = self._notes.get(blob.name, ("", 0))
        if done >= blob.size:
            note = "unpacking" if blob.name in self._unpacking else "verifying"
        elif done > before:
            note = ""
        return Row(blob.name, done, blob.size, rate, note)

    def _from_images(self) -> Iterator[events.Unpacking]:
        """What is unpacked while nothing is fetched any more."""
        names = {each.name for each in list(self._started.values())}
        for each in list(self._unpacking.values()):
            if each.name not in names and each.counter.value < each.size and not self.active:
                yield each
