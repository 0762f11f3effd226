"""How deep JSON is nested, found in its bytes before any of it is built."""

from __future__ import annotations

import re

_TEXTS = re.compile(
    rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL
)  # one that is never closed goes to the end: linear, whatever comes
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def deeper_than(body: bytes, most: int) -> bool:
    """Whether objects and lists stand within each other deeper than that, found without building any of them."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth = 0
    for bracket in _TEXTS.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False
