"""The session: the whole protocol of one client, without a wire."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from app.core.broadcaster import HubSettings
from app.core.delivery import CATCH_UP
from app.core.intake import MESSAGE_BYTES
from app.core.rate import BURST
from app.core.session import LANE, MAX_SUBSCRIPTIONS, Session
from app.core.source import Window
from schema.cursor import UNREADABLE, Cursor
from schema.errors import CloseCode, ErrorCode, ProtocolError
from schema.fields import Detail, GapReason
from schema.messages import Subscribe
from tests.manual_clock import ManualClock
from tests.serving import DrivenHub
from tests.synthetic import Numbers, SyntheticSource
from transports.base import Close, Wire

Body = dict[str, Any]
HERE = "here"


@define(eq=False)
class Costly(SyntheticSource):
    """A source each of whose messages takes 2 ms to render."""

    manual: ManualClock = field(factory=ManualClock)

    def render(self, window: Window, detail: Detail) -> Numbers:
        self.manual.now += 0.002
        return super().render(window, detail)


@define(eq=False)
class Client:
    """What is at the other end of a session's wire."""

    hub: DrivenHub
    wire: Wire = Wire.WEBSOCKET
    heritage: bool = False
    calls: int = 0
    session: Session = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = self.hub.open(self.wire, self.wake, heritage=self.heritage)

    @property
    def closed(self) -> CloseCode | None:
        close = self.session.close
        return None if close is None else close.code

    def wake(self) -> None:
        self.calls += 1

    def say(self, kind: str, **keys: object) -> None:
        self.session.receive(json.dumps({"type": kind, **keys}))

    def subscribe(self, channel: str = "alpha", interval: int = 1000, **keys: object) -> None:
        self.say("subscribe", channel=channel, interval=interval, **keys)

    def take(self) -> list[Body]:
        return [json.loads(frame.text) for frame in self.session.take()]

    def told(self) -> list[str]:
        """Take what there is, and tell it in short."""
        return [short(body) for body in self.take()]


def short(body: Body) -> str:
    """Tell a message's type, and its place, reason or code if it has one."""
    for key in ("cursor", "code", "to"):
        if body.get(key):
            return f"{body['type']} {body[key]}"
    return str(body["type"])


@define(eq=False)
class Stage:
    """A hub whose log the test writes, on a clock that it moves."""

    manual: ManualClock = field(factory=ManualClock)
    sources: list[SyntheticSource] = field(
        factory=lambda: [SyntheticSource("alpha"), SyntheticSource("beta")]
    )
    history_s: int = 900
    hub: DrivenHub = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = HubSettings(
            host=HERE,
            version="1.2",
            epoch="e",
            clock=self.manual.clock,
            history_s=self.history_s,
            heartbeat_ms=10_000,
        )
        self.hub = DrivenHub(self.sources, settings)

    def tick(self, first: int, last: int | None = None, *channels: str, **how: Any) -> None:  # noqa: ANN401
        for tick in range(first, (last or first) + 1):
            self.hub.tick(tick, *channels, **how)

    def client(self, wire: Wire = Wire.WEBSOCKET, *, heritage: bool = False) -> Client:
        """A client that has been greeted."""
        client = Client(self.hub, wire, heritage)
        client.session.take()
        return client

    def live(self, *channels: str, interval: int = 1000, heritage: bool = False) -> Client:
        """A client that has come to the newest message of its channels."""
        client = self.client(heritage=heritage)
        for channel in channels:
            client.subscribe(channel, interval)
        client.session.take()
        return client

    def poll(self, *channels: str, since: str | None = None, **keys: Any) -> Client:  # noqa: ANN401
        """A poll that has asked."""
        client = Client(self.hub, Wire.LONGPOLL)
        cursor = None if since is None else Cursor.parse(since)
        client.session.subscribe(
            [Subscribe(channel, 1000, since=cursor, **keys) for channel in channels]
        )
        return client

    def sleep(self, channel: str) -> None:
        self.hub.log.ring(channel, HERE).asleep = True

    def lose(self, channel: str, reason: str) -> None:
        """Have a channel unavailable, as its sampler would report it."""
        self.hub._publisher.lost[channel] = reason
        for cohort in self.hub._cohorts.values():
            for member in [m for m in cohort.members if cohort.key.channel == channel]:
                member.lost(channel, reason)


def answer(client: Client) -> Body:
    """Give a poll's answer."""
    body: Body = json.loads(client.session.batch(client.session.take()))
    return body


# Greeting and subscribing


def test_a_client_is_greeted_first() -> None:
    """With what it needs to know of the server."""
    at = Stage()
    client = Client(at.hub)
    client.subscribe()

    greeting, subscribed = client.take()

    assert greeting | {"clientId": "?"} == {
        "type": "connected",
        "timestamp": 1_700_001_000_000,
        "clientId": "?",
        "epoch": "e",
        "heartbeatMs": 10_000,
        "protocol": "pulsewire.v1",
        "version": "1.2",
        "tickMs": 1000,
        "channels": ["alpha", "beta"],
    }
    assert subscribed["type"] == "subscribed"


