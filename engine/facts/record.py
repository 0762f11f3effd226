"""What is kept of one outside thing: the merged state of a record, and one observation of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Fields = Mapping[str, Any]  # canonical values by field; a list of items is a tuple of such mappings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The winning fields of one mapping, with what made them win: greater version, then greater digest.

    `links` are the keys of other records named by what won.
    """

    version: str
    digest: str
    fields: Fields
    links: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class RecordState:
    """One record after all observations so far.

    `snapshots` holds the winner per mapping, `milestones` what is kept over all of them, `links` the keys of other records
    it names, as (kind, key). `seen_at` is when it was first observed.
    """

    kind: str
    key: str
    seen_at: datetime
    snapshots: Mapping[str, Snapshot] = field(default_factory=dict)
    milestones: Fields = field(default_factory=dict)
    links: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a mapping made of one event: the change to one record.

    `version` sorts as text. `milestones` hold fields declared with `keep`; a kept list is a tuple of item mappings, a kept
    field of an item stands under `"<list>"` as a mapping of item key to fields. `item_keys` names, for each list among the
    milestones, the field that is the key of its items.
    """

    mapping: str
    kind: str
    key: str
    version: str
    digest: str
    observed_at: datetime
    fields: Fields
    milestones: Fields = field(default_factory=dict)
    keeps: Mapping[str, str] = field(default_factory=dict)
    item_keys: Mapping[str, str] = field(default_factory=dict)
    links: frozenset[tuple[str, str]] = frozenset()
