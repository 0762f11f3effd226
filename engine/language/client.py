"""One client: what it extends, which connectors it has, its parameters. Read from `rules/clients/<client>/client.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from engine.facts.budget import Limit
from engine.facts.codec import describe, timestamp
from engine.facts.outside import ROLES, Role
from engine.language.batches import BATCH_EXAMPLES, BATCH_PATTERN, parse_batch
from engine.language.budgets import check_budget, limits_of
from engine.language.calendars import zone_named
from engine.language.durations import PATTERN, parse_duration
from engine.language.node import Node
from engine.problems import Place, Problems, did_you_mean

SHORTEST_RETENTION = timedelta(days=30)
SIDE_BY_SIDE = 4
_NAME = re.compile(r"[a-z][a-z0-9_-]*")


def _named(value: Any) -> Any:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        raise ValueError(f'"{value}" is not a name: lower-case letters, digits, - and _, first a letter')
    return value


def _zone(value: Any) -> Any:
    if isinstance(value, str):
        zone_named(value)
    return value


def _batch(value: Any) -> Any:
    if isinstance(value, str):
        parse_batch(value)
    return value


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"a duration like 12h is wanted, not {describe(value)}")  # noqa: TRY004 - pydantic wants it
    length = parse_duration(value)
    if not length:
        raise ValueError("what may wait no time at all needs no batch")
    return length


def _kept_for(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"a duration like 400d is wanted, not {describe(value)}")  # noqa: TRY004 - pydantic wants it
    length = parse_duration(value)
    if length < SHORTEST_RETENTION:
        raise ValueError(f'"{value}" is shorter than 30d: returns of that age still come back')
    return length


def _instant(value: Any) -> Any:
    """An instant, or a date, which `decided_since` puts into the client's time zone."""
    if not isinstance(value, str):
        raise ValueError(f"a date like 2026-11-01 is wanted, not {describe(value)}")  # noqa: TRY004 - pydantic wants it
    try:
        return date.fromisoformat(value)
    except ValueError:
        return timestamp(value)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConnectorUse(BaseModel):
    """Which connector fills a role. Everything but `use`, `budget` and `side_by_side` is the connector's own, and checked by its
    `Settings`. `side_by_side` is how many cases are sent to it at the same time.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    use: str
    side_by_side: int = Field(default=SIDE_BY_SIDE, ge=1, le=100)

    @property
    def settings(self) -> dict[str, Any]:
        """All that is written beside `use`."""
        return dict(self.model_extra or {})

    @property
    def own_settings(self) -> dict[str, Any]:
        return {name: value for name, value in self.settings.items() if name != BUDGET}

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The client's own limits. Raises ValueError for a budget that has not been checked."""
        return limits_of(self.settings.get(BUDGET, {}))


CONNECTOR_KEYS = MappingProxyType(
    {
        "use": "The connector's name, as in mappings/<name>",
        "budget": "How often it may ask, by operation, in the place of what the connector knows",
        "side_by_side": "How many cases are sent to it at the same time; of one case, one effect after another",
    }
)
BUDGET = "budget"


class Cadence(Strict):
    """When effects of an action go out, if not at once. `calendar` says which days are meant by "working days"."""

    batch: Annotated[str, BeforeValidator(_batch)] = Field(
        description="When they are sent, in the client's time zone", pattern=BATCH_PATTERN, examples=list(BATCH_EXAMPLES)
    )
    not_later: Annotated[timedelta | None, BeforeValidator(_duration), WithJsonSchema({"type": "string", "pattern": PATTERN})] = (
        Field(default=None, description="The longest one waits for its batch: after that it is sent by itself")
    )
    calendar: str = Field(default="", description="The calendar whose working days a batch of working days means")


class Retention(Strict):
    """How long what is no longer needed is kept in the store. It leaves it only into a file, with `instep events prune`."""

    payloads: Annotated[timedelta, BeforeValidator(_kept_for), WithJsonSchema({"type": "string", "pattern": PATTERN})] = Field(
        description="How long payloads of closed cases are kept, at least 30d, such as 400d", examples=["400d"]
    )


class SecretName(Strict):
    """The name of a secret, `{secret: NAME}`; its value never stands in a file."""

    secret: str = Field(min_length=1, description="Its name in the environment or a .env file")


