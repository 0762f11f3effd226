"""What the engine and a connector say to each other. Connectors import this; the engine finds them by entry point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from engine.facts.schema import Type

Role = Literal["marketplace", "returns", "store", "carrier", "warehouse", "finance"]
ROLES: tuple[Role, ...] = ("marketplace", "returns", "store", "carrier", "warehouse", "finance")
Clock = Callable[[], datetime]
Codes = Mapping[str, Mapping[str, str]]  # "marketplace.refund.reason" -> our word -> their code


@dataclass(frozen=True, slots=True)
class Event:
    """One observation of the outside. `payload` is the JSON as it came.

    `observed_at` is when the request that brought it was sent, or when a pushed delivery arrived. `requested` tells the two
    apart. `about` names the thing where the payload does not. `delivery` is the sender's own id of the delivery.
    """

    connector: str
    kind: str
    payload: bytes = field(repr=False)  # it may hold what is personal, and nothing prints it by accident
    observed_at: datetime
    requested: bool
    about: str = ""
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Ref:
    """Something that can be fetched: `returngo.rma` with key `1001`."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class Hint:
    """Word that something changed, without what: it is fetched."""

    connector: str
    ref: Ref
    delivery: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A step of a poll: what it brought, and the cursor to store with it."""

    cursor: str
    events: tuple[Event, ...] = ()
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """A delivery, before anything is believed of it. Header names are lower case. A token may stand in the query, so it does not
    show itself.
    """

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    query: Mapping[str, str] = field(repr=False)
    received_at: datetime


REJECTED: Mapping[int, str] = MappingProxyType({401: "bad_signature", 403: "not_ours", 404: "not_expected"})


class Rejected(Exception):  # noqa: N818
    """A delivery that is answered with a 4xx: bad signature, not JSON, not the shape it claims.

    `reason` is said to the sender; `kind` is the word such deliveries are counted by, as `bad_signature`.
    """

    def __init__(self, status: int, reason: str, kind: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.kind = kind or REJECTED.get(status, "not_understood")


@dataclass(frozen=True, slots=True)
class Feed:
    """Something to poll. `every` is as often as the outside allows."""

    name: str
    every: timedelta
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an action."""

    type: Type
    doc: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Action:
    """What rules can ask of a role.

    `subject` names the parameters that tell what it settles; `("units",)` means order-line units, claimed one by one against
    every other action whose subject is units. `sets` names the parameter that is the wanted value of a status: two values
    for one subject are a conflict. `once` actions are never repeated for a subject; others may come again when their rule
    holds anew. `quiet` is how long evidence may take to show before an unsure effect is performed once more. `coded` is what
    is sent in the outside's own codes, with what those are: a parameter, or something within one, as the SKUs of a shipment.
    `passes` are refusals that pass by themselves, by reason, and how long after one it is tried again.
    """

    name: str
    params: Mapping[str, Param]
    subject: tuple[str, ...]
    doc: str
    once: bool = True
    sets: str = ""
    quiet: timedelta = timedelta(minutes=20)
    coded: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    passes: Mapping[str, timedelta] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Order:
    """An effect as a connector is asked to perform it. `params` holds canonical values: `Money`, text, numbers, tuples and
    mappings of them. For refunds and cancellations see `engine.facts.refunds.payload`.
    """

    key: str
    action: str
    subject: str
    units: tuple[str, ...]
    params: Mapping[str, Any]
    attempt: int
    planned_at: datetime
    sent_at: datetime | None = None  # when it was last sent, if it ever was


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that an effect took place: the ids the outside gave it, and what to look at next."""

    reference: str
    details: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a look-up found for one effect. `done` is None where the facts of `events` must tell (refunds, cancellations)."""

    key: str
    done: bool | None
    receipt: Receipt | None = None
    events: tuple[Event, ...] = ()


class TryLater(Exception):  # noqa: N818
    """Not now: 429, 5xx before anything was done, a budget that is spent. `after` is a wish of the outside; `for_all` says
    that it holds for whatever else we would ask of it, as where we ask too much (429).
    """

    def __init__(self, reason: str, after: timedelta | None = None, *, for_all: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.for_all = for_all


class Refused(Exception):  # noqa: N818
    """A final no. `reason` is a stable word rules can read, `detail` the outside's own text. `units` where it names some."""

    def __init__(self, reason: str, detail: str = "", units: Sequence[str] = ()) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.units = tuple(units)


class Unsure(Exception):  # noqa: N818
    """It may have happened: a time-out, a lost connection, a half answer."""


class Connector(Protocol):
    """One outside system. Built as `SomeConnector(settings, clock, codes)`, where `settings` is checked by its pydantic
    model `Settings` and holds secrets already resolved. May be used from one event loop at a time. One that may ask only so
    often also says how often: see `engine.facts.budget.Limited`.
    """

    name: ClassVar[str]
    role: ClassVar[Role]
    Settings: ClassVar[type[Any]]
    actions: ClassVar[Mapping[str, Action]]
    feeds: ClassVar[Mapping[str, Feed]]

    def __init__(self, settings: Any, clock: Clock, codes: Codes) -> None: ...

    def observe(self, feed: str, cursor: str) -> AsyncIterator[Page]:
        """Poll one feed from `cursor` ("" the first time). Raises `TryLater`."""
        ...

    def receive(self, request: WebhookRequest) -> Sequence[Event | Hint]:
        """A verified delivery. Raises `Rejected`. Called from another thread than the rest: it uses the request and the
        settings, and nothing that changes.
        """
        ...

    async def fetch(self, ref: Ref) -> Sequence[Event]:
        """The current state of one thing, empty if it is gone. Raises `TryLater`."""
        ...

    async def look_up(self, orders: Sequence[Order]) -> Sequence[Evidence]:
        """What has become of these, asked now. Raises `TryLater`."""
        ...

    async def perform(self, order: Order) -> Receipt:
        """Do it. Raises `TryLater`, `Refused` or `Unsure`."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class SendsTogether(Protocol):
    """A connector that can make one posting, file or call of a whole batch."""

    async def perform_many(self, orders: Sequence[Order]) -> Sequence[Receipt]:
        """All of them, with a receipt for each in their order. Raises as `perform` does, and then none has taken place
        (`TryLater`, `Refused`) or all may have (`Unsure`).
        """
        ...


@dataclass(frozen=True, slots=True)
class ValidCode:
    """A code the outside knows for a parameter. `ours` tells whether it lets us use it."""

    code: str
    label: str
    ours: bool = True


@runtime_checkable
class OffersCodes(Protocol):
    """A connector that can say which codes the outside takes."""

    async def valid_codes(self) -> Mapping[str, Sequence[ValidCode]]:
        """The codes of each parameter it speaks of, named like `refund.reason`. Raises `TryLater`."""
        ...


def installed_connectors() -> dict[str, type[Connector]]:
    """Every connector by its name, from the entry points `instep.connectors`."""
    return {point.name: point.load() for point in entry_points(group="instep.connectors")}


def installed_actions() -> dict[str, Action]:
    """Every action of the installed connectors, as `role.action`."""
    return {f"{c.role}.{name}": action for c in installed_connectors().values() for name, action in c.actions.items()}
