"""Posts deliveries at a rate, as their senders do, and writes down how each was answered. A process of its own.

    python -m tests.bench.load.senders DELIVERIES ANSWERS URL_FILE RATE

DELIVERIES is a pickled list of (path, headers, body). ANSWERS gets a line for each: its place in the list, the status, and the
seconds from when it should have been sent to its answer. URL_FILE holds the address of the service; it is read again when a
connection fails, for a service started anew may listen elsewhere. What is not answered, or with a 503, is posted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

AGAIN = 2.0  # seconds; real senders wait longer
CONNECTIONS = 500  # at once; what is due beyond waits for one, and that is counted as waiting for an answer

Told = Callable[[int], None]  # the status, 0 where there was no answer


def request_of(delivery) -> bytes:
    path, headers, body = delivery
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nhost: instep\r\ncontent-length: {len(body)}\r\n{named}\r\n".encode() + body


class Line(asyncio.Protocol):
    """One connection: a request is written, its answer is told, and the next may come."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.got = b""
        self.told: Told | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def ask(self, request: bytes, told: Told) -> None:
        self.told = told
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, rest = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if len(rest) >= length and self.told is not None:
            told, self.told, self.got = self.told, None, b""
            self.pool.idle.append(self)
            told(int(head[9:12]))
            self.pool.pump()

    def connection_lost(self, exc) -> None:
        self.pool.gone(self)
        if self.told is not None:
            told, self.told = self.told, None
            told(0)


class Pool:
    """So many connections to the service, and what waits for one of them."""

    def __init__(self, url_file: Path) -> None:
        self.url_file = url_file
        self.idle: deque[Line] = deque()
        self.waiting: deque[tuple[bytes, Told]] = deque()
        self.count = 0
        self.opening: set[asyncio.Task[None]] = set()

    def post(self, request: bytes, told: Told) -> None:
        self.waiting.append((request, told))
        self.pump()

    def pump(self) -> None:
        while self.waiting and self.idle:
            line = self.idle.popleft()
            if not line.transport.is_closing():
                line.ask(*self.waiting.popleft())
        while len(self.waiting) > len(self.opening) and self.count < CONNECTIONS:
            self.count += 1
            opening = asyncio.get_running_loop().create_task(self.open())
            self.opening.add(opening)
            opening.add_done_callback(self.opening.discard)

    async def open(self) -> None:
        where = urlsplit(self.url_file.read_text())
        try:
            _, line = await asyncio.get_running_loop().create_connection(lambda: Line(self), where.hostname, where.port)
        except OSError:
            self.count -= 1
            if self.waiting:
                self.waiting.popleft()[1](0)
            return
        self.idle.append(line)
        self.pump()

    def gone(self, line: Line) -> None:
        self.count -= 1
        with contextlib.suppress(ValueError):
            self.idle.remove(line)


class Senders:
    def __init__(self, deliveries, answers: Path, url_file: Path, rate: float) -> None:
        self.requests = [request_of(delivery) for delivery in deliveries]
        self.answers = os.open(answers, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pool = Pool(url_file)
        self.rate = rate
        self.left = len(self.requests)
        self.done = asyncio.Event()

    async def send_all(self) -> None:
        self.began = time.perf_counter()
        for n in range(len(self.requests)):
            if (wait := self.began + n / self.rate - time.perf_counter()) > 0.001:
                await asyncio.sleep(wait)
            self.send(n)
        os.write(self.answers, b"all 0 0\n")
        await self.done.wait()

    def send(self, n: int) -> None:
        self.pool.post(self.requests[n], lambda status: self.answered(n, status))

    def answered(self, n: int, status: int) -> None:
        took = time.perf_counter() - self.began - n / self.rate
        os.write(self.answers, f"{n} {status} {took:.6f}\n".encode())
        if status in {0, 503}:
            asyncio.get_running_loop().call_later(AGAIN, self.send, n)
            return
        self.left -= 1
        if not self.left:
            self.done.set()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        file, told, where, pace = sys.argv[1:]
        senders = Senders(pickle.loads(Path(file).read_bytes()), Path(told), Path(where), float(pace))
        asyncio.run(senders.send_all())
