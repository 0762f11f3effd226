"""`instep map`: the way to debug a mapping."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.cli.output import misused
from engine.facts.codec import encode_fields
from engine.facts.merge import fields_of, merge
from engine.facts.outside import Event, installed_actions
from engine.facts.record import Observation
from engine.language.mapping import observe
from engine.language.pack import load, project_root
from engine.language.ruleset import RuleSet
from engine.problems import did_you_mean


def mapped(root: Path | None, client: str, kind: str, payload: bytes, about: str) -> dict[str, Any]:
    """The records of one payload as JSON, or `{"set_aside": why, "place": ..., "path": ...}`."""
    rule_set = load(project_root(root), client, installed_actions())
    if kind not in rule_set.mappings:
        misused(f"no mapping reads {kind!r}{did_you_mean(kind, rule_set.mappings)}")
    event = Event(kind.partition(".")[0], kind, payload, datetime.now(UTC), requested=True, about=about)
    found, aside = observe(rule_set.mappings[kind], event)
    if aside:
        return {"set_aside": aside[0].reason, "place": str(aside[0].place), "path": aside[0].path}
    return {"records": [record_json(rule_set, observation) for observation in found]}


def record_json(rule_set: RuleSet, observation: Observation) -> dict[str, Any]:
    """The record an observation makes by itself."""
    fields = fields_of(merge(None, observation))
    return {
        "kind": observation.kind,
        "key": observation.key,
        "version": observation.version,
        "links": sorted(f"{k}:{key}" for k, key in observation.links),
        "fields": encode_fields(rule_set.vocabulary, observation.kind, fields),
    }
