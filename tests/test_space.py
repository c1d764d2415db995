"""Room of file systems, as df reckons it, however odd they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.devices.space import SIZE_MAX, Blocks, DiskSpace, Space, read_blocks


@pytest.mark.parametrize(
    ("told", "space"),
    [
        (Blocks(4096, 100, 40, 30, 50, 20), Space(409600, 245760, 122880, 40960, 50, 20)),
        # Below zero, as an unsigned number: root has used what was reserved for it.
        (Blocks(4096, 100, 2, 2**64 - 5, 50, 20), Space(409600, 401408, 0, 8192, 50, 20)),
        # More free than there is: a file system that shares another's room.
        (Blocks(4096, 100, 120, 120, 50, 60), Space(409600, 0, 409600, 0, 50, 50)),
        # Without limit.
        (
            Blocks(4096, 2**63 - 1, 2**63 - 1, 2**63 - 1, 0, 0),
            Space(SIZE_MAX, 0, SIZE_MAX, 0, 0, 0),
        ),
        # Without size.
        (Blocks(4096, 0, 0, 0, 0, 0), Space(0, 0, 0, 0, 0, 0)),
    ],
)
def test_sizes_of_odd_file_systems_add_up(told: Blocks, space: Space) -> None:
    """Nothing negative, nothing that no JSON reader could hold."""
    assert Space.of(told) == space


@given(st.builds(Blocks, st.sampled_from([512, 4096, 2**20]), *[st.integers(0, 2**64 - 1)] * 5))
def test_any_answer_adds_up(told: Blocks) -> None:
    """Used, free and reserved are the total."""
    space = Space.of(told)
    assert space.used + space.free + space.reserved == space.total
    assert min(space.used, space.free, space.reserved) >= 0
    assert space.total <= SIZE_MAX
    assert 0 <= space.inodes_free <= space.inodes


@pytest.mark.parametrize(
    ("told", "space"),
    [
        (Blocks(4096, 100, 40, 30, 0, 0), DiskSpace("/", 409600, 245760, 122880)),
        (Blocks(4096, 100, 2, 2**64 - 5, 0, 0), DiskSpace("/", 409600, 401408, 0)),
        (Blocks(4096, 100, 120, 120, 0, 0), DiskSpace("/", 409600, 0, 491520)),
        (
            Blocks(4096, 2**63 - 1, 2**63 - 1, 2**63 - 1, 0, 0),
            DiskSpace("/", SIZE_MAX, 0, SIZE_MAX),
        ),
    ],
)
def test_the_heritage_figures_stay_sizes(told: Blocks, space: DiskSpace) -> None:
    """They have no reserved room to make up for a difference."""
    assert DiskSpace.of("/", told) == space


def test_a_file_system_is_asked(tmp_path: Path) -> None:
    """By any path in it."""
    status = os.statvfs(tmp_path)
    told = read_blocks(str(tmp_path))
    assert (told.frsize, told.blocks, told.files) == (
        status.f_frsize,
        status.f_blocks,
        status.f_files,
    )
    with pytest.raises(FileNotFoundError):
        read_blocks(str(tmp_path / "none"))
