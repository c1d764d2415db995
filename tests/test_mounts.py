"""The table of mounts, as made-up machines have it, and this one."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.devices.mounts import ELSEWHERE_S, Mount, Mounts, MountTable, parse
from tests.fuse import MNT_DETACH, mount_or_skip
from tests.manual_clock import ManualClock

ROOT = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw"


def mounts(*lines: str) -> Mounts:
    """Make the mounts of a table; the root is there already."""
    return Mounts.of(parse("\n".join((ROOT, *lines, ""))))


def line(number: int, path: str, fs_type: str, source: str, *, parent: int = 22) -> str:
    return f"{number} {parent} 0:{number} / {path} rw - {fs_type} {source} rw"


# ---- reading the table


def test_a_line_is_read_with_and_without_optional_fields() -> None:
    """As proc(5) has it."""
    assert parse(
        f"{ROOT}\n36 22 8:2 /sub /mnt\\040point ro,noatime shared:2 master:1 - btrfs /dev/sdb rw\n"
    ) == [
        Mount(22, 1, "254:0", "/", "/", "ext4", "/dev/vda1", read_only=False),
        Mount(36, 22, "8:2", "/sub", "/mnt point", "btrfs", "/dev/sdb", read_only=True),
    ]


def test_what_no_option_of_the_mount_forbids_the_file_system_may() -> None:
    """After an error it is read-only by itself."""
    (mount,) = parse("36 22 8:2 / /mnt rw - ext4 /dev/sdb ro,errors=remount-ro")
    assert mount.read_only


def test_odd_names_are_read() -> None:
    """Escaped ones, and a source that is empty."""
    spaced, empty = parse(
        "36 22 8:2 / /a\\011b\\012c\\134d rw - ext4 /dev/disk\\040one rw\n"
        "37 22 0:3 / /e rw - tmpfs  rw"
    )
    assert (spaced.path, spaced.source) == ("/a\tb\nc\\d", "/dev/disk one")
    assert (empty.fs_type, empty.source) == ("tmpfs", "")


NAMES = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=5)


@given(NAMES)
def test_any_name_is_read_as_it_was_written(name: str) -> None:
    """The kernel escapes four characters of it."""
    escaped = "".join(f"\\{ord(sign):03o}" if sign in " \t\n\\" else sign for sign in name)
    (mount,) = parse(f"36 22 8:2 / /{escaped} rw - ext4 /dev/sdb rw")
    assert mount.path == f"/{name}"


# ---- what can be reached


def test_what_was_mounted_over_is_left_out() -> None:
    """At its own place, and together with what is mounted above it."""
    found = mounts(
        line(30, "/mnt", "ext4", "/dev/sda"),
        line(31, "/mnt/deep", "ext4", "/dev/sdb", parent=30),
        line(32, "/mnt/deep/deeper", "ext4", "/dev/sdc", parent=31),
        line(33, "/mnt", "ext4", "/dev/sdd", parent=30),
        line(34, "/mnt/deep", "ext4", "/dev/sde", parent=33),
        line(35, "/mnt/deep", "ext4", "/dev/sdf", parent=34),
    )
    assert {path: mount.source for path, mount in found.by_path.items()} == {
        "/": "/dev/vda1",
        "/mnt": "/dev/sdd",
        "/mnt/deep": "/dev/sdf",
    }


def test_a_mount_over_a_directory_above_hides() -> None:
    """Which was there before it was hidden."""
    found = mounts(line(30, "/srv/data", "ext4", "/dev/sda"), line(31, "/srv", "ext4", "/dev/sdb"))
    assert sorted(found.by_path) == ["/", "/srv"]


def test_a_root_over_a_root_is_reached() -> None:
    """As after the start from a file system in memory."""
    table = "1 0 0:2 / / rw - rootfs rootfs rw\n22 1 254:0 / / rw - ext4 /dev/vda1 rw\n"
    assert Mounts.of(parse(table)).by_path["/"].source == "/dev/vda1"


def test_the_holder_of_a_path_is_the_nearest_mount_above() -> None:
    """By whole names."""
    found = mounts(line(30, "/mnt", "ext4", "/dev/sda"))
    for path, number in [("/", 22), ("/mnt", 30), ("/mnt/a/b", 30), ("/mnt2/a", 22)]:
        holder = found.holder(path)
        assert holder is not None
        assert holder.mount_id == number
    assert Mounts({}).holder("/mnt") is None


# ---- what may hang


@pytest.mark.parametrize(
    ("fs_type", "source", "remote", "risky"),
    [
        ("ext4", "/dev/sda1", False, False),
        ("bcachefs", "/dev/sda:/dev/sdb", False, False),
        ("zfs", "pool/data", False, False),
        ("overlay", "overlay", False, False),
        ("nfs4", "server:/export", True, True),
        ("nfs", "[fe80::1]:/export", True, True),
        ("cifs", "//server/share", True, True),
        ("9p", "share", True, True),
        ("odd", "server:/share", True, True),
        ("fuse.sshfs", "me@server:/home", True, True),
        ("fuse.rclone", "drive:", True, True),
        ("fuse.mergerfs", "1:2", True, True),
        ("fuse", "pulsewire", False, True),
        ("fuseblk", "/dev/sdb1", False, True),
        ("autofs", "systemd-1", False, True),
    ],
)
def test_another_machine_and_a_program_may_not_answer(
    fs_type: str, source: str, *, remote: bool, risky: bool
) -> None:
    """A disk of this machine does."""
    (mount,) = parse(line(30, "/mnt", fs_type, source))
    assert (mount.remote, mount.risky) == (remote, risky)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name in ("plain", "hung/deep", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def with_hung(folders: Path) -> Mounts:
    """Make mounts of which one may hang, and one lies in it."""
    return mounts(
        line(30, str(folders / "hung"), "nfs", "server:/"),
        line(31, str(folders / "hung" / "deep"), "ext4", "/dev/sdb", parent=30),
    )


def test_a_path_is_risky_if_something_on_the_way_to_it_is(folders: Path) -> None:
    """Even if it lies on a disk again in the end."""
    found = with_hung(folders)
    for path, risky in [
        ("/", False),
        ("plain", False),
        ("plain/none/at/all", False),
        ("hung", True),
        ("hung/a", True),
        ("hung/deep/a", True),
        ("plain/../hung", True),
        ("plain/../../../..", False),
        ("hung2", False),
    ]:
        assert found.risky(str(folders / path)) is risky


def test_a_link_into_what_is_risky_is(folders: Path) -> None:
    """However it gets there; and one out of it is too, as it has to be read there."""
    (folders / "plain" / "absolute").symlink_to(folders / "hung")
    (folders / "plain" / "relative").symlink_to("../hung/a")
    (folders / "plain" / "chain").symlink_to("absolute/b")
    (folders / "plain" / "harmless").symlink_to("/")
    found = with_hung(folders)
    for name, risky in [("absolute", True), ("relative", True), ("chain/c", True)]:
        assert found.risky(str(folders / "plain" / name)) is risky
    assert not found.risky(str(folders / "plain" / "harmless"))


def test_links_in_a_circle_lead_nowhere(folders: Path) -> None:
    """The system refuses them too."""
    (folders / "plain" / "a").symlink_to("b")
    (folders / "plain" / "b").symlink_to("a")
    assert not with_hung(folders).risky(str(folders / "plain" / "a"))


def test_nothing_risky_is_touched_to_find_out(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would hang."""
    read: list[str] = []

    def readlink(path: Path) -> Path:
        read.append(str(path))
        raise OSError

    monkeypatch.setattr(Path, "readlink", readlink)
    assert with_hung(folders).risky(str(folders / "hung" / "deep" / "a"))
    assert read
    assert not any(path.startswith(str(folders / "hung")) for path in read)