class ClientConfig(Strict):
    """`client.yaml`. Secrets in it are still only named; see `resolve_secrets`."""

    client: Annotated[str, BeforeValidator(_named)] = Field(description="Its name, the same as that of its folder")
    extends: list[str] = Field(
        default_factory=lambda: ["base"], description="The packs of rules it is built on, read in this order; base unless said"
    )
    time_zone: Annotated[str, BeforeValidator(_zone)] = Field(
        default="UTC", description="Where its days and batches are counted, such as Europe/London", examples=["Europe/London"]
    )
    connectors: dict[Role, ConnectorUse] = Field(default_factory=dict, description="Which connector fills each role")
    calendars: dict[str, Any] = Field(  # see `read_calendars`
        default_factory=dict, description="Working days and hours by name, counted by add_working and working_days_between"
    )
    params: dict[str, Any] = Field(default_factory=dict, description="The parameters of its packs that it sets")
    cadence: dict[str, Cadence] = Field(default_factory=dict, description="What goes out in batches; all else at once")
    since: Annotated[date | datetime | None, BeforeValidator(_instant)] = Field(
        default=None, description="Going live: cases opened earlier are decided and shown, but nothing is sent for them"
    )
    mode: Literal["live", "shadow"] = Field(default="live", description="live, or shadow: decide and record, send nothing")
    codes: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Our words and this operator's codes, over those in mappings/<connector>/codes.yaml"
    )
    retention: Retention | None = Field(
        default=None,
        description="How long payloads are kept, else for ever. They leave into a file, by instep events prune",
    )
    status_token: SecretName | None = Field(
        default=None,
        description="Who sends it as a bearer token sees /healthz whole and /metrics; without it, who asks from this machine",
    )
    max_new_effects: int = Field(
        default=20, ge=0, description="A changed rule set that would at once send more than this waits for instep rules activate"
    )

    @property
    def decided_since(self) -> datetime | None:
        """Cases opened before this are decided and shown, but nothing is sent for them."""
        if self.since is None or isinstance(self.since, datetime):
            return self.since
        return datetime.combine(self.since, time(), ZoneInfo(self.time_zone))


def read_client(node: Node, problems: Problems) -> ClientConfig | None:
    """The client a file describes; None with located problems where it does not fit."""
    if not node.expect_map(problems, "client.yaml"):
        return None
    wrong = _wrong_budgets(node)
    problems.extend(wrong)
    try:
        config = ClientConfig.model_validate(node.plain())
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            place, code, message = _located(node, fault)
            problems.add(place, code, message)
        return None
    return None if wrong else config


def _wrong_budgets(node: Node) -> Problems:
    problems = Problems()
    for role, _, use in (node.get("connectors") or node).items():
        budget, name = use.get(BUDGET), use.get("use")
        if role in ROLES and budget is not None:
            check_budget(budget, name.text if name is not None else "", f"connectors.{role}", problems)
    return problems


def node_at(node: Node, keys: Sequence[str | int]) -> Node:
    """The node these keys lead to, or the nearest above it."""
    for key in keys:
        below = node.elements[key] if isinstance(key, int) and key < len(node.elements) else node.get(str(key))
        if below is None:
            return node
        node = below
    return node


def _located(node: Node, fault: ErrorDetails) -> tuple[Place, str, str]:
    """A fault of pydantic in the words and at the place of the author."""
    keys = [key for key in fault["loc"] if key != "[key]"]
    path = ".".join(map(str, keys)) or "client.yaml"
    there = node_at(node, keys)
    match fault["type"]:
        case "missing":
            return there.place, "missing-key", f'{".".join(map(str, keys[:-1])) or "client.yaml"} needs the key "{keys[-1]}"'
        case "extra_forbidden":
            holder = node_at(node, keys[:-1])
            known = _known_keys(keys[:-1])
            name = str(keys[-1])
            return holder.key_place(name), "unknown-key", f'client.yaml has no key "{name}" here{did_you_mean(name, known)}'
        case "literal_error" if "[key]" in fault["loc"]:
            role = str(keys[-1])
            holder = node_at(node, keys[:-1])
            return holder.key_place(role), "unknown-word", f'"{role}" is not a role{did_you_mean(role, ROLES)}'
        case "literal_error":
            return there.place, "unknown-word", f"{path} is {fault['ctx']['expected']}, not {describe(fault['input'])}"
        case "value_error":
            return there.place, "bad-value", f"{path}: {fault['ctx']['error']}"
    if fault["type"] == "greater_than_equal":
        return there.place, "bad-value", f"{path} must be at least {fault['ctx']['ge']}, not {describe(fault['input'])}"
    wanted = _WANTED.get(fault["type"])
    if wanted is None:
        return there.place, "bad-value", f"{path}: {fault['msg']}"
    quote = ": write it in quotes" if wanted == "text" and there.kind == "scalar" and not there.is_null else ""
    return there.place, "wrong-shape", f"{path} must be {wanted}, not {there.described()}{quote}"


def _known_keys(holder: Sequence[str | int]) -> Mapping[str, Any]:
    inner: dict[str, type[Strict]] = {"cadence": Cadence, "retention": Retention}
    return inner.get(str(holder[0]), ClientConfig).model_fields if holder else ClientConfig.model_fields


_WANTED: Mapping[str, str] = {
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "int_type": "a whole number",
    "bool_type": "true or false",
}
