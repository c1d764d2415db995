"""The ``metrics`` channel's source: the machine that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from app.core.figures import Vitals
from app.core.source import Window
from app.sources.groups.full import render_full
from app.sources.groups.machine import Machine
from app.sources.groups.reader import HostReader
from app.sources.groups.sample import HostSample
from app.sources.groups.standard import render_simple, render_standard
from schema.fields import Detail
from schema.messages import DataMessage
from schema.metrics import MetricsMessage, Simple, Standard


class HostSource:
    """Samples the machine that it runs on.

    ``disk_path`` says of which file system to tell in ``disk``; ``remote_disks`` whether ``disks``
    lists those that may hang, too.
    """

    channel: ClassVar[str] = MetricsMessage.TAG
    message: ClassVar[type[DataMessage]] = MetricsMessage
    details: ClassVar[tuple[Detail, ...]] = (Detail.SIMPLE, Detail.STANDARD, Detail.FULL)
    always: ClassVar[bool] = True

    def __init__(
        self,
        disk_path: str = "/",
        machine: Machine | None = None,
        *,
        remote_disks: bool = False,
    ) -> None:
        self._disk_path = disk_path
        self._machine = machine or Machine()
        self._remote_disks = remote_disks
        self._vitals: Callable[[], Vitals | None] = lambda: None
        self._reader: HostReader | None = None

    def watch(self, vitals: Callable[[], Vitals]) -> None:
        """Let the hub tell of itself in ``self``; it is asked on the source's thread."""
        self._vitals, self._reader = vitals, None

    def sample(self) -> HostSample:
        """Read the machine once.

        Raises:
            Exception: a heritage figure cannot be read and never was; whatever reading it raised.
        """
        if self._reader is None:
            self._reader = HostReader(
                self._machine,
                self._disk_path,
                remote_disks=self._remote_disks,
                vitals=self._vitals,
            )
        return self._reader()

    def rest(self) -> None:
        """Let go of open files, and of what was remembered."""
        self._reader = None

    def render(self, window: Window, detail: Detail) -> Simple | Standard:
        """Make the payload for the window's last sample, with means and rates over all of it.

        Raises:
            KeyError: the detail is not among ``details``.
        """
        return _RENDERERS[detail](window)


_RENDERERS: dict[Detail, Callable[[Window], Simple | Standard]] = {
    Detail.SIMPLE: render_simple,
    Detail.STANDARD: render_standard,
    Detail.FULL: render_full,
}
