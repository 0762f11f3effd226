"""The books: CSV files in one directory, written whole or not at all, and never changed afterwards."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from connectors.ledger.postings import PostingLine
from engine.facts.values import Money

COLUMNS = (
    "line",  # posting, component and code: one line's own id
    "posting",  # what was booked together; the same posting is never booked twice
    "kind",  # refund, or adjustment of one
    "posted_at",  # UTC
    "order_id",
    "order_line_id",
    "refund_id",
    "component",  # amount, shipping, tax, shipping_tax, commission, commission_tax
    "code",  # of a tax
    "amount",  # negative where money leaves us
    "currency",
    "tax_mode",  # included: amount and shipping hold their taxes; excluded: they do not; empty: there are none
)
_OURS = "post-*.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")  # what a cell begins with that a spreadsheet does not take for text


class UnreadableBooks(Exception):  # noqa: N818 - it tells of the books, not of a fault of ours
    """A file of ours that somebody changed beyond reading. Nothing is booked until a person has looked at it."""


class Books:
    """Reads and writes one directory. A file that was read is read again only when it has changed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._read: dict[Path, tuple[tuple[int, int], tuple[PostingLine, ...]]] = {}

    def lines(self) -> tuple[PostingLine, ...]:
        """Everything booked, by time and line. Raises `UnreadableBooks`."""
        files = sorted(self.directory.glob(_OURS))
        self._read = {file: self._lines_of(file) for file in files}
        found = (line for _, lines in self._read.values() for line in lines)
        return tuple(sorted(found, key=lambda line: (line.posted_at, line.id)))

    def write(self, postings: Iterable[str], lines: Iterable[PostingLine]) -> Path:
        """One file for these postings, named after them, so that writing them again gives the same file."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256("\n".join(sorted(postings)).encode()).hexdigest()[:24]
        file = self.directory / f"post-{digest}.csv"
        _write_whole(file, _as_csv(lines))
        return file

    def _lines_of(self, file: Path) -> tuple[tuple[int, int], tuple[PostingLine, ...]]:
        about = file.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        held = self._read.get(file)
        return held if held is not None and held[0] == stamp else (stamp, tuple(_from_csv(file)))


def _as_csv(lines: Iterable[PostingLine]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in lines:
        posted_at = line.posted_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        texts = (line.id, line.posting, line.kind, posted_at, line.order_id, line.order_line_id, line.refund_id, line.component)
        amount = (f"{line.amount.amount:f}", line.amount.currency)
        writer.writerow((*map(_as_text, (*texts, line.code)), *amount, _as_text(line.tax_mode)))
    return text.getvalue()


def _as_text(value: str) -> str:
    """A cell that a spreadsheet takes for text: others give the ids, and one that begins like a formula would be worked out."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _from_text(cell: str | None) -> str:
    if cell is None:
        raise ValueError("a column is missing")
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def _from_csv(file: Path) -> Iterator[PostingLine]:
    try:
        with file.open(encoding="utf-8", newline="") as text:
            rows = list(csv.DictReader(text, strict=True))
        yield from map(_line, rows)
    except (KeyError, TypeError, ValueError, InvalidOperation, csv.Error) as fault:
        raise UnreadableBooks(f"{file.name} is not a file of postings any more: {fault!r}") from None
    if not rows:
        raise UnreadableBooks(f"{file.name} holds no postings any more")


def _line(row: Mapping[str, str]) -> PostingLine:
    amount = Decimal(row["amount"])
    if not amount.is_finite():
        raise ValueError(f"{amount} is no amount")
    texts = {name: _from_text(row[name]) for name in COLUMNS}
    return PostingLine(
        texts["posting"], texts["kind"], datetime.fromisoformat(row["posted_at"]).astimezone(UTC), texts["order_id"],
        texts["order_line_id"], texts["refund_id"], texts["component"], texts["code"], Money(amount, row["currency"]),
        texts["tax_mode"],
    )  # fmt: skip


def _write_whole(file: Path, text: str) -> None:
    """Under another name first: a crash leaves the whole file or none, and what is there outlives a loss of power."""
    draft = file.with_name(f".{file.name}.draft")
    with draft.open("w", encoding="utf-8", newline="") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
