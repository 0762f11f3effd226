"""Pages drawn from plain values; everything that comes from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from engine.console.entrance import Visitor
from engine.desk.corrections import said_as

MENU = (
    ("", "Overview"),
    ("exceptions", "Exceptions"),
    ("cases", "Cases"),
    ("effects", "Effects"),
    ("events", "Set aside"),
    ("rules", "Rules"),
    ("audit", "Audit"),
)


def page(template: str, told: Mapping[str, Any], visitor: Visitor | None, client: str, said: str = "") -> str:
    """One page of the console, as HTML."""
    drawn = _environment().get_template(f"{template}.html.j2")
    return drawn.render({**told, "visitor": visitor, "client": client, "said": said, "menu": MENU, "template": template})


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("engine.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"when": _when, "plain": _plain, "pretty": _pretty, "path": lambda text: quote(str(text), safe="")}
    made.filters |= {"short": _short, "words": lambda text: str(text).replace("_", " "), "milestone": said_as}
    return made


def _when(text: str | None) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M}Z" if text else ""


def _short(case: str) -> str:
    """A case as people call it: an order by its number alone."""
    return case.removeprefix("order:")


def _plain(value: Any) -> str:
    """A value of a parameter or detail, short."""
    if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, dict) and "key" in value:
        return str(value["key"])
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(each) for each in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _pretty(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
