"""Files that only their owner may read: what holds customers' orders, money and secrets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_private(path: Path, text: str) -> None:
    """As `write_private_lines`, all at once."""
    write_private_lines(path, (text,))


def write_private_lines(path: Path, lines: Iterable[str]) -> None:
    """A file that is made is its owner's alone, whatever the umask; one that is there keeps the modes it was given. Raises
    OSError.
    """
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.fchmod(made, 0o600)
    except FileExistsError:
        made = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    with os.fdopen(made, "w", encoding="utf-8") as file:
        file.writelines(lines)


def open_to_others(store: Path, folders: Iterable[Path]) -> Iterator[str]:
    """In words, which of the store's files and of the `.env` files of these folders others can read or write."""
    stores = (Path(f"{store}{end}") for end in ("", "-wal", "-shm"))
    for path in dict.fromkeys([*stores, *(folder / ".env" for folder in folders)]):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue  # it is not there
        if mode & OTHERS:
            yield f"{path} can be read or written by other users (mode {mode:04o}): chmod 600 {path}"
