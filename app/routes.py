"""What is served beside the transports."""

from __future__ import annotations

import functools
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app import __version__
from app.core.broadcaster import Broadcaster
from schema.codec import encode_json
from schema.errors import ErrorCode, ProtocolError
from schema.fields import Detail
from schema.jsonschema import message_schema
from schema.messages import Subscribe
from transports.refusal import NO_STORE, refuse

WEB = Path(__file__).parent / "web"
# The page may load and do nothing but what is its own.
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
}
# What the polling hook of existing dashboards has always been given.
HERITAGE_POLL = Subscribe("metrics", 5000, Detail.STANDARD)
# What is served of the page's folder, and as what: whatever else lies there is not.
ASSET_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Routes:
    """The plain HTTP side: status, health, schema, one message at once, and the page."""

    def __init__(self, hub: Broadcaster) -> None:
        self._hub = hub
        self._process = psutil.Process()
        self._schema = encode_json(message_schema(s.source.message for s in hub.samplers.values()))

    def all(self) -> list[BaseRoute]:
        """Return the routes."""
        return [
            Route("/api/ws", self.clients),
            Route("/api/metrics", self.metrics),
            Route("/api/status", self.status),
            Route("/api/schema", self.schema),
            Route("/healthz", self.alive),
            Route("/readyz", self.ready),
            *(Route(path, _asset(file)) for path, file in assets(WEB).items()),
        ]

    async def clients(self, _request: Request) -> Response:
        """Answer heritage clients that ask for ``/api/ws`` without an upgrade."""
        count = sum(self._hub.clients().values())
        return _json({"status": "ok", "connectedClients": count})

    async def metrics(self, _request: Request) -> Response:
        """Answer with a ``metrics`` message at once; 503 before the first sample."""
        try:
            frame = self._hub.newest(HERITAGE_POLL)
        except ProtocolError as error:
            return refuse(error)
        if frame is None:
            return refuse(ProtocolError(ErrorCode.OVERLOADED, "no sample has been taken yet"))
        return Response(frame.text, headers=NO_STORE, media_type="application/json")

    async def schema(self, _request: Request) -> Response:
        """Answer with the JSON Schema of every message."""
        return Response(self._schema, media_type="application/schema+json")

    async def alive(self, _request: Request) -> Response:
        """Answer as long as the process does anything at all."""
        return _json({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Answer whether clients should be sent here."""
        ready = self._hub.ready
        sources = {name: str(s.state) for name, s in self._hub.samplers.items()}
        body = {"ready": ready, "draining": self._hub.draining, "sources": sources}
        return _json(body, 200 if ready else 503)

    async def status(self, _request: Request) -> Response:
        """Answer with what the server does and what it costs."""
        hub, figures = self._hub, self._hub.figures()
        with self._process.oneshot():
            cpu, memory = self._process.cpu_times(), self._process.memory_info()
        return _json(
            {
                "status": "draining" if hub.draining else "ok",
                "version": __version__,
                "epoch": hub.log.epoch,
                "head": hub.log.head,
                "clients": figures.clients,
                "samples": figures.samples,
                "renders": figures.renders,
                "encodes": figures.encodes,
                "channels": list(hub.samplers),
                "cohorts": figures.cohorts,
                "publications": figures.publications,
                "deliveries": figures.deliveries,
                "skips": figures.skips,
                "evictions": figures.evictions,
                "resumes": figures.resumes,
                "sampler": {
                    name: {
                        "state": s.state,
                        "error": s.error,
                        "samples": s.samples,
                        "tickMs": hub.settings.tick_ms,
                        "latenessMs": _ms(s.lateness),
                    }
                    for name, s in hub.samplers.items()
                },
                "loop": {
                    "pauseMs": _ms(figures.pause),
                    "recentMs": _ms(figures.pause_recent),
                    "longestMs": _ms(figures.pause_longest),
                },
                "self": {"cpuSeconds": round(cpu.user + cpu.system, 3), "rssBytes": memory.rss},
            }
        )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _json(body: object, status: int = 200) -> Response:
    return Response(encode_json(body), status, headers=NO_STORE, media_type="application/json")


def assets(folder: Path) -> dict[str, Path]:
    """Return the files to serve, by path: a fixed list, so that no path leads anywhere else."""
    names = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    served = sorted(n for n in names if n.suffix in ASSET_TYPES and "node_modules" not in n.parts)
    files = {f"/{name.as_posix()}": folder / name for name in served}
    return {"/": folder / "index.html", "/favicon.ico": folder / "favicon.svg"} | files


@functools.cache
def _asset(file: Path) -> Callable[[Request], Awaitable[Response]]:
    # Read and compressed once: whoever opens the page costs no more than the sending of it.
    body = file.read_bytes()
    compressed = gzip.compress(body, mtime=0)
    media_type = ASSET_TYPES.get(file.suffix, "text/html")
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = PAGE_HEADERS | {"ETag": etag}

    async def asset(request: Request) -> Response:
        if request.headers.get("If-None-Match") == etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            encoded = headers | {"Content-Encoding": "gzip"}
            return Response(compressed, headers=encoded, media_type=media_type)
        return Response(body, headers=headers, media_type=media_type)

    return asset
