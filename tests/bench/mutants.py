"""Whether the base pack's scenarios notice a change of its rules: each is changed in every small way there is, one at a time.

    python tests/bench/mutants.py [RULE ...]

Prints how many of the changed rules (mutants) made a scenario fail, and each that did not. A change that `instep check` refuses
is caught before any scenario is tried, and not counted.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from engine.facts.outside import installed_actions
from engine.language import assemble as assembling
from engine.language.coherence import check_whole
from engine.language.compiled import Rule
from engine.language.node import Entry, Node
from engine.language.rules import Ground, read_rule
from engine.language.ruleset import RuleSet
from engine.language.sections import Sections
from engine.problems import Place, Problems
from engine.simulate.scenario import Scenario
from engine.simulate.suite import Suite, suites
from engine.simulate.trying import try_scenario

ROOT = Path(__file__).parents[2]
FLIPPED = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.GtE, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.LtE, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
SWAPPED = {"exists": "missing", "missing": "exists", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Written:
    """A rule as it is written, and what it is compiled on."""

    id: str
    place: Place
    node: Node
    ground: Ground


@dataclass(frozen=True)
class Mutant:
    """A rule changed in one way. `kind` groups the figures."""

    rule: str
    kind: str
    what: str
    node: Node


@dataclass(frozen=True)
class Report:
    """What became of all of them."""

    killed: tuple[Mutant, ...]
    survived: tuple[Mutant, ...]
    refused: tuple[Mutant, ...]

    @property
    def percent(self) -> float:
        tried = len(self.killed) + len(self.survived)
        return 100.0 * len(self.killed) / tried if tried else 100.0


def base_suite() -> tuple[Suite, list[Written], Sections]:
    """The base pack's scenarios, with its rules as they are written."""
    written: dict[str, Written] = {}
    whole: list[Sections] = []

    def reading(rule_id: str, place: Place, node: Node, ground: Ground, problems: Problems) -> Rule | None:
        written[rule_id] = Written(rule_id, place, node, ground)
        return read_rule(rule_id, place, node, ground, problems)

    def checking(sections: Sections, *rest: object) -> None:
        whole.append(sections)
        check_whole(sections, *rest)

    with patch.object(assembling, "read_rule", reading), patch.object(assembling, "check_whole", checking):
        (suite,) = suites(ROOT, installed_actions(), "base")
    return suite, [written[rule.id] for rule in suite.rule_set.rules], whole[-1]


def tried(only: tuple[str, ...] = ()) -> Report:
    """Every mutant of the base pack against its scenarios."""
    suite, rules, sections = base_suite()
    likely = _likely(suite)
    outcomes: dict[str, list[Mutant]] = {"killed": [], "survived": [], "refused": []}
    for written in rules:
        if only and written.id not in only:
            continue
        for mutant in mutants_of(written, suite.rule_set):
            changed = _compiled(mutant, written, suite.rule_set, sections)
            if changed is None:
                outcomes["refused"].append(mutant)
            else:
                outcomes["killed" if _noticed(changed, suite, likely[written.id]) else "survived"].append(mutant)
    return Report(*(tuple(outcomes[name]) for name in ("killed", "survived", "refused")))


def _likely(suite: Suite) -> dict[str, list[Scenario]]:
    """For each rule all scenarios, those in which it was ever anything but false first."""
    standing: dict[str, dict[str, None]] = {rule.id: {} for rule in suite.rule_set.rules}
    for scenario in suite.scenarios:

        def watch(decision, title=scenario.title) -> None:
            for one in decision.standings:
                standing[one.rule.id].setdefault(title)

        try_scenario(suite.rules_for(scenario), scenario, watch)
    return {rule: sorted(suite.scenarios, key=lambda s: s.title not in titles) for rule, titles in standing.items()}


def _compiled(mutant: Mutant, written: Written, rule_set: RuleSet, sections: Sections) -> RuleSet | None:
    problems = Problems()
    rule = read_rule(mutant.rule, written.place, mutant.node, written.ground, problems)
    if rule is None or problems.errors:
        return None
    rules = tuple(rule if each.id == mutant.rule else each for each in rule_set.rules)
    check_whole(sections, rules, problems)
    return None if problems.errors else replace(rule_set, rules=rules, hash=f"{rule_set.hash}~")


