"""The plain questions to the machine; what is counted over time is read elsewhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
from attrs import field, frozen

from app.core.clock import Clock
from app.sources.groups.cgroup import ControlGroups


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

    @property
    def sys(self) -> Path:
        """Where the kernel tells of devices."""
        return self.root / "sys"

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
            mount.fs_type == "fuse.lxcfs" and mount.path.endswith("/meminfo")
            for mount in ControlGroups(self.root).mounts()
        )

    def zfs_arc(self) -> int | None:
        """Give the size of the cache of ZFS in bytes, None without ZFS.

        Raises:
            OSError: it cannot be read.
            ValueError: it cannot be understood.
        """
        file = self.proc / "spl/kstat/zfs/arcstats"
        try:
            text = file.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        for line in text.splitlines():
            name, *rest = line.split()
            if name == "size" and rest[-1].isdecimal():
                return int(rest[-1])
        raise ValueError(f"{file}: there is no size")
