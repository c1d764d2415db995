"""File systems and their room: which are told of, how they add up, and those that hang."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from app.sources.devices.mounts import Mounts, parse
from app.sources.devices.prober import DEADLINE_S, Prober
from app.sources.devices.space import Blocks
from app.sources.devices.volumes import (
    EVERY_S,
    GONE_S,
    Volume,
    VolumeReading,
    Volumes,
    VolumesSample,
    render_volumes,
    volumes,
)
from schema.devices import DiskVolume, VolumeStatus
from tests.fuse import BLOCK, STATFS, fuse_mount
from tests.manual_clock import ManualClock
from tests.test_prober import PATIENCE_S, children, none_left

# What other programs may take or give back between two looks at a shared machine, in bytes.
STIR = 256 * 2**20
ROOT = "22 1 254:0 / / rw - ext4 /dev/vda1 rw"


def line(
    number: int,
    path: str,
    fs_type: str,
    source: str,
    *,
    device: str | None = None,
    root: str = "/",
    options: str = "rw",
    parent: int = 22,
) -> str:
    """Make a line of the table of mounts; without a device it is a file system without one."""
    head = f"{number} {parent} {device or f'0:{number}'} {root} {path} {options}"
    return f"{head} - {fs_type} {source} rw"


def table(*lines: str) -> Mounts:
    return Mounts.of(parse("\n".join(lines)))


def listed(*lines: str, remote: bool = False) -> dict[str, Volume]:
    """Give the file systems of a table, by their ids; the root's is there already."""
    return {volume.id: volume for volume in volumes(table(ROOT, *lines), remote=remote)}


# ---- against the machine


@pytest.mark.external("df")
def test_they_are_what_df_says() -> None:
    """Each figure, and each of its places."""
    found = render_volumes(Volumes()())
    assert any("/" in volume.mounts for volume in found)
    for volume in found:
        if volume.status is not VolumeStatus.OK:
            continue
        for path in volume.mounts[:3]:
            shown = df("source,fstype,size,used,avail,iused,itotal", path)
            total, used, free, inodes_used, inodes = map(int, shown[2:])
            assert volume.fs_type == shown[1]
            assert volume.total == total
            assert volume.used == pytest.approx(used, abs=STIR)
            assert volume.free == pytest.approx(free, abs=STIR)
            assert volume.usage == pytest.approx(100 * used / (used + free), abs=1)
            if inodes:
                assert volume.inodes_usage == pytest.approx(100 * inodes_used / inodes, abs=1)


def df(columns: str, path: str) -> list[str]:
    """Give one line of df's, in bytes and without percent signs."""
    return (
        subprocess.run(
            ["df", "-B1", f"--output={columns}", path],
            capture_output=True,
            check=True,
            text=True,
            timeout=10,
        )
        .stdout.splitlines()[1]
        .split()
    )


@pytest.mark.external("mkfs.ext4")
@pytest.mark.external("mount")
def test_a_file_system_that_is_mounted_twice_is_one_and_adds_up(tmp_path: Path) -> None:
    """A real one, on a loop device, with a tenth of it reserved for root."""
    image, first, second = (tmp_path / name for name in ("image", "first", "second"))
    with image.open("wb") as file:
        file.truncate(2**24)
    subprocess.run(["mkfs.ext4", "-q", "-m", "10", image], check=True, timeout=20)
    read = Volumes()
    with mounted("loop", image, first), mounted("bind", first, second):
        (volume,) = (told for told in render_volumes(read()) if str(first) in told.mounts)
        total, used, free = map(int, df("size,used,avail", str(first)))
        assert volume.mounts == [str(first), str(second)]
        assert (volume.total, volume.used, volume.free) == (total, used, free)
        assert volume.reserved == total - used - free
        assert volume.reserved == pytest.approx(2**24 / 10, rel=0.3)
    (gone,) = (told for told in render_volumes(read()) if told.id == volume.id)
    assert (gone.status, gone.total) == (VolumeStatus.GONE, total)


