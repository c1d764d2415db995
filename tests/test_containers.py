"""The payload of `containers`, out of what engines say: Docker and Podman, cgroup v1 and v2.

Nothing is asked here; the shapes are those that engines were seen to send.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from app.core.source import Source, Window
from app.sources.containers import ContainersSample, ContainersSource
from app.sources.counters import Lives
from app.sources.engines.container import Counters, Facts, Listed, Usage, facts, listed, usage
from app.sources.engines.engine import Host
from app.sources.engines.watch import Known, _Watched
from schema.codec import decode_server, encode
from schema.containers import Container, ContainersMessage, HeritageContainer
from schema.cursor import Cursor
from schema.fields import Detail
from schema.jsonschema import message_schema

SECOND = 1_000_000
MEMORY = 8 * 2**30
HOST = Host("docker", prompt=True, cores=4, memory=MEMORY)
ENTRY = Listed("4c01db0b339c" + "f" * 52, "shop", "nginx:1", "running", "Up 2 hours", (), 1)
PLAIN = Facts(limit_cores=None, networked=True, health=None)
COUNTERS = Counters(SECOND, 0, None, None, None, None, None, None)

# Docker 20.10 with cgroup v1, as it was seen.
DOCKER_V1: dict[str, Any] = {
    "read": "2026-11-28T15:48:49.049669072Z",
    "preread": "0001-01-01T00:00:00Z",
    "pids_stats": {"current": 1},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 253, "minor": 0, "op": "Read", "value": 4096},
            {"major": 253, "minor": 0, "op": "Write", "value": 512},
            {"major": 253, "minor": 0, "op": "Sync", "value": 4608},
            {"major": 253, "minor": 0, "op": "Total", "value": 4608},
            {"major": 8, "minor": 0, "op": "Read", "value": 1},
        ],
        "sectors_recursive": [],
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 1050378994, "percpu_usage": [352835728, 697543266]},
        "system_cpu_usage": 2545420000000,
        "online_cpus": 2,
        "throttling_data": {"periods": 21, "throttled_periods": 20, "throttled_time": 968662108},
    },
    "memory_stats": {
        "usage": 651264,
        "max_usage": 3825664,
        "stats": {"cache": 0, "inactive_file": 8192, "total_inactive_file": 4096},
        "limit": 67108864,
    },
    "name": "/cap",
}
# Docker with cgroup v2: other names and less of them.
DOCKER_V2: dict[str, Any] = {
    "read": "2026-11-28T15:48:49Z",
    "pids_stats": {"current": 5, "limit": 18446744073709551615},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 259, "minor": 0, "op": "read", "value": 8192},
            {"major": 259, "minor": 0, "op": "write", "value": 0},
        ],
        "io_serviced_recursive": None,
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 94184000, "usage_in_kernelmode": 1},
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "memory_stats": {
        "usage": 1000,
        "stats": {"anon": 5, "file": 7, "inactive_file": 300},
        "limit": 8359661568,
    },
    "networks": {
        "eth0": {"rx_bytes": 100, "tx_bytes": 10},
        "eth1": {"rx_bytes": 23, "tx_bytes": 4},
    },
}
# Podman 4 with cgroup v2: no cache, throttling that is never counted.
PODMAN: dict[str, Any] = {
    "read": "2022-10-12T14:26:59.720237086Z",
    "preread": "2022-10-12T14:26:54.717104419Z",
    "pids_stats": {"current": 147},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"major": 80, "minor": 202, "op": "read", "value": 0},
            {"major": 80, "minor": 202, "op": "write", "value": 5698093056},
            {"major": 80, "minor": 202, "op": "rios", "value": 7},
        ],
    },
    "cpu_stats": {
        "cpu_usage": {"total_usage": 407550299000},
        "system_cpu_usage": 2627940826000,
        "cpu": 42.80735007281072,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    },
    "memory_stats": {"usage": 1490853888, "limit": 33185812480},
    "networks": {"network": {"rx_bytes": 0, "tx_bytes": 0}},
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            DOCKER_V1,
            Usage(
                Counters(1795880929049669, 1050378994, 21, 20, None, None, 4097, 512),
                parts="253:0 8:0",
                memory=651264,
                inactive=4096,
                memory_limit=67108864,
                pids=1,
                taken=5.0,
            ),
            id="docker, cgroup v1",
        ),
        pytest.param(
            DOCKER_V2,
            Usage(
                Counters(1795880929000000, 94184000, 0, 0, 123, 14, 8192, 0),
                parts="259:0 eth0 eth1",
                memory=1000,
                inactive=300,
                memory_limit=8359661568,
                pids=5,
                taken=5.0,
            ),
            id="docker, cgroup v2",
        ),
        pytest.param(
            PODMAN,
            Usage(
                Counters(1665584819720237, 407550299000, 0, 0, 0, 0, 0, 5698093056),
                parts="80:202 network",
                memory=1490853888,
                inactive=0,
                memory_limit=33185812480,
                pids=147,
                taken=5.0,
            ),
            id="podman",
        ),
    ],
)
def test_the_figures_of_each_kind_of_engine_are_read(body: dict[str, Any], expected: Usage) -> None:
    """As they were recorded."""
    assert usage(body, 5.0) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"read": "0001-01-01T00:00:00Z"},
        {"read": "yesterday"},
        {"read": 5},
        {"read": "9999-12-31T23:59:59-23:59"},
        {"cpu_stats": {}},
        {"cpu_stats": {"cpu_usage": {"total_usage": -1}}},
        {"cpu_stats": {"cpu_usage": {"total_usage": 1.5}}},
        {"cpu_stats": None},
    ],
)
def test_without_a_time_or_a_count_there_are_no_figures(change: dict[str, Any]) -> None:
    """So are the answers about a container that has just stopped."""
    assert usage(DOCKER_V2 | change, 0.0) is None


def test_more_cache_than_memory_is_not_believed() -> None:
    """The two are not read at the same moment."""
    stats = {"total_inactive_file": 2000, "inactive_file": 1500}
    found = usage(DOCKER_V2 | {"memory_stats": {"usage": 1000, "stats": stats}}, 0.0)
    assert found is not None
    assert (found.memory, found.inactive, found.memory_limit) == (1000, 0, None)


def test_an_entry_of_the_list_is_read_as_docker_shows_it() -> None:
    """Its own name, not that of a link to it; each port once, in order."""
    entry = listed(
        {
            "Id": "4c01db0b339c" + "f" * 52,
            "Names": ["/web/db", "/db"],
            "Image": "postgres:17",
            "State": "running",
            "Status": "Up 3 minutes (health: starting)",
            "Ports": [
                {"PrivatePort": 9000, "Type": "tcp"},
                {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},  # noqa: S104
                {"PrivatePort": 9000, "Type": "tcp"},
                {"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            ],
            "Created": 1795413787,
        }
    )
    assert entry is not None
    assert (entry.name, entry.image, entry.created) == ("db", "postgres:17", 1795413787)
    assert (entry.health, entry.live) == ("starting", True)
    assert entry.ports == (
        "127.0.0.1:53->53/udp",
        "0.0.0.0:8080->80/tcp",
        "[::]:8080->80/tcp",
        "9000/tcp",
    )


@pytest.mark.parametrize(
    ("state", "live"),
    [("running", True), ("Running", True), ("paused", True), ("exited", False), ("", False)],
)
def test_only_what_runs_or_is_paused_is_measured(state: str, live: bool) -> None:  # noqa: FBT001
    """Of all others engines have no figures."""
    entry = listed({"Id": "a", "State": state, "Ports": None, "Names": None})
    assert entry is not None
    assert (entry.live, entry.name, entry.ports) == (live, "", ())


@pytest.mark.parametrize(
    ("status", "health"),
    [
        ("Up 2 hours (healthy)", "healthy"),
        ("Up 2 hours (unhealthy)", "unhealthy"),
        ("Up 1 second (health: starting)", "starting"),
        ("Up 2 hours (Paused)", None),
        ("Up 2 hours", None),
    ],
)
def test_health_is_read_from_the_status(status: str, health: str | None) -> None:
    """So it costs no question."""
    assert attrs.evolve(ENTRY, status=status).health == health


@pytest.mark.parametrize(
    ("settings", "cores"),
    [
        ({"NanoCpus": 500_000_000}, 0.5),
        ({"CpuQuota": 150_000, "CpuPeriod": 50_000}, 3.0),
        ({"CpuQuota": 150_000, "CpuPeriod": 0}, 1.5),
        ({"CpuQuota": -1, "CpuPeriod": 100_000}, None),
        ({"NanoCpus": 0, "CpuQuota": 0}, None),
        ({}, None),
    ],
)
def test_the_limit_of_processors_is_read(settings: dict[str, int], cores: float | None) -> None:
    """However it was set."""
    assert facts({"HostConfig": settings}).limit_cores == cores


@pytest.mark.parametrize(
    ("mode", "networked"),
    [
        ("bridge", True),
        ("shop_default", True),
        ("slirp4netns", True),
        ("host", False),
        ("none", False),
        ("container:4c01db0b339c", False),
        ("ns:/run/netns/x", False),
    ],
)
def test_a_network_of_its_own_is_told_by_its_mode(mode: str, networked: bool) -> None:  # noqa: FBT001
    """The traffic of another's network is not its own."""
    assert facts({"HostConfig": {"NetworkMode": mode}}).networked is networked


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*DOCKER_V1, *DOCKER_V2["networks"], "x"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)


