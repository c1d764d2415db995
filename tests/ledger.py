"""What was published, and what a client may claim to have: PROTOCOL.md 2 and 3, told anew.

Independent of the product on purpose: which publications are due, what their windows span and
what a gap covers is worked out here from the ticks that were published, in another way than the
log and the cohorts do it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

TICK_MS = 1000
# How a driven hub dates a tick, and how far its two samples for the first window are apart.
EPOCH_MS = 1_700_000_000_000
PRIME_MS = 200

# The number of the log's life, and the seq in it: so a cursor of an earlier life is the lower one.
Place = tuple[int, int]
BEFORE_ALL: Place = (-1, 0)


@frozen
class Entry:
    """One publication; ``previous`` is the tick of the channel's one before it in this life."""

    place: Place
    tick: int
    previous: int | None
    hole: str | None

    def due(self, ticks: int) -> bool:
        """Tell whether it is a message for an interval of so many ticks."""
        return self.previous is None or self.tick // ticks != self.previous // ticks

    @property
    def begins(self) -> bool:
        """Whether no window reaches further back."""
        return self.previous is None or self.hole is not None


@define
class Ledger:
    """All publications of all lives of the log, by channel.

    The server holds the last ``history_s`` seconds and puts ``padding`` bytes into each message.
    """

    history_s: int
    padding: int
    head: int = 0
    epochs: list[str] = field(factory=list)
    _entries: defaultdict[str, list[Entry]] = field(factory=lambda: defaultdict(list))
    _texts: dict[tuple[str, int], str] = field(factory=dict)

    @property
    def life(self) -> int:
        """Number of the present life."""
        return len(self.epochs) - 1

    @property
    def end(self) -> Place:
        """A place above all that was published."""
        return self.life, self.head + 1

    def begin(self) -> str:
        """Begin a new life of the log and name it."""
        self.epochs.append(f"life{len(self.epochs)}")
        self.head = 0
        return self.epochs[-1]

    def note(self, tick: int, channels: Iterable[str], hole: str | None = None) -> None:
        """Note a publication of each channel at a tick."""
        for channel in channels:
            self.head += 1
            previous = self.newest(channel)
            place = (self.life, self.head)
            before = None if previous is None else previous.tick
            self._entries[channel].append(Entry(place, tick, before, hole if previous else None))

    def place(self, cursor: str) -> Place:
        """Say what a cursor means."""
        epoch, _, seq = cursor.partition(":")
        return self.epochs.index(epoch), int(seq)

    def cursor(self, place: Place) -> str:
        """Write a place as the wire has it."""
        return f"{self.epochs[place[0]]}:{place[1]}"

    def newest(self, channel: str) -> Entry | None:
        """Return a channel's newest publication in this life."""
        entries = self._entries[channel]
        return entries[-1] if entries and entries[-1].place[0] == self.life else None

    def entry(self, channel: str, place: Place) -> Entry:
        """Look a publication up."""
        (found,) = self.between(channel, (place[0], place[1] - 1), (place[0], place[1] + 1))
        return found

    def between(self, channel: str, low: Place, high: Place) -> list[Entry]:
        """Return a channel's publications above one place and below another."""
        entries = self._entries[channel]
        start = bisect_right(entries, low, key=lambda entry: entry.place)
        return entries[start : bisect_left(entries, high, key=lambda entry: entry.place)]

    def due(self, channel: str, ticks: int, low: Place, high: Place) -> list[Entry]:
        """Return those between that are messages for an interval of so many ticks."""
        return [entry for entry in self.between(channel, low, high) if entry.due(ticks)]

    def held(self, channel: str, since: Place) -> bool:
        """Tell whether all that is above a cursor is young enough to be held for certain."""
        missed = self.between(channel, since, self.end)
        return not missed or missed[0].tick >= missed[-1].tick - self.history_s

    def check(self, channel: str, ticks: int, text: str, body: Mapping[str, object]) -> None:
        """Hold a message against what was published; all who get it get the same bytes."""
        cursor = str(body["cursor"])
        assert text == self._texts.setdefault((cursor, ticks), text)
        entry = self.entry(channel, self.place(cursor))
        first, window_ms = self._window(channel, entry, ticks)
        assert body["timestamp"] == EPOCH_MS + entry.tick * TICK_MS
        assert body["intervalMs"] == ticks * TICK_MS
        assert body["windowMs"] == window_ms
        padding = "x" * self.padding
        assert body["data"] == {
            "value": entry.tick,
            "span": entry.tick - first.tick,
            "padding": padding,
        }

    def _window(self, channel: str, entry: Entry, ticks: int) -> tuple[Entry, int]:
        life, seq = entry.place
        backwards = reversed(self.between(channel, (life, 0), (life, seq + 1)))
        whole = entry.tick - ticks
        first = next(item for item in backwards if item.tick <= whole or item.begins)
        length_ms = (entry.tick - first.tick) * TICK_MS
        return first, length_ms if first.tick <= whole else length_ms + PRIME_MS


@define
class Account:
    """One channel as one client has it: its cursor, and the gaps that it was told of.

    ``at`` claims that all that was due up to there, at an interval of so many ``ticks``, was
    delivered or declared; each step forward is checked. ``gaps`` are pairs of places.
    """

    ledger: Ledger
    channel: str
    ticks: int = 1
    at: Place | None = None
    gaps: list[tuple[Place, Place]] = field(factory=list)

    @property
    def complete(self) -> bool:
        """Whether the newest message that is due is there, or a newer snapshot."""
        published = self.ledger.between(self.channel, (self.ledger.life, 0), self.ledger.end)
        last = next((entry for entry in reversed(published) if entry.due(self.ticks)), None)
        return last is None or (self.at is not None and self.at >= last.place)

    def deliver(self, place: Place) -> None:
        """Take a message: nothing that was due before it may be missing."""
        self._claim(place, place)

    def cover(self, place: Place) -> None:
        """Take a cursor that claims to cover this channel up to and with its own place."""
        # Before a channel's first snapshot the cursor of another one says nothing about it.
        if self.at is not None:
            self._claim(place, (place[0], place[1] + 1))

    def _claim(self, place: Place, below: Place) -> None:
        if self.at is None:
            self.at = place
        for entry in self.ledger.between(self.channel, self.at, below):
            place_of = entry.place
            declared = any(low < place_of < high for low, high in self.gaps)
            assert declared or not entry.due(self.ticks), (
                f"{self.channel} {entry} is lost between {self.at} and {place}"
            )
            # What leads up to a snapshot may end at a hole.
            told = any(low < place_of <= high for low, high in self.gaps)
            assert told or entry.hole is None, (
                f"{self.channel} {entry} is a hole that was passed in silence"
            )
        self.at = max(self.at, place)
