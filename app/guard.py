"""The guard: which Host and which Origin may come in, the same on every transport.

Two attacks start in a browser on the reader's own machine. *DNS rebinding*: a page points its own
name at 127.0.0.1 and reads a local server as if it were its own origin; what betrays it is the
name in ``Host``. *Cross-site reading*: a foreign page opens ``ws://localhost``, which no browser
forbids, since CORS does not cover WebSocket; what betrays it is ``Origin``. Both are refused
before anything else of the application runs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterable
from functools import cached_property, lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Self

from attrs import evolve, frozen
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from schema.codec import encode
from schema.errors import CloseCode, ErrorCode, ProtocolError
from schema.messages import Error
from transports.base import Adding

__all__ = ["Authority", "Guard", "Origin", "guarded"]

CORS_METHODS = ("GET",)
CORS_HEADERS = ("Authorization", "Last-Event-ID", "Prefer")
CORS_MAX_AGE = 600
"""Seconds for which a browser may remember the answer to a preflight."""

KEPT = 256
"""Hosts and origins that need not be read again: a server is called by few names."""

PUBLIC = (".js", ".css", ".svg")
"""What the page is made of tells nothing of the machine. A browser sends an Origin with its own
page's modules, and behind a proxy that does not pass Host on they would be refused."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
# RFC 9110 section 5.5: blanks around a header's value are no part of it; httptools leaves them.
_BLANK = " \t"
# A refusal repeats the header it refuses, but no more of it than a reader needs.
_QUOTED = 200

# RFC 3986 authority without user information and percent-encoding, which no HTTP client sends in
# these headers; the underscore is there because container networks use it in names.
_AUTHORITY = r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::([0-9]{0,5}))?"
_HOST = re.compile(_AUTHORITY)
# RFC 6454 section 6.2, the ASCII serialization of an origin: no path, not even a slash.
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_AUTHORITY})")


@frozen
class Authority:
    """The name and port of a Host or an Origin, in one normal form.

    ``host`` is lower case, without a trailing dot, IPv6 addresses bracketed and compressed;
    punycode stays as it is. ``port`` is None where none was given.
    """

    host: str
    port: int | None

    @classmethod
    @lru_cache(maxsize=KEPT)
    def parse(cls, text: str) -> Self:
        """Read ``name``, ``1.2.3.4`` or ``[::1]``, each with or without ``:port``.

        Raises:
            ValueError: the text is none of these.
        """
        match = _HOST.fullmatch(text.lower())
        if match is None:
            raise ValueError(f"{text!r} is no host such as metrics.example or [::1]:8321")
        host, port = match[1], int(match[2]) if match[2] else None
        if port is not None and port > _HIGHEST_PORT:
            raise ValueError(f"{text!r} has no port from 0 to {_HIGHEST_PORT}")
        if host.startswith("["):
            return cls(f"[{IPv6Address(host[1:-1])}]", port)
        return cls(host.removesuffix("."), port)

    @cached_property
    def is_ip_literal(self) -> bool:
        """Whether this is an address: no DNS answer can make a page's own name look like one."""
        try:
            ip_address(self.host.strip("[]"))
        except ValueError:
            return False
        return True


