"""The processes source: against the machine, and on made-up trees whose truth is known."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.core.source import Resting, Source, Window
from app.factory import create_hub, default_sources
from app.settings import Settings
from app.sources.proc.procfiles import Traffic, parse_io, parse_stat
from app.sources.proc.proctable import LARGEST
from app.sources.processes import TOP, Host, ProcessSample, ProcessSource
from schema.fields import Detail
from schema.processes import Process, Processes, ProcessesMessage
from tests.manual_clock import ManualClock
from tests.proctree import CONTAINER, ProcTree
from tests.serving import serving

HZ = os.sysconf("SC_CLK_TCK")
CORES = 4
PAGE = os.sysconf("SC_PAGE_SIZE")

# Uses a processor half of the time, and all of the time writes to a file.
BUSY = """
import os, sys, time
with open(sys.argv[1], "wb", buffering=0) as file:
    print("on", flush=True)
    while True:
        until = time.process_time() + 0.01
        while time.process_time() < until:
            pass
        file.write(bytes(65536))
        file.seek(0)
        os.fdatasync(file)
        time.sleep(0.01)
"""
WINDOW_S = 1.5


@define(eq=False)
class Machine:
    """A made-up machine: a tree of processes, and a source that looks at it."""

    tree: ProcTree
    commands: bool = False
    time: ManualClock = field(factory=ManualClock)
    source: ProcessSource = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.source = ProcessSource(
            commands=self.commands,
            root=self.tree.root,
            passwd=self.tree.root / "passwd",
            host=Host(self.time.clock, hz=100, cores=lambda: CORES),
        )

    def sample(self, seconds: float = 1.0) -> ProcessSample:
        """Let time pass and take a sample."""
        self.time.advance(seconds)
        return self.source.sample()

    def render(self, *samples: ProcessSample, detail: Detail = Detail.FULL) -> Processes:
        """Render the window of some samples."""
        return self.source.render(Window(samples, samples[-1].at - samples[0].at), detail)

    def item(self, *samples: ProcessSample, pid: int = 7) -> Process:
        """Render the window of some samples, and give what it tells of one process."""
        (item,) = [item for item in self.render(*samples).items if item.pid == pid]
        return item


@pytest.fixture
def at(tmp_path: Path) -> Machine:
    return Machine(ProcTree(tmp_path / "proc"))


# ---- against the machine


@frozen
class Truth:
    """What the kernel says of a process, at some time between two moments."""

    ticks: int
    traffic: Traffic | None
    began: float
    ended: float

    @classmethod
    def of(cls, pid: int) -> Truth:
        """Ask for it."""
        began = time.monotonic()
        ticks = parse_stat(Path(f"/proc/{pid}/stat").read_bytes()).ticks
        try:
            traffic = parse_io(Path(f"/proc/{pid}/io").read_bytes())
        except OSError:  # not even one's own child's, on some hardened machines
            traffic = None
        return cls(ticks, traffic, began, time.monotonic())


def warm_up(source: ProcessSource, pid: int) -> None:
    """Take samples until the source has seen that a process does something."""
    while source.sample().roster.table()[pid].io is None and Truth.of(pid).traffic is not None:
        time.sleep(0.05)


@contextmanager
def child(*command: str) -> Iterator[subprocess.Popen[str]]:
    """Have a program run."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_what_a_child_uses_is_what_the_kernel_says(tmp_path: Path) -> None:
    """Processor time and bytes written, over the very same window; and the rest is known."""
    source = ProcessSource(commands=True)
    with child(sys.executable, "-c", BUSY, str(tmp_path / "file")) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        warm_up(source, busy.pid)
        before, first, after = Truth.of(busy.pid), source.sample(), Truth.of(busy.pid)
        time.sleep(WINDOW_S)
        earlier, last, later = Truth.of(busy.pid), source.sample(), Truth.of(busy.pid)
        payload = source.render(Window([first, last], last.at - first.at), Detail.FULL)
    (item,) = [item for item in payload.items if item.pid == busy.pid]
    seconds = last.at - first.at
    # The pass itself takes a while, and in it the child goes on.
    low, high = earlier.ticks - after.ticks, later.ticks - before.ticks
    assert item.cpu is not None
    assert low - 1 <= item.cpu / 100 * HZ * seconds <= high + 1
    assert high > 0
    assert item.cpu_host == pytest.approx(item.cpu / os.sysconf("SC_NPROCESSORS_ONLN"), abs=0.01)
    if before.traffic is None or after.traffic is None:
        assert item.write_bytes_per_sec is None
    else:
        assert earlier.traffic is not None
        assert later.traffic is not None
        assert item.write_bytes_per_sec is not None
        low, high = (
            earlier.traffic.written - after.traffic.written,
            later.traffic.written - before.traffic.written,
        )
        assert low - 1 <= item.write_bytes_per_sec * seconds <= high + 1
    assert item.state in "RSD"
    assert (item.threads, item.memory_bytes > 0) == (1, True)
    assert item.start_ms / 1000 == pytest.approx(time.time(), abs=WINDOW_S + 10)
    assert item.command is not None
    assert item.command.startswith(sys.executable)


