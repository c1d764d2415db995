"""The file system of one path, also where it hangs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.sources.devices import diskpath
from app.sources.devices.diskpath import DiskPath
from app.sources.devices.mounts import MountTable
from app.sources.devices.prober import DEADLINE_S, Prober
from app.sources.devices.space import Blocks, DiskSpace
from tests.fuse import BLOCK, STATFS, fuse_mount
from tests.manual_clock import ManualClock
from tests.test_prober import PATIENCE_S, children, none_left


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def prober(clock: ManualClock) -> Iterator[Prober]:
    prober = Prober(clock.clock.monotonic)
    yield prober
    prober._end()


def told(path: Path) -> DiskSpace:
    return DiskSpace.of(str(path), Blocks(BLOCK, *STATFS))


def test_a_path_on_a_disk_is_read_directly(tmp_path: Path) -> None:
    """No process is needed for it."""
    read = DiskPath(str(tmp_path), read=lambda _: Blocks(1000, 10, 4, 3, 0, 0))
    assert read() == DiskSpace(str(tmp_path), 10_000, 6000, 3000)
    assert none_left()


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """And is read again the next time."""
    read = DiskPath(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        read()
    (tmp_path / "none").mkdir()
    assert read().total > 0


def test_a_path_that_may_hang_is_read_by_the_prober(prober: Prober, tmp_path: Path) -> None:
    """The first figures are waited for, so that there is a sample at the start."""
    with fuse_mount(tmp_path / "mount") as mount:
        (tmp_path / "link").symlink_to(mount.path)
        read = DiskPath(str(tmp_path / "link"), prober=prober, read=never)
        assert read() == told(tmp_path / "link")
        assert len(children()) == 1


def never(path: str) -> Blocks:
    raise AssertionError(path)


def test_one_that_hangs_fails_at_once_until_it_answers(
    prober: Prober, clock: ManualClock, tmp_path: Path
) -> None:
    """After a second without an answer; until then what was told stands."""
    with fuse_mount(tmp_path / "mount") as mount:
        read = DiskPath(str(mount.path), prober=prober, read=never)
        read()
        assert prober.wait(PATIENCE_S)  # it is asked again with every call
        mount.hang()
        began = time.monotonic()
        clock.now += 1
        assert read() == told(mount.path)
        clock.now += DEADLINE_S
        for _ in range(100):
            with pytest.raises(TimeoutError, match=f"the file system of {mount.path} does not"):
                read()
        assert time.monotonic() - began < PATIENCE_S
        mount.answer()
        assert prober.wait(PATIENCE_S)
        assert read() == told(mount.path)


def test_one_that_never_answered_is_waited_for_once(
    prober: Prober, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no figure to give."""
    monkeypatch.setattr(diskpath, "FIRST_S", 0.05)
    with fuse_mount(tmp_path / "mount") as mount:
        mount.hang()
        read = DiskPath(str(mount.path), prober=prober, read=never)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                read()
        assert mount.asked(1)
        monkeypatch.setattr(diskpath, "FIRST_S", 60.0)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            read()
        assert time.monotonic() - began < PATIENCE_S


def test_an_error_of_one_that_may_hang_is_raised(prober: Prober, tmp_path: Path) -> None:
    """As it would be of another."""
    with fuse_mount(tmp_path / "mount") as mount:
        read = DiskPath(str(mount.path / "none"), prober=prober, read=never)
        with pytest.raises(OSError, match="Function not implemented"):
            read()


def test_it_is_read_directly_again_when_nothing_on_its_way_may_hang(
    prober: Prober, tmp_path: Path
) -> None:
    """And the process ends when somebody looks after it."""
    table = MountTable()
    with fuse_mount(tmp_path / "mount") as mount:
        read = DiskPath(str(mount.path), table, prober)
        assert read() == told(mount.path)
    assert read().total != told(mount.path).total
    assert none_left()
