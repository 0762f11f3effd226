"""Webhooks on their way: late, twice, out of order, cut off; sent again until acknowledged, where their sender does that."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Literal

from engine.demo.outside import Post

Cut = Literal["", "half", "deaf", "reset"]
AGAIN = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 240, 240, 240, 480, 480))
ONCE = frozenset({"returngo"})  # not known to try again
PATIENCE = 5.0  # seconds: Shopify's limit for an answer


@dataclass(frozen=True, slots=True)
class Weather:
    """How webhooks travel: the chances of coming late (by up to `hours`), twice, and of being cut off on the way."""

    late: float = 0.1
    hours: float = 0.7
    twice: float = 0.15
    cut: float = 0.0


@dataclass(slots=True)
class Mail:
    post: Post
    tries: int = 0


@dataclass(slots=True)
class PostOffice:
    """`acknowledged` are all that were answered with 2xx, with when; `lost` those whose sender gave up."""

    random: Random
    weather: Weather
    acknowledged: list[tuple[datetime, Post]] = field(default_factory=list)
    lost: list[Post] = field(default_factory=list)
    refused: list[tuple[int, Post]] = field(default_factory=list)
    sent: int = 0
    _bag: list[tuple[datetime, int, Mail]] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def take(self, posts: list[Post], now: datetime) -> None:
        for post in posts:
            wait = timedelta(seconds=self.random.uniform(0, 5))
            if self.random.random() < self.weather.late:
                wait = timedelta(hours=self.random.uniform(0.05, self.weather.hours))
            self._put(now + wait, Mail(post))
            if self.random.random() < self.weather.twice:
                self._put(now + wait + timedelta(hours=self.random.uniform(0, self.weather.hours)), Mail(post))

    def due(self, now: datetime) -> list[Mail]:
        """What arrives by now, in no order."""
        found = []
        while self._bag and self._bag[0][0] <= now:
            found.append(heapq.heappop(self._bag)[2])
        self.random.shuffle(found)
        return found

    def next(self) -> datetime | None:
        return self._bag[0][0] if self._bag else None

    def cut(self) -> Cut:
        """How this one fares on the way."""
        if self.random.random() >= self.weather.cut:
            return ""
        return self.random.choice(("half", "deaf", "reset"))

    def answered(self, mail: Mail, status: int | None, now: datetime) -> None:
        """None is no answer."""
        self.sent += 1
        if status is not None and 200 <= status < 300:
            self.acknowledged.append((now, mail.post))
            return
        if status is not None:
            self.refused.append((status, mail.post))
        if mail.post.connector in ONCE or mail.tries >= len(AGAIN):
            self.lost.append(mail.post)
            return
        self._put(now + AGAIN[mail.tries], Mail(mail.post, mail.tries + 1))

    def _put(self, at: datetime, mail: Mail) -> None:
        heapq.heappush(self._bag, (at, next(self._numbers), mail))


async def posted(port: int, path: str, headers: Mapping[str, str], body: bytes, cut: Cut = "") -> int | None:
    """The status of the answer; None without one. `cut` ends the connection in mid body, before the answer, or by a reset."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: {len(body)}\r\n"
                head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                sent = body[: len(body) // 2] if cut == "half" else body
                writer.write(head.encode("latin-1") + b"\r\n" + sent)
                await writer.drain()
                if cut == "reset":
                    writer.transport.abort()
                if cut:
                    return None
                line = await reader.readline()
                return int(line.split()[1]) if line.startswith(b"HTTP/") else None
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, IndexError):
        return None
