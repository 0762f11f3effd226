"""World files by name: those in `rules/worlds`, shipped or one's own, and any other path."""

from __future__ import annotations

from pathlib import Path

from engine.language.files import WORLDS, Files
from engine.language.sections import read_file, yaml_files
from engine.language.source import read_source
from engine.language.worlds.world import World, read_world
from engine.problems import Problems, ProblemsFound, did_you_mean


class NoSuchWorld(ValueError):  # noqa: N818 - named for what it tells
    """Nothing is there under that name; the message says which worlds there are."""


def check_worlds(files: Files, problems: Problems) -> None:
    """Reads every world file there is; what is wrong goes to `problems`."""
    for name in yaml_files(files, WORLDS, problems):
        found = Problems()
        node = read_file(files, name, found)
        if node is not None:
            read_world(node, found)
        problems.extend(found)


def worlds_in(files: Files) -> list[str]:
    """The names of the worlds in `rules/worlds`."""
    return [name.removeprefix(f"{WORLDS}/").removesuffix(".yaml") for name in yaml_files(files, WORLDS, Problems())]


def world_named(files: Files, named: str) -> World:
    """The world of a path, or of a name in `rules/worlds`. Raises `NoSuchWorld`, and `ProblemsFound` for what is in the file."""
    problems = Problems()
    path, known = Path(named), f"{WORLDS}/{named.removesuffix('.yaml')}.yaml"
    if path.is_file():
        node = read_source(path.read_bytes(), named, problems)
    elif known in files:
        node = read_file(files, known, problems)
    else:
        there = worlds_in(files)
        raise NoSuchWorld(f'there is no file or world "{named}"{did_you_mean(named, there)}; there are {", ".join(there)}')
    world = None if node is None else read_world(node, problems)
    if world is None:
        raise ProblemsFound(problems)
    return world
