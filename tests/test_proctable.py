"""The table of processes, out of directories like /proc: two stages, lives, and what is kept."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import define
from hypothesis import given
from hypothesis import strategies as st

from app.core.source import SourceUnavailableError
from app.sources.proc import procfiles
from app.sources.proc.procfiles import Traffic
from app.sources.proc.proctable import ACTIVE_S, DETAILS_S, LARGEST, Life, ProcTable, Row, Who
from app.sources.proc.roster import DIFFERENT_MIN, Rosters
from app.sources.proc.users import Users
from tests.proctree import CONTAINER, ProcTree

NAMES = ["a", "", ") R 1 (", "a b", "a\nb", "((", "kworker/u8:3-events_unbound", "été"]


@define(eq=False)
class Table:
    """A table of a tree, on a clock that a test moves."""

    tree: ProcTree
    table: ProcTable
    now: float = 0.0

    def look(self, seconds: float = 1.0) -> dict[int, Row]:
        """Let time pass and take a pass."""
        self.now += seconds
        return dict(self.table().rows)


Maker = Callable[..., Table]


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    def made(**options: object) -> Table:
        tree = ProcTree(tmp_path / "proc")
        options.setdefault("users", Users(tmp_path / "passwd"))
        at = Table(tree, ProcTable(tree.root, page=1000, **options))  # type: ignore[arg-type] # any
        at.table.clock = lambda: at.now
        return at

    return made


@pytest.fixture
def at(make: Maker) -> Table:
    return make()


# ---- the files


@pytest.mark.parametrize("name", NAMES)
def test_a_name_may_hold_anything(at: Table, name: str) -> None:
    """Parentheses, blanks and line breaks too; the figures behind it are right all the same."""
    at.tree.process(7, name=name, state="R", ticks=5, threads=3, start=9, pages=2)
    row = at.look()[7]
    assert (row.who.name, row.state, row.ticks, row.threads) == (name, "R", 5, 3)
    assert (row.life.start, row.memory) == (9, 2000)


def test_a_name_that_is_no_utf8_is_told_as_well_as_can_be(at: Table) -> None:
    """The kernel cuts names after 15 bytes, also in the middle of a character."""
    at.tree.process(7, name=b"caf\xc3")
    assert at.look()[7].who.name == "caf\N{REPLACEMENT CHARACTER}"


@given(st.binary(max_size=15), st.lists(st.integers(0, 2**63), min_size=5, max_size=5))
def test_any_line_of_the_kernel_can_be_read(name: bytes, figures: list[int]) -> None:
    """Whatever the process calls itself."""
    user, system, threads, start, pages = figures
    zeros = b"0 " * 30
    line = b"7 (%s) S %s%d %d 0 0 20 0 %d 0 %d 4096 %d %s\n" % (
        *(name, b"1 " * 10, user, system, threads, start, pages),
        zeros,
    )
    stat = procfiles.parse_stat(line)
    assert stat == (name.decode("utf-8", "replace"), "S", user + system, threads, start, pages)


@pytest.mark.parametrize(
    ("cgroup", "container"),
    [
        (f"0::/system.slice/docker-{CONTAINER}.scope\n", CONTAINER[:12]),
        (f"0::/docker/{CONTAINER}\n", CONTAINER[:12]),
        (f"12:cpu:/docker/{CONTAINER}\n0::/x\n", CONTAINER[:12]),
        (f"0::/user.slice/libpod-{CONTAINER}.scope/container\n", CONTAINER[:12]),
        (f"0::/kubepods/burstable/podf0a1/{CONTAINER}\n", CONTAINER[:12]),
        (f"0::/kubepods.slice/cri-containerd-{CONTAINER}.scope\n", CONTAINER[:12]),
        (f"0::/system.slice:docker:{CONTAINER}\n", CONTAINER[:12]),
        (f"0::/docker/{CONTAINER}/docker/{'f' * 64}\n", CONTAINER[:12]),
        (f"0::/machine.slice/libpod-conmon-{CONTAINER}.scope\n", None),
        (f"0::/a/{CONTAINER}f\n", None),
        ("0::/\n", None),
        ("0::/lxc.payload.web\n", None),
        ("", None),
    ],
)
def test_a_container_is_known_by_its_cgroup(at: Table, cgroup: str, container: str | None) -> None:
    """As Docker, Podman, containerd and CRI-O name them, under both versions of cgroups."""
    at.tree.process(7, pages=1, cgroup=cgroup)
    assert at.look()[7].who.container == container


def test_the_users_name_is_that_of_the_local_file(make: Maker, tmp_path: Path) -> None:
    """The first one of the number; the file is read again when it has changed."""
    passwd, uid = tmp_path / "passwd", os.geteuid()
    passwd.write_text(f"+::::::\n# note\n\nann:x:{uid}:0::/:/bin/sh\nbob:x:{uid}:0::/:/bin/sh\n")
    at = make()
    at.tree.process(7, pages=1)
    assert at.look()[7].who.user == "ann"
    passwd.write_text(f"carol:x:{uid}:0::/:/bin/sh\n")
    assert at.look()[7].who.user == "ann", "not so soon"
    assert at.look(DETAILS_S)[7].who.user == "carol"


def test_a_user_without_a_name_is_told_by_number(at: Table) -> None:
    """Also when the file has gone."""
    at.tree.process(7, pages=1)
    assert at.look()[7].who.user == str(os.geteuid())


def test_a_file_of_users_that_is_the_same_is_not_read_again(tmp_path: Path) -> None:
    """It may have thousands of lines."""
    passwd = tmp_path / "passwd"
    passwd.write_text("ann:x:12:0::/:/bin/sh\n")
    users = Users(passwd)
    users.refresh()
    names = users._names
    users.refresh()
    assert users._names is names
    assert (users(12), users(13)) == ("ann", "13")
    passwd.unlink()
    users.refresh()
    assert users(12) == "12"


def test_traffic_that_the_kernel_does_not_count_is_not_known() -> None:
    """It may be built without, or leave one out."""
    assert procfiles.parse_io(b"") is None
    assert procfiles.parse_io(b"rchar: 1\nread_bytes: 2\n") is None
    assert procfiles.parse_io(b"read_bytes: 2\nwrite_bytes: 3\n") == (2, 3)


@pytest.mark.parametrize("text", ["", "MemFree: 1 kB\n", "MemTotal: 1 MB\n"])
def test_memory_of_unknown_size_fails_the_pass(at: Table, text: str) -> None:
    """There is nothing to take a share of."""
    at.tree.process(7)
    (at.tree.root / "meminfo").write_text(text)
    with pytest.raises(ValueError, match="meminfo"):
        at.table()


def test_the_hosts_memory_is_told(at: Table) -> None:
    """In bytes."""
    at.tree.process(7)
    assert at.table().memory == 1000 * 1024


def test_command_lines_are_read_only_if_that_is_allowed(make: Maker) -> None:
    """And masked then; threads of the kernel have none."""
    at = make(commands=True)
    at.tree.process(7, pages=1, command=b"app\0--token\0x\0")
    at.tree.process(8, pages=1)
    rows = at.look()
    assert (rows[7].who.command, rows[8].who.command) == ("app --token ***", None)
    at.table.forget()
    at.table.commands = False
    assert at.look()[7].who.command is None


# ---- the first stage


def test_all_processes_are_told_and_nothing_else(at: Table) -> None:
    """Also those of which nothing more is read."""
    at.tree.process(7)
    at.tree.process(4_000_000)
    (at.tree.root / "8").mkdir()
    (at.tree.root / "9").mkdir()
    (at.tree.root / "9" / "stat").write_text("9 (odd) S 1 2\n")
    assert set(at.look()) == {7, 4_000_000}


def test_a_process_that_does_nothing_keeps_its_row(at: Table) -> None:
    """The very same object, so that 960 samples of it take no more room than one."""
    at.tree.process(7, pages=3)
    row = at.look()[7]
    assert at.look()[7] is row
    at.tree.process(7, pages=3, minor=5)
    assert at.look()[7] is row, "nothing that is told has changed"
    at.tree.process(7, pages=4)
    assert at.look()[7] is not row


def test_a_process_that_goes_on_keeps_its_life(at: Table) -> None:
    """From when it was first seen."""
    at.tree.process(7, ticks=5, start=3)
    life = at.look()[7].life
    assert (life.pid, life.start, life.at, life.ticks) == (7, 3, 1.0, 5)
    at.tree.process(7, ticks=6, start=3)
    assert at.look()[7].life is life


@pytest.mark.parametrize(("ticks", "start"), [(9, 4), (9, 2), (4, 3)])
def test_a_pid_that_is_given_again_begins_a_new_life(at: Table, ticks: int, start: int) -> None:
    """So does a counter that steps back."""
    at.tree.process(7, ticks=5, start=3, pages=1, name="old")
    life = at.look()[7].life
    at.tree.process(7, ticks=ticks, start=start, pages=1, name="new")
    row = at.look()[7]
    assert row.life is not life
    assert (row.life.at, row.life.ticks, row.who.name) == (2.0, ticks, "new")


def test_a_process_that_was_away_begins_a_new_life(at: Table) -> None:
    """Nothing is remembered of what was not seen in the pass before."""
    at.tree.process(1)
    at.tree.process(7, ticks=5)
    life = at.look()[7].life
    at.tree.end(7)
    assert 7 not in at.look()
    at.tree.process(7, ticks=5)
    assert at.look()[7].life is not life


def test_where_there_is_no_proc_the_source_is_unavailable(tmp_path: Path) -> None:
    """With a text that says what is missing."""
    with pytest.raises(SourceUnavailableError, match=r"none, as Linux has it: No such file"):
        ProcTable(tmp_path / "none")()


def test_where_no_process_can_be_seen_the_source_is_unavailable(at: Table) -> None:
    """With hidepid, in a strange namespace, or where /proc is another system's."""
    with pytest.raises(SourceUnavailableError, match="no process to be seen in"):
        at.table()


