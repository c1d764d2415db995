"""Main memory and swap space of a host."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from schema.fields import Bytes, BytesPerSec, Percent


@frozen
class Memory:
    """Main memory; ``free`` means available, so ``used + free == total``.

    Attributes:
        total: all there is (MemTotal of /proc/meminfo).
        used: ``total`` less ``free``.
        free: what programs may still take without swapping (MemAvailable).
        usage: ``used`` of ``total``.
    """

    total: Bytes
    used: Bytes
    free: Bytes
    usage: Percent


class MemoryScope(StrEnum):
    """Whose memory ``total`` is: the host's, a control group's, or a container's of LXC.

    ``cgroup``: a control group limits this process to less than ``total``, which is the host's.
    """

    HOST = "host"
    CGROUP = "cgroup"
    LXCFS = "lxcfs"


@frozen(kw_only=True)
class FullMemory(Memory):
    """Main memory in full.

    Attributes:
        available: the same as ``free``, by the kernel's name for it (MemAvailable).
        unused: what nothing uses at all (MemFree).
        buffers: raw blocks of disks (Buffers).
        cached: contents of files (Cached, with what the kernel can give back of its own).
        shared: shared memory and tmpfs (Shmem).
        reclaimable: what the kernel can give back of its own (SReclaimable).
        zfs_arc: cache of ZFS, which counts as used though it can be given back; null without
            ZFS, and in LXC, where it is the host's.
        limit: memory that the control group of this process may use (memory.max, or
            limit_in_bytes); null if it is not limited below ``total``.
        limit_usage: what the control group uses of ``limit``, less inactive file cache.
        scope: whose ``total`` it is.
    """

    available: Bytes | None
    unused: Bytes | None
    buffers: Bytes | None
    cached: Bytes | None
    shared: Bytes | None
    reclaimable: Bytes | None
    zfs_arc: Bytes | None
    limit: Bytes | None
    limit_usage: Percent | None
    scope: MemoryScope | None


@frozen
class Swap:
    """Swap space.

    Attributes:
        total: all there is; 0 without any.
        used: what is taken.
        free: ``total`` less ``used``.
        usage: ``used`` of ``total``; null without any.
        in_bytes_per_sec: read back from swap.
        out_bytes_per_sec: written to swap.
    """

    total: Bytes | None
    used: Bytes | None
    free: Bytes | None
    usage: Percent | None
    in_bytes_per_sec: BytesPerSec | None
    out_bytes_per_sec: BytesPerSec | None
