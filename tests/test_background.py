"""Readings in the background: whatever they do, whoever asks gets an answer at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from attrs import define, field

from app.sources.devices.background import Background
from tests.manual_clock import ManualClock

PATIENCE_S = 10


@define(eq=False)
class Device:
    """Counts how often it is read, and may hang, or fail."""

    released: threading.Event = field(factory=threading.Event)
    failure: Exception | None = None
    readings: int = 0

    def read(self) -> int:
        self.readings += 1
        assert self.released.wait(PATIENCE_S)
        if self.failure is not None:
            raise self.failure
        return self.readings


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def device() -> Iterator[Device]:
    """A device, which no longer hangs when the test is over."""
    device = Device()
    device.released.set()
    yield device
    device.released.set()


def background(device: Device, clock: ManualClock) -> Background[int]:
    return Background("thermometer", device.read, clock.clock.monotonic, 10.0, 5.0)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "thermometer" in thread.name]


def test_the_first_call_has_it_read_and_a_later_one_gives_it(
    device: Device, clock: ManualClock
) -> None:
    """Before that there is nothing."""
    read = background(device, clock)
    assert read() is None
    assert read.wait(PATIENCE_S)
    assert (read(), read(), device.readings) == (1, 1, 1)


def test_it_is_read_anew_when_it_is_time_and_somebody_asks(
    device: Device, clock: ManualClock
) -> None:
    """The last value stands until the new one is there."""
    read = background(device, clock)
    read()
    read.wait(PATIENCE_S)
    clock.now += 9.9
    assert (read(), device.readings) == (1, 1)
    clock.now += 100
    device.released.clear()
    assert read() == 1
    device.released.set()
    read.wait(PATIENCE_S)
    assert (read(), device.readings) == (2, 2)


def test_one_that_hangs_has_one_thread_and_says_so(device: Device, clock: ManualClock) -> None:
    """However often it is asked; and it is back when the device is."""
    device.released.clear()
    read = background(device, clock)
    for _ in range(50):
        assert read() is None
        clock.now += 0.099
    clock.now += 5
    for _ in range(50):
        clock.now += 60
        with pytest.raises(TimeoutError, match=r"thermometer: no answer for \d+ s"):
            read()
    assert (device.readings, len(threads())) == (1, 1)
    device.released.set()
    assert read.wait(PATIENCE_S)
    assert read() == 1


def test_what_a_reading_raised_is_raised_until_one_goes_well(
    device: Device, clock: ManualClock
) -> None:
    """Where the value is asked for, not on the thread."""
    device.failure = OSError("unplugged")
    read = background(device, clock)
    read()
    read.wait(PATIENCE_S)
    for _ in range(2):
        with pytest.raises(OSError, match="unplugged"):
            read()
    device.failure = None
    clock.now += 10
    with pytest.raises(OSError, match="unplugged"):
        read()
    read.wait(PATIENCE_S)
    assert read() == 2


def test_no_thread_is_left_when_nobody_asks(device: Device, clock: ManualClock) -> None:
    """There is nothing to stop."""
    read = background(device, clock)
    read()
    read.wait(PATIENCE_S)
    for thread in threads():
        thread.join(PATIENCE_S)
    assert threads() == []