def test_a_subscribe_is_answered_before_its_data() -> None:
    """Then the history, then the snapshot, then what comes live."""
    at = Stage()
    at.tick(1, 12)
    client = at.client()

    client.subscribe(interval=4500, detail="simple", history=2)
    subscribed, history, snapshot = client.take()
    at.tick(13, 15)
    live = client.take()

    assert subscribed == {
        "type": "subscribed",
        "timestamp": at.hub.timestamp(),
        "channel": "alpha",
        "intervalMs": 5000,
        "detail": "simple",
        "resume": {"recovered": False, "reason": "first", "missed": None},
    }
    assert [item["timestamp"] // 1000 - 1_700_000_000 for item in history["items"]] == [5, 10]
    assert (snapshot["cursor"], snapshot["intervalMs"]) == ("e:23", 5000)
    assert [short(body) for body in live] == ["alpha e:29"]
    assert client.told() == []


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("e:20", ["ok", "alpha e:21"]),
        ("e:17", ["ok", "alpha e:18", "alpha e:19", "alpha e:20", "alpha e:21"]),
        ("e:500", ["unknown", "gap e:20", "alpha e:20", "alpha e:21"]),
        ("other:17", ["epoch_changed", "gap e:20", "alpha e:20", "alpha e:21"]),
        (None, ["first", "alpha e:20", "alpha e:21"]),
    ],
)
def test_a_cursor_decides_what_comes_first(since: str | None, expected: list[str]) -> None:
    """Row by row, and then it is live."""
    at = Stage()
    at.tick(1, 20, "alpha")
    client = at.client()

    client.subscribe(since=since)
    subscribed, *first = client.take()
    at.tick(21, 21, "alpha")

    reason = subscribed["resume"]["reason"]
    assert [reason, *map(short, first), *client.told()] == expected


def test_a_cursor_that_is_too_old_gets_a_gap_and_history() -> None:
    """At 361 messages; at 360 the history is ignored."""
    at = Stage()
    at.tick(1, 361, "alpha")
    client = at.client()

    client.subscribe(since="e:0", history=1)
    too_old = client.told()
    client.subscribe(since="e:1", history=1)
    resumed = client.told()

    assert too_old == ["subscribed", "gap e:361", "history", "alpha e:361"]
    assert resumed == ["subscribed", *(f"alpha e:{seq}" for seq in range(2, 362))]


def test_a_header_that_is_no_cursor_is_an_unknown_one() -> None:
    """An EventSource could never get rid of it."""
    at = Stage()
    at.tick(1)
    client = at.client(Wire.SSE)

    client.session.subscribe([Subscribe("alpha", since=UNREADABLE)])
    subscribed, gap, snapshot = client.take()

    assert subscribed["resume"]["reason"] == gap["reason"] == "unknown"
    assert (gap["from"], snapshot["type"]) == (None, "alpha")


def test_a_second_subscribe_replaces_the_first() -> None:
    """Its cohort stays registered if it is the same, and goes if it was the last there."""
    at = Stage()
    at.tick(1, 20)
    client = at.live("alpha")

    client.subscribe()
    assert client.told() == ["subscribed", "alpha e:39"]
    assert at.hub.cohorts == 1
    client.subscribe(interval=5000)
    client.subscribe(interval=5000, since="e:0")
    assert client.told() == ["subscribed", *(f"alpha e:{seq}" for seq in (1, 9, 19, 29, 39))]
    assert at.hub.cohorts == 1
    calls = client.calls
    at.tick(21)
    assert (client.calls, client.told()) == (calls, [])
    at.tick(22, 25)
    assert (client.calls, client.told()) == (calls + 1, ["alpha e:49"])


def test_a_channel_that_was_given_back_is_silent() -> None:
    """Whether its subscription was answered already or not."""
    at = Stage()
    at.tick(1)
    client = at.live("alpha")

    client.say("unsubscribe", channel="alpha")
    client.subscribe("beta")
    client.say("unsubscribe", channel="beta")
    client.say("unsubscribe", channel="beta")
    at.tick(2)

    assert client.told() == []
    assert at.hub.cohorts == 0


# Errors


@pytest.mark.parametrize(
    ("data", "code", "names"),
    [
        ("{", "INVALID_MESSAGE", "JSON"),
        ("[]", "INVALID_MESSAGE", "object"),
        ('{"type":"dance"}', "INVALID_MESSAGE", "type"),
        ('{"type":"subscribe","channel":"alpha","interval":"5000"}', "INVALID_MESSAGE", "interval"),
        ('{"type":"subscribe","channel":"alpha","since":"x"}', "INVALID_MESSAGE", "since"),
        ('{"type":"subscribe","channel":"alpha","detail":"full"}', "INVALID_MESSAGE", "detail"),
        ('{"type":"subscribe","channel":"nope"}', "UNKNOWN_CHANNEL", "channel"),
        ('{"type":"unsubscribe","channel":"nope"}', "UNKNOWN_CHANNEL", "channel"),
        (b'{"type":"ping"}', "INVALID_MESSAGE", "binary"),
    ],
)
def test_a_bad_message_is_answered_and_changes_nothing(
    data: str | bytes, code: str, names: str
) -> None:
    """The connection stays open, and what was subscribed goes on."""
    at = Stage()
    at.tick(1)
    client = at.live("alpha")
    calls = client.calls

    client.session.receive(data)

    assert client.calls == calls + 1
    (error,) = client.take()
    assert (error["type"], error["code"]) == ("error", code)
    assert names in error["message"]
    assert error.get("channel") == ("nope" if code == "UNKNOWN_CHANNEL" else None)
    assert client.session.close is None
    at.tick(2)
    assert client.told() == ["alpha e:3"]


