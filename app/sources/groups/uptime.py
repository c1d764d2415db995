"""Since when the machine runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from attrs import define, field

from app.core.clock import Clock
from app.sources.groups.held import HeldFile

# What the moment of boot may seem to move by the resolution of clocks alone.
SLACK_S = 2.0


class Uptime(NamedTuple):
    """Seconds since boot, those in suspend included, and the moment of boot in ms of the epoch."""

    seconds: float
    boot_ms: int


@define(eq=False)
class UptimeStat:
    """Reads how long the machine is up.

    ``/proc/uptime`` goes before the boot-time clock, which equals it on a plain machine: in an LXC
    container only the file knows when the container was started (lxcfs). ``told`` gives the moment
    of boot as the system tells it, in seconds, or None.
    """

    clock: Clock
    told: Callable[[], int | None]
    proc: Path = Path("/proc")
    _file: HeldFile = field(init=False)
    _boot: int | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._file = HeldFile(self.proc / "uptime")

    def __call__(self) -> Uptime:
        """Read it.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        try:
            seconds = self._file.parsed(parse)
        except FileNotFoundError:
            seconds = self.clock.boottime()
        return Uptime(seconds, self._moment(self.clock.wall() - seconds) * 1000)

    def _moment(self, reckoned: float) -> int:
        """Give the moment of boot: the same every time, unless the wall clock was set.

        The system's own word counts if it is about the same boot; in LXC it is the host's.
        """
        if self._boot is None or abs(reckoned - self._boot) > SLACK_S:
            self._boot = round(reckoned)
            told = self.told()
            if told is not None and abs(reckoned - told) <= SLACK_S:
                self._boot = told
        return self._boot


def parse(text: bytes) -> float:
    """Understand ``/proc/uptime``, whose first number is seconds.

    Raises:
        ValueError: it is not that file.
    """
    return float(text.partition(b" ")[0])
