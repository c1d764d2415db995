"""From the samplers' reports to publications: what belongs to one tick goes out together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from attrs import define, field

from app.core.clock import Clock
from app.core.log import Log, Publication
from app.core.sampler import PROMPT_S, Report, Sampler, State
from app.core.source import Source
from schema.errors import ErrorCode, InvalidMessage, ProtocolError
from schema.fields import Detail


class Audience(Protocol):
    """Whom a publisher tells."""

    def publish(self, publications: Sequence[Publication]) -> None:
        """Tell everybody whom these new entries of the log concern."""
        ...

    def lose(self, channel: str, reason: str) -> None:
        """Tell everybody that a channel has nothing to say at present."""
        ...


@define(eq=False)
class Publisher:
    """Runs the samplers of a host, and writes what they report into the log.

    ``lost`` says of each channel that has nothing to say at present why.
    """

    _log: Log
    _host: str
    _audience: Audience
    samplers: dict[str, Sampler] = field(factory=dict)
    lost: dict[str, str] = field(factory=dict)
    _reports: list[tuple[Sampler, Report]] = field(factory=list)
    _flush_at: asyncio.TimerHandle | None = None
    _origin: float | None = None

    def add(self, source: Source, clock: Clock, tick_s: float) -> None:
        """Take a source in, before the start."""
        self.samplers[source.channel] = Sampler(source, clock, tick_s, self._report)

    def start(self, now: float) -> None:
        """Start to sample; the first start, in monotonic seconds, is the origin of all ticks."""
        if self._origin is None:
            self._origin = now
        for channel, sampler in self.samplers.items():
            self._log.ring(channel, self._host).asleep = not sampler.source.always
            sampler.start(self._origin)

    async def stop(self) -> None:
        """Stop to sample."""
        await asyncio.gather(*(sampler.stop() for sampler in self.samplers.values()))
        # What was held back counts as published.
        self._flush()

    def check(self, channel: str, detail: Detail | None = None) -> Source:
        """Look a channel up.

        Raises:
            ProtocolError: there is no such channel, or not with that detail.
        """
        sampler = self.samplers.get(channel)
        if sampler is None:
            msg = f"channel: must be one of {', '.join(self.samplers)}, got {channel[:64]!r}"
            raise ProtocolError(ErrorCode.UNKNOWN_CHANNEL, msg, channel[:64])
        if detail is not None and detail not in sampler.source.details:
            offered = ", ".join(sampler.source.details)
            msg = f"detail: must be one of {offered} for channel {channel}, got {detail}"
            raise InvalidMessage(msg)
        return sampler.source

    def _report(self, sampler: Sampler, report: Report) -> None:
        """Take note of what became of a source's tick.

        Publications of one tick are held back until all sources that are usually prompt have
        reported, so that a client gets them in one go.
        """
        if report.asleep:
            # What is still held back was published before.
            self._flush()
            self._log.ring(sampler.source.channel, self._host).asleep = True
        self._look_for_loss(sampler)
        if report.reading is not None:
            self._reports.append((sampler, report))
        if not self._reports:
            return
        tick = max(report.tick for _, report in self._reports)
        if not any(other.expected(tick) for other in self.samplers.values()):
            self._flush()
        elif self._flush_at is None:
            self._flush_at = asyncio.get_running_loop().call_later(PROMPT_S, self._flush)

    def _look_for_loss(self, sampler: Sampler) -> None:
        channel = sampler.source.channel
        if sampler.state is not State.UNAVAILABLE:
            self.lost.pop(channel, None)
        elif channel not in self.lost:
            self.lost[channel] = str(sampler.error)
            self._audience.lose(channel, self.lost[channel])

    def _flush(self) -> None:
        if self._flush_at is not None:
            self._flush_at.cancel()
            self._flush_at = None
        reports, self._reports = self._reports, []
        self._audience.publish(
            [
                self._log.append(
                    sampler.source.channel,
                    self._host,
                    report.tick,
                    report.reading,
                    base=report.base,
                    hole=report.hole,
                )
                for sampler, report in reports
                if report.reading is not None
            ]
        )