def test_a_connection_has_so_many_subscriptions() -> None:
    """Replacing one takes no more room, and giving one back makes some."""
    names = [f"c{at}" for at in range(MAX_SUBSCRIPTIONS + 1)]
    at = Stage(sources=[SyntheticSource(name) for name in names])
    client = at.client()
    for name in names[:8]:
        client.subscribe(name)
    client.session.take()
    for name in names[8:]:
        client.subscribe(name)

    *acknowledged, error = sorted(client.take(), key=lambda body: body["type"], reverse=True)

    assert {body["type"] for body in acknowledged} == {"subscribed"}
    assert (error["code"], error["channel"]) == ("TOO_MANY_SUBSCRIPTIONS", names[-1])
    client.subscribe(names[0])
    assert client.told() == ["subscribed"]
    client.say("unsubscribe", channel=names[0])
    client.subscribe(names[-1])
    assert client.told() == ["subscribed"]


@pytest.mark.parametrize("character", ["x", "é", "漢"])
def test_a_message_may_have_so_many_bytes(character: str) -> None:
    """One more ends the connection, after it was told why; nothing is heard after that."""
    at = Stage()
    client = at.client()
    width = len(character.encode())
    empty = len('{"type":"ping","note":""}')
    fits = '{"type":"ping","note":"%s"}' % (character * ((MESSAGE_BYTES - empty) // width))
    spare = MESSAGE_BYTES - len(fits.encode())

    client.session.receive(fits + " " * spare)
    assert client.told() == ["heartbeat"]
    client.session.receive(fits + " " * (spare + 1))
    client.subscribe()

    assert client.told() == ["error MESSAGE_TOO_LARGE"]
    assert client.session.close == Close(CloseCode.MESSAGE_TOO_BIG, "message too big")


def test_who_talks_too_fast_is_told_so_and_then_let_go() -> None:
    """One who listens may go on."""
    at = Stage()
    client = at.client()
    for _ in range(int(BURST)):
        client.say("ping")
    assert client.told() == ["heartbeat"] * 40

    told = []
    for _ in range(int(BURST)):
        client.subscribe()
        told += client.told()
    assert set(told) == {"error RATE_LIMITED"}
    at.manual.advance(0.051)
    client.say("ping")
    assert client.told() == ["heartbeat"]
    open_still = client.closed is None
    client.say("ping")

    assert open_still
    assert client.closed == CloseCode.RATE
    assert client.told() == ["error RATE_LIMITED"]


def test_a_client_that_does_not_even_read_its_errors_is_let_go() -> None:
    """The lane is short; what is in it still goes out."""
    at = Stage()
    client = at.client()
    client.subscribe()
    client.session.take()

    for _ in range(LANE):
        at.lose("alpha", "gone")
    open_still = client.closed is None
    at.lose("alpha", "gone")
    at.lose("alpha", "gone")

    assert open_still
    assert client.session.close == Close(CloseCode.TOO_SLOW, "too slow")
    assert client.told() == ["error CHANNEL_UNAVAILABLE"] * LANE
    client.session.farewell(1000)
    assert client.told() == []


def test_a_reader_that_is_let_go_in_a_farewell_is_still_too_slow() -> None:
    """The first reason counts."""
    at = Stage()
    client = at.client()
    for _ in range(LANE):
        client.session.lost("alpha", "gone")

    client.session.farewell(1000)

    assert client.closed == CloseCode.TOO_SLOW


# Heritage


def test_a_heritage_client_hears_nothing_of_v1() -> None:
    """Data and errors only; neither its cursor nor its history means anything."""
    at = Stage()
    at.tick(1, 20)
    client = Client(at.hub, heritage=True)
    client.subscribe(since="e:5", history=5, timestamp=1.5)

    greeting, snapshot = client.take()

    assert greeting["protocol"] == "heritage"
    assert (snapshot["type"], snapshot["cursor"]) == ("alpha", "e:39")
    at.hub.tick(25, hole=GapReason.SOURCE)
    assert client.told() == ["alpha e:41"]
    at.tick(26, 26 + CATCH_UP)
    assert client.told() == ["alpha e:103"]
    client.session.farewell(1000)
    assert client.told() == []
    assert client.session.close == Close(CloseCode.RESTART, "server is restarting")


def test_a_heritage_client_has_no_channel_of_v1() -> None:
    """It is not told of it, and told why if it asks."""
    at = Stage(sources=[SyntheticSource("alpha"), SyntheticSource("processes")])
    client = Client(at.hub, heritage=True)
    assert client.take()[0]["channels"] == ["alpha"]
    client.subscribe("processes")
    (error,) = client.take()
    assert error["code"] == "INVALID_MESSAGE"
    assert error["message"].startswith(
        "channel: processes is not to be had without the subprotocol"
    )
    modern = Client(at.hub)
    assert modern.take()[0]["channels"] == ["alpha", "processes"]
    modern.subscribe("processes")
    assert modern.told() == ["subscribed"]


def test_a_heritage_client_has_no_full_detail() -> None:
    """Whatever the source has."""
    full = (Detail.SIMPLE, Detail.STANDARD, Detail.FULL)
    at = Stage(sources=[SyntheticSource("alpha", details=full)])
    at.tick(1)
    client, v1 = at.client(heritage=True), at.client()

    client.subscribe(detail="full")
    v1.subscribe(detail="full")

    assert client.told() == ["error INVALID_MESSAGE"]
    assert v1.told() == ["subscribed", "alpha e:1"]
    client.subscribe(detail="simple")
    assert client.told() == ["alpha e:1"]


# Heartbeats


def test_each_ping_is_answered() -> None:
    """With the cursor up to which all was sent; null before anything was."""
    at = Stage()
    client = at.client()
    client.subscribe(interval=5000)
    client.say("ping")
    assert client.told() == ["subscribed", "heartbeat"]

    at.tick(1, 3)
    client.say("ping")
    client.say("ping")

    assert client.told() == ["alpha e:5", "heartbeat e:6", "heartbeat e:6"]


def test_a_beat_is_left_out_where_something_else_is_sent() -> None:
    """It is a sign of life like any other."""
    at = Stage()
    at.tick(1)
    client = at.live("alpha")
    calls = client.calls

    client.session.beat()
    assert client.calls == calls + 1
    assert client.told() == ["heartbeat e:2"]
    client.session.beat()
    at.tick(2)
    assert client.told() == ["alpha e:3"]
    assert client.told() == []


def test_a_beat_is_not_left_out_for_what_a_heritage_client_is_not_told() -> None:
    """It would be silent for two periods."""
    at = Stage()
    at.tick(10)
    client = at.live("alpha", interval=5000, heritage=True)

    client.session.beat()
    at.hub.tick(12, hole=GapReason.SOURCE)

    assert client.told() == ["heartbeat e:4"]


def test_silence_counts_from_what_was_last_sent() -> None:
    """Taking nothing is no sending."""
    at = Stage()
    client = at.client()
    begin = client.session.last_sent
    at.manual.advance(3)

    client.session.take()
    silent = client.session.last_sent
    client.say("ping")
    client.session.take()

    assert (begin, silent, client.session.last_sent) == (1000, 1000, 1003)


# Behind


def test_a_reader_that_is_a_little_behind_gets_it_all_in_order() -> None:
    """30 messages over all of its channels, in the order of ``seq``, with the holes."""
    at = Stage()
    at.tick(10)
    client = at.live("alpha", "beta")
    at.tick(11, 15)
    at.hub.tick(17, "beta", hole=GapReason.SOURCE)
    at.tick(18, 26, "beta")
    at.tick(18, 27, "alpha")

    told = client.told()

    data = [f"alpha e:{seq}" for seq in (*range(3, 12, 2), *range(23, 33))]
    data += [f"beta e:{seq}" for seq in (*range(4, 13, 2), *range(13, 23))]
    by_seq = sorted(data, key=lambda text: int(text.split(":")[1]))
    assert len(data) == CATCH_UP
    assert told == [*by_seq[:10], "gap e:13", *by_seq[10:]]


def test_a_reader_that_is_further_behind_gets_gaps_and_the_newest() -> None:
    """The gaps of all channels first, then the messages in the order of ``seq``."""
    at = Stage()
    at.tick(10)
    client = at.live("alpha", "beta")
    at.tick(11, 25)
    at.tick(26, 26, "alpha")
    at.tick(26, 26, "beta")

    told = client.take()

    assert [short(body) for body in told] == ["gap e:33", "gap e:34", "alpha e:33", "beta e:34"]
    assert [(gap["from"], gap["missed"]) for gap in told[:2]] == [("e:2", 15), ("e:2", 15)]
    at.tick(27)
    assert client.told() == ["alpha e:35", "beta e:36"]


def test_a_reader_that_resumes_is_behind_with_its_other_channels_only() -> None:
    """What a cursor missed is not held against the live ones."""
    at = Stage()
    at.tick(1, 60)
    client = at.live("alpha")
    at.tick(61, 61 + CATCH_UP - 1)

    client.subscribe("beta", since="e:2")
    told = client.told()

    assert told.count("subscribed") == 1
    assert [text for text in told if text.startswith("gap")] == []
    assert len(told) == 1 + CATCH_UP + 89


# Sources that sleep, or are not there


def test_an_opening_waits_for_a_source_that_sleeps() -> None:
    """The other channel does not; the snapshot comes as soon as there is one, due or not."""
    at = Stage()
    at.tick(1, 8)
    at.sleep("beta")
    client = at.client()
    client.subscribe("alpha", 5000)
    client.subscribe("beta", 60_000, history=3)

    assert client.told() == ["subscribed", "subscribed", "alpha e:15"]
    at.tick(9, 10, "alpha")
    assert client.told() == ["alpha e:18"]
    calls = client.calls
    at.tick(12, 12, "beta", hole=GapReason.IDLE)
    assert client.calls == calls + 1
    history, snapshot = client.take()
    assert [short(item) for item in history["items"]] == ["beta e:2", "gap e:19"]
    assert short(snapshot) == "beta e:19"


def test_a_source_that_has_yet_to_begin_is_waited_for() -> None:
    """Its first message is due for all."""
    at = Stage()
    client = at.live("alpha", interval=60_000)
    calls = client.calls

    at.tick(7)

    assert (client.calls, client.told()) == (calls + 1, ["alpha e:1"])
    at.tick(8)
    assert (client.calls, client.told()) == (calls + 1, [])


def test_who_waits_is_told_of_a_first_message_off_the_grid() -> None:
    """Once, and only who is still there."""
    at = Stage()
    at.tick(1, 8)
    at.sleep("beta")
    waiting, gone = (at.live("beta", interval=60_000) for _ in range(2))
    gone.say("unsubscribe", channel="beta")
    calls = [waiting.calls, gone.calls]

    at.tick(9)
    assert waiting.told() == ["beta e:18"]
    at.tick(10)

    assert [waiting.calls, gone.calls] == [calls[0] + 1, calls[1]]
    assert [waiting.told(), gone.told()] == [[], []]


@pytest.mark.parametrize(
    ("since", "reason", "missed"), [("e:2", "too_old", 399), ("other:5", "epoch_changed", None)]
)
def test_the_gap_before_a_snapshot_that_has_to_wait_does_not_wait(
    since: str, reason: str, missed: int | None
) -> None:
    """Any later cursor, of whichever channel, would cover up what it lost."""
    at = Stage()
    at.tick(1, 401)
    at.sleep("beta")
    client = at.client(Wire.SSE)

    client.session.subscribe(
        [Subscribe(name, 1000, since=Cursor.parse(since)) for name in ("alpha", "beta")]
    )
    told = client.take()

    gaps = {body["channel"]: body for body in told if body["type"] == "gap"}
    assert [short(body) for body in told[2:]] == ["gap e:801", "gap e:803", "alpha e:801"]
    assert {name: gap["reason"] for name, gap in gaps.items()} == {"alpha": reason, "beta": reason}
    # The next place is the first that the snapshot can have.
    assert (gaps["beta"]["from"], gaps["beta"]["missed"]) == (since, missed and missed + 1)
    at.tick(402, 402, "beta", hole=GapReason.IDLE)
    assert client.told() == ["beta e:803"]


def test_a_channel_that_is_not_there_is_told_and_stays_subscribed() -> None:
    """It begins when its source does."""
    at = Stage()
    at.lose("beta", "no engine")
    client = at.client()

    client.subscribe("beta")
    subscribed, error = client.take()

    assert subscribed["type"] == "subscribed"
    assert error == {
        "type": "error",
        "timestamp": at.hub.timestamp(),
        "code": "CHANNEL_UNAVAILABLE",
        "message": "no engine",
        "channel": "beta",
    }
    at.tick(1)
    assert client.told() == ["beta e:2"]
    calls = client.calls
    at.lose("beta", "gone again")
    assert (client.calls, client.told()) == (calls + 1, ["error CHANNEL_UNAVAILABLE"])


def test_a_channel_that_is_lost_before_its_subscription_is_answered_is_told_once() -> None:
    """Behind the answer."""
    at = Stage()
    client = at.client()

    client.subscribe("beta")
    at.lose("beta", "no engine")

    assert client.told() == ["subscribed", "error CHANNEL_UNAVAILABLE"]


# The fan-out


@define(eq=False)
class Direct:
    """A client on a wire that is written to at once, and that may stop to read for a while.

    Its session is woken by ``pump``, which does what the direct path does.
    """

    hub: DrivenHub
    wire: Wire = Wire.WEBSOCKET
    fd: int = -1
    heritage: bool = False
    clear: bool = True
    full: bool = False
    pumped: int = 0
    taken: list[bytes] = field(factory=list)
    session: Session = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.session = self.hub.open(self.wire, self.pump, heritage=self.heritage)
        self.session.take()

    def subscribe(self, channel: str = "alpha", interval: int = 1000, **keys: object) -> None:
        subscribe = {"type": "subscribe", "channel": channel, "interval": interval} | keys
        self.session.receive(json.dumps(subscribe))

    def pump(self) -> None:
        self.pumped += 1
        if self.clear:
            self.taken += [frame.websocket for frame in self.session.take()]
            if self.session.more:
                self.pump()
            else:
                self.session.join(self)

    def put(self, data: bytes) -> None:
        assert self.clear
        self.taken.append(data)
        if self.full:
            self.stall()

    def abort(self) -> None: ...

    def stall(self) -> None:
        self.clear = False
        self.session.part()

    def resume(self) -> None:
        self.clear = True
        self.pump()

    def told(self) -> list[str]:
        """Tell what came since the last time, in short."""
        data, self.taken = b"".join(self.taken), []
        return [short(json.loads(text)) for text in texts(data)]


def texts(data: bytes) -> list[bytes]:
    """Cut a stream of a server's text frames into its texts (RFC 6455 section 5.2)."""
    found = []
    while data:
        assert data[0] == 0x81
        begin, length = 2, data[1]
        if length == 126:
            begin, length = 4, int.from_bytes(data[2:4], "big")
        found.append(data[begin : begin + length])
        data = data[begin + length :]
    return found


def test_who_is_in_the_fan_out_is_sent_what_comes() -> None:
    """Of each of its channels, in the order of ``seq``, without being told."""
    at = Stage()
    at.tick(1)
    client = Direct(at.hub)
    client.subscribe("alpha")
    client.subscribe("beta", 2000)
    client.told()
    pumped = client.pumped

    at.tick(2, 3)
    at.hub.tick(5, "beta", hole=GapReason.SOURCE)

    assert client.told() == ["alpha e:3", "beta e:4", "alpha e:5", "gap e:7", "beta e:7"]
    assert client.pumped == pumped
    assert client.session.take() == []


def test_who_has_left_the_fan_out_takes_what_it_missed() -> None:
    """From the very message at which it left."""
    at = Stage()
    at.tick(1)
    client = Direct(at.hub)
    client.subscribe("alpha")
    at.tick(2)
    client.stall()
    at.tick(3, 4)
    assert client.told() == ["subscribed", "alpha e:1", "alpha e:3"]

    client.resume()
    at.tick(5)

    assert client.told() == ["alpha e:5", "alpha e:7", "alpha e:9"]


def test_who_stalls_between_two_publications_of_a_tick_misses_none() -> None:
    """The one that filled its wire is its own, the next one waits."""
    at = Stage()
    at.tick(1)
    client = Direct(at.hub)
    client.subscribe("beta")
    client.subscribe("alpha")
    client.told()
    client.full = True
    at.tick(2)
    assert client.told() == ["alpha e:3"]
    client.full = False

    client.resume()
    at.tick(3)

    assert client.told() == ["beta e:4", "alpha e:5", "beta e:6"]


def test_a_channel_that_was_given_back_is_fanned_out_no_more() -> None:
    """The others are; also if somebody else is still in its cohort."""
    at = Stage()
    at.tick(1)
    client, other = Direct(at.hub), Direct(at.hub)
    client.subscribe("alpha")
    client.subscribe("beta")
    client.told()
    other.subscribe("alpha")

    client.session.receive('{"type":"unsubscribe","channel":"alpha"}')
    at.tick(2)
    client.subscribe("beta", 5000)
    at.tick(3, 5)

    assert client.told() == ["beta e:4", "subscribed", "beta e:4", "beta e:10"]
    assert at.hub.cohorts == 2
    client.session.leave()
    other.told()
    at.tick(10)
    assert (client.told(), other.told(), at.hub.cohorts) == ([], ["alpha e:11"], 1)


def test_a_channel_may_be_given_back_while_its_opening_waits() -> None:
    """It was not in the fan-out yet; the others stay there."""
    at = Stage()
    at.tick(1)
    at.sleep("beta")
    client = Direct(at.hub)
    client.subscribe("alpha")
    client.subscribe("beta")

    client.session.receive('{"type":"unsubscribe","channel":"beta"}')
    at.tick(2)

    assert client.told() == ["subscribed", "alpha e:1", "subscribed", "alpha e:3"]
    assert at.hub.cohorts == 1


def test_an_opening_that_waits_joins_when_it_is_out() -> None:
    """The other channels are fanned out meanwhile, and nothing is lost or repeated."""
    at = Stage()
    at.tick(1)
    at.sleep("beta")
    client = Direct(at.hub)
    client.subscribe("alpha")
    client.subscribe("beta", 60_000)
    at.tick(2, 2, "alpha")
    at.hub.tick(3, "beta", "alpha", hole=GapReason.IDLE)
    at.tick(60, 60, "beta")

    assert client.told() == [
        "subscribed",
        "alpha e:1",
        "subscribed",
        "alpha e:3",
        "beta e:4",
        "gap e:5",
        "alpha e:5",
        "beta e:6",
    ]


def test_who_is_served_in_slices_joins_after_the_last() -> None:
    """Not while there is more to take."""
    at = costly()
    at.tick(1, 10)
    client = Direct(at.hub)

    client.subscribe("alpha", since="e:1")
    at.tick(11)

    assert client.told() == ["subscribed", *(f"alpha e:{seq}" for seq in range(3, 22, 2))]


def test_a_heritage_client_in_the_fan_out_hears_nothing_of_v1() -> None:
    """A hole without a message is silence."""
    at = Stage()
    at.tick(1)
    client = Direct(at.hub, heritage=True)
    client.subscribe("alpha", 5000)
    at.hub.tick(3, hole=GapReason.SOURCE)
    at.hub.tick(5, hole=GapReason.SOURCE)

    assert client.told() == ["alpha e:1", "alpha e:5"]


def test_silence_counts_from_the_last_fan_out_too() -> None:
    """While the client is in it."""
    at = Stage()
    at.tick(1)
    client = Direct(at.hub)
    at.sleep("beta")
    client.subscribe("alpha")
    client.subscribe("beta")
    moments = [client.session.silent_since]
    at.manual.advance(1)
    at.tick(2, 2, "alpha")
    moments.append(client.session.silent_since)
    client.stall()
    moments.append(client.session.silent_since)

    assert moments == [1000, 1001, 1000]


@define(eq=False)
class Twins:
    """Two clients that say the same at the same time: one in the fan-out, one that takes."""

    at: Stage
    tick: int = 1
    taken: list[bytes] = field(factory=list)
    direct: Direct = field(init=False)
    ordinary: Client = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.at.tick(self.tick)
        self.direct, self.ordinary = Direct(self.at.hub), self.at.client()

    def take(self) -> None:
        if self.direct.clear:
            self.taken += [frame.text for frame in self.ordinary.session.take()]

    def say(self, kind: str, **keys: object) -> None:
        for session in (self.direct.session, self.ordinary.session):
            session.receive(json.dumps({"type": kind, **keys}))
        self.take()

    def publish(self, number: int, *channels: str, hole: GapReason | None = None) -> None:
        for _ in range(number):
            self.tick += 1
            self.at.hub.tick(self.tick, *channels, hole=hole)
            self.take()

    def stall(self) -> None:
        self.direct.stall()

    def resume(self) -> None:
        self.direct.resume()
        self.take()


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["both", "alpha", "beta", "many", "hole", "ask", "ping", "stall", "go"]
            ),
            st.integers(1, 3),
        ),
        max_size=40,
    )
)
def test_the_fan_out_gives_what_taking_gives(steps: list[tuple[str, int]]) -> None:
    """Byte for byte, whoever stalls for however long, and whatever is subscribed meanwhile."""
    twins = Twins(Stage())
    does: dict[str, Callable[[int], None]] = {
        "both": twins.publish,
        "alpha": lambda number: twins.publish(number, "alpha"),
        "beta": lambda number: twins.publish(number, "beta"),
        "many": lambda number: twins.publish(20 * number),
        "hole": lambda number: twins.publish(number, hole=GapReason.SOURCE),
        "ask": lambda number: twins.say(
            "subscribe", channel="beta", interval=number * 1000, history=number
        ),
        "ping": lambda _: twins.say("ping"),
        "stall": lambda _: twins.stall(),
        "go": lambda _: twins.resume(),
    }
    twins.say("subscribe", channel="alpha", interval=1000)
    twins.say("subscribe", channel="beta", interval=2000)

    for kind, number in [*steps, ("go", 1), ("both", 2)]:
        does[kind](number)

    assert texts(b"".join(twins.direct.taken)) == twins.taken