@pytest.mark.external("ps")
def test_a_child_is_what_ps_says(tmp_path: Path) -> None:
    """Name and user; here with a name that looks like the end of one."""
    name = ") R 1 (\n"
    program = str(shutil.copy(shutil.which("sleep") or "", tmp_path / name))
    source = ProcessSource()
    source.sample()
    with child(program, "60") as sleeper:
        row = source.sample().roster.table()[sleeper.pid]
        command = ["ps", "-o", "euser:32=", "-p", str(sleeper.pid)]
        user = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    assert (row.who.name, row.who.user) == (name, user)


def test_all_processes_are_counted() -> None:
    """As many as there are numbers in /proc, give or take those that come and go."""
    source = ProcessSource()
    low = pids()
    sample = source.sample()
    assert low & pids() <= set(sample.roster.table())
    assert sample.total == len(sample.roster.table())
    assert sample.running >= 1, "the one that asks"
    assert sample.threads >= sample.total / 2, "zombies have none"
    assert sample.cores == os.sysconf("SC_NPROCESSORS_ONLN")
    assert abs(sample.boot_ms / 1000 + time.clock_gettime(time.CLOCK_BOOTTIME) - time.time()) < 1.1


def pids() -> set[int]:
    return {int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()}


def test_it_is_a_source_that_sleeps_and_rests() -> None:
    """Nobody pays for it who does not ask."""
    source: Source = ProcessSource()
    assert isinstance(source, Resting)
    assert (source.channel, source.message) == ("processes", ProcessesMessage)
    assert (source.always, source.details) == (False, tuple(Detail))


async def test_the_server_tells_them() -> None:
    """As its schema describes them, and without the command lines, unless it is told to."""
    settings = Settings()
    async with (
        serving(create_hub(settings, default_sources(settings))) as served,
        httpx.AsyncClient(base_url=served.http, trust_env=False) as client,
    ):
        schema = (await client.get("/api/schema")).json()
        batch = (await client.get("/api/poll?channels=processes::full")).json()
    Draft202012Validator(schema).validate(batch)
    (message,) = batch["messages"]
    assert (message["type"], message["data"]["top"]) == ("processes", 50)
    assert {item["command"] for item in message["data"]["items"]} == {None}


# ---- rates


def test_processor_time_is_the_mean_over_the_window(at: Machine) -> None:
    """Of one processor, and of all."""
    at.tree.process(7, ticks=500)
    first = at.sample()
    at.tree.process(7, ticks=600)
    middle = at.sample(1)
    at.tree.process(7, ticks=800)
    last = at.sample(3)
    assert at.item(first, middle, last).cpu == 75.0
    assert at.item(middle, last).cpu == 66.67
    assert at.item(middle, last).cpu_host == 16.67


def test_processor_time_has_a_physical_bound(at: Machine) -> None:
    """A clock that counts in ticks may run ahead of one that does not."""
    at.tree.process(7)
    first = at.sample()
    at.tree.process(7, ticks=900)
    item = at.item(first, at.sample())
    assert (item.cpu, item.cpu_host) == (100.0 * CORES, 100.0)


def test_a_process_that_does_nothing_has_used_nothing(at: Machine) -> None:
    """That is a true 0; it is listed for its memory."""
    at.tree.process(7, ticks=500, pages=9)
    item = at.item(at.sample(), at.sample())
    assert (item.cpu, item.read_bytes_per_sec, item.write_bytes_per_sec) == (0.0, 0.0, 0.0)


