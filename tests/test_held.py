"""Files that stay open between readings."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from app.sources.groups.held import CHUNK, HeldFile


def descriptors() -> int:
    gc.collect()  # what others left behind
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_it_gives_what_is_in_the_file_now(tmp_path: Path) -> None:
    """However long that is, from the beginning each time, by one descriptor."""
    path = tmp_path / "file"
    path.write_bytes(b"first")
    file = HeldFile(path)
    assert file.read() == b"first"
    before = descriptors()
    path.write_bytes(b"x" * (3 * CHUNK + 1))
    assert file.read() == b"x" * (3 * CHUNK + 1)
    path.write_bytes(b"")
    assert file.read() == b""
    assert descriptors() == before


@pytest.mark.parametrize("name", ["stat", "meminfo", "vmstat"])
def test_a_file_of_the_kernel_is_whole(name: str) -> None:
    """Some come in pieces of a page."""
    held, plain = HeldFile(Path("/proc", name)).read(), Path("/proc", name).read_bytes()
    assert held.count(b"\n") == plain.count(b"\n")


def test_it_is_opened_anew_after_a_failure(tmp_path: Path) -> None:
    """What was behind it may be back."""
    path = tmp_path / "file"
    file = HeldFile(path)
    with pytest.raises(FileNotFoundError):
        file.read()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        file.read()
    path.rmdir()
    path.write_bytes(b"here")
    assert file.read() == b"here"


def test_what_cannot_be_understood_names_the_file(tmp_path: Path) -> None:
    """And what was wrong with it."""
    path = tmp_path / "file"
    path.write_bytes(b"7")
    file = HeldFile(path)
    assert file.parsed(int) == 7
    path.write_bytes(b"seven")
    with pytest.raises(ValueError, match=rf"^{path}: cannot be understood: .*seven"):
        file.parsed(int)


def test_the_descriptor_goes_with_it(tmp_path: Path) -> None:
    """Nothing is left open; closing twice does nothing."""
    before = descriptors()
    file = HeldFile(Path("/proc/stat"))
    file.read()
    assert descriptors() == before + 1
    file.close()
    file.close()
    assert descriptors() == before
    file.read()
    del file
    assert descriptors() == before
