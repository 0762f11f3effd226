"""What comes from outside may hold characters that command a terminal: they are shown, not obeyed."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

# C0 and C1 controls but tab and line feed, DEL, and the characters that turn the direction of text
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """The text with each such character as its code, as in `\\u001b`."""
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def visible_fields(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: a log line stays one line, whatever its values hold. The trace is ours, and has lines of its own."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = visible(value) if name == "trace" else visible(value).replace("\n", "\\n")
    return event


class Plain(Console):
    """A console on which text from outside is text: no markup is read out of it, and it commands nothing."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        if isinstance(renderable, Table):
            for column in renderable.columns:
                column.overflow = "fold" if column.overflow == "ellipsis" else column.overflow  # a name cut off names nothing
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)
