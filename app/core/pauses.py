"""How long the event loop was held up: everybody waits for that, and no client can tell."""

from __future__ import annotations

from collections import deque

from attrs import define, field

RECENT_S = 60.0


@define(eq=False)
class Pauses:
    """The pauses of an event loop, in seconds, as far as its own beat and its own work tell.

    ``newest`` is by how much the newest beat was late, ``longest`` the longest pause at all.
    """

    newest: float = 0.0
    longest: float = 0.0
    # When each ended, and its length: of two pauses only a longer one outlives what came after it.
    _recent: deque[tuple[float, float]] = field(factory=deque)

    def beat(self, now: float, due: float) -> None:
        """Take note of a beat that came now and was due at a moment, both monotonic seconds."""
        self.newest = max(0.0, now - due)
        self.work(now, self.newest)

    def work(self, now: float, took: float) -> None:
        """Take note of work that ended now and let nobody else have a turn for so long."""
        self.longest = max(self.longest, took)
        while self._recent and self._recent[-1][1] <= took:
            self._recent.pop()
        self._recent.append((now, took))

    def recent(self, now: float) -> float:
        """Return the longest pause of those that ended in the last `RECENT_S`."""
        while self._recent and self._recent[0][0] <= now - RECENT_S:
            self._recent.popleft()
        return self._recent[0][1] if self._recent else 0.0
