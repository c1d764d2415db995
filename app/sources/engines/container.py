"""What an engine says of one container, as values: its entry in the list, its settings, its usage.

Docker and Podman, cgroup v1 and v2, fill in different parts of the same answers. So nothing is
taken for granted: what is not there, or is not what it should be, is None.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from attrs import frozen

from app.sources.engines.engine import Body

# Those for which the engine has figures.
LIVE = frozenset({"running", "paused"})
NANO = 1_000_000_000
# What the kernel takes where a quota comes without a period, in microseconds.
CPU_PERIOD_US = 100_000
# In the status for people: "Up 2 hours (healthy)", "Up 3 seconds (health: starting)".
_HEALTH = re.compile(r"\((?:health: )?(healthy|unhealthy|starting)\)")
_HEALTHS = frozenset({"healthy", "unhealthy", "starting"})
# A network namespace that is the host's, nobody's, or another container's.
_NO_NETWORK = re.compile(r"host|none|container:.*|ns:.*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@frozen
class Listed:
    """An entry of the engine's list; ``identity`` is the whole of it, the rest as on the wire."""

    identity: str
    name: str
    image: str
    state: str
    status: str
    ports: tuple[str, ...]
    created: int

    @property
    def live(self) -> bool:
        """Whether the engine has figures of it."""
        return self.state in LIVE

    @property
    def health(self) -> str | None:
        """What its status tells of its health check, if anything."""
        found = _HEALTH.search(self.status)
        return found[1] if found else None


@frozen
class Facts:
    """What is known of a container until it is changed.

    ``limit_cores`` is None for no limit; ``networked`` tells whether it has a network of its own.
    """

    limit_cores: float | None
    networked: bool
    health: str | None


class Counters(NamedTuple):
    """What is counted of a container, None where the engine does not count it.

    ``read`` is when, in microseconds since the epoch by the engine's clock; ``cpu`` is in
    nanoseconds; ``periods`` are those that had processor time to share out, ``throttled`` those in
    which it was held back; the others are bytes.
    """

    read: int
    cpu: int
    periods: int | None
    throttled: int | None
    received: int | None
    sent: int | None
    read_bytes: int | None
    written: int | None


@frozen
class Usage:
    """One measurement of a container; ``taken`` is when it came, in monotonic seconds.

    ``parts`` names the networks and disks that its counters are sums over. ``memory`` is all of
    it, ``inactive`` the part that is file cache nobody uses, both in bytes.
    """

    counters: Counters
    parts: str
    memory: int | None
    inactive: int
    memory_limit: int | None
    pids: int | None
    taken: float


def listed(body: Body) -> Listed | None:
    """Read an entry of the list; None if it says not even which container it is of."""
    identity = body.get("Id")
    if not isinstance(identity, str):
        return None
    return Listed(
        identity=identity,
        name=_name(body.get("Names")),
        image=_text(body.get("Image")),
        state=_text(body.get("State")).lower(),
        status=_text(body.get("Status")),
        ports=tuple(dict.fromkeys(map(_port, sorted(_dicts(body.get("Ports")), key=_port_order)))),
        created=_whole(body, "Created") or 0,
    )


def _name(names: object) -> str:
    texts = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    # With links there are more: "/web/db" is the name that web knows it by.
    return min(texts, key=lambda name: name.count("/"), default="").removeprefix("/")


def _port_order(port: Body) -> tuple[int, str, str, int]:
    private, public = _whole(port, "PrivatePort") or 0, _whole(port, "PublicPort") or 0
    return private, _text(port.get("Type")), _text(port.get("IP")), public


def _port(port: Body) -> str:
    private, kind, address, public = _port_order(port)
    if not public:
        return f"{private}/{kind}"
    address = f"[{address}]" if ":" in address else address
    return f"{address}:{public}->{private}/{kind}"


def facts(body: Body) -> Facts:
    """Read what ``inspect`` tells."""
    mode = _text(_at(body, "HostConfig", "NetworkMode"))
    health = _at(body, "State", "Health", "Status")
    return Facts(
        limit_cores=_limit_cores(body),
        networked=_NO_NETWORK.fullmatch(mode) is None,
        health=health if health in _HEALTHS else None,
    )


def _limit_cores(body: Body) -> float | None:
    nano = _whole(body, "HostConfig", "NanoCpus") or 0
    if nano > 0:
        return nano / NANO
    quota = _whole(body, "HostConfig", "CpuQuota") or 0
    period = _whole(body, "HostConfig", "CpuPeriod") or CPU_PERIOD_US
    return quota / period if quota > 0 and period > 0 else None


def usage(body: Body, taken: float) -> Usage | None:
    """Read what ``stats`` tells; None if there are no figures in it, as of one that has stopped."""
    read = _moment(body.get("read"))
    cpu = _whole(body, "cpu_stats", "cpu_usage", "total_usage")
    if read is None or cpu is None:
        return None
    networks = _at(body, "networks")
    networks = networks if isinstance(networks, dict) else {}
    disks = _dicts(_at(body, "blkio_stats", "io_service_bytes_recursive"))
    names = {*networks, *(f"{disk.get('major')}:{disk.get('minor')}" for disk in disks)}
    memory = _whole(body, "memory_stats", "usage")
    return Usage(
        Counters(
            read=read,
            cpu=cpu,
            periods=_whole(body, "cpu_stats", "throttling_data", "periods"),
            throttled=_whole(body, "cpu_stats", "throttling_data", "throttled_periods"),
            received=_sum(_whole(network, "rx_bytes") for network in networks.values()),
            sent=_sum(_whole(network, "tx_bytes") for network in networks.values()),
            read_bytes=_operations(disks, "read"),
            written=_operations(disks, "write"),
        ),
        parts=sys.intern(" ".join(sorted(names))),  # one text for all samples
        memory=memory,
        inactive=_inactive(body, memory or 0),
        memory_limit=_whole(body, "memory_stats", "limit"),
        pids=_whole(body, "pids_stats", "current"),
        taken=taken,
    )


def _inactive(body: Body, memory: int) -> int:
    """Give the file cache that nobody uses, of cgroup v1 and v2; what is more than all is wrong."""
    for name in ("total_inactive_file", "inactive_file"):
        inactive = _whole(body, "memory_stats", "stats", name)
        if inactive is not None and inactive <= memory:
            return inactive
    return 0


def _operations(disks: list[Body], name: str) -> int | None:
    return _sum(_whole(disk, "value") for disk in disks if _text(disk.get("op")).lower() == name)


def _sum(figures: Iterable[int | None]) -> int | None:
    """Add up what is known; None if nothing is."""
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None


def _moment(text: object) -> int | None:
    """Read a time as microseconds since the epoch; None for the year 1, Go's word for never."""
    try:
        moment = datetime.fromisoformat(_text(text))
        since = moment.astimezone(UTC) - _EPOCH
    except (ValueError, OverflowError):
        return None
    return since // timedelta(microseconds=1) if since > timedelta() else None


def _at(body: object, *path: str) -> Any:  # noqa: ANN401 - any JSON
    for key in path:
        body = body.get(key) if isinstance(body, dict) else None
    return body


def _whole(body: object, *path: str) -> int | None:
    value = _at(body, *path)
    return value if type(value) is int and value >= 0 else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _dicts(value: object) -> list[Body]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
