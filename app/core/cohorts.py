"""The cohorts of a hub: made when they are asked for, forgotten when their last member leaves."""

from __future__ import annotations

from attrs import define, field

from app.core.cache import FrameCache
from app.core.cohort import Cohort, CohortKey
from app.core.counters import Counters
from app.core.log import Log
from app.core.source import Source
from schema.messages import Subscribe


@define(eq=False)
class Cohorts:
    """The cohorts that have members; what the others kept stays in the one cache.

    Who names no interval is given ``interval_ms``, and each gets whole ticks.
    """

    host: str
    tick_ms: int
    interval_ms: int
    _log: Log
    _counters: Counters
    _cache: FrameCache = field(factory=FrameCache)
    _cohorts: dict[CohortKey, Cohort] = field(factory=dict)

    def __len__(self) -> int:
        return len(self._cohorts)

    def values(self) -> list[Cohort]:
        """Return all of them; a copy, since whoever is told something may leave."""
        return list(self._cohorts.values())

    def of(self, wanted: Subscribe, source: Source) -> Cohort:
        """Return the cohort of a subscription to a source's channel."""
        ticks = -(-(wanted.interval or self.interval_ms) // self.tick_ms)
        key = CohortKey(wanted.channel, self.host, ticks, wanted.detail)
        if key not in self._cohorts:
            self._cohorts[key] = Cohort(
                key, source, self.tick_ms, self._log, self._cache, self._counters
            )
        return self._cohorts[key]

    def released(self, cohort: Cohort) -> None:
        """Take note that a member has left a cohort."""
        if not cohort.members:
            self._cohorts.pop(cohort.key, None)

    def lose(self, channel: str, reason: str) -> None:
        """Tell all members that a channel has nothing to say at present."""
        for cohort in self._cohorts.values():
            if cohort.key.channel == channel:
                for member in cohort.members:
                    member.lost(channel, reason)
