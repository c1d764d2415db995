"""One channel of one client: the verdict on its cursor, and what its wire is given."""

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
    is out, ``owed`` until the client was told of the gap before it; ``told`` if that was before
    there was anything to make the snapshot from. ``recovering`` is set until the messages that a
    resumed cursor missed are out.
    """

    wanted: Subscribe
    cohort: Cohort
    position: int = 0
    opening: bool = False
    owed: Resume | None = None
    told: bool = False
    recovering: bool = False
    # What was rendered ahead, in slices: up to this seq, and so many bytes.
    _warmed: int = 0
    _bytes: int = 0

    def judge(self, log: Log, spent: Spent) -> Resume | None:
        """Give the verdict on the cursor that the subscription came with.

        Returns:
            None if the time was spent before the missed messages were rendered; ask again.
        """
        resume = self._verdict(log, spent)
        if resume is None:
            return None
        self._warmed = 0
        self.cohort.counters.resumes[resume.reason] += 1
        if resume.recovered and self.wanted.since is not None:
            self.position, self.recovering = self.wanted.since.seq, True
        else:
            self.opening = True
            self.owed = None if resume.reason is ResumeReason.FIRST else resume
        return resume

    def _verdict(self, log: Log, spent: Spent) -> Resume | None:
        since = self.wanted.since
        if since is None:
            reason = ResumeReason.FIRST
        elif since is UNREADABLE:
            reason = ResumeReason.UNKNOWN
        elif since.epoch != log.epoch:
            reason = ResumeReason.EPOCH_CHANGED
        elif since.seq > log.head:
            reason = ResumeReason.UNKNOWN
        else:
            return self._recovered(since.seq, spent)
        return Resume(recovered=False, reason=reason, missed=None)

    def _recovered(self, since: int, spent: Spent) -> Resume | None:
        missed = self.cohort.missed(since)
        too_old = Resume(recovered=False, reason=ResumeReason.TOO_OLD, missed=missed)
        if missed is None or missed > RESUME_MESSAGES or not self.cohort.holds(since):
            return too_old
        for item in self.cohort.after(since):
            if not self._warm(item, spent):
                return None
            if self._bytes > RESUME_BYTES:
                return too_old
        return Resume(recovered=True, reason=ResumeReason.OK, missed=missed)

    def _warm(self, item: Publication, spent: Spent) -> bool:
        """Render a message that is not kept; False if the time was spent before.

        None twice: else it would never end when more is asked for than can be kept.
        """
        if item.seq > self._warmed and self.cohort.due(item):
            if not self.cohort.warm([item], spent):
                return False
            self._warmed = item.seq
            self._bytes += len(self.cohort.frame(item).text)
        return True

    @property
    def snapshot(self) -> Publication | None:
        """What the snapshot is rendered from; None while the source has yet to wake up."""
        ring = self.cohort.ring
        if ring.asleep:
            return None
        # What came after the gap was told lies in none: it begins with the first of that.
        return next(iter(ring.after(self.position)), None) if self.told else ring.newest

    def warm(self, snapshot: Publication, spent: Spent) -> bool:
        """Render what the opening needs; False if the time was spent before."""
        items = self.cohort.past(self.wanted.history, snapshot)
        return all(self._warm(item, spent) for item in [*items, snapshot])

    def lost(self, to: Cursor, timestamp: int) -> list[Frame]:
        """Return the gap of a cursor that was not resumed, once; its snapshot may have to wait."""
        resume, self.owed = self.owed, None
        if resume is None:
            return []
        since: Cursor | None = self.wanted.since
        missed = None
        if resume.reason is ResumeReason.UNKNOWN:
            since = None
        elif resume.reason is ResumeReason.TOO_OLD and since is not None:
            missed = self.cohort.missed(since.seq, to.seq)
        return [self._gap(GapReason(resume.reason.value), since, to, timestamp, missed)]

    def open(self, log: Log, snapshot: Publication) -> tuple[list[Frame], Sequenced]:
        """Begin with the snapshot: the history, and the snapshot itself."""
        histories = []
        if self.wanted.history:
            histories.append(self.cohort.history(self.wanted.history, snapshot))
        # Not only up to the snapshot: other channels' messages go out with it, and a gap must not
        # begin before what was sent.
        self.opening, self.position = False, snapshot.seq if self.told else log.head
        self.told = False
        return histories, Sequenced(snapshot.seq, self.cohort.frame(snapshot))

    def _gap(
        self,
        reason: GapReason,
        since: Cursor | None,
        to: Cursor,
        timestamp: int,
        missed: int | None,
    ) -> Frame:
        channel = self.cohort.key.channel
        return Frame.of(Gap(timestamp, channel, reason, since, to, missed))

    def behind(self) -> int:
        """Count the messages that wait for the wire, less those of a cursor just resumed."""
        if self.recovering or self.opening:
            return 0
        return sum(map(self.cohort.due, self.cohort.after(self.position)))

    def follow(self, log: Log) -> Frame | None:
        """Take the message that has just come, if there is nothing else to say."""
        if self.opening or self.recovering or self.told:
            return None
        frame = self.cohort.sole(self.position)
        if frame is not None:
            self.position = log.head
        return frame

    def catch_up(self, log: Log, *, all_of_it: bool) -> tuple[list[Frame], list[Sequenced]]:
        """Take what waits for the wire: one by one, or a gap and the newest.

        Returns:
            The gap, if there is one, and the messages with the holes between them.
        """
        items = self.cohort.after(self.position)
        position, self.position = self.position, log.head
        all_of_it, self.recovering = all_of_it or self.recovering, False
        due = [item for item in items if self.cohort.due(item)]
        complete = len(due) <= 1 and position >= self.cohort.ring.dropped
        gaps = []
        if not complete and not (all_of_it and self.cohort.holds(position)):
            self.cohort.counters.skips += 1
            newest = due[-1]
            since, to = log.cursor(position), log.cursor(newest.seq)
            missed = self.cohort.missed(position, newest.seq)
            timestamp = newest.reading.timestamp
            gaps.append(self._gap(GapReason.SLOW, since, to, timestamp, missed))
            # A hole that came after it is passed all the same.
            items = [item for item in items if item.seq >= newest.seq]
        return gaps, [frame for item in items for frame in self._frames(item)]

    def _frames(self, item: Publication) -> Iterator[Sequenced]:
        if item.hole is not None:
            yield Sequenced(item.seq, self.cohort.hole(item))
        if self.cohort.due(item):
            yield Sequenced(item.seq, self.cohort.frame(item))