# In slices


def costly() -> Stage:
    """A stage whose first channel takes its time, so that 3 of its messages fill a slice."""
    manual = ManualClock()
    return Stage(manual, [Costly("alpha", manual=manual), SyntheticSource("beta")])


def slices(client: Client) -> list[list[str]]:
    """Take until there is no more."""
    taken = [client.told()]
    while client.session.more:
        taken.append(client.told())
    return taken


def test_a_resume_is_rendered_in_slices() -> None:
    """The acknowledgement waits for the verdict, and nothing is sent out of turn meanwhile."""
    at = costly()
    at.tick(1, 10)
    client = at.live("beta")
    client.subscribe("alpha", since="e:1")
    client.subscribe("beta", since="e:18")
    at.tick(11)

    taken = slices(client)

    recovered = [f"alpha e:{seq}" for seq in range(3, 22, 2)]
    recovered[9:9] = ["beta e:20"]
    assert taken == [[], [], [], ["subscribed", "subscribed", *recovered, "beta e:22"]]


def test_verdicts_are_given_in_the_order_of_the_questions() -> None:
    """One that is quickly found waits for the one before it."""
    at = costly()
    at.tick(1, 10)
    client = at.client()
    client.subscribe("alpha", since="e:1")
    client.subscribe("beta")

    taken = slices(client)

    assert taken[:3] == [[], [], ["subscribed", "subscribed"]]
    assert taken[-1][-2:] == ["alpha e:19", "beta e:20"]