def test_a_process_that_came_in_between_counts_from_then(at: Machine) -> None:
    """Once seen it has no rate, never a false 0."""
    at.tree.process(1)
    samples = [at.sample()]
    at.tree.process(7, ticks=500, pages=9, traffic=(10, 10))
    samples.append(at.sample())
    item = at.item(*samples)
    assert (item.cpu, item.cpu_host, item.read_bytes_per_sec) == (None, None, None)
    at.tree.process(7, ticks=550, pages=9, traffic=(20, 40))
    samples.append(at.sample(2))
    item = at.item(*samples)
    assert (item.cpu, item.read_bytes_per_sec, item.write_bytes_per_sec) == (25.0, 5.0, 15.0)


def test_a_pid_that_is_given_again_does_not_inherit(at: Machine) -> None:
    """Neither processor time nor traffic; the window knows the new one only once."""
    at.tree.process(7, ticks=5, start=3, pages=9, traffic=(10, 10))
    samples = [at.sample()]
    at.tree.process(7, ticks=500, start=90, pages=9, traffic=(999, 999))
    samples.append(at.sample())
    item = at.item(*samples)
    assert (item.cpu, item.read_bytes_per_sec, item.write_bytes_per_sec) == (None, None, None)
    assert item.start_ms == at.item(samples[0], samples[0]).start_ms + 870


@pytest.mark.parametrize("ticks", [0, 499])
def test_a_counter_that_steps_back_gives_no_rate(at: Machine, ticks: int) -> None:
    """And is counted from there."""
    at.tree.process(7, ticks=500, pages=9)
    samples = [at.sample()]
    at.tree.process(7, ticks=ticks, pages=9)
    samples.append(at.sample())
    assert at.item(*samples).cpu is None
    at.tree.process(7, ticks=ticks + 10, pages=9)
    samples.append(at.sample())
    assert at.item(*samples).cpu == 10.0


def test_traffic_is_the_mean_over_the_window(at: Machine) -> None:
    """Read and written by themselves."""
    at.tree.process(7, pages=9, traffic=(1000, 2000))
    first = at.sample()
    at.tree.process(7, pages=9, traffic=(1500, 6000))
    item = at.item(first, at.sample(2))
    assert (item.read_bytes_per_sec, item.write_bytes_per_sec) == (250.0, 2000.0)


def test_traffic_that_may_not_be_read_is_not_known(at: Machine) -> None:
    """The rest is."""
    at.tree.process(7, traffic=None)
    first = at.sample()
    at.tree.process(7, ticks=10, traffic=None)
    item = at.item(first, at.sample())
    assert (item.cpu, item.read_bytes_per_sec, item.write_bytes_per_sec) == (10.0, None, None)


# ---- the lists


def test_the_top_of_each_kind_come_in_one_list(at: Machine) -> None:
    """Each once, the busiest first, then the largest."""
    for pid in range(1, 31):
        at.tree.process(pid, pages=pid, state="D")
    first = at.sample()
    for pid in range(1, 31):
        ticks, written = (40 - pid, 0) if pid <= 10 else (0, 100 * pid)
        at.tree.process(pid, pages=pid, ticks=ticks, traffic=(0, written if pid <= 20 else 0))
    last = at.sample()
    simple = at.render(first, last, detail=Detail.SIMPLE)
    assert [item.pid for item in simple.items] == [
        *range(1, 6),  # by processor time
        *range(30, 25, -1),  # by memory
        *range(20, 15, -1),  # by traffic
    ]
    assert at.render(first, last, detail=Detail.STANDARD).top == 10
    assert {item.pid for item in at.render(first, last).items} == set(range(1, 31))


def test_who_uses_nothing_is_not_listed(at: Machine) -> None:
    """Neither memory nor processor time nor disks: most threads of the kernel."""
    at.tree.process(7)
    payload = at.render(at.sample(), at.sample())
    assert (payload.total, payload.items) == (1, [])


def test_no_list_is_longer_than_what_is_read_in_full() -> None:
    """Else some in it would be without their user."""
    assert TOP == {Detail.SIMPLE: 5, Detail.STANDARD: 10, Detail.FULL: 50}
    assert max(TOP.values()) == LARGEST


def test_all_processes_are_told_in_numbers(at: Machine) -> None:
    """Those at the end of the window."""
    at.tree.process(1, threads=2)
    first = at.sample()
    at.tree.process(7, threads=3, state="R")
    at.tree.process(8, threads=1, state="Z")
    payload = at.render(first, at.sample())
    assert (payload.total, payload.running, payload.threads, payload.top) == (3, 1, 6, 50)


