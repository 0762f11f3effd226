"""What goes into the log of a fault: where and what, never the values that were at hand."""

from __future__ import annotations

import traceback


def where(fault: BaseException) -> dict[str, str]:
    """Fields for a log line. Frames carry no local variables, so no payload and no secret comes along."""
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(fault.__traceback__)]
    return {"fault": f"{type(fault).__name__}: {fault}", "trace": "\n".join(frames)}
