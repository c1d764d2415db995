"""Figures of a host that has everything, for the terminal view to show."""

from __future__ import annotations

import math

from attrs import evolve

from app.client import State, Status
from app.watch.picture import Picture
from app.watch.screen import Connection
from schema.containers import (
    Container,
    ContainerCpu,
    ContainerIo,
    ContainerMemory,
    ContainerNetwork,
    ContainersMessage,
)
from schema.cursor import Cursor
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
from schema.memory import FullMemory, MemoryScope, Swap
from schema.messages import Connected
from schema.metrics import Disk, Full, FullCpu, MetricsMessage, OwnCost, Standard
from schema.pressure import Pressure, Stall
from schema.processes import Process, Processes, ProcessesMessage

GIB = 2**30
SERVER = Connected(
    1, "c", "first", 15_000, "pulsewire.v1", "0.1.0", 1000, ["metrics", "containers", "processes"]
)
UP = Connection(
    State(Status.CONNECTED, "websocket", server=SERVER), "http://vm:8321", 0.0021, age=1.2
)


def stall(some: float, full: float | None) -> Stall:
    return Stall(some, full, some, some, some, full, full, full)


def volume(mount: str, used: int, total: int, status: VolumeStatus = VolumeStatus.OK) -> DiskVolume:
    return DiskVolume(
        id=mount,
        device="/dev/sda1",
        fs_type="ext4",
        mounts=[mount, "/old"] if mount.startswith("/srv") else [mount],
        total=total * GIB,
        used=used * GIB,
        free=(total - used) * GIB,
        reserved=0,
        usage=100 * used / total,
        inodes_usage=3.0,
        read_only=mount == "/boot",
        remote=False,
        status=status,
        age_ms=10,
    )


def disk_io(device: str, busy: float | None) -> DiskIo:
    return DiskIo(
        device=device,
        read_bytes_per_sec=1_234_567.0,
        write_bytes_per_sec=None,
        reads_per_sec=12.0,
        writes_per_sec=0.0,
        busy=busy,
        read_latency_ms=0.41,
        write_latency_ms=None,
    )


def interface(
    name: str, kind: InterfaceKind, rx: float | None = 0.0, *, up: bool | None = True
) -> NetworkInterface:
    return NetworkInterface(
        interface=name,
        kind=kind,
        up=up,
        speed_mbps=1000 if kind is InterfaceKind.PHYSICAL else None,
        rx_bytes_per_sec=rx,
        tx_bytes_per_sec=rx,
        rx_packets_per_sec=10.0,
        tx_packets_per_sec=10.0,
        errors_per_sec=0.0,
        drops_per_sec=0.0,
        rx_bytes=10**12,
        tx_bytes=10**12,
    )


