"""``/metrics``: what Prometheus is told, and that it costs the machine no reading."""

from __future__ import annotations

import subprocess
from array import array
from collections.abc import AsyncIterator

import httpx
import pytest
from attrs import evolve
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from app import __version__
from app.core.log import Reading
from app.factory import create_hub
from app.scrape.exposition import Exposition, HubCollector
from app.scrape.family import counter, gauge, one, scaled
from app.scrape.host import host_families
from app.settings import Settings
from app.sources.counters import Counted
from app.sources.devices.diskio import DiskCounters
from app.sources.devices.network import NetCounters, NetLink, NetSample
from app.sources.devices.sensors import SensorSample
from app.sources.devices.space import DiskSpace, Space
from app.sources.devices.volumes import Volume, VolumeReading, VolumesSample
from app.sources.groups.cores import OFFLINE, CoreTimes
from app.sources.groups.cpu import CpuTime, Modes
from app.sources.groups.kept import Failure
from app.sources.groups.limits import CpuLimit, MemoryLimit
from app.sources.groups.memory import MemorySpace, SwapSpace, SwapTraffic
from app.sources.groups.own import OwnUse
from app.sources.groups.pressure import PressureCounts, StallCount, Waits
from app.sources.groups.procstat import Activity
from app.sources.groups.sample import HostSample
from app.sources.host import HostSource
from schema.devices import Battery, Fan, InterfaceKind, Temperature, VolumeStatus
from tests.serving import DrivenHub, Served, driven_hub, serving

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
BARE = HostSample(
    cpu=CpuTime(busy=3_000_000, idle=9_000_000, usage=25.0),
    cores=2,
    load_avg=(0.5, 0.25, 0.125),
    memory=MemorySpace(total=1000, available=400),
    disk=DiskSpace("/", 1000, 300, 600),
    uptime=86_400.5,
    hostname="web-1",
)
ROOT = Volume(
    "8:1", "/dev/sda1", "ext4", ("/", "/home"), read_only=False, remote=False, paths=("/",)
)
LOST = Volume("0:50", "nas:/data", "nfs4", (), read_only=False, remote=True, paths=("/data",))
FULL = evolve(
    BARE,
    cpu=CpuTime(
        3_000_000, 9_000_000, 25.0, Modes(user=2_000_000, system=1_000_000, iowait=500_000)
    ),
    core_times=CoreTimes(array("q", [1_500_000, 4_500_000, 0, 0]), (0, OFFLINE)),
    activity=Counted(Activity(12, None), 0),
    cpu_limit=CpuLimit(1.5, None),
    swap=SwapSpace(2000, 1500, Counted(SwapTraffic(4096, 8192), 0)),
    zfs_arc=64,
    memory_limit=MemoryLimit(800, 200),
    volumes=VolumesSample(
        10.0,
        (
            VolumeReading(ROOT, VolumeStatus.OK, Space(1000, 300, 600, 100, 10, 5), 9.0),
            VolumeReading(LOST, VolumeStatus.TIMEOUT, None, None),
        ),
    ),
    disk_io={"sda": Counted(DiskCounters(1, 2, 3, 4, None, 6000, 7000), 0)},
    network=NetSample(
        {"eth0": Counted(NetCounters(1, 2, 3, 4, 5, 6, 7, 8), 0)},
        {
            "eth0": NetLink(InterfaceKind.PHYSICAL, up=True, speed=1000),
            "tun0": NetLink(InterfaceKind.VIRTUAL, up=None, speed=None),
        },
    ),
    sensors=SensorSample(
        (
            Temperature("coretemp", "Core 0", 51.5, 90.0, 100.0),
            Temperature("odd", "", None, None, None),
        ),
        (Fan("fan", "rear", 900.0),),
        Battery(80.0, charging=False, secs_left=None),
    ),
    pressure=PressureCounts(
        None, None, StallCount(Counted(Waits(5_000_000, 2_000_000), 0), None, None), None
    ),
    boot_ms=1_700_000_000_000,
    own=OwnUse(cpu_s=1.25, rss=4096, collect_ms=0.75, hub=None),
    errors=(Failure("temperatures", "EIO", 1),),
)


def told(sample: HostSample) -> dict[tuple[str, ...], float]:
    """Give all figures of a sample by name and labels."""
    return {
        (point.name, *point.labels.values()): point.value
        for family in host_families(sample)
        for point in family.samples
    }


def test_a_sample_is_told_in_base_units() -> None:
    """Seconds, bytes, ratios; whatever the sources count in."""
    figures = told(FULL)
    prefix = "pulsewire_host_"
    expected = {
        ("cpu_seconds_total", "user"): 2.0,
        ("cpu_seconds_total", "iowait"): 0.5,
        ("cpu_seconds_total", "idle"): 8.5,
        ("cpu_usage_ratio",): 0.25,
        ("cpus",): 2,
        ("cpu_limit_cores",): 1.5,
        ("core_seconds_total", "0", "busy"): 1.5,
        ("core_seconds_total", "0", "idle"): 4.5,
        ("load5",): 0.25,
        ("context_switches_total",): 12,
        ("memory_total_bytes",): 1000,
        ("memory_available_bytes",): 400,
        ("memory_zfs_arc_bytes",): 64,
        ("memory_limit_bytes",): 800,
        ("memory_limit_used_bytes",): 200,
        ("swap_free_bytes",): 1500,
        ("swap_read_bytes_total",): 4096,
        ("filesystem_reserved_bytes", "/dev/sda1", "ext4", "/"): 100,
        ("filesystem_up", "/dev/sda1", "ext4", "/"): 1,
        ("filesystem_up", "nas:/data", "nfs4", ""): 0,
        ("disk_written_bytes_total", "sda"): 2,
        ("disk_read_seconds_total", "sda"): 6.0,
        ("network_transmit_packets_total", "eth0"): 4,
        ("network_up", "eth0", "physical"): 1,
        ("temperature_celsius", "coretemp", "Core 0"): 51.5,
        ("fan_rpm", "fan", "rear"): 900,
        ("battery_ratio",): 0.8,
        ("pressure_waiting_seconds_total", "io"): 5.0,
        ("pressure_stalled_seconds_total", "io"): 2.0,
        ("boot_time_seconds",): 1_700_000_000,
        ("uptime_seconds",): 86_400.5,
        ("group_failing", "temperatures", "EIO"): 1,
    }
    for (name, *labels), value in expected.items():
        assert figures[prefix + name, *labels] == pytest.approx(value), name


