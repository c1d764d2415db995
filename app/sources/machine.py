"""The plain questions to the machine; what is counted over time is read elsewhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
from attrs import field, frozen

from app.core.clock import Clock
from app.sources.cgroup import ControlGroups

# The largest size that any JSON reader's 64-bit integer holds, in bytes.
SIZE_MAX = 2**63 - 1


@frozen
class DiskSpace:
    """The file system that holds ``path``, in bytes, as ``df`` has it."""

    path: str
    total: int
    used: int
    free: int


@frozen
class Machine:
    """Where the figures come from; tests override what is hard to come by.

    ``root`` is the directory whose ``proc`` and ``sys`` tell of the machine: another one than "/"
    if those of a host are seen from within a container.
    """

    clock: Clock = field(factory=Clock)
    root: Path = Path("/")

    @property
    def proc(self) -> Path:
        """Where the kernel tells of processes and itself."""
        return self.root / "proc"

    def cores(self) -> int:
        """Give the number of logical processors.

        Raises:
            OSError: the system does not tell.
        """
        cores = psutil.cpu_count()
        if cores is None:
            raise OSError("the number of cores is not known")
        return cores

    def physical_cores(self) -> int | None:
        """Give the number of cores without their threads, None if the system does not tell."""
        return psutil.cpu_count(logical=False)

    def frequency(self) -> float | None:
        """Give the mean of the processors' present frequencies in MHz, None if there is none."""
        try:
            # None where there is none, whatever the stubs say; 0 where the system does not know.
            return getattr(psutil.cpu_freq(), "current", None) or None
        except NotImplementedError:
            return None

    def load_avg(self) -> tuple[float, float, float]:
        """Give the mean numbers of runnable tasks over 1, 5 and 15 minutes (``getloadavg(3)``)."""
        return os.getloadavg()

    def disk(self, path: str) -> DiskSpace:
        """Give the file system that holds a path, as ``df`` reckons it (``statvfs(3)``).

        Raises:
            OSError: there is no such path, or it cannot be reached.
        """
        status = os.statvfs(path)
        unit = status.f_frsize
        return DiskSpace(
            path,
            total=_size(status.f_blocks, unit),
            used=_size(status.f_blocks - status.f_bfree, unit),
            free=_size(status.f_bavail, unit),
        )

    def hostname(self) -> str:
        """Give the machine's own name for itself."""
        return socket.gethostname()

    def lxcfs(self) -> bool:
        """Tell whether memory is that of a container of LXC, as its file system (lxcfs) shows it.

        Raises:
            OSError: the system does not tell.
            ValueError: it cannot be understood.
        """
        return any(
            mount.kind == "fuse.lxcfs" and mount.point.name == "meminfo"
            for mount in ControlGroups(self.root).mounts()
        )

    def zfs_arc(self) -> int | None:
        """Give the size of the cache of ZFS in bytes, None without ZFS.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        try:
            text = (self.proc / "spl/kstat/zfs/arcstats").read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        for line in text.splitlines():
            name, *rest = line.split()
            if name == "size":
                return int(rest[-1])
        raise ValueError("arcstats: there is no size")


def _size(blocks: int, unit: int) -> int:
    # Below zero when more is used than there is for all but root, which some file systems give as
    # a huge unsigned number (as df(1) knows too); others call "unlimited" what no 64 bits hold.
    return min(blocks * unit, SIZE_MAX) if 0 <= blocks < 2**63 else 0