def full(cores: int = 4) -> Full:
    return Full(
        cpu=FullCpu(
            usage=37.2,
            cores=cores,
            load_avg=[0.51, 0.84, 0.49],
            usage_max=71.0,
            user=20.1,
            system=12.3,
            nice=0.0,
            iowait=3.1,
            irq=0.0,
            softirq=0.4,
            steal=0.2,
            per_core=[(17 * n) % 101 for n in range(cores)],
            physical_cores=cores // 2,
            frequency_MHz=2300.0,
            context_switches_per_sec=12_034.0,
            interrupts_per_sec=8_000.0,
            limit_cores=2.0,
            throttled_percent=1.0,
        ),
        memory=FullMemory(
            total=24 * GIB,
            used=9 * GIB,
            free=15 * GIB,
            usage=37.5,
            available=15 * GIB,
            unused=3 * GIB,
            buffers=GIB // 3,
            cached=9 * GIB,
            shared=GIB // 9,
            reclaimable=GIB // 5,
            zfs_arc=2 * GIB,
            limit=16 * GIB,
            limit_usage=56.0,
            scope=MemoryScope.CGROUP,
        ),
        disk=Disk(252 * GIB, 26 * GIB, 75 * GIB, 25.97, "/"),
        uptime=442_000.0,
        hostname="vm",
        swap=Swap(2 * GIB, GIB // 8, 2 * GIB - GIB // 8, 6.2, 0.0, 4096.0),
        disks=[
            volume("/", 26, 101),
            volume("/boot", 1, 2),
            volume("/srv/archive", 1900, 2000),
            volume("/mnt/nfs", 3, 10, VolumeStatus.TIMEOUT),
        ],
        disk_io=[disk_io("sda", 12.5), disk_io("nvme0n1", 97.0), disk_io("sdb", None)],
        network=[
            interface("docker0", InterfaceKind.VIRTUAL, up=False),
            interface("eth0", InterfaceKind.PHYSICAL, 12_345_678.0),
            interface("lo", InterfaceKind.LOOPBACK, 512.0),
            interface("veth12", InterfaceKind.VIRTUAL, None, up=None),
        ],
        temperatures=[
            Temperature("coretemp", "Package id 0", 54.0, 80.0, 100.0),
            Temperature("nvme", "Composite", 81.0, 80.0, 90.0),
            Temperature("acpitz", "", 101.0, 80.0, 100.0),
            Temperature("broken", "", None, None, None),
        ],
        fans=[Fan("thinkpad", "", 2100.0), Fan("nct", "cpu fan", None)],
        battery=Battery(80.0, charging=True, secs_left=None),
        pressure=Pressure(stall(1.2, None), stall(0.0, 0.0), stall(9.9, 4.0), None),
        boot_time=1,
        self_=OwnCost(1.0, 40 * 2**20, 1.0, 1, 0, 0.1),
        errors=[],
    )


def metrics(data: Full | Standard, seq: int = 1) -> MetricsMessage:
    return MetricsMessage(seq * 1000, Cursor("first", seq), "vm", 1000, 1000, data)


def process(pid: int, cpu: float | None, name: str = "postgres") -> Process:
    return Process(
        pid=pid,
        start_ms=1,
        name=name,
        user="postgres",
        state="S",
        cpu=cpu,
        cpu_host=None if cpu is None else cpu / 4,
        memory_bytes=pid * 2**20,
        memory=1.2,
        threads=4,
        read_bytes_per_sec=None,
        write_bytes_per_sec=4096.0,
        container=None,
        command=None,
    )


def processes(count: int = 30) -> ProcessesMessage:
    items = [process(1000 + 7 * n, max(0.0, 390.0 / (n + 1))) for n in range(count)]
    data = Processes(total=213, running=2, threads=845, top=10, items=items)
    return ProcessesMessage(1000, Cursor("first", 2), "vm", 1000, 1000, data)


def container(name: str, state: str = "running", health: str | None = None) -> Container:
    up = state == "running"
    return Container(
        id="0123456789ab",
        name=name,
        image=f"{name}:latest",
        state=state,
        status="Up 2 hours",
        ports=[],
        created=1,
        engine="docker",
        health=health,
        cpu=ContainerCpu(0.5, 12.5, 50.0, None, None, None) if up else None,
        memory=ContainerMemory(GIB // 2, GIB, GIB, 50.0) if up else None,
        network=ContainerNetwork(1024.0, 2048.0) if up else None,
        io=ContainerIo(0.0, 0.0) if up else None,
        pids=3,
        age_ms=10,
        error=None,
    )


def containers() -> ContainersMessage:
    data = [
        container("old", "exited"),
        container("web", health="healthy"),
        container("database", health="unhealthy"),
    ]
    return ContainersMessage(1000, Cursor("first", 3), "vm", 1000, 1000, data)


def picture(cores: int = 4) -> Picture:
    """A host that has everything, and two minutes of its past."""
    drawn = Picture()
    for second in range(120):
        usage = 50 + 49 * math.sin(second / 9)
        data = full(cores)
        drawn.take(metrics(evolve(data, cpu=evolve(data.cpu, usage=usage)), second), second)
    for message in (processes(), containers()):
        drawn.take(message, 120)
    return drawn
