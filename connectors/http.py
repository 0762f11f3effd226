"""JSON over HTTP to one fixed host: the only module that imports httpx.

What can go wrong is told apart by what the caller may do next: `TryLater` (nothing was done), `Unsure` (it may have been
done) and `HttpError` (the other side answered and said no). Money stays exact both ways: numbers are read as `int` or
`Decimal` and written digit by digit, never through a float.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import html
import json
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx
import stamina
from pydantic import SecretStr

from connectors.depth import deeper_than
from connectors.reach import LOCAL, AddressRefused, Guarded, Reach, trusting
from engine.facts.budget import Free, Spending, allowance
from engine.facts.outside import TryLater, Unsure

Params = Mapping[str, str] | Sequence[tuple[str, str]]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Headers = Mapping[str, str | SecretStr]
DEEPEST = 200  # answers seen stay under twenty; what is read can always be written again
LONGEST_BODY = 64 * 1024 * 1024
PUBLIC = frozenset({"accept", "user-agent", "content-type"})
SHORTEST_SECRET = 6  # characters: what is shorter is in every text by chance
MENDED_BY_HAND = timedelta(minutes=15)
LONGEST_WISH = timedelta(days=1)  # a Retry-After past this is taken as this
UNKNOWN_CALLER = 401  # who does not know us counts nothing on our account
FREE = Free()


def loads(body: bytes) -> Any:
    """JSON with every fraction as an exact `Decimal`. Raises `ValueError` for anything that is not plain UTF-8 JSON, also for
    half of a surrogate pair, which is no character, and which neither a URL nor a store can hold.
    """
    if deeper_than(body, DEEPEST):
        raise ValueError(f"JSON nested more than {DEEPEST} deep")
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_float=_exact, parse_constant=_no_constant)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("text with half of a surrogate pair") from None
    return value


def _exact(text: str) -> Decimal:
    try:
        number = Decimal(text) if len(text) <= 100 else Decimal("NaN")
    except InvalidOperation:  # an exponent past all that Decimal knows
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 100:
        raise ValueError(f"number out of range: {text[:40]}")
    return number


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def dumps(value: Any) -> bytes:
    """Compact JSON in the order given. A `Decimal` becomes a JSON number with the digits it has; a float is refused."""
    return _written(value).encode("ascii")


def _written(value: Any) -> str:
    match value:
        case None | bool() | int() | str():
            return json.dumps(value)
        case Decimal() if value.is_finite():
            return format(value, "f")
        case Mapping():
            return "{" + ",".join(f"{json.dumps(str(k))}:{_written(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ",".join(_written(v) for v in value) + "]"
    raise TypeError(f"{value!r} cannot be written as JSON exactly")


def segment(text: str) -> str:
    """One path segment from outside text, so that no id can lead to another path."""
    if text in {"", ".", ".."}:
        raise ValueError(f"{text!r} cannot be part of a path")
    return quote(text, safe="")


class HttpError(Exception):
    """An answer that says no (3xx and 4xx): for the connector to translate. `body` has our own secrets blotted out."""

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}: {body[:300].decode('utf-8', 'replace')}")
        self.status = status
        self.body = body
        self.headers = headers

    def json(self) -> Any:
        """The body as JSON, or None where it is not."""
        try:
            return loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer. Header names are lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str]
    changed: bool  # whether the request may have changed something
    spending: Spending = field(default_factory=lambda: FREE, repr=False, compare=False)  # to correct it by what is told

    def json(self) -> Any:
        """The body as JSON. What is not JSON is `TryLater` for a read, `Unsure` for a change."""
        try:
            return loads(self.body)
        except ValueError as fault:
            kind = Unsure if self.changed else TryLater
            raise kind(f"the answer is not JSON: {fault}") from None

    def link(self, rel: str) -> str | None:
        """The URL of a `Link` header (RFC 8288), such as the next page."""
        links = httpx.Response(self.status, headers={"link": self.headers.get("link", "")}).links
        return links.get(rel, {}).get("url")


@dataclass(frozen=True, slots=True)
class Retries:
    """How reads are tried again at once, in seconds, before they become `TryLater`."""

    attempts: int = 3
    first_wait: float = 0.5
    longest_wait: float = 5.0


AT_ONCE = Retries(first_wait=0.0, longest_wait=0.0)


class _Again(TryLater):
    """A fault of a read that may pass by itself within seconds."""


class _NotConnected(_Again):
    """Nothing was sent."""


class _NotAllowed(TryLater):
    """Nothing was sent, and trying again at once would not help."""


class _Throttled(TryLater):
    """The other side has too much to do, with us or others."""


def bearer(token: SecretStr) -> SecretStr:
    """The value of an `authorization` header with this token."""
    return SecretStr(f"Bearer {token.get_secret_value()}")


def basic(user: SecretStr) -> SecretStr:
    """The value of an `authorization` header with this user and no password, as keys are often given."""
    return SecretStr("Basic " + base64.b64encode(f"{user.get_secret_value()}:".encode()).decode("ascii"))


class Http:
    """A client of one host. Redirects are not followed, absolute URLs must be of that host, its address must be one that `reach`
    allows, and nothing it says of itself, of an answer or of a fault holds a secret of a header. Plain http is for this machine
    only. `rest` is for how long nothing is sent after a 429 that names no time.
    """

    def __init__(
        self,
        base_url: str,
        headers: Headers | None = None,
        *,
        reach: Reach | None = None,
        timeout: float = 20.0,
        deadline: float = 60.0,
        retries: Retries | None = None,
        rest: timedelta | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOCAL)):
            raise ValueError(f"{_shown(base_url)} is not an https URL")
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError(f"{_shown(base_url)} holds more than a host and a path: a key is a setting of its own")
        self._base = base_url.rstrip("/")
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._local = parts.hostname in LOCAL
        self._headers = {"accept": "application/json", **{k.lower(): v for k, v in (headers or {}).items()}}
        self._guard = Guarded(parts.hostname, private=reach is not None and reach.private_network)
        self._reach = reach or Reach()
        trusting(self._reach, _trusts_nobody())  # said now, not when the first request leaves
        for name, value in self._revealed():
            if not (value.isascii() and value.isprintable()):
                raise ValueError(f"the header {name} holds characters no header may hold")
        self._timeout = timeout
        self._deadline = deadline
        self._retries = retries or (AT_ONCE if self._local else Retries())
        self._rest = rest
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"Http({self._base!r}, headers: {', '.join(self._headers)})"

    async def get(
        self, path: str, params: Params = (), *, headers: Mapping[str, str] | None = None, operation: str = "", units: int = 1
    ) -> Answer:
        """A read, tried again a few times where that may help. Raises `TryLater` or `HttpError`.

        Each try takes `units` of `operation` out of the budget.
        """
        waits = self._retries
        context = stamina.retry_context(
            on=_Again,
            attempts=waits.attempts,
            timeout=self._deadline,
            wait_initial=waits.first_wait,
            wait_max=waits.longest_wait,
            wait_jitter=waits.first_wait,
        )
        async for attempt in context:
            with attempt:
                return await self._counted("GET", path, params, None, headers, changes=False, operation=operation, units=units)
        raise AssertionError("stamina either returns or raises")

    async def send(
        self,
        method: Method,
        path: str,
        body: Any = None,
        params: Params = (),
        *,
        headers: Mapping[str, str] | None = None,
        changes: bool = True,
        operation: str = "",
        units: int = 1,
    ) -> Answer:
        """One request with a JSON body (none where it is None), never repeated here. Raises `TryLater` only where nothing can
        have been done, `Unsure` where it may have been, `HttpError` where it was refused. `changes=False` is for reads made
        with POST, and for what does no harm when done twice.
        """
        content = None if body is None else dumps(body)
        return await self._counted(method, path, params, content, headers, changes=changes, operation=operation, units=units)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    async def _counted(
        self,
        method: str,
        path: str,
        params: Params,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        changes: bool,
        operation: str,
        units: int,
    ) -> Answer:
        """One request, spent before it leaves. Raises `OverBudget` where it may not leave now."""
        spending = await allowance().spend(operation or f"{method} {path.split('?', 1)[0]}", units)
        try:
            return replace(await self._once(method, path, params, body, headers, changes=changes), spending=spending)
        except (_NotConnected, _NotAllowed):
            spending.give_back()
            raise
        except _Throttled as wait:
            if wait.after is not None:
                spending.rest(wait.after)
            raise
        except HttpError as no:
            if no.status == UNKNOWN_CALLER:
                spending.give_back()
            raise
        finally:
            spending.over()

    async def _once(
        self,
        method: str,
        path: str,
        params: Params,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        *,
        changes: bool,
    ) -> Answer:
        what = f"{method} {path.split('?', 1)[0]}"
        lost: type[Unsure | TryLater] = Unsure if changes else _Again
        given = {**({"content-type": "application/json"} if body is not None else {}), **(headers or {})}
        try:
            request = self._http().build_request(
                method, self._url(path), params=list(params.items() if isinstance(params, Mapping) else params) or None,
                content=body, headers={**dict(self._revealed()), **given},
            )  # fmt: skip
        except (httpx.InvalidURL, UnicodeError) as fault:
            raise _NotAllowed(f"{what}: what is asked for cannot stand in a URL ({type(fault).__name__})", LONGEST_WISH) from None
        try:
            async with asyncio.timeout(self._deadline):
                response = await self._http().send(request, stream=True)
                try:
                    content = await _read(response)
                finally:
                    await response.aclose()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as fault:
            if isinstance(fault.__cause__, AddressRefused):
                raise _NotAllowed(f"{what}: {fault}", MENDED_BY_HAND) from None
            raise _NotConnected(f"{what}: no connection ({type(fault).__name__})") from None
        except (httpx.RequestError, TimeoutError, _TooLong) as fault:
            raise lost(f"{what}: {type(fault).__name__}") from None
        return self._judged(what, response, self._blotted(content, self._secrets()), changes=changes)

    def _judged(self, what: str, response: httpx.Response, content: bytes, *, changes: bool) -> Answer:
        status = response.status_code
        names = {k.lower(): self._blotted(v.encode(), self._secrets()).decode() for k, v in response.headers.items()}
        if 200 <= status < 300:
            return Answer(status, content, names, changes)
        wish = _retry_after(names)
        if status in {408, 429} or (status == 503 and wish is not None):
            rest = self._rest if status == 429 else None
            raise _Throttled(f"{what}: HTTP {status}", wish or rest, for_all=status != 408)
        if status >= 500:
            raise Unsure(f"{what}: HTTP {status}") if changes else _Again(f"{what}: HTTP {status}", wish)
        raise HttpError(status, self._blotted(content, self._told()), names)

    def _revealed(self) -> Iterator[tuple[str, str]]:
        for name, value in self._headers.items():
            yield name, value.get_secret_value() if isinstance(value, SecretStr) else value

    def _secrets(self) -> Iterator[str]:
        return (value.get_secret_value() for value in self._headers.values() if isinstance(value, SecretStr))

    def _told(self) -> Iterator[str]:
        """All we sent in headers of our own: in a refusal nothing is lost by blotting out too much."""
        return (value for name, value in self._revealed() if name not in PUBLIC)

    def _blotted(self, content: bytes, secrets: Iterable[str]) -> bytes:
        """What came, without what we sent: some APIs repeat a header in what they answer."""
        for secret in secrets:
            for form in _forms(secret):
                if form in content:
                    content = content.replace(form, b"***")
        return content

    def _url(self, path: str) -> str:
        if path.startswith("/"):
            return self._base + path
        parts = urlsplit(path)
        if f"{parts.scheme}://{parts.netloc}" != self._origin:
            raise TryLater(f"a link leads to another host: {parts.netloc}")
        return path

    def _http(self) -> httpx.AsyncClient:
        """The client of the running loop: connections cannot move from one loop to another."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._loop = loop
            plain = self._base.startswith("http:")
            context = _trusts_nobody() if plain else trusting(self._reach, httpx.create_ssl_context())
            transport = self._transport or (None if self._proxied() else _Transport(context, self._guard))
            self._client = httpx.AsyncClient(
                timeout=self._timeout,
                transport=transport,
                verify=context,
                follow_redirects=False,
                trust_env=not self._local,  # a proxy is never asked for this machine
            )
        return self._client

    def _proxied(self) -> bool:
        """Whether the environment names a proxy for this host, which then looks names up, and is where hosts are limited."""
        parts = urlsplit(self._base)
        proxies = getproxies()
        return not self._local and bool(proxies.get(parts.scheme) or proxies.get("all")) and not proxy_bypass(parts.netloc)


