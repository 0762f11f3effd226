"""The command line. Every verb is a thin caller of the floor it belongs to; `--json` prints for programs.

Exit codes: 0 fine, 1 problems were found, 2 used wrongly.
"""

from engine.cli import verbs
from engine.cli.app import app, main

__all__ = ["app", "main", "verbs"]
