"""A Mirakl being served, what went over its wire, and the published schema to hold that against."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.mirakl.connector import MiraklConnector
from connectors.mirakl.sandbox import MiraklSandbox
from connectors.serving import Served
from tests.connectors.contract_mirakl import CODES
from tests.connectors.kit import TestClock, shared

# offered by Mirakl's text on paging and locale, missing in the parameter lists of the published capture
PAGING = {"max", "offset", "sort", "order", "limit", "page_token", "locale"}


@dataclass
class Exchange:
    """One request and its answer."""

    method: str
    path: str
    query: list[tuple[str, str]]
    body: bytes = b""
    status: int = 0
    answer: bytes = b""


@dataclass
class Recorder:
    """An ASGI application that writes down what passes through it."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kept = Exchange(scope["method"], scope["path"], parse_qsl(scope["query_string"].decode(), keep_blank_values=True))
        self.exchanges.append(kept)

        heard: list[Message] = []
        while not heard or heard[-1].get("more_body"):  # also of a request that is refused unread
            heard.append(await receive())
            kept.body += heard[-1].get("body", b"")

        async def hear() -> Message:
            return heard.pop(0) if heard else await receive()

        async def tell(message: Message) -> None:
            kept.status = message.get("status", kept.status)
            kept.answer += message.get("body", b"")
            await send(message)

        await self.app(scope, hear, tell)


@dataclass
class Market:
    """The sandbox, a connector to it, and the clock of both."""

    clock: TestClock
    sandbox: MiraklSandbox
    url: str
    wire: Recorder

    def connector(self, **more: Any) -> MiraklConnector:
        settings = MiraklConnector.Settings(**{**self.sandbox.settings(self.url), **more})
        return MiraklConnector(settings, self.clock, CODES)

    def asked(self, path: str, method: str = "") -> list[Exchange]:
        return [e for e in self.wire.exchanges if e.path == path and e.method == (method or e.method)]


@contextmanager
def market(**more: Any) -> Iterator[Market]:
    clock = TestClock()
    sandbox = MiraklSandbox(clock, **more)
    wire = Recorder(sandbox.app)
    with Served(wire) as url:
        yield Market(clock, sandbox, url, wire)
    if published():
        for exchange in wire.exchanges:
            spec().check(exchange)


class Spec:
    """Mirakl's published OpenAPI of the seller API."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.paths = spec["paths"]
        self._registry = Registry().with_resource("urn:spec", Resource.from_contents(spec, default_specification=DRAFT202012))

    def operation(self, method: str, path: str) -> dict[str, Any]:
        parts = path.split("/")
        for known, operations in self.paths.items():
            against = known.split("/")
            fits = len(parts) == len(against) and all(a in {b, f"{{{a[1:-1]}}}"} for a, b in zip(against, parts, strict=True))
            if fits and method.lower() in operations:
                return operations[method.lower()]
        raise AssertionError(f"{method} {path} is not in the published API")

    def check(self, exchange: Exchange) -> str:
        """Holds both sides of an exchange against the schema; the operation's id."""
        operation = self.operation(exchange.method, exchange.path)
        names = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "query"} | PAGING
        assert {name for name, _ in exchange.query} <= names, operation["operationId"]
        wanted = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        if wanted is None:
            assert exchange.body == b"", operation["operationId"]
        else:
            self.valid(wanted, json.loads(exchange.body), operation["operationId"])
        if 0 < exchange.status < 400:  # 0: the connection was cut
            answers = operation["responses"]
            assert str(exchange.status) in answers, operation["operationId"]
            schema = answers[str(exchange.status)].get("content", {}).get("application/json", {}).get("schema")
            if schema is None:
                assert exchange.answer == b"", operation["operationId"]
            else:
                self.valid(schema, json.loads(exchange.answer), operation["operationId"])
        return str(operation["operationId"])

    def valid(self, schema: dict[str, Any], body: Any, what: str) -> None:
        placed = {"$ref": "urn:spec" + schema["$ref"]} if "$ref" in schema else {**schema, "$id": "urn:spec"}
        faults = [
            f"{what} {e.json_path}: {e.message}" for e in Draft202012Validator(placed, registry=self._registry).iter_errors(body)
        ]
        assert not faults, faults[:5]


@cache
def _read(path: str) -> Spec:
    return Spec(json.loads(shared(path).read_bytes()))


def published() -> bool:
    try:
        shared("mirakl/seller-openapi.json")
    except pytest.skip.Exception:
        return False
    return True


def spec() -> Spec:
    """Skips the test where the published API is not at hand."""
    shared("mirakl/seller-openapi.json")
    return _read("mirakl/seller-openapi.json")


def example(name: str) -> Any:
    return json.loads(shared(f"mirakl/examples/{name}.json").read_bytes())
