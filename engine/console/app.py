"""The console's pages under `/console`, and the same for programs as JSON under `/api`.

Pages need no script and nothing from elsewhere, and the browser is told so. Everything runs beside the service, in threads and
with connections of their own: a page that takes long keeps no delivery and no deadline waiting.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from math import ceil
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.console.deeds import DOABLE, Doable
from engine.console.entrance import (
    LONGEST_FORM,
    NOT_CONFIDENTIAL,
    Entrance,
    Stop,
    Visitor,
    checked_form,
    confidential,
    only_for,
    over_tls,
)
from engine.console.pages import page
from engine.console.views import VIEWS, View
from engine.decide.people import NotPossible
from engine.desk.stored import NotFound, visited
from engine.facts.codec import dumps
from engine.problems import ProblemsFound
from engine.run.logs import where
from engine.store.accounts import Role
from engine.store.trouble import StoreTrouble

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
SAID_AS = {403: "Not allowed", 404: "Not found", 422: "Not done", 429: "Too many at once", 503: "Not now"}
AT_ONCE = 2  # views that are worked out side by side: the service's own work comes first
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none at all, browsers hide the origin of our own forms, too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
Status = Callable[[], Awaitable[Mapping[str, Any]]]
Answer = Callable[[Request], Awaitable[Response]]
Json = dict[str, Any]


def console_app(database: Path, client: str, status: Status) -> Starlette:
    """The console and API of the client whose store this is. `status` is the service's own."""
    console = _Console(database, client, status)
    return Starlette(routes=[Mount("/console", routes=console.pages()), Mount("/api", routes=console.api())])


def beside(rest: ASGIApp, console: ASGIApp) -> ASGIApp:
    """One application: `/console` and `/api` are the console's, everything else goes to `rest`."""

    async def site(scope: Scope, receive: Receive, send: Send) -> None:
        first = str(scope.get("path", "")).split("/", 2)[1:2]
        await (console if first in (["console"], ["api"]) else rest)(scope, receive, send)

    return site