def test_where_no_descriptor_is_left_the_pass_fails(at: Table) -> None:
    """Rather than tell of fewer processes than there are."""
    at.tree.process(7)
    lowest = os.dup(0)
    os.close(lowest)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            at.table()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert set(at.look()) == {7}


# ---- the second stage


def closely(rows: dict[int, Row]) -> set[int]:
    """Give the pids whose traffic was read."""
    return {pid for pid, row in rows.items() if row.io is not None}


def test_of_those_who_do_nothing_only_the_largest_are_read_in_full(at: Table) -> None:
    """And none that has no memory, which are threads of the kernel."""
    for pid in range(1, LARGEST + 11):
        at.tree.process(pid, pages=1000 - pid)
    at.tree.process(900)
    scan = at.table()
    assert scan.largest == tuple(range(1, LARGEST + 1))
    assert closely(dict(scan.rows)) == set(scan.largest)
    assert scan.rows[LARGEST + 1].who == Who("program")


@pytest.mark.parametrize(
    "change", [{"ticks": 1}, {"state": "D"}, {"start": 101}], ids=["ticks", "disk", "new"]
)
def test_who_does_something_is_read_in_full(at: Table, change: dict[str, int]) -> None:
    """For longer than any window."""
    at.tree.process(7)
    assert closely(at.look()) == set()
    at.tree.process(7, **change)  # type: ignore[arg-type] # a figure or a state
    row = at.look()[7]
    assert row.io is not None
    assert row.who.user == str(os.geteuid())
    at.tree.process(7, **{**change, "state": "S"})  # type: ignore[arg-type] # as above
    assert closely(at.look(ACTIVE_S - 1)) == {7}
    assert closely(at.look()) == set()
    assert at.look()[7].who == row.who, "what was read stands"


