"""The log: one count for all publications of the hub, and a bounded ring for each channel.

Everything that is ever said again (history, resume, a slow reader's catch-up) is said out of it.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

from attrs import define, field, frozen

from app.core.source import Window
from schema.cursor import Cursor
from schema.fields import GapReason

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
EPOCH_LENGTH = 8
# Trimmed entries are taken from the front of a list in one go, which costs its length.
TRIM_AT = 64


def new_epoch() -> str:
    """Name a new life of the log."""
    return "".join(secrets.choice(ALPHABET) for _ in range(EPOCH_LENGTH))


@frozen(eq=False)
class Reading:
    """A sample with the moment it was taken: monotonic seconds, and ms since the epoch."""

    monotonic: float
    timestamp: int
    sample: Any


@frozen(eq=False)
class Publication:
    """One entry of the log.

    ``previous_tick`` is the tick of the channel's publication before it, whatever the log still
    holds. ``hole`` says why nothing was published between the two; ``base`` is the reading that
    its own window begins with, which the first one and the first one after a hole need.
    """

    seq: int
    channel: str
    host: str
    tick: int
    previous_tick: int | None
    reading: Reading
    base: Reading | None
    hole: GapReason | None

    def due(self, ticks: int) -> bool:
        """Tell whether a subscription with an interval of so many ticks gets it."""
        return self.previous_tick is None or self.tick // ticks != self.previous_tick // ticks


@define(eq=False)
class Ring:
    """The publications of one channel of one host that are still held, oldest first."""

    keep_ticks: int
    asleep: bool = False
    # The highest seq that was held once and is no longer.
    dropped: int = 0
    _items: list[Publication] = field(factory=list)

    @property
    def newest(self) -> Publication | None:
        """The newest publication, None before the first."""
        return self._items[-1] if self._items else None

    def append(self, publication: Publication) -> None:
        """Add a publication and let go of what is too old."""
        self._items.append(publication)
        self.asleep = False
        oldest = publication.tick - self.keep_ticks
        if self._items[0].tick < oldest - TRIM_AT:
            gone = bisect_right(self._items, oldest, key=lambda item: item.tick)
            self.dropped = self._items[gone - 1].seq
            del self._items[:gone]

    def after(self, seq: int) -> list[Publication]:
        """Return the held publications above ``seq``, oldest first."""
        return self._items[bisect_right(self._items, seq, key=lambda item: item.seq) :]

    def backwards(self, seq: int) -> Iterator[Publication]:
        """Yield the held publications up to ``seq``, newest first."""
        for at in range(bisect_right(self._items, seq, key=lambda item: item.seq) - 1, -1, -1):
            yield self._items[at]

    def window(self, publication: Publication, ticks: int) -> Window | None:
        """Return the window of so many ticks that ends at a publication.

        It is shorter where the source is young or a hole lies within; None if its beginning is
        no longer held.
        """
        readings: list[Reading] = []
        for item in self.backwards(publication.seq):
            readings.append(item.reading)
            if item.tick <= publication.tick - ticks:
                return _window(readings)
            if item.base is not None:
                readings.append(item.base)
                return _window(readings)
        return None


def _window(newest_first: list[Reading]) -> Window:
    seconds = newest_first[0].monotonic - newest_first[-1].monotonic
    return Window(tuple(reading.sample for reading in reversed(newest_first)), seconds)


class Log:
    """The one log of the hub.

    ``head`` is the newest seq that was given out; 0 before the first.
    """

    def __init__(self, *, keep_ticks: int, epoch: str | None = None) -> None:
        self.epoch = epoch or new_epoch()
        self.head = 0
        self._keep_ticks = keep_ticks
        self._rings: dict[tuple[str, str], Ring] = {}

    def ring(self, channel: str, host: str) -> Ring:
        """Return the ring of a channel of a host, an empty one at first."""
        key = (channel, host)
        if key not in self._rings:
            self._rings[key] = Ring(self._keep_ticks)
        return self._rings[key]

    def cursor(self, seq: int) -> Cursor:
        """Return the cursor of a place in this life of the log."""
        return Cursor(self.epoch, seq)

    def append(  # noqa: PLR0913 - the parts of a publication
        self,
        channel: str,
        host: str,
        tick: int,
        reading: Reading,
        *,
        base: Reading | None = None,
        hole: GapReason | None = None,
    ) -> Publication:
        """Give a reading its place in the log.

        The first of a channel, and the first after a hole, must come with a ``base``.
        """
        ring = self.ring(channel, host)
        previous = ring.newest
        self.head += 1
        publication = Publication(
            self.head,
            channel,
            host,
            tick,
            previous.tick if previous else None,
            reading,
            base,
            hole if previous else None,
        )
        ring.append(publication)
        return publication
