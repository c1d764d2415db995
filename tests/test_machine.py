"""Plain questions to the machine, and machines that answer otherwise than this one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.core.source import Window
from app.sources.groups.machine import Machine
from app.sources.host import HostSource
from schema.fields import Detail
from schema.memory import MemoryScope
from schema.metrics import Full

LXCFS = "612 590 0:52 /proc/meminfo /proc/meminfo rw,nosuid - fuse.lxcfs lxcfs rw,user_id=0\n"
# As it is on a host that serves its containers.
SERVING = "61 31 0:52 / /var/lib/lxcfs rw,nosuid - fuse.lxcfs lxcfs rw,user_id=0\n"
ARCSTATS = "13 1 0x01 147 39984 2 3\nname type data\nhits 4 77\nsize 4 4096\nc_max 4 9\n"


def write(root: Path, name: str, text: str) -> None:
    file = root / "proc" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_physical_cores_are_no_more_than_the_logical_ones() -> None:
    """If the system tells of them."""
    machine = Machine()
    physical = machine.physical_cores()
    assert physical is None or 1 <= physical <= (psutil.cpu_count() or 1)


@pytest.mark.parametrize(
    ("shown", "frequency"),
    [(SimpleNamespace(current=2345.6), 2345.6), (SimpleNamespace(current=0.0), None), (None, None)],
)
def test_a_frequency_of_0_is_none(
    monkeypatch: pytest.MonkeyPatch, shown: object, frequency: float | None
) -> None:
    """The system does not know, or has no frequencies."""
    monkeypatch.setattr(psutil, "cpu_freq", lambda: shown)
    assert Machine().frequency() == frequency


def test_a_system_that_cannot_find_the_frequency_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no failure that would be told for ever."""

    def fail() -> None:
        raise NotImplementedError

    monkeypatch.setattr(psutil, "cpu_freq", fail)
    assert Machine().frequency() is None


@pytest.mark.parametrize(("mounts", "lxcfs"), [(LXCFS, True), (SERVING, False), ("", False)])
def test_a_container_of_lxc_is_known_by_its_file_of_memory(
    tmp_path: Path,
    mounts: str,
    lxcfs: bool,  # noqa: FBT001
) -> None:
    """That is what shows another total than the host's."""
    write(tmp_path, "self/mountinfo", mounts)
    assert Machine(root=tmp_path).lxcfs() is lxcfs


def test_the_cache_of_zfs_is_its_size(tmp_path: Path) -> None:
    """Nothing without ZFS; nonsense is an error."""
    machine = Machine(root=tmp_path)
    assert machine.zfs_arc() is None
    write(tmp_path, "spl/kstat/zfs/arcstats", ARCSTATS)
    assert machine.zfs_arc() == 4096
    for nonsense in ("", "name type data\n", "size 4 much\n"):
        write(tmp_path, "spl/kstat/zfs/arcstats", nonsense)
        with pytest.raises(ValueError, match="arcstats: "):
            machine.zfs_arc()


@pytest.mark.parametrize(
    ("mounts", "scope", "zfs_arc"),
    [("", MemoryScope.HOST, 4096), (LXCFS, MemoryScope.LXCFS, None)],
)
def test_in_lxc_the_cache_of_zfs_is_not_told(
    tmp_path: Path, mounts: str, scope: MemoryScope, zfs_arc: int | None
) -> None:
    """It is the host's, and is not in the container's total."""
    for name in ("stat", "meminfo", "vmstat", "uptime"):
        write(tmp_path, name, Path("/proc", name).read_text())
    write(tmp_path, "self/mountinfo", mounts)
    write(tmp_path, "spl/kstat/zfs/arcstats", ARCSTATS)
    source = HostSource(machine=Machine(root=tmp_path))
    full = source.render(Window([source.sample(), source.sample()], 1.0), Detail.FULL)
    assert isinstance(full, Full)
    assert (full.memory.scope, full.memory.zfs_arc) == (scope, zfs_arc)


def test_a_group_of_full_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    """Its keys are null, and `errors` tells of it; the sample is taken."""
    for name in ("stat", "meminfo", "uptime"):
        write(tmp_path, name, Path("/proc", name).read_text())
    write(tmp_path, "vmstat", "\npswpin much\n")
    write(tmp_path, "self/cgroup", "nonsense\n")
    source = HostSource(machine=Machine(root=tmp_path))
    full = source.render(Window([source.sample(), source.sample()], 1.0), Detail.FULL)
    assert isinstance(full, Full)
    told = {error.group: error.code for error in full.errors}
    assert told["swap"] == told["cpu.limitCores"] == told["memory.limit"] == "ValueError"
    assert full.swap is None
    assert full.memory.available is not None
    assert len(full.cpu.per_core) > 0