def test_an_opening_is_rendered_in_slices() -> None:
    """Acknowledged at once, the rest in one go when it is at hand."""
    at = costly()
    at.tick(1, 10)
    client = at.client()
    client.subscribe("alpha", history=9)

    assert slices(client) == [["subscribed"], [], [], ["history", "alpha e:19"]]
    assert client.told() == []


def test_a_heartbeat_waits_while_there_is_more() -> None:
    """Its cursor would be ahead of what it covers; it comes with the rest."""
    at = costly()
    at.tick(1, 10)
    client = at.live("beta")
    client.subscribe("alpha", since="e:1")
    at.tick(11)
    client.say("ping")

    *early, last = slices(client)

    assert early == [[], [], []]
    assert last[-2:] == ["beta e:22", "heartbeat e:22"]
    assert last.count("heartbeat e:22") == 1


def test_who_gives_a_channel_back_while_it_is_judged_is_rid_of_it() -> None:
    """Nothing of it comes any more."""
    at = costly()
    at.tick(1, 10)
    client = at.client()
    client.subscribe("alpha", since="e:1")
    assert (client.told(), client.session.more) == ([], True)

    client.say("unsubscribe", channel="alpha")

    assert (client.told(), client.session.more) == ([], False)
    assert at.hub.cohorts == 0


