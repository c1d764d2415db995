"""Questions to file systems that may never answer, asked by another process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from app.sources.devices import prober as prober_module
from app.sources.devices.probe import serve
from app.sources.devices.prober import DEADLINE_S, Answer, Probe, Prober
from app.sources.devices.space import read_blocks
from tests.fuse import BLOCK, STATFS, fuse_mount
from tests.manual_clock import ManualClock

PATIENCE_S = 20


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def prober(clock: ManualClock) -> Iterator[Prober]:
    """A prober, whose process has ended when the test is over."""
    prober = Prober(clock.clock.monotonic)
    yield prober
    prober._end()


def answered(probe: Probe) -> Answer:
    """Ask if it is time, and give what was answered."""
    probe()
    assert probe._prober.wait(PATIENCE_S)
    return probe()


def test_a_path_is_asked_about_and_answered(prober: Prober, clock: ManualClock) -> None:
    """With what the system tells of it; before that there is nothing."""
    probe = prober.probe("/proc", 10.0)
    assert probe() == Answer()
    assert answered(probe) == Answer(read_blocks("/proc"), clock.now)


def test_it_is_asked_about_again_when_it_is_time(prober: Prober, clock: ManualClock) -> None:
    """And not before."""
    probe = prober.probe("/", 10.0)
    first = answered(probe)
    clock.now += 9.9
    assert probe() is first
    assert not prober.wait(0.05)
    clock.now += 0.1
    assert answered(probe).at == clock.now


def test_an_error_is_told_and_the_last_answer_stands(
    prober: Prober, clock: ManualClock, tmp_path: Path
) -> None:
    """Until it is back."""
    folder = tmp_path / "a folder\n\udcff"
    folder.mkdir()
    probe = prober.probe(str(folder), 1.0)
    good = answered(probe)
    folder.rmdir()
    clock.now += 1
    bad = answered(probe)
    assert isinstance(bad.error, FileNotFoundError)
    assert evolve(bad, error=None) == good
    folder.mkdir()
    clock.now += 1
    assert answered(probe).error is None


def test_many_paths_have_one_process(prober: Prober) -> None:
    """Each gets its own answer."""
    probes = [prober.probe(path, 10.0) for path in ("/", "/proc", "/none", "/dev")]
    answers = [probe.first(PATIENCE_S) for probe in probes]
    assert [answer.told is None for answer in answers] == [False, False, True, False]
    assert len(children()) == 1


def children() -> list[int]:
    """Give the processes that this one has started and that run a prober's program."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == os.getpid() and "probe.serve" in command:
            found.append(int(folder.name))
    return found


def none_left() -> bool:
    """Wait for the end of those that were killed, and tell whether there are no others."""
    for process in list(prober_module._ending):
        process.wait(PATIENCE_S)
    return children() == []


def test_the_process_ends_when_nobody_asks_any_longer(prober: Prober) -> None:
    """A probe that is let go of is forgotten."""
    probe = prober.probe("/", 10.0)
    answered(probe)
    assert len(children()) == 1
    del probe
    prober.collect()
    assert none_left()


def test_the_process_ends_with_its_prober() -> None:
    """There is nothing to close."""
    prober = Prober()
    probe = prober.probe("/", 10.0)
    answered(probe)
    del prober, probe
    assert none_left()


def test_an_answer_that_nobody_waits_for_is_dropped(prober: Prober) -> None:
    """Its probe has gone, others have not."""
    one, other = (prober.probe("/", 10.0) for _ in range(2))
    one()
    del one
    while (answer := other()).told is None:
        assert prober.wait(PATIENCE_S)
    assert answer.error is None


def test_a_process_that_was_killed_is_started_again(prober: Prober, clock: ManualClock) -> None:
    """What it was asked has failed, what it had told stands."""
    probe = prober.probe("/proc", 10.0)
    good = answered(probe)
    (pid,) = children()
    os.kill(pid, signal.SIGSTOP)
    clock.now += 10
    probe()
    os.kill(pid, signal.SIGKILL)
    assert prober.wait(PATIENCE_S)
    lost = probe()
    assert isinstance(lost.error, BrokenPipeError)
    assert evolve(lost, error=None) == good
    clock.now += 10
    assert answered(probe) == Answer(good.told, clock.now)


