"""All that was read from files, before it is put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.facts.outside import Action, Codes
from engine.facts.schema import Vocabulary
from engine.language.client import ClientConfig
from engine.language.mapping import RecordMapping
from engine.language.node import Node
from engine.language.sections import Sections


@dataclass(frozen=True, slots=True)
class Ingredients:
    """Without a `client` it is the packs alone, as `check` looks at them."""

    vocabulary: Vocabulary
    sections: Sections
    mappings: tuple[RecordMapping, ...]
    codes: Codes
    actions: Mapping[str, Action]
    client: ClientConfig | None = None
    client_node: Node | None = None
