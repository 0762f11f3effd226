"""Which records belong to one case: those that can be reached from its order over the keys records hold of each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Node = tuple[str, str]  # kind and key
Neighbours = Callable[[Node], Iterable[Node]]  # both directions: what a record names, and what names it
ORDER = "order"


def reach(start: Node, neighbours: Neighbours) -> frozenset[Node]:
    """Every record reachable from `start`, itself included, without passing through another order.

    Other orders are left out: each is the start of its own case, though records between two orders belong to both.
    """
    return frozenset(node for node in _walk(start, neighbours) if node == start or node[0] != ORDER)


def owners(start: Node, neighbours: Neighbours) -> frozenset[Node]:
    """The orders whose cases a record joins: those it reaches without passing through another. Empty: it waits unanchored."""
    return frozenset(node for node in _walk(start, neighbours) if node[0] == ORDER)


def _walk(start: Node, neighbours: Neighbours) -> set[Node]:
    seen = {start}
    waiting = [start]
    while waiting:
        node = waiting.pop()
        if node[0] == ORDER and node != start:
            continue
        for other in neighbours(node):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen
