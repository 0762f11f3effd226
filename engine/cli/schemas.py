"""`instep schema`: what an editor needs to complete, explain and check YAML while it is typed."""

from __future__ import annotations

import json
import os
from pathlib import Path

from engine.facts.outside import installed_actions, installed_connectors
from engine.language.files import read_files
from engine.language.json_schema import schemas
from engine.language.known import known_in

FOLDER = Path(".instep/schemas")  # below the project, where the first line of a file can name it whatever editor opens it


def write_schemas(root: Path, out: Path | None = None) -> list[Path]:
    """Writes a schema for each kind of file, into `.instep/schemas` of the project unless said otherwise; the paths of all."""
    folder = out or root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if out is None:
        (folder.parent / ".gitignore").write_text("*\n", encoding="utf-8")  # made from the project, so never a part of it
    written: list[Path] = []
    known = known_in(read_files(root), installed_actions(), installed_connectors())
    for kind, schema in schemas(known).items():
        path = folder / f"{kind}.json"
        path.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


def first_line(name: str, kind: str) -> str:
    """What names its schema in a file of the project, as in `rules/base/refund.yaml`."""
    up = os.path.relpath(FOLDER, Path(name).parent)
    return f"# yaml-language-server: $schema={Path(up).as_posix()}/{kind}.json"
