"""What goes through the network interfaces, and what is behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from attrs import define, field, frozen

from app.sources.counters import Counted, Lives, grown, rate
from app.sources.devices.known import Known
from schema.devices import InterfaceKind, NetworkInterface

# ARPHRD_LOOPBACK of if_arp.h.
_LOOPBACK = "772"


class NetCounters(NamedTuple):
    """One interface's counters since it came up: bytes, packets, what was lost, by direction."""

    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_errors: int
    tx_errors: int
    rx_drops: int
    tx_drops: int

    @property
    def errors(self) -> int:
        """Packets lost by errors, both ways."""
        return self.rx_errors + self.tx_errors

    @property
    def drops(self) -> int:
        """Packets dropped, both ways."""
        return self.rx_drops + self.tx_drops


class NetLink(NamedTuple):
    """What an interface is, as far as it is known; ``speed`` in Mbit/s."""

    kind: InterfaceKind
    up: bool | None
    speed: int | None


@frozen
class NetSample:
    """All interfaces at one moment; ``links`` has those of ``counted``, and is shared."""

    counted: Mapping[str, Counted[NetCounters]]
    links: Mapping[str, NetLink]


def _net_io_counters() -> Mapping[str, Any]:
    # Not `nowrap`: it makes a jump of a terabyte out of a small step back.
    return psutil.net_io_counters(pernic=True, nowrap=False)


@define(eq=False)
class NetMeter:
    """Reads the counters of all interfaces, by name, and now and then what they are.

    ``read`` and ``stats`` give objects with psutil's fields for each interface, ``sys`` is where
    sysfs is, ``clock`` gives monotonic seconds.
    """

    read: Callable[[], Mapping[str, Any]] = _net_io_counters
    stats: Callable[[], Mapping[str, Any]] = psutil.net_if_stats
    sys: Path = Path("/sys")
    clock: Callable[[], float] = time.monotonic
    _lives: Lives[NetCounters] = field(init=False, factory=Lives)
    _links: Known[Mapping[str, NetLink]] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._links = Known(self._look_up, self.clock)

    def __call__(self) -> NetSample:
        """Read them once.

        Raises:
            Exception: whatever reading the counters raised.
        """
        interfaces = self.read()
        links = self._links(interfaces.keys())
        return NetSample(
            self._lives({name: _counters(shown) for name, shown in interfaces.items()}), links
        )

    def _look_up(self, names: AbstractSet[str]) -> Mapping[str, NetLink]:
        try:
            stats = self.stats()
        except OSError:  # one that went in this moment, or refuses: no reason to lose the counters
            stats = {}
        return {name: self._link(name, stats.get(name)) for name in names}

    def _link(self, name: str, shown: Any) -> NetLink:  # noqa: ANN401 - psutil's, by its fields
        flags = getattr(shown, "flags", "").split(",")
        kind = self._kind(name, loopback="loopback" in flags)
        if shown is None:
            return NetLink(kind, None, None)
        return NetLink(kind, shown.isup, shown.speed if shown.speed > 0 else None)

    def _kind(self, name: str, *, loopback: bool) -> InterfaceKind:
        folder = self.sys / "class" / "net" / name
        if loopback or _type(folder) == _LOOPBACK:
            return InterfaceKind.LOOPBACK
        # The fast half of a pair of hardware devices (SR-IOV under Hyper-V) is counted for the
        # other half too, which is its master.
        if (folder / "device").exists() and not (folder / "master" / "device").exists():
            return InterfaceKind.PHYSICAL
        return InterfaceKind.VIRTUAL


def _type(folder: Path) -> str:
    try:
        return (folder / "type").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _counters(shown: Any) -> NetCounters:  # noqa: ANN401 - psutil's, by its fields
    return NetCounters(
        rx_bytes=shown.bytes_recv,
        tx_bytes=shown.bytes_sent,
        rx_packets=shown.packets_recv,
        tx_packets=shown.packets_sent,
        rx_errors=shown.errin,
        tx_errors=shown.errout,
        rx_drops=shown.dropin,
        tx_drops=shown.dropout,
    )


def render_network(
    first: NetSample | None, last: NetSample | None, seconds: float
) -> list[NetworkInterface]:
    """Give each interface's means over a window, sorted by name.

    Args:
        first: the reading at its beginning; None if it failed.
        last: the reading at its end; None if it failed, and there is nothing to tell.
        seconds: its length.
    """
    if last is None:
        return []
    before = first.counted if first else {}
    return [
        _interface(name, last.links[name], before.get(name), counted, seconds)
        for name, counted in sorted(last.counted.items())
    ]


def _interface(
    name: str,
    link: NetLink,
    first: Counted[NetCounters] | None,
    last: Counted[NetCounters],
    seconds: float,
) -> NetworkInterface:
    ends = grown(first, last)

    def mean(count: Callable[[NetCounters], int]) -> float | None:
        return rate(count(ends[0]), count(ends[1]), seconds) if ends else None

    return NetworkInterface(
        interface=name,
        kind=link.kind,
        up=link.up,
        speed_mbps=link.speed,
        rx_bytes_per_sec=mean(lambda counters: counters.rx_bytes),
        tx_bytes_per_sec=mean(lambda counters: counters.tx_bytes),
        rx_packets_per_sec=mean(lambda counters: counters.rx_packets),
        tx_packets_per_sec=mean(lambda counters: counters.tx_packets),
        errors_per_sec=mean(lambda counters: counters.errors),
        drops_per_sec=mean(lambda counters: counters.drops),
        rx_bytes=last.counters.rx_bytes,
        tx_bytes=last.counters.tx_bytes,
    )
