"""Refusals: the same error object on every wire, with the status that fits."""

from __future__ import annotations

import json
import time
from http import HTTPStatus

import pytest

from schema.codec import decode_server
from schema.errors import ErrorCode, InvalidMessage, ProtocolError
from schema.messages import Error
from transports.refusal import error_frame, error_message, refuse

STATUS = {
    ErrorCode.INVALID_MESSAGE: 400,
    ErrorCode.UNKNOWN_CHANNEL: 404,
    ErrorCode.CHANNEL_UNAVAILABLE: 503,
    ErrorCode.TOO_MANY_SUBSCRIPTIONS: 400,
    ErrorCode.MESSAGE_TOO_LARGE: 413,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAUTHORIZED: 401,
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.OVERLOADED: 503,
}


def test_a_refusal_s_message_names_what_and_when() -> None:
    """The channel is left out where there is none."""
    before = int(time.time() * 1000)

    message = error_message(ProtocolError(ErrorCode.UNKNOWN_CHANNEL, "no such channel", "nope"))

    assert before <= message.timestamp <= time.time() * 1000
    assert message == Error(message.timestamp, ErrorCode.UNKNOWN_CHANNEL, "no such channel", "nope")
    assert "channel" not in json.loads(error_frame(InvalidMessage("since: bad")).text)


@pytest.mark.parametrize("code", ErrorCode)
def test_an_http_refusal_bears_the_error_object(code: ErrorCode) -> None:
    """With a status of its own, for no cache, and a time to come back if that may help."""
    response = refuse(ProtocolError(code, "sorry", "metrics"))

    body = json.loads(bytes(response.body))
    assert response.status_code == STATUS[code]
    assert (body["type"], body["code"], body["message"], body["channel"]) == (
        "error",
        code,
        "sorry",
        "metrics",
    )
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    temporary = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
    assert ("retry-after" in response.headers) is (response.status_code in temporary)


def test_a_stream_s_refusal_may_tell_when_to_come_back() -> None:
    """In the line that an EventSource obeys."""
    frame = error_frame(ProtocolError(ErrorCode.OVERLOADED, "full"), retry=7000)

    assert frame.event.startswith(b"retry: 7000\nevent: error\ndata: {")
    assert isinstance(decode_server(frame.text), Error)
    assert error_frame(InvalidMessage("no")).event.startswith(b"event: error\n")
