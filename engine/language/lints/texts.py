"""What people read: raises without a runbook, and braces nobody fills in."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.language.lints.whole import Whole
from engine.language.node import Node
from engine.problems import Problem

_PLACEHOLDER = re.compile(r"\{[^{}]*[A-Za-z_][^{}]*\}")
_PLAIN = ("title", "doc", "owner")


def missing_runbooks(whole: Whole) -> Iterator[Problem]:
    for rule in whole.rules:
        for raising in rule.raises:
            if raising.runbook is None:
                said = f"{raising.owner} is told that something is wrong, not what to do about it: add a runbook"
                yield Problem(raising.place, "no-runbook", said)


def unfilled_placeholders(whole: Whole) -> Iterator[Problem]:
    """Only the texts of a raise, a forbid and an action are filled in; a rule's own title, doc and owner are not."""
    for rule in whole.rules:
        node = whole.sections.rules[rule.id].node
        for key in _PLAIN:
            yield from _unfilled(node.get(key), f'the {key} of the rule "{rule.id}"')
        for entry in (node.get("then") or node).elements:
            for answer, _, text in ((entry.get("raise") or entry).get("answers") or Node("map", entry.place)).items():
                yield from _unfilled(text, f'the answer "{answer}"')


def _unfilled(node: Node | None, what: str) -> Iterator[Problem]:
    found = None if node is None else _PLACEHOLDER.search(node.text)
    if node is not None and found is not None:
        said = f"{found[0]} stays as it is: {what} is the same for every case; write it into the title of a raise"
        yield Problem(node.at(found.start()), "unfilled-placeholder", said)
