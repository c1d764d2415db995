"""Where a server is, as people write it and as the transports need it."""

from __future__ import annotations

from typing import Self
from urllib.parse import SplitResult, urlsplit

from attrs import frozen

PORT = 8321
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


@frozen
class Address:
    """``base`` is the address of the server over HTTP, with a slash at its end."""

    base: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an http, https, ws or wss URL, or ``host`` or ``host:port``, whose port is 8321.

        Raises:
            ValueError: it is none of these; the text says why.
        """
        parts = urlsplit(text if "://" in text else f"http://{text}")
        scheme = _SCHEMES.get(parts.scheme)
        if scheme is None:
            raise ValueError(f"{text!r} must begin with one of {', '.join(_SCHEMES)}")
        if not _has_place(parts):
            raise ValueError(f"{text!r} is no address such as http://127.0.0.1:{PORT}")
        if parts.query or parts.fragment:
            raise ValueError(f"{text!r} must end with the path, without a query or a fragment")
        place = parts.netloc
        if "://" not in text and parts.port is None:
            place = f"{place}:{PORT}"
        return cls(f"{scheme}://{place}{parts.path.rstrip('/')}/")

    @property
    def websocket(self) -> str:
        """The URL of the WebSocket transport."""
        return self.base.replace("http", "ws", 1) + "api/ws"

    @property
    def secure(self) -> bool:
        """Whether it is reached under TLS."""
        return self.base.startswith("https:")


def _has_place(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or too high
        return False
