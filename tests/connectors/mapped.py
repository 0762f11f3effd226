"""Events read with the shipped mappings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from engine.facts.merge import fields_of, merge
from engine.facts.outside import Event
from engine.facts.record import Observation, RecordState
from engine.facts.schema import Vocabulary
from engine.language.mapping import RecordMapping, SetAside, observe
from engine.language.mapping_file import check_owners, read_mapping
from engine.language.source import read_source
from engine.language.vocabulary import read_vocabulary
from engine.problems import Problems
from tests.connectors.kit import MAIN


@cache
def mappings(connector: str) -> tuple[RecordMapping, ...]:
    """The mappings of one connector, without a problem."""
    problems = Problems()
    found = [
        read_mapping(_node(path, problems), connector, vocabulary(), problems)
        for path in sorted((MAIN / "mappings" / connector).glob("*.yaml"))
        if path.name != "codes.yaml"
    ]
    check_owners([one for one in found if one], problems)
    assert not problems, str(problems)
    return tuple(one for one in found if one)


@cache
def vocabulary() -> Vocabulary:
    problems = Problems()
    read = read_vocabulary(_node(MAIN / "mappings/facts.yaml", problems), problems)
    assert not problems, str(problems)
    return read


def _node(path, problems):
    node = read_source(path.read_bytes(), str(path.relative_to(MAIN)), problems)
    assert node is not None, str(problems)
    return node


def read(event: Event) -> list[Observation] | SetAside:
    """What the mapping of an event's kind makes of it."""
    observed, aside = observe([one for one in mappings(event.connector) if one.event == event.kind], event)
    return aside[0] if aside else observed


def observed(event: Event) -> Observation:
    found = read(event)
    assert isinstance(found, list), str(found)
    [one] = found
    return one


def merged(events: Iterable[Event]) -> RecordState:
    state = None
    for event in events:
        state = merge(state, observed(event))
    assert state is not None
    return state


def facts(*events: Event) -> dict[str, Any]:
    """The merged fields of the one record these events are about."""
    return fields_of(merged(events))


def pushed(connector: str, kind: str, body: bytes, about: str = "") -> Event:
    return Event(connector, kind, body, datetime(2026, 11, 2, tzinfo=UTC), requested=False, about=about)