# The end


def test_a_farewell_is_said_once() -> None:
    """When to come back, and nothing behind it; pings are not answered any more."""
    at = Stage()
    at.tick(1)
    client = at.live("alpha")
    client.say("ping")
    calls = client.calls

    client.session.farewell(1500)
    client.session.farewell(2500)
    at.tick(2)
    (frame,) = client.session.take()

    assert client.calls == calls + 2
    assert json.loads(frame.text) == {
        "type": "reconnect",
        "timestamp": at.hub.timestamp(),
        "reason": "drain",
        "afterMs": 1500,
    }
    assert frame.retry == 1500
    assert client.session.close == Close(CloseCode.RESTART, "server is restarting")
    assert client.told() == []


def test_a_client_that_left_is_forgotten() -> None:
    """It may leave twice, with subscriptions of any state."""
    at = Stage()
    at.tick(1, 5)
    at.sleep("beta")
    client = at.live("alpha", "beta")
    other = at.live("alpha")
    client.subscribe("alpha", 5000)

    client.session.leave()
    client.session.leave()

    assert at.hub.sessions == {other.session}
    assert at.hub.cohorts == 1
    calls = client.calls
    at.tick(6)
    at.hub._wheel.turn(at.manual.now + 3600)
    assert client.calls == calls
    other.session.leave()
    assert (at.hub.sessions, at.hub.cohorts) == (set(), 0)


