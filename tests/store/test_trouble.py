"""Whatever is wrong with the disk or the file: one error that says what to do, and nothing acknowledged is lost."""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import sqlite3
import stat
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.run.private import open_to_others, write_private
from engine.store.rows import StoreInUse
from engine.store.sqlite import SqliteStore
from engine.store.sqlite.lock import lock_file
from engine.store.trouble import StoreTrouble
from tests.store.faults import as_nobody, fill, flip, locked, small_disk
from tests.store.test_sqlite import NOON, event


def keep(store: SqliteStore, number: int, size: int = 2000) -> None:
    with store.transaction():
        store.journal.append([event(os.urandom(size), delivery=f"d{number}")], NOON)


def kept(path: Path) -> list[str]:
    store = SqliteStore.open(path)
    try:
        return [one.event.delivery for one in store.journal.after(0, 10_000)]
    finally:
        store.close()


def until_trouble(store: SqliteStore, most: int = 5000) -> tuple[list[str], StoreTrouble]:
    """What was acknowledged before the trouble."""
    acknowledged = []
    for number in range(most):
        try:
            keep(store, number)
        except StoreTrouble as trouble:
            return acknowledged, trouble
        acknowledged.append(f"d{number}")
    raise AssertionError("there was no trouble")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where another user may come."""
    made = Path(tempfile.mkdtemp(prefix="instep-"))
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


class TestNoRoom:
    def test_everything_acknowledged_before_is_there_and_nothing_else(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            store = SqliteStore.open(disk / "a.db")
            acknowledged, trouble = until_trouble(store)
            store.close()
            assert trouble.passes
            assert "Make room" in trouble.remedy
            for part in disk.glob("a.db*"):
                shutil.copy(part, tmp_path / part.name.replace("a.db", "b.db"))
            assert kept(tmp_path / "b.db") == acknowledged

    def test_the_store_goes_on_once_there_is_room(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            store = SqliteStore.open(disk / "a.db")
            keep(store, 0)
            ballast = fill(disk)
            acknowledged, _ = until_trouble(store)
            store.close()
            ballast.unlink()
            again = SqliteStore.open(disk / "a.db")
            keep(again, 9999)
            again.close()
            assert kept(disk / "a.db") == ["d0", *(d for d in acknowledged if d != "d0"), "d9999"]

    def test_a_store_that_may_not_grow(self, tmp_path: Path) -> None:
        """SQLite's own limit: the same error, where no file system can be mounted."""
        store = SqliteStore.open(tmp_path / "a.db")
        pages = store._connection.execute("pragma page_count").fetchone()[0]
        store._connection.execute(f"pragma max_page_count = {pages + 5}")
        acknowledged, trouble = until_trouble(store)
        assert "has no room to grow" in trouble.what
        store.close()
        assert kept(tmp_path / "a.db") == acknowledged

    def test_a_file_that_may_not_grow_is_a_fault_of_the_disk(self, tmp_path: Path) -> None:
        """A quota of the process, by the system: the write itself fails."""
        store = SqliteStore.open(tmp_path / "a.db")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        try:
            acknowledged, trouble = until_trouble(store)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert not trouble.passes
        assert "could not be read or written" in trouble.what
        store.close()
        assert kept(tmp_path / "a.db") == acknowledged


class TestAfterTrouble:
    def test_nothing_more_is_done_on_a_store_in_trouble(self, tmp_path: Path) -> None:
        """Whoever goes on with the next thing after a fault must not find it working again half-way."""
        store = SqliteStore.open(tmp_path / "a.db")
        store._connection.execute("pragma busy_timeout = 10")
        with locked(tmp_path / "a.db"), pytest.raises(StoreTrouble):
            keep(store, 0)
        for use in (lambda: keep(store, 1), store.journal.behind, store.counts, store.changed_elsewhere):
            with pytest.raises(StoreTrouble, match="locked by another process"):
                use()
        store.close()
        assert kept(tmp_path / "a.db") == []

    def test_a_part_that_failed_takes_the_whole_with_it(self, tmp_path: Path) -> None:
        store = SqliteStore.open(tmp_path / "a.db")
        pages = store._connection.execute("pragma page_count").fetchone()[0]
        store._connection.execute(f"pragma max_page_count = {pages + 5}")

        def go_on() -> None:
            with store.transaction():
                keep(store, 0)
                with pytest.raises(StoreTrouble):
                    keep(store, 1, size=100_000)
                keep(store, 2)

        with pytest.raises(StoreTrouble):
            go_on()
        store.close()
        assert kept(tmp_path / "a.db") == []


