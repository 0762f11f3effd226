"""What goes into the log of a fault: where and what, never the values that were at hand."""

from __future__ import annotations

import re
import traceback

_QUOTED = re.compile(r"'[^']*+'?|\"[^\"]*+\"?")


def where(fault: BaseException) -> dict[str, str]:
    """Fields for a log line. Frames carry no local variables, and what a message quotes is left out: it may be of a payload, and
    payloads may hold what is personal.
    """
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)]
    said = _QUOTED.sub("'...'", str(fault))
    return {"fault": f"{type(fault).__name__}: {said}", "trace": "\n".join(frames)}