@contextmanager
def mounted(how: str, what: Path, path: Path) -> Iterator[None]:
    """Mount something at a new folder; skip the test where that is not allowed."""
    path.mkdir()
    command = ["mount", "-o", how, str(what), str(path)]
    made = subprocess.run(command, capture_output=True, check=False, text=True, timeout=20)
    if made.returncode:
        pytest.skip(f"needs root to mount: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True, timeout=20)


# ---- which are told of


def test_what_lies_on_a_device_is_told_of() -> None:
    """By the device's number, read-only if nothing of it can be written."""
    found = listed(line(30, "/cd", "vfat", "/dev/sdb1", device="8:17", options="ro"))
    assert found["8:17"] == Volume(
        id="8:17",
        device="/dev/sdb1",
        fs_type="vfat",
        mounts=("/cd",),
        read_only=True,
        remote=False,
        paths=("/cd",),
    )
    assert not found["254:0"].read_only


@pytest.mark.parametrize(
    ("fs_type", "source", "device"),
    [
        ("tmpfs", "tmpfs", None),
        ("proc", "proc", None),
        ("overlay", "overlay", None),
        ("cgroup2", "cgroup2", None),
        ("autofs", "/dev/odd", None),
        ("devtmpfs", "udev", None),
        ("squashfs", "/dev/loop1", "7:1"),
        ("iso9660", "/dev/sr0", "11:0"),
        ("fuse.lxcfs", "lxcfs", None),
        ("fuse.snapfuse", "snapfuse", None),
        ("nfs4", "server:/", None),
        ("virtiofs", "share", None),
        ("zfs", "tank/home@monday", None),
    ],
)
def test_what_lies_on_no_disk_of_this_machine_is_not(
    fs_type: str, source: str, device: str | None
) -> None:
    """Nor an image, which is always full."""
    assert list(listed(line(30, "/mnt", fs_type, source, device=device))) == ["254:0"]


@pytest.mark.parametrize(
    ("fs_type", "source", "remote"),
    [
        ("nfs4", "server:/", True),
        ("cifs", "//server/share", True),
        ("fuse.sshfs", "me@server:", True),
        ("fuse.mergerfs", "pool", False),
    ],
)
def test_other_machines_and_programs_are_told_of_on_request(
    fs_type: str, source: str, *, remote: bool
) -> None:
    """And only then."""
    found = listed(line(30, "/mnt", fs_type, source), remote=True)
    assert found["0:30"].remote is remote
    assert "0:30" not in listed(line(30, "/mnt", fs_type, source))


def test_not_everything_without_a_disk_is_told_of_on_request() -> None:
    """What starts other mounts is no file system."""
    assert list(listed(line(30, "/net", "autofs", "ldap:hosts"), remote=True)) == ["254:0"]


def test_a_program_on_a_device_is_told_of() -> None:
    """A stick with NTFS is a disk to whoever put it in, though a program reads it."""
    found = listed(line(30, "/stick", "fuseblk", "/dev/sdb1", device="8:17"))
    assert found["8:17"].device == "/dev/sdb1"


@pytest.mark.parametrize("fs_type", ["overlay", "tmpfs", "squashfs", "fuse.fuse-overlayfs"])
def test_the_root_is_told_of_whatever_it_is(fs_type: str) -> None:
    """In a container, or on a system that was started from an image."""
    (volume,) = volumes(table(f"22 1 0:40 / / rw - {fs_type} odd rw"), remote=False)
    assert (volume.id, volume.mounts) == ("0:40", ("/",))


@pytest.mark.parametrize("remote", [False, True])
def test_a_root_on_another_machine_is_told_of_on_request(*, remote: bool) -> None:
    """Like any other."""
    found = volumes(table("22 1 0:40 / / rw - nfs server:/ rw"), remote=remote)
    assert [volume.id for volume in found] == ["0:40"] * remote


# ---- one for each, however often it is mounted


def test_all_mounts_of_a_device_are_one() -> None:
    """Bind mounts and subvolumes; what one may write is not read-only."""
    found = listed(
        line(30, "/b", "btrfs", "/dev/sdb", device="0:50", root="/sub", options="ro"),
        line(31, "/a/long/way", "btrfs", "/dev/sdb", device="0:50"),
        line(32, "/etc/hosts", "ext4", "/dev/vda1", device="254:0", root="/etc/hosts"),
    )
    assert found["0:50"].mounts == ("/a/long/way", "/b")
    assert found["0:50"].paths == ("/a/long/way",)
    assert not found["0:50"].read_only
    assert (found["254:0"].mounts, found["254:0"].paths) == (("/", "/etc/hosts"), ("/",))


def test_the_datasets_of_a_pool_are_one() -> None:
    """Each has to be asked, as each tells only what it uses itself."""
    found = listed(
        line(30, "/tank", "zfs", "tank"),
        line(31, "/tank/home", "zfs", "tank/home", parent=30),
        line(32, "/mnt", "zfs", "tank/home", device="0:31"),
    )
    assert found["tank"].device == "tank"
    assert found["tank"].mounts == ("/mnt", "/tank", "/tank/home")
    assert found["tank"].paths == ("/mnt", "/tank")


def test_a_file_system_is_asked_where_nothing_hangs() -> None:
    """If there is such a place."""
    found = listed(
        line(30, "/m", "nfs", "server:/"),
        line(31, "/m/x", "ext4", "/dev/sdb", device="8:16", parent=30),
        line(32, "/mnt/longer", "ext4", "/dev/sdb", device="8:16", root="/part"),
    )
    assert found["8:16"].paths == ("/mnt/longer",)


# ---- reading them


@define(eq=False)
class Machine:
    """Mounts and answers that a test makes; ``asked`` are the paths that were asked."""

    mounts: Mounts = field(factory=lambda: table(ROOT))
    clock: ManualClock = field(factory=ManualClock)
    told: dict[str, Blocks | OSError] = field(factory=dict)
    asked: list[str] = field(factory=list)

    def read(self, path: str) -> Blocks:
        self.asked.append(path)
        told = self.told.get(path, Blocks(1000, 100, 40, 30, 10, 5))
        if isinstance(told, OSError):
            raise told
        return told

    def volumes(self, prober: Prober | None = None, *, remote: bool = False) -> Volumes:
        now = self.clock.clock.monotonic
        return Volumes(remote, lambda: self.mounts, prober or Prober(now), self.read, now)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_file_system_is_told_as_df_reckons_it(machine: Machine) -> None:
    """Used, free and reserved are the total; usage is of what a user may have."""
    assert render_volumes(machine.volumes()()) == [
        DiskVolume(
            id="254:0",
            device="/dev/vda1",
            fs_type="ext4",
            mounts=["/"],
            total=100_000,
            used=60_000,
            free=30_000,
            reserved=10_000,
            usage=66.67,
            inodes_usage=50.0,
            read_only=False,
            remote=False,
            status=VolumeStatus.OK,
            age_ms=0,
        )
    ]


def test_they_are_read_every_ten_seconds(machine: Machine) -> None:
    """In between they age, and samples share what is known."""
    read = machine.volumes()
    first = read()
    machine.clock.now += EVERY_S - 1
    second = read()
    assert second.readings is first.readings
    assert [volume.age_ms for volume in render_volumes(second)] == [9000]
    machine.clock.now += 1
    assert [volume.age_ms for volume in render_volumes(read())] == [0]
    assert machine.asked == ["/", "/"]


def test_a_new_mount_is_read_at_once(machine: Machine) -> None:
    """And the others are not read for it."""
    read = machine.volumes()
    read()
    machine.mounts = table(ROOT, line(30, "/mnt", "xfs", "/dev/sdb", device="8:16"))
    assert [volume.id for volume in render_volumes(read())] == ["254:0", "8:16"]
    assert machine.asked == ["/", "/mnt"]


def test_what_cannot_be_read_keeps_its_last_figures(machine: Machine) -> None:
    """And says so; without any there are no figures."""
    machine.mounts = table(ROOT, line(30, "/mnt", "xfs", "/dev/sdb", device="8:16"))
    machine.told["/mnt"] = PermissionError("no")
    read = machine.volumes()
    good, bad = render_volumes(read())
    assert (bad.status, bad.total, bad.usage, bad.age_ms) == (VolumeStatus.ERROR, None, None, None)
    machine.told["/"] = OSError("input/output error")
    machine.clock.now += EVERY_S
    failed, _ = render_volumes(read())
    assert failed == evolve(good, status=VolumeStatus.ERROR, age_ms=10_000)


def test_what_is_no_longer_mounted_is_told_for_a_minute(machine: Machine) -> None:
    """Every client hears of it, whatever its interval; then it is forgotten."""
    both = table(ROOT, line(30, "/mnt", "xfs", "/dev/sdb", device="8:16"))
    machine.mounts = both
    read = machine.volumes()
    read()
    machine.mounts = table(ROOT)
    for _ in range(int(GONE_S)):
        there, gone = render_volumes(read())
        assert (there.status, gone.status) == (VolumeStatus.OK, VolumeStatus.GONE)
        assert gone.total == 100_000
        machine.clock.now += 1
    assert [volume.id for volume in render_volumes(read())] == ["254:0"]
    machine.mounts = both
    assert [volume.status for volume in render_volumes(read())] == [VolumeStatus.OK] * 2


def test_one_that_comes_back_within_the_minute_is_there_once(machine: Machine) -> None:
    """With fresh figures."""
    both = table(ROOT, line(30, "/mnt", "xfs", "/dev/sdb", device="8:16"))
    read = machine.volumes()
    seen = []
    for machine.mounts in (both, table(ROOT), both):
        machine.clock.now += 1
        _, *others = render_volumes(read())
        seen += [(volume.id, volume.status, volume.age_ms) for volume in others]
    assert seen == [
        ("8:16", VolumeStatus.OK, 0),
        ("8:16", VolumeStatus.GONE, 1000),
        ("8:16", VolumeStatus.OK, 0),
    ]


def test_a_pool_is_the_sum_of_what_its_datasets_use(machine: Machine) -> None:
    """And has free what the one without a quota has free; its inodes are not counted."""
    machine.mounts = table(
        ROOT, line(30, "/tank", "zfs", "tank"), line(31, "/tank/a", "zfs", "tank/a", parent=30)
    )
    machine.told["/tank"] = Blocks(1000, 100, 80, 80, 500, 400)
    machine.told["/tank/a"] = Blocks(1000, 40, 10, 10, 500, 400)
    _, pool = render_volumes(machine.volumes()())
    assert (pool.total, pool.used, pool.free, pool.reserved) == (130_000, 50_000, 80_000, 0)
    assert (pool.usage, pool.inodes_usage) == (38.46, None)


def test_inodes_are_not_known_where_their_number_is_not_fixed(machine: Machine) -> None:
    """Which Btrfs tells by a 0, as others may."""
    machine.told["/"] = Blocks(1000, 100, 40, 30, 0, 0)
    assert render_volumes(machine.volumes()())[0].inodes_usage is None


def test_what_has_no_size_is_not_told(machine: Machine) -> None:
    """As df leaves it out."""
    machine.told["/"] = Blocks(4096, 0, 0, 0, 0, 0)
    assert render_volumes(machine.volumes()()) == []


def test_a_name_that_is_no_text_is_told_as_far_as_it_is() -> None:
    """JSON has no room for bytes."""
    volume = Volume("8:1", "/dev/\udcff", "ext4", ("/\udce4",), False, False, ())  # noqa: FBT003
    sample = VolumesSample(0.0, (VolumeReading(volume, VolumeStatus.OK, None, None),))
    (told,) = render_volumes(sample)
    assert (told.device, told.mounts) == ("/dev/\N{REPLACEMENT CHARACTER}", ["/\ufffd"])


def test_a_sample_that_failed_tells_of_none() -> None:
    """There is an error beside it that says so."""
    assert render_volumes(None) == []


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.builds(Blocks, st.sampled_from([512, 4096]), *[st.integers(0, 2**64 - 1)] * 5),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_answers_give_physical_figures_or_none(stream: list[Blocks | None]) -> None:
    """The parts are the whole, and percentages are some."""
    machine = Machine()
    read = machine.volumes()
    for told in stream:
        machine.told["/"] = OSError("no") if told is None else told
        for volume in render_volumes(read()):
            parts = (volume.used, volume.free, volume.reserved)
            assert (volume.total is None) == (None in parts)
            assert volume.total == sum(part or 0 for part in parts) or volume.total is None
            assert volume.usage is None or 0 <= volume.usage <= 100
            assert volume.inodes_usage is None or 0 <= volume.inodes_usage <= 100
        machine.clock.now += EVERY_S


# ---- what may hang


@pytest.fixture
def prober(machine: Machine) -> Iterator[Prober]:
    prober = Prober(machine.clock.clock.monotonic)
    yield prober
    prober._end()


def test_one_that_hangs_is_told_with_its_age_and_the_others_go_on(
    machine: Machine, prober: Prober, tmp_path: Path
) -> None:
    """Until it answers again; in all that time it was asked once."""
    with fuse_mount(tmp_path / "mount") as mount:
        machine.mounts = table(ROOT, line(30, str(mount.path), "fuse.test", "test"))
        read = machine.volumes(prober, remote=True)
        pending = render_volumes(read())[0]
        assert (pending.status, pending.total, pending.age_ms) == (VolumeStatus.OK, None, None)
        assert prober.wait(PATIENCE_S)
        good, other = render_volumes(read())
        assert good.total == BLOCK * STATFS[0]
        assert (good.usage, good.inodes_usage, good.status) == (44.44, 25.0, VolumeStatus.OK)
        mount.hang()
        machine.clock.now += EVERY_S
        assert read().readings[0].status is VolumeStatus.OK
        assert mount.asked(2)
        machine.clock.now += DEADLINE_S
        for age in range(11_000, 41_000, 1000):
            hung, fresh = render_volumes(read())
            assert hung == evolve(good, status=VolumeStatus.TIMEOUT, age_ms=age)
            assert fresh.age_ms is not None
            assert fresh.age_ms < EVERY_S * 1000
            machine.clock.now += 1
        assert (mount.questions, len(children())) == (2, 1)
        mount.answer()
        assert prober.wait(PATIENCE_S)
        assert render_volumes(read()) == [good, evolve(other, age_ms=1000)]


def test_one_that_hangs_and_is_unmounted_leaves_nothing(
    machine: Machine, prober: Prober, tmp_path: Path
) -> None:
    """No process, and no thread in it."""
    with fuse_mount(tmp_path / "mount") as mount:
        machine.mounts = table(ROOT, line(30, str(mount.path), "fuse.test", "test"))
        read = machine.volumes(prober, remote=True)
        mount.hang()
        read()
        assert mount.asked(1)
        machine.mounts = table(ROOT)
        assert [reading.status for reading in read().readings] == [
            VolumeStatus.OK,
            VolumeStatus.GONE,
        ]
        assert prober._helper is None
    assert none_left()


def test_a_disk_beneath_what_may_hang_is_asked_by_the_prober(
    machine: Machine, prober: Prober
) -> None:
    """As the way to it may hang; and no longer when that is gone."""
    deep = line(31, "/proc/self", "ext4", "/dev/sdb", device="8:16", parent=30)
    machine.mounts = table(ROOT, line(30, "/proc", "nfs", "server:/"), deep)
    read = machine.volumes(prober)
    read()
    assert machine.asked == ["/"]
    assert prober.wait(PATIENCE_S)
    assert [volume.id for volume in render_volumes(read())] == ["254:0"]  # of no size
    machine.mounts = table(ROOT, deep.replace("31 30", "31 22"))
    read()
    assert machine.asked == ["/", "/proc/self"]
    assert none_left()