@given(value=json_values, key=st.sampled_from([*DOCKER_V2, "Id", "Names", "Ports", "Created"]))
def test_whatever_an_engine_says_is_read(value: object, key: str) -> None:
    """What makes no sense is not there."""
    broken = DOCKER_V2 | {"Id": "a", key: value}
    listed(broken)
    usage(broken, 0.0)
    facts({"HostConfig": value, "State": value})


# The payload


def used(counters: Counters, *, taken: float = 0.0, **values: Any) -> Usage:  # noqa: ANN401
    """Make a measurement."""
    rest: dict[str, Any] = {
        "memory": 3000,
        "inactive": 1000,
        "memory_limit": MEMORY,
        "pids": 2,
        "parts": "",
    }
    return Usage(counters, taken=taken, **(rest | values))


def known(lives: Lives[Counters], measured: Usage | None, **values: Any) -> Known:  # noqa: ANN401
    """Tell of a container what a watch would."""
    watched = _Watched(values.pop("listed", ENTRY), usage=measured, **({"facts": PLAIN} | values))
    counted = lives({"it": measured.counters}).get("it") if measured else None
    return watched.tell(counted)


def sample(it: Known, *, taken: float = 0.0, host: Host = HOST) -> ContainersSample:
    return ContainersSample(host, {it.listed.identity: it}, taken)


