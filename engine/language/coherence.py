"""What only the whole set can tell: vetoes that bind nothing."""

from __future__ import annotations

from collections.abc import Iterator

from engine.language.compiled import Rule
from engine.language.node import Node
from engine.language.sections import Sections
from engine.problems import Problems


def check_whole(sections: Sections, rules: tuple[Rule, ...], problems: Problems) -> None:
    """Each check is one small function."""
    for check in (_vetoes_bind_something,):
        check(sections, rules, problems)


def _vetoes_bind_something(sections: Sections, rules: tuple[Rule, ...], problems: Problems) -> None:
    """A forbid binds the groups below its own. Rules that do not compile count too: their faults are told already. So do rules
    that are off or in shadow: whoever turns one off need not take away every forbid that is meant for it.
    """
    ranks = {group: rank for rank, group in enumerate(sections.precedence)}
    lowest: dict[str, int] = {}
    for entry in sections.rules.values():
        for action in _proposed(entry.node):
            lowest[action] = max(ranks.get(_text(entry.node, "group"), len(ranks)), lowest.get(action, -1))
    for rule in rules:
        for forbid in rule.forbids:
            for action in forbid.actions:
                if lowest.get(action, -1) <= rule.rank:
                    said = f"no rule of a group below {rule.group} proposes {action}, so this forbids nothing"
                    problems.add(forbid.place, "idle-forbid", said)


def _proposed(node: Node) -> Iterator[str]:
    then = node.get("then")
    if then is not None:
        for element in then.elements:
            for key, _, _ in element.items():
                yield key


def _text(node: Node, key: str) -> str:
    found = node.get(key)
    return "" if found is None else found.text