def _noticed(changed: RuleSet, suite: Suite, scenarios: list[Scenario]) -> bool:
    for scenario in scenarios:
        under = suite.rules_for(scenario)
        rule_set = changed if under is suite.rule_set else replace(under, rules=changed.rules, hash=f"{under.hash}~")
        if not try_scenario(rule_set, scenario).fine:
            return True
    return False


def mutants_of(written: Written, rule_set: RuleSet) -> Iterator[Mutant]:
    """The rule with each small change there is."""
    node = written.node
    idle = _idle(node)
    made = [
        *(("condition", what, _with(node, "when", when)) for what, when in _conditions(node.get("when")) if what not in idle),
        *(("timing", what, changed) for what, changed in _timing(node)),
        *(("group", what, changed) for what, changed in _groups(written, rule_set)),
        *(("consequence", what, _with(node, "then", then)) for what, then in _consequences(node.get("then"))),
    ]
    for kind, what, changed in made:
        yield Mutant(written.id, kind, what, changed)


def _idle(node: Node) -> set[str]:
    """The condition that only says that there is something to act on: without it the rule acts on nothing, which is no change."""
    texts: set[str] = set()
    for element in node.get("then").elements:
        for key, _, below in element.items():
            if key == "raise" and below.get("blocking") is None:
                return set()
            if "." in key:
                texts.add(_units(below))
            elif key == "forbid":
                texts.update(_units(scope) for _, _, scope in below.items())
    return {f"without {text}" for text in texts} if len(texts) == 1 else set()


def _units(node: Node) -> str:
    units = node.get("units")
    return "" if units is None else _said(units)


def _with(node: Node, key: str, value: Node | None) -> Node:
    """The map with another value under a key, or without the key."""
    entries = (e if e.key != key else None if value is None else Entry(key, e.place, value) for e in node.entries)
    return replace(node, entries=tuple(e for e in entries if e is not None))


def _text(node: Node, text: str) -> Node:
    return Node("scalar", node.place, text, text, "plain", text)


def _each_replaced(node: Node, make) -> Iterator[tuple[str, Node]]:
    """A list with each element dropped, then with each element changed in each way."""
    for n, element in enumerate(node.elements):
        rest = node.elements[:n], node.elements[n + 1 :]
        if len(node.elements) > 1:
            yield f"without {_said(element)}", replace(node, elements=(*rest[0], *rest[1]))
        for what, changed in make(element):
            yield what, replace(node, elements=(*rest[0], changed, *rest[1]))


def _said(node: Node) -> str:
    return " ".join(node.text.split()) if node.kind == "scalar" else str(node.plain())[:90]


