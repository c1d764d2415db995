"""Pressure stall information: for how long tasks had to wait for what (Linux 4.20 and later)."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import NamedTuple

from attrs import define, field, frozen

from app.sources.counters import Counted, Lives, grown
from app.sources.groups.cpu import MICROSECONDS
from app.sources.groups.held import HeldFile
from schema.pressure import Pressure, Stall

RESOURCES = ("cpu", "memory", "io", "irq")
# The kernel has it, but it was switched off (psi=0).
SWITCHED_OFF = {errno.EOPNOTSUPP, errno.ENOTSUP}


class Waits(NamedTuple):
    """Microseconds since boot in which some tasks waited, and all; None where not counted."""

    some: int | None
    full: int | None


class Means(NamedTuple):
    """The kernel's own means over the last 10, 60 and 300 s, in percent."""

    over10: float
    over60: float
    over300: float


class Reading(NamedTuple):
    """What one file of ``/proc/pressure`` tells."""

    waits: Waits
    some: Means | None
    full: Means | None


@frozen
class StallCount:
    """The waits for one resource, and the kernel's means of them."""

    waits: Counted[Waits]
    some: Means | None
    full: Means | None


class PressureCounts(NamedTuple):
    """The waits for each resource; None where the kernel does not count them."""

    cpu: StallCount | None
    memory: StallCount | None
    io: StallCount | None
    irq: StallCount | None


@define(eq=False)
class PressureStat:
    """Reads what the kernel tells of pressure."""

    proc: Path = Path("/proc")
    _files: dict[str, HeldFile] = field(init=False)
    _lives: Lives[Waits] = field(init=False, factory=Lives)

    def __attrs_post_init__(self) -> None:
        self._files = {name: HeldFile(self.proc / "pressure" / name) for name in RESOURCES}

    def __call__(self) -> PressureCounts | None:
        """Read all of it; None if the kernel counts nothing of it.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        shown = {name: self._reading(name) for name in RESOURCES}
        readings = {name: reading for name, reading in shown.items() if reading is not None}
        lives = self._lives({name: reading.waits for name, reading in readings.items()})
        counts = (
            StallCount(lives[name], readings[name].some, readings[name].full)
            if name in readings
            else None
            for name in RESOURCES
        )
        return PressureCounts(*counts) if readings else None

    def _reading(self, name: str) -> Reading | None:
        try:
            return self._files[name].parsed(parse)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in SWITCHED_OFF:
                return None
            raise


def parse(text: bytes) -> Reading:
    """Understand one file: a line for ``some``, one for ``full``, or one of them.

    Raises:
        ValueError: it is not such a file.
    """
    totals: dict[bytes, int] = {}
    means: dict[bytes, Means] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split(b"=") for pair in pairs)
        if not {b"avg10", b"avg60", b"avg300", b"total"} <= values.keys():
            raise ValueError(f"a mean or the total is missing in {line!r}")
        totals[kind] = int(values[b"total"])
        means[kind] = Means(*(float(values[key]) for key in (b"avg10", b"avg60", b"avg300")))
    waits = Waits(totals.get(b"some"), totals.get(b"full"))
    return Reading(waits, means.get(b"some"), means.get(b"full"))


def render_pressure(
    first: PressureCounts | None, last: PressureCounts | None, seconds: float
) -> Pressure | None:
    """Give the shares of a window in which tasks waited; None if that was not counted."""
    if last is None:
        return None
    befores = first or PressureCounts(None, None, None, None)
    return Pressure(
        *(
            None if after is None else _stall(before, after, seconds)
            for before, after in zip(befores, last, strict=True)
        )
    )


def _stall(first: StallCount | None, last: StallCount, seconds: float) -> Stall:
    ends = grown(first.waits if first else None, last.waits)
    before, after = ends or (Waits(None, None), last.waits.counters)
    some, full = last.some or (None, None, None), last.full or (None, None, None)
    return Stall(
        _share(before.some, after.some, seconds), _share(before.full, after.full, seconds),
        *some, *full,
    )  # fmt: skip


def _share(before: int | None, after: int | None, seconds: float) -> float | None:
    if before is None or after is None or seconds <= 0:
        return None
    # The files are read a moment apart from the clock, so all of a window may look like more.
    return min(round(100 * (after - before) / (seconds * MICROSECONDS), 2), 100.0)
