"""What the terminal view draws, on terminals of all sizes: no terminal is needed for it."""

from __future__ import annotations

import math

import pytest
from attrs import evolve, fields_dict
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from app.client import ChannelMessage, State, Status
from app.watch.figures import ASCII, UNICODE, Pen, duration
from app.watch.picture import Picture
from app.watch.screen import Connection, render
from app.watch.section import Column, Section, fit, table
from app.watch.terminal import pen_for
from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.fields import GapReason
from schema.memory import Memory
from schema.messages import Error, Gap, History
from schema.metrics import Cpu, MetricsMessage, Simple, Standard
from tests import pictures
from tests.pictures import UP
from tests.strategies import body, data_messages

PEN = Pen()
DASH = UNICODE.unknown
STANDARD = Standard(
    Cpu(3.0, 2, [0.1, 0.2, 0.3]),
    Memory(4 * 2**30, 2**30, 3 * 2**30, 25.0),
    pictures.full().disk,
    99.0,
    "vm",
)


def drawn(picture: Picture, width: int, height: int | None, pen: Pen = PEN) -> list[str]:
    """Draw, as plain text."""
    return [line.plain for line in render(picture, UP, pen, width, height)]


def line_of(lines: list[str], start: str) -> str:
    (found,) = [line for line in lines if line.startswith(start)]
    return found


# The whole screen


def test_a_small_terminal_shows_the_most_important() -> None:
    """Each part has at least a line, and processes a few."""
    lines = drawn(pictures.picture(), 80, 24)
    names = [line.split()[0] for line in lines if line[:1].strip()]
    assert names[0] == "vm"
    for name in ("CPU", "Cores", "Memory", "Swap", "Disks", "Disk", "Network", "Pressure", "Temps"):
        assert name in names
    assert names.count("postgres") == 3
    assert names.count("Containers") == 1
    assert names[-1] == "q"
    assert len(lines) == 24


def test_the_figures_are_those_of_the_messages() -> None:
    """With what is not known as a dash."""
    lines = drawn(pictures.picture(), 100, None)
    assert lines[0].startswith("vm  up 5 d 2 h ")
    assert lines[0].endswith("● websocket 2 ms, 1 s old")
    assert "load 0.51 0.84 0.49" in line_of(lines, "CPU")
    assert "37.5 %  9.0 GiB of 24.0 GiB" in line_of(lines, "Memory")
    assert "in 0 B/s, out 4.0 KiB/s" in line_of(lines, "Swap")
    assert "25.7 %    75.0 GiB   101.0 GiB  ext4" in line_of(lines, "/ ")
    assert line_of(lines, "/srv/archive (+1) ")
    assert line_of(lines, "/mnt/nfs").rstrip().endswith("timeout")
    assert f"1.2 MiB/s             {DASH}        {DASH}     0.4 ms           {DASH}" in line_of(
        lines, "sdb"
    )
    assert line_of(lines, "docker0").endswith("down")
    assert line_of(lines, "Pressure").endswith(
        "cpu 1.2 %  memory 0.0 % (all 0.0 %)  io 9.9 % (all 4.0 %)"
    )
    assert f"broken {DASH}" in line_of(lines, "Temps")
    assert line_of(lines, "Fans").endswith(f"thinkpad 2100 rpm  cpu fan {DASH}")
    assert line_of(lines, "Battery").endswith("80.0 % charging")
    assert line_of(lines, "Processes").startswith("Processes 213 (2 run)")
    assert "50.0 %   512.0 MiB    50.0 %  unhealthy" in line_of(lines, "database")
    assert f"{DASH}           {DASH}         {DASH}  exited" in line_of(lines, "old")


def test_what_runs_and_what_is_busy_comes_first() -> None:
    """Disks by their use, interfaces by their kind and traffic, containers that run."""
    lines = drawn(pictures.picture(), 100, None)
    for order in (["nvme0n1", "sda", "sdb"], ["eth0", "veth12", "lo", "docker0"], ["web", "old"]):
        places = [lines.index(line_of(lines, f"{name} ")) for name in order]
        assert places == sorted(places)


@pytest.mark.parametrize(("width", "columns"), [(129, 1), (130, 2), (200, 3)])
def test_wide_terminals_have_columns(width: int, columns: int) -> None:
    """Beside each other, and no line is too long."""
    lines = drawn(pictures.picture(), width, 40)
    first = lines[1]
    names = ["CPU", "Disks", "Processes"]
    assert [name in first for name in names] == [True, columns > 1, columns > 2]


def test_many_processors_are_drawn_as_one_cell_each() -> None:
    """A hundred fit into two lines."""
    lines = drawn(pictures.picture(100), 80, None)
    assert len(line_of(lines, "Cores").split()[-1]) == 70
    narrow = drawn(pictures.picture(4), 20, None)
    assert len(line_of(narrow, "Cores").split()[-1]) == 4