def test_who_waits_for_a_disk_at_first_sight_is_read_in_full(at: Table) -> None:
    """Though in the first pass nobody knows what the others do."""
    at.tree.process(7, state="D")
    at.tree.process(8, state="R")
    assert closely(at.look()) == {7}


def test_traffic_keeps_a_process_in_sight(at: Table) -> None:
    """It may use so little processor time that a minute does not show it."""
    at.tree.process(7)
    at.look()
    at.tree.process(7, ticks=1)
    at.look()
    for written in range(1, 5):
        at.tree.process(7, ticks=1, traffic=(0, written))
        io = at.look(ACTIVE_S - 1)[7].io
        assert io is not None
        assert io.traffic == Traffic(0, written)
        assert io.onset.traffic == Traffic(0, 0)


def test_traffic_that_was_not_read_the_last_time_begins_anew(at: Table) -> None:
    """When it happened is not known, and a rate of it would be a spike."""
    at.tree.process(7)
    at.look()
    at.tree.process(7, ticks=1)
    at.look()
    at.look(ACTIVE_S + 1)
    at.tree.process(7, ticks=2, traffic=(0, 10**9))
    io = at.look()[7].io
    assert io is not None
    assert io.onset.at == at.now
    assert io.onset.traffic == io.traffic


def test_traffic_that_steps_back_begins_anew(at: Table) -> None:
    """It does so in one of its two counters."""
    at.tree.process(7, pages=1, traffic=(50, 50))
    at.look()
    at.tree.process(7, pages=1, traffic=(60, 49))
    io = at.look()[7].io
    assert io is not None
    assert (io.onset.at, io.onset.traffic) == (2.0, (60, 49))


