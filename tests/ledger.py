"""What was published, and what a client may claim to have: PROTOCOL.md 2 and 3, told anew.

Independent of the product on purpose: which publications are due, what their windows span and
what a gap covers is worked out here from the ticks that were published, in another way than the
log and the cohorts do it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable

from attrs import define, field, frozen

TICK_MS = 1000
# A driven hub samples twice for the first window after a hole, so far apart.
PRIME_MS = 200
STARTED_MS = 1_700_000_000_000

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


@frozen
class Gap:
    """A declared gap: nothing that lies between ``low`` and ``high`` is owed any more."""

    reason: str
    low: Place
    high: Place


@define
class Ledger:
    """All publications of all lives of the log, by channel."""

    epochs: list[str] = field(factory=list)
    entries: defaultdict[str, list[Entry]] = field(factory=lambda: defaultdict(list))
    head: int = 0

    @property
    def life(self) -> int:
        """Number of the present life."""
        return len(self.epochs) - 1

    def begin(self, epoch: str) -> None:
        """Begin a new life of the log."""
        self.epochs.append(epoch)
        self.head = 0

    def note(self, tick: int, channels: Iterable[str], hole: str | None = None) -> None:
        """Note a publication of each channel at a tick."""
        for channel in channels:
            self.head += 1
            newest = self.newest(channel)
            entry = Entry(
                (self.life, self.head),
                tick,
                newest.tick if newest else None,
                hole if newest else None,
            )
            self.entries[channel].append(entry)

    def place(self, cursor: str | None) -> Place:
        """Say what a cursor means; null lies before everything."""
        if cursor is None:
            return BEFORE_ALL
        epoch, _, seq = cursor.partition(":")
        return self.epochs.index(epoch), int(seq)

    def cursor(self, place: Place) -> str:
        """Write a place as the wire has it."""
        return f"{self.epochs[place[0]]}:{place[1]}"

    def newest(self, channel: str) -> Entry | None:
        """Return a channel's newest publication in this life."""
        entries = self.entries[channel]
        return entries[-1] if entries and entries[-1].place[0] == self.life else None

    def entry(self, channel: str, place: Place) -> Entry:
        """Look a publication up."""
        entries = self.entries[channel]
        found = entries[bisect_left(entries, place, key=lambda entry: entry.place)]
        assert found.place == place
        return found

    def between(self, channel: str, low: Place, high: Place) -> list[Entry]:
        """Return a channel's publications above one place and below another."""
        entries = self.entries[channel]
        start = bisect_right(entries, low, key=lambda entry: entry.place)
        return entries[start : bisect_left(entries, high, key=lambda entry: entry.place)]

    def owed(self, channel: str, ticks: int, low: Place, high: Place) -> list[Entry]:
        """Return those between that are due for an interval."""
        return [entry for entry in self.between(channel, low, high) if entry.due(ticks)]

    def last_due(self, channel: str, ticks: int) -> Place | None:
        """Return the place of the newest message of this life."""
        due = self.owed(channel, ticks, (self.life, 0), (self.life, self.head + 1))
        return due[-1].place if due else None

    def message(self, channel: str, place: Place, ticks: int) -> dict[str, object]:
        """Say what the message of a publication must hold, but for type, host and padding."""
        entry = self.entry(channel, place)
        first, primed = entry, 0
        for earlier in reversed(self.between(channel, (place[0], 0), (place[0], place[1] + 1))):
            first = earlier
            if earlier.tick <= entry.tick - ticks:
                break
            if earlier.begins:
                primed = PRIME_MS
                break
        return {
            "timestamp": STARTED_MS + entry.tick * TICK_MS,
            "cursor": self.cursor(place),
            "intervalMs": ticks * TICK_MS,
            "windowMs": (entry.tick - first.tick) * TICK_MS + primed,
            "value": entry.tick,
            "span": entry.tick - first.tick,
        }


@define
class Account:
    """One channel as one client has it: its cursor, and the gaps that it was told of.

    ``at`` claims that everything due up to there was delivered or declared; each step forward is
    checked against the ledger.
    """

    ledger: Ledger
    channel: str
    ticks: int = 1
    at: Place | None = None
    gaps: list[Gap] = field(factory=list)

    def above(self, place: Place) -> bool:
        """Tell whether a message is new to the client."""
        return self.at is None or place > self.at

    def deliver(self, place: Place) -> None:
        """Take a message: nothing that was due before it may be missing."""
        self._claim(place, (place[0], place[1]))

    def cover(self, place: Place) -> None:
        """Take a cursor that claims to cover this channel up to and with its own place."""
        below = (place[0], place[1] + 1)
        # Before a channel's first snapshot the cursor of another one says nothing about it,
        # unless there has been nothing to say.
        if self.at is not None or not self.ledger.between(self.channel, BEFORE_ALL, below):
            self._claim(place, below)

    def _claim(self, place: Place, below: Place) -> None:
        if self.at is None:
            self.at = place
            return
        for entry in self.ledger.between(self.channel, self.at, below):
            assert not entry.due(self.ticks) or self._excused(entry), (
                f"{self.channel} {entry} was due after {self.at} and before {place}, and is lost"
            )
            assert entry.hole is None or self._told(entry), (
                f"the hole at {self.channel} {entry} was passed without a word"
            )
        self.at = max(self.at, place)

    def _excused(self, entry: Entry) -> bool:
        return any(gap.low < entry.place < gap.high for gap in self.gaps)

    def _told(self, entry: Entry) -> bool:
        # What leads up to a snapshot may end at the hole.
        return any(gap.low < entry.place <= gap.high for gap in self.gaps)