def test_a_server_without_full_detail_is_shown_as_far_as_it_goes() -> None:
    """There is one disk, and no more."""
    picture = Picture()
    picture.take(pictures.metrics(STANDARD), 0)
    lines = drawn(picture, 80, None)
    assert [line.split()[0] for line in lines if line.strip()[:1].isalpha()][1:] == [
        "CPU",
        "Memory",
        "Disks",
    ]
    assert line_of(lines, "/ ")


def test_what_a_host_has_not_is_left_out() -> None:
    """And what it does not know is a dash."""
    data = pictures.full()
    bare = evolve(data, disks=[], disk_io=[], network=[], temperatures=[], fans=[])
    bare = evolve(bare, battery=None, pressure=None, swap=None)
    picture = Picture()
    picture.take(pictures.metrics(bare), 0)
    lines = drawn(picture, 80, None)
    assert line_of(lines, "Swap").split() == ["Swap", DASH]
    assert not {"Temps", "Fans", "Battery", "Pressure", "Network"} & {
        line.split()[0] for line in lines if line.strip()
    }
    assert data.swap is not None
    none = evolve(data.swap, total=0, usage=None)
    cpu = evolve(data.cpu, limit_cores=None, frequency_MHz=None, per_core=[])
    memory = evolve(data.memory, limit=None, zfs_arc=None)
    irq = evolve(pictures.stall(0, 3.0), some=None)
    assert data.pressure is not None
    pressure = evolve(data.pressure, cpu=None, memory=None, io=None, irq=irq)
    picture.take(
        pictures.metrics(evolve(data, swap=none, cpu=cpu, memory=memory, pressure=pressure)), 0
    )
    lines = drawn(picture, 80, None)
    assert line_of(lines, "Swap").split() == ["Swap", "none"]
    assert line_of(lines, "Pressure").split() == ["Pressure", "irq", "3.0", "%"]


def test_channels_that_cannot_be_had_say_why() -> None:
    """Until they have something to tell; one that a server does not know is not missed."""
    picture = pictures.picture()
    for channel in ("containers", "processes"):
        picture.take(Error(1, ErrorCode.CHANNEL_UNAVAILABLE, "no engine\x1b[31m", channel), 0)
    lines = drawn(picture, 80, None)
    assert line_of(lines, "Containers").rstrip() == "Containers no engine?[31m"
    assert line_of(lines, "Processes").rstrip() == "Processes no engine?[31m"
    picture.take(pictures.containers(), 0)
    assert line_of(drawn(picture, 80, None), "Containers").startswith("Containers 3 (2 run)")
    picture.take(Error(1, ErrorCode.UNKNOWN_CHANNEL, "no", "containers"), 0)
    picture.take(Error(1, ErrorCode.RATE_LIMITED, "too fast"), 0)
    picture.forget("processes")
    picture.forget("metrics")
    assert "Processes no engine" not in " ".join(drawn(picture, 80, None))


@pytest.mark.parametrize(
    ("connection", "header", "second"),
    [
        (Connection(State(), "vm:1"), "○ connecting", ""),
        (
            Connection(State(Status.CONNECTING, error="refused", attempts=3), "vm:1", retry_in=2.2),
            "○ connecting, again in 2 s (3 failed)",
            "refused",
        ),
        (
            Connection(State(Status.RECONNECTING, error="cut\n"), "vm:1", age=71),
            "○ reconnecting, 71 s old",
            "cut?",
        ),
        (Connection(State(Status.CONNECTED, "longpoll"), "vm:1"), "● longpoll", ""),
    ],
)
def test_the_header_tells_how_the_connection_is(
    connection: Connection, header: str, second: str
) -> None:
    """And why there is none."""
    lines = [line.plain for line in render(Picture(), connection, PEN, 60, 5)]
    assert lines[0].startswith("vm:1 ")
    assert lines[0].endswith(header)
    assert lines[1] == second
    assert lines[-1] == "q quit  ·  vm:1"


sizes = st.tuples(st.integers(1, 260), st.integers(1, 90) | st.none())
pens = st.sampled_from([Pen(), Pen(ASCII, "ascii")])


@given(told=st.lists(data_messages, max_size=3), size=sizes, pen=pens)
def test_whatever_is_told_it_fits(
    told: list[MetricsMessage], size: tuple[int, int | None], pen: Pen
) -> None:
    """Any figures and names, on a terminal of any size and any encoding."""
    picture = Picture()
    for message in told:
        picture.take(message, 0)
    width, height = size
    lines = render(picture, UP, pen, width, height)
    assert height is None or len(lines) == height
    for line in lines:
        assert line.cell_len <= width
        assert line.plain.isprintable()
        line.plain.encode(pen.encoding)


