"""The service's HTTP endpoints under everything a generator of requests comes up with: no 5xx, and only what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from engine.run.web.webhooks import webhook_app
from tests.run.small import Client, client
from tests.run.test_webhooks import REAL


def _says(*statuses: int) -> dict[str, Any]:
    return {
        str(status): {"description": "what it is", "content": {"text/plain": {}, "application/json": {}}} for status in statuses
    }


def _named(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": {"type": "string"}}


ANYTHING = {"content": {"application/json": {"schema": {}}, "text/plain": {"schema": {"type": "string"}}}}
SIGNED = ("x-hmac-signature", "x-shopify-hmac-sha256", "x-shopify-topic", "webhook-id", "webhook-timestamp", "webhook-signature")
DELIVERY = {"requestBody": ANYTHING, "responses": _says(200, 400, 401, 403, 404, 408, 413, 415)}
HEADERS = [_named(name, "header") for name in SIGNED]
READY = {
    "type": "object",
    "properties": {"live": {"type": "boolean"}, "ready": {"type": "boolean"}},
    "required": ["live", "ready"],
}
OPENAPI: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "instep run", "version": "1"},
    "paths": {
        "/webhooks/{connector}": {
            "post": {**DELIVERY, "parameters": [_named("connector", "path"), _named("token", "query"), *HEADERS]}
        },
        "/webhooks/{connector}/{token}": {
            "post": {**DELIVERY, "parameters": [_named("connector", "path"), _named("token", "path"), *HEADERS]}
        },
        "/healthz": {
            "get": {
                "parameters": [_named("authorization", "header"), _named("host", "header")],
                "responses": {"200": {"description": "ready", "content": {"application/json": {"schema": READY}}}},
            }
        },
        "/metrics": {"get": {"parameters": [_named("authorization", "header")], "responses": _says(200, 401, 403)}},
    },
}
SCHEMA = schemathesis.openapi.from_dict(OPENAPI)


@pytest.fixture
def world(tmp_path: Path) -> Client:
    world = client(tmp_path / "a.db")
    for made, given_settings in REAL.values():
        connector = made(made.Settings.model_validate(given_settings), world.clock, {})
        world.service.connectors = {**world.service.connectors, connector.role: connector}
    return world


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_request_is_more_than_an_endpoint_can_bear(world: Client, method: str) -> None:
    SCHEMA.app = webhook_app(world.service)
    operations = [found.ok() for found in SCHEMA.get_all_operations() if found.ok().method.upper() == method]
    cases = st.one_of([operation.as_strategy() for operation in operations])
    names = st.sampled_from([*REAL, "shop", "nobody"])

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=cases, name=names, real=st.booleans())
    def ask(case: Any, name: str, *, real: bool) -> None:
        if real and "connector" in (case.path_parameters or {}):
            case.path_parameters["connector"] = name
        before = world.store.journal.behind()
        answer = case.call()
        assert answer.status_code < 500
        case.validate_response(answer, checks=[status_code_conformance, response_schema_conformance])
        assert answer.status_code == 200 or world.store.journal.behind() == before

    ask()
