"""Short histories taken out of the demo's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from engine.facts.outside import installed_actions
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.simulate.history import Activated, Entry, TakenIn
from engine.simulate.parts import Parts, cut
from engine.simulate.replay import Telling, Told
from engine.store.rows import Node

CLIENT = "demo"


def of_orders(history: Sequence[Entry], files: Mapping[str, bytes], orders: Sequence[str]) -> list[Entry]:
    """What a history tells of these orders and of all that is tied to them."""
    rule_set = load(Files(files), CLIENT, installed_actions())
    telling = Telling([rule_set])
    own = _tied(history, rule_set, orders)
    shared = frozenset(rule_set.vocabulary.client)
    kept: list[Entry] = []
    for entry in history:
        if isinstance(entry, Activated):
            kept.append(entry)
        elif not isinstance(entry, TakenIn):
            kept.extend([entry] if _node(entry.case) in own else [])
        else:
            told = telling.told(entry).events
            events = tuple(event for event, one in zip(entry.events, told, strict=True) if _concerns(one, own, shared))
            kept.extend([replace(entry, events=events)] if events else [])
    return kept


def _tied(history: Sequence[Entry], rule_set: RuleSet, orders: Sequence[str]) -> frozenset[Node]:
    wanted = {("order", order) for order in orders}
    with tempfile.TemporaryDirectory() as folder, Parts(cut(history, [rule_set], Path(folder))) as parts:
        found = [part.own for part in parts.every()]
    return frozenset(node for own in found if own & wanted for node in own)


def _concerns(told: Told, own: frozenset[Node], shared: frozenset[str]) -> bool:
    if told.person is not None:
        return _node(told.person.about) in own
    return any((one.kind, one.key) in own or one.kind in shared for observed in told.observed.values() for one in observed)


def _node(name: str) -> Node:
    kind, _, key = name.partition(":")
    return kind, key
