"""Main memory and swap space, out of one reading of ``/proc/meminfo``.

psutil stands in where there is no such file, and where what is available is not plain to see.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import psutil
from attrs import define, field, frozen

from app.sources.counters import Counted, Lives, grown, rate
from app.sources.groups.cpu import percent
from app.sources.groups.held import HeldFile
from schema.memory import Memory, Swap

KIB = 1024


@frozen
class MemorySpace:
    """Main memory in bytes; ``available`` is what programs could still take without swapping.

    The others are by the kernel's names (proc_meminfo(5)), None where they are not known:
    ``unused`` is MemFree, ``cached`` is Cached and SReclaimable together, ``shared`` is Shmem.
    """

    total: int
    available: int
    unused: int | None = None
    buffers: int | None = None
    cached: int | None = None
    shared: int | None = None
    reclaimable: int | None = None


class SwapTraffic(NamedTuple):
    """Bytes read back from swap, and written to it, since boot; None where not counted."""

    read: int | None
    written: int | None


class SwapSpace(NamedTuple):
    """Swap space in bytes, and its traffic."""

    total: int
    free: int
    traffic: Counted[SwapTraffic]


@define(eq=False)
class MemoryStat:
    """Reads memory, and then swap out of the same reading."""

    proc: Path = Path("/proc")
    _meminfo: HeldFile = field(init=False)
    _vmstat: HeldFile = field(init=False)
    _newest: Mapping[bytes, int] | None = field(init=False, default=None)
    _lives: Lives[SwapTraffic] = field(init=False, factory=Lives)

    def __attrs_post_init__(self) -> None:
        self._meminfo = HeldFile(self.proc / "meminfo")
        self._vmstat = HeldFile(self.proc / "vmstat")

    def memory(self) -> MemorySpace:
        """Read main memory.

        Raises:
            OSError: it cannot be read.
            ValueError: the machine claims to have none, or tells what cannot be understood.
        """
        self._newest = None
        try:
            self._newest = self._meminfo.parsed(parse)
        except FileNotFoundError:
            return _by_psutil()
        shown = self._newest
        total, available = shown.get(b"MemTotal", 0), shown.get(b"MemAvailable", 0)
        if not 0 < available <= total:
            # Older kernels and some containers: psutil knows what to make of them.
            return _by_psutil()
        reclaimable = shown.get(b"SReclaimable")
        return MemorySpace(
            total,
            available,
            unused=shown.get(b"MemFree"),
            buffers=shown.get(b"Buffers"),
            cached=shown.get(b"Cached", 0) + (reclaimable or 0),
            shared=shown.get(b"Shmem"),
            reclaimable=reclaimable,
        )

    def swap(self) -> SwapSpace:
        """Give swap space as it was when memory was read last, and its traffic.

        Raises:
            OSError: it cannot be read.
            ValueError: the system does not count it, or tells what cannot be understood.
        """
        if self._newest is None:
            swap = psutil.swap_memory()
            return self._space(swap.total, swap.free, SwapTraffic(swap.sin, swap.sout))
        if b"SwapTotal" not in self._newest or b"SwapFree" not in self._newest:
            raise ValueError(f"{self._meminfo.path}: no swap space is counted")
        traffic = self._vmstat.parsed(parse_traffic)
        return self._space(self._newest[b"SwapTotal"], self._newest[b"SwapFree"], traffic)

    def _space(self, total: int, free: int, traffic: SwapTraffic) -> SwapSpace:
        return SwapSpace(total, min(free, total), self._lives({"": traffic})[""])


def parse(text: bytes) -> dict[bytes, int]:
    """Understand ``/proc/meminfo``: sizes in bytes, by name.

    Raises:
        ValueError: it is not that file.
    """
    shown = {}
    for line in text.splitlines():
        name, _, value = line.partition(b":")
        shown[name] = int(value.removesuffix(b"kB")) * KIB
    return shown


def parse_traffic(text: bytes) -> SwapTraffic:
    """Find the traffic of swap in ``/proc/vmstat``, which counts it in pages.

    Raises:
        ValueError: what it counts is no number.
    """
    return SwapTraffic(_pages(text, b"pswpin"), _pages(text, b"pswpout"))


def _pages(text: bytes, name: bytes) -> int | None:
    # One line of two hundred: looked for, not split.
    _, found, rest = text.partition(b"\n" + name + b" ")
    return int(rest.partition(b"\n")[0]) * mmap.PAGESIZE if found else None


def _by_psutil() -> MemorySpace:
    memory = psutil.virtual_memory()
    if memory.total <= 0:
        raise ValueError("the system counts no memory")
    return MemorySpace(
        memory.total,
        min(max(memory.available, 0), memory.total),
        unused=getattr(memory, "free", None),
        buffers=getattr(memory, "buffers", None),
        cached=getattr(memory, "cached", None),
        shared=getattr(memory, "shared", None),
    )


def render_memory(space: MemorySpace) -> Memory:
    """Give memory as heritage has it, where ``free`` means available."""
    used = space.total - space.available
    return Memory(
        total=space.total, used=used, free=space.available, usage=percent(used, space.total)
    )


def render_swap(first: SwapSpace | None, last: SwapSpace | None, seconds: float) -> Swap | None:
    """Give swap space with the rates of a window; None if it was not read."""
    if last is None:
        return None
    used = last.total - last.free
    ends = grown(first.traffic if first else None, last.traffic)
    before, after = ends or (SwapTraffic(None, None), last.traffic.counters)
    return Swap(
        total=last.total,
        used=used,
        free=last.free,
        usage=percent(used, last.total) if last.total else None,
        in_bytes_per_sec=rate(before.read, after.read, seconds),
        out_bytes_per_sec=rate(before.written, after.written, seconds),
    )
