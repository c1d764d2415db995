"""Pressure: what the tasks of a host had to wait for (pressure stall information, Linux)."""

from __future__ import annotations

from attrs import frozen

from schema.fields import Percent


@frozen
class Stall:
    """Time in which tasks waited for one resource (pressure stall information, Linux).

    Attributes:
        some: share of the window in which at least one task waited.
        full: share of the window in which all that had something to do waited; null where the
            kernel does not count it.
        some10: the kernel's own mean of ``some`` over the last 10 s.
        some60: over the last 60 s.
        some300: over the last 300 s.
        full10: the kernel's own mean of ``full`` over the last 10 s.
        full60: over the last 60 s.
        full300: over the last 300 s.
    """

    some: Percent | None
    full: Percent | None
    some10: Percent | None
    some60: Percent | None
    some300: Percent | None
    full10: Percent | None
    full60: Percent | None
    full300: Percent | None


@frozen
class Pressure:
    """What tasks had to wait for.

    Attributes:
        cpu: a processor; null where the kernel does not count it.
        memory: memory to be freed or read back.
        io: disks.
        irq: interrupts to be over; only ``full`` is counted.
    """

    cpu: Stall | None
    memory: Stall | None
    io: Stall | None
    irq: Stall | None
