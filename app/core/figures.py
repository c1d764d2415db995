"""What a hub tells of itself, for whoever keeps an eye on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

from app.core.pauses import Pauses
from schema.fields import ResumeReason
from transports.base import Wire

if TYPE_CHECKING:  # it hands them out
    from app.core.broadcaster import Broadcaster


@frozen(kw_only=True)
class Figures:
    """A hub at one moment; counts are of events since its start, times are in seconds.

    Now: ``clients`` by wire, parked polls among them, and ``cohorts`` that have members.

    Since the start: ``deliveries``, data messages that the wires were given, by wire; ``skips``,
    how often a slow reader got a gap and the newest message; ``evictions``, readers that were let
    go because they had stopped; ``samples``, ``publications`` by channel, ``renders`` and
    ``encodes``; ``resumes``, verdicts on cursors by reason, of which polls that wait together have
    one.

    Times: ``lateness``, by how much the newest tick of each channel came late; ``pause``, how
    long the event loop was held up at the newest beat of the hub, ``pause_recent``, the longest
    pause of the last minute, and ``pause_longest`` of all.
    """

    clients: Mapping[str, int]
    cohorts: int
    deliveries: Mapping[str, int]
    skips: int
    evictions: int
    samples: int
    publications: Mapping[str, int]
    renders: int
    encodes: int
    resumes: Mapping[str, int]
    lateness: Mapping[str, float]
    pause: float
    pause_recent: float
    pause_longest: float

    @classmethod
    def of(cls, hub: Broadcaster, pauses: Pauses) -> Figures:
        """Take the figures of a hub as they are now."""
        counters, samplers = hub.counters, hub.samplers
        return cls(
            clients=hub.clients(),
            cohorts=hub.cohorts,
            deliveries={wire.value: counters.deliveries[wire] for wire in Wire},
            skips=counters.skips,
            evictions=counters.evictions,
            samples=sum(sampler.samples for sampler in samplers.values()),
            publications={channel: counters.publications[channel] for channel in samplers},
            renders=counters.renders,
            encodes=counters.encodes,
            resumes={reason.value: counters.resumes[reason] for reason in ResumeReason},
            lateness={channel: sampler.lateness for channel, sampler in samplers.items()},
            pause=pauses.newest,
            pause_recent=pauses.recent(hub.now()),
            pause_longest=pauses.longest,
        )
