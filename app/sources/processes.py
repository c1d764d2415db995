"""The ``processes`` channel's source: who uses the host's processors, memory and disks."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from attrs import define, field, frozen

from app.core.clock import Clock
from app.core.source import Window
from app.sources.groups.cpu import percent
from app.sources.proc.proctable import LARGEST, PROC, Io, ProcTable, Row
from app.sources.proc.roster import Roster, Rosters
from app.sources.proc.users import PASSWD, Users
from schema.fields import Detail
from schema.messages import DataMessage
from schema.processes import Process, Processes, ProcessesMessage

TOP = {Detail.SIMPLE: 5, Detail.STANDARD: 10, Detail.FULL: LARGEST}
# A smaller step of the wall clock does not move the moments at which processes were started:
# together with the pid they name a process.
STEP_MS = 1000


@frozen(eq=False)
class ProcessSample:
    """All processes at one moment, which ``at`` tells in monotonic seconds.

    ``largest`` are the pids of those with most memory, the largest first. ``boot_ms`` is when the
    host was booted, in ms since the epoch. ``hz`` is clock ticks a second, ``memory`` the host's in
    bytes.
    """

    at: float
    roster: Roster
    largest: tuple[int, ...]
    total: int
    running: int
    threads: int
    cores: int
    memory: int
    boot_ms: int
    hz: int


@define(eq=False)
class Host:
    """What is asked of the system itself; tests put in something else."""

    clock: Clock = field(factory=Clock)
    hz: int = field(factory=lambda: os.sysconf("SC_CLK_TCK"))
    cores: Callable[[], int] = lambda: os.sysconf("SC_NPROCESSORS_ONLN")
    _boot_ms: int | None = field(init=False, default=None)

    def boot_ms(self) -> int:
        """Give the moment of booting, the same as long as the wall clock is not set.

        By the two clocks and not by ``btime`` of ``/proc/stat``: in a container under lxcfs that
        is when the container was started, and the starts of processes are not counted from there.
        """
        now = round(1000 * (self.clock.wall() - self.clock.boottime()))
        if self._boot_ms is None or abs(now - self._boot_ms) > STEP_MS:
            self._boot_ms = now
        return self._boot_ms


class ProcessSource:
    """Samples all processes that are to be seen under ``root``, where proc(5) is mounted.

    ``commands`` is whether their command lines are told. ``passwd`` is the file with the names of
    users. It sleeps while nobody asks.
    """

    channel: ClassVar[str] = ProcessesMessage.TAG
    message: ClassVar[type[DataMessage]] = ProcessesMessage
    details: ClassVar[tuple[Detail, ...]] = tuple(TOP)
    always: ClassVar[bool] = False

    def __init__(
        self,
        *,
        commands: bool = False,
        root: Path = PROC,
        passwd: Path = PASSWD,
        host: Host | None = None,
    ) -> None:
        self._host = host or Host()
        self._table = ProcTable(root, commands, Users(passwd), self._host.clock.monotonic)
        self._rosters = Rosters()

    def sample(self) -> ProcessSample:
        """Read all processes once.

        Raises:
            SourceUnavailableError: this is no Linux, or none can be seen.
            Exception: a figure of the host cannot be read.
        """
        scan = self._table()
        rows = scan.rows.values()
        return ProcessSample(
            at=scan.at,
            roster=self._rosters(scan.rows),
            largest=scan.largest,
            total=len(rows),
            running=sum(row.state == "R" for row in rows),
            threads=sum(row.threads for row in rows),
            cores=self._host.cores(),
            memory=scan.memory,
            boot_ms=self._host.boot_ms(),
            hz=self._host.hz,
        )

    def rest(self) -> None:
        """Forget all processes, so that none is compared with what it was before a pause."""
        self._table.forget()
        self._rosters = Rosters()

    def render(self, window: Window, detail: Detail) -> Processes:
        """Make the payload for the window's last sample, with the means over all of it.

        Raises:
            KeyError: the detail is not among ``details``.
        """
        return _render(window.first, window.last, TOP[detail])


@frozen(eq=False)
class _Use:
    """What a process has used a second: clock ticks, bytes read and written; None if not known."""

    row: Row
    ticks: float | None
    read: float | None
    written: float | None

    @property
    def traffic(self) -> float | None:
        """Bytes read and written."""
        return None if self.read is None or self.written is None else self.read + self.written


def _render(first: ProcessSample, last: ProcessSample, top: int) -> Processes:
    before, now = first.roster.table(), last.roster.table()
    uses = {
        pid: _use(first.at, before.get(pid), last.at, row)
        for pid, row in now.items()
        # Who is the very same has used nothing, and is listed for its memory alone.
        if before.get(pid) is not row
    }
    listed = {
        *_most(top, ((use.ticks, pid) for pid, use in uses.items())),
        *_most(top, ((use.traffic, pid) for pid, use in uses.items())),
        *last.largest[:top],
    }
    rows = [uses.get(pid) or _use(first.at, before.get(pid), last.at, now[pid]) for pid in listed]
    rows.sort(key=lambda use: (-(use.ticks or 0.0), -use.row.memory, use.row.life.pid))
    return Processes(
        total=last.total,
        running=last.running,
        threads=last.threads,
        top=top,
        items=[_process(last, use) for use in rows],
    )


def _most(top: int, figures: Iterable[tuple[float | None, int]]) -> list[int]:
    """Give the pids with the highest figures; who has used nothing is not among them."""
    used = [(figure, -pid) for figure, pid in figures if figure]
    return [-pid for _, pid in heapq.nlargest(top, used)]


def _use(first_at: float, first: Row | None, last_at: float, last: Row) -> _Use:
    """Compare a process with what it was when the window began, or when it was first seen."""
    at, ticks = last.life.at, last.life.ticks
    if first is not None and first.life is last.life:
        at, ticks = first_at, first.ticks
    read, written = _traffic(first_at, first.io if first else None, last_at, last.io)
    return _Use(last, _rate(last.ticks - ticks, last_at - at), read, written)


def _traffic(
    first_at: float, first: Io | None, last_at: float, last: Io | None
) -> tuple[float | None, float | None]:
    if last is None:
        return None, None
    at, before = last.onset.at, last.onset.traffic
    if first is not None and first.onset is last.onset:
        at, before = first_at, first.traffic
    seconds = last_at - at
    return (
        _rate(last.traffic.read - before.read, seconds),
        _rate(last.traffic.written - before.written, seconds),
    )


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds > 0 else None


def _process(sample: ProcessSample, use: _Use) -> Process:
    row = use.row
    cpu = None if use.ticks is None else min(100 * use.ticks / sample.hz, 100.0 * sample.cores)
    return Process(
        pid=row.life.pid,
        start_ms=sample.boot_ms + row.life.start * 1000 // sample.hz,
        name=row.who.name,
        user=row.who.user,
        state=row.state,
        cpu=_rounded(cpu),
        cpu_host=_rounded(None if cpu is None else cpu / sample.cores),
        memory_bytes=row.memory,
        memory=percent(row.memory, sample.memory),
        threads=row.threads,
        read_bytes_per_sec=_rounded(use.read),
        write_bytes_per_sec=_rounded(use.written),
        container=row.who.container,
        command=row.who.command,
    )


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 2)