def test_colours_say_what_is_too_much() -> None:
    """And where there are none, nothing of them is left."""
    lines = render(pictures.picture(), UP, PEN, 100, 30)
    for system, sign in (("truecolor", "\x1b["), (None, "")):
        console = Console(width=100, color_system=system, force_terminal=True)  # type: ignore[arg-type]
        with console.capture() as captured:
            console.print(*lines, sep="\n")
        assert (sign in captured.get()) is True
        assert ("\x1b[" in captured.get()) is bool(sign)
    assert any(str(span.style) == "bold red" for line in lines for span in line.spans)


# The past


def test_the_past_of_the_processors_is_drawn() -> None:
    """A history begins it, each message goes on with it, a gap is a hole."""
    picture = Picture()
    picture.take(gap("metrics"), 0)
    items = [body(pictures.metrics(STANDARD, seq)) for seq in (1, 2)]
    strange = [{"type": "weather"}, body(gap("metrics")), body(pictures.containers())]
    simple = pictures.metrics(STANDARD)
    simple = evolve(simple, data=Simple(1.0, 2.0, 3.0, 4.0))
    picture.take(History(1, "metrics", [*items, *strange, body(simple)]), 0)
    picture.take(History(1, "containers", []), 0)
    picture.take(gap("containers"), 0)
    picture.take(simple, 0)
    picture.take(pictures.metrics(pictures.full()), 7)
    assert list(picture.cpu) == [3.0, 3.0, None, 37.2]
    assert picture.came_at == 7
    assert PEN.sparkline(list(picture.cpu), 6).plain == "  ▁▁ ▃"
    assert PEN.sparkline(list(picture.cpu), 2).plain == " ▃"
    assert PEN.sparkline([1.0], 0).plain == ""


def gap(channel: str) -> Gap:
    return Gap(1, channel, GapReason.SLOW, None, Cursor("first", 5), None)


def test_a_channel_that_is_not_known_is_passed_over() -> None:
    """It is not shown."""
    picture = Picture()
    picture.take(ChannelMessage(1, Cursor("a", 1), "vm", 1000, 1000, {}, "weather"), 0)
    assert picture == Picture()


# The room that there is


texts = st.lists(st.just(Text("x")), max_size=9)
sections = st.lists(st.builds(Section, texts, st.integers(0, 5), st.integers(0, 4)), max_size=6)


@given(parts=sections, height=st.integers(0, 40))
def test_the_room_is_used_and_never_exceeded(parts: list[Section], height: int) -> None:
    """What is left over is less than a line that could be shown."""
    lines = fit(parts, height)
    assert len(lines) <= height
    wanted = sum(len(part.lines) for part in parts)
    if wanted <= height:
        assert sum(bool(line.plain) for line in lines) == wanted


def test_the_more_important_go_before() -> None:
    """But none takes all the room."""
    parts = [
        Section([Text(f"{name}{number}") for number in range(9)], rank, least)
        for name, rank, least in (("a", 2, 2), ("b", 0, 1), ("c", 1, 0))
    ]

    def names(height: int) -> list[str]:
        return [line.plain for line in fit(parts, height)]

    assert names(2) == ["b0", "b1"]
    assert names(3) == ["a0", "a1", "b0"]
    assert names(6) == ["a0", "a1", "a2", "b0", "b1", "c0"]


def test_a_table_gives_up_columns_from_the_right() -> None:
    """The first has what the others leave."""
    columns = [Column("name", 4, right=False), Column("size", 6), Column("rate", 6)]
    rows: list[list[Text | str]] = [[Text("metrics"), "7", "8"]]

    def at(width: int) -> list[str]:
        return [line.plain for line in table(PEN, width, columns, rows)]

    assert at(24) == ["name        size    rate", "metrics        7       8"]
    assert at(19) == ["name           size", "metrics           7"]
    assert at(12) == ["name    size", "met…       7"]
    assert at(3) == ["na…", "me…"]


# Figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        (math.inf, DASH),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1.5 * 2**40, "1.5 TiB"),
        (2.0**90, "9999.0+ EiB"),
        (-2048, "-2.0 KiB"),
    ],
)
def test_sizes_are_in_the_unit_that_suits_them(value: float | None, text: str) -> None:
    """Up to what anybody has."""
    assert PEN.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59, "0 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90_061, "1 d 1 h"), (-5, "0 min")],
)
def test_durations_have_their_two_greatest_units(seconds: float, text: str) -> None:
    """As the page has them."""
    assert duration(seconds) == text


def test_a_terminal_that_knows_only_ascii_gets_ascii() -> None:
    """As far as its encoding goes."""
    assert pen_for("utf-8").glyphs is UNICODE
    assert pen_for("ascii").glyphs is ASCII
    assert pen_for("latin-1").glyphs is ASCII
    assert all(str(getattr(ASCII, name)).isascii() for name in fields_dict(type(ASCII)))
    assert pen_for("latin-1").clean("Müller 東\x07") == "Müller ??"