def test_what_is_not_known_is_not_told() -> None:
    """No zero in its place: a processor offline, a counter that is not there, a mute sensor."""
    figures = told(FULL)
    absent = [
        ("pulsewire_host_core_seconds_total", "1", "busy"),
        ("pulsewire_host_interrupts_total",),
        ("pulsewire_host_filesystem_size_bytes", "nas:/data", "nfs4", ""),
        ("pulsewire_host_disk_busy_seconds_total", "sda"),
        ("pulsewire_host_network_up", "tun0", "virtual"),
        ("pulsewire_host_temperature_celsius", "odd", ""),
        ("pulsewire_host_pressure_waiting_seconds_total", "cpu"),
    ]
    assert not figures.keys() & set(absent)


def test_a_bare_sample_is_enough() -> None:
    """What a platform may lack is left out, with its families."""
    names = {name for name, *_ in told(BARE)}
    assert "pulsewire_host_memory_total_bytes" in names
    kinds = ("swap", "filesystem", "disk", "network", "temperature", "pressure", "group", "core_")
    assert not [name for name in names if name.removeprefix("pulsewire_host_").startswith(kinds)]


def test_families_without_samples_are_left_out() -> None:
    """A name alone tells nobody anything."""
    assert [*counter("x", "X.", one(None)), *gauge("y", "Y.", [])] == []
    assert scaled(None, 0.1) is None


@pytest.fixture
def hub() -> DrivenHub:
    return driven_hub([HostSource()], Settings())


def publish(hub: DrivenHub, sample: HostSample) -> None:
    reading = Reading(1.0, 1_700_000_000_000, sample)
    host = hub.settings.host
    hub.publish([hub.log.append("metrics", host, hub.log.head, reading, base=reading)])


def test_before_the_first_sample_there_is_the_hub_alone(hub: DrivenHub) -> None:
    """So a server that is just coming up is no failure to whoever scrapes it."""
    body, content_type = Exposition(hub).answer(None)
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert content_type.startswith("text/plain")
    assert families["pulsewire_build_info"].samples[0].labels == {"version": __version__}
    assert not [name for name in families if name.startswith("pulsewire_host")]


def test_a_scrape_tells_of_the_newest_sample(hub: DrivenHub) -> None:
    """With the server's own cost by the names that all exporters have."""
    exposition = Exposition(hub)
    publish(hub, BARE)
    exposition.answer(None)
    publish(hub, FULL)
    body, _ = exposition.answer(None)
    assert b"\nprocess_cpu_seconds_total 1.25\n" in body
    assert b"\npulsewire_host_battery_ratio 0.8\n" in body
    assert b'\npulsewire_publications_total{channel="metrics"} 2.0\n' in body


def test_scrapes_of_one_sample_share_one_body(hub: DrivenHub) -> None:
    """Each format has its own; a new sample makes a new one."""
    exposition = Exposition(hub)
    publish(hub, FULL)
    first, _ = exposition.answer(None)
    assert exposition.answer("*/*")[0] is first
    other, content_type = exposition.answer(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert other.endswith(b"# EOF\n")
    publish(hub, FULL)
    assert exposition.answer(None)[0] is not first


def test_both_formats_can_be_read(hub: DrivenHub) -> None:
    """By the parsers of the library that Prometheus's own client has."""
    publish(hub, FULL)
    exposition = Exposition(hub)
    plain, _ = exposition.answer(None)
    strict, _ = exposition.answer(OPENMETRICS)
    text = strict.decode()
    parsed = openmetrics.text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    names = {family.name for family in parsed}
    assert names == {family.name for family in HubCollector(hub).collect()}
    assert len([*text_string_to_metric_families(plain.decode())]) >= len(names)


@pytest.mark.external("promtool")
def test_names_follow_the_conventions_of_prometheus(hub: DrivenHub) -> None:
    """Its own linter finds nothing to say."""
    publish(hub, FULL)
    body, _ = Exposition(hub).answer(None)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=body, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class CountingSource(HostSource):
    """The real source, with its readings counted."""

    readings = 0

    def sample(self) -> HostSample:
        self.readings += 1
        return super().sample()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Served, CountingSource]]:
    settings, source = Settings(tick=10_000, interval=10_000), CountingSource()
    async with serving(create_hub(settings, [source]), settings) as server:
        yield server, source


async def test_scraping_takes_no_sample(served: tuple[Served, CountingSource]) -> None:
    """However often: all the figures are of the sampler's own readings."""
    server, source = served
    async with httpx.AsyncClient(base_url=server.http, trust_env=False) as client:
        while "pulsewire_host_cpus" not in (await client.get("/metrics")).text:
            pass
        before = source.readings
        for _ in range(50):
            answer = await client.get("/metrics", headers={"Accept": OPENMETRICS})
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            assert answer.headers["Cache-Control"].startswith("no-store")
    assert source.readings == before == 2
