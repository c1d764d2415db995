"""All sensors of a machine, read on threads of their own."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from app.sources.devices import hwmon
from app.sources.devices.sensors import (
    DEADLINE_S,
    DRIVES_EVERY_S,
    EVERY_S,
    Sensors,
    SensorSample,
    render_battery,
    render_fans,
    render_temperatures,
)
from schema.devices import Battery, Fan, Temperature
from tests.manual_clock import ManualClock
from tests.test_background import PATIENCE_S, Device
from tests.test_hwmon import chip, write, zone

NOTHING = SimpleNamespace()  # a psutil of a platform that has none of its functions


def battery(percent: float | None, left: int | None, plugged: bool | None) -> SimpleNamespace:  # noqa: FBT001 - as psutil has it
    """Make a psutil that knows a battery, and nothing else."""
    shown = SimpleNamespace(percent=percent, secsleft=left, power_plugged=plugged)
    return SimpleNamespace(sensors_battery=lambda: shown)


def read(sys: Path, source: SimpleNamespace = NOTHING) -> SensorSample:
    sensors = Sensors(sys, source, lambda: 0.0)
    sensors()
    assert sensors.wait(PATIENCE_S)
    sample = sensors()
    assert sample is not None
    return sample


# ---- what is told


def test_this_machine_tells_what_it_has() -> None:
    """Whatever that is: nothing impossible, and no error."""
    sensors = Sensors()
    assert sensors() is None
    assert sensors.wait(PATIENCE_S)
    sample = sensors()
    assert sample is not None
    for reading in render_temperatures(sample):
        assert reading.celsius is None or -50 < reading.celsius < 200
    assert all(fan.rpm is None or fan.rpm >= 0 for fan in render_fans(sample))
    shown = render_battery(sample)
    assert (shown is None) == (not hasattr(psutil, "sensors_battery") or _battery_of() is None)


def _battery_of() -> object:
    try:
        return psutil.sensors_battery()
    except OSError:
        return None


def test_readings_are_sorted_whatever_chip_they_come_from(tmp_path: Path) -> None:
    """Drives among the others."""
    chip(tmp_path, 0, "nvme", temp1_input="40000", temp1_label="Composite")
    chip(tmp_path, 1, "zen", temp1_input="50000", fan2_input="2", fan1_input="1", fan1_label="b")
    chip(tmp_path, 2, "acpi", temp2_input="30000", temp2_label="b", temp1_input="1000")
    sample = read(tmp_path)
    assert [(item.sensor, item.label) for item in render_temperatures(sample)] == [
        ("acpi", ""),
        ("acpi", "b"),
        ("nvme", "Composite"),
        ("zen", ""),
    ]
    assert render_fans(sample) == [Fan("zen", "", 2.0), Fan("zen", "b", 1.0)]


def test_thermal_zones_stand_in_for_chips(tmp_path: Path) -> None:
    """On boards without any; where there are chips, they would tell the same twice."""
    zone(tmp_path, 0, type="cpu-thermal", temp="51000")
    assert [item.sensor for item in read(tmp_path).temperatures] == ["cpu-thermal"]
    chip(tmp_path, 0, "nvme", temp1_input="40000")
    assert [item.sensor for item in read(tmp_path).temperatures] == ["cpu-thermal", "nvme"]
    chip(tmp_path, 1, "coretemp", temp1_input="50000")
    assert [item.sensor for item in read(tmp_path).temperatures] == ["coretemp", "nvme"]


def test_without_sysfs_psutil_is_asked(tmp_path: Path) -> None:
    """With the same care for what is impossible."""
    hot = SimpleNamespace(label="die", current=250.0, high=90.0, critical=None)
    source = SimpleNamespace(
        sensors_temperatures=lambda: {"soc": [hot]},
        sensors_fans=lambda: {"soc": [SimpleNamespace(label="", current=700)]},
    )
    sample = read(tmp_path, source)
    assert sample == SensorSample(
        (Temperature("soc", "die", None, 90.0, None),), (Fan("soc", "", 700),), None
    )


def test_a_platform_that_tells_nothing_has_no_sensors(tmp_path: Path) -> None:
    """Where psutil has no such function, and where it has and finds nothing to read."""
    (tmp_path / "class").mkdir()

    def missing() -> None:
        raise FileNotFoundError("/sys/class/power_supply")

    assert read(tmp_path / "none") == SensorSample()
    assert read(tmp_path, SimpleNamespace(sensors_battery=missing)) == SensorSample()


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ((81.256, 3600, False), Battery(81.26, charging=False, secs_left=3600)),
        ((100.4, psutil.POWER_TIME_UNLIMITED, True), Battery(100.0, charging=True, secs_left=None)),
        ((-1.0, psutil.POWER_TIME_UNKNOWN, None), Battery(0.0, None, None)),
        ((None, None, None), Battery(None, None, None)),
    ],
)
def test_a_battery_is_told_as_far_as_it_is_known(
    tmp_path: Path, shown: tuple[float | None, int | None, bool | None], told: Battery
) -> None:
    """No word of psutil's for "not known" gets through as a number."""
    assert render_battery(read(tmp_path, battery(*shown))) == told


