"""`instep check --live`: a client's codes, asked of its own systems."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.problems import Problems
from engine.run.boot import check_codes
from engine.run.clock import SystemClock


def codes_checked(root: Path, client: str) -> tuple[Problems, tuple[str, ...]]:
    """Problems with codes, and what could not be asked."""
    return asyncio.run(check_codes(root, client, SystemClock()))
