"""How a refused request is told so over HTTP."""

from __future__ import annotations

import time

from starlette.responses import Response

from schema.codec import encode
from schema.errors import ProtocolError
from schema.frame import Frame
from schema.messages import Error

NO_STORE = {"Cache-Control": "no-store"}
RETRY_AFTER_S = 5


def error_message(error: ProtocolError) -> Error:
    """Return the ``error`` message of a refusal."""
    return Error(int(time.time() * 1000), error.code, error.message, error.channel)


def error_frame(error: ProtocolError, *, retry: int | None = None) -> Frame:
    """Return the frame of a refusal, with what an EventSource is told to wait in ms."""
    return Frame.of(error_message(error), retry=retry)


def refuse(error: ProtocolError) -> Response:
    """Return the HTTP response of a refusal: its status, and the ``error`` message as body."""
    status = error.code.http_status
    headers = dict(NO_STORE)
    if status in {429, 503}:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return Response(
        encode(error_message(error)), status, headers=headers, media_type="application/json"
    )
