"""How much room a file system has, as ``df`` reckons it (``statvfs(3)``)."""

from __future__ import annotations

import os
from typing import NamedTuple

from attrs import frozen

# The largest size that any JSON reader's 64-bit integer holds, in bytes.
SIZE_MAX = 2**63 - 1


class Blocks(NamedTuple):
    """What ``statvfs`` tells: the size of a block, how many there are, free, free for users.

    ``files`` is how many inodes there are, ``ffree`` how many of them are free.
    """

    frsize: int
    blocks: int
    bfree: int
    bavail: int
    files: int
    ffree: int


@frozen
class Space:
    """One file system in bytes: ``used + free + reserved == total``.

    ``free`` is what an unprivileged user may still take, ``reserved`` what only root may.
    ``inodes`` is how many there are, 0 where there is no fixed number, ``inodes_free`` how many
    of them nobody has taken.
    """

    total: int
    used: int
    free: int
    reserved: int
    inodes: int
    inodes_free: int

    @classmethod
    def of(cls, told: Blocks) -> Space:
        """Make sizes of what a file system told, whatever it told."""
        total = _size(told.blocks, told.frsize)
        used = min(_size(told.blocks - told.bfree, told.frsize), total)
        # Some claim more free than there is: those that share another's room.
        free = min(_size(told.bavail, told.frsize), total - used)
        return cls(
            total=total,
            used=used,
            free=free,
            reserved=total - used - free,
            inodes=told.files,
            inodes_free=min(told.ffree, told.files),
        )


@frozen
class DiskSpace:
    """The file system that holds ``path``, in bytes, as ``df`` has it."""

    path: str
    total: int
    used: int
    free: int

    @classmethod
    def of(cls, path: str, told: Blocks) -> DiskSpace:
        """Make sizes of what the file system told; a free size above the total stands."""
        return cls(
            path,
            total=_size(told.blocks, told.frsize),
            used=_size(told.blocks - told.bfree, told.frsize),
            free=_size(told.bavail, told.frsize),
        )


def read_blocks(path: str) -> Blocks:
    """Ask the file system that holds a path; on a dead mount this never returns.

    Raises:
        OSError: there is no such path, or it cannot be reached.
    """
    status = os.statvfs(path)
    return Blocks(
        status.f_frsize,
        status.f_blocks,
        status.f_bfree,
        status.f_bavail,
        status.f_files,
        status.f_ffree,
    )


def _size(blocks: int, unit: int) -> int:
    # Below zero when more is used than there is for all but root, which some file systems give as
    # a huge unsigned number (as df(1) knows too); others call "unlimited" what no 64 bits hold.
    return min(blocks * unit, SIZE_MAX) if 0 <= blocks < 2**63 else 0
