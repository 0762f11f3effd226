"""Secrets are only ever named in YAML, `{secret: NAME}`, and looked up where the program runs. From there on they are
`SecretStr`: whoever prints one prints stars.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from pydantic import SecretStr

from engine.problems import Place, Problems, ProblemsFound


def resolve_secrets(
    settings: Mapping[str, Any],
    directory: Path,
    *,
    environment: Mapping[str, str] | None = None,
    place: Place | None = None,
) -> dict[str, Any]:
    """The settings with each `{secret: NAME}` replaced by its value, which does not show itself.

    A name is looked up in the environment, then in `.env` of the working directory and of `directory`; in each of them
    `NAME` first, then the file that `NAME_FILE` names. Raises `ProblemsFound` naming every secret that is nowhere.
    """
    where = place or Place(str(directory / "client.yaml"))
    problems = Problems()
    sources = _sources(directory, os.environ if environment is None else environment, problems)
    resolved = {key: _resolve(value, sources, where, problems) for key, value in settings.items()}
    if problems:
        raise ProblemsFound(problems)
    return resolved


def secret_name(value: Any) -> str | None:
    """The name in `{secret: NAME}`, or None where the value is something else."""
    if isinstance(value, Mapping) and value.keys() == {"secret"} and isinstance(value["secret"], str):
        return value["secret"]
    return None


def secret_settings(settings: type[Any]) -> frozenset[str]:
    """The settings of a connector that are secrets, by the type it declares them with."""
    fields: Mapping[str, Any] = getattr(settings, "model_fields", {})
    return frozenset(name for name, field in fields.items() if SecretStr in (field.annotation, *get_args(field.annotation)))


def _sources(directory: Path, environment: Mapping[str, str], problems: Problems) -> list[Mapping[str, str | None]]:
    found: list[Mapping[str, str | None]] = [environment]
    for file in dict.fromkeys((Path.cwd() / ".env", directory / ".env")):
        try:
            if file.is_file():
                found.append(dotenv_values(file, interpolate=False))
        except (OSError, ValueError) as error:
            problems.add(Place(str(file)), "secret-file", f"it cannot be read for secrets: {_why(error)}")
    return found


def _resolve(value: Any, sources: list[Mapping[str, str | None]], place: Place, problems: Problems) -> Any:
    name = secret_name(value)
    if name is not None:
        return _look_up(name, sources, place, problems)
    if isinstance(value, Mapping):
        return {key: _resolve(each, sources, place, problems) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_resolve(each, sources, place, problems) for each in value]
    return value


def _look_up(name: str, sources: list[Mapping[str, str | None]], place: Place, problems: Problems) -> SecretStr:
    for source in sources:
        if value := source.get(name):
            return SecretStr(value)
        if path := source.get(f"{name}_FILE"):
            try:
                return SecretStr(Path(path).read_text(encoding="utf-8").rstrip("\r\n"))
            except (OSError, ValueError) as error:
                problems.add(place, "secret-file", f"{name}_FILE names {path}, which cannot be read: {_why(error)}")
                return SecretStr("")
    message = f"secret {name} is not set; put {name} or {name}_FILE into the environment or a .env file"
    problems.add(place, "secret-missing", message)
    return SecretStr("")


def _why(error: Exception) -> str:
    """The reason without the content: a secret's bytes never reach a message."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "it is not text"
