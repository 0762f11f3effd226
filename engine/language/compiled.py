"""What rules, derived facts and promises compile to: immutable, and all that deciding needs to know of the YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from engine.facts.outside import Action
from engine.facts.schema import Type
from engine.problems import Place

Env = Mapping[str, Any]  # names an expression can see: `order`, `rma`, `params`, `answer`, plurals, ...
Truth = bool | None  # None is unknown
Mode = Literal["live", "shadow", "off"]
Severity = Literal["low", "medium", "high", "critical"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Why an expression came out as it did, from walking its tree once more.

    `blame` names the facts that are missing or unreadable (`rma:1001.status`) when the outcome is unknown. `values` are the
    facts read and what they held, as text for people. `reason` is set where no fact is to blame, such as a spent budget.
    """

    truth: Truth
    value: Any
    blame: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked, compiled expression.

    `value(env)` gives a value, `None` (missing), `UNKNOWN`, `Unreadable`, or `Items` with sure and unsure items.
    `true(env)` and `false(env)` are the two forms of it as a condition: both false means unknown. None of them raises.
    `reads` are the facts it can touch as `kind.field`, plus bare kinds whose coming and going it depends on.
    """

    text: str
    place: Place
    type: Type
    reads: frozenset[str]
    value: Callable[[Env], Any]
    true: Callable[[Env], bool]
    false: Callable[[Env], bool]
    explain: Callable[[Env], Finding]
    constant: bool = False

    def truth(self, env: Env) -> Truth:
        if self.true(env):
            return True
        return False if self.false(env) else None


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `when`. A leaf has an expression; `all`, `any` and `none` have parts. `path` is like `when/2/any/1`."""

    kind: Literal["is", "all", "any", "none"]
    path: str
    place: Place
    expression: Expression | None = None
    parts: tuple[Condition, ...] = ()
    label: str = ""
    _leaves: tuple[tuple[Callable[[Env], bool], Callable[[Env], bool]], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Most conditions are a list of expressions that must all hold, and most of those are false at the first."""
        parts = (self,) if self.expression is not None else self.parts if self.kind == "all" else ()
        expressions = [part.expression for part in parts if part.expression is not None]
        plain = len(expressions) == len(parts)
        object.__setattr__(self, "_leaves", tuple((e.false, e.true) for e in expressions) if plain else ())

    def truth(self, env: Env) -> Truth:
        """Kleene's outcome: `all` is false with one false part, `any` true with one true part, `none` the opposite of `any`."""
        if self._leaves:
            unknown = False
            for false, true in self._leaves:
                if false(env):
                    return False
                unknown = unknown or not true(env)
            return None if unknown else True
        decisive = self.kind != "all"
        unknown = False
        for part in self.parts:
            outcome = part.truth(env)
            if outcome is decisive:
                return self.kind == "any"
            unknown = unknown or outcome is None
        return None if unknown else self.kind != "any"

    def true(self, env: Env) -> bool:
        return self.truth(env) is True

    def false(self, env: Env) -> bool:
        return self.truth(env) is False


@dataclass(frozen=True, slots=True)
class Template:
    """Text with `{expression}` in it."""

    parts: tuple[str | Expression, ...]

    def render(self, env: Env) -> str:
        from engine.language.show import show  # noqa: PLC0415 - rendering is for people, not for deciding

        return "".join(p if isinstance(p, str) else show(p.value(env)) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Each:
    """What a rule is evaluated for: every record of `kind`, or every item at `path` below one, bound to `name`."""

    name: str
    kind: str
    path: tuple[str, ...] = ()
    item_kind: str = ""  # kind of what is bound


@dataclass(frozen=True, slots=True)
class ActionUse:
    """`then: - marketplace.refund: {units: ...}`. A text parameter is a `Template`, every other an `Expression`."""

    action: str
    spec: Action
    params: Mapping[str, Expression | Template]
    place: Place


@dataclass(frozen=True, slots=True)
class Forbid:
    """`forbid:` with its scope. Without `units` it binds its item, or without `each` the whole case."""

    actions: tuple[str, ...]
    because: Template
    place: Place
    units: Expression | None = None
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Raise:
    """`raise:`. `answers` are what a person may decide, by name."""

    owner: str
    severity: Severity
    title: Template
    place: Place
    runbook: Template | None = None
    about: Expression | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    snooze: timedelta = timedelta(hours=48)
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class AtMost:
    """`at_most: 1 per 24h`: so many effects of a rule and item in any stretch of this length."""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Rule:
    """One compiled rule. `rank` is its group's place in the precedence, 0 the highest. `meaning` changes only when `each`,
    `when` or `for` change in meaning. `origins` is every place it came from: its definition, then each override.
    """

    id: str
    group: str
    rank: int
    when: Condition
    place: Place
    title: str = ""
    doc: str = ""
    owner: str = ""
    runbook: str = ""
    each: Each | None = None
    hold_for: Expression | None = None
    after: Expression | None = None
    actions: tuple[ActionUse, ...] = ()
    forbids: tuple[Forbid, ...] = ()
    raises: tuple[Raise, ...] = ()
    undecided_after: timedelta = timedelta(hours=24)
    mode: Mode = "live"
    at_most: AtMost | None = None
    was: str = ""
    meaning: str = ""
    reads: frozenset[str] = frozenset()
    origins: tuple[Place, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """`origins` as text, for what names the rule to people."""
        return tuple(str(place) for place in self.origins or (self.place,))


@dataclass(frozen=True, slots=True)
class DerivedFact:
    """`facts: {rma.scanned_at: ...}`: one more field of a kind, in an order in which each is computed from the ones before."""

    kind: str
    name: str
    type: Type
    expression: Expression
    doc: str
    place: Place
    origins: tuple[Place, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, slots=True)
class PromiseSpec:
    """A statement about every case at every moment. Either `never`, or `must` by the instant `by`.

    `must_owned` names the actions in `... or owned(action)`.
    """

    id: str
    place: Place
    each: Each | None = None
    when: Expression | None = None
    never: Expression | None = None
    by: Expression | None = None
    must: Expression | None = None
    must_owned: tuple[str, ...] = ()
    doc: str = ""
    origins: tuple[Place, ...] = ()
