"""Sensors as made-up machines show them in sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sources.devices.hwmon import celsius, chips, rpm, threshold, zones
from schema.devices import Fan, Temperature


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    return folder


def chip(sys: Path, number: int, name: str, **files: str) -> Path:
    return write(sys / "class" / "hwmon" / f"hwmon{number}", name=name, **files)


def zone(sys: Path, number: int, **files: str) -> Path:
    return write(sys / "class" / "thermal" / f"thermal_zone{number}", **files)


def temperatures(sys: Path) -> list[Temperature]:
    return [reading for chip in chips(sys) for reading in chip.temperatures()]


def test_a_chip_tells_its_temperatures_and_fans(tmp_path: Path) -> None:
    """With labels and thresholds where it has them."""
    chip(
        tmp_path,
        0,
        "coretemp",
        temp1_input="45500",
        temp1_label="Package id 0",
        temp1_max="82000",
        temp1_crit="100000",
        temp2_input="44000",
        fan1_input="1200",
        fan1_label="CPU fan",
        in0_input="1100",
    )
    (found,) = chips(tmp_path)
    assert found.temperatures() == [
        Temperature("coretemp", "Package id 0", 45.5, 82.0, 100.0),
        Temperature("coretemp", "", 44.0, None, None),
    ]
    assert found.fans() == [Fan("coretemp", "CPU fan", 1200.0)]


def test_sensors_one_folder_deeper_are_found(tmp_path: Path) -> None:
    """Where old drivers have them."""
    folder = chip(tmp_path, 0, "w83627")
    write(folder / "device", temp1_input="30000", fan1_input="900")
    (found,) = chips(tmp_path)
    assert found.temperatures() == [Temperature("w83627", "", 30.0, None, None)]
    assert found.fans() == [Fan("w83627", "", 900.0)]


def test_chips_of_one_name_bear_that_of_their_device(tmp_path: Path) -> None:
    """Or their own, if they have none."""
    write(tmp_path / "devices" / "nvme0")
    for number in range(3):
        chip(tmp_path, number, "nvme" if number < 2 else "k10temp")
    (tmp_path / "class" / "hwmon" / "hwmon0" / "device").symlink_to(tmp_path / "devices" / "nvme0")
    assert [found.sensor for found in chips(tmp_path)] == ["nvme-nvme0", "nvme-hwmon1", "k10temp"]


@pytest.mark.parametrize(
    ("name", "drive"), [("drivetemp", True), ("nvme", True), ("coretemp", False)]
)
def test_drives_are_told_from_other_chips(tmp_path: Path, name: str, *, drive: bool) -> None:
    """By the name of their driver, so without asking them anything."""
    chip(tmp_path, 0, name)
    (found,) = chips(tmp_path)
    assert found.drive is drive


@pytest.mark.parametrize(("status", "asleep"), [("suspended", True), ("active", False)])
def test_a_drive_that_sleeps_is_known_to(tmp_path: Path, status: str, *, asleep: bool) -> None:
    """By what the kernel knows of its power."""
    write(chip(tmp_path, 0, "drivetemp") / "device" / "power", runtime_status=status)
    (found,) = chips(tmp_path)
    assert found.asleep is asleep


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    """A chip without a name is none, a reading without a number is null."""
    chip(tmp_path, 0, "", temp1_input="1000")
    chip(tmp_path, 1, "odd", temp1_input="", fan1_input="fast", temp2_input="nan")
    (found,) = chips(tmp_path)
    assert [reading.celsius for reading in found.temperatures()] == [None, None]
    assert [fan.rpm for fan in found.fans()] == [None]


def test_a_machine_without_sensors_has_none(tmp_path: Path) -> None:
    """And that is no error."""
    assert (chips(tmp_path), zones(tmp_path)) == ([], [])


def test_zones_tell_temperature_and_trip_points(tmp_path: Path) -> None:
    """The lowest of each kind."""
    zone(
        tmp_path,
        0,
        type="cpu-thermal",
        temp="51234",
        trip_point_0_type="hot",
        trip_point_0_temp="85000",
        trip_point_1_type="hot",
        trip_point_1_temp="80000",
        trip_point_2_type="critical",
        trip_point_2_temp="110000",
        trip_point_3_type="passive",
        trip_point_3_temp="60000",
    )
    zone(tmp_path, 1, temp="20000")
    write(tmp_path / "class" / "thermal" / "cooling_device0", type="Fan")
    assert zones(tmp_path) == [
        Temperature("cpu-thermal", "", 51.23, 80.0, 110.0),
        Temperature("thermal_zone1", "", 20.0, None, None),
    ]


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (-273.0, None),
        (-50.0, None),
        (-49.9, -49.9),
        (0.0, 0.0),
        (199.9, 199.9),
        (200.0, None),
        (65261.85, None),
        (None, None),
    ],
)
def test_impossible_temperatures_are_not_known(reading: float | None, told: float | None) -> None:
    """What is cold or hot, but possible, is told."""
    assert celsius(reading) == told


@pytest.mark.parametrize(
    ("reading", "told"), [(0.0, None), (-5.0, None), (85.0, 85.0), (65261.85, None), (None, None)]
)
def test_thresholds_that_are_none_are_not_told(reading: float | None, told: float | None) -> None:
    """Chips have a 0, or the largest number, for one that is not set."""
    assert threshold(reading) == told


@pytest.mark.parametrize(("reading", "told"), [(0.0, 0.0), (-1.0, None), (None, None)])
def test_a_fan_that_stands_still_is_told(reading: float | None, told: float | None) -> None:
    """Nothing turns less than that."""
    assert rpm(reading) == told


@given(st.floats())
def test_any_reading_gives_a_possible_temperature_or_none(reading: float) -> None:
    """Not a number included."""
    for told in (celsius(reading), threshold(reading)):
        assert told is None or -50 <= told <= 200
