"""Figures as people read them in a terminal, with or without colour, in ASCII where it must be."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attrs import frozen
from rich.cells import cell_len, set_cell_size
from rich.text import Text

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
STEP = 1024
# Above it a figure tells nothing; it is shown so that columns hold.
MOST = 9999.0
WARM, HOT = 70.0, 90.0


@frozen
class Glyphs:
    """The signs that there are: for what is not known, for parts of a whole, for heights."""

    unknown: str
    full: str
    empty: str
    heights: str
    up: str
    down: str
    degree: str
    dot: str
    more: str


UNICODE = Glyphs("\N{EN DASH}", "█", "░", " ▁▂▃▄▅▆▇█", "●", "○", "°C", "·", "…")
ASCII = Glyphs("-", "#", ".", " _.,-=+*#", "*", "o", "C", "-", "~")


def level(percent: float | None) -> str:
    """Return the style of a figure: from well to too much."""
    if percent is None:
        return "dim"
    if percent >= HOT:
        return "bold red"
    return "yellow" if percent >= WARM else "green"


@frozen
class Pen:
    """Writes figures with the signs and the letters that the terminal has."""

    glyphs: Glyphs = UNICODE
    encoding: str = "utf-8"

    def clean(self, text: str) -> str:
        """Take out of a name what the terminal cannot show, or would obey."""
        shown = text.encode(self.encoding, "replace").decode(self.encoding)
        return "".join(sign if sign.isprintable() else "?" for sign in shown)

    def fit(self, text: str, width: int) -> str:
        """Cut a text to a width, or fill it up."""
        if cell_len(text) > width > 0:
            text = set_cell_size(text, width - 1) + self.glyphs.more
        return set_cell_size(text, max(0, width))

    def number(self, value: float | None, unit: str = "", digits: int = 1) -> str:
        """Write a number."""
        if value is None or not math.isfinite(value):
            return self.glyphs.unknown
        bounded = max(-MOST, min(MOST, value))
        more = "+" if value > MOST else ""
        return f"{bounded:.{digits}f}{more}{unit and ' '}{unit}"

    def percent(self, value: float | None) -> str:
        """Write a share."""
        return self.number(value, "%")

    def size(self, value: float | None, suffix: str = "") -> str:
        """Write bytes in the unit that suits them."""
        if value is None or not math.isfinite(value):
            return self.glyphs.unknown
        power = min(int(math.log(max(abs(value), 1), STEP)), len(UNITS) - 1)
        return self.number(value / STEP**power, UNITS[power] + suffix, digits=1 if power else 0)

    def rate(self, value: float | None) -> str:
        """Write bytes a second."""
        return self.size(value, "/s")

    def share(self, used: float | None, total: float | None) -> str:
        """Say how much of something is used."""
        return f"{self.size(used)} of {self.size(total)}"

    def bar(self, percent: float | None, width: int) -> Text:
        """Draw a share."""
        bounded = max(0.0, min(100.0, percent or 0.0))
        filled = round(width * bounded / 100)
        text = Text(self.glyphs.full * filled, style=level(percent))
        return text.append(self.glyphs.empty * (width - filled), style="dim")

    def sparkline(self, percents: Sequence[float | None], width: int) -> Text:
        """Draw the newest shares, one a cell; a hole is one."""
        text = Text(" " * max(0, width - len(percents)))
        for percent in percents[-width:] if width > 0 else ():
            text.append(self.height(percent), style=level(percent))
        return text

    def height(self, percent: float | None) -> str:
        """Draw a share in one cell."""
        heights = self.glyphs.heights
        if percent is None:
            return heights[0]
        bounded = max(0.0, min(100.0, percent))
        return heights[max(1, math.ceil(bounded / 100 * (len(heights) - 1)))]


def duration(seconds: float) -> str:
    """Say how long something has lasted, by its two greatest units."""
    minutes = int(max(0.0, min(seconds, 1e12))) // 60
    hours, days = minutes // 60, minutes // 60 // 24
    if days:
        return f"{days} d {hours % 24} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
