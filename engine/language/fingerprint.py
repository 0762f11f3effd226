"""Names things by what they mean: the same rules written otherwise have the same fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any
from zoneinfo import ZoneInfo

from engine.facts.codec import encode
from engine.facts.values import Rec
from engine.language.compiled import Expression, Template
from engine.language.written import same_meaning
from engine.problems import Place

_LAYOUT = frozenset({"place", "origins", "reads", "meaning"})  # what follows from the rest, or from the file alone


def fingerprint(*parts: Any) -> str:
    """16 hex digits that change when the meaning of a part does; places, comments and layout make no difference."""
    text = json.dumps([canonical(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def canonical(value: Any) -> Any:
    """What a part means as plain JSON values, without places and layout."""
    match value:
        case Expression():
            return canonical(value.value({})) if value.constant else same_meaning(value.text)
        case Template():
            return [canonical(part) for part in value.parts]
        case Place():
            return None
        case ZoneInfo():
            return value.key
        case Rec() | Mapping():
            return {str(key): canonical(each) for key, each in value.items()}
        case list() | tuple():
            return [canonical(each) for each in value]
        case set() | frozenset():
            return sorted(str(canonical(each)) for each in value)
    if is_dataclass(value) and not isinstance(value, type) and value.__class__.__module__ != "engine.facts.values":
        named = {each.name: getattr(value, each.name) for each in fields(value) if each.compare and each.name not in _LAYOUT}
        return {"is": value.__class__.__name__, **{name: canonical(each) for name, each in named.items()}}
    try:
        return encode(value)
    except ValueError:  # a number of more digits than any store keeps; nobody wants one, and it has a meaning all the same
        return str(value)
