"""Hosts of which a test decides everything: busy, idle, large ones, and ones that tell nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from attrs import evolve, frozen

from app.core.source import Window
from schema.containers import (
    Container,
    ContainerCpu,
    ContainerIo,
    ContainerMemory,
    ContainerNetwork,
    ContainersMessage,
)
from schema.devices import (
    Battery,
    DiskIo,
    DiskVolume,
    Fan,
    InterfaceKind,
    NetworkInterface,
    Temperature,
    VolumeStatus,
)
from schema.fields import Detail
from schema.memory import FullMemory, MemoryScope, Swap
from schema.messages import DataMessage
from schema.metrics import Disk, Full, FullCpu, GroupError, MetricsMessage, OwnCost, Standard
from schema.pressure import Pressure, Stall
from schema.processes import Process, Processes, ProcessesMessage

KIB, MIB, GIB = 2**10, 2**20, 2**30
CALM = Stall(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@frozen
class HostSource:
    """The figures of a scripted host, in standard detail those of heritage alone."""

    figures: Callable[[int], Full]
    channel: ClassVar[str] = MetricsMessage.TAG
    message: ClassVar[type[DataMessage]] = MetricsMessage
    details: ClassVar[tuple[Detail, ...]] = (Detail.STANDARD, Detail.FULL)
    always: ClassVar[bool] = True

    def sample(self) -> int:
        raise NotImplementedError

    def render(self, window: Window, detail: Detail) -> Standard:
        data = self.figures(window.last)
        if detail is Detail.FULL:
            return data
        return Standard(data.cpu, data.memory, data.disk, data.uptime, data.hostname)


@frozen
class TenantSource:
    """Processes or containers of a scripted host."""

    message: type[DataMessage]
    figures: Callable[[int], Any]
    details: ClassVar[tuple[Detail, ...]] = (Detail.STANDARD,)
    always: ClassVar[bool] = True

    @property
    def channel(self) -> str:
        return self.message.TAG

    def sample(self) -> int:
        raise NotImplementedError

    def render(self, window: Window, _detail: Detail) -> Any:  # noqa: ANN401 - as the figures have it
        return self.figures(window.last)


def processes_of(data: Processes) -> TenantSource:
    return TenantSource(ProcessesMessage, lambda _: data)


def containers_of(data: list[Container]) -> TenantSource:
    return TenantSource(ContainersMessage, lambda _: data)


# Parts


def processors(usage: float, cores: list[float | None], **more: Any) -> FullCpu:  # noqa: ANN401
    known = {
        "usage_max": usage,
        "user": usage * 0.7,
        "system": usage * 0.3,
        "nice": 0.0,
        "iowait": 0.0,
        "irq": 0.0,
        "softirq": 0.2,
        "steal": 0.0,
        "physical_cores": max(1, len(cores) // 2),
        "frequency_MHz": 2900.0,
        "context_switches_per_sec": 12_000.0,
        "interrupts_per_sec": 8000.0,
        "limit_cores": None,
        "throttled_percent": None,
    }
    load = usage * len(cores) / 100
    return FullCpu(
        usage=usage,
        cores=len(cores),
        load_avg=[load, load * 0.8, load * 0.6],
        per_core=cores,
        **(known | more),
    )


def main_memory(total: int, used: int, **more: Any) -> FullMemory:  # noqa: ANN401
    free = total - used
    known: dict[str, Any] = {
        "available": free,
        "unused": free // 4,
        "buffers": GIB // 4,
        "cached": free // 2,
        "shared": GIB // 8,
        "reclaimable": GIB // 8,
        "zfs_arc": None,
        "limit": None,
        "limit_usage": None,
        "scope": MemoryScope.HOST,
    }
    usage = 100 * used / total
    return FullMemory(total=total, used=used, free=free, usage=usage, **(known | more))


def volume(mount: str, taken: float, size: int = 100 * GIB, **more: Any) -> DiskVolume:  # noqa: ANN401
    used = int(size * taken / 100)
    known: dict[str, Any] = {
        "id": mount,
        "device": "/dev/" + (mount.strip("/").replace("/", "-") or "root"),
        "fs_type": "ext4",
        "mounts": [mount],
        "total": size,
        "used": used,
        "free": size - used,
        "reserved": 0,
        "usage": taken,
        "inodes_usage": 4.0,
        "read_only": False,
        "remote": False,
        "status": VolumeStatus.OK,
        "age_ms": 300.0,
    }
    return DiskVolume(**(known | more))


def drive(device: str, busy: float | None, read: float | None, write: float | None) -> DiskIo:
    return DiskIo(
        device=device,
        read_bytes_per_sec=read,
        write_bytes_per_sec=write,
        reads_per_sec=None if read is None else read / 65_536,
        writes_per_sec=None if write is None else write / 65_536,
        busy=busy,
        read_latency_ms=1.2 if read else None,
        write_latency_ms=(busy or 0) / 4 if write else None,
    )


def link(
    name: str,
    kind: InterfaceKind,
    rx: float | None,
    tx: float | None,
    **more: Any,  # noqa: ANN401
) -> NetworkInterface:
    known: dict[str, Any] = {
        "up": True,
        "speed_mbps": 1000 if kind is InterfaceKind.PHYSICAL else None,
        "rx_packets_per_sec": None if rx is None else rx / 800,
        "tx_packets_per_sec": None if tx is None else tx / 800,
        "errors_per_sec": 0.0,
        "drops_per_sec": 0.0,
    }
    return NetworkInterface(
        interface=name,
        kind=kind,
        rx_bytes_per_sec=rx,
        tx_bytes_per_sec=tx,
        rx_bytes=10**9,
        tx_bytes=10**9,
        **(known | more),
    )


def stall(some: float, full: float = 0.0) -> Stall:
    return Stall(some, full, some, some * 0.6, some * 0.3, full, full * 0.6, full * 0.3)


def process(pid: int, name: str, cpu: float, memory: int, io: float = 0.0, **more: Any) -> Process:  # noqa: ANN401
    known: dict[str, Any] = {
        "start_ms": 1_700_000_000_000 + pid,
        "user": "app",
        "state": "S",
        "cpu_host": cpu / 4,
        "memory": 100 * memory / (16 * GIB),
        "threads": 4,
        "container": None,
        "command": None,
    }
    return Process(
        pid=pid,
        name=name,
        cpu=cpu,
        memory_bytes=memory,
        read_bytes_per_sec=io / 4,
        write_bytes_per_sec=io * 3 / 4,
        **(known | more),
    )


def container(number: int, name: str, cpu: float, used: int, **more: Any) -> Container:  # noqa: ANN401
    known: dict[str, Any] = {
        "image": f"registry.example/{name}:1.{number}",
        "state": "running",
        "status": "Up 2 hours",
        "ports": [f"0.0.0.0:{8000 + number}->80/tcp"],
        "created": 1_690_000_000,
        "engine": "docker",
        "health": None,
        "cpu": ContainerCpu(cpu / 100, cpu / 4, cpu, None, None, None),
        "memory": ContainerMemory(used, used * 2, None, 100 * used / (16 * GIB)),
        "network": ContainerNetwork(cpu * 9000, cpu * 3000),
        "io": ContainerIo(cpu * 100, cpu * 900),
        "pids": 12,
        "age_ms": 400.0,
        "error": None,
    }
    return Container(id=f"{number:012x}", name=name, **(known | more))


def stopped(number: int, name: str) -> Container:
    was = container(number, name, 0, 0, state="exited", status="Exited (0) 3 days ago")
    return evolve(was, cpu=None, memory=None, network=None, io=None, pids=None, age_ms=None)


# Hosts


def idle(tick: int) -> Full:
    """A small server that has nothing to do, and next to no hardware to tell of."""
    cores: list[float | None] = [1.0 + tick % 3, 2.0]
    return Full(
        cpu=processors(1.5 + tick % 3 / 2, cores),
        memory=main_memory(4 * GIB, GIB),
        disk=Disk(total=40 * GIB, used=10 * GIB, free=30 * GIB, usage=25.0, path="/"),
        uptime=86_400.0 * 40 + tick,
        hostname="idle-1",
        swap=Swap(0, 0, 0, None, 0.0, 0.0),
        disks=[volume("/", 25.0, 40 * GIB)],
        disk_io=[drive("vda", 0.1, 0.0, 600.0)],
        network=[
            link("eth0", InterfaceKind.PHYSICAL, 400.0, 300.0, speed_mbps=None),
            link("lo", InterfaceKind.LOOPBACK, 0.0, 0.0),
        ],
        temperatures=[],
        fans=[],
        battery=None,
        pressure=Pressure(CALM, CALM, CALM, None),
        boot_time=1_690_000_000_000,
        self_=OwnCost(0.4, 48 * MIB, 2.1, 1, 0, 0.9),
        errors=[],
    )


def busy(tick: int) -> Full:
    """A data base on a disk that is too slow, with everything that a host can have."""
    wave = (tick * 7919 % 40) / 40
    cores: list[float | None] = [38.0 + 20 * wave, 91.0 + 6 * wave, 22.0, 31.0]
    return Full(
        cpu=processors(45.0 + 10 * wave, cores, iowait=31.0, user=30.0, system=9.0),
        memory=main_memory(16 * GIB, int((11 + wave) * GIB)),
        disk=Disk(total=100 * GIB, used=91 * GIB, free=8 * GIB, usage=91.9, path="/"),
        uptime=3 * 86_400.0 + 4 * 3600 + tick,
        hostname="db-1",
        swap=Swap(2 * GIB, GIB // 2, 3 * GIB // 2, 25.0, 0.0, 120.0 * KIB),
        disks=[
            volume("/", 91.9),
            volume("/srv/data", 78.0, 2000 * GIB),
            volume("/boot", 31.0, GIB),
            volume("/boot/efi", 6.0, GIB // 2),
            volume("/mnt/backup", 52.0, 4000 * GIB, remote=True),
        ],
        disk_io=[
            drive("nvme0n1", 97.0, (4 + 9 * wave) * MIB, (60 + 30 * wave) * MIB),
            drive("sda", 3.0, 40.0 * KIB, 0.0),
            *(drive(f"loop{number}", 0.0, 0.0, 0.0) for number in range(4)),
        ],
        network=[
            link("eth0", InterfaceKind.PHYSICAL, (3 + 2 * wave) * MIB, (11 + 5 * wave) * MIB),
            link("docker0", InterfaceKind.VIRTUAL, 300.0 * KIB, 80.0 * KIB),
            link("wlan0", InterfaceKind.PHYSICAL, 0.0, 0.0, up=False),
            *(link(f"veth{number:04x}", InterfaceKind.VIRTUAL, 0.0, 0.0) for number in range(6)),
            link("lo", InterfaceKind.LOOPBACK, 20.0 * KIB, 20.0 * KIB),
        ],
        temperatures=[
            Temperature("coretemp", "Package id 0", 71.0 + 3 * wave, 80.0, 100.0),
            *(Temperature("coretemp", f"Core {core}", 60.0 + core, 80.0, 100.0) for core in (0, 1)),
            Temperature("nvme", "Composite", 78.0, 82.0, 85.0),
            Temperature("acpitz", "", 28.0, None, None),
        ],
        fans=[Fan("thinkpad", "", 3100), Fan("nct6775", "CPU", 1240)],
        battery=Battery(76.0, charging=False, secs_left=7800.0),
        pressure=Pressure(stall(12.0), stall(1.5), stall(38.0 + 9 * wave, 21.0), None),
        boot_time=1_690_000_000_000,
        self_=OwnCost(0.9, 52 * MIB, 4.4, 3, 0, 2.4),
        errors=[],
    )


def large(tick: int) -> Full:
    """A host of 64 cores and 20 disks that are all in use."""
    cores: list[float | None] = [float((core * 37 + tick * 11) % 101) for core in range(63)]
    there = busy(tick)
    return evolve(
        there,
        hostname="node-17.rack-4.example",
        cpu=processors(88.0, [*cores, None]),
        memory=main_memory(1024 * GIB, 700 * GIB),
        disks=[volume(f"/srv/disk-{number:02}", 96.5 - number * 4) for number in range(20)],
        disk_io=[
            drive(f"sd{chr(97 + n)}", 99.0 - 5 * n, n * MIB, 40 * MIB / (n + 1)) for n in range(20)
        ],
        pressure=Pressure(stall(61.0), stall(0.2), stall(7.0), stall(0.0)),
        swap=Swap(8 * GIB, 0, 8 * GIB, 0.0, 0.0, 0.0),
    )


def bare(tick: int) -> Full:
    """A host of which nothing is known but what heritage has."""
    shares = ("user", "system", "nice", "iowait", "irq", "softirq", "steal", "usage_max")
    rates = ("frequency_MHz", "context_switches_per_sec", "interrupts_per_sec")
    nothing: dict[str, Any] = dict.fromkeys((*shares, *rates, "physical_cores"))
    unknown: dict[str, Any] = dict.fromkeys(
        ["available", "unused", "buffers", "cached", "shared", "reclaimable", "scope"]
    )
    silent: dict[str, Any] = dict.fromkeys(
        ["total", "used", "free", "reserved", "usage", "inodes_usage", "age_ms"]
    )
    return evolve(
        idle(tick),
        hostname="bare-1",
        cpu=processors(20.0, [None, None], **nothing),
        memory=main_memory(4 * GIB, GIB, **unknown),
        swap=None,
        disks=[volume("/mnt/nfs", 0.0, status=VolumeStatus.TIMEOUT, **silent)],
        disk_io=[drive("vda", None, None, None)],
        network=[link("eth0", InterfaceKind.VIRTUAL, None, None, up=None)],
        temperatures=[Temperature("acpitz", "", None, None, None)],
        fans=[Fan("fan", "", None)],
        battery=Battery(None, charging=None, secs_left=None),
        pressure=None,
        boot_time=None,
        self_=OwnCost(None, None, None, None, None, None),
        errors=[GroupError("network", "EACCES", 1_700_000_000_000)],
    )


# Who lives on them

BUSY_PROCESSES = Processes(
    total=312,
    running=3,
    threads=1204,
    top=10,
    items=[
        process(2112, "postgres", 187.4, 3 * GIB, 61 * MIB, state="D", user="postgres"),
        process(4011, "ffmpeg", 98.7, 400 * MIB, 3 * MIB, user="media"),
        process(990, "java", 31.0, 5 * GIB, 40 * KIB, container="4c01db0b339c"),
        process(991, "node", 12.2, 812 * MIB, 0.0),
        process(1, "systemd", 0.1, 14 * MIB, 0.0, user="root"),
        process(73, "kworker/u8:2+flush-259:0", 4.0, 0, 0.0, user="root", state="D"),
        process(800, "prometheus-node-exporter", 1.4, 32 * MIB, 0.0, user="prometheus"),
        process(801, "dockerd", 2.0, 120 * MIB, 90 * KIB, user="root"),
        process(802, "containerd", 0.9, 64 * MIB, 0.0, user="root"),
        process(803, "sshd", 0.0, 9 * MIB, 0.0, user="root"),
        process(804, "<b>nobody</b>" + "x" * 200, 0.3, 5 * MIB, 0.0),
    ],
)
BUSY_CONTAINERS = [
    container(1, "shop-web", 42.0, 300 * MIB, health="healthy"),
    container(2, "shop-api", 130.5, 900 * MIB),
    container(3, "cache", 3.0, 120 * MIB),
    container(
        4,
        "mailer",
        0.2,
        480 * MIB,
        health="unhealthy",
        memory=ContainerMemory(480 * MIB, GIB, 512 * MIB, 93.75),
    ),
    stopped(5, "migrate-2023"),
    stopped(6, "backup-once"),
]
MANY_CONTAINERS = [
    *(container(n, f"worker-{n:02}", n * 17 % 90, (n % 9 + 1) * 90 * MIB) for n in range(34)),
    *(stopped(n, f"job-{n}") for n in range(34, 40)),
]