def _trusts_nobody() -> ssl.SSLContext:
    """For connections without TLS: quickly made, and takes no certificate at all."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, over connections that are guarded. httpx has no setting for that, so its pool is exchanged whole."""

    def __init__(self, context: ssl.SSLContext, guard: Guarded) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context, max_connections=100, max_keepalive_connections=20, keepalive_expiry=5.0, network_backend=guard
        )


def _forms(secret: str) -> Iterator[bytes]:
    """The ways a secret, or what is in a header of it, is written where it is repeated."""
    words = {secret, *secret.split()}
    for word in tuple(words):
        try:
            words.add(base64.b64decode(word, validate=True).decode().strip(":"))
        except (binascii.Error, ValueError):
            continue
    for word in sorted(words, key=len, reverse=True):
        if len(word) >= SHORTEST_SECRET and word not in {"Bearer", "Basic"}:
            yield from {form.encode() for form in (word, json.dumps(word)[1:-1], quote(word, safe=""), html.escape(word))}


def _shown(url: str) -> str:
    """A URL in a message: without what stands before an @, which may be a password."""
    return repr(url.rpartition("@")[2] if "@" in url else url)


class _TooLong(Exception):  # noqa: N818 - a verdict on the answer, not a fault of ours
    """More than `LONGEST_BODY` came."""


async def _read(response: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > LONGEST_BODY:
            raise _TooLong
    return bytes(content)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """RFC 9110: seconds, or a date, which is read against the answer's own `Date`."""
    text = headers.get("retry-after", headers.get("x-retry-after", "")).strip()  # ShipBob has the latter
    if text.isascii() and text.isdigit():
        return min(timedelta(seconds=int(text[:9])), LONGEST_WISH)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WISH)
