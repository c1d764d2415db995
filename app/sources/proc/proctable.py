"""All processes of the host, read in two stages.

Everything about every process is 160 ms of processor time where there are a thousand. So one file
of each is read, ``stat``, and the others (traffic, user, container, command line) only of those
that can come into a list: the largest ones, and those that have lately done something.

For the order by traffic, ``io`` would have to be read of all. Instead, a process counts as having
done something if the processor time that it has used has grown, if it waits for a disk (state D),
or if there was traffic of it the last time: for ``ACTIVE_S``, longer than any window. Traffic costs
processor time too, so what is overlooked is a process that has used less than a clock tick of it
(10 ms) since it was first seen, and it cannot have moved much.
"""

from __future__ import annotations

import heapq
import math
import operator
import os
import time
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import NamedTuple

from attrs import define, field, frozen

from app.core.source import SourceUnavailableError
from app.sources.proc import procfiles
from app.sources.proc.masking import mask
from app.sources.proc.procfiles import Stat, Traffic, read_file
from app.sources.proc.users import Users
from schema.fields import INTERVAL_MAX_MS

PROC = Path("/proc")
# The largest ones that are read in full; no list is longer.
LARGEST = 50
# A window is as long as an interval, and a tick longer if that came late.
ACTIVE_S = INTERVAL_MAX_MS / 1000 + 10
# It has gone, is not for us to see, or is no process. Anything else (no descriptor is left) fails
# the pass: a table with half of the processes would be a lie.
NOT_THERE = (FileNotFoundError, ProcessLookupError, PermissionError, ValueError, IndexError)
# The state of a process that waits for a disk.
WAITING = "D"
# Who has done something is read anew after this: a process may change its user and its container.
DETAILS_S = 60.0


@frozen(eq=False)
class Life:
    """A process from when it was first seen; another one if its pid is given again.

    ``start`` is in clock ticks since boot, ``at`` in monotonic seconds, ``ticks`` the processor
    time that it had used by then.
    """

    pid: int
    start: int
    at: float
    ticks: int


@frozen
class Who:
    """What a process is; all but the name is None until it can come into a list."""

    name: str
    user: str | None = None
    container: str | None = None
    command: str | None = None


@frozen(eq=False)
class Onset:
    """The first of the readings of traffic that were taken pass after pass."""

    at: float
    traffic: Traffic


class Io(NamedTuple):
    """Traffic, and since when it is known without a break."""

    traffic: Traffic
    onset: Onset


class Row(NamedTuple):
    """A process at one moment; the same object as long as nothing changes.

    ``ticks`` is in clock ticks, ``memory`` in bytes; ``io`` is None if it was not read this time.
    """

    life: Life
    who: Who
    state: str
    threads: int
    memory: int
    ticks: int
    io: Io | None


@frozen(eq=False)
class Scan:
    """One pass: all rows by pid, the pids of the largest processes, and the host's memory."""

    at: float
    rows: Mapping[int, Row]
    largest: tuple[int, ...]
    memory: int


@define(eq=False)
class _Known:
    """What is kept of a process from one pass to the next."""

    line: bytes
    stat: Stat
    life: Life
    who: Who
    active_until: float
    details_due: float = -math.inf
    io: Io | None = None
    row: Row | None = None
    changed: bool = True

    def follow(self, line: bytes, stat: Stat, at: float) -> None:
        """Take note of another line of the same process."""
        if stat.ticks > self.stat.ticks or stat.state == WAITING:
            self.active_until = at + ACTIVE_S
        if stat.name != self.stat.name:  # it runs another program
            self.who, self.details_due = Who(stat.name), -math.inf
        self.line, self.stat, self.changed = line, stat, True

    def describe(self, who: Who, at: float) -> None:
        """Take note of what the process is."""
        if who != self.who:
            self.who, self.changed = who, True
        self.details_due = at + DETAILS_S

    def count(self, traffic: Traffic | None, at: float) -> None:
        """Take note of its traffic, None if that was not read or could not be."""
        before = self.io
        if traffic is None:
            self.io = None
        elif before is None or any(map(operator.lt, traffic, before.traffic)):
            self.io = Io(traffic, Onset(at, traffic))
        elif traffic != before.traffic:
            self.io = Io(traffic, before.onset)
            self.active_until = at + ACTIVE_S
        self.changed = self.changed or self.io is not before

    def to_row(self, page: int) -> Row:
        """Give the row, the one before if all in it is the same."""
        if self.row is None or self.changed:
            stat = self.stat
            memory = stat.pages * page
            row = Row(self.life, self.who, stat.state, stat.threads, memory, stat.ticks, self.io)
            # More stands in a line than is told of it, such as the processor it last ran on.
            self.row = self.row if self.row == row else row
            self.changed = False
        return self.row