def rendered(*samples: ContainersSample, seconds: float = 1.0) -> Container:
    (item,) = ContainersSource().render(Window(samples, seconds), Detail.FULL)
    assert isinstance(item, Container)
    return item


def pair(first: Counters, last: Counters, **values: Any) -> Container:  # noqa: ANN401
    """Render a window with a container at both ends."""
    lives = Lives[Counters]()
    begin = sample(known(lives, used(first)))
    return rendered(begin, sample(known(lives, used(last), **values)))


def test_it_is_a_source() -> None:
    """That sleeps while nobody asks."""
    source: Source = ContainersSource()
    assert (source.channel, source.message) == ("containers", ContainersMessage)
    assert not source.always


def test_processor_time_is_told_in_three_ways() -> None:
    """Of a processor, of the host, and of what it may use."""
    begin = Counters(SECOND, 10**9, 10, 5, None, None, None, None)
    end = Counters(3 * SECOND, 2 * 10**9, 30, 10, None, None, None, None)
    item = pair(begin, end, facts=Facts(2.0, networked=True, health=None))
    assert item.cpu is not None
    assert attrs.astuple(item.cpu) == (0.5, 12.5, 50.0, 2.0, 25.0, 25.0)


def test_what_has_no_limit_has_none() -> None:
    """Neither of processors nor of memory; 0 would be a limit of nothing."""
    item = pair(COUNTERS, COUNTERS._replace(read=2 * SECOND, cpu=6 * 10**9))
    assert item.cpu is not None
    assert item.memory is not None
    assert attrs.astuple(item.cpu) == (6.0, 100.0, 600.0, None, None, None)
    assert attrs.astuple(item.memory) == (2000, 3000, None, 0.0)