def test_no_sample_tells_nothing() -> None:
    """As before the first reading."""
    assert (render_temperatures(None), render_fans(None), render_battery(None)) == ([], [], None)


# ---- when it is read


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def waited(sensors: Sensors) -> SensorSample | None:
    """Have it read if it is time, and give what there is then."""
    sensors()
    assert sensors.wait(PATIENCE_S)
    return sensors()


def test_drives_are_read_once_a_minute_and_the_rest_every_ten_seconds(
    tmp_path: Path, clock: ManualClock
) -> None:
    """A drive warms, or stays awake, for each time that it is asked."""
    drive = chip(tmp_path, 0, "drivetemp", temp1_input="30000")
    core = chip(tmp_path, 1, "coretemp", temp1_input="40000")
    sensors = Sensors(tmp_path, NOTHING, clock.clock.monotonic)
    seen = []
    for tick in range(int(DRIVES_EVERY_S // EVERY_S) + 1):
        write(drive, temp1_input=f"{30 + tick}000")
        write(core, temp1_input=f"{40 + tick}000")
        sample = waited(sensors)
        assert sample is not None
        seen.append([item.celsius for item in sample.temperatures])
        clock.now += EVERY_S
    assert seen == [
        [40.0, 30.0],
        [41.0, 30.0],
        [42.0, 30.0],
        [43.0, 30.0],
        [44.0, 30.0],
        [45.0, 30.0],
        [46.0, 36.0],
    ]


def test_a_drive_that_sleeps_is_left_alone(tmp_path: Path) -> None:
    """There is no reading of it then."""
    folder = chip(tmp_path, 0, "drivetemp", temp1_input="30000")
    write(folder / "device" / "power", runtime_status="suspended")
    assert read(tmp_path).temperatures == ()


def test_a_sample_that_did_not_change_is_the_same_object(
    tmp_path: Path, clock: ManualClock
) -> None:
    """Samples are kept for long."""
    chip(tmp_path, 0, "coretemp", temp1_input="40000")
    sensors = Sensors(tmp_path, NOTHING, clock.clock.monotonic)
    first = waited(sensors)
    clock.now += EVERY_S
    assert waited(sensors) is first


def hang(monkeypatch: pytest.MonkeyPatch, device: Device, *, drive: bool) -> None:
    """Have the chips hang in a device, those of drives or the others."""
    temperatures = hwmon.Chip.temperatures

    def hanging(self: hwmon.Chip) -> list[Temperature]:
        if self.drive is drive:
            device.read()
        return temperatures(self)

    monkeypatch.setattr(hwmon.Chip, "temperatures", hanging)


def test_sensors_that_hang_cost_nobody_anything_but_themselves(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every call returns at once, and says so after the deadline."""
    chip(tmp_path, 0, "coretemp", temp1_input="40000")
    sensors, device = Sensors(tmp_path, NOTHING, clock.clock.monotonic), Device()
    hang(monkeypatch, device, drive=False)
    began = time.monotonic()
    assert sensors() is None
    clock.now += DEADLINE_S
    with pytest.raises(TimeoutError, match="sensors: no answer for 5 s"):
        sensors()
    assert time.monotonic() - began < PATIENCE_S / 2
    device.released.set()
    assert sensors.wait(PATIENCE_S)
    assert sensors() == SensorSample((Temperature("coretemp", "", 40.0, None, None),))


def test_a_drive_that_hangs_loses_its_reading_alone(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processors' are told as ever."""
    chip(tmp_path, 0, "coretemp", temp1_input="40000")
    chip(tmp_path, 1, "drivetemp", temp1_input="30000", temp1_max="60000")
    sensors, device = Sensors(tmp_path, NOTHING, clock.clock.monotonic), Device()
    waited(sensors)
    hang(monkeypatch, device, drive=True)
    clock.now += DRIVES_EVERY_S
    sensors()
    assert sensors._all.wait(PATIENCE_S)
    clock.now += DEADLINE_S
    sample = sensors()
    device.released.set()
    assert sample is not None
    assert sample.temperatures == (
        Temperature("coretemp", "", 40.0, None, None),
        Temperature("drivetemp", "", None, 60.0, None),
    )
