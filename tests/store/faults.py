"""Real faults of disks and files, made for a test."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@contextmanager
def small_disk(at: Path, size: str = "1m") -> Iterator[Path]:
    """A file system of its own, of that size."""
    at.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.decode().strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(folder: Path) -> Path:
    """Leaves no room there. Answers the file to delete when room is wanted again."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return ballast


def flip(path: Path, seed: int, offset: int = 4096, count: int = 400) -> None:
    """Other bytes than were written, anywhere after the first page."""
    chosen = random.Random(seed)
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for _ in range(count):
            place = chosen.randrange(offset, size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ 0xFF]))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another connection writes, for as long as this lasts."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    try:
        yield
    finally:
        other.execute("rollback")
        other.close()


def as_nobody(work: Callable[[], str]) -> str:
    """What `work` says, run as a user whom the modes of files bind, which those who test as root are not."""
    if os.geteuid() != 0:
        return work()
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            theirs.send(work())
        except BaseException as fault:
            theirs.send(f"{type(fault).__name__}: {fault}")

    process = context.Process(target=child)
    process.start()
    said = ours.recv() if ours.poll(30) else "nothing was said"
    process.join()
    return str(said)
