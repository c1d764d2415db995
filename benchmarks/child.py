"""A child process that is told things in lines and answers in JSON, and what it has cost."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from attrs import frozen


PAGE = os.sysconf("SC_PAGE_SIZE")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 180.0


@frozen
class Cost:
    """What processes have used so far: CPU seconds in all, those in the kernel, resident bytes."""

    cpu: float
    system: float
    resident: int

    def since(self, earlier: Cost) -> Cost:
        """Return what was used after an earlier reading."""
        return Cost(
            self.cpu - earlier.cpu, self.system - earlier.system, self.resident - earlier.resident
        )


def cost(pids: Iterable[int]) -> Cost:
    """Read the cost of processes, of all their threads together."""
    cpu = system = 0.0
    resident = 0
    for pid in pids:
        # include/linux/posix-timers_types.h: the clock of another process, in nanoseconds where
        # /proc has but hundredths of a second.
        cpu += time.clock_gettime((~pid) << 3 | 2)
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        system += int(stat.rpartition(")")[2].split()[12]) / CLOCK_TICKS
        resident += int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE
    return Cost(cpu, system, resident)


class Child:
    """A process; it is ended, and killed if need be, with the block."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._buffer = b""

    def __enter__(self) -> Self:
        """Have it run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its input, which it takes for the end; what does not end by that is killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tell(self, line: str) -> None:
        """Tell it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def answer(self, patience_s: float = PATIENCE_S) -> Any:
        """Wait for its next answer.

        Raises:
            RuntimeError: it ended instead, or did not answer in time.
        """
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([descriptor], [], [], left)[0]:
                raise RuntimeError(f"{self._process.args!r} does not answer")
            data = os.read(descriptor, 1 << 16)
            if not data:
                raise RuntimeError(f"{self._process.args!r} ended, status {self._process.wait()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)
