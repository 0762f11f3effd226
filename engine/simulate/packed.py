"""What is told of a history as bytes: every event passes here once, so they are few and quickly read again."""

from __future__ import annotations

import copyreg
import dataclasses
import io
import pickle
from collections.abc import Callable
from datetime import UTC, timezone
from operator import attrgetter
from typing import Any

from engine.facts.outside import Event
from engine.facts.record import Observation
from engine.facts.values import Money
from engine.simulate.history import Looked, Outcome, Stepped, TakenIn
from engine.simulate.replay import Told, ToldAt
from engine.simulate.seen import CaseSeen, EffectSeen, ExceptionSeen, Withheld

Reduced = tuple[Callable[..., Any], tuple[Any, ...]]


def dumps(value: Any) -> bytes:
    """Bytes that `loads` reads; only for files and pipes of our own."""
    told = io.BytesIO()
    _Writer(told, pickle.HIGHEST_PROTOCOL).dump(value)
    return told.getvalue()


def loads(told: bytes) -> Any:
    """What `dumps` was given."""
    return _Reader(io.BytesIO(told)).load()


def _by_fields(cls: type[Any]) -> Callable[[Any], Reduced]:
    """Made again by its constructor: twice as quick as the way of frozen dataclasses, which asks for their fields each time."""
    values = attrgetter(*(field.name for field in dataclasses.fields(cls)))
    return lambda value: (cls, values(value))


def _utc() -> timezone:
    return UTC


def _zone(zone: timezone) -> Any:
    return (_utc, ()) if zone is UTC else zone.__reduce__()


class _Writer(pickle.Pickler):
    dispatch_table = {  # noqa: RUF012 - where the pickler looks for it
        **copyreg.dispatch_table,
        **{cls: _by_fields(cls) for cls in (Event, Looked, Money, Observation, Outcome, Stepped, TakenIn, Told, ToldAt)},
        **{cls: _by_fields(cls) for cls in (CaseSeen, EffectSeen, ExceptionSeen, Withheld)},
        timezone: _zone,
    }


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = _CLASSES.get((module, name))
        if known is None:
            known = _CLASSES[module, name] = super().find_class(module, name)
        return known


_CLASSES: dict[tuple[str, str], Any] = {}  # as they were found: looking one up costs more than reading an event's fields
