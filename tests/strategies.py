"""Hypothesis strategies for everything that the protocol says, and one full example of each."""

from __future__ import annotations

from enum import Enum
from string import ascii_lowercase, digits
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import attrs
import orjson
from hypothesis import strategies as st

from schema.codec import ServerMessage, encode
from schema.containers import Container, ContainersMessage, HeritageContainer
from schema.cursor import Cursor
from schema.errors import ErrorCode
from schema.fields import (
    HISTORY_MAX,
    INTERVAL_MAX_MS,
    INTERVAL_MIN_MS,
    Detail,
    GapReason,
    Range,
    ResumeReason,
)
from schema.memory import Memory
from schema.messages import (
    Batch,
    ClientMessage,
    Connected,
    Error,
    Gap,
    Heartbeat,
    History,
    Ping,
    Reconnect,
    Resume,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from schema.metrics import Cpu, Disk, Full, MetricsMessage, Simple, Standard
from schema.processes import Processes, ProcessesMessage

# What JSON's readers agree upon: JavaScript has no larger integer.
counts = st.integers(0, 2**53)
# Sizes may be as large as 64 bits can tell.
sizes = st.integers(0, 2**64 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
details = st.sampled_from(Detail)

cursors = st.builds(
    Cursor,
    epoch=st.text(ascii_lowercase + digits, min_size=1, max_size=32),
    seq=st.integers(0, 10**16 - 1),
)
resumes = st.builds(
    Resume,
    recovered=st.booleans(),
    reason=st.sampled_from(ResumeReason),
    missed=st.none() | counts,
)


def body(message: object) -> dict[str, Any]:
    """Return a message as a client's JSON parser has it."""
    parsed: dict[str, Any] = orjson.loads(encode(message))
    return parsed


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any annotation of a message
    """Draw what a field of a message may hold, by its annotation."""
    if get_origin(kind) is Annotated:
        base, extra = get_args(kind)
        ranged = isinstance(extra, Range)
        return st.integers(extra.low, extra.high) if ranged else values(base)
    if get_origin(kind) is list:
        return st.lists(values(get_args(kind)[0]), max_size=2)
    if get_origin(kind) in {Union, UnionType}:
        return st.one_of([values(part) for part in get_args(kind)])
    if attrs.has(kind):
        fields = attrs.fields(attrs.resolve_types(kind))
        return st.builds(kind, **{field.alias: values(field.type) for field in fields})
    if issubclass(kind, Enum):
        return st.sampled_from(kind)
    plain = {int: sizes, float: numbers, str: st.text(), bool: st.booleans(), type(None): st.none()}
    return plain[kind]


# What a server says

simples = st.builds(Simple, cpu=numbers, memory=numbers, disk=numbers, uptime=numbers)
standards = st.builds(
    Standard,
    cpu=st.builds(
        Cpu, usage=numbers, cores=counts, load_avg=st.lists(numbers, min_size=3, max_size=3)
    ),
    memory=st.builds(Memory, total=sizes, used=sizes, free=sizes, usage=numbers),
    disk=st.builds(Disk, total=sizes, used=sizes, free=sizes, usage=numbers, path=st.text()),
    uptime=numbers,
    hostname=st.text(),
)


def messages_of(cls: type[Any], data: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw messages of a channel."""
    return st.builds(
        cls,
        timestamp=counts,
        cursor=cursors,
        host=st.text(),
        interval_ms=counts,
        window_ms=counts,
        data=data,
    )


metrics_messages = messages_of(MetricsMessage, simples | standards | values(Full))
data_messages: st.SearchStrategy[MetricsMessage | ContainersMessage | ProcessesMessage] = (
    metrics_messages
    | messages_of(ContainersMessage, values(list[Container] | list[HeritageContainer]))
    | messages_of(ProcessesMessage, values(Processes))
)
gaps = st.builds(
    Gap,
    timestamp=counts,
    channel=st.text(),
    reason=st.sampled_from(GapReason),
    from_=st.none() | cursors,
    to=cursors,
    missed=st.none() | counts,
)
errors = st.builds(
    Error,
    timestamp=counts,
    code=st.sampled_from(ErrorCode),
    message=st.text(),
    channel=st.none() | st.text(),
)
_control_messages = (
    st.builds(
        Connected,
        timestamp=counts,
        client_id=st.text(),
        epoch=st.text(),
        heartbeat_ms=counts,
        protocol=st.sampled_from(["heritage", "pulsewire.v1"]),
        version=st.text(),
        tick_ms=counts,
        channels=st.lists(st.text(), max_size=3),
    )
    | st.builds(Heartbeat, timestamp=counts, cursor=st.none() | cursors)
    | st.builds(
        Subscribed,
        timestamp=counts,
        channel=st.text(),
        interval_ms=counts,
        detail=details,
        resume=resumes,
    )
    | gaps
    | st.builds(Reconnect, timestamp=counts, reason=st.text(), after_ms=counts)
    | errors
)
# The items of these are plain objects to the codec, since their texts are ready made.
histories = st.builds(
    History,
    timestamp=counts,
    channel=st.text(),
    items=st.lists((data_messages | gaps).map(body), max_size=2),
)
batches = st.builds(
    Batch,
    timestamp=counts,
    cursor=st.none() | cursors,
    resume=st.dictionaries(st.text(max_size=8), resumes, max_size=2),
    messages=st.lists((_control_messages | data_messages | histories).map(body), max_size=2),
)
server_messages: st.SearchStrategy[ServerMessage] = (
    _control_messages | data_messages | histories | batches
)

# What a client says

timestamps = st.none() | numbers | counts
subscribes = st.builds(
    Subscribe,
    channel=st.text(),
    interval=st.none() | st.integers(INTERVAL_MIN_MS, INTERVAL_MAX_MS),
    detail=details,
    since=st.none() | cursors,
    history=st.integers(0, HISTORY_MAX),
    timestamp=timestamps,
)
client_messages: st.SearchStrategy[ClientMessage] = (
    subscribes
    | st.builds(Unsubscribe, channel=st.text(), timestamp=timestamps)
    | st.builds(Ping, timestamp=timestamps)
)

# What anybody may say to a server: the right keys with the right, the nearly right, or any value.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
client_bodies = st.builds(
    dict[str, Any],
    client_messages.map(body),
    **{
        key: values | json_values
        for key, values in {
            "channel": st.text(),
            "interval": st.integers(INTERVAL_MIN_MS - 1, INTERVAL_MAX_MS + 1),
            "detail": details.map(str),
            "since": cursors.map(str),
            "history": st.integers(-1, HISTORY_MAX + 1),
            "timestamp": timestamps,
        }.items()
    },
)

# One of each, with every key that may be there

NOW = 1_700_000_000_123
CURSOR = Cursor("k3v9x2ab", 1042)
STANDARD = MetricsMessage(
    timestamp=NOW,
    cursor=CURSOR,
    host="web-1",
    interval_ms=5000,
    window_ms=5001,
    data=Standard(
        cpu=Cpu(12.5, 8, [0.5, 0.25, 0.125]),
        memory=Memory(total=1000, used=600, free=400, usage=60.0),
        disk=Disk(total=1000, used=300, free=600, usage=33.3, path="/"),
        uptime=86_400.5,
        hostname="web-1",
    ),
)
SIMPLE = MetricsMessage(NOW, CURSOR, "web-1", 1000, 1000, Simple(12.5, 60.0, 33.3, 86_400.5))
CONTAINERS = ContainersMessage(
    NOW,
    CURSOR,
    "web-1",
    5000,
    5000,
    [
        HeritageContainer(
            id="4c01db0b339c",
            name="web",
            image="nginx:1",
            state="running",
            status="Up 2 hours",
            ports=["0.0.0.0:8080->80/tcp"],
            created=1_700_000_000,
        )
    ],
)
PROCESSES = ProcessesMessage(
    NOW, CURSOR, "web-1", 5000, 5000, Processes(total=0, running=0, threads=0, top=10, items=[])
)
GAP = Gap(NOW, "metrics", GapReason.SLOW, Cursor("k3v9x2ab", 1000), CURSOR, 41)

SERVER_EXAMPLES: tuple[ServerMessage, ...] = (
    Connected(NOW, "c0ffee", "k3v9x2ab", 15_000, "pulsewire.v1", "1.0.0", 1000, ["metrics"]),
    STANDARD,
    SIMPLE,
    Heartbeat(NOW, CURSOR),
    Subscribed(
        NOW,
        "metrics",
        5000,
        Detail.STANDARD,
        Resume(recovered=True, reason=ResumeReason.OK, missed=2),
    ),
    GAP,
    History(NOW, "metrics", [body(GAP), body(STANDARD)]),
    Reconnect(NOW, "drain", 2500),
    Error(NOW, ErrorCode.UNKNOWN_CHANNEL, "channel: must be one of metrics", "nonsense"),
    Batch(
        NOW,
        CURSOR,
        {"metrics": Resume(recovered=False, reason=ResumeReason.FIRST, missed=0)},
        [body(STANDARD)],
    ),
    CONTAINERS,
    PROCESSES,
)
CLIENT_EXAMPLES: tuple[ClientMessage, ...] = (
    Subscribe("metrics", 5000, Detail.SIMPLE, CURSOR, 60, NOW),
    Unsubscribe("metrics", NOW),
    Ping(NOW),
)