def _conditions(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is None:
        return
    if node.kind == "list":
        yield from _each_replaced(node, _conditions)
    elif node.kind == "map":
        for key, _, below in node.items():
            if key != "label":
                yield from ((what, _with(node, key, changed)) for what, changed in _conditions(below))
    elif node.is_text:
        yield from ((f"{_said(node)}  ->  {text}", _text(node, text)) for text in _expressions(node.text))


def _expressions(text: str) -> Iterator[str]:
    """The expression with one comparison, one `and`, one `not` or one function turned round."""
    count = sum(1 for _ in ast.walk(ast.parse(text.strip(), mode="eval")))
    for n in range(count):
        for way in range(2):
            tree = ast.parse(text.strip(), mode="eval")
            target = list(ast.walk(tree))[n]
            if _turned(tree, target, way):
                yield ast.unparse(tree)


def _turned(tree: ast.Expression, node: ast.AST, way: int) -> bool:
    match node:
        case ast.Compare(ops=[operator]) if way < len(FLIPPED[type(operator)]):
            node.ops = [FLIPPED[type(operator)][way]()]
        case ast.BoolOp() if way == 0:
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.Call(func=ast.Name(id=name)) if way == 0 and name in SWAPPED:
            node.func = ast.Name(SWAPPED[name], ast.Load())
        case ast.UnaryOp(op=ast.Not()) if way == 0:
            _Positive(node).visit(tree)
        case _:
            return False
    return True


class _Positive(ast.NodeTransformer):
    """Takes one `not` away."""

    def __init__(self, of: ast.UnaryOp) -> None:
        self.of = of

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return node.operand if node is self.of else self.generic_visit(node)


def _timing(node: Node) -> Iterator[tuple[str, Node]]:
    hold, after = node.get("for"), node.get("after")
    if hold is not None:
        yield "without for", _with(node, "for", None)
        plain = hold.text.rstrip("0123456789hmd") == ""
        longer = f"{2 * int(hold.text[:-1])}{hold.text[-1]}" if plain else f"{hold.text} + {hold.text}"
        yield f"for: {longer}", _with(node, "for", _text(hold, longer))
    if after is not None:
        yield "without after", _with(node, "after", None)
        for shift in ("+ hours(1)", "- hours(1)"):
            yield f"after: {after.text} {shift}", _with(node, "after", _text(after, f"({after.text}) {shift}"))


def _groups(written: Written, rule_set: RuleSet) -> Iterator[tuple[str, Node]]:
    """A group above and one below in which the rule stands otherwise to those it forbids or is forbidden by: for a veto the
    nearest, for what can be forbidden the farthest, since a veto in between may be about something else.
    """
    rule = rule_set.rule(written.id)
    order = rule_set.precedence
    here = order.index(rule.group)
    for ranks in (range(here - 1, -1, -1), range(here + 1, len(order))):
        others = [rank for rank in ranks if _relations(rule, rank, rule_set) != _relations(rule, here, rule_set)]
        other = next(iter(others if rule.forbids else reversed(others)), None)
        if other is not None:
            node = written.node.get("group")
            yield f"group: {order[other]}", _with(written.node, "group", _text(node, order[other]))


def _relations(rule: Rule, rank: int, rule_set: RuleSet) -> set[tuple[str, str, bool]]:
    asks = {use.action for use in rule.actions}
    forbids = {action for forbid in rule.forbids for action in forbid.actions}
    found: set[tuple[str, str, bool]] = set()
    for other in rule_set.rules:
        if other.id == rule.id:
            continue
        if forbids & {use.action for use in other.actions}:
            found.add(("forbids", other.id, other.rank > rank))
        if asks & {action for forbid in other.forbids for action in forbid.actions}:
            found.add(("is forbidden by", other.id, other.rank < rank))
    return found


def _consequences(node: Node | None) -> Iterator[tuple[str, Node]]:
    if node is not None:
        yield from _each_replaced(node, _consequence)


def _consequence(node: Node) -> Iterator[tuple[str, Node]]:
    if (forbid := node.get("forbid")) is not None:
        if forbid.kind == "list":
            yield from ((what, _with(node, "forbid", changed)) for what, changed in _each_replaced(forbid, lambda _: ()))
        if forbid.kind == "map":
            (entry,) = forbid.entries
            yield "forbids the whole", _with(node, "forbid", _text(forbid, entry.key))
    elif (raising := node.get("raise")) is not None:
        yield from ((what, _with(node, "raise", changed)) for what, changed in _raises(raising))
    else:
        for action, _, params in node.items():
            for name, _, value in params.items():
                if value.is_text and value.text in {"accepted", "refused", "received", "closed", "done"}:
                    other = "closed" if value.text != "closed" else "received"
                    other = "rejected" if value.text == "done" else other
                    yield f"{name}: {other}", _with(node, action, _with(params, name, _text(value, other)))
                yield f"without {name}", _with(node, action, _with(params, name, None))


def _raises(node: Node) -> Iterator[tuple[str, Node]]:
    for name in ("about", "blocking", "answers"):
        if node.get(name) is not None:
            yield f"raises without {name}", _with(node, name, None)
    severity, owner = node.get("severity"), node.get("owner")
    if severity is not None:
        other = "low" if severity.text != "low" else "high"
        yield f"severity: {other}", _with(node, "severity", _text(severity, other))
    if owner is not None:
        yield "owner: somebody", _with(node, "owner", _text(owner, "somebody"))


def main() -> None:
    report = tried(tuple(sys.argv[1:]))
    for mutant in report.survived:
        print(f"not noticed: {mutant.rule} ({mutant.kind}): {mutant.what}")
    by_kind = Counter(m.kind for m in (*report.killed, *report.survived))
    missed = Counter(m.kind for m in report.survived)
    for kind, number in sorted(by_kind.items()):
        print(f"{kind:<12} {number - missed[kind]:>4} of {number:>4} noticed")
    print(f"{len(report.killed)} of {len(report.killed) + len(report.survived)} mutants noticed: {report.percent:.1f} %")
    print(f"{len(report.refused)} more are refused when they are compiled")


if __name__ == "__main__":
    main()
