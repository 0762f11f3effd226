"""A second opinion on matching, from an engine that shares no code with ours: durable-rules, in a process of its own.

Rules outside the subset it can judge, and items whose values it cannot hold, are left out, never guessed at. Install it with
`instep[oracle]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from engine.decide.decision import Decision
from engine.decide.view import View
from engine.facts.values import Rec
from engine.language.ruleset import RuleSet
from engine.simulate.oracle.subset import CANNOT, Question, event_of, question_of, value_of

RULES_IN_A_SET = 30  # where more than 64 conditions hold at once it loses the event


class OracleGone(RuntimeError):  # noqa: N818 - said of the other process, not of this one
    """The second opinion is not to be had; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A rule and item on which the two disagree. `held` is what this engine found."""

    rule: str
    place: str
    item: str
    held: bool

    def __str__(self) -> str:
        ours, theirs = ("held", "did not hold") if self.held else ("did not hold", "held")
        return f"{self.place}: {self.rule} for {self.item}: {ours} here, {theirs} for the second opinion"


class SecondOpinion:
    """The other engine with the rules it can judge. Use it as a context manager; it ends with the block."""

    def __init__(self, rule_set: RuleSet) -> None:
        found = (question_of(rule, rule_set) for rule in rule_set.rules)
        self.questions: tuple[Question, ...] = tuple(question for question in found if question is not None)
        self._child: subprocess.Popen[str] | None = None
        self._sets: dict[str, list[str]] = defaultdict(list)  # kind -> names of its rule sets
        self._asked: dict[str, Question] = {q.rule.id: q for q in self.questions}
        self._fields: dict[str, set[str]] = defaultdict(set)  # kind -> fields its questions read
        for question in self.questions:
            self._fields[question.kind] |= question.fields
        self._distinct = {kind: _distinct(q for q in self.questions if q.kind == kind) for kind in self._fields}
        for kind, distinct in self._distinct.items():
            self._sets[kind] = [f"{kind}_{n}" for n, _ in enumerate(_parts(distinct, RULES_IN_A_SET))]

    @property
    def rules(self) -> frozenset[str]:
        """The ids of the rules it has an opinion on."""
        return frozenset(self._asked)

    def definitions(self) -> dict[str, dict[str, Any]]:
        """Its rule sets: a few rules each, all of one kind of item; rules that ask the same are one, named after all of them."""
        found: dict[str, dict[str, Any]] = {}
        for kind, names in self._sets.items():
            for name, part in zip(names, _parts(self._distinct[kind], RULES_IN_A_SET), strict=True):
                found[name] = {"|".join(ids): {"all": [{"m": {"$and": [{"it": 1}, *tests]}}]} for ids, tests in part}
        return found

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "engine.simulate.oracle.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._ask(self.definitions())
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def asked(self, view: View) -> dict[tuple[str, str], tuple[list[str], dict[str, Any]]]:
        """For each kind and item it has rules for, the rule sets to ask and what they are told of it."""
        events: dict[tuple[str, str], Rec] = {}
        for question in self.questions:
            if question.rule.each is not None:
                events |= {(question.kind, rec.item): rec for rec in view.items(question.rule.each)}
        return {(kind, item): (self._sets[kind], event_of(rec, self._fields[kind])) for (kind, item), rec in events.items()}

    def held(self, view: View) -> dict[str, dict[str, bool]]:
        """For each rule it can judge, the items it could be asked about and whether the rule holds for them."""
        items: dict[str, dict[str, Rec]] = {}
        for question in self.questions:
            if question.rule.each is not None:
                items[question.rule.id] = {rec.item: rec for rec in view.items(question.rule.each)}
        asked = self.asked(view)
        answers = self._ask(list(asked.values())) if asked else []
        true = {key: {rule for name in names for rule in name.split("|")} for key, names in zip(asked, answers, strict=True)}
        return {
            q.rule.id: {
                item: q.rule.id in true[q.kind, item]
                for item, rec in items[q.rule.id].items()
                if not any(value_of(rec.get(field)) is CANNOT for field in q.fields)
            }
            for q in self.questions
        }

    def differences(self, decision: Decision) -> list[Difference]:
        """Where it sees the conditions of one decision otherwise."""
        found: list[Difference] = []
        for rule_id, items in self.held(decision.view).items():
            ours = decision.basis.matches.get(rule_id, {})
            rule = self._asked[rule_id].rule
            for item, theirs in items.items():
                held = ours.get(item, False) is True
                if held is not theirs:
                    found.append(Difference(rule_id, str(rule.place), item, held))
        return found

    def _ask(self, question: Any) -> Any:
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise OracleGone("the second opinion has not been started")
        try:
            child.stdin.write(json.dumps(question) + "\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
        except (BrokenPipeError, ValueError):
            _, said = child.communicate()
            self._child = None
            raise OracleGone(_why(said, child.returncode)) from None
        if isinstance(answer, dict):
            raise OracleGone(f"durable-rules: {answer['fault']}")
        return answer


def _why(said: str, code: int) -> str:
    if "durable" in said and ("ModuleNotFoundError" in said or "ImportError" in said or "undefined symbol" in said):
        return "the second opinion needs durable-rules: pip install 'instep[oracle]', on Python 3.11 or 3.12 with a C compiler"
    last = said.strip().splitlines()[-1:] or ["it said nothing"]
    return f"the process of durable-rules ended ({code}): {last[0]}"


def _parts(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _distinct(questions: Iterable[Question]) -> list[tuple[list[str], tuple[Any, ...]]]:
    """The rules of one kind by what they ask, with the ids of those that ask the same."""
    found: dict[str, tuple[list[str], tuple[Any, ...]]] = {}
    for question in questions:
        text = json.dumps(question.tests, sort_keys=True)
        found.setdefault(text, ([], question.tests))[0].append(question.rule.id)
    return list(found.values())
