"""Control groups of all kinds, as trees of files: where the process is, and what bounds it."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import define

from app.sources.groups.cgroup import ControlGroups, Group, Version
from app.sources.groups.limits import (
    CpuLimit,
    CpuLimitStat,
    MemoryLimit,
    MemoryLimitStat,
    render_throttled,
)

GIB = 2**30
TOTAL = 8 * GIB
UNLIMITED = str(2**63 - 4096)  # of memory, in version 1


@define
class Tree:
    """A machine's files below a directory, as one process sees them."""

    root: Path
    now: float = 0.0

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def process(self, cgroup: str, mountinfo: str) -> None:
        self.write({"proc/self/cgroup": cgroup, "proc/self/mountinfo": mountinfo})

    @property
    def groups(self) -> ControlGroups:
        return ControlGroups(self.root)

    def cpu(self) -> CpuLimit | None:
        return CpuLimitStat(self.groups, lambda: self.now)()

    def memory(self) -> MemoryLimit | None:
        return MemoryLimitStat(self.groups, lambda: self.now)(TOTAL)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def v1(controller: str, root: str = "/") -> str:
    """Give the line of a mounted controller of version 1."""
    point = f"/sys/fs/cgroup/{controller}"
    return f"33 31 0:30 {root} {point} rw,nosuid - cgroup cgroup rw,{controller}\n"


def v2(root: str = "/", point: str = "/sys/fs/cgroup") -> str:
    """Give the line of the mounted tree of version 2."""
    return f"29 23 0:26 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"


def v1_files(path: str, **changes: str) -> dict[str, str]:
    """Give the files of one group of version 1, without limits unless they are changed."""
    values = {"quota": "-1", "period": "100000", "limit": UNLIMITED, "usage": str(GIB)} | changes
    cpu, memory = (f"sys/fs/cgroup/{name}{path}" for name in ("cpu,cpuacct", "memory"))
    return {
        f"{cpu}/cpu.cfs_quota_us": f"{values['quota']}\n",
        f"{cpu}/cpu.cfs_period_us": f"{values['period']}\n",
        f"{cpu}/cpu.stat": "nr_periods 100\nnr_throttled 25\nthrottled_time 7\n",
        f"{memory}/memory.limit_in_bytes": f"{values['limit']}\n",
        f"{memory}/memory.usage_in_bytes": f"{values['usage']}\n",
        f"{memory}/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB // 4}\n",
    }


def v2_files(path: str, **changes: str) -> dict[str, str]:
    """Give the files of one group of version 2, without limits unless they are changed."""
    values = {"cpu": "max 100000", "limit": "max", "usage": str(GIB)} | changes
    folder = f"sys/fs/cgroup{path}"
    return {
        f"{folder}/cpu.max": f"{values['cpu']}\n",
        f"{folder}/cpu.stat": "usage_usec 9\nnr_periods 100\nnr_throttled 25\n",
        f"{folder}/memory.max": f"{values['limit']}\n",
        f"{folder}/memory.current": f"{values['usage']}\n",
        f"{folder}/memory.stat": f"anon 7\ninactive_file {GIB // 4}\n",
    }


V1_MOUNTS = v1("cpu,cpuacct") + v1("memory")