def test_a_process_is_told_with_all_that_is_known(tmp_path: Path) -> None:
    """Its start by the wall clock, its memory of the host's, its container, its command line."""
    at = Machine(ProcTree(tmp_path / "proc"), commands=True)
    (at.tree.root / "passwd").write_text(f"ann:x:{os.geteuid()}:0::/:/bin/sh\n")
    cgroup = f"0::/system.slice/docker-{CONTAINER}.scope\n"
    at.tree.process(7, pages=1, start=250, threads=4, cgroup=cgroup, command=b"app\0-px\0")
    item = at.item(at.sample(), at.sample())
    booted = 1000 * (at.time.stepped - at.time.suspended)
    assert item == Process(
        pid=7,
        start_ms=round(booted) + 2500,
        name="program",
        user="ann",
        state="S",
        cpu=0.0,
        cpu_host=0.0,
        memory_bytes=PAGE,
        memory=round(100 * PAGE / 1_024_000, 2),
        threads=4,
        read_bytes_per_sec=0.0,
        write_bytes_per_sec=0.0,
        container=CONTAINER[:12],
        command="app -p***",
    )


@pytest.mark.parametrize(("step", "moved"), [(0.9, 0), (-0.9, 0), (5.0, 5000)])
def test_a_process_keeps_its_start_while_the_clock_is_kept_right(
    at: Machine, step: float, moved: int
) -> None:
    """It is half of its name, so it moves only if the clock is set."""
    at.tree.process(7, pages=1)
    first = at.sample()
    at.time.step(step)
    assert at.sample().boot_ms - first.boot_ms == moved


def test_after_a_rest_nothing_is_compared_with_before(at: Machine) -> None:
    """What passed in between was not seen."""
    at.tree.process(7, pages=1)
    before = at.sample()
    at.source.rest()
    after = at.sample()
    assert after.roster.table()[7].life is not before.roster.table()[7].life
    assert after.roster.shared is not before.roster.shared
    assert at.item(after, at.sample()).cpu == 0.0


# ---- whatever the counters do

figures = st.builds(
    dict[str, int],
    start=st.integers(1, 2),
    ticks=st.integers(0, 60),
    read=st.integers(0, 50),
    written=st.integers(0, 50),
    pages=st.integers(0, 2),
)
passes = st.lists(st.dictionaries(st.integers(1, 4), figures), min_size=2, max_size=5)
Figures = dict[str, int]


@settings(max_examples=40)  # files are written for each
@given(passes, st.sampled_from(Detail))
def test_a_rate_is_null_or_no_more_than_there_was(
    stream: list[dict[int, Figures]], detail: Detail
) -> None:
    """Over any stream of counters: steps back, pids given again, processes that come and go."""
    with tempfile.TemporaryDirectory() as directory:
        at = Machine(ProcTree(Path(directory) / "proc"))
        at.tree.process(999)  # there is always one
        samples = []
        for before, now in itertools.pairwise([{}, *stream]):
            at.tree.end(*(before.keys() - now.keys()))
            for pid, each in now.items():
                at.tree.process(
                    pid,
                    start=each["start"],
                    ticks=each["ticks"],
                    pages=each["pages"],
                    traffic=(each["read"], each["written"]),
                )
            samples.append(at.sample())
    for begin in range(len(samples) - 1):
        payload = at.render(*samples[begin:], detail=detail)
        assert payload.total == len(stream[-1]) + 1
        assert len({(item.pid, item.start_ms) for item in payload.items}) == len(payload.items)
        busy = [item.cpu or 0.0 for item in payload.items]
        assert busy == sorted(busy, reverse=True)
        for item in payload.items:
            seen = [each.get(item.pid) for each in stream[begin:]]
            for rate, bound in (
                (item.cpu, highest(seen, lambda each: each["ticks"])),
                (item.read_bytes_per_sec, highest(seen, lambda each: each["read"])),
                (item.write_bytes_per_sec, highest(seen, lambda each: each["written"])),
            ):
                assert rate is None or 0 <= rate <= bound
            if item.cpu is not None:
                assert item.cpu_host == pytest.approx(item.cpu / CORES, abs=0.01)


def highest(seen: list[Figures | None], figure: Callable[[Figures], int]) -> float:
    """Give the highest growth from one second to the next within one life."""
    return max(
        (
            figure(now) - figure(before)
            for before, now in itertools.pairwise(seen)
            if before and now and before["start"] == now["start"]
        ),
        default=-1,
    )
