"""The part of what `instep new connector` makes in the contract tests: it keeps every promise before a line of it is changed."""

from __future__ import annotations

import atexit
import importlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.serving import Served
from engine.cli.connector_scaffold import new_connector
from engine.facts.outside import Clock
from tests.connectors.kit import Kit, World

FOLDER = Path(tempfile.mkdtemp(prefix="instep-depot-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
new_connector(FOLDER, "depot", "warehouse")
sys.path.append(str(FOLDER / "instep_depot"))


@contextmanager
def world(clock: Clock) -> Iterator[World]:
    sandbox = importlib.import_module("instep_depot.sandbox").DepotSandbox(clock)
    sandbox.put("RG-1")
    sandbox.put("RG-2")
    with Served(sandbox.app) as url:
        yield World(settings=sandbox.settings(url), faults=sandbox.faults, secrets=[sandbox.key])


def kit() -> Kit:
    connector = importlib.import_module("instep_depot.connector").DepotConnector
    return Kit(connector, world, unreachable={"url": "http://127.0.0.1:9"}, project=FOLDER / "instep_depot")