def test_before_its_settings_are_known_there_is_no_limit() -> None:
    """And its traffic is taken for its own."""
    begin = Counters(SECOND, 0, 0, 0, 5, 5, None, None)
    item = pair(begin, begin._replace(read=2 * SECOND, received=1029), facts=None)
    assert item.cpu is not None
    assert item.cpu.limit_cores is None
    assert item.network is not None
    assert attrs.astuple(item.network) == (1024.0, 0.0)


def test_memory_is_of_its_limit() -> None:
    """Without the cache that nobody uses."""
    item = rendered(sample(known(Lives(), used(COUNTERS, memory_limit=4000))))
    assert item.memory is not None
    assert attrs.astuple(item.memory) == (2000, 3000, 4000, 50.0)


def test_memory_that_is_not_counted_is_not_made_up() -> None:
    """Its limit may be known all the same."""
    measured = used(COUNTERS, memory=None, inactive=0, memory_limit=4000, pids=None)
    item = rendered(sample(known(Lives(), measured)))
    assert item.memory is not None
    assert attrs.astuple(item.memory) == (None, None, 4000, None)
    assert (item.pids, item.network, item.io) == (None, None, None)


def test_traffic_and_disks_are_rates() -> None:
    """Null at first, and where one of the two is not counted."""
    begin = Counters(SECOND, 0, None, None, 10, 20, 30, None)
    first = rendered(sample(known(Lives(), used(begin))))
    assert (first.cpu, first.network and attrs.astuple(first.network)) == (None, (None, None))
    assert first.io is not None
    assert attrs.astuple(first.io) == (None, None)
    item = pair(begin, Counters(3 * SECOND, 0, None, None, 30, 60, 630, None))
    assert item.network is not None
    assert item.io is not None
    assert attrs.astuple(item.network) == (10.0, 20.0)
    assert attrs.astuple(item.io) == (300.0, None)


def test_anothers_network_is_not_its_own() -> None:
    """Podman counts zeros for none, and the host's for the host's."""
    begin = Counters(SECOND, 0, None, None, 10, 20, None, None)
    item = pair(begin, begin, facts=Facts(None, networked=False, health=None))
    assert item.network is None


def test_what_does_not_run_has_no_figures() -> None:
    """But the texts of heritage, its engine, and no health."""
    entry = attrs.evolve(ENTRY, state="exited", status="Exited (0) 2 hours ago")
    item = rendered(
        sample(known(Lives(), None, listed=entry, facts=Facts(1.0, True, "unhealthy")))  # noqa: FBT003
    )
    given_values = attrs.asdict(item)
    heritage: tuple[object, ...] = (
        "4c01db0b339c",
        "shop",
        "nginx:1",
        "exited",
        "Exited (0) 2 hours ago",
        [],
        1,
    )
    assert tuple(given_values.values())[:7] == heritage
    assert {key for key, value in given_values.items() if value is None} == {
        *("health", "cpu", "memory", "network", "io", "pids", "age_ms", "error")
    }


def test_health_is_the_statuses_and_else_the_engines() -> None:
    """Podman's status does not tell it."""
    checked = Facts(None, networked=True, health="starting")
    entry = attrs.evolve(ENTRY, status="Up 2 hours (healthy)")
    by_status = rendered(sample(known(Lives(), None, listed=entry, facts=checked)))
    by_engine = rendered(sample(known(Lives(), None, facts=checked)))
    assert (by_status.health, by_engine.health) == ("healthy", "starting")


def test_the_age_is_that_of_the_measurement() -> None:
    """Not that of the message."""
    it = known(Lives(), used(COUNTERS, taken=10.0), error="no answer within 900 ms")
    item = rendered(sample(it, taken=12.5))
    assert (item.age_ms, item.error) == (2500, "no answer within 900 ms")


def test_one_that_is_younger_than_the_window_has_its_own_time() -> None:
    """And one that was restarted within it."""
    lives = Lives[Counters]()
    before = sample(known(lives, used(COUNTERS._replace(cpu=9 * 10**9))))
    empty = ContainersSample(HOST, {}, 0.0)
    born = sample(known(lives, used(COUNTERS._replace(read=4 * SECOND))))
    last = sample(known(lives, used(COUNTERS._replace(read=6 * SECOND, cpu=10**9))))
    assert rendered(before, born).cpu is None
    for start in (before, empty):
        cpu = rendered(start, born, last, seconds=5).cpu
        assert cpu is not None
        assert cpu.cores == 0.5


