"""When to try again, and for how long to wait for a sign of life: clocks, and no I/O.

All times are seconds of one clock, which goes on while the machine sleeps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from attrs import define, field

FLOOR_S = 0.5
CEILING_S = 30.0
HEALTHY_S = 30.0
FIRST_TRIAL_S = 30.0
LONGEST_TRIAL_S = 600.0
# What is cut sooner than this is broken rather than quiet.
SHORTEST_CUT_S = 2.0
MARGIN = 0.6

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Seconds since some moment, those of suspend included where the system can tell them."""
    seconds: float = time.clock_gettime(_BOOTTIME)
    return seconds


@define
class Backoff:
    """When to come back: full jitter, longer each time, forgotten after health.

    ``at`` is that moment, None while there is nothing to wait for.
    """

    at: float | None = None
    tries: int = 0
    _up_since: float = math.inf

    def up(self, now: float) -> None:
        """Take note that a connection has begun to work."""
        self._up_since = now

    def down(self, now: float) -> bool:
        """Take note that it has ended; tell whether it had lasted."""
        healthy = now - self._up_since >= HEALTHY_S
        if healthy:
            self.tries = 0
        self._up_since = math.inf
        return healthy

    def wait(self, now: float, chance: float, after: float | None = None) -> None:
        """Wait for what the server said, else for a time that ``chance``, 0 to 1, decides."""
        self.at = now + (self._next(chance) if after is None else after)

    def _next(self, chance: float) -> float:
        ceiling = min(CEILING_S, 2 * FLOOR_S * 2.0**self.tries)
        self.tries += 1
        return FLOOR_S + chance * (ceiling - FLOOR_S)


@define
class Trials:
    """When a better transport is tried again: less often each time that it did not work."""

    _pause: float = FIRST_TRIAL_S
    _at: float = math.inf

    def schedule(self, now: float) -> None:
        """Have one after the pause."""
        self._at = now + self._pause

    def cancel(self) -> None:
        """Have none."""
        self._at = math.inf

    def slow(self) -> None:
        """Take note that it did not work."""
        self._pause = min(LONGEST_TRIAL_S, 2 * self._pause)

    def due(self, now: float) -> bool:
        """Tell so, once for each `schedule`."""
        if now < self._at:
            return False
        self.cancel()
        return True


@define(eq=False)
class Liveness:
    """Whether anything still comes.

    ``limit`` is the silence after which nothing will come any more, ``longest`` the longest that
    was followed by something.
    """

    _clock: Callable[[], float]
    limit: float = math.inf
    longest: float = 0.0
    _heard_at: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._heard_at = self._clock()

    def heard(self) -> None:
        """Take note that something came."""
        self.longest = max(self.longest, self.quiet)
        self._heard_at = self._clock()

    def excuse(self) -> None:
        """Begin to count anew, as nobody listened meanwhile."""
        self._heard_at = self._clock()

    @property
    def quiet(self) -> float:
        """Seconds since anything came."""
        return self._clock() - self._heard_at

    @property
    def dead(self) -> bool:
        """Whether it has been quiet for too long."""
        return self.quiet >= self.limit


@define
class Path:
    """What is known of the way to the server: the seconds of silence that are safe on it."""

    quiet: float = math.inf

    def learn(self, quiet: float, longest: float) -> None:
        """Learn from the end of a connection: how quiet it was, and had been before, in seconds."""
        if quiet >= SHORTEST_CUT_S and quiet > longest:
            self.quiet = min(self.quiet, quiet * MARGIN)