class TestFiles:
    def test_what_is_not_a_database_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        path.write_bytes(b"client: northwind\n" * 500)
        for as_ in ("owner", "visitor"):
            with pytest.raises(StoreTrouble, match="not a database"):
                SqliteStore.open(path, as_=as_)
        assert path.read_bytes() == b"client: northwind\n" * 500

    def test_a_folder_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(StoreTrouble, match="is a folder"):
            SqliteStore.open(tmp_path)
        with pytest.raises(StoreTrouble, match="there is no folder"):
            SqliteStore.open(tmp_path / "none" / "a.db")

    def test_a_truncated_file_is_told_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        store = SqliteStore.open(path)
        for number in range(50):
            keep(store, number)
        store.close()
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(StoreTrouble, match="is damaged"):
            SqliteStore.open(path)

    @pytest.mark.parametrize("seed", range(5))
    def test_damaged_pages_are_told_and_never_a_fault_of_ours(self, tmp_path: Path, seed: int) -> None:
        path = tmp_path / "a.db"
        store = SqliteStore.open(path)
        for number in range(50):
            keep(store, number)
        store.close()
        flip(path, seed)

        def use() -> None:
            damaged = SqliteStore.open(path)
            try:
                list(damaged.journal.after(0, 1000))
                for number in range(50, 60):
                    keep(damaged, number)
            finally:
                damaged.close()

        with pytest.raises(StoreTrouble) as told:
            use()
        assert "instep restore" in told.value.remedy

    def test_a_store_without_its_wal_is_refused(self, tmp_path: Path) -> None:
        """Killed before anything was moved into the file, and then the -wal went."""
        path = tmp_path / "a.db"
        write_and_die(path)
        (tmp_path / "a.db-wal").unlink()
        with pytest.raises(StoreTrouble, match="is older than it was: it holds 0 events"):
            SqliteStore.open(path)

    def test_a_store_whose_wal_is_damaged_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        write_and_die(path)
        flip(tmp_path / "a.db-wal", 1, offset=32)
        with pytest.raises(StoreTrouble, match="is older than it was"):
            SqliteStore.open(path)

    def test_a_store_that_went_is_not_begun_anew(self, tmp_path: Path) -> None:
        path = tmp_path / "a.db"
        store = SqliteStore.open(path)
        keep(store, 0)
        store.close()
        path.unlink()
        with pytest.raises(StoreTrouble, match=r"is gone: its last owner had committed 1 events"):
            SqliteStore.open(path)
        lock_file(path).unlink()
        SqliteStore.open(path).close()

    def test_a_file_that_may_not_be_written(self, folder: Path) -> None:
        path = folder / "a.db"
        store = SqliteStore.open(path)
        keep(store, 0)
        store.close()
        for one in folder.iterdir():
            one.chmod(0o444)
        folder.chmod(0o555)

        def use() -> str:
            try:
                keep(SqliteStore.open(path), 1)
            except StoreTrouble as trouble:
                return f"{trouble.passes} {trouble}"
            return "it was written"

        assert "False the store" in (said := as_nobody(use)), said
        assert "writable for the user the service runs as" in said

    def test_a_folder_that_may_not_be_written(self, folder: Path) -> None:
        folder.chmod(0o555)

        def use() -> str:
            try:
                SqliteStore.open(folder / "a.db")
            except StoreTrouble as trouble:
                return str(trouble)
            return "it was made"

        assert "writable for the user the service runs as" in (said := as_nobody(use)), said


