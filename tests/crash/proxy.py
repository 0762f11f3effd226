"""A bad network between the service and the outside: a proxy for each system, on real sockets, that fails in every way it can."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

BEFORE = ("reset", "hang", "429", "429_wait", "500", "502", "503", "503_wait", "garbage", "closed")
AFTER = ("reset_after", "hang_after", "half_after", "garbage_after", "500_after", "502_after", "504_after", "empty_after", "slow")
LARGEST = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Troubles:
    """`rate` is the chance that a request fails in any way. Storms come over one system for up to `hours`, each `every` hours or
    so: it cannot be connected to, answers 429 or 503 to everything, or loses every other answer.
    """

    rate: float = 0.06
    every: float = 8.0
    hours: float = 1.5


@dataclass(slots=True)
class Storm:
    kind: str
    until: datetime


class Network:
    """Without troubles everything is connected directly."""

    def __init__(self, troubles: Troubles | None, seed: int, clock: Any) -> None:
        self.troubles = troubles
        self.random = Random(f"network {seed}")
        self.faults: Counter[str] = Counter()
        self._wires: list[Wire] = []
        self._clock = clock
        self._next = clock()

    async def between(self, settings: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each connector, turned to its proxy."""
        if self.troubles is None:
            return settings
        turned = {}
        for name, given in settings.items():
            if "url" not in given:
                turned[name] = given
                continue
            wire = Wire(name, urlsplit(given["url"]).port or 0, self)
            await wire.open()
            self._wires.append(wire)
            turned[name] = {**given, "url": f"http://127.0.0.1:{wire.port}"}
        return turned

    async def weather(self, now: datetime | None) -> None:
        """Storms come and go. None is fair weather for good."""
        if self.troubles is None:
            return
        if now is None:
            self.troubles = Troubles(0.0)
            for wire in self._wires:
                wire.storm = None
                await wire.open()
            return
        for wire in self._wires:
            if wire.storm is not None and wire.storm.until <= now:
                wire.storm = None
            if wire.storm is None and now >= wire.fair_until:
                wire.fair_until = now + timedelta(hours=self.random.expovariate(1 / self.troubles.every))
                length = timedelta(hours=self.random.uniform(0.1, self.troubles.hours))
                wire.storm = Storm(self.random.choice(("down", "429", "429_wait", "503", "flaky")), now + length)
                wire.fair_until += length
                self.faults[f"storm {wire.storm.kind}"] += 1
            if wire.storm is not None and wire.storm.kind == "down":
                await wire.shut()
            else:
                await wire.open()

    async def close(self) -> None:
        for wire in self._wires:
            await wire.shut()

    def fault(self, wire: Wire) -> str:
        """How one request fares; "" is well."""
        storm = wire.storm
        if storm is not None:
            if storm.kind in {"429", "429_wait", "503"}:
                return storm.kind
            if storm.kind == "flaky" and self.random.random() < 0.5:
                return self.random.choice(("reset_after", "half_after", "502_after", "reset", "502"))
        if self.troubles is None or self.random.random() >= self.troubles.rate:
            return ""
        kind = self.random.choice(BEFORE + AFTER)
        if kind.startswith("hang") and self.random.random() < 0.7:
            return "reset_after"  # what hangs takes real time
        return kind


@dataclass(slots=True)
class Wire:
    """One listening port before one system."""

    name: str
    target: int
    network: Network
    port: int = 0
    storm: Storm | None = None
    fair_until: datetime = field(init=False)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.fair_until = self.network._clock() + timedelta(hours=self.network.random.uniform(0, 4))

    async def open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
            self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Nothing listens: connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _request(reader)
            if request is not None:
                await self._answer(request, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self.network.fault(self)
        if fault:
            self.network.faults[fault] += 1
        if fault in BEFORE:
            await _fail(fault, writer, b"")
            return
        answer = await self._asked(request)
        if not fault:
            writer.write(answer)
            await writer.drain()
        else:
            await _fail(fault, writer, answer)

    async def _asked(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.target)
        writer.write(request)
        await writer.drain()
        answer = await reader.read(-1)
        writer.close()
        return answer


async def _fail(fault: str, writer: asyncio.StreamWriter, answer: bytes) -> None:
    match fault:
        case "reset" | "reset_after":
            _reset(writer)
        case "closed" | "empty_after":
            return
        case "hang" | "hang_after":
            await asyncio.sleep(30)
        case "half_after":
            writer.write(answer[: max(len(answer) * 2 // 3, 20)])
            await writer.drain()
        case "garbage":
            writer.write(b"\x16\x03\x01\x02\x00 not http at all\r\n\r\n")
        case "garbage_after":
            writer.write(_head(200, 23) + b"<html>Please wait</html>"[:23])
        case "slow":
            for start in range(0, len(answer), max(len(answer) // 4, 1)):
                writer.write(answer[start : start + max(len(answer) // 4, 1)])
                await writer.drain()
                await asyncio.sleep(0.02)
        case _:
            status = int(fault[:3])
            wait = b"retry-after: 600\r\n" if fault.endswith("_wait") else b""
            writer.write(_head(status, 0, wait))
    await writer.drain()


def _head(status: int, length: int, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n%s\r\n" % (status, length, more)


def _reset(writer: asyncio.StreamWriter) -> None:
    """The connection ends with a reset instead of an end."""
    held = writer.get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _request(reader: asyncio.StreamReader) -> bytes | None:
    """One request, whole; it is passed on as the last of its connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lines = head.split(b"\r\n")
    kept = [line for line in lines[:-2] if not line.lower().startswith(b"connection:")]
    length = next((int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
    body = await reader.readexactly(length) if length else b""
    return b"\r\n".join([*kept, b"connection: close", b"", b""]) + body
