"""A container engine as it answers on its socket: Docker's Engine API, which Podman speaks too.

httpx and not aiodocker: the Python client needs httpx anyway, and aiodocker 0.27 does not know
``one-shot``. Deadlines are not its own, whose read timeout begins anew with each piece of an
answer: whoever asks bounds the whole of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from attrs import define, field, frozen

from schema.errors import PulsewireError

UNIX = "unix://"
DOCKER_SOCKET = Path("/var/run/docker.sock")
PODMAN_SOCKET = Path("/run/podman/podman.sock")
# An engine that does not say within this who it is, is passed over; four of them take less time
# than a sampler gives to one call.
GREETING_S = 1.0
# Before this version (Docker 25) `one-shot` waits for the engine's own rhythm of a second.
ONE_SHOT = (1, 44)
# What an engine says of a failure may be long.
REASON_LENGTH = 200
HTTP_GONE = 404
ERROR_NUMBER = re.compile(r"^\[Errno \d+\] ")

Body = Mapping[str, Any]


class EngineError(PulsewireError):
    """An engine is not there, refuses, or answers nonsense; the text says which."""


class ContainerGoneError(EngineError):
    """There is no such container any more."""


def sockets(chosen: Path | None, environ: Mapping[str, str]) -> list[Path]:
    """Give the paths at which an engine may listen, the likeliest first.

    Args:
        chosen: the only one to try, if somebody chose.
        environ: the environment: ``DOCKER_HOST`` if it is a Unix socket, ``XDG_RUNTIME_DIR`` for
            engines without root.
    """
    if chosen is not None:
        return [chosen]
    paths = [DOCKER_SOCKET, PODMAN_SOCKET]
    if environ.get("DOCKER_HOST", "").startswith(UNIX):
        paths.insert(0, Path(environ["DOCKER_HOST"].removeprefix(UNIX)))
    if environ.get("XDG_RUNTIME_DIR"):
        own = Path(environ["XDG_RUNTIME_DIR"])
        paths += [own / "docker.sock", own / "podman/podman.sock"]
    return list(dict.fromkeys(paths))


@frozen
class Host:
    """What an engine is and what it has to share out.

    ``kind`` is docker or podman, ``cores`` the number of processors, ``memory`` in bytes. An
    engine that is not ``prompt`` answers for a container's usage only when a second has passed
    since it last did for any.
    """

    kind: str
    prompt: bool
    cores: int
    memory: int


@define(eq=False)
class Engine:
    """A connection to the engine at a socket; its methods raise EngineError for all that fails."""

    path: Path
    _transport: httpx.AsyncHTTPTransport = field(init=False)

    def __attrs_post_init__(self) -> None:
        # The transport alone: what a client does beside it (cookies, redirects, proxies) is of no
        # use on a socket, and doubles the cost of a question. There is no limit to connections, as
        # a full pool loses the places of requests that are given up (encode/httpcore#1093): how
        # much is asked at once is decided by whoever asks.
        self._transport = httpx.AsyncHTTPTransport(
            uds=str(self.path),
            limits=httpx.Limits(keepalive_expiry=60),
            verify=False,  # there is no TLS on this socket, so no certificates are loaded
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def host(self) -> Host:
        """Ask the engine who it is."""
        try:
            async with asyncio.timeout(GREETING_S):
                version, info = await self._get("/version"), await self._get("/info")
        except TimeoutError:
            raise EngineError(f"it does not answer within {GREETING_S:g} s") from None
        try:
            major, minor = map(int, version["ApiVersion"].split("."))
            cores, memory = int(info["NCPU"]), int(info["MemTotal"])
        except (AttributeError, KeyError, TypeError, ValueError):
            raise EngineError("what answers is no container engine") from None
        podman = any("podman" in str(part).lower() for part in version.get("Components") or ())
        prompt = podman or (major, minor) >= ONE_SHOT
        return Host("podman" if podman else "docker", prompt, cores, memory)

    async def containers(self) -> list[Body]:
        """List all containers, also those that do not run."""
        found = await self._get("/containers/json?all=1")
        if not isinstance(found, list):
            raise EngineError("its list of containers is no list")
        return [body for body in found if isinstance(body, dict)]

    async def inspect(self, container: str) -> Body:
        """Ask for what is set and known of a container.

        Raises:
            ContainerGoneError: there is none.
        """
        return _object(await self._get(f"/containers/{quote(container, safe='')}/json"))

    async def stats(self, container: str) -> Body:
        """Ask for what a container uses; an empty object where the engine has no figures.

        Raises:
            ContainerGoneError: there is none.
        """
        path = f"/containers/{quote(container, safe='')}/stats?stream=false&one-shot=true"
        return _object(await self._get(path))

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Body]]:
        """Listen to what becomes of containers; the iterator ends when the engine ends it."""
        filters = quote('{"type":["container"]}')
        async with self._asked(f"/events?filters={filters}") as response:
            if response.is_error:
                raise EngineError(_reason(response.status_code, await response.aread()))
            yield (_object(_json(line.encode())) async for line in response.aiter_lines())

    async def _get(self, path: str) -> Any:  # noqa: ANN401 - any JSON
        async with self._asked(path) as response:
            content = await response.aread()
        if response.status_code == HTTP_GONE:
            raise ContainerGoneError(_reason(response.status_code, content))
        if not response.is_success:
            raise EngineError(_reason(response.status_code, content))
        return _json(content)

    @contextlib.asynccontextmanager
    async def _asked(self, path: str) -> AsyncIterator[httpx.Response]:
        """Ask, and turn whatever goes wrong on the way into an EngineError."""
        try:
            request = httpx.Request("GET", f"http://engine{path}")
            response = await self._transport.handle_async_request(request)
            try:
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            # "[Errno 2] No such file or directory": the number tells people nothing.
            reason = ERROR_NUMBER.sub("", str(error)) or type(error).__name__
            raise EngineError(reason) from error


def _json(content: bytes) -> Any:  # noqa: ANN401 - any JSON
    # Podman answers with nothing at all for a container that was never started.
    if not content.strip():
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise EngineError("its answer is no JSON") from None


def _object(body: object) -> Body:
    return body if isinstance(body, dict) else {}


def _reason(status: int, content: bytes) -> str:
    with contextlib.suppress(EngineError):
        message = _object(_json(content)).get("message")
        if isinstance(message, str):
            return message[:REASON_LENGTH]
    return f"it answers with HTTP {status}"
