"""What a case remembers between passes: clocks, exceptions, answers, snoozes, undecided facts and effects.

State never lives in a rule set: it is keyed here by (rule id, item) and survives every change of the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, Self

from engine.facts.effects import EffectState
from engine.facts.values import Money

RuleItem = tuple[str, str]  # (rule id, item); the item of a rule without `each` is ""


@dataclass(frozen=True, slots=True)
class HoldClock:
    """The `for` clock of one rule and item. Runs while `since` is set, pauses while it is not."""

    ran: timedelta
    since: datetime | None
    meaning: str

    def elapsed(self, now: datetime) -> timedelta:
        return self.ran + (now - self.since if self.since is not None and now > self.since else timedelta())


@dataclass(frozen=True, slots=True)
class ExceptionState:
    """Something a person must look at. Its identity is (rule, item, about); `key` says it in one text.

    `facts` are the facts it is about where the engine opened it for want of them, `rules` the rules it stands for.
    """

    key: str
    rule: str
    item: str
    about: str
    owner: str
    severity: str
    title: str
    opened_at: datetime
    runbook: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    state: Literal["open", "snoozed"] = "open"
    until: datetime | None = None
    facts: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    snooze: timedelta = timedelta(hours=48)
    mode: Literal["live", "shadow"] = "live"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person decided about one exception."""

    answer: str
    about: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Occurrence:
    """How often a repeatable subject came, and whether the rules still ask for it."""

    count: int
    asked: bool
    times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it, for one case. Frozen: every change makes a new one."""

    clocks: Mapping[RuleItem, HoldClock] = field(default_factory=dict)
    exceptions: Mapping[str, ExceptionState] = field(default_factory=dict)
    answers: Mapping[RuleItem, Answer] = field(default_factory=dict)
    undecided: Mapping[RuleItem, datetime] = field(default_factory=dict)
    occurrences: Mapping[str, Occurrence] = field(default_factory=dict)
    effects: tuple[EffectState, ...] = ()

    def effect(self, key: str) -> EffectState | None:
        return next((e for e in self.effects if e.key == key), None)

    def with_effect(self, effect: EffectState) -> Memory:
        """The memory with this effect in place of the one of its key."""
        others = tuple(e for e in self.effects if e.key != effect.key)
        return replace(self, effects=tuple(sorted((*others, effect), key=lambda e: e.key)))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, sorted, so that equal memories are equal text."""
        return {
            "clocks": {_join(k): plain(asdict(v)) for k, v in sorted(self.clocks.items())},
            "exceptions": {k: plain(asdict(v)) for k, v in sorted(self.exceptions.items())},
            "answers": {_join(k): plain(asdict(v)) for k, v in sorted(self.answers.items())},
            "undecided": {_join(k): plain(v) for k, v in sorted(self.undecided.items())},
            "occurrences": {k: plain(asdict(v)) for k, v in sorted(self.occurrences.items())},
            "effects": [effect_to_json(e) for e in self.effects],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The memory that `to_json` wrote. Raises ValueError where it is not one, naming the entry."""
        try:
            return cls(
                clocks={_split(k): _clock(v) for k, v in data.get("clocks", {}).items()},
                exceptions={k: _exception(v) for k, v in data.get("exceptions", {}).items()},
                answers={
                    _split(k): Answer(v["answer"], v["about"], _time(v["at"]), v["by"])
                    for k, v in data.get("answers", {}).items()
                },
                undecided={_split(k): _time(v) for k, v in data.get("undecided", {}).items()},
                occurrences={
                    k: Occurrence(v["count"], v["asked"], tuple(_time(t) for t in v["times"]))
                    for k, v in data.get("occurrences", {}).items()
                },
                effects=tuple(sorted((effect_from_json(e) for e in data.get("effects", [])), key=lambda e: e.key)),
            )
        except (KeyError, TypeError, AttributeError, ArithmeticError) as fault:
            raise ValueError(f"memory: not what `to_json` writes ({type(fault).__name__}: {fault})") from fault


def effect_to_json(effect: EffectState) -> dict[str, Any]:
    """Plain JSON values of an effect; amounts as text."""
    return {f.name: plain(getattr(effect, f.name)) for f in fields(effect)}


def effect_from_json(data: Mapping[str, Any]) -> EffectState:
    times = ("planned_at", "sent_at", "settled_at", "not_before", "turn_at")
    kept = {k: v for k, v in data.items() if k not in times}
    kept["units"] = tuple(kept["units"])
    kept["claims"] = tuple((unit, claimant) for unit, claimant in kept["claims"])
    kept["params"] = revived(kept["params"])
    kept["receipt"] = revived(kept.get("receipt", {}))
    return EffectState(**kept, **{k: _time(data[k]) if data.get(k) else None for k in times})  # type: ignore[arg-type]


def _join(key: RuleItem) -> str:
    return f"{key[0]}|{key[1]}"


def _split(text: str) -> RuleItem:
    rule, _, item = text.partition("|")
    return rule, item


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"memory: {text} has no time zone")
    return moment


def _clock(data: Mapping[str, Any]) -> HoldClock:
    since = data["since"]
    return HoldClock(timedelta(microseconds=data["ran"]), _time(since) if since else None, data["meaning"])


def _exception(data: Mapping[str, Any]) -> ExceptionState:
    return ExceptionState(
        **{
            **data,
            "opened_at": _time(data["opened_at"]),
            "until": _time(data["until"]) if data.get("until") else None,
            "snooze": timedelta(microseconds=data.get("snooze", 172_800_000_000)),
            "facts": tuple(data.get("facts", ())),
            "rules": tuple(data.get("rules", ())),
            "places": tuple(data.get("places", ())),
        }
    )


def plain(value: Any) -> Any:
    """Plain JSON values: amounts as text, durations as whole microseconds."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)  # exact
    if isinstance(value, Money):
        return {"amount": f"{value.amount:f}", "currency": value.currency}
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else f"{value:f}"
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def revived(value: Any) -> Any:
    """Parameters read back: an object of just an amount and a currency is money, lists are tuples."""
    if isinstance(value, Mapping):
        if value.keys() == {"amount", "currency"}:
            return Money(Decimal(value["amount"]), value["currency"])
        return {k: revived(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return tuple(revived(v) for v in value)
    return value
