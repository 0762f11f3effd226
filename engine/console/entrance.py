"""Who stands before a page, and whether they may do what they ask: sessions, roles, forms, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request

from engine.console.accounts import NotAllowed, fits, hashed, may, session_for, who
from engine.console.throttle import Failures, Rate
from engine.desk.stored import visited
from engine.facts.secrecy import same
from engine.run.web.insiders import is_local
from engine.store.accounts import Account, Pass, Role
from engine.store.base import Store

REQUESTS = 240  # a minute, of one person or program
TRIES = 30  # a minute, of one address that nobody is known at
SEEN_EVERY = timedelta(minutes=1)  # how exactly the last use of a session is kept
LONGEST_FORM = 16 * 1024  # bytes
NOT_CONFIDENTIAL = "a password is only taken over https, or on the service's own machine: put a proxy with TLS before it"


class Stop(Exception):  # noqa: N818 - a verdict on the request
    """It is not answered as asked, and why."""

    def __init__(self, status: int, reason: str, *, again: timedelta | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.again = again


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person or program that was let in."""

    account: Account
    held: Pass

    @property
    def name(self) -> str:
        return self.account.name

    def may(self, role: Role) -> bool:
        return may(self.account.role, role)


class Entrance:
    """Lets people in to the pages of one store. Sessions of several clients go side by side in one browser: a cookie is named for
    its client, because browsers do not tell ports apart.
    """

    def __init__(self, database: Path, client: str) -> None:
        self.cookie = f"instep_session_{client}"
        self._database = database
        self._failures = Failures()
        self._rate = Rate(REQUESTS)
        self._tries = Rate(TRIES)
        self._log = structlog.get_logger("instep.console")

    async def visitor(self, request: Request) -> Visitor | None:
        """Who holds the session the browser brings. Raises Stop where they ask too often."""
        held = request.cookies.get(self.cookie, "")
        found = await asyncio.to_thread(self._known, held, "session") if held else None
        self._often(found, request)
        return found

    async def program(self, request: Request) -> Visitor:
        """Who holds the token the request brings. Raises Stop."""
        scheme, _, held = request.headers.get("authorization", "").partition(" ")
        found = await asyncio.to_thread(self._known, held.strip(), "token") if scheme.casefold() == "bearer" and held else None
        self._often(found, request)
        if found is None:
            raise Stop(401, "say who you are: Authorization: Bearer TOKEN, with a token of `instep accounts token`")
        return found

    def _often(self, found: Visitor | None, request: Request) -> None:
        now = datetime.now(UTC)
        fine = self._rate.takes(found.held.digest, now) if found else self._tries.takes(address(request), now)
        if not fine:
            raise Stop(429, "too many requests: wait a moment", again=timedelta(seconds=10))

    def _known(self, held: str, kind: str) -> Visitor | None:
        now = datetime.now(UTC)
        with visited(self._database, None) as store:
            found = who(store.accounts, held, now)
            if found is None or found[1].kind != kind:
                return None
            if now - found[1].seen_at >= SEEN_EVERY:
                with store.transaction():
                    store.accounts.seen(found[1].digest, now)
        return Visitor(*found)

    async def log_in(self, request: Request, name: str, password: str) -> str:
        """What the browser holds from now on. Raises Stop, which never says whether there is such an account."""
        if not confidential(request):
            raise Stop(
                403, "a password is only taken over https, or on the service's own machine: put a proxy with TLS before it"
            )
        now = datetime.now(UTC)
        keys = f"account {name.casefold()}", f"address {address(request)}"
        wait = max(self._failures.wait(key, now) for key in keys)
        if wait > timedelta(0):
            raise Stop(429, f"too many wrong passwords: try again in {_seconds(wait)}", again=wait)
        held = await asyncio.to_thread(self._let_in, name, password, now)
        if held is None:
            for key in keys:
                self._failures.failed(key, now)
            self._log.warning("login_refused", account=name[:100], address=address(request))
            raise Stop(401, "the name or the password is wrong")
        for key in keys:
            self._failures.forget(key)
        return held

    def _let_in(self, name: str, password: str, now: datetime) -> str | None:
        with visited(self._database, None) as store:
            account = store.accounts.get(name)
            if not fits(account, password):
                return None
            with store.transaction():
                store.audit.append(now, name, "logged in")
                return session_for(store.accounts, name, now)

    async def log_out(self, visitor: Visitor) -> None:
        await asyncio.to_thread(self._change, lambda store: store.accounts.end(visitor.held.digest))

    async def change_password(self, visitor: Visitor, old: str, new: str) -> None:
        """Ends every other session and token of the account. Raises Stop."""
        now = datetime.now(UTC)
        key = f"account {visitor.name.casefold()}"
        if (wait := self._failures.wait(key, now)) > timedelta(0):
            raise Stop(429, f"too many wrong passwords: try again in {_seconds(wait)}", again=wait)
        if not await asyncio.to_thread(fits, visitor.account, old):
            self._failures.failed(key, now)
            raise Stop(403, "the present password is wrong")
        try:
            password = await asyncio.to_thread(hashed, new)
        except NotAllowed as no:
            raise Stop(422, str(no)) from None

        def change(store: Store) -> None:
            account = store.accounts.get(visitor.name) or visitor.account
            store.accounts.put(replace(account, password=password))
            store.accounts.end_all(visitor.name, but=visitor.held.digest)
            store.audit.append(now, visitor.name, "changed the password", f"account:{visitor.name}")

        await asyncio.to_thread(self._change, change)

    def _change(self, change: Callable[[Store], None]) -> None:
        with visited(self._database, None) as store, store.transaction():
            change(store)


def only_for(role: Role, visitor: Visitor) -> None:
    """Raises Stop for those who may do less."""
    if not visitor.may(role):
        raise Stop(403, f"this is for a {role}: the role of {visitor.name} is {visitor.account.role}")


def checked_form(request: Request, visitor: Visitor | None, given: str) -> None:
    """Raises Stop for a form that was not one of ours: sent from another site, or without what the page put in it."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    if site not in ("same-origin", "none") or (origin and urlsplit(origin).netloc != request.headers.get("host", "")):
        raise Stop(403, "this form was sent from another site: open the page here and try again")
    if visitor is not None and not same(given, visitor.held.form):
        raise Stop(403, "this form is out of date: open the page again")


def over_tls(request: Request) -> bool:
    """Whether the browser came over https, to us or to a proxy on this machine that says so."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    return request.url.scheme == "https" or (_by_proxy(request) and forwarded == "https")


def confidential(request: Request) -> bool:
    """Whether nobody between the browser and here reads along."""
    return over_tls(request) or is_local(request.url.hostname or "")


def address(request: Request) -> str:
    """Where a request comes from, as a proxy on this machine says; of IPv6 the network, for anybody has billions of addresses in
    it.
    """
    text = request.client.host if request.client else ""
    if _by_proxy(request):
        text = request.headers.get("x-forwarded-for", text).rpartition(",")[2].strip()
    try:
        found = ip_address(text)
    except ValueError:
        return text[:50]
    return text if found.version == 4 else found.exploded[:19]


def _by_proxy(request: Request) -> bool:
    """Whether it comes from this machine: whoever is on it can be believed about where others come from."""
    return request.client is not None and is_local(request.client.host)


def _seconds(wait: timedelta) -> str:
    seconds = int(wait.total_seconds()) + 1
    return f"{seconds} seconds" if seconds < 120 else f"{seconds // 60} minutes"
