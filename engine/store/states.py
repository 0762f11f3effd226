"""The merged state of a record as JSON text and back.

What was kept under an older vocabulary must still be readable: a field that is gone is left out, a value that no longer fits
its type counts as unreadable until its payload is mapped anew.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from engine.facts.codec import decode_fields, dumps, encode_fields, loads
from engine.facts.record import RecordState, Snapshot
from engine.facts.schema import Vocabulary
from engine.facts.values import Unreadable
from engine.store.rows import Node, RecordRow


def encode_state(vocabulary: Vocabulary, state: RecordState) -> str:
    """JSON text; equal states give equal text."""
    return dumps(
        {
            "snapshots": {
                name: {
                    "version": snapshot.version,
                    "digest": snapshot.digest,
                    "fields": encode_fields(vocabulary, state.kind, snapshot.fields),
                    "links": _links(snapshot.links),
                }
                for name, snapshot in state.snapshots.items()
            },
            "milestones": encode_fields(vocabulary, state.kind, state.milestones),
            "links": _links(state.links),
        }
    )


def decode_state(vocabulary: Vocabulary, row: RecordRow) -> RecordState:
    """The state that `encode_state` wrote."""
    kept = loads(row.state)
    return RecordState(
        kind=row.kind,
        key=row.key,
        seen_at=row.seen_at,
        snapshots={
            name: Snapshot(s["version"], s["digest"], _fields(vocabulary, row.kind, s["fields"]), _nodes(s["links"]))
            for name, s in kept["snapshots"].items()
        },
        milestones=_fields(vocabulary, row.kind, kept["milestones"]),
        links=_nodes(kept["links"]),
    )


class States:
    """Decodes states, and remembers the last ones by their text: records change far less often than they are looked at."""

    def __init__(self, vocabulary: Vocabulary, size: int = 4096) -> None:
        self._vocabulary = vocabulary
        self._size = size
        self._known: OrderedDict[Node, tuple[RecordRow, RecordState]] = OrderedDict()

    def decode(self, row: RecordRow) -> RecordState:
        node = (row.kind, row.key)
        known = self._known.get(node)
        if known and known[0].state == row.state and known[0].seen_at == row.seen_at:
            self._known.move_to_end(node)
            return known[1]
        state = decode_state(self._vocabulary, row)
        self._known[node] = (row, state)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return state

    def encode(self, state: RecordState) -> str:
        return encode_state(self._vocabulary, state)


def _links(links: Iterable[Node]) -> list[list[str]]:
    return sorted([kind, key] for kind, key in links)


def _nodes(links: Iterable[Iterable[str]]) -> frozenset[Node]:
    return frozenset((kind, key) for kind, key in links)


def _fields(vocabulary: Vocabulary, kind: str, kept: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return decode_fields(vocabulary, kind, kept)
    except ValueError:
        declared = vocabulary[kind].fields
        known = {name: value for name, value in kept.items() if name in declared and not declared[name].computed}
        return {name: _field(vocabulary, kind, name, value) for name, value in known.items()}


def _field(vocabulary: Vocabulary, kind: str, name: str, value: Any) -> Any:
    try:
        return decode_fields(vocabulary, kind, {name: value})[name]
    except ValueError:
        return Unreadable(value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str))