class TestTwoAtOnce:
    def test_another_name_for_the_same_file_is_the_same_store(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        store = SqliteStore.open(tmp_path / "real" / "a.db")
        (tmp_path / "link.db").symlink_to(tmp_path / "real" / "a.db")
        (tmp_path / "folder").symlink_to(tmp_path / "real")
        for path in (tmp_path / "link.db", tmp_path / "folder" / "a.db", tmp_path / "real" / ".." / "real" / "a.db"):
            with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
                SqliteStore.open(path)
        store.close()
        SqliteStore.open(tmp_path / "link.db").close()

    def test_a_hard_link_is_refused(self, tmp_path: Path) -> None:
        SqliteStore.open(tmp_path / "a.db").close()
        (tmp_path / "b.db").hardlink_to(tmp_path / "a.db")
        with pytest.raises(StoreTrouble, match="hard link"):
            SqliteStore.open(tmp_path / "b.db")

    def test_the_lock_of_a_killed_process_holds_nobody_up(self, tmp_path: Path) -> None:
        write_and_die(tmp_path / "a.db")
        assert lock_file(tmp_path / "a.db").exists()
        assert kept(tmp_path / "a.db") == ["d0"]

    def test_those_who_only_read_come_and_go_beside_the_owner(self, tmp_path: Path) -> None:
        store = SqliteStore.open(tmp_path / "a.db")
        for number in range(3):
            keep(store, number)
            visitor = SqliteStore.open(tmp_path / "a.db", as_="visitor")
            assert visitor.journal.behind() == number + 1
            visitor.close()
        with pytest.raises(StoreInUse):
            SqliteStore.open(tmp_path / "a.db")
        keep(store, 3)
        store.close()


class TestModes:
    def test_what_others_can_read_is_told_at_the_start(self, tmp_path: Path) -> None:
        store = tmp_path / "a.db"
        SqliteStore.open(store).close()
        (tmp_path / ".env").write_text("KEY=1")
        (tmp_path / ".env").chmod(0o640)
        store.chmod(0o644)
        assert list(open_to_others(store, [tmp_path])) == [
            f"{store} can be read or written by other users (mode 0644): chmod 600 {store}",
            f"{tmp_path / '.env'} can be read or written by other users (mode 0640): chmod 600 {tmp_path / '.env'}",
        ]
        store.chmod(0o600)
        (tmp_path / ".env").chmod(0o600)
        assert list(open_to_others(store, [tmp_path])) == []

    def test_a_report_is_for_whoever_asked_alone(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            write_private(tmp_path / "a.html", "first and longer")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o600
        (tmp_path / "a.html").chmod(0o644)  # shared on purpose
        write_private(tmp_path / "a.html", "second")
        assert (tmp_path / "a.html").read_text() == "second"
        assert stat.S_IMODE((tmp_path / "a.html").stat().st_mode) == 0o644

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_only_its_owner_may_read_what_a_store_is_made_of(self, tmp_path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            store = SqliteStore.open(tmp_path / "a.db")
            keep(store, 0)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        finally:
            os.umask(before)
        store.close()
        assert modes == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm", "a.db.lock"), 0o600)


def write_and_die(path: Path) -> None:
    """One event is acknowledged by a process that is killed then."""
    SqliteStore.open(path).close()
    child = os.fork()
    if child == 0:
        keep(SqliteStore.open(path), 0)
        os.kill(os.getpid(), signal.SIGKILL)
    _, ended = os.waitpid(child, 0)
    assert os.WTERMSIG(ended) == signal.SIGKILL


def test_a_fault_of_ours_stays_one(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "a.db")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        store._connection.execute("select * from no_such")
    assert store.journal.behind() == 0


def test_what_was_asked_of_a_store_is_forgotten(tmp_path: Path) -> None:
    """SQLite's module keeps a note of every cursor, and throws those away that are gone only where it made them itself."""

    def notes() -> int:
        return sum(type(found) is weakref.ReferenceType and found() is None for found in gc.get_objects())

    store = SqliteStore.open(tmp_path / "a.db")
    before = notes()
    for _ in range(2000):
        store.journal.position()
    assert notes() - before < 1000
    store.close()
