"""Posts deliveries at a rate, as their senders do, and writes down how each was answered. A process of its own.

    python -m tests.bench.load.senders DELIVERIES ANSWERS URL_FILE RATE

DELIVERIES is a pickled list of (path, headers, body). ANSWERS gets a line for each: its place in the list, the status, and the
seconds from when it should have been sent to its answer. URL_FILE holds the address of the service; it is read again when a
connection fails, for a service started anew may listen elsewhere. What is not answered is posted again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

AGAIN = 2.0  # seconds; real senders wait longer
CONNECTIONS = 500  # at once; what is due beyond waits for one, and that is counted as waiting for an answer


class Answer(asyncio.Protocol):
    """One connection: a request is written, the answer is waited for."""

    def __init__(self) -> None:
        self.got = b""
        self.waited: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += data
        head, found, rest = self.got.partition(b"\r\n\r\n")
        if not found:
            return
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if len(rest) >= length and self.waited is not None and not self.waited.done():
            self.got = rest[length:]
            self.waited.set_result(int(head[9:12]))

    def connection_lost(self, exc) -> None:
        if self.waited is not None and not self.waited.done():
            self.waited.set_exception(ConnectionError("closed before the answer"))


class Senders:
    def __init__(self, deliveries, answers: Path, url_file: Path, rate: float) -> None:
        self.deliveries = deliveries
        self.answers = os.open(answers, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.url_file = url_file
        self.rate = rate
        self.idle: deque[Answer] = deque()
        self.free = asyncio.Semaphore(CONNECTIONS)

    async def send_all(self) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in range(len(self.deliveries)):
                due = began + n / self.rate
                if (wait := due - time.perf_counter()) > 0.001:
                    await asyncio.sleep(wait)
                group.create_task(self.send(n, due))
            os.write(self.answers, b"all 0 0\n")

    async def send(self, n: int, due: float) -> None:
        while True:
            try:
                status = await self.post(n)
            except OSError:
                status = 0
            os.write(self.answers, f"{n} {status} {time.perf_counter() - due:.6f}\n".encode())
            if status and status != 503:
                return
            await asyncio.sleep(AGAIN)

    async def post(self, n: int) -> int:
        return await self.post_one(self.deliveries[n])

    async def post_one(self, delivery) -> int:
        """Its status. Raises OSError where it is not answered."""
        async with self.free:
            return await self.posted(*delivery)

    async def posted(self, path: str, headers, body: bytes) -> int:
        connection = self.idle.popleft() if self.idle else None
        if connection is None or connection.transport is None or connection.transport.is_closing():
            where = urlsplit(self.url_file.read_text())
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(Answer, where.hostname, where.port)
        assert connection.transport is not None
        connection.waited = asyncio.get_running_loop().create_future()
        named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: instep\r\ncontent-length: {len(body)}\r\n{named}\r\n"
        connection.transport.write(head.encode() + body)
        try:
            status = await connection.waited
        except BaseException:
            connection.transport.abort()
            raise
        self.idle.append(connection)
        return status


if __name__ == "__main__":
    file, told, where, pace = sys.argv[1:]
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Senders(pickle.loads(Path(file).read_bytes()), Path(told), Path(where), float(pace)).send_all())
