"""Sensors as Linux shows them (``/sys/class/hwmon``, ``/sys/class/thermal``).

Not read with psutil, which reads all of them or none: a drive's must be read seldom. It also gives
a missing threshold the value of another one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

from schema.devices import Fan, Temperature

# Where nothing that works has been measured: what a chip says there is none of a temperature.
TOO_COLD, TOO_HOT = -50.0, 200.0

_DRIVES = frozenset(["drivetemp", "nvme"])
_INPUT = re.compile(r"(temp|fan)\d+_input")
_HIGH, _CRITICAL = ("hot", "high"), ("critical",)


@frozen
class Chip:
    """One chip with sensors; ``sensor`` is what its readings bear."""

    folder: Path
    name: str
    sensor: str

    @property
    def drive(self) -> bool:
        """Whether reading it asks a drive: it warms some, and keeps others from their sleep."""
        return self.name in _DRIVES

    @property
    def asleep(self) -> bool:
        """Whether its device is suspended: reading it would wake it."""
        return _text(self.folder / "device" / "power" / "runtime_status") == "suspended"

    def temperatures(self) -> list[Temperature]:
        """Read its temperatures."""
        return [
            Temperature(
                sensor=self.sensor,
                label=_text(sensor.with_name(f"{sensor.name}_label")),
                celsius=celsius(_celsius_of(sensor.with_name(f"{sensor.name}_input"))),
                high=threshold(_celsius_of(sensor.with_name(f"{sensor.name}_max"))),
                critical=threshold(_celsius_of(sensor.with_name(f"{sensor.name}_crit"))),
            )
            for sensor in self._sensors("temp")
        ]

    def fans(self) -> list[Fan]:
        """Read its fans."""
        return [
            Fan(
                sensor=self.sensor,
                label=_text(sensor.with_name(f"{sensor.name}_label")),
                rpm=rpm(_number(sensor.with_name(f"{sensor.name}_input"))),
            )
            for sensor in self._sensors("fan")
        ]

    def _sensors(self, kind: str) -> list[Path]:
        # Some old drivers have theirs one folder deeper.
        return [
            path.with_name(path.name.removesuffix("_input"))
            for folder in (self.folder, self.folder / "device")
            for path in _entries(folder)
            if (match := _INPUT.fullmatch(path.name)) and match[1] == kind
        ]


def chips(sys: Path) -> list[Chip]:
    """Find the chips there are; touches no device."""
    named = [
        (folder, name)
        for folder in _entries(sys / "class" / "hwmon")
        if (name := _text(folder / "name"))
    ]
    count = Counter(name for _, name in named)
    return [
        Chip(folder, name, name if count[name] == 1 else f"{name}-{_device(folder)}")
        for folder, name in named
    ]


def zones(sys: Path) -> list[Temperature]:
    """Read the thermal zones, which is all that some boards have."""
    return [
        Temperature(
            sensor=_text(zone / "type") or zone.name,
            label="",
            celsius=celsius(_celsius_of(zone / "temp")),
            high=_trip_point(zone, _HIGH),
            critical=_trip_point(zone, _CRITICAL),
        )
        for zone in _entries(sys / "class" / "thermal")
        if zone.name.startswith("thermal_zone")
    ]


def celsius(reading: float | None) -> float | None:
    """Give a temperature, None for one that is impossible."""
    if reading is None or not TOO_COLD < reading < TOO_HOT:
        return None
    return round(reading, 2)


def threshold(reading: float | None) -> float | None:
    """Give a threshold, None for one that is impossible, or 0, as chips have it without one."""
    return celsius(reading) if reading is not None and reading > 0 else None


def rpm(reading: float | None) -> float | None:
    """Give turns a minute, None for what is below none."""
    return reading if reading is not None and reading >= 0 else None


def _trip_point(zone: Path, kinds: Iterable[str]) -> float | None:
    points = [
        threshold(_celsius_of(path.with_name(path.name.replace("_type", "_temp"))))
        for path in _entries(zone)
        if path.name.startswith("trip_point_")
        and path.name.endswith("_type")
        and _text(path) in kinds
    ]
    return min((point for point in points if point is not None), default=None)


def _device(folder: Path) -> str:
    """Name a chip by its device, where others have the same name."""
    return (folder / "device").resolve().name if (folder / "device").exists() else folder.name


def _celsius_of(file: Path) -> float | None:
    thousandths = _number(file)
    return None if thousandths is None else thousandths / 1000


def _number(file: Path) -> float | None:
    try:
        return float(_text(file))
    except ValueError:
        return None


def _text(file: Path) -> str:
    """Read a file of one line; what cannot be read is not there, as so much in hwmon."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
