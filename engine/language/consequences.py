"""`then:` - what a rule does, forbids and raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import get_args

from engine.facts.outside import Action, Param
from engine.facts.schema import Type
from engine.language.compiled import ActionUse, Expression, Forbid, Raise, Severity, Template
from engine.language.forms import FORBID, FORBID_UNITS, RAISE, form_of
from engine.language.node import Node
from engine.language.scope import Scope
from engine.language.written import constant, expression_in, same_meaning, template_in
from engine.problems import Place, Problems, did_you_mean

UNIT_KINDS = ("unit", "rma_unit", "store_refund", "order_refund")  # what names order-line units
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@dataclass(slots=True)
class Consequences:
    """All that stands under one `then:`."""

    actions: list[ActionUse] = field(default_factory=list)
    forbids: list[Forbid] = field(default_factory=list)
    raises: list[Raise] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads `then:` for one rule. `owner` and `runbook` are the rule's own, for a raise that names none."""

    scope: Scope
    actions: Mapping[str, Action]
    problems: Problems
    owner: str = ""
    runbook: Node | None = None

    def read(self, node: Node) -> Consequences:
        found = Consequences()
        if not node.expect_list(self.problems, '"then"'):
            return found
        if not node.elements:
            self.problems.add(node.place, "empty-list", '"then" lists nothing to do')
        for element in node.elements:
            if element.expect_map(self.problems, 'an entry of "then"'):
                self._entry(element, found)
        _check_answers(found, self.problems)
        return found

    def _entry(self, node: Node, found: Consequences) -> None:
        keys = {entry.key for entry in node.entries}
        if "forbid" in keys:
            found.forbids.extend(self._forbid(node))
            return
        if len(node.entries) != 1:
            said = 'an entry of "then" is one of: an action, forbid with because, raise'
            self.problems.add(node.place, "wrong-shape", said)
            return
        key, place, inner = next(node.items())
        if key == "raise":
            raising = self._raise(inner)
            found.raises.extend([raising] if raising is not None else [])
        elif self._known(key, place, ("forbid", "raise")):
            use = self._action(key, place, inner)
            found.actions.extend([use] if use is not None else [])

    def _known(self, name: str, place: Place, besides: tuple[str, ...] = ()) -> bool:
        if name in self.actions:
            return True
        roles = {action.partition(".")[0] for action in self.actions}
        role, dot, _ = name.partition(".")
        if dot and role not in roles:
            said = f'"{name}": there is no role "{role}"{did_you_mean(role, roles)}'
        else:
            said = f'there is no action "{name}"{did_you_mean(name, (*self.actions, *besides))}'
        self.problems.add(place, "unknown-action", said)
        return False

    def _action(self, name: str, place: Place, node: Node) -> ActionUse | None:
        action = self.actions[name]
        if node.is_null:
            node = Node("map", place)
        if not node.expect_form(self.problems, name, form_of(name, action)):
            return None
        params: dict[str, Expression | Template] = {}
        for key, _, inner in node.items():
            value = self._param(f"{name}.{key}", action, action.params[key], key, inner)
            if value is None:
                return None
            params[key] = value
        return ActionUse(name, action, params, place)

    def _param(self, what: str, action: Action, param: Param, key: str, node: Node) -> Expression | Template | None:
        if action.subject == ("units",) and key == "units":
            return self._units(node, what)
        if param.type.name == "text":
            template = template_in(node, self.scope, self.problems, what)
            if template is not None and all(isinstance(part, str) for part in template.parts):
                self._check_code(what, "".join(map(str, template.parts)), node)
            return template
        if param.type.name == "enum":
            return self._member(node, param.type, what)
        return expression_in(node, self.scope, self.problems, what, param.type)

    def _check_code(self, what: str, word: str, node: Node) -> None:
        """A word that is sent as a code, and has none, would be refused each time."""
        table = self.scope.codes.get(what)
        if table and word not in table:
            said = f'"{word}" has no code under {what}, so the action is refused{did_you_mean(word, table)}'
            self.problems.add(node.place, "no-code", said)

    def _member(self, node: Node, of: Type, what: str) -> Expression | None:
        """A member of the enum as it stands, or an expression that gives one."""
        if node.kind == "scalar" and node.text in of.values:
            return constant(node.text, node.place, of, node.text)
        if node.kind == "scalar" and node.text.isidentifier() and node.text not in self.scope.names:
            said = f'{what} cannot be "{node.text}"{did_you_mean(node.text, of.values)}'
            self.problems.add(node.place, "unknown-word", said)
            return None
        return expression_in(node, self.scope, self.problems, what, of)

    def _units(self, node: Node, what: str) -> Expression | None:
        expression = expression_in(node, self.scope, self.problems, what)
        if expression is None:
            return None
        element = expression.type.of
        if expression.type.name != "any" and (element is None or element.kind not in UNIT_KINDS):
            kinds = ", ".join(UNIT_KINDS)
            said = f"{what} must be a list of what names order-line units ({kinds}), not a {expression.type}"
            self.problems.add(node.place, "type-mismatch", said)
            return None
        return expression

    def _forbid(self, node: Node) -> list[Forbid]:
        if not node.expect_form(self.problems, '"forbid"', FORBID):
            return []
        what, why = node.get("forbid"), node.get("because")
        because = None if why is None else template_in(why, self.scope, self.problems, '"because"')
        if what is None or because is None:
            return []
        if what.kind == "map":
            return [f for name, place, scope in what.items() for f in self._scoped(name, place, scope, because)]
        named = what.elements if what.kind == "list" else (what,)
        names = [(each.expect_text(self.problems, "a forbidden action"), each.place) for each in named]
        known = tuple(name for name, place in names if name is not None and self._known(name, place))
        return [Forbid(known, because, what.place)] if known else []

    def _scoped(self, name: str, place: Place, node: Node, because: Template) -> list[Forbid]:
        what = f"forbid of {name}"
        if not self._known(name, place) or not node.expect_form(self.problems, what, FORBID_UNITS):
            return []
        units, partial = node.get("units"), node.get("partial")
        if units is None and partial is None:
            self.problems.add(place, "missing-key", f'{what} needs "units" or "partial", or to be written as forbid: {name}')
            return []
        if self.actions[name].subject != ("units",):
            self.problems.add(place, "wrong-shape", f"{name} is not about units: write forbid: {name}")
            return []
        bound = None if units is None else self._units(units, f"{what}: units")
        if units is not None and bound is None:
            return []
        only_parts = partial is not None and bool(partial.expect_boolean(self.problems, f"{what}: partial"))
        return [Forbid((name,), because, place, bound, only_parts)]

    def _raise(self, node: Node) -> Raise | None:
        if not node.expect_form(self.problems, '"raise"', RAISE, excused=("owner",) if self.owner else ()):
            return None
        texts = {key: inner for key, _, inner in node.items()}
        owner = texts["owner"].expect_text(self.problems, '"owner"') if "owner" in texts else self.owner
        severity = texts["severity"].expect_one_of(self.problems, '"severity"', _SEVERITIES)
        title = template_in(texts["title"], self.scope, self.problems, '"title"')
        runbook = texts.get("runbook", self.runbook)
        about = texts.get("about")
        subject = None if about is None else expression_in(about, self.scope, self.problems, '"about"')
        steps = None if runbook is None else template_in(runbook, self.scope, self.problems, '"runbook"')
        answers = self._answers(texts.get("answers"))
        snooze = texts["snooze"].expect_duration(self.problems, '"snooze"') if "snooze" in texts else None
        blocking = "blocking" in texts and bool(texts["blocking"].expect_boolean(self.problems, '"blocking"'))
        if owner is None or severity is None or title is None or (about is not None and subject is None):
            return None
        rank = next(known for known in _SEVERITIES if known == severity)
        return Raise(owner, rank, title, node.place, steps, subject, answers, snooze or timedelta(hours=48), blocking=blocking)

    def _answers(self, node: Node | None) -> dict[str, str]:
        found: dict[str, str] = {}
        if node is None or not node.expect_map(self.problems, '"answers"'):
            return found
        if not node.entries:
            self.problems.add(node.place, "empty-list", '"answers" names no answer')
        for name, place, said in node.items():
            text = said.expect_text(self.problems, f'the answer "{name}"')
            if not name.isidentifier():
                self.problems.add(place, "bad-name", f'"{name}" cannot be the name of an answer: one word, like {_word(name)}')
            elif text is not None:
                found[name] = text
        return found


def _word(name: str) -> str:
    word = "".join(c if c.isalnum() else "_" for c in name.lower())
    return word if word.isidentifier() else f"a_{word}"


def _check_answers(found: Consequences, problems: Problems) -> None:
    asking = [raising for raising in found.raises if raising.answers]
    for raising in asking[1:]:
        problems.add(raising.place, "two-questions", "a rule asks one question: only one raise may have answers")
    for raising in asking[:1]:
        for forbid in found.forbids:
            if forbid.units is None:
                continue
            wanted = forbid.units.text.strip()
            if raising.about is None or same_meaning(raising.about.text) != same_meaning(wanted):
                said = f"a raise with answers beside a forbid of units must be about the same units: about: {wanted}"
                problems.add(raising.about.place if raising.about else raising.place, "answer-about", said)