def test_a_loss_concerns_only_what_waits_for_an_answer(prober: Prober) -> None:
    """What was answered is not in doubt."""
    probe = prober.probe("/", 10.0)
    good = answered(probe)
    (pid,) = children()
    os.kill(pid, signal.SIGKILL)
    assert prober.wait(PATIENCE_S)
    assert probe() is good


def test_a_process_that_cannot_be_started_is_an_error(clock: ManualClock) -> None:
    """Of what is asked, not of whoever asks."""
    probe = Prober(clock.clock.monotonic, ("/none",)).probe("/", 10.0)
    assert isinstance(probe().error, FileNotFoundError)


def test_a_process_that_takes_no_more_is_given_up(clock: ManualClock) -> None:
    """Writing to it never blocks."""
    idle = (sys.executable, "-c", "import time; time.sleep(60)")
    prober = Prober(clock.clock.monotonic, idle)
    probe = prober.probe("/" + "x" * 4000, 0.0)
    answer = probe()
    while answer.error is None:
        probe._asked = None  # as if it had been answered
        answer = probe()
    assert isinstance(answer.error, BlockingIOError)
    assert prober._helper is None


def test_the_first_answer_is_waited_for(prober: Prober) -> None:
    """As long as one is willing to."""
    assert prober.probe("/", 10.0).first(PATIENCE_S).told is not None
    assert prober.probe("/none", 10.0).first(PATIENCE_S).error is not None


# ---- a file system that hangs


def test_one_that_hangs_is_asked_once_and_told_late(
    prober: Prober, clock: ManualClock, tmp_path: Path
) -> None:
    """With its last answer, as long as it lasts; others are answered, and so is it in the end."""
    with fuse_mount(tmp_path / "mount") as mount:
        probe, other = prober.probe(str(mount.path), 10.0), prober.probe("/", 10.0)
        good = answered(probe)
        assert good.told == (BLOCK, *STATFS)
        mount.hang()
        clock.now += 10
        assert probe() is good
        assert mount.asked(2)
        for _ in range(100):
            clock.now += DEADLINE_S
            assert probe() == evolve(good, late=True)
        assert answered(other).at == clock.now
        assert mount.questions == 2
        await_threads(2, *children())
        mount.answer()
        assert prober.wait(PATIENCE_S)
        assert probe() == Answer(good.told, clock.now)


def await_threads(count: int, pid: int) -> None:
    """Wait until a process has no more threads than that: one is there for each question."""
    deadline = time.monotonic() + PATIENCE_S
    while len(list(Path(f"/proc/{pid}/task").iterdir())) > count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_process_that_hangs_is_let_go(prober: Prober, clock: ManualClock, tmp_path: Path) -> None:
    """Its end is not waited for: it comes when the file system answers."""
    with fuse_mount(tmp_path / "mount") as mount:
        mount.hang()
        probe = prober.probe(str(mount.path), 10.0)
        probe()
        assert mount.asked(1)
        assert probe.first(0.0) == Answer()
        process = prober._helper._process if prober._helper else None
        assert process is not None
        del probe
        prober.collect()
        assert process in prober_module._ending
        prober.collect()
        assert process in prober_module._ending
        mount.answer()
        process.wait(PATIENCE_S)
        prober.collect()
        assert process not in prober_module._ending


# ---- what the process runs


def test_the_program_answers_until_nobody_asks(tmp_path: Path) -> None:
    """Also questions that come in pieces; and nobody need be there to hear the answer."""
    questions, ask = os.pipe()
    hear, answers = os.pipe()
    program = threading.Thread(target=serve, args=(questions, answers))
    program.start()
    os.write(ask, b"1 /pr")
    os.write(ask, b"oc\0002 %s\0" % os.fsencode(tmp_path / "none"))
    told = b""
    while told.count(b"\n") < 2:
        told += os.read(hear, 4096)
    good, bad = sorted(told.decode().splitlines())
    assert good.split() == ["1", *map(str, read_blocks("/proc"))]
    assert bad == "2 error 2"
    os.close(hear)
    os.write(ask, b"3 /\0")
    os.close(ask)
    program.join(PATIENCE_S)
    assert not program.is_alive()
    for end in (questions, answers):
        os.close(end)
