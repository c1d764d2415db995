"""Network traffic against the kernel's own counters, on made-up machines, and of any stream."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.devices.network import NetMeter, render_network
from schema.devices import InterfaceKind, NetworkInterface
from tests.manual_clock import ManualClock

FIELDS = (
    "bytes_recv",
    "bytes_sent",
    "packets_recv",
    "packets_sent",
    "errin",
    "errout",
    "dropin",
    "dropout",
)


def shown(*figures: int) -> SimpleNamespace:
    """Make what psutil shows of one interface's traffic; what is not given is 0."""
    return SimpleNamespace(**dict.fromkeys(FIELDS, 0) | dict(zip(FIELDS, figures, strict=False)))


def link(*, up: bool = True, speed: int = 1000, flags: str = "up,running") -> SimpleNamespace:
    """Make what psutil shows of one interface's link."""
    return SimpleNamespace(isup=up, speed=speed, flags=flags)


def interface(sys: Path, name: str, *, device: bool = False, type_: str = "1") -> Path:
    """Make an interface as sysfs has it."""
    folder = sys / "class" / "net" / name
    folder.mkdir(parents=True)
    (folder / "type").write_text(type_ + "\n")
    if device:
        (folder / "device").mkdir()
    return folder


def items(
    sys: Path, links: Mapping[str, SimpleNamespace], *names: str
) -> dict[str, NetworkInterface]:
    read = NetMeter(lambda: dict.fromkeys(names, shown()), lambda: links, sys)
    return {item.interface: item for item in render_network(None, read(), 1.0)}


# ---- against the machine


def test_rates_are_what_the_kernel_counts_over_the_same_window() -> None:
    """Within the bounds of readings of /proc/net/dev right before and right after each."""
    read = NetMeter()
    outer, first, inner = kernel(), read(), kernel()
    began = time.monotonic()
    talk()
    inner_end, last, outer_end = kernel(), read(), kernel()
    seconds = time.monotonic() - began
    found = render_network(first, last, seconds)
    assert [item.interface for item in found] == sorted(last.counted)
    for item in found:
        name = item.interface
        for index, figure in enumerate(
            (
                item.rx_bytes_per_sec,
                item.rx_packets_per_sec,
                item.tx_bytes_per_sec,
                item.tx_packets_per_sec,
            )
        ):
            assert figure is not None
            least = inner_end[name][index] - inner[name][index]
            most = outer_end[name][index] - outer[name][index]
            assert least / seconds - 0.01 <= figure <= most / seconds + 0.01
        assert inner_end[name][0] <= item.rx_bytes <= outer_end[name][0]
    (loopback,) = (item for item in found if item.kind is InterfaceKind.LOOPBACK)
    assert loopback.up
    assert loopback.rx_bytes_per_sec is not None
    assert loopback.rx_bytes_per_sec * seconds > 2**19


def kernel() -> dict[str, tuple[int, int, int, int]]:
    """Give bytes and packets in, bytes and packets out, of all interfaces (proc_net_dev(5))."""
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    figures = {line.partition(":")[0].strip(): line.partition(":")[2].split() for line in lines}
    return {
        name: (int(told[0]), int(told[1]), int(told[8]), int(told[9]))
        for name, told in figures.items()
    }


def talk() -> None:
    """Send half a mebibyte through the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near:
        near.bind(("127.0.0.1", 0))
        for _ in range(16):
            near.sendto(bytes(32_768), near.getsockname())


def test_a_step_back_is_never_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is what psutil does, unless it is told not to."""
    asked: list[dict[str, bool]] = []

    def counters(**how: bool) -> Mapping[str, object]:
        asked.append(how)
        return {}

    monkeypatch.setattr(psutil, "net_io_counters", counters)
    NetMeter()()
    assert asked == [{"pernic": True, "nowrap": False}]


# ---- what an interface is


def test_kinds_are_told_by_what_is_behind_an_interface(tmp_path: Path) -> None:
    """Hardware has a device; the loopback interface has a type, or a flag, of its own."""
    interface(tmp_path, "eth0", device=True)
    interface(tmp_path, "veth1")
    interface(tmp_path, "lo", type_="772")
    found = items(
        tmp_path, {"lo0": link(flags="up,loopback,running")}, "eth0", "veth1", "lo", "lo0", "odd"
    )
    assert {name: item.kind.value for name, item in found.items()} == {
        "eth0": "physical",
        "veth1": "virtual",
        "lo": "loopback",
        "lo0": "loopback",
        "odd": "virtual",
    }


def test_hardware_that_another_one_counts_for_does_not_count_twice(tmp_path: Path) -> None:
    """But what a bond or a bridge is made of is hardware."""
    pair = interface(tmp_path, "eth0", device=True)
    (interface(tmp_path, "enP1", device=True) / "master").symlink_to(pair)
    bond = interface(tmp_path, "bond0")
    (interface(tmp_path, "eth1", device=True) / "master").symlink_to(bond)
    found = items(tmp_path, {}, "eth0", "enP1", "bond0", "eth1")
    assert [name for name, item in found.items() if item.kind is InterfaceKind.PHYSICAL] == [
        "eth0",
        "eth1",
    ]


