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
from typing import IO, Any, Self, cast

from attrs import frozen

PAGE = os.sysconf("SC_PAGE_SIZE")
PATIENCE_S = 180.0


@frozen
class Cost:
    """What processes have used so far: CPU seconds, their own and the kernel's; resident bytes."""

    cpu: float
    resident: int

    def since(self, earlier: Cost) -> Cost:
        """Return what was used after an earlier reading."""
        return Cost(self.cpu - earlier.cpu, self.resident - earlier.resident)


def cost(pids: Iterable[int]) -> Cost:
    """Read the cost of processes, of all their threads together."""
    cpu, resident = 0.0, 0
    for pid in pids:
        # include/linux/posix-timers_types.h: the clock of another process, in nanoseconds where
        # /proc has but hundredths of a second.
        cpu += time.clock_gettime((~pid) << 3 | 2)
        resident += int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * PAGE
    return Cost(cpu, resident)


class Child:
    """A process; it is ended, and killed if need be, with the block."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._input = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout).fileno()
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
        self._input.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tell(self, line: str) -> None:
        """Tell it a line."""
        self._input.write(line.encode() + b"\n")
        self._input.flush()

    def answer(self, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for its next answer.

        Raises:
            RuntimeError: it ended instead, or did not answer in time.
        """
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self._output], [], [], left)[0]:
                raise RuntimeError(f"{self._process.args!r} does not answer")
            data = os.read(self._output, 1 << 16)
            if not data:
                raise RuntimeError(f"{self._process.args!r} ended, status {self._process.wait()}")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return cast("dict[str, Any]", json.loads(line))
