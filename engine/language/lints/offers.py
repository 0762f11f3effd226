"""Actions a client's rules ask for and none of its connectors offers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from engine.language.lints.whole import Whole
from engine.problems import Place, Problem


def missing_offers(whole: Whole) -> Iterator[Problem]:
    """A client that names no connectors yet is not asked for them."""
    if whole.given.client is None or whole.given.client_node is None or not whole.given.client.connectors:
        return
    roles = set(whole.given.client.connectors)
    asking: dict[str, list[tuple[str, Place]]] = defaultdict(list)
    for rule in whole.rules:
        for use in rule.actions:
            if rule.mode != "off" and use.action.partition(".")[0] not in roles:
                asking[use.action].append((rule.id, use.place))
    connectors = whole.given.client_node.key_place("connectors")
    for action, uses in sorted(asking.items()):
        role = action.partition(".")[0]
        for _, place in uses:
            if whole.is_own(place):
                yield Problem(
                    place,
                    "action-not-offered",
                    f"no connector of {whole.given.client.client} is its {role}, so {action} is never sent",
                )
        packed = sorted(rule_id for rule_id, place in uses if not whole.is_own(place))
        if packed:
            more = f" and {len(packed) - 1} more" if len(packed) > 1 else ""
            said = (
                f'no connector here is the {role}, so {action} is never sent, which the rule "{packed[0]}"{more} asks for: '
                f"add the connector, or switch the rule off"
            )
            yield Problem(connectors, "action-not-offered", said)
