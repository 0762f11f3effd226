"""One rule, from its YAML to what deciding needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import get_args

from engine.facts.outside import Action
from engine.facts.schema import DURATION, TIMESTAMP, Type, Vocabulary, enum_of
from engine.language.compiled import Condition, Each, Expression, Mode, Rule, Template
from engine.language.conditions import guards_in, leaves, meaning_of, read_when
from engine.language.consequences import Consequences, Reader
from engine.language.durations import parse_duration
from engine.language.forms import RULE
from engine.language.limits import read_at_most
from engine.language.node import Node
from engine.language.readers import reads_of_each
from engine.language.scope import Scope
from engine.language.written import constant, expression_in, same_meaning
from engine.problems import Place, Problems, did_you_mean

RULE_ID = re.compile(r"[a-z][a-z0-9_]*")
_MODES: tuple[Mode, ...] = get_args(Mode)
_DURATION_LIKE = re.compile(r"\s*(P|[0-9])")


@dataclass(frozen=True, slots=True)
class Ground:
    """What all rules of a set stand on. `questions` are the answers each rule asks for, by id."""

    scope: Scope
    precedence: tuple[str, ...]
    actions: Mapping[str, Action]
    questions: Mapping[str, Question]


@dataclass(frozen=True, slots=True)
class Question:
    """The answers of one rule, and the kind of item it asks about; "" where it asks once per case."""

    about: str
    answers: Type


def read_rule(rule_id: str, place: Place, node: Node, ground: Ground, problems: Problems) -> Rule | None:
    """The compiled rule; None where it cannot be understood, with problems."""
    if not RULE_ID.fullmatch(rule_id):
        problems.add(place, "bad-name", f'"{rule_id}" cannot be the id of a rule: lower-case letters, digits and _')
    fine = node.expect_form(problems, f'the rule "{rule_id}"', RULE)
    if node.kind != "map":
        return None
    each_node = node.get("each")
    each = None if each_node is None else read_each(each_node, ground.scope.vocabulary, problems)
    if each_node is not None and each is None:
        return None
    scope = scope_of(each, ground.scope, ground.questions)
    texts = _Texts(node, problems)
    group = texts.one_of("group", ground.precedence) if ground.precedence else None
    mode = texts.one_of("mode", _MODES) or "live"
    when_node, then_node, after_node = node.get("when"), node.get("then"), node.get("after")
    when = None if when_node is None else read_when(when_node, scope, problems)
    scope = scope if when is None else scope.guarded(guards_in(when))
    hold_for = _hold_for(node.get("for"), scope, problems)
    after = None if after_node is None else expression_in(after_node, scope, problems, '"after"', TIMESTAMP)
    reader = Reader(scope, ground.actions, problems, texts.text("owner"), node.get("runbook"))
    then = Consequences() if then_node is None else reader.read(then_node)
    limit_node = node.get("at_most")
    limit = None if limit_node is None else read_at_most(limit_node, then, _acting(then_node), problems)
    if group is None or when is None or not fine:
        return None
    rule = Rule(
        id=rule_id,
        group=group,
        rank=ground.precedence.index(group),
        when=when,
        place=place,
        title=texts.text("title"),
        doc=texts.text("doc"),
        owner=texts.text("owner"),
        runbook=texts.text("runbook"),
        each=each,
        hold_for=hold_for,
        after=after,
        actions=tuple(then.actions),
        forbids=tuple(then.forbids),
        raises=tuple(then.raises),
        undecided_after=texts.duration("undecided_after", timedelta(hours=24)),
        mode=next(known for known in _MODES if known == mode),
        at_most=limit,
        was=texts.text("was"),
        meaning=_meaning(rule_id, each, when, hold_for),
        origins=(place,),
    )
    return replace(rule, reads=_reads(rule, scope.vocabulary))


def _acting(then: Node | None) -> int:
    """How many actions stand under `then`."""
    keys = [key for element in (then.elements if then is not None else ()) for key, _, _ in element.items()]
    return sum(key not in ("forbid", "because", "raise") for key in keys)


def read_each(node: Node, vocabulary: Vocabulary, problems: Problems) -> Each | None:
    """`each: rma`, or `each: {refund: sale.refunds}`."""
    if node.kind != "map":
        return _each_record(node, vocabulary, problems)
    if len(node.entries) != 1:
        problems.add(node.place, "wrong-shape", "each names one list, as in each: {refund: sale.refunds}")
        return None
    name, place, inner = next(node.items())
    path = inner.expect_text(problems, '"each"')
    if path is None:
        return None
    if not name.isidentifier() or name in _taken(vocabulary):
        problems.add(place, "bad-name", f'"{name}" cannot name the items: it is no free word')
        return None
    return _each_item(name, path, inner, vocabulary, problems)


def scope_of(each: Each | None, scope: Scope, questions: Mapping[str, Question]) -> Scope:
    """What a rule with this `each` can use: its item, what holds it, and the answers given about such items."""
    about = "" if each is None else each.item_kind or each.kind
    answers = {rule_id: question.answers for rule_id, question in questions.items() if question.about == about}
    scope = replace(scope, answers=answers)
    if each is None:
        return scope
    if each.path:
        scope = scope.bound(each.kind, each.kind)
    return scope.bound(each.name, about)


def question_of(node: Node, vocabulary: Vocabulary) -> Question | None:
    """The answers a rule will ask for, before it is compiled: other rules read them."""
    each_node, then = node.get("each"), node.get("then")
    each = None if each_node is None else read_each(each_node, vocabulary, Problems())
    names = [
        name
        for entry in (then.elements if then is not None else ())
        for name, _, _ in ((entry.get("raise") or entry).get("answers") or Node("map", node.place)).items()
    ]
    if not names or (each_node is not None and each is None):
        return None
    return Question("" if each is None else each.item_kind or each.kind, enum_of(*dict.fromkeys(names)))


def expressions_of(rule: Rule) -> Iterator[Expression]:
    """Every expression in the rule, those in its texts too."""
    yield from (leaf.expression for leaf in leaves(rule.when) if leaf.expression is not None)
    yield from (e for e in (rule.hold_for, rule.after) if e is not None)
    for use in rule.actions:
        for param in use.params.values():
            yield from _in(param)
    for forbid in rule.forbids:
        yield from _in(forbid.because)
        yield from _in(forbid.units)
    for raising in rule.raises:
        for part in (raising.title, raising.runbook, raising.about):
            yield from _in(part)


def _in(part: Expression | Template | None) -> Iterator[Expression]:
    if isinstance(part, Template):
        yield from (each for each in part.parts if isinstance(each, Expression))
    elif part is not None:
        yield part


def _each_record(node: Node, vocabulary: Vocabulary, problems: Problems) -> Each | None:
    name = node.expect_text(problems, '"each"')
    if name is None:
        return None
    kinds = [kind.name for kind in vocabulary.kinds.values() if kind.plural]
    if name in kinds:
        return Each(name, name, (), name)
    if "." in name or (name in vocabulary and vocabulary[name].scope == "item"):
        said = f'items of a list need a name of their own, as in each: {{line: order.lines}}, not "{name}"'
        problems.add(node.place, "wrong-shape", said)
    else:
        problems.add(node.place, "unknown-kind", f'"each": there is no record "{name}"{did_you_mean(name, kinds)}')
    return None


def _each_item(name: str, path: str, node: Node, vocabulary: Vocabulary, problems: Problems) -> Each | None:
    root, *steps = path.split(".")
    roots = [kind.name for kind in vocabulary.kinds.values() if kind.plural]
    if root not in roots or not steps:
        said = f'"{path}" is no list of a record, as sale.refunds is{did_you_mean(root, roots) if root not in roots else ""}'
        problems.add(node.place, "unknown-kind", said)
        return None
    kind = vocabulary[root]
    for number, step in enumerate(steps):
        found = kind.fields[step].type if step in kind.fields else None
        if found is None or found.of is None or not found.of.kind:
            place = node.at(len(".".join([root, *steps[:number]])) + 1)
            lists = [f.name for f in kind.fields.values() if f.type.of is not None and f.type.of.kind]
            why = f"{kind.name}.{step} ties records: write each: {kind.relations[step].to}" if step in kind.relations else ""
            problems.add(place, "unknown-field", why or f'{kind.name} has no list "{step}"{did_you_mean(step, lists)}')
            return None
        kind = vocabulary[found.of.kind]
    return Each(name, root, tuple(steps), kind.name)


def _taken(vocabulary: Vocabulary) -> set[str]:
    plurals = {kind.plural for kind in vocabulary.kinds.values() if kind.plural}
    records = {kind.name for kind in vocabulary.kinds.values() if kind.plural}
    return {*plurals, *records, "case", "params", "answer", "true", "false", "none"}


def _hold_for(node: Node | None, scope: Scope, problems: Problems) -> Expression | None:
    if node is None:
        return None
    if node.kind == "scalar" and _DURATION_LIKE.match(node.text):
        try:
            return constant(node.text, node.place, DURATION, parse_duration(node.text))
        except ValueError as error:
            problems.add(node.place, "bad-duration", f'"for": {error}')
            return None
    return expression_in(node, scope, problems, '"for"', DURATION)


def _meaning(rule_id: str, each: Each | None, when: Condition, hold_for: Expression | None) -> str:
    """What the clock of a rule depends on; labels, layout and all other keys make no difference."""
    where = None if each is None else [each.name, each.kind, *each.path]
    long = None
    if hold_for is not None:
        long = str(hold_for.value({})) if hold_for.constant else same_meaning(hold_for.text)
    text = json.dumps([where, meaning_of(when, rule_id), long])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _reads(rule: Rule, vocabulary: Vocabulary) -> frozenset[str]:
    reads = {read for expression in expressions_of(rule) for read in expression.reads}
    return frozenset(reads | reads_of_each(rule.each, vocabulary))


class _Texts:
    """The plain keys of a rule."""

    def __init__(self, node: Node, problems: Problems) -> None:
        self._node = node
        self._problems = problems

    def text(self, key: str) -> str:
        node = self._node.get(key)
        return "" if node is None else node.expect_text(self._problems, f'"{key}"') or ""

    def one_of(self, key: str, valid: tuple[str, ...]) -> str | None:
        node = self._node.get(key)
        return None if node is None else node.expect_one_of(self._problems, f'"{key}"', valid)

    def duration(self, key: str, default: timedelta) -> timedelta:
        node = self._node.get(key)
        return default if node is None else node.expect_duration(self._problems, f'"{key}"') or default
