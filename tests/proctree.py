"""A directory like /proc, of processes that a test makes up."""

from __future__ import annotations

import shutil
from pathlib import Path

from attrs import define

CONTAINER = "4c01db0b339c" + "0" * 52
"""The full id of a container."""


@define(eq=False)
class ProcTree:
    """Writes what the kernel would; a process may be written again, as it goes on."""

    root: Path

    def __attrs_post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / "meminfo").write_text("MemTotal:    1000 kB\nMemFree:   500 kB\n")
        (self.root / "uptime").write_text("1000.00 1000.00\n")

    def process(
        self,
        pid: int,
        *,
        name: str | bytes = "program",
        state: str = "S",
        ticks: int = 0,
        threads: int = 1,
        start: int = 100,
        pages: int = 0,
        minor: int = 0,
        traffic: tuple[int, int] | None = (0, 0),
        cgroup: str = "0::/init.scope\n",
        command: bytes = b"",
    ) -> None:
        """Write all files of a process; without ``traffic``, its io may not be read."""
        directory = self.root / str(pid)
        directory.mkdir(exist_ok=True)
        shown = name if isinstance(name, bytes) else name.encode()
        head = f"1 {pid} {pid} 0 -1 4194304 {minor} 0 0 0 {ticks - ticks // 2} {ticks // 2} 0 0"
        tail = f"20 0 {threads} 0 {start} 8192 {pages} 18446744073709551615 {'0 ' * 26}0"
        line = b"%d (%s) %s %s %s\n" % (pid, shown, state.encode(), head.encode(), tail.encode())
        (directory / "stat").write_bytes(line)
        (directory / "cgroup").write_text(cgroup)
        (directory / "cmdline").write_bytes(command)
        (directory / "io").unlink(missing_ok=True)
        if traffic is not None:
            lines = ["rchar: 7", "wchar: 7", "syscr: 7", "syscw: 7"]
            lines += [f"read_bytes: {traffic[0]}", f"write_bytes: {traffic[1]}"]
            (directory / "io").write_text("\n".join([*lines, "cancelled_write_bytes: 7"]) + "\n")

    def end(self, *pids: int) -> None:
        """Have processes end."""
        for pid in pids:
            shutil.rmtree(self.root / str(pid))
