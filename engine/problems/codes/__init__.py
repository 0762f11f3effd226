"""Every problem code, declared once. A new one is one more `Code` in the module it fits, or in a new module named below."""

from __future__ import annotations

from collections.abc import Mapping

from engine.problems.codes import calendars, clients, doubts, expressions, overrides, rules, scenarios, tables, words, writing
from engine.problems.declared import Code

CODES: Mapping[str, Code] = {
    code.name: code
    for module in (writing, expressions, rules, overrides, tables, words, clients, calendars, doubts, scenarios)
    for code in module.CODES
}
