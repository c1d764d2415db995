"""Heartbeats for all streams, by one wheel: a stream is looked at once in a heartbeat's time."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Protocol

# A heartbeat may come early by up to two of these, and is not late while the wheel is turned late
# by less than one.
RESOLUTION_S = 0.25


class Pulse(Protocol):
    """A stream that must not be silent."""

    last_sent: float

    @property
    def silent_since(self) -> float:
        """When it was last sent something, in monotonic seconds."""
        ...

    def beat(self) -> None:
        """Send a heartbeat."""
        ...


def next_turn(now: float) -> float:
    """Return the next moment at which wheels are to be turned, in monotonic seconds."""
    return (math.floor(now / RESOLUTION_S) + 1) * RESOLUTION_S


class Wheel:
    """Knows when each stream will have been silent for a heartbeat's time.

    A stream that was sent something meanwhile is only put off, so sending costs the wheel nothing.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._spokes: defaultdict[int, set[Pulse]] = defaultdict(set)

    def add(self, pulse: Pulse) -> None:
        """Watch over a stream from now on."""
        self._spokes[self._due(pulse)].add(pulse)

    def discard(self, pulse: Pulse) -> None:
        """Forget a stream."""
        for spoke in self._spokes.values():
            spoke.discard(pulse)

    def turn(self, now: float) -> None:
        """Let every stream beat that would else be silent for too long before the next turn."""
        turned = math.floor(now / RESOLUTION_S)
        for spoke in [at for at in self._spokes if at <= turned]:
            for pulse in self._spokes.pop(spoke):
                if self._due(pulse) <= turned:
                    pulse.beat()
                    pulse.last_sent = now
                self.add(pulse)

    def _due(self, pulse: Pulse) -> int:
        # One spoke early, since the wheel is turned once for each.
        return math.floor((pulse.silent_since + self._period_s) / RESOLUTION_S) - 1
