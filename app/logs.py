"""Logs: one plain line for each event, on standard error, ours and uvicorn's alike."""

import logging

from app.settings import Settings

__all__ = ["configure"]

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class AccessFilter(logging.Filter):
    """Drops the lines that uvicorn writes for each request and each WebSocket handshake.

    uvicorn logs the handshakes (``… "WebSocket /api/ws" [accepted]``) on its general logger
    ``uvicorn.error``, where no option of its own turns them off; websockets, which it lends that
    logger, adds ``connection open`` and ``connection rejected``.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about more than one connection."""
        text = str(record.msg)
        is_handshake = '"WebSocket %s"' in text or text.startswith("connection ")
        return record.name != "uvicorn.access" and not (
            is_handshake and record.name == "uvicorn.error"
        )


def configure(settings: Settings) -> None:
    """Send all logging of the process to standard error, from ``log_level`` upwards.

    Start uvicorn with ``log_config=None``, or it sets up handlers of its own. May be called again.
    """
    level = settings.log_level.upper()
    # uvicorn.error bears the level itself: uvicorn asks that logger and not its parents whether
    # to trace, and a logger without a level would pay for trace lines that nobody sees.
    levels = {"": level, "uvicorn": "NOTSET", "uvicorn.access": "NOTSET", "uvicorn.error": level}
    for name, own_level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(own_level)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    if not settings.access_log:
        handler.addFilter(AccessFilter())
    logging.getLogger().addHandler(handler)
