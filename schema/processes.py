"""The ``processes`` channel: who uses the host."""

from __future__ import annotations

from typing import ClassVar

from attrs import frozen

from schema.fields import Bytes, BytesPerSec, Moment, Percent
from schema.messages import DataMessage


@frozen(kw_only=True)
class Process:
    """One process. ``pid`` and ``start_ms`` together name it: a pid is given again.

    Attributes:
        pid: its number.
        start_ms: when it was started.
        name: name of its program, as the kernel has it.
        user: who runs it; the user's number if the server's /etc/passwd has no name for it, null
            if the process ended just then.
        state: one letter, as ps(1) has it: R running, S sleeping, D waiting for a disk, Z zombie.
        cpu: processor time over the window, of one processor; may pass 100. Of a process that was
            not there at the beginning of the window, since it was first seen; null if it has been
            seen only once.
        cpu_host: the same, of all processors of the host.
        memory_bytes: resident memory.
        memory: the same, of the host's memory.
        threads: number of threads.
        read_bytes_per_sec: read from disks over the window, or since it has been counted; null
            without the right to know, or on first sight.
        write_bytes_per_sec: written to disks, likewise.
        container: the first 12 digits of the container that it runs in; null outside of one.
        command: its command line, with what looks like a secret masked; null unless the server's
            setting process_commands allows it.
    """

    pid: int
    start_ms: Moment
    name: str
    user: str | None
    state: str
    cpu: Percent | None
    cpu_host: Percent | None
    memory_bytes: Bytes
    memory: Percent
    threads: int
    read_bytes_per_sec: BytesPerSec | None
    write_bytes_per_sec: BytesPerSec | None
    container: str | None
    command: str | None


@frozen(kw_only=True)
class Processes:
    """All processes of the host in numbers, and those that use it most.

    ``items`` are the ``top`` ones by processor time, by memory and by disk traffic, all in one
    list, the busiest processor users first. Of each kind come only those that use some of it.

    Attributes:
        total: number of processes.
        running: those that run, or wait for nothing but a processor.
        threads: threads of all processes.
        top: how many of each kind are listed: 5 in detail ``simple``, 10 in ``standard``, 50 in
            ``full``.
        items: the processes.
    """

    total: int
    running: int
    threads: int
    top: int
    items: list[Process]


@frozen
class ProcessesMessage(DataMessage):
    """A message of the ``processes`` channel."""

    TAG: ClassVar[str] = "processes"
    data: Processes