def test_one_that_does_not_answer_keeps_its_last_figures() -> None:
    """Also in a window in which it never did."""
    lives, watched = Lives[Counters](), _Watched(ENTRY, facts=PLAIN)
    samples: list[ContainersSample] = []
    for read, cpu in [(1, 0), (2, 250_000_000)]:
        watched.usage = used(COUNTERS._replace(read=read * SECOND, cpu=cpu))
        samples.append(looked_at(watched, lives))
    for reason in ("silent", "gone mad"):
        watched.error = reason
        samples.append(looked_at(watched, lives))
    kept = rendered(*samples[2:]).cpu
    assert kept is not None
    assert kept.cores == 0.25


steps = st.tuples(
    st.sampled_from(["grow", "grow", "grow", "reset", "silent", "stop"]),
    st.integers(1, 3 * SECOND),
    st.integers(0, 2 * 10**9),
)


def looked_at(watched: _Watched, lives: Lives[Counters]) -> ContainersSample:
    """Tell of a container what there is to tell at this moment."""
    reading = {"it": watched.usage.counters} if watched.usage else {}
    return sample(watched.tell(lives(reading).get("it")))


@given(stream=st.lists(steps, min_size=1, max_size=12), data=st.data())
def test_no_stream_of_counters_makes_a_spike(
    stream: list[tuple[str, int, int]], data: st.DataObject
) -> None:
    """A rate lies between the least and the greatest of the steps that it is made of."""
    lives, watched = Lives[Counters](), _Watched(ENTRY, facts=PLAIN)
    read, cpu, rates, samples = SECOND, 10**9, [], []
    watched.usage = used(COUNTERS._replace(read=read, cpu=cpu))
    for kind, time, work in [("silent", 0, 0), *stream]:
        if kind == "stop":
            watched.forget()
        elif kind != "silent":
            read += time
            rates.append(work / time / 1000 if kind == "grow" else 0)
            cpu = cpu + work if kind == "grow" else 0
            watched.usage = used(COUNTERS._replace(read=read, cpu=cpu))
        samples.append(looked_at(watched, lives))
    start = data.draw(st.integers(0, len(samples) - 1))
    end = data.draw(st.integers(start, len(samples) - 1))
    found = rendered(*samples[start : end + 1]).cpu
    if found is not None:
        assert found.cores is not None
        assert min(rates) - 1e-4 <= found.cores <= max(rates) + 1e-4


@given(times=st.lists(st.integers(1, 3 * SECOND), min_size=2, max_size=10), data=st.data())
def test_any_window_is_exact(times: list[int], data: st.DataObject) -> None:
    """It is the difference of its two ends."""
    works = [data.draw(st.integers(0, 4000 * time)) for time in times]
    lives, samples = Lives[Counters](), []
    for count in range(len(times) + 1):
        read, cpu = SECOND + sum(times[:count]), sum(works[:count])
        samples.append(sample(known(lives, used(COUNTERS._replace(read=read, cpu=cpu)))))
    start = data.draw(st.integers(0, len(times) - 1))
    end = data.draw(st.integers(start + 1, len(times)))
    cpu_found = rendered(*samples[start : end + 1]).cpu
    assert cpu_found is not None
    assert cpu_found.cores is not None
    expected = sum(works[start:end]) / sum(times[start:end]) / 1000
    assert math.isclose(cpu_found.cores, expected, abs_tol=1e-4)


# On the wire


@pytest.mark.parametrize("detail", list(Detail))
def test_every_detail_is_a_message(detail: Detail) -> None:
    """Simple has the keys of heritage alone, and the others have all."""
    lives = Lives[Counters]()
    measured = usage(DOCKER_V1, 0.0)
    samples = [sample(known(lives, measured)) for _ in range(2)]
    payload = ContainersSource().render(Window(samples, 1.0), detail)
    message = ContainersMessage(1, Cursor("here", 1), "web-1", 1000, 1000, payload)
    text = encode(message)
    assert decode_server(text) == message
    cls = HeritageContainer if detail is Detail.SIMPLE else Container
    assert [type(item) for item in payload] == [cls]
    body = message_schema([ContainersMessage])
    Draft202012Validator(body).validate(orjson.loads(text))
