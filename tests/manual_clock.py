"""Time that a test moves by hand."""

from __future__ import annotations

import asyncio

from attrs import define, field

from app.core.clock import Clock


@define(eq=False)
class ManualClock:
    """The clocks of a machine on which no time passes but by these methods.

    ``now`` is monotonic seconds, and may be set while nobody sleeps, from any thread. ``suspended``
    is how long the machine has slept, ``stepped`` by how much its wall clock was set.
    """

    now: float = 1000.0
    suspended: float = 50.0
    stepped: float = 1_700_000_000.0
    clock: Clock = field(init=False)
    _sleepers: list[tuple[float, asyncio.Future[None]]] = field(factory=list)
    _asleep: asyncio.Event = field(factory=asyncio.Event)

    def __attrs_post_init__(self) -> None:
        self.clock = Clock(
            monotonic=lambda: self.now,
            boottime=lambda: self.now + self.suspended,
            wall=lambda: self.now + self.stepped,
            sleep_until=self._sleep_until,
        )

    @property
    def sleepers(self) -> int:
        """How many sleep by this clock."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whom that concerns."""
        self.advance_to(self.now + seconds)

    def advance_to(self, moment: float) -> None:
        """Let time pass until a moment; none passes if that is over."""
        self.now = max(self.now, moment)
        woken = [sleeper for sleeper in self._sleepers if sleeper[0] <= self.now]
        for sleeper in woken:
            self._sleepers.remove(sleeper)
            sleeper[1].set_result(None)

    def suspend(self, seconds: float) -> None:
        """Put the machine to sleep; the monotonic clock stands still meanwhile."""
        self.suspended += seconds
        self.stepped += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock."""
        self.stepped += seconds

    async def sleeping(self, count: int = 1) -> float:
        """Wait until so many sleep, and return the earliest moment that one of them waits for."""
        while self.sleepers < count:
            self._asleep.clear()
            await self._asleep.wait()
        return min(moment for moment, _ in self._sleepers)

    async def wake(self, count: int = 1) -> None:
        """Wait until so many sleep, and let time pass until the first of them wakes."""
        self.advance_to(await self.sleeping(count))

    async def _sleep_until(self, moment: float) -> None:
        sleeper = (moment, asyncio.get_running_loop().create_future())
        self._sleepers.append(sleeper)
        if moment <= self.now:
            self.advance_to(self.now)
        self._asleep.set()
        try:
            await sleeper[1]
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)
