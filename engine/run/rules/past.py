"""Rule sets of the past, from the files a store keeps of each."""

from __future__ import annotations

from collections.abc import Mapping

from engine.facts.outside import Action
from engine.language.files import Files
from engine.language.pack import load
from engine.language.ruleset import RuleSet
from engine.store.base import Store
from engine.store.rows import RuleSetRow

SHORTEST = 4  # characters of a hash that name a rule set


class NoSuchRuleSet(ValueError):  # noqa: N818 - named for what it tells
    """No rule set, or more than one, has this hash; the message says which there are."""


def find_rule_set(store: Store, hash_: str) -> RuleSetRow:
    """The last activation of the rule set whose hash begins so. Raises `NoSuchRuleSet`."""
    found = store.rule_sets.named(hash_) if len(hash_) >= SHORTEST else []
    if len(found) == 1:
        return found[0]
    if found:
        raise NoSuchRuleSet(f'several rule sets begin with "{hash_}": {", ".join(row.hash for row in found)}')
    known = list(dict.fromkeys(row.hash for row in store.rule_sets.history(50)))[:5]
    there = f"the last ones were {', '.join(known)}" if known else "none was ever active"
    raise NoSuchRuleSet(f'no rule set "{hash_}" was ever active in this store: {there}')


def past_rule_set(store: Store, hash_: str, actions: Mapping[str, Action]) -> RuleSet:
    """The rule set as it was, compiled from the files it was activated with.

    Raises `NoSuchRuleSet`, and `ProblemsFound` where this version of instep no longer takes those files.
    """
    row = find_rule_set(store, hash_)
    return load(Files.of(store.rule_sets.files(row.id)), row.client, actions)