class _Console:
    def __init__(self, database: Path, client: str, status: Status) -> None:
        self._database = database
        self._client = client
        self._status = status
        self._entrance = Entrance(database, client)
        self._room = asyncio.Semaphore(AT_ONCE)
        self._said: dict[str, str] = {}  # what came of the last thing a session did, until it is shown
        self._log = structlog.get_logger("instep.console")

    def pages(self) -> list[Route]:
        made = [
            Route("/style.css", _file("style.css", "text/css; charset=utf-8")),
            Route("/icon.svg", _file("icon.svg", "image/svg+xml")),
            Route("/login", self._page(self._log_in, role=None), methods=["GET", "POST"]),
            Route("/logout", self._page(self._log_out), methods=["POST"]),
            Route("/account", self._page(self._account), methods=["GET", "POST"]),
            Route("/", self._page(self._overview)),
        ]
        made += [Route(f"/{name}", self._page(self._deed(one), one.role), methods=["POST"]) for name, one in DOABLE.items()]
        made += [Route(f"/{name}", self._page(self._view(name, view))) for name, view in VIEWS.items()]
        return [*made, Route("/{rest:path}", self._page(_nowhere), methods=METHODS)]

    def api(self) -> list[Route]:
        async def status(_: Request, __: Visitor) -> Json:
            return dict(await self._status())

        made = [Route("/status", self._answer(status))]
        made += [Route(f"/{name}", self._answer(self._done(one), one.role), methods=["POST"]) for name, one in DOABLE.items()]
        made += [Route(f"/{name}", self._answer(self._viewed(view))) for name, view in VIEWS.items()]
        return [*made, Route("/{rest:path}", self._answer(_nowhere), methods=METHODS)]

    # --- pages ---

    def _page(self, make: Callable[[Request, Visitor], Awaitable[Response]], role: Role | None = "viewer") -> Answer:
        """A page for those who may see it; without `role` for anybody."""

        async def answer(request: Request) -> Response:
            visitor: Visitor | None = None
            try:
                visitor = await self._entrance.visitor(request)
                if role is not None and visitor is None:
                    return _with_headers(_to_login(request))
                if role is not None and visitor is not None:
                    only_for(role, visitor)
                return _with_headers(await make(request, visitor))  # type: ignore[arg-type]  # pages without a role know
            except Exception as fault:
                stop = self._stop(fault, request)
                back = getattr(request.state, "back", "/console/")
                told = {"status": stop.status, "reason": stop.reason, "back": back, "said_as": SAID_AS.get(stop.status, "")}
                return _with_headers(await self._drawn("stopped", told, visitor, stop.status), stop)

        return answer

    def _view(self, name: str, view: View) -> Callable[[Request, Visitor], Awaitable[Response]]:
        template = name.partition("/{")[0].removesuffix("s") if "{" in name else name
        template = {"rule": "rule_set"}.get(template, template)

        async def make(request: Request, visitor: Visitor) -> Response:
            given = {**request.query_params, **request.path_params}
            told = await self._worked_out(lambda: view(self._database, given))
            return await self._drawn(template, told | {"given": given}, visitor)

        return make

    def _deed(self, one: Doable) -> Callable[[Request, Visitor], Awaitable[Response]]:
        async def make(request: Request, visitor: Visitor) -> Response:
            form = await _form(request)
            request.state.back = back = _inside(form.get("back", ""))
            checked_form(request, visitor, form.get("form", ""))
            self._said[visitor.held.digest] = await self._do(one, form, visitor)
            return RedirectResponse(back, status_code=303)

        return make

    async def _overview(self, request: Request, visitor: Visitor) -> Response:
        told = await self._worked_out(lambda: VIEWS["exceptions"](self._database, {}))
        rules = await self._worked_out(lambda: VIEWS["rules"](self._database, {}))
        return await self._drawn(
            "overview", {"status": await self._status(), **told, "rules": rules, "given": dict(request.query_params)}, visitor
        )

    async def _log_in(self, request: Request, visitor: Visitor | None) -> Response:
        if visitor is not None:
            return RedirectResponse("/console/", status_code=303)
        after = _inside(request.query_params.get("then", ""))
        if request.method == "GET":
            told = {"accounts": await asyncio.to_thread(self._any_account), "then": after, "store": self._database.name}
            told["ended"] = self._entrance.cookie in request.cookies
            return await self._drawn("login", told, None)
        form = await _form(request)
        checked_form(request, None, "")
        try:
            held = await self._entrance.log_in(request, form.get("name", ""), form.get("password", ""))
        except Stop as stop:
            told = {"accounts": True, "then": after, "name": form.get("name", ""), "reason": stop.reason, "ended": False}
            return _with_headers(await self._drawn("login", told, None, stop.status), stop)
        answer = RedirectResponse(after, status_code=303)
        answer.set_cookie(
            self._entrance.cookie, held, path="/console", httponly=True, samesite="strict", secure=over_tls(request)
        )
        return answer

    async def _log_out(self, request: Request, visitor: Visitor) -> Response:
        checked_form(request, visitor, (await _form(request)).get("form", ""))
        await self._entrance.log_out(visitor)
        self._said.pop(visitor.held.digest, None)
        answer = RedirectResponse("/console/login", status_code=303)
        answer.delete_cookie(self._entrance.cookie, path="/console", httponly=True, samesite="strict")
        return answer

    async def _account(self, request: Request, visitor: Visitor) -> Response:
        if request.method == "POST":
            form = await _form(request)
            checked_form(request, visitor, form.get("form", ""))
            if not confidential(request):
                raise Stop(403, NOT_CONFIDENTIAL)
            if form.get("new") != form.get("again"):
                raise Stop(422, "the new password was not typed the same twice")
            await self._entrance.change_password(visitor, form.get("old", ""), form.get("new", ""))
            self._said[visitor.held.digest] = "The password is changed. Every other session and token of yours has ended."
            return RedirectResponse("/console/account", status_code=303)

        def passes() -> list[Json]:
            with visited(self._database, None) as store:
                return [
                    {"kind": p.kind, "label": p.label, "made_at": p.made_at.isoformat(), "seen_at": p.seen_at.isoformat()}
                    | {"ends_at": p.ends_at.isoformat(), "this": p.digest == visitor.held.digest}
                    for p in store.accounts.passes(visitor.name)
                ]

        return await self._drawn("account", {"passes": await asyncio.to_thread(passes)}, visitor)

    def _any_account(self) -> bool:
        with visited(self._database, None) as store:
            return bool(store.accounts.listed())

    async def _drawn(self, template: str, told: Mapping[str, Any], visitor: Visitor | None, status: int = 200) -> Response:
        said = self._said.pop(visitor.held.digest, "") if visitor else ""
        return Response(
            page(template, told, visitor, self._client, said), status_code=status, media_type="text/html; charset=utf-8"
        )

    # --- the API ---

    def _answer(self, make: Callable[[Request, Visitor], Awaitable[Json]], role: Role = "viewer") -> Answer:
        async def answer(request: Request) -> Response:
            try:
                visitor = await self._entrance.program(request)
                only_for(role, visitor)
                told = dumps(await make(request, visitor))  # exact numbers of payloads, which are no floats
                return _with_headers(Response(told, media_type="application/json"))
            except Exception as fault:
                stop = self._stop(fault, request)
                headers = {"WWW-Authenticate": "Bearer"} if stop.status == 401 else None
                return _with_headers(JSONResponse({"reason": stop.reason}, stop.status, headers), stop)

        return answer

    def _viewed(self, view: View) -> Callable[[Request, Visitor], Awaitable[Json]]:
        async def make(request: Request, _: Visitor) -> Json:
            given = {**request.query_params, **request.path_params}
            return await self._worked_out(lambda: view(self._database, given))

        return make

    def _done(self, one: Doable) -> Callable[[Request, Visitor], Awaitable[Json]]:
        async def make(request: Request, visitor: Visitor) -> Json:
            try:
                given = json.loads(await _body(request) or b"{}")
            except (ValueError, RecursionError):
                raise Stop(400, "the body is not JSON") from None
            if not isinstance(given, dict) or not all(isinstance(v, str | int) for v in given.values()):
                raise Stop(422, "the body is one JSON object of texts and numbers")
            return {"outcome": await self._do(one, {str(k): str(v) for k, v in given.items()}, visitor)}

        return make

    # --- both ---

    async def _do(self, one: Doable, given: Mapping[str, str], visitor: Visitor) -> str:
        for name in one.wants:
            if not given.get(name, "").strip():
                raise Stop(422, f"say {name}: nothing was done")
        return await asyncio.to_thread(one.do, self._database, given, visitor.name)

    async def _worked_out(self, view: Callable[[], Json]) -> Json:
        async with self._room:
            return await asyncio.to_thread(view)

    def _stop(self, fault: Exception, request: Request) -> Stop:
        """What is said of anything that went wrong: never more than a person can use."""
        match fault:
            case Stop():
                return fault
            case NotFound():
                return Stop(404, str(fault))
            case NotPossible() | ValueError() if not isinstance(fault, ProblemsFound):
                return Stop(422, str(fault))
            case ClientDisconnect():
                return Stop(400, "the request ended early")
            case StoreTrouble():
                return Stop(503, f"{fault.what}. {fault.remedy}")
            case ProblemsFound():
                return Stop(500, "the active rule set is no longer taken by this version: `instep check` says why")
        self._log.error("page_failed", path=request.url.path, **where(fault))
        return Stop(500, "something is wrong here, and the log of the service says what")