def test_a_service_on_a_host_of_version_1(tree: Tree) -> None:
    """The tightest limit on the way up counts, and what that group uses."""
    tree.process(
        "5:memory:/system.slice/web\n4:cpu,cpuacct:/system.slice/web\n0::/x\n", V1_MOUNTS + v2()
    )
    tree.write(v1_files(""))
    tree.write(v1_files("/system.slice", quota="150000", limit=str(4 * GIB), usage=str(3 * GIB)))
    tree.write(v1_files("/system.slice/web", quota="400000", limit=str(6 * GIB)))
    assert tree.memory() == MemoryLimit(4 * GIB, 3 * GIB - GIB // 4)
    limit = tree.cpu()
    assert limit is not None
    assert limit.cores == 1.5


def test_a_service_on_a_host_of_version_2(tree: Tree) -> None:
    """The root has no files of limits."""
    tree.process("0::/system.slice/web\n", v2())
    tree.write({"sys/fs/cgroup/cpu.stat": "usage_usec 9\n"})
    tree.write(v2_files("/system.slice", limit=str(4 * GIB)))
    tree.write(v2_files("/system.slice/web", cpu="50000 100000", limit=str(GIB)))
    assert tree.memory() == MemoryLimit(GIB, GIB - GIB // 4)
    limit = tree.cpu()
    assert limit is not None
    assert limit.cores == 0.5


def test_of_equal_limits_the_outermost_counts(tree: Tree) -> None:
    """It holds the most, and so comes to its limit first."""
    tree.process("0::/a/b\n", v2())
    tree.write(v2_files("/a", limit=str(4 * GIB), usage=str(3 * GIB)))
    tree.write(v2_files("/a/b", limit=str(4 * GIB)))
    assert tree.memory() == MemoryLimit(4 * GIB, 3 * GIB - GIB // 4)


def test_a_container_of_version_1(tree: Tree) -> None:
    """Its own group is mounted where the host has the root."""
    own = "/docker/4c01db0b339c"
    tree.process(
        f"5:memory:{own}\n4:cpu,cpuacct:{own}\n", v1("cpu,cpuacct", own) + v1("memory", own)
    )
    tree.write(v1_files("", quota="50000", limit=str(GIB)))
    assert tree.memory() == MemoryLimit(GIB, GIB - GIB // 4)
    limit = tree.cpu()
    assert limit is not None
    assert limit.cores == 0.5


@pytest.mark.parametrize(
    ("own", "root"), [("/", "/"), ("/", "/../.."), ("/../other", "/"), ("/docker/4c01", "/")]
)
def test_a_container_of_version_2(tree: Tree, own: str, root: str) -> None:
    """In a namespace of its own; what cannot be told apart is what is mounted."""
    tree.process(f"0::{own}\n", v2(root))
    tree.write(v2_files("", cpu="25000 100000", limit=str(GIB)))
    assert tree.memory() == MemoryLimit(GIB, GIB - GIB // 4)
    limit = tree.cpu()
    assert limit is not None
    assert limit.cores == 0.25


def test_a_container_of_lxc(tree: Tree) -> None:
    """Its total is the limit already, as lxcfs shows it."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("", limit=str(TOTAL)))
    assert tree.memory() is None


@pytest.mark.parametrize("version", [1, 2])
def test_without_a_limit_there_is_none(tree: Tree, version: int) -> None:
    """However that is said."""
    if version == 1:
        tree.process("5:memory:/a\n4:cpu,cpuacct:/a\n", V1_MOUNTS)
        tree.write(v1_files("") | v1_files("/a"))
    else:
        tree.process("0::/a\n", v2())
        tree.write(v2_files("") | v2_files("/a"))
    assert tree.cpu() is None
    assert tree.memory() is None


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [
        ("", ""),
        ("0::/\n", ""),
        ("5:memory:/a\n4:cpu:/a\n", v2()),
        ("5:memory:/a\n4:cpu:/a\n", v1("cpu") + v1("memory")),
        ("1:name=systemd:/\n", v1("systemd")),
    ],
)
def test_what_is_not_there_is_no_limit(tree: Tree, cgroup: str, mounts: str) -> None:
    """No control groups, none mounted, a tree that is not to be seen, or other controllers."""
    tree.process(cgroup, mounts)
    assert tree.groups.of("memory") == tree.groups.of("cpu") == []
    assert (tree.cpu(), tree.memory()) == (None, None)


def test_a_system_without_control_groups_has_no_limit(tree: Tree) -> None:
    """It has no such files at all."""
    assert (tree.cpu(), tree.memory()) == (None, None)


def test_a_tree_may_be_mounted_anywhere(tree: Tree) -> None:
    """Also where the name has a space; and in several places, of which one is seen."""
    point = "/mnt/all groups"
    tree.process("0::/a\n", v2(point="/gone") + v2(point=point.replace(" ", r"\040")))
    tree.write({f"{point[1:]}/a/memory.max": "1\n"})
    top = tree.root / point[1:]
    assert tree.groups.of("memory") == [
        Group(Version.TWO, top), Group(Version.TWO, top / "a")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("proc/self/cgroup", "memory\n", "cgroup: cannot be understood"),
        ("proc/self/mountinfo", "29 23\n", "mountinfo: cannot be understood"),
        ("sys/fs/cgroup/memory.max", "much\n", "memory.max: 'much'"),
        ("sys/fs/cgroup/memory.current", "much\n", "memory.current: 'much'"),
        ("sys/fs/cgroup/memory.stat", "inactive_file much\n", "memory.stat: 'much'"),
    ],
)
def test_nonsense_about_memory_names_the_file(
    tree: Tree, name: str, text: str, message: str
) -> None:
    """No limit is made of it, and none is left out."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("", limit=str(GIB)))
    tree.write({name: text})
    with pytest.raises(ValueError, match=message):
        tree.memory()


@pytest.mark.parametrize("text", ["much 100000\n", "50000 much\n", "50000 0\n", "50000\n", "\n"])
def test_nonsense_about_processors_names_the_file(tree: Tree, text: str) -> None:
    """A period of 0 too."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("") | {"sys/fs/cgroup/cpu.max": text})
    with pytest.raises(ValueError, match=r"cpu\.max: "):
        tree.cpu()


def test_the_throttled_share_is_of_the_windows_periods(tree: Tree) -> None:
    """0 if there were none; null without two counts of one life."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("", cpu="50000 100000"))
    stat = CpuLimitStat(tree.groups, lambda: tree.now)
    first, same = stat(), stat()
    tree.write({"sys/fs/cgroup/cpu.stat": "nr_periods 110\nnr_throttled 30\n"})
    more = stat()
    tree.write({"sys/fs/cgroup/cpu.stat": "nr_periods 5\nnr_throttled 5\n"})
    reset = stat()
    tree.write({"sys/fs/cgroup/cpu.stat": "usage_usec 9\n"})
    uncounted = stat()
    assert render_throttled(first, more) == 50.0
    assert render_throttled(first, same) == 0.0
    assert render_throttled(more, reset) is None
    assert render_throttled(reset, uncounted) is None
    assert render_throttled(None, more) is None
    assert render_throttled(more, None) is None
    assert uncounted is not None
    assert uncounted.cores == 0.5


def test_limits_are_looked_for_every_10_seconds(tree: Tree) -> None:
    """What is used of them every time."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("", limit=str(GIB)))
    stat = MemoryLimitStat(tree.groups, lambda: tree.now)
    told = []
    for tree.now in (0.0, 9.9, 10.0):
        told.append(stat(TOTAL))
        tree.write(v2_files("", limit=str(2 * GIB), usage=str(GIB // 2)))
    assert told == [
        MemoryLimit(GIB, GIB - GIB // 4),
        MemoryLimit(GIB, GIB // 4),
        MemoryLimit(2 * GIB, GIB // 4),
    ]


def test_a_process_that_is_moved_is_found_again(tree: Tree) -> None:
    """Once its old group has gone: told once, and looked for at the next reading."""
    tree.process("0::/a\n", v2())
    tree.write(v2_files("/a", limit=str(GIB)) | v2_files("/b", limit=str(2 * GIB)))
    stat = MemoryLimitStat(tree.groups, lambda: tree.now)
    assert stat(TOTAL) == MemoryLimit(GIB, GIB - GIB // 4)
    tree.process("0::/b\n", v2())
    for file in (tree.root / "sys/fs/cgroup/a").iterdir():
        file.unlink()
    with pytest.raises(FileNotFoundError, match="a: the control group is gone"):
        stat(TOTAL)
    assert stat(TOTAL) == MemoryLimit(2 * GIB, GIB - GIB // 4)


def test_more_cache_than_use_is_no_use(tree: Tree) -> None:
    """The two files are read one after the other."""
    tree.process("0::/\n", v2())
    tree.write(v2_files("", limit=str(GIB), usage="5"))
    assert tree.memory() == MemoryLimit(GIB, 0)
