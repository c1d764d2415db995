"""One channel of one client: how its cursor is judged, and what it is given when its wire is free."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import define, frozen

from app.core.cohort import Cohort
from app.core.log import Log, Publication
from schema.cursor import UNREADABLE, Cursor
from schema.fields import GapReason, ResumeReason
from schema.frame import Frame
from schema.messages import Gap, Resume, Subscribe

# A cursor is resumed if it missed at most so much; one who missed more wants the newest instead.
RESUME_MESSAGES = 360
RESUME_BYTES = 1024 * 1024

Spent = Callable[[], bool]


@frozen
class Sequenced:
    """A frame with its place in the order of a connection."""

    seq: int
    frame: Frame


@define(eq=False)
class Subscription:
    """How far a client has come with one channel.

    ``position``: everything due up to this seq was taken. ``opening`` is set until the snapshot
    is out, ``recovering`` until the messages that a resumed cursor missed are.
    """

    wanted: Subscribe
    cohort: Cohort
    position: int = 0
    opening: Resume | None = None
    recovering: bool = False

    def judge(self, log: Log, spent: Spent) -> Resume | None:
        """Give the verdict on the cursor that the subscription came with.

        Returns:
            None if the time was spent before the missed messages were rendered; ask again.
        """
        resume = self._verdict(log, spent)
        if resume is not None and resume.recovered and self.wanted.since is not None:
            self.position, self.recovering = self.wanted.since.seq, True
        else:
            self.opening = resume
        return resume

    def _verdict(self, log: Log, spent: Spent) -> Resume | None:
        since = self.wanted.since
        if since is None:
            return Resume(recovered=False, reason=ResumeReason.FIRST, missed=None)
        if since is UNREADABLE:
            return Resume(recovered=False, reason=ResumeReason.UNKNOWN, missed=None)
        if since.epoch != log.epoch:
            return Resume(recovered=False, reason=ResumeReason.EPOCH_CHANGED, missed=None)
        if since.seq > log.head:
            return Resume(recovered=False, reason=ResumeReason.UNKNOWN, missed=None)
        missed = self.cohort.missed(since.seq)
        too_old = Resume(recovered=False, reason=ResumeReason.TOO_OLD, missed=missed)
        if missed is None or missed > RESUME_MESSAGES or not self.cohort.holds(since.seq):
            return too_old
        items = self.cohort.after(since.seq)
        if not self.cohort.warm(items, spent):
            return None
        size = sum(len(self.cohort.frame(item).text) for item in items if self.cohort.due(item))
        if size > RESUME_BYTES:
            return too_old
        return Resume(recovered=True, reason=ResumeReason.OK, missed=missed)

    @property
    def snapshot(self) -> Publication | None:
        """What the snapshot is rendered from; None while the source has yet to wake up."""
        return None if self.cohort.ring.asleep else self.cohort.ring.newest

    def warm(self, snapshot: Publication, spent: Spent) -> bool:
        """Render what the opening needs; False if the time was spent before."""
        items = self.cohort.past(self.wanted.history, snapshot)
        return self.cohort.warm([*items, snapshot], spent)

    def open(self, log: Log, snapshot: Publication) -> tuple[list[Frame], list[Frame], Sequenced]:
        """Begin with the snapshot: the gaps, the history, and the snapshot itself."""
        gaps = []
        if self.opening is not None and self.opening.reason is not ResumeReason.FIRST:
            gaps.append(self._lost(log, self.opening, snapshot))
        histories = []
        if self.wanted.history:
            histories.append(self.cohort.history(self.wanted.history, snapshot))
        self.opening, self.position = None, snapshot.seq
        return gaps, histories, Sequenced(snapshot.seq, self.cohort.frame(snapshot))

    def _lost(self, log: Log, resume: Resume, snapshot: Publication) -> Frame:
        since: Cursor | None = self.wanted.since
        missed = None
        if resume.reason is ResumeReason.UNKNOWN:
            since = None
        elif resume.reason is ResumeReason.TOO_OLD and since is not None:
            missed = self.cohort.missed(since.seq, snapshot.seq)
        reason = GapReason(resume.reason.value)
        return self._gap(log, reason, since, snapshot, missed)

    def _gap(
        self, log: Log, reason: GapReason, since: Cursor | None, to: Publication, missed: int | None
    ) -> Frame:
        return Frame.of(
            Gap(
                timestamp=to.reading.timestamp,
                channel=self.cohort.key.channel,
                reason=reason,
                from_=since,
                to=log.cursor(to.seq),
                missed=missed,
            )
        )

    def behind(self) -> int:
        """Count the messages that wait for the wire, less those of a cursor just resumed."""
        if self.recovering or self.opening is not None:
            return 0
        return sum(self.cohort.due(item) for item in self.cohort.ring.after(self.position))

    def catch_up(self, log: Log, *, all_of_it: bool) -> tuple[list[Frame], list[Sequenced]]:
        """Take what waits for the wire: one by one, or a gap and the newest.

        Returns:
            The gap, if there is one, and the messages with the holes between them.
        """
        items = self.cohort.after(self.position)
        position, self.position = self.position, log.head
        all_of_it = self.recovering or (all_of_it and self.cohort.holds(position))
        self.recovering = False
        due = [item for item in items if self.cohort.due(item)]
        complete = len(due) <= 1 and position >= self.cohort.ring.dropped
        if all_of_it or complete:
            return [], [frame for item in items for frame in self._frames(item)]
        newest = due[-1]
        missed = self.cohort.missed(position, newest.seq)
        gap = self._gap(log, GapReason.SLOW, log.cursor(position), newest, missed)
        return [gap], list(self._frames(newest))

    def _frames(self, item: Publication) -> Iterator[Sequenced]:
        if item.hole is not None:
            yield Sequenced(item.seq, self.cohort.hole(item))
        if self.cohort.due(item):
            yield Sequenced(item.seq, self.cohort.frame(item))