# ---- the machine's table


def test_the_machines_table_is_read() -> None:
    """As the system itself has it."""
    found = MountTable()()
    assert "/" in found.by_path
    shown = {partition.mountpoint for partition in psutil.disk_partitions(all=True)}
    assert set(found.by_path) <= shown


LATE_LOOK = """
import atexit
from app.sources.devices.mounts import MountTable

table = MountTable()
atexit.register(lambda: print(len(table._read())))  # the first to come is the last to be run
table()
"""


def test_a_look_that_is_under_way_when_the_process_ends_can_be_finished() -> None:
    """A source's thread is not waited for, and must not complain meanwhile."""
    done = subprocess.run(
        [sys.executable, "-c", LATE_LOOK],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parent.parent,
        text=True,
    )
    assert int(done.stdout) > 0
    assert done.stderr == ""


def test_a_mount_and_its_end_are_noticed(tmp_path: Path) -> None:
    """And as long as nothing changes, it is the same object."""
    table = MountTable()
    before = table()
    assert table() is before
    with tmpfs(tmp_path):
        during = table()
        assert str(tmp_path) in during.by_path
        assert table() is during
    assert str(tmp_path) not in table().by_path


@contextmanager
def tmpfs(path: Path) -> Iterator[None]:
    mount_or_skip("tmpfs", path, "tmpfs", "size=1m")
    try:
        yield
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(path), MNT_DETACH)


def test_a_table_that_changed_to_the_same_is_the_same(tmp_path: Path) -> None:
    """What is made of it need not be made anew."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "mountinfo").write_text(ROOT + "\n")
    table = MountTable(tmp_path)
    before = table()
    table._changes = SimpleNamespace(poll=lambda _: [(0, 0)])  # type: ignore[assignment]
    assert table() is before


def test_elsewhere_psutil_is_asked_every_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no such table."""
    clock = ManualClock()
    shown = [SimpleNamespace(device="/dev/disk1", mountpoint="/", fstype="apfs", opts="ro,local")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: list(shown))
    table = MountTable(tmp_path, clock.clock.monotonic)
    before = table()
    assert before.by_path == {
        "/": Mount(0, -1, "/dev/disk1", "/", "/", "apfs", "/dev/disk1", read_only=True)
    }
    shown.clear()
    assert table() is before
    clock.now += ELSEWHERE_S
    assert table().by_path == {}
