"""`instep new connector`: a package of its own for one outside system, with a sandbox and a mapping, in the house's form."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from engine.cli.scaffolds import Refusal, fill, write_all
from engine.cli.schemas import first_line
from engine.facts.outside import ROLES, installed_connectors
from engine.problems import did_you_mean

_NAME = re.compile(r"[a-z][a-z0-9]*")
_READS = {  # what each role is mostly read for: a record, and its field that moves
    "marketplace": ("order", "updated_at"),
    "returns": ("rma", "updated_at"),
    "store": ("sale", "updated_at"),
    "carrier": ("parcel", "updated_at"),
    "warehouse": ("receipt", "updated_at"),
    "finance": ("ledger_line", "posted_at"),
}


def new_connector(root: Path, name: str, role: str) -> list[Path]:
    """A package `instep_<name>` and its mapping; the paths of all files. Raises `Refusal`."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise Refusal(f'"{name}" is no name for a connector: lower-case letters and digits, first a letter')
    if role not in ROLES:
        raise Refusal(f'"{role}" is not a role{did_you_mean(role, ROLES)}')
    if name in installed_connectors():
        raise Refusal(f"a connector {name} is installed already: choose another name")
    record, moved = _READS[role]
    words = {"name": name, "Name": name.capitalize(), "role": role, "record": record, "moved": moved}
    package = f"instep_{name}"
    mapping = f"mappings/{name}/{record}.yaml"
    files = {
        f"{package}/pyproject.toml": _PYPROJECT,
        f"{package}/{package}/__init__.py": _INIT,
        f"{package}/{package}/client.py": _CLIENT,
        f"{package}/{package}/connector.py": _CONNECTOR,
        f"{package}/{package}/sandbox.py": _SANDBOX,
        mapping: f"{first_line(mapping, 'mapping')}\n{_MAPPING}",
    }
    return write_all(root, {path: fill(text, words) for path, text in files.items()})


_PYPROJECT = """[build-system]
requires = ["hatchling>=1.25"]
build-backend = "hatchling.build"

[project]
name = "instep-<name>"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["instep"]

# How instep finds it: once this package is installed, a client may write  <role>: {use: <name>, ...}
[project.entry-points."instep.connectors"]
<name> = "instep_<name>.connector:<Name>Connector"
"""

_INIT = '''"""<Name> as the <role>."""
'''

_CLIENT = '''"""The wire to <Name>: its paths, its pages, and what its answers look like."""

from __future__ import annotations

from typing import Any

from connectors.http import Http, HttpError
from engine.facts.outside import TryLater

Thing = dict[str, Any]


class <Name>Client:
    """Reads raise `TryLater` where the outside is slow, away, or answers nonsense."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        self._http = Http(url, {"authorization": f"Bearer {key}"}, timeout=timeout)

    async def changed(self, since: str) -> list[Thing]:
        """What changed since an instant ("" for everything), oldest first."""
        found = await self._read("/things", {"since": since} if since else {})
        if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("id") for one in found):
            raise TryLater("the answer is no list of things")
        return found

    async def one(self, key: str) -> Thing | None:
        """One of them; None where there is none."""
        listed = await self._read("/things", {"id": key})
        return next((one for one in listed if isinstance(one, dict) and one.get("id") == key), None)

    async def close(self) -> None:
        await self._http.close()

    async def _read(self, path: str, params: dict[str, str]) -> Any:
        try:
            return (await self._http.get(path, params, operation="GET things")).json()
        except HttpError as fault:
            raise TryLater(f"{path} was refused: {fault}") from None
'''

