"""Reads what a scenario expects: actions, vetoes, exceptions, outcomes and facts, in the words of the rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, get_args

from engine.decide.attention import BUILT_IN
from engine.decide.match import about_text
from engine.facts.schema import MONEY, Type
from engine.language.compiled import Severity
from engine.language.node import Node
from engine.language.ruleset import RuleSet
from engine.language.scenario_forms import EFFECT, EXPECTED, EXPECTED_EXCEPTION, EXPECTED_VETO, MADE_UP
from engine.problems import Place, Problems, did_you_mean
from engine.simulate.given import Reader
from engine.simulate.scenario import (
    EffectMatch,
    ExceptionMatch,
    Expected,
    FactMatch,
    Match,
    OutcomeMatch,
    Status,
    VetoMatch,
)

NOTHING = "nothing"
_WORDS = tuple(EXPECTED.keys)
_ABOUT_EFFECTS = tuple(EFFECT.keys)
_MADE_UP: Mapping[str, Type] = {name: param.type for name, param in MADE_UP.items()}
_LISTS = ("about", "answers", "facts")
_STATUSES: tuple[Status, ...] = get_args(Status)
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


class MatchReader:
    """Reads what is expected of decisions under one rule set, collecting problems."""

    def __init__(self, rule_set: RuleSet, reader: Reader) -> None:
        self.rule_set = rule_set
        self.reader = reader
        self.problems: Problems = reader.problems

    def expected(self, node: Node) -> Expected:
        """One block of `then`: `nothing`, an entry, or a list of entries."""
        wanted: list[Match] = []
        unwanted: list[Match] = []
        exact = nothing = False
        before = len(self.problems)
        for key, place, below in self._entries(node):
            match key:
                case "exact" if below is not None:
                    exact = bool(below.expect_boolean(self.problems, '"exact"'))
                case "nothing":
                    nothing = True
                case "not" if below is not None:
                    unwanted.extend(self.matches(below))
                case "closed" if below is not None:
                    unwanted.extend(m for rule in self._named(below) for m in self._closed(rule))
                case _:
                    wanted.extend(self._match(key, place, below))
        if not (wanted or unwanted or nothing or exact) and len(self.problems) == before:
            self.problems.add(node.place, "nothing-expected", "nothing is expected here: name what is, or say nothing")
        return Expected(node.place, tuple(wanted), tuple(unwanted), exact, nothing)

    def matches(self, node: Node) -> tuple[Match, ...]:
        """Entries of `not` and `never`."""
        return tuple(m for key, place, below in self._entries(node) for m in self._match(key, place, below))

    def effects(self, node: Node) -> Iterator[EffectMatch]:
        """Effects as they are named where something becomes of them: an action, an action with units, or a list."""
        for key, place, below in self._entries(node):
            match = self.effect(key, place, below)
            if match is not None:
                yield match

    def _entries(self, node: Node) -> Iterator[tuple[str, Place, Node | None]]:
        if node.kind == "map":
            yield from node.items()
        elif node.kind == "list":
            for element in node.elements:
                yield from self._entries(element)
        else:
            text = node.expect_text(self.problems, "what is expected")
            if text is not None:
                yield text, node.place, None

    def _match(self, key: str, place: Place, node: Node | None) -> Iterable[Match]:
        if node is None and key in {"forbid", "raise", "effect", "fact"}:
            self.problems.add(place, "wrong-shape", f"{key}: say which, as in {_EXAMPLES[key]}")
            return ()
        match key, node:
            case "raise", Node():
                return [m for at in self._named(node) for m in self._exception(*at)]
            case "forbid", Node():
                return [m for name, at, below in self._entries(node) for m in self._veto(name, at, below)]
            case "effect", Node():
                return [m for name, at, below in self._entries(node) for m in self._outcome(name, at, below)]
            case "fact", Node():
                return [m for name, at, below in self._entries(node) for m in self._facts(name, at, below)]
        found = self.effect(key, place, node)
        return () if found is None else (found,)

    def action(self, name: str, place: Place, more: Iterable[str] = ()) -> bool:
        """Whether there is such an action."""
        if name in self.rule_set.actions:
            return True
        said = f'there is no action "{name}"{did_you_mean(name, [*self.rule_set.actions, *more])}'
        self.problems.add(place, "unknown-action", said)
        return False

    def effect(self, action: str, place: Place, node: Node | None) -> EffectMatch | None:
        """`marketplace.refund`, `marketplace.refund: A-1#1`, or with its parameters by name."""
        if not self.action(action, place, _WORDS):
            return None
        units: frozenset[str] | None = None
        params: dict[str, Any] = {}
        rule = item = ""
        for name, at, below in self._parameters(action, node):
            if name == "rule":
                rule = self.rule(below) or ""
            elif name == "for":
                item = below.expect_text(self.problems, '"for"') or ""
            elif name == "units":
                units = self.texts(below, "units")
            elif name == "taxes":
                params[name] = self._taxes(below)
            else:
                wanted = self._parameter(action, name, at)
                if wanted is not None:
                    params[name] = below.text if wanted.name == "record" else self.reader.scalar(name, wanted, below)
        return EffectMatch(action, place, units, params, rule, item)

    def _parameters(self, action: str, node: Node | None) -> Iterator[tuple[str, Place, Node]]:
        if node is None:
            return
        if node.kind == "map":
            yield from node.items()
        else:
            yield self.rule_set.actions[action].subject[0], node.place, node

    def _parameter(self, action: str, name: str, place: Place) -> Type | None:
        spec = self.rule_set.actions[action]
        known = {name: param.type for name, param in spec.params.items()}
        if spec.subject == ("units",):
            known = {**_MADE_UP, **known}
        if name not in known:
            names = [*known, *_ABOUT_EFFECTS, *(("taxes",) if spec.subject == ("units",) else ())]
            self.problems.add(place, "unknown-parameter", f"{action} has no parameter {name}{did_you_mean(name, names)}")
        return known.get(name)

    def _taxes(self, node: Node) -> dict[str, Any]:
        if not node.expect_map(self.problems, '"taxes"'):
            return {}
        return {code: self.reader.scalar(code, MONEY, below) for code, _, below in node.items()}

    def texts(self, node: Node, what: str) -> frozenset[str]:
        """One text, or a list of them. Numbers are read as they are written."""
        nodes = node.elements if node.kind == "list" else (node,)
        plain = [each for each in nodes if each.kind == "scalar" and not each.is_null]
        for each in nodes:
            if each not in plain:
                each.expect_text(self.problems, what)
        return frozenset(each.text for each in plain)

    def rule(self, node: Node) -> str | None:
        """The id of a rule of this set."""
        text = node.expect_text(self.problems, "a rule")
        if text is not None and self.rule_set.rule(text) is None:
            said = f'there is no rule "{text}"{did_you_mean(text, [r.id for r in self.rule_set.rules])}'
            self.problems.add(node.place, "unknown-rule", said)
            return None
        return text

    def _named(self, node: Node) -> Iterator[tuple[str, Place, Node | None]]:
        """Rules whose exceptions are meant; also those the engine raises by itself."""
        ids = [rule.id for rule in self.rule_set.rules if rule.raises]
        for name, place, below in self._entries(node):
            if name in ids or name in BUILT_IN:
                yield name, place, below
            elif self.rule_set.rule(name) is not None:
                self.problems.add(place, "unknown-rule", f'the rule "{name}" raises nothing')
            else:
                said = f'no rule "{name}" raises anything{did_you_mean(name, [*ids, *BUILT_IN])}'
                self.problems.add(place, "unknown-rule", said)

    def _closed(self, at: tuple[str, Place, Node | None]) -> Iterator[ExceptionMatch]:
        for state in ("open", "snoozed"):
            for match in self._exception(*at):
                yield ExceptionMatch(match.rule, match.place, item=match.item, about=match.about, state=_state(state))

    def _exception(self, rule: str, place: Place, node: Node | None) -> Iterable[ExceptionMatch]:
        if node is None:
            return (ExceptionMatch(rule, place),)
        if not node.expect_form(self.problems, f"the exception of {rule}", EXPECTED_EXCEPTION):
            return ()
        texts = {k: n.expect_text(self.problems, f'"{k}"') for k, _, n in node.items() if k not in _LISTS}
        severity, state = node.get("severity"), node.get("state")
        if severity is not None:
            severity.expect_one_of(self.problems, "a severity", _SEVERITIES)
        if state is not None:
            state.expect_one_of(self.problems, "the state of an exception", ("open", "snoozed"))
        listed = {k: self.texts(n, f'"{k}"') for k, _, n in node.items() if k in _LISTS}
        found = ExceptionMatch(
            rule,
            place,
            owner=texts.get("owner"),
            severity=texts.get("severity"),
            title=texts.get("title"),
            about=frozenset(map(_normal, listed["about"])) if "about" in listed else None,
            item=texts.get("for"),
            answers=listed.get("answers"),
            facts=listed.get("facts"),
            state=_state(texts.get("state") or "open"),
        )
        return (found,)

    def _veto(self, action: str, place: Place, node: Node | None) -> Iterable[VetoMatch]:
        if not self.action(action, place):
            return ()
        if node is None:
            return (VetoMatch(action, place),)
        if node.kind != "map":
            return (VetoMatch(action, place, self.texts(node, "units")),)
        if not node.expect_form(self.problems, f"a veto on {action}", EXPECTED_VETO):
            return ()
        units, by, because = node.get("units"), node.get("by"), node.get("because")
        found = VetoMatch(
            action,
            place,
            None if units is None else self.texts(units, "units"),
            "" if by is None else self.rule(by) or "",
            "" if because is None else because.expect_text(self.problems, '"because"') or "",
        )
        return (found,)

    def _outcome(self, action: str, place: Place, node: Node | None) -> Iterable[OutcomeMatch]:
        if node is None:
            self.problems.add(place, "wrong-shape", f"say how it stands, as in {_EXAMPLES['effect']}")
            return ()
        status, reason, rest = node, None, None
        if node.kind == "map":
            status, reason = node.get("status") or Node("scalar", node.place), node.get("reason")
            left = tuple(e for e in node.entries if e.key not in {"status", "reason"})
            rest = Node("map", node.place, entries=left)
        said = status.expect_one_of(self.problems, "the status of an effect", _STATUSES)
        effect = self.effect(action, place, rest)
        if effect is None or said is None:
            return ()
        why = "" if reason is None else reason.expect_text(self.problems, '"reason"') or ""
        return (OutcomeMatch(effect, next(s for s in _STATUSES if s == said), why),)

    def _facts(self, heading: str, place: Place, node: Node | None) -> Iterator[FactMatch]:
        kind, _, key = heading.partition(" ")
        vocabulary = self.rule_set.vocabulary
        if kind not in vocabulary or node is None or not node.expect_map(self.problems, heading):
            if kind not in vocabulary:
                said = f'there is no kind of record "{kind}"{did_you_mean(kind, vocabulary.kinds)}'
                self.problems.add(place, "unknown-kind", said)
            return
        for name, at, below in node.items():
            wanted = vocabulary[kind].type_of(name)
            if wanted is None:
                names = (*vocabulary[kind].fields, *vocabulary[kind].relations)
                self.problems.add(at, "unknown-field", f"{kind} has no field {name}{did_you_mean(name, names)}")
            elif wanted.name in {"list", "record"}:
                texts = frozenset[str]() if below.is_null or not (below.elements or below.text) else self.texts(below, name)
                yield FactMatch(kind, key, name, texts, at)
            else:
                value = None if below.is_null else self._value(name, wanted, below)
                yield FactMatch(kind, key, name, value, at)

    def _value(self, name: str, wanted: Type, node: Node) -> Any:
        return self.reader.scalar(name, wanted, node)


def _normal(text: str) -> str:
    """An amount as `about` holds it: 10.00 EUR and 10 EUR are the same."""
    amount, space, currency = text.partition(" ")
    try:
        return about_text(Decimal(amount)) + space + currency
    except InvalidOperation:
        return text


def _state(text: str) -> Literal["open", "snoozed"]:
    return "snoozed" if text == "snoozed" else "open"


_EXAMPLES = {
    "forbid": "forbid: marketplace.refund",
    "raise": "raise: deadline_missed",
    "effect": "effect: {marketplace.refund: settled}",
    "fact": "fact: {rma 1001: {refund_due: +48h}}",
}
