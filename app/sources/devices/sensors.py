"""Temperatures, fans and the battery: what takes a second to tell, and costs nobody anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import psutil
from attrs import define, evolve, field, frozen

from app.sources.devices.background import Background
from app.sources.devices.hwmon import celsius, chips, rpm, threshold, zones
from schema.devices import Battery, Fan, Temperature

EVERY_S = 10.0
# A drive is read so often and no more: it warms from being asked, or does not go to sleep.
DRIVES_EVERY_S = 60.0
DEADLINE_S = 5.0


@frozen
class SensorSample:
    """The newest readings, as they are told: they are levels, so a window makes no difference."""

    temperatures: tuple[Temperature, ...] = ()
    fans: tuple[Fan, ...] = ()
    battery: Battery | None = None


@define(eq=False)
class Sensors:
    """Reads all sensors on a thread of its own, those of drives on another, and seldom.

    ``sys`` is where sysfs is; ``psutil`` stands for the module, which tells of the battery, and
    of all else where there is no sysfs. ``clock`` gives monotonic seconds.
    """

    sys: Path = Path("/sys")
    psutil: Any = psutil
    clock: Callable[[], float] = time.monotonic
    _all: Background[SensorSample] = field(init=False)
    _drives: Background[tuple[Temperature, ...]] = field(init=False)
    _drives_last: tuple[Temperature, ...] = field(init=False, default=())
    _sample: SensorSample | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._all = Background("sensors", self._read, self.clock, EVERY_S, DEADLINE_S)
        self._drives = Background(
            "drive sensors", self._read_drives, self.clock, DRIVES_EVERY_S, DEADLINE_S
        )

    def __call__(self) -> SensorSample | None:
        """Give the newest readings, None before there are any; returns at once.

        Raises:
            TimeoutError: the sensors do not answer; drives that do not only lose their readings.
            Exception: whatever reading them raised.
        """
        drives = self._drive_temperatures()
        sample = self._all()
        if sample is not None:
            sample = evolve(sample, temperatures=_sorted(sample.temperatures + drives))
        if sample != self._sample:
            self._sample = sample
        return self._sample

    def wait(self, seconds: float) -> bool:
        """Wait for the readings that are on their way, at most so long; tell whether they came."""
        return self._drives.wait(seconds) and self._all.wait(seconds)

    def _drive_temperatures(self) -> tuple[Temperature, ...]:
        try:
            self._drives_last = self._drives() or ()
        except Exception:  # noqa: BLE001 - told by readings that are not there
            return tuple(evolve(reading, celsius=None) for reading in self._drives_last)
        return self._drives_last

    def _read(self) -> SensorSample:
        if not (self.sys / "class").is_dir():
            return SensorSample(
                temperatures=tuple(_temperatures(_ask(self.psutil, "sensors_temperatures"))),
                fans=_sorted(_fans(_ask(self.psutil, "sensors_fans"))),
                battery=_battery(_ask(self.psutil, "sensors_battery")),
            )
        found = chips(self.sys)
        temperatures = [
            reading for chip in found if not chip.drive for reading in chip.temperatures()
        ]
        return SensorSample(
            # Zones repeat what chips tell, so they are for boards that have no chips.
            temperatures=tuple(temperatures or zones(self.sys)),
            fans=tuple(_sorted(fan for chip in found if not chip.drive for fan in chip.fans())),
            battery=_battery(_ask(self.psutil, "sensors_battery")),
        )

    def _read_drives(self) -> tuple[Temperature, ...]:
        return tuple(
            reading
            for chip in chips(self.sys)
            if chip.drive and not chip.asleep
            for reading in chip.temperatures()
        )


def _ask(module: object, name: str) -> Any:  # noqa: ANN401 - psutil's, by its fields
    """Call a function that psutil may not have here, or that finds nothing to read."""
    try:
        return getattr(module, name)()
    except (AttributeError, OSError):
        return None


def _temperatures(shown: Mapping[str, Iterable[Any]] | None) -> list[Temperature]:
    return [
        Temperature(
            sensor=sensor,
            label=reading.label,
            celsius=celsius(reading.current),
            high=threshold(reading.high),
            critical=threshold(reading.critical),
        )
        for sensor, readings in (shown or {}).items()
        for reading in readings
    ]


def _fans(shown: Mapping[str, Iterable[Any]] | None) -> list[Fan]:
    return [
        Fan(sensor=sensor, label=reading.label, rpm=rpm(reading.current))
        for sensor, readings in (shown or {}).items()
        for reading in readings
    ]


def _battery(shown: Any) -> Battery | None:  # noqa: ANN401 - psutil's, by its fields
    if shown is None:
        return None
    # Below zero stand the words for "plugged in" and "not known".
    left = shown.secsleft if shown.secsleft is not None and shown.secsleft >= 0 else None
    return Battery(
        percent=None if shown.percent is None else round(min(max(shown.percent, 0.0), 100.0), 2),
        charging=shown.power_plugged,
        secs_left=left,
    )


Reading = TypeVar("Reading", Temperature, Fan)


def _sorted(readings: Iterable[Reading]) -> tuple[Reading, ...]:
    return tuple(sorted(readings, key=lambda reading: (reading.sensor, reading.label)))


def render_temperatures(sample: SensorSample | None) -> list[Temperature]:
    """Give all temperatures, sorted; none if there is no sample."""
    return list(sample.temperatures) if sample else []


def render_fans(sample: SensorSample | None) -> list[Fan]:
    """Give all fans, sorted; none if there is no sample."""
    return list(sample.fans) if sample else []


def render_battery(sample: SensorSample | None) -> Battery | None:
    """Give the battery, if there is one that is known of."""
    return sample.battery if sample else None