# Polls


def test_a_poll_without_a_cursor_is_answered_with_a_snapshot() -> None:
    """The texts are those of the other wires, nothing is acknowledged but in ``resume``."""
    at = Stage()
    at.tick(1, 12)
    stream = at.client()
    stream.subscribe(history=2)
    texts = [frame.text for frame in stream.session.take()[1:]]
    poll = at.poll("alpha", history=2)

    body = poll.session.batch(poll.session.take())

    assert body == (
        b'{"type":"batch","timestamp":1700001000000,"cursor":"e:24",'
        b'"resume":{"alpha":{"recovered":false,"reason":"first","missed":null}},'
        b'"messages":[' + b",".join(texts) + b"]}"
    )


def test_a_poll_with_a_cursor_is_answered_with_what_was_missed() -> None:
    """Of all channels; its cursor may advance without any message."""
    at = Stage()
    at.tick(1, 10)

    missed = answer(at.poll("alpha", "beta", since="e:17"))
    nothing = answer(at.poll("alpha", since="e:19"))

    assert [short(body) for body in missed["messages"]] == ["beta e:18", "alpha e:19", "beta e:20"]
    assert missed["cursor"] == "e:20"
    assert missed["resume"]["beta"] == {"recovered": True, "reason": "ok", "missed": 2}
    assert (nothing["messages"], nothing["cursor"]) == ([], "e:20")