_CONNECTOR = '''"""<Name> as the <role>: what it shows, what can be asked of it, and what is heard from it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from connectors.http import dumps
from engine.facts.budget import Limit, Quota
from engine.facts.outside import (
    Action,
    Clock,
    Codes,
    Event,
    Evidence,
    Feed,
    Hint,
    Order,
    Page,
    Receipt,
    Ref,
    Refused,
    Rejected,
    Role,
    WebhookRequest,
)
from instep_<name>.client import <Name>Client, Thing

KIND = "<name>.<record>"  # the kind of event: mappings/<name>/<record>.yaml reads it


class <Name>Settings(BaseModel):
    """`<role>: {use: <name>, url: ..., key: {secret: ...}}`. Each description is shown by editors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Where its API is")
    key: SecretStr = Field(min_length=1, description="The API key")
    timeout: float = Field(20.0, gt=0, description="Seconds to wait for an answer")


class <Name>Connector:
    """Polled for what changed. Nothing can be asked of it yet, and it sends nothing."""

    name: ClassVar[str] = "<name>"
    role: ClassVar[Role] = "<role>"
    Settings: ClassVar[type[Any]] = <Name>Settings
    # What rules may ask for, each with its parameters and its subject: what must not be done twice. See `Action`.
    actions: ClassVar[Mapping[str, Action]] = MappingProxyType({})
    feeds: ClassVar[Mapping[str, Feed]] = MappingProxyType({"changes": Feed("changes", timedelta(minutes=15), "What changed")})
    # How often it may be asked: all of it, or one operation. Every request is counted before it leaves.
    quota: ClassVar[Quota] = Quota({"GET things": "Things, listed or one"}, (Limit(60, timedelta(minutes=1)),))

    def __init__(self, settings: <Name>Settings, clock: Clock, codes: Codes) -> None:
        self._clock = clock
        self._codes = codes  # our words and theirs, from codes.yaml and client.yaml
        self._client = <Name>Client(settings.url, settings.key.get_secret_value(), settings.timeout)

    async def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        """The cursor is the last change seen. One that is none of ours starts from the beginning: reading twice does no harm."""
        if feed not in self.feeds:
            raise ValueError(f"<name> has no feed {feed!r}")
        asked_at = self._clock()
        found = await self._client.changed(cursor if _is_instant(cursor) else "")
        latest = max((str(one["changed_at"]) for one in found), default=cursor)
        yield Page(latest, tuple(self._event(one, asked_at) for one in found))

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        """A webhook would be verified here, and become an event or a hint to fetch; see `engine.facts.outside.Hint`."""
        raise Rejected(404, "<name> sends nothing")

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        asked_at = self._clock()
        found = await self._client.one(ref.key) if ref.kind == KIND else None
        return [] if found is None else [self._event(found, asked_at)]

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        """Before an order is sent, and when it is unsure: was it done already? Evidence is proof, never a guess."""
        return [Evidence(order.key, done=False) for order in orders]

    async def perform(self, order: Order) -> Receipt:
        """Once and only once: `TryLater` where nothing was done, `Unsure` where it may have been, `Refused` for a final no."""
        raise Refused("unknown_action", f"<name> cannot do {order.action}")

    async def close(self) -> None:
        await self._client.close()

    def _event(self, thing: Thing, asked_at: datetime) -> Event:
        return Event(self.name, KIND, dumps(thing), asked_at, requested=True)


def _is_instant(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
'''

_SANDBOX = '''"""A <Name> on this machine, for tests and simulations: as faithful to the real one as you can make it.

from connectors.serving import Served
with Served(<Name>Sandbox(clock).app) as url: ...
"""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connectors.http import dumps
from connectors.serving import Faults
from engine.facts.outside import Clock


class <Name>Sandbox:
    """Holds things by id. `faults` makes it fail as real systems do."""

    def __init__(self, clock: Clock, key: str = "<name>-sandbox-key") -> None:
        self.clock = clock
        self.key = key
        self.things: dict[str, dict[str, Any]] = {}
        self.faults = Faults(Starlette(routes=[Route("/things", self._list)]))
        self.app = self.faults

    def settings(self, url: str) -> dict[str, Any]:
        """The connector's settings for this sandbox, served at `url`."""
        return {"url": url, "key": self.key}

    def put(self, key: str, **fields: Any) -> None:
        """Something happened to a thing."""
        self.things[key] = {**self.things.get(key, {}), "id": key, **fields, "changed_at": self.clock().isoformat()}

    async def _list(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return Response(status_code=401)
        since, key = request.query_params.get("since", ""), request.query_params.get("id", "")
        found = [one for one in self.things.values() if one["changed_at"] >= since and key in ("", one["id"])]
        return Response(dumps(found), media_type="application/json")
'''

_MAPPING = """# What <Name> tells becomes a <record>. See mappings/README.md; try it with: instep map <name>.<record> payload.json
from: <name>.<record>
to: <record>
key: id
version: changed_at            # a field of theirs that moves with every change
fields:
  <moved>: changed_at
"""
