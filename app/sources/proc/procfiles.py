"""What the kernel tells of one process, file by file (proc(5))."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

# The longest line: 52 numbers of 20 digits at most, and a name that is 63 bytes in kernel threads.
STAT_BYTES = 2048
IO_BYTES = 1024
CGROUP_BYTES = 8192
MEMINFO_BYTES = 256
# More of a command line is not looked at: what is shown of it is shorter.
COMMAND_BYTES = 1024

# Docker, Podman, containerd and CRI-O all end a cgroup's name with the container's full id. Of two,
# one within the other, the first is the one that the host's engine knows. Podman's monitor of a
# container bears its id too, but is outside.
CONTAINER = re.compile(rb"(?:/|(?<!conmon)-|:)([0-9a-f]{64})(?![0-9a-f])")
ID_DIGITS = 12


class Stat(NamedTuple):
    """A process as its ``stat`` has it.

    ``start`` and ``ticks`` (in user and system mode together) are in clock ticks, ``start`` since
    boot; ``pages`` are resident.
    """

    name: str
    state: str
    ticks: int
    threads: int
    start: int
    pages: int


class Traffic(NamedTuple):
    """Bytes that a process has had read from disks, and written to them, since it started."""

    read: int
    written: int


def read_file(directory: int, path: str, size: int) -> bytes:
    """Read the beginning of a file below an open directory.

    Raises:
        OSError: it is not there any more, or may not be read.
    """
    # Not `open`: its objects cost more than the kernel's work.
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def parse_stat(line: bytes) -> Stat:
    """Take the line apart.

    Raises:
        ValueError, IndexError: it is not such a line.
    """
    # The name may hold anything, also `) R 1`; after the last parenthesis there are numbers only.
    begin, end = line.index(b"("), line.rindex(b")")
    fields = line[end + 2 :].split(None, 22)
    return Stat(
        name=line[begin + 1 : end].decode("utf-8", "replace"),
        state=fields[0].decode("ascii"),
        ticks=int(fields[11]) + int(fields[12]),
        threads=int(fields[17]),
        start=int(fields[19]),
        pages=int(fields[21]),
    )


def parse_io(text: bytes) -> Traffic | None:
    """Give the traffic, None if the kernel does not count it."""
    fields = text.split()
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    read, written = values.get(b"read_bytes:"), values.get(b"write_bytes:")
    # Not less what was cancelled: that would not grow only.
    return None if read is None or written is None else Traffic(int(read), int(written))


def parse_cgroup(text: bytes) -> str | None:
    """Give the short id of the container that a process is in, None if it is in none."""
    found = CONTAINER.search(text)
    return found[1][:ID_DIGITS].decode("ascii") if found else None


def parse_command(text: bytes) -> list[str]:
    """Give a program and its arguments; empty for a thread of the kernel, and for a zombie."""
    text = text.rstrip(b"\0")
    return text.decode("utf-8", "replace").split("\0") if text else []


def parse_meminfo(text: bytes) -> int:
    """Give the host's memory in bytes.

    Raises:
        ValueError: the file does not tell.
    """
    name, _, rest = text.partition(b":")
    amount, unit = rest.split(None, 2)[:2] if name == b"MemTotal" else (b"", b"")
    if unit != b"kB":
        raise ValueError("meminfo does not begin with the total in kB")
    return int(amount) * 1024