def test_traffic_without_the_right_to_know_is_not_known(at: Table) -> None:
    """The rest of the process is told."""
    at.tree.process(7, pages=1, traffic=None)
    row = at.look()[7]
    assert (row.io, row.memory) == (None, 1000)


def test_what_a_process_is_is_read_again_when_it_runs_another_program(at: Table) -> None:
    """A container's first process gets there before it becomes what it is to be."""
    at.tree.process(7, pages=1)
    assert at.look()[7].who.container is None
    cgroup = f"0::/docker/{CONTAINER}\n"
    at.tree.process(7, pages=1, cgroup=cgroup)
    assert at.look()[7].who.container is None
    at.tree.process(7, pages=1, cgroup=cgroup, name="nginx")
    assert at.look()[7].who == Who("nginx", str(os.geteuid()), CONTAINER[:12], None)


def test_what_a_process_is_is_read_again_after_a_while(at: Table) -> None:
    """It may have changed its user or its container; the same object stands if it has not."""
    at.tree.process(7, pages=1)
    who = at.look()[7].who
    assert at.look(DETAILS_S)[7].who is who
    at.tree.process(7, pages=1, cgroup=f"0::/docker/{CONTAINER}\n")
    assert at.look(DETAILS_S)[7].who.container == CONTAINER[:12]


class Ending(Users):
    """Users whose being asked for ends all processes."""

    root: Path

    def refresh(self) -> None:
        for directory in self.root.glob("[0-9]*"):
            shutil.rmtree(directory)


def test_a_process_that_ends_between_the_stages_is_told_without_the_second(make: Maker) -> None:
    """It is gone from the next pass."""
    users = Ending()
    at = make(users=users, commands=True)
    users.root = at.tree.root
    at.tree.process(7, pages=1, command=b"app\0")
    row = at.look()[7]
    assert (row.who, row.io, row.memory) == (Who("program"), None, 1000)
    with pytest.raises(SourceUnavailableError):
        at.look()


def test_after_forgetting_the_next_pass_is_as_the_first(at: Table) -> None:
    """What was active is not known any more."""
    at.tree.process(7)
    at.look()
    at.tree.process(7, ticks=1)
    life = at.look()[7].life
    at.table.forget()
    row = at.look()[7]
    assert (row.life is life, row.io) == (False, None)


# ---- rosters

lives = [Life(pid, 1, 0.0, 0) for pid in range(100)]
tables = st.dictionaries(st.integers(0, 99), st.integers(0, 2), min_size=1).map(
    lambda memory: {
        pid: Row(lives[pid], Who("a"), "S", 1, size, 0, None) for pid, size in memory.items()
    }
)


@given(st.lists(tables))
def test_a_roster_holds_the_table_that_it_was_made_of(given_tables: list[dict[int, Row]]) -> None:
    """Whatever came before it, and whatever comes after."""
    rosters = Rosters()
    made = [(rosters(dict(table)), table) for table in given_tables]
    assert [roster.table() for roster, _ in made] == [table for _, table in made]


def test_rosters_share_what_is_the_same() -> None:
    """Until too much is different."""
    rosters = Rosters()
    table = {pid: Row(life, Who("a"), "S", 1, 1, 0, None) for pid, life in enumerate(lives)}
    first = rosters(dict(table))
    for pid in range(DIFFERENT_MIN - 1):
        table[pid] = table[pid]._replace(memory=2)
    del table[99]
    second = rosters(dict(table))
    assert second.shared is first.shared
    assert (len(second.own), second.gone) == (DIFFERENT_MIN - 1, (99,))
    assert second.table() == table
    del table[98]
    third = rosters(dict(table))
    assert third.shared is not first.shared
    assert (third.own, third.gone) == ((), ())