async def _nowhere(request: Request, _: Visitor) -> Any:
    raise Stop(404, f"there is nothing at {request.method} {request.url.path[:200]}")


async def _form(request: Request) -> dict[str, str]:
    try:
        return dict(parse_qsl((await _body(request)).decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise Stop(400, "this is not a form") from None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_FORM:
            raise Stop(413, f"larger than {LONGEST_FORM} bytes")
    return bytes(body)


def _to_login(request: Request) -> Response:
    if request.method != "GET":
        return RedirectResponse("/console/login", status_code=303)
    then = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/console/login?{urlencode({'then': then})}", status_code=303)


def _inside(path: str) -> str:
    """A path of the console itself, so that no form leads anywhere else."""
    inside = path.startswith("/console/") and not path.startswith("/console//") and "\\" not in path and path.isprintable()
    return quote(path, safe="/:?&=%+@,~-._") if inside else "/console/"


def _with_headers(answer: Response, stop: Stop | None = None) -> Response:
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    if stop is not None and stop.again is not None:
        answer.headers["Retry-After"] = str(ceil(stop.again.total_seconds()))
    return answer


def _file(name: str, media_type: str) -> Answer:
    """A file of ours that every page needs, so also that of the login."""

    async def answer(_: Request) -> Response:
        return _with_headers(Response(files("engine.console").joinpath(name).read_bytes(), media_type=media_type))

    return answer