@pytest.mark.parametrize(("speed", "told"), [(1000, 1000), (0, None), (-1, None)])
def test_a_speed_that_is_not_known_is_none(tmp_path: Path, speed: int, told: int | None) -> None:
    """And no 0."""
    assert items(tmp_path, {"eth0": link(speed=speed)}, "eth0")["eth0"].speed_mbps == told


def test_whether_it_is_up_is_not_known_if_nobody_tells(tmp_path: Path) -> None:
    """It came after the others were asked about."""
    found = items(tmp_path, {"eth0": link(up=False)}, "eth0", "eth1")
    assert (found["eth0"].up, found["eth1"].up) == (False, None)


def test_links_that_cannot_be_read_cost_no_traffic(tmp_path: Path) -> None:
    """Only what is known of the links."""

    def refuse() -> Mapping[str, Any]:
        raise PermissionError("no")

    read = NetMeter(lambda: {"eth0": shown(7)}, refuse, tmp_path)
    (item,) = render_network(read(), read(), 1.0)
    assert (item.up, item.speed_mbps, item.rx_bytes, item.rx_bytes_per_sec) == (None, None, 7, 0.0)


def test_links_are_read_every_ten_seconds_and_when_one_comes(tmp_path: Path) -> None:
    """In between, samples share them."""
    clock, asked = ManualClock(), []
    interfaces = {"eth0": shown()}

    def stats() -> Mapping[str, Any]:
        asked.append(clock.now)
        return {}

    read = NetMeter(lambda: dict(interfaces), stats, tmp_path, clock.clock.monotonic)
    assert read().links is read().links
    interfaces["eth1"] = shown()
    read()
    clock.now += 10
    read()
    assert asked == [1000.0, 1000.0, 1010.0]


# ---- what is told


def test_a_window_gives_means() -> None:
    """Errors and drops of both ways are one figure each."""
    streams = iter([{"eth0": shown(*[0] * 8)}, {"eth0": shown(80, 40, 8, 4, 1, 3, 2, 6)}])
    read = NetMeter(lambda: next(streams), lambda: {"eth0": link()}, Path("/nowhere"))
    assert render_network(read(), read(), 4.0) == [
        NetworkInterface(
            interface="eth0",
            kind=InterfaceKind.VIRTUAL,
            up=True,
            speed_mbps=1000,
            rx_bytes_per_sec=20.0,
            tx_bytes_per_sec=10.0,
            rx_packets_per_sec=2.0,
            tx_packets_per_sec=1.0,
            errors_per_sec=1.0,
            drops_per_sec=2.0,
            rx_bytes=80,
            tx_bytes=40,
        )
    ]


def test_an_interface_that_was_removed_and_came_back_has_no_rates() -> None:
    """Its counters began anew, or at least nobody saw that they did not."""
    streams = iter([{"eth0": shown(1000)}, {"eth0": shown(50)}, {}, {"eth0": shown(60)}])
    read = NetMeter(lambda: next(streams), dict, Path("/nowhere"))
    samples = [read() for _ in range(4)]
    for first, last in [(0, 1), (1, 3), (2, 3)]:
        (item,) = render_network(samples[first], samples[last], 1.0)
        assert (item.rx_bytes_per_sec, item.errors_per_sec) == (None, None)


def test_a_reading_that_failed_leaves_rates_unknown() -> None:
    """At the end of the window there is nothing, at its beginning there are no rates."""
    reading = NetMeter(lambda: {"eth0": shown(7)}, dict, Path("/nowhere"))()
    assert render_network(reading, None, 1.0) == []
    (item,) = render_network(None, reading, 1.0)
    assert (item.rx_bytes, item.rx_bytes_per_sec) == (7, None)


COUNTER = st.one_of(st.integers(0, 100), st.integers(0, 2**64))
FIGURES = st.tuples(*[COUNTER] * 8)


@given(
    stream=st.lists(st.dictionaries(st.sampled_from("ab"), FIGURES), min_size=2, max_size=6),
    seconds=st.floats(0.05, 100),
)
def test_any_stream_of_counters_gives_physical_values_or_none(
    stream: list[dict[str, tuple[int, ...]]], seconds: float
) -> None:
    """Nothing negative, and nothing above what was counted."""
    readings = iter(
        [{name: shown(*figures) for name, figures in reading.items()} for reading in stream]
    )
    read = NetMeter(lambda: next(readings), dict, Path("/nowhere"))
    samples = [read() for _ in stream]
    for first in samples[:-1]:
        for item in render_network(first, samples[-1], seconds):
            counted = stream[-1][item.interface]
            most = (*counted[:4], counted[4] + counted[5], counted[6] + counted[7])
            rates = (
                item.rx_bytes_per_sec,
                item.tx_bytes_per_sec,
                item.rx_packets_per_sec,
                item.tx_packets_per_sec,
                item.errors_per_sec,
                item.drops_per_sec,
            )
            for figure, bound in zip(rates, most, strict=True):
                assert figure is None or 0 <= figure <= bound / seconds * (1 + 1e-9) + 0.01
