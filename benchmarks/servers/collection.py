"""Arrangements of garbage collection, and what each costs the event loop."""

from __future__ import annotations

import gc
import time
from typing import Any

from benchmarks.servers.control import PauseWatch

ARRANGEMENTS = {
    "shipped": "as the product has it (`app/garbage.py`)",
    "python": "as Python has it",
    "raised": "thresholds 100,000 / 50 / 1,000",
    "freeze": "`gc.freeze()` when the connections have settled",
    "rolling": "`gc.freeze()` after every full pass",
}
OLDEST = 2
# As the interpreter came, before the product has changed anything.
THRESHOLDS = gc.get_threshold()


class Collector:
    """One arrangement at work; it is told when things have settled, and tells what it cost."""

    def __init__(self, arrangement: str) -> None:
        self._arrangement = arrangement
        self._begun = 0.0
        gc.callbacks.append(self._note)
        if arrangement != "shipped":
            gc.unfreeze()
            gc.set_threshold(*THRESHOLDS)
        if arrangement == "raised":
            gc.set_threshold(100_000, 50, 1000)
        self._reset()

    def _reset(self) -> None:
        self._longest_ms = [0.0, 0.0, 0.0]
        self._total_ms = 0.0
        self._watch = PauseWatch()

    def _note(self, phase: str, info: dict[str, int]) -> None:
        # CPU time, which another process on the processor does not lengthen.
        if phase == "start":
            self._begun = time.thread_time()
            return
        took, generation = (time.thread_time() - self._begun) * 1000, info["generation"]
        self._longest_ms[generation] = max(self._longest_ms[generation], took)
        self._total_ms += took
        if self._arrangement == "rolling" and generation == OLDEST:
            gc.freeze()

    def command(self, name: str) -> dict[str, Any]:
        """Do what is asked for, ``settle``, ``collect`` or nothing; tell the cost since last."""
        if name == "settle" and self._arrangement == "freeze":
            gc.collect()
            gc.freeze()
        if name == "collect":
            gc.collect()
        answer = {
            "longest_ms": self._longest_ms,
            "total_ms": self._total_ms,
            "pause_ms": self._watch.stop() * 1000,
            "objects": len(gc.get_objects()),
            "frozen": gc.get_freeze_count(),
        }
        self._reset()
        return answer