@define(eq=False)
class ProcTable:
    """Reads all processes, one pass a call.

    ``root`` is where proc(5) is mounted. Processes that are invisible there (its option
    ``hidepid``) are left out. ``commands`` is whether command lines are read. ``page`` is the size
    of a page of memory in bytes.
    """

    root: Path = PROC
    commands: bool = False
    users: Users = field(factory=Users)
    clock: Callable[[], float] = time.monotonic
    page: int = field(factory=lambda: os.sysconf("SC_PAGE_SIZE"))
    _known: dict[str, _Known] = field(init=False, factory=dict)

    def __call__(self) -> Scan:
        """Read the processes that there are.

        Raises:
            SourceUnavailableError: there is no such directory, or no process to be seen in it.
            OSError, ValueError: the host's memory or a process cannot be read.
        """
        try:
            directory = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceUnavailableError(
                f"processes are read from {self.root}, as Linux has it: {error.strerror}"
            ) from error
        try:
            return self._scan(directory)
        finally:
            os.close(directory)

    def forget(self) -> None:
        """Let go of what is known; the next pass is as the first."""
        self._known = {}

    def _scan(self, directory: int) -> Scan:
        at = self.clock()
        self._known = self._all(directory, at)
        if not self._known:
            raise SourceUnavailableError(f"there is no process to be seen in {self.root}")
        largest = [
            pid
            for pid in heapq.nlargest(LARGEST, self._known, key=self._pages)
            if self._pages(pid) > 0
        ]
        self._look_closely(directory, set(largest), at)
        return Scan(
            at,
            {known.life.pid: known.to_row(self.page) for known in self._known.values()},
            tuple(map(int, largest)),
            procfiles.parse_meminfo(read_file(directory, "meminfo", procfiles.MEMINFO_BYTES)),
        )

    def _pages(self, pid: str) -> int:
        return self._known[pid].stat.pages

    # The first stage

    def _all(self, directory: int, at: float) -> dict[str, _Known]:
        found = {}
        for pid in os.listdir(directory):
            if pid.isdecimal():
                try:
                    line = read_file(directory, pid + "/stat", procfiles.STAT_BYTES)
                    found[pid] = self._met(pid, line, at)
                except NOT_THERE:
                    continue
        return found

    def _met(self, pid: str, line: bytes, at: float) -> _Known:
        known = self._known.get(pid)
        if known is not None and known.line == line:
            return known  # most of them, most of the time
        stat = procfiles.parse_stat(line)
        if known is not None and known.life.start == stat.start and known.stat.ticks <= stat.ticks:
            known.follow(line, stat, at)
            return known
        # In the first pass nobody knows how long the others have been doing nothing.
        active = bool(self._known) or stat.state == WAITING
        active_until = at + ACTIVE_S if active else -math.inf
        life = Life(int(pid), stat.start, at, stat.ticks)
        return _Known(line, stat, life, Who(stat.name), active_until)

    # The second stage

    def _look_closely(self, directory: int, largest: Container[str], at: float) -> None:
        self.users.refresh()
        for pid, known in self._known.items():
            if known.active_until > at or pid in largest:
                if at >= known.details_due:
                    known.describe(self._who(directory, pid, known.stat.name), at)
                known.count(_traffic(directory, pid), at)
            elif known.io is not None:
                known.count(None, at)

    def _who(self, directory: int, pid: str, name: str) -> Who:
        try:
            # The directory's owner is the process's effective user, whatever its files say.
            user = self.users(os.stat(pid, dir_fd=directory).st_uid)
        except OSError:
            user = None
        cgroup = _read(directory, pid + "/cgroup", procfiles.CGROUP_BYTES)
        command = self._command(directory, pid) if self.commands else None
        return Who(name, user, procfiles.parse_cgroup(cgroup), command)

    def _command(self, directory: int, pid: str) -> str | None:
        # Of all files, this one may block: it is the process's own memory that is read, and waits
        # for it if that is just being changed. The thread is the source's alone.
        text = _read(directory, pid + "/cmdline", procfiles.COMMAND_BYTES)
        return mask(procfiles.parse_command(text)) or None


def _traffic(directory: int, pid: str) -> Traffic | None:
    return procfiles.parse_io(_read(directory, pid + "/io", procfiles.IO_BYTES))


def _read(directory: int, path: str, size: int) -> bytes:
    """Read a file that may have gone, or may not be read: then it is empty."""
    try:
        return read_file(directory, path, size)
    except OSError:
        return b""
