"""What Pulsewire itself costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import psutil
from attrs import define, field

from app.core.figures import Vitals
from schema.metrics import OwnCost


class OwnUse(NamedTuple):
    """What this process has used: processor seconds since its start, and memory now in bytes.

    ``collect_ms`` is what the reading took that this is a part of, ``hub`` what the hub told.
    """

    cpu_s: float
    rss: int
    collect_ms: float
    hub: Vitals | None


@define(eq=False)
class OwnStat:
    """Reads what this process uses; ``clock`` gives monotonic seconds.

    ``vitals`` gives what the hub tells of itself, on the source's thread; None if nobody told.
    """

    clock: Callable[[], float]
    vitals: Callable[[], Vitals | None] = lambda: None
    _process: psutil.Process = field(init=False, factory=psutil.Process)

    def __call__(self, began: float) -> OwnUse:
        """Read it, as the last part of a reading that began then.

        Raises:
            psutil.Error: the system does not tell.
        """
        cpu_s, rss = time.process_time(), self._process.memory_info().rss
        vitals = self.vitals()
        return OwnUse(cpu_s, rss, (self.clock() - began) * 1000, vitals)


def render_own(first: OwnUse | None, last: OwnUse | None, seconds: float) -> OwnCost:
    """Give the cost over a window; all null if it could not be read."""
    if last is None:
        return OwnCost(None, None, None, None, None, None)
    used = None
    if first is not None and seconds > 0:
        used = round(100 * (last.cpu_s - first.cpu_s) / seconds, 2)
    hub = last.hub
    return OwnCost(
        cpu=used,
        rss_bytes=last.rss,
        collect_ms=round(last.collect_ms, 3),
        clients=hub.clients if hub else None,
        dropped=hub.skips if hub else None,
        lag_ms=round(hub.pause * 1000, 3) if hub else None,
    )