def test_a_poll_that_found_nothing_waits_for_the_next_message() -> None:
    """And gets everything of that tick."""
    at = Stage()
    at.tick(1, 10)
    poll = at.poll("alpha", "beta", since="e:20")
    assert poll.told() == []
    calls = poll.calls

    at.tick(11)

    assert poll.calls == calls + 1
    body = answer(poll)
    assert [short(message) for message in body["messages"]] == ["alpha e:21", "beta e:22"]
    assert body["cursor"] == "e:22"


def test_a_poll_s_cursor_covers_what_was_taken_and_no_more() -> None:
    """The log may go on before the answer is made, after a message or after the time is up."""
    at = Stage()
    at.tick(1, 10)
    answered, empty = at.poll("alpha", since="e:17"), at.poll("alpha", since="e:20")
    frames = answered.session.take()
    assert empty.told() == []

    at.tick(11)

    assert json.loads(answered.session.batch(frames))["cursor"] == "e:20"
    assert json.loads(empty.session.batch([]))["cursor"] == "e:20"


@pytest.mark.parametrize("since", [None, "e:15"])
def test_a_poll_that_is_cut_short_keeps_its_cursor(since: str | None) -> None:
    """Told to come back, before it was given anything, or while it waited."""
    at = Stage()
    at.tick(1, 10)
    at.sleep("alpha")
    parked, fresh = at.poll("alpha", since=since), at.poll("alpha", since=since)
    at.tick(11, 11, "beta")
    have = len(parked.take())
    at.tick(12, 12, "beta")

    told = []
    for poll in (parked, fresh):
        poll.session.farewell(700)
        told.append(answer(poll))

    assert have == (0 if since is None else 2)
    for body in told:
        assert [message["type"] for message in body["messages"]] == ["reconnect"]
        assert body["cursor"] == since
    assert told[1]["resume"] == {}


def test_a_poll_that_was_given_messages_before_the_end_has_them() -> None:
    """It must not be given them again."""
    at = Stage()
    at.tick(1, 10)
    poll = at.poll("alpha", since="e:17")
    frames = poll.session.take()

    poll.session.farewell(700)

    body = json.loads(poll.session.batch(frames))
    assert ([short(message) for message in body["messages"]], body["cursor"]) == (
        ["alpha e:19"],
        "e:20",
    )


def test_a_poll_on_a_log_that_has_yet_to_begin_covers_nothing_up() -> None:
    """Right after a restart, the loss of the old log is told even if there is nothing else."""
    at = Stage()
    poll = at.poll("alpha", since="other:500")

    body = answer(poll)

    (gap,) = body["messages"]
    assert (gap["reason"], gap["from"], gap["to"]) == ("epoch_changed", "other:500", "e:1")
    assert body["cursor"] == "e:0"
    at.tick(1)
    assert [short(m) for m in answer(at.poll("alpha", since="e:0"))["messages"]] == ["alpha e:1"]


def test_a_poller_is_told_once_that_a_channel_is_not_there() -> None:
    """With the cursor of that answer it waits, and is told again only when that changes."""
    at = Stage()
    at.lose("alpha", "no engine")

    first = answer(at.poll("alpha"))
    second = at.poll("alpha", since=first["cursor"])

    assert [short(body) for body in first["messages"]] == ["error CHANNEL_UNAVAILABLE"]
    assert second.told() == []
    at.lose("alpha", "still none")
    assert second.told() == ["error CHANNEL_UNAVAILABLE"]


def test_a_request_for_a_channel_that_there_is_not_is_refused_as_a_whole() -> None:
    """Whatever else it asked for is let go with the session."""
    at = Stage()
    client = at.client(Wire.SSE)

    with pytest.raises(ProtocolError) as refused:
        client.session.subscribe([Subscribe("alpha"), Subscribe("nope")])
    client.session.leave()

    assert refused.value.code is ErrorCode.UNKNOWN_CHANNEL
    assert at.hub.cohorts == 0
