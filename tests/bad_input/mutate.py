"""Inputs gone wrong: real ones with a part exchanged, torn out, doubled, bent or blown up. The same generator makes the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

TEXTS = (
    "",
    " ",
    "\t",
    "\n",
    "null",
    "true",
    "NO",
    "0",
    "-1",
    "1e999",
    "NaN",
    "Infinity",
    "٣",
    "½",
    "é",
    "e\u0301",
    "\u2028",
    "\ufeff",
    "\ufffd",
    "\x00",
    "a\x00b",
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "\x7f",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\ud800",
    "\udfff\ud800",
    "\U0001f4a3",
    "=1+1",
    "+1",
    "-1+1",
    "@sum",
    "'=1",
    "<script>alert(1)</script>",
    "&amp;",
    "{{7*7}}",
    "{rma.id}",
    "{",
    "}",
    "[bold]",
    "%s",
    "%00",
    "../../../etc/passwd",
    "..",
    "/",
    "\\",
    "a/b",
    "L1#1",
    "#",
    "order:A",
    ":",
    "rma:1001",
    "'; drop table journal; --",
    '"',
    "'",
    ",",
    "a" * 300,
    "9" * 30,
    "9" * 5000,
    "x" * 70_000,
    "2026-11-01T09:30:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "2026-11-01",
    "24:00",
    "EUR",
    "XXX",
    "eur",
    "12.50",
    "0.001",
    "-0",
    "1,5",
    "1_000",
    "0x10",
    "Done",
    "REFUNDED",
)
RAW = (  # as they stand in JSON, where no Python number can say it
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "0.000000000000000000001",
    "1e400",
    "-1e-400",
    "1E+2",
    "1e2147483648",
    "9223372036854775808",
    "9" * 40,
    "9" * 4400,
    "0." + "3" * 90,
    "1e-6176",
    "12.345",
    "10001",
    "1000000000",
    "NaN",
    "-Infinity",
    "00",
    "1.",
    "0x1",
)
BYTES = (
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x92\xa3",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\t",
    b'"',
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b"#",
    b"&a ",
    b"*a",
    b"!!python/object:os.system ",
    b"<<: ",
    b"---\n",
    b"...",
    b"- ",
    b"%",
    b"\x1b[2J",
    b"=",
    b"\xc2\x85",
    b"\xe2\x80\xae",
    b"(" * 120,
    b"[" * 2000,
    b"{" * 300,
    b"9" * 5000,
    b"$(x)",
    b"`",
)


def bent_bytes(rng: Random, data: bytes) -> bytes:
    """A few edits anywhere: something put in, taken out, flipped, doubled or moved."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice((1, 1, 2, 5, 20, 200)))
        match rng.randrange(6):
            case 0:
                found[at:at] = rng.choice(BYTES)
            case 1:
                del found[at:end]
            case 2:
                found[at:end] = rng.choice(BYTES)
            case 3:
                found[at:at] = found[at:end] * rng.choice((1, 2, 30))
            case 4 if at < len(found):
                found[at] ^= 1 << rng.randrange(8)
            case _:
                piece = bytes(found[at:end])
                del found[at:end]
                put = rng.randrange(len(found) + 1)
                found[put:put] = piece
    return bytes(found)


def bent_text(rng: Random, text: str, words: Sequence[str] = TEXTS) -> str:
    """As `bent_bytes`, in characters, with whole words put in."""
    found = text
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(found) + 1)
        end = min(len(found), at + rng.choice((0, 1, 1, 3, 10, 40)))
        put = rng.choice((rng.choice(words), found[at:end] * 2, "", chr(rng.choice((rng.randrange(128), rng.randrange(0x3000))))))
        found = found[:at] + put + found[end:]
    return found


def bent_lines(rng: Random, text: str, words: Sequence[str] = TEXTS) -> str:
    """Lines of YAML doubled, dropped, swapped, indented otherwise, or with another value."""
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                other = rng.randrange(len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                lines[at] = " " * rng.choice((0, 1, 2, 4, 8)) + lines[at].lstrip()
            case 4 | 5:
                key, colon, _ = lines[at].partition(":")
                lines[at] = f"{key}{colon} {rng.choice(words)}" if colon else rng.choice(words)
            case _:
                lines[at] = bent_text(rng, lines[at], words)
    return "\n".join(lines)


def bent_json(rng: Random, text: str, pool: Sequence[str] = ()) -> bytes:
    """JSON with a few values of it exchanged, torn out, doubled or nested; at times its bytes bent too. `pool` are other texts of
    JSON, of which parts are put in.
    """
    value = json.loads(text)
    raw: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        value = _with_change(rng, value, raw, pool)
    written = json.dumps(value, ensure_ascii=rng.random() < 0.7)
    for number, each in enumerate(raw):
        written = written.replace(f'"@raw{number}@"', each)
    data = written.encode("utf-8", "surrogatepass")
    return bent_bytes(rng, data) if rng.random() < 0.1 else data


def _with_change(rng: Random, value: Any, raw: list[str], pool: Sequence[str]) -> Any:
    """Goes down at random and changes what it finds there."""
    if rng.random() < 0.02:
        return _other(rng, value, raw, pool)
    holder, key = None, None
    here = value
    while isinstance(here, dict | list) and here and (holder is None or rng.random() < 0.85):
        holder = here
        key = rng.choice(list(here)) if isinstance(here, dict) else rng.randrange(len(here))
        here = holder[key]
    if holder is None:
        return _other(rng, value, raw, pool)
    match rng.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(rng.randrange(len(holder) + 1), here)
        case 1 if isinstance(key, str):
            holder[rng.choice((key.upper(), f"{key} ", rng.choice(TEXTS), rng.choice(list(holder))))] = here
        case 2 if isinstance(here, list):
            holder[key] = here * rng.choice((2, 3, 40))
        case _:
            holder[key] = _other(rng, here, raw, pool)
    return value


def _other(rng: Random, value: Any, raw: list[str], pool: Sequence[str]) -> Any:
    match rng.randrange(9):
        case 0 | 1:
            return rng.choice(TEXTS)
        case 2 | 3:
            raw.append(rng.choice(RAW))
            return f"@raw{len(raw) - 1}@"
        case 4:
            return rng.choice((None, True, False, [], {}, [[]], [None], {"": None}))
        case 5:
            return rng.choice(([value], {"value": value}, {"secret": value}, [value, value], {"unreadable": value}))
        case 6 if pool:
            return _part(rng, json.loads(rng.choice(pool)))
        case 7 if isinstance(value, str) and value:
            return bent_text(rng, value)
        case 8:
            deep: Any = value
            for _ in range(rng.choice((5, 70, 300))):
                deep = [deep] if rng.random() < 0.5 else {"a": deep}
            return deep if rng.random() < 0.1 else [value]
    return rng.choice(TEXTS)


def _part(rng: Random, value: Any) -> Any:
    here = value
    while isinstance(here, dict | list) and here and rng.random() < 0.8:
        here = rng.choice(list(here.values())) if isinstance(here, dict) else rng.choice(here)
    return here
