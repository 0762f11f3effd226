"""Forms as pieces of JSON Schema, with what an editor shows of each key."""

from __future__ import annotations

from typing import Any

from engine.language.forms import Form, Key

Json = dict[str, Any]


def form_schema(form: Form) -> Json:
    required = {"required": list(form.required)} if form.required else {}
    properties = {name: described(key) for name, key in form.keys.items()}
    return {
        "type": "object",
        "description": form.doc,
        "properties": properties,
        **required,
        "additionalProperties": False,
        **form.also,
    }


def described(key: Key) -> Json:
    return {**key.shape, **said_of(key)}


def said_of(key: Key) -> Json:
    """What an editor shows of a key."""
    shown = {"markdownDescription": f"{key.doc}\n\n```yaml\n{key.example}\n```"} if key.example else {}
    return {"description": key.doc, **shown}
