"""A cohort: all subscriptions that get the same messages, which are rendered and encoded once."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import define, field, frozen

from app.core.cache import FrameCache
from app.core.counters import Counters
from app.core.log import Log, Publication, Ring
from app.core.source import Source, Window
from schema.codec import encode_around
from schema.fields import Detail, GapReason
from schema.frame import Frame
from schema.messages import V1_ONLY, Gap, History
from transports.base import Sink, Wire
from transports.fan import Fan

logger = logging.getLogger(__name__)


class Member(Protocol):
    """What a cohort knows of a session."""

    def notify(self) -> None:
        """Say that there is something to take."""
        ...

    def lost(self, channel: str, reason: str) -> None:
        """Say that a channel has nothing to say at present."""
        ...

    def part(self) -> None:
        """Leave the fan-out; what comes from now on waits to be taken."""
        ...


@frozen
class CohortKey:
    """What its subscriptions have in common; ``ticks`` is the interval."""

    channel: str
    host: str
    ticks: int
    detail: Detail


@define(eq=False)
class Cohort:
    """Subscriptions with the same channel, host, interval and detail.

    ``members`` are its sessions. Those in ``fans`` get every message by fan-out, for each form
    that it has on the wires; ``listeners`` are told of it and take it themselves. ``waiting`` are
    told of the first publication at all. ``fanned_at`` is when something was fanned out last.
    """

    key: CohortKey
    source: Source
    tick_ms: int
    _log: Log
    _cache: FrameCache
    counters: Counters
    members: set[Member] = field(factory=set)
    listeners: set[Member] = field(factory=set)
    waiting: set[Member] = field(factory=set)
    fans: dict[tuple[Wire, bool], Fan] = field(factory=dict)
    fanned_at: float = -math.inf
    _asked: tuple[int, int] | None = None
    _after: Sequence[Publication] = ()
    _asked_sole: tuple[int, int] | None = None
    _sole: Frame | None = None

    def enter(self, member: Member) -> None:
        """Take a session in; it will be told of what comes."""
        self.members.add(member)
        self.listeners.add(member)

    def leave(self, member: Member) -> None:
        """Let a session go."""
        for group in (self.members, self.listeners, self.waiting):
            group.discard(member)

    def join(self, member: Member, sink: Sink, *, heritage: bool) -> None:
        """Give a session what comes by fan-out instead of telling it."""
        self.listeners.discard(member)
        self.fans.setdefault((sink.wire, heritage), Fan()).add(sink)

    def part(self, member: Member, sink: Sink, *, heritage: bool) -> None:
        """Tell a session again that had joined."""
        self.fans[sink.wire, heritage].discard(sink)
        self.listeners.add(member)

    def fan_out(self, publication: Publication, now: float) -> None:
        """Write what a publication is for this cohort to all who are in its fans."""
        if not any(self.fans.values()):
            return
        frames = []
        if publication.hole is not None:
            frames.append(self.hole(publication))
        if self.due(publication):
            frames.append(self.frame(publication))
        self.send(frames, now)

    def send(self, frames: Sequence[Frame], now: float) -> None:
        """Write frames to all who are in the fans, each in its dialect and form."""
        for (wire, heritage), fan in self.fans.items():
            known = [frame for frame in frames if not (heritage and frame.kind in V1_ONLY)]
            if known and fan:
                sse = wire is Wire.SSE
                data = sum(frame.cursor is not None for frame in known)
                self.counters.deliveries[wire] += data * len(fan)
                fan.send(b"".join(frame.chunk if sse else frame.websocket for frame in known))
                # A hole without a message leaves heritage clients out.
                if frames[-1].kind not in V1_ONLY:
                    self.fanned_at = now

    @property
    def ring(self) -> Ring:
        """The publications that its messages come from."""
        return self._log.ring(self.key.channel, self.key.host)

    def due(self, publication: Publication) -> bool:
        """Tell whether a publication is a message of this cohort."""
        return publication.due(self.key.ticks)

    def concerned(self, publication: Publication) -> bool:
        """Tell whether a publication has anything for this cohort: a message, or a hole."""
        return publication.hole is not None or self.due(publication)

    def after(self, seq: int) -> Sequence[Publication]:
        """Return the publications above a seq that concern this cohort, oldest first."""
        # Nearly all members have come equally far: the answer to the last is kept for the next.
        asked = (seq, self._log.head)
        if self._asked != asked:
            self._asked = asked
            self._after = tuple(item for item in self.ring.after(seq) if self.concerned(item))
        return self._after

    def sole(self, after: int) -> Frame | None:
        """Return the one message above a seq; None if there is none, or anything else."""
        asked = (after, self._log.head)
        if self._asked_sole != asked:
            self._asked_sole = asked
            items = self.after(after)
            alone = len(items) == 1 and items[0].hole is None and after >= self.ring.dropped
            frame = self.frame(items[0]) if alone else None
            # A gap in place of a message is not for everybody.
            self._sole = frame if frame is not None and frame.cursor is not None else None
        return self._sole

    def missed(self, after: int, before: int | None = None) -> int | None:
        """Count the messages above a seq (and below another); None if they cannot be counted."""
        if after < self.ring.dropped:
            return None
        items = self.ring.after(after)
        return sum(self.due(item) for item in items if before is None or item.seq < before)

    def holds(self, after: int) -> bool:
        """Tell whether every message above a seq can still be sent."""
        if after < self.ring.dropped:
            return False
        oldest = next((item for item in self.ring.after(after) if self.due(item)), None)
        return oldest is None or self._window(oldest) is not None

    def past(self, count: int, before: Publication) -> list[Publication]:
        """Return what concerns the cohort from the ``count``-th message before a publication on.

        Oldest first; the oldest is a message, and one whose window is wholly held.
        """
        items: list[Publication] = []
        found = messages = 0
        for item in self.ring.backwards(before.seq - 1):
            if messages == count:
                break
            if self.due(item):
                if self._window(item) is None:
                    break
                messages += 1
                found = len(items) + 1
            if self.concerned(item):
                items.append(item)
        return items[:found][::-1]

    def warm(self, items: Sequence[Publication], spent: Callable[[], bool]) -> bool:
        """Render what is not kept of these messages, until the time is spent.

        Returns:
            Whether all of them are now at hand.
        """
        for item in items:
            if self.due(item) and self._cache.get(self.key, item.seq) is None:
                if spent():
                    return False
                self.frame(item)
        return True

    def frame(self, publication: Publication) -> Frame:
        """Return the message that a publication is for this cohort, rendered at most once.

        A source that cannot render one of its own samples gives a ``gap`` in its place.
        """
        kept = self._cache.get(self.key, publication.seq)
        if kept is not None:
            return kept
        window = self._window(publication)
        try:
            if window is None:
                msg = "the beginning of its window is no longer held"
                raise LookupError(msg)  # noqa: TRY301 - the same way out as a source's own failure
            frame = self._render(publication, window)
        except Exception:
            logger.exception("%s cannot be rendered", self._log.cursor(publication.seq))
            frame = self._gap(publication, GapReason.SOURCE)
        return self._cache.put(frame, self.key, publication.seq)

    def hole(self, publication: Publication) -> Frame:
        """Return the gap that a publication bears."""
        kept = self._cache.get("hole", publication.seq)
        if kept is not None:
            return kept
        reason = publication.hole or GapReason.SOURCE
        return self._cache.put(self._gap(publication, reason), "hole", publication.seq)

    def history(self, count: int, before: Publication) -> Frame:
        """Return the history that ends before a publication; all who ask for it share it."""
        kept = self._cache.get(self.key, "history", count, before.seq)
        if kept is not None:
            return kept
        texts: list[bytes] = []
        for item in self.past(count, before):
            # A hole before the first item is nothing that the reader passes.
            if item.hole is not None and texts:
                texts.append(self.hole(item).text)
            if self.due(item):
                texts.append(self.frame(item).text)
        if before.hole is not None and texts:
            texts.append(self.hole(before).text)
        message = History(before.reading.timestamp, self.key.channel, [])
        frame = Frame(History.TAG, encode_around(message, texts))
        return self._cache.put(frame, self.key, "history", count, before.seq)

    def _window(self, publication: Publication) -> Window | None:
        return self.ring.window(publication, self.key.ticks)

    def _render(self, publication: Publication, window: Window) -> Frame:
        cursor = self._log.cursor(publication.seq)
        self.counters.renders += 1
        message = self.source.message(
            timestamp=publication.reading.timestamp,
            cursor=cursor,
            host=publication.host,
            interval_ms=self.key.ticks * self.tick_ms,
            window_ms=round(window.seconds * 1000),
            data=self.source.render(window, self.key.detail),
        )
        self.counters.encodes += 1
        return Frame.of(message, cursor)

    def _gap(self, publication: Publication, reason: GapReason) -> Frame:
        return Frame.of(
            Gap(
                timestamp=publication.reading.timestamp,
                channel=self.key.channel,
                reason=reason,
                # Nothing of this channel lies between; so it precedes all that is above `from`.
                from_=self._log.cursor(publication.seq - 1),
                to=self._log.cursor(publication.seq),
                missed=None,
            )
        )
