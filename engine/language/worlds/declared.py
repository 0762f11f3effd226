"""How a section of a world file is declared: a dataclass, each field of which says what an author writes for it.

The reader, the default, the form and the JSON Schema of a section are all made from that one declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar, cast

from engine.language.forms import Form, Key, map_of, refer
from engine.language.node import Node
from engine.language.worlds.chances import Kind
from engine.problems import Problems

T = TypeVar("T")


def said(doc: str, kind: Kind, default: Any = MISSING, *, name: str = "", example: str = "") -> Any:
    """One key: what it means and how it is written. Without a default it is required. `name` is the key, if otherwise."""
    key = Key(doc, kind.shape, required=default is MISSING, example=example)
    given = {"default_factory": lambda: dict(default)} if isinstance(default, Mapping) else {"default": default}
    return field(**given, metadata={"key": key, "kind": kind, "name": name})


def section(of: type[Any]) -> Kind:
    """A mapping with the keys of another section."""
    return Kind(refer(form_of(of).name), lambda node, problems, what: read(of, node, problems, what))


def sections(of: type[Any]) -> Kind:
    """Such mappings by a name the author chooses."""

    def found(node: Node, problems: Problems, what: str) -> dict[str, Any] | None:
        if not node.expect_map(problems, what):
            return None
        made = {key: read(of, inner, problems, f"{key} in {what}") for key, _, inner in node.items()}
        return {key: one for key, one in made.items() if one is not None}

    return Kind(map_of(refer(form_of(of).name)), found)


def form_of(of: type[Any]) -> Form:
    """The keys of a section, as every reader and schema takes them."""
    return Form(f"world_{of.__name__.lower()}", (of.__doc__ or "").strip(), {_name(f): f.metadata["key"] for f in fields(of)})


def forms_below(of: type[Any]) -> Iterator[Form]:
    """The form of a section and of all sections in it."""
    yield form_of(of)
    for inner in getattr(of, "INNER", ()):
        yield from forms_below(inner)


def read(of: type[T], node: Node, problems: Problems, what: str) -> T | None:
    """What a mapping says. What it does not say is as declared. None after problems."""
    found = Problems()
    if not node.expect_map(problems, what):
        return None
    node.expect_form(found, what, form_of(of))
    given: dict[str, Any] = {}
    for each in fields(cast(Any, of)):
        inner = node.get(_name(each))
        if inner is not None:
            given[each.name] = each.metadata["kind"].read(inner, found, f'"{_name(each)}"')
    problems.extend(found)
    return None if found.errors else of(**given)


def _name(declared: Field[Any]) -> str:
    return declared.metadata["name"] or declared.name
