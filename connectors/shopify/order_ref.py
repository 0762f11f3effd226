"""Where a store order keeps the marketplace's order id. Every integration writes it somewhere else, so it is a setting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

import re2
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class OrderRef(BaseModel):
    """`order_ref: {from: note_attribute, name: mirakl_order_id}`.

    With a `pattern` (RE2) the value is what its first group catches, or without a group all of what it catches; a value it
    is not found in is none. Tags need one: most of them are not order ids.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["note_attribute", "tag", "name", "source_identifier"] = Field("note_attribute", alias="from")
    name: str = "mirakl_order_id"
    pattern: str = ""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re2.compile(pattern)
        except re2.error as fault:
            raise ValueError(f"{pattern!r} is not a regular expression: {fault}") from None
        return pattern

    @model_validator(mode="after")
    def _tags_need_a_pattern(self) -> Self:
        if self.source == "tag" and not self.pattern:
            raise ValueError("order_ref from a tag needs a pattern that tells which tag it is, such as '^mirakl:(.+)$'")
        return self

    def find(self, order: Mapping[str, Any]) -> str:
        """The marketplace's order id on an order as REST or GraphQL writes it; "" if there is none."""
        for value in self._candidates(order):
            found = self._caught(value.strip())
            if found:
                return found
        return ""

    def _candidates(self, order: Mapping[str, Any]) -> Iterator[str]:
        match self.source:
            case "note_attribute":
                yield from _attribute(order, self.name)
            case "tag":
                yield from _tags(order)
            case "name":
                yield from _texts(order.get("name"))
            case "source_identifier":
                yield from _texts(order.get("source_identifier", order.get("sourceIdentifier")))

    def _caught(self, value: str) -> str:
        if not value.isprintable():  # a broken character would be kept by no store, and is in no order id
            return ""
        if not self.pattern:
            return value
        match = re2.search(self.pattern, value)
        if match is None:
            return ""
        return str((match.group(1) if match.re.groups else match.group(0)) or "").strip()


def _attribute(order: Mapping[str, Any], name: str) -> Iterator[str]:
    given = order.get("note_attributes", order.get("customAttributes"))
    for attribute in given if isinstance(given, list) else ():
        if isinstance(attribute, Mapping) and attribute.get("name", attribute.get("key")) == name:
            yield from _texts(attribute.get("value"))


def _tags(order: Mapping[str, Any]) -> Iterator[str]:
    """REST writes tags as one text with commas, GraphQL as a list."""
    given = order.get("tags")
    for tag in given.split(",") if isinstance(given, str) else given if isinstance(given, list) else ():
        yield from _texts(tag)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)