@frozen
class Origin:
    """An origin in normal form: scheme and authority in lower case, the default port filled in."""

    scheme: str
    authority: Authority

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``scheme://host`` or ``scheme://host:port``.

        Raises:
            ValueError: the text is no origin; ``null`` and ``*`` are none either.
        """
        match = _ORIGIN.fullmatch(text.lower())
        if match is None:
            raise ValueError(f"{text!r} is no origin such as https://dash.example:8443")
        return cls(match[1], _with_default_port(Authority.parse(match[2]), match[1]))

    def is_of(self, host: Authority) -> bool:
        """Whether a page of this origin was served by ``host``.

        Only http and https pages are: a browser extension may bear any name as its identifier.
        """
        return self.scheme in _DEFAULT_PORTS and self.authority == _with_default_port(
            host, self.scheme
        )


def _with_default_port(authority: Authority, scheme: str) -> Authority:
    if authority.port is not None:
        return authority
    return evolve(authority, port=_DEFAULT_PORTS.get(scheme))


class Guard:
    """Pure ASGI middleware that refuses foreign Hosts and Origins before the application.

    ``Host`` passes if it is an IP literal, ``localhost``, ``machine_name``, or a name in
    ``allowed_hosts``, with any port. An absent or empty ``Host`` passes too: no browser leaves it
    out, and DNS rebinding needs a name in it.
    ``Origin`` passes if absent, if its host and port are those of ``Host``, or if it is in
    ``allowed_origins``; ``null`` never does.

    An http request is answered with 403 and an ``error`` message. A WebSocket handshake gets the
    same before it is accepted, or a bare 403 where the server lacks the ASGI extension
    ``websocket.http.response``.

    Raises:
        ValueError: an entry of ``allowed_hosts`` or ``allowed_origins`` is malformed.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_origins: Collection[str],
        allowed_hosts: Collection[str],
        machine_name: str,
    ) -> None:
        self._app = app
        self._origins = frozenset(Origin.parse(text) for text in allowed_origins)
        self._hosts = frozenset(
            {"localhost", machine_name.lower().removesuffix(".")}
            | {Authority.parse(text).host for text in allowed_hosts}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the scope on, or refuse it; messages in either direction are not touched."""
        app = self._app
        if scope["type"] in {"http", "websocket"}:
            try:
                self.check(scope["headers"], public=scope["path"].endswith(PUBLIC))
            except ProtocolError as error:
                app = _refusal(scope, error)
        await app(scope, receive, send)

    def check(self, headers: Iterable[tuple[bytes, bytes]], *, public: bool = False) -> None:
        """Judge the headers of one request, names in lower case as ASGI has them.

        What is ``public`` may be asked for from anywhere.

        Raises:
            ProtocolError: ``FORBIDDEN``; names the header, its value and the setting to change.
        """
        headers = list(headers)
        host = self._checked_host(_only_value(headers, b"host"))
        if not public:
            self._check_origin(_only_value(headers, b"origin"), host)

    def _checked_host(self, text: str | None) -> Authority | None:
        # RFC 9112 section 3.2: an empty Host is what a client without a name for us sends.
        if not text:
            return None
        try:
            host = Authority.parse(text)
        except ValueError as error:
            raise _forbidden(f"Host {text[:_QUOTED]!r} is malformed") from error
        if host.host not in self._hosts and not host.is_ip_literal:
            raise _forbidden(
                f"Host {text[:_QUOTED]!r} is no name of this server; allowed_hosts can add it"
            )
        return host

    def _check_origin(self, text: str | None, host: Authority | None) -> None:
        if text is None:
            return
        if text == "null":
            raise _forbidden(
                "Origin 'null' (a local file, a sandboxed frame) is never allowed; "
                "serve the page over http, and allowed_origins can add that"
            )
        try:
            origin = Origin.parse(text)
        except ValueError as error:
            raise _forbidden(f"Origin {text[:_QUOTED]!r} is malformed") from error
        if origin not in self._origins and not (host and origin.is_of(host)):
            raise _forbidden(
                f"Origin {text[:_QUOTED]!r} is not the Host of this request; "
                "allowed_origins can add it, or a proxy between must pass Host on"
            )


def _only_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str | None:
    """Give the value of a header, None if it is absent.

    Raises:
        ProtocolError: it is there more than once.
    """
    values = [value for key, value in headers if key == name]
    if len(values) > 1:
        # Which of them a proxy or a server believes is anybody's guess, so none is believed.
        raise _forbidden(f"{name.decode().title()} may be given once, got {len(values)}")
    return values[0].decode("latin-1").strip(_BLANK) if values else None


def _forbidden(message: str) -> ProtocolError:
    return ProtocolError(ErrorCode.FORBIDDEN, message)


def _refusal(scope: Scope, error: ProtocolError) -> ASGIApp:
    """Give the application that answers the scope with this error and nothing else."""
    extensions = scope.get("extensions") or {}
    if scope["type"] == "websocket" and "websocket.http.response" not in extensions:
        return WebSocketClose(code=CloseCode.NOT_AUTHORISED)
    return Response(
        encode(Error(time.time_ns() // 1_000_000, error.code, error.message)),
        status_code=error.code.http_status,
        media_type="application/json",
        headers={"Cache-Control": "no-store", "Vary": "Origin"},
    )


class _Cors(CORSMiddleware):
    """Starlette's CORS headers for the allowed origins, compared in the guard's normal form.

    Every other response gets ``Vary: Origin`` and nothing else, those to requests without Origin
    too: a cache that keeps one must not give it to an allowed page, which could not read it.
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[Origin]) -> None:
        super().__init__(
            app,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            # Whoever lists an origin of the open internet for a server at home means just this.
            allow_private_network=True,
            max_age=CORS_MAX_AGE,
        )
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; of what comes back, only the start of a response is touched."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or not self.is_allowed_origin(origin):
            await self.app(scope, receive, Adding(send, _VARIES))
        elif scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await super().__call__(scope, receive, send)
        else:
            allowed = (b"access-control-allow-origin", origin.encode("latin-1"))
            await self.app(scope, receive, Adding(send, (allowed, *_VARIES)))

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether the origin, which the guard has found well-formed, gets CORS headers."""
        return Origin.parse(origin.strip(_BLANK)) in self._allowed


# Starlette does this by itself only in its later 1.x releases.
_VARIES = ((b"vary", b"Origin"),)


def guarded(
    app: ASGIApp,
    *,
    allowed_origins: Collection[str],
    allowed_hosts: Collection[str],
    machine_name: str,
) -> ASGIApp:
    """Put the guard, and CORS for the allowed origins inside it, in front of an application.

    Raises:
        ValueError: an entry of ``allowed_hosts`` or ``allowed_origins`` is malformed.
    """
    allowed = frozenset(Origin.parse(text) for text in allowed_origins)
    return Guard(
        _Cors(app, allowed) if allowed else app,
        allowed_origins=allowed_origins,
        allowed_hosts=allowed_hosts,
        machine_name=machine_name,
    )
