"""The examples of a guide: YAML whose first line names its file, and the commands of its shell blocks."""

from __future__ import annotations

import re
from pathlib import Path

MAIN = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\S+\.(?:yaml|json))\n")


def blocks(guide: str, language: str) -> list[str]:
    return [body for found, body in _BLOCK.findall((MAIN / guide).read_text(encoding="utf-8")) if found == language]


def files(guide: str) -> dict[str, str]:
    """Every YAML example by the file it says it is; one that names none is no example, but a mistake."""
    found: dict[str, str] = {}
    for body in blocks(guide, "yaml"):
        named = _NAMED.match(body)
        assert named, f"{guide}: an example must begin with the name of its file:\n{body}"
        assert named[1] not in found, f"{guide}: {named[1]} is there twice"
        found[named[1]] = body
    return found


def project(guide: str, folder: Path) -> Path:
    """All examples of a guide as one project."""
    for name, text in files(guide).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
