"""Asks file systems that may never answer, in a process of its own; it costs nobody anything.

A thread that hangs in a FUSE file system cannot be killed once the request has been taken, and
neither can the process that it is part of (measured on Linux 6.18). So it must not be a thread of
the server, which has to end when it is told to. ``probe.py`` is what that process runs.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import define, evolve, field, frozen

from app.sources.devices.space import Blocks

DEADLINE_S = 1.0
_PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
    "import probe; probe.serve(0, 1)"
)
_CHUNK = 2**16


@frozen
class Answer:
    """The newest that is known of a file system.

    ``told`` was told at the moment ``at``, in monotonic seconds; both are None before anything
    was. ``late``: the answer that should have replaced it is overdue. ``error`` is what came
    instead of the last answer.
    """

    told: Blocks | None = None
    at: float | None = None
    late: bool = False
    error: OSError | None = None


@define(eq=False)
class Probe:
    """A path that is asked about every so many seconds; one question at a time."""

    path: str
    every: float
    _prober: Prober
    _number: int
    _answer: Answer = field(init=False, factory=Answer)
    _asked: float | None = field(init=False, default=None)
    _due: float = field(init=False, default=-math.inf)

    def __call__(self) -> Answer:
        """Give the newest answer, and ask anew if it is time."""
        self._prober.collect()
        now = self._prober.clock()
        if self._asked is None and now >= self._due:
            self._asked, self._due = now, now + self.every
            self._prober.ask(self._number, self.path)
        late = self._asked is not None and now - self._asked >= DEADLINE_S
        if late != self._answer.late:
            self._answer = evolve(self._answer, late=late)
        return self._answer

    def first(self, seconds: float) -> Answer:
        """Give the first answer, waiting for it at most so long."""
        deadline = time.monotonic() + seconds
        while (answer := self()).told is None and answer.error is None:
            if not self._prober.wait(deadline - time.monotonic()):
                break
        return answer

    def take(self, told: Blocks) -> None:
        """Take an answer."""
        self._answer, self._asked = Answer(told, self._prober.clock()), None

    def fail(self, error: OSError) -> None:
        """Take an error for an answer, if one is waited for."""
        if self._asked is not None:
            self._answer, self._asked = evolve(self._answer, late=False, error=error), None


@define(eq=False)
class Prober:
    """Has questions asked by another process, which runs only while there are probes.

    ``clock`` gives monotonic seconds, ``command`` starts the process.
    """

    clock: Callable[[], float] = time.monotonic
    command: tuple[str, ...] = (sys.executable, "-I", "-S", "-c", _PROGRAM)
    _numbers: Iterator[int] = field(init=False, factory=itertools.count)
    # Whoever asks holds the probe; what nobody asks any longer is forgotten.
    _probes: weakref.WeakValueDictionary[int, Probe] = field(
        init=False, factory=weakref.WeakValueDictionary
    )
    _helper: _Helper | None = field(init=False, default=None)

    def probe(self, path: str, every: float) -> Probe:
        """Make a probe of a path; it lives as long as it is held."""
        number = next(self._numbers)
        probe = self._probes[number] = Probe(path, every, self, number)
        return probe

    def collect(self) -> None:
        """Hand out the answers that have come; end the process if nobody asks any longer."""
        if _ending:
            _reap()
        if self._helper is None:
            return
        try:
            for number, told in self._helper.answers():
                self._hand_out(number, told)
        except OSError as error:
            self._lose(error)
        if not self._probes:
            self._end()

    def ask(self, number: int, path: str) -> None:
        """Pass a question on; if that fails, so does whatever waits for an answer."""
        try:
            self._helper = self._helper or _Helper(self.command)
            self._helper.ask(number, path)
        except OSError as error:
            self._lose(error)

    def wait(self, seconds: float) -> bool:
        """Wait for an answer to come, at most so long; tell whether there is something new."""
        return self._helper is None or self._helper.wait(seconds)

    def _hand_out(self, number: int, told: list[int] | OSError) -> None:
        probe = self._probes.get(number)
        if probe is None:
            return
        if isinstance(told, OSError):
            probe.fail(told)
        else:
            probe.take(Blocks(*told))

    def _lose(self, error: OSError) -> None:
        self._end()
        for probe in list(self._probes.values()):
            probe.fail(error)

    def _end(self) -> None:
        if self._helper is not None:
            self._helper.end()
            self._helper = None


@define(eq=False)
class _Helper:
    """The process, and the pipes to and from it, which never block."""

    command: tuple[str, ...]
    _process: subprocess.Popen[bytes] = field(init=False)
    _poll: select.poll = field(init=False, factory=select.poll)
    _rest: bytes = field(init=False, default=b"")
    end: Callable[[], object] = field(init=False)

    def __attrs_post_init__(self) -> None:
        # A group of its own: Ctrl-C is for the server alone.
        self._process = subprocess.Popen(  # noqa: S603 - it is our own program
            self.command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
        self.end = weakref.finalize(self, _end, self._process)
        for end in (self._questions, self._answers):
            os.set_blocking(end, False)
        self._poll.register(self._answers, select.POLLIN)

    @property
    def _questions(self) -> int:
        assert self._process.stdin is not None  # noqa: S101 - a pipe, as was asked for
        return self._process.stdin.fileno()

    @property
    def _answers(self) -> int:
        assert self._process.stdout is not None  # noqa: S101 - a pipe, as was asked for
        return self._process.stdout.fileno()

    def ask(self, number: int, path: str) -> None:
        """Pass a question on.

        Raises:
            OSError: the process has ended, or takes no more.
        """
        os.write(self._questions, b"%d %s\0" % (number, os.fsencode(path)))

    def answers(self) -> Iterator[tuple[int, list[int] | OSError]]:
        """Give the answers that have come, each with the number of its question.

        Raises:
            OSError: the process has ended.
        """
        for line in self._lines():
            number, *told = line.split()
            if told[0] == b"error":
                yield int(number), OSError(int(told[1]), os.strerror(int(told[1])))
            else:
                yield int(number), [int(figure) for figure in told]

    def wait(self, seconds: float) -> bool:
        """Wait for an answer to come, at most so long."""
        return bool(self._poll.poll(max(seconds, 0) * 1000))

    def _lines(self) -> list[bytes]:
        try:
            chunk = os.read(self._answers, _CHUNK)
        except BlockingIOError:
            return []
        if not chunk:
            raise BrokenPipeError(errno.EPIPE, "the process that asks file systems has ended")
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return lines


# Processes that were killed and may not have ended: one that hangs does so when it is answered.
_ending: list[subprocess.Popen[bytes]] = []


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it, and do not wait for that."""
    for pipe in filter(None, (process.stdin, process.stdout)):
        pipe.close()
    process.kill()
    _ending.append(process)
    _reap()


def _reap() -> None:
    """Take note of those that have ended, or they would stay on the system's list."""
    _ending[:] = [process for process in _ending if process.poll() is None]
