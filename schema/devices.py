"""What a host is made of beside processors and memory: disks, networks, sensors."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from schema.fields import (
    Age,
    Bytes,
    BytesPerSec,
    Celsius,
    Duration,
    Megabits,
    Percent,
    PerSec,
    Rpm,
    Seconds,
)


class VolumeStatus(StrEnum):
    """How fresh a file system's figures are.

    ``timeout``: it does not answer, the last figures stand. ``error``: it cannot be read.
    ``gone``: it is no longer mounted; told for a minute.
    """

    OK = "ok"
    TIMEOUT = "timeout"
    ERROR = "error"
    GONE = "gone"


@frozen(kw_only=True)
class DiskVolume:
    """One file system, by its device, as ``df`` reckons it; all numbers null until it has answered.

    ``used + free + reserved == total``.

    Attributes:
        id: names it as long as it is mounted: the device's number, or the pool.
        device: what is mounted, such as /dev/sda1; the pool of ZFS, whose datasets are one item.
        fs_type: kind of file system, such as ext4.
        mounts: where it is mounted.
        total: its size.
        used: what is taken.
        free: what an unprivileged user may still write.
        reserved: what only root may write.
        usage: ``used`` of ``used + free``.
        inodes_usage: taken inodes of all; null where there is no fixed number of them (btrfs,
            ZFS).
        read_only: whether nothing can be written.
        remote: whether it lies on another machine.
        status: how fresh the figures are.
        age_ms: time since they were read; null before they were.
    """

    id: str
    device: str
    fs_type: str
    mounts: list[str]
    total: Bytes | None
    used: Bytes | None
    free: Bytes | None
    reserved: Bytes | None
    usage: Percent | None
    inodes_usage: Percent | None
    read_only: bool
    remote: bool
    status: VolumeStatus
    age_ms: Age | None


@frozen(kw_only=True)
class DiskIo:
    """What one whole disk did; each rate is null on first sight and when a counter ran backwards.

    Not listed is what passes its traffic on to disks that are: partitions, LVM, LUKS, MD, loop.

    Attributes:
        device: name, such as sda or nvme0n1.
        read_bytes_per_sec: read.
        write_bytes_per_sec: written.
        reads_per_sec: reads completed.
        writes_per_sec: writes completed.
        busy: share of the window in which it had something to do; null where the system does not
            count it.
        read_latency_ms: mean time of a read, waiting included; null without any.
        write_latency_ms: mean time of a write, waiting included; null without any.
    """

    device: str
    read_bytes_per_sec: BytesPerSec | None
    write_bytes_per_sec: BytesPerSec | None
    reads_per_sec: PerSec | None
    writes_per_sec: PerSec | None
    busy: Percent | None
    read_latency_ms: Duration | None
    write_latency_ms: Duration | None


class InterfaceKind(StrEnum):
    """What is behind an interface: hardware, software (bridge, veth, tunnel), or the host itself.

    Only ``physical`` ones add up to the host's traffic: what goes through a bridge counts twice.
    """

    PHYSICAL = "physical"
    VIRTUAL = "virtual"
    LOOPBACK = "loopback"


@frozen(kw_only=True)
class NetworkInterface:
    """One network interface; rates are null on first sight and when a counter ran backwards.

    Attributes:
        interface: name, such as eth0.
        kind: what is behind it.
        up: whether it is up and running; null if that is not known.
        speed_mbps: speed of the link; null if it is not known.
        rx_bytes_per_sec: received.
        tx_bytes_per_sec: sent.
        rx_packets_per_sec: packets received.
        tx_packets_per_sec: packets sent.
        errors_per_sec: packets lost by errors, both ways.
        drops_per_sec: packets dropped, both ways.
        rx_bytes: received since the interface came up.
        tx_bytes: sent since the interface came up.
    """

    interface: str
    kind: InterfaceKind
    up: bool | None
    speed_mbps: Megabits | None
    rx_bytes_per_sec: BytesPerSec | None
    tx_bytes_per_sec: BytesPerSec | None
    rx_packets_per_sec: PerSec | None
    tx_packets_per_sec: PerSec | None
    errors_per_sec: PerSec | None
    drops_per_sec: PerSec | None
    rx_bytes: Bytes
    tx_bytes: Bytes


@frozen
class Temperature:
    """One temperature sensor.

    Attributes:
        sensor: the chip, such as coretemp; with its device where there are several of a kind.
        label: which of its readings; may be empty.
        celsius: the reading; null if it is impossible (-50 and below, 200 and above) or fails.
        high: where it is too warm; null if not known or impossible.
        critical: where damage begins; null if not known or impossible.
    """

    sensor: str
    label: str
    celsius: Celsius | None
    high: Celsius | None
    critical: Celsius | None


@frozen
class Fan:
    """One fan.

    Attributes:
        sensor: the chip that counts its turns.
        label: which of its fans; may be empty.
        rpm: turns a minute.
    """

    sensor: str
    label: str
    rpm: Rpm | None


@frozen
class Battery:
    """The first battery.

    Attributes:
        percent: how full it is.
        charging: whether the machine is plugged in; null if not known.
        secs_left: until it is empty; null when plugged in, or not known.
    """

    percent: Percent | None
    charging: bool | None
    secs_left: Seconds | None
