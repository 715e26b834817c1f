"""The file of a journal in SQLite: private when it is made, read without a trace, and on no network file system."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lifecycle import V1_FULL
from lifecycle_adapters.journal import JournalError, JournalReadOnly, JournalUnavailable, SqlJournal
from lifecycle_adapters.journal.database import Database, TransactionMode
from lifecycle_adapters.journal.sqlite_file import network_file_system
from tests.adapters.journal.acting import knowing
from tests.conftest import without_privileges


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def directory() -> Generator[Path]:
    """A directory that everybody can reach, which pytest's own are not."""
    with TemporaryDirectory() as name:
        yield Path(name)
        Path(name).chmod(0o700)


@pytest.fixture
def path(directory: Path) -> Path:
    """A journal with one task, which its writer has closed, in a directory that everybody can reach and read."""
    path = directory / "journal.db"
    with SqlJournal(path) as journal:
        knowing(journal, "running")
    path.chmod(0o444)
    directory.chmod(0o555)
    return path


def state(path: Path) -> str | None:
    with SqlJournal(path, read_only=True) as journal:
        return knowing(journal).load().state


# --- private ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_all_its_files_are_for_the_owner_only(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with SqlJournal(tmp_path / "journal.db") as journal:
            knowing(journal, "running")
            modes = {path.name: mode(path) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert modes == dict.fromkeys(["journal.db", "journal.db-shm", "journal.db-wal"], 0o600)


def test_the_mode_that_the_owner_chose_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    SqlJournal(path).close()
    path.chmod(0o640)

    with SqlJournal(path) as journal:
        knowing(journal, "running")

        assert {mode(each) for each in tmp_path.iterdir()} == {0o640}


# --- read without a trace --------------------------------------------------------------------------


def test_reading_leaves_no_files(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with SqlJournal(path) as journal:
        knowing(journal, "running")
    before = path.read_bytes()

    with SqlJournal(path, read_only=True) as journal:
        assert knowing(journal).load().state == "running"
        assert list(journal.check()) == []

    assert names(tmp_path) == ["journal.db"]
    assert path.read_bytes() == before


def test_last_reader_to_close_leaves_no_files(tmp_path: Path) -> None:
    writer = SqlJournal(tmp_path / "journal.db")
    knowing(writer, "running")
    with SqlJournal(tmp_path / "journal.db", read_only=True) as journal:
        writer.close()

        assert knowing(journal).load().state == "running"

    assert names(tmp_path) == ["journal.db"]


@pytest.mark.parametrize(("file", "folder"), [(0o444, 0o555), (0o666, 0o555), (0o444, 0o777)])
def test_a_journal_that_may_only_be_read(path: Path, directory: Path, file: int, folder: int) -> None:
    path.chmod(file)
    directory.chmod(folder)

    with without_privileges():
        assert state(path) == "running"
        with pytest.raises(JournalReadOnly, match=r"cannot be written to; it can only be read \(read_only=True\)"):
            SqlJournal(path)

    assert names(directory) == ["journal.db"]


def test_foreign_journal_is_readable_while_its_writer_comes_and_goes(directory: Path) -> None:
    path = directory / "journal.db"
    SqlJournal(path).close()
    path.chmod(0o644)
    directory.chmod(0o755)
    seen: list[str | None] = []

    with without_privileges():
        reader = SqlJournal(path, read_only=True)
    for status in ("running", "paused"):
        with SqlJournal(path) as writer:
            knowing(writer, "created", status)
            for _ in range(2):  # while the writer has it open, and afterwards
                with without_privileges():
                    seen.append(knowing(reader).load().state)
                writer.close()
    reader.close()

    assert seen == ["running", "running", "paused", "paused"]
    assert names(directory) == ["journal.db"]


def test_a_write_during_a_read_without_locks_is_an_error(path: Path, directory: Path) -> None:
    with without_privileges(), SqlJournal(path, read_only=True) as reader:
        reports = reader.reports(V1_FULL)
        next(reports)
        touch_as_owner(path)
        with pytest.raises(JournalUnavailable, match="it was written to while it was read; read it again"):
            next(reports)

        assert knowing(reader).load().state == "running"

    assert names(directory) == ["journal.db"]


def touch_as_owner(path: Path) -> None:
    user = os.geteuid()
    os.seteuid(os.getuid())
    os.utime(path, ns=(0, 0))
    os.seteuid(user)


def test_a_file_of_a_killed_writer_is_read_or_the_error_explains_how(directory: Path) -> None:
    writer = SqlJournal(directory / "journal.db")
    knowing(writer, "running")
    copies = directory / "copies"
    copies.mkdir()
    for suffix in ("", "-wal"):  # as a killed machine, or who copies a journal, leaves them: without the -shm
        shutil.copy(f"{directory / 'journal.db'}{suffix}", copies)
    writer.close()
    for each in copies.iterdir():
        each.chmod(0o444)
    directory.chmod(0o755)
    copies.chmod(0o555)

    with without_privileges(), pytest.raises(JournalReadOnly, match=r"journal\.db-wal, .*; copy both files to a local"):
        SqlJournal(copies / "journal.db", read_only=True)

    copies.chmod(0o777)
    for each in copies.iterdir():
        each.chmod(0o666)
    with without_privileges():
        assert state(copies / "journal.db") == "running"


def test_unreadable_journal_is_reported(path: Path) -> None:
    path.chmod(0o000)

    with without_privileges(), pytest.raises(JournalReadOnly, match=r"may not read journal\.db; ask its owner"):
        SqlJournal(path, read_only=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unreadable_wal_file_is_reported(directory: Path) -> None:
    with SqlJournal(directory / "journal.db") as journal:
        knowing(journal, "running")
        (directory / "journal.db").chmod(0o644)  # and not what is beside it
        directory.chmod(0o755)

        with without_privileges(), pytest.raises(JournalReadOnly, match=r"may not read journal\.db-wal; ask its owner"):
            SqlJournal(directory / "journal.db", read_only=True)


def test_a_link_leads_to_the_journal_and_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "far" / "journal.db")
    with SqlJournal(tmp_path / "link.db") as journal:
        knowing(journal, "running")

        assert state(tmp_path / "link.db") == "running"
    assert names(tmp_path) == ["far", "link.db"]
    assert names(tmp_path / "far") == ["journal.db"]


def test_a_second_name_of_the_file_is_refused(tmp_path: Path) -> None:
    """The other name would have no `-wal`: a writer there sees and overwrites an older state."""
    with SqlJournal(tmp_path / "journal.db") as journal:
        knowing(journal, "running")
        (tmp_path / "second.db").hardlink_to(tmp_path / "journal.db")

        for name in ("journal.db", "second.db"):
            with pytest.raises(
                JournalError, match=r"has a second name \(a hard link\).*; remove the other name, or copy"
            ):
                SqlJournal(tmp_path / name)
    (tmp_path / "second.db").unlink()
    assert state(tmp_path / "journal.db") == "running"


# --- network file systems --------------------------------------------------------------------------


def mounts(directory: Path, kind: str) -> Path:
    """Linux's list of file systems, if this directory were on one of this kind."""
    device = directory.stat().st_dev
    lines = [
        "22 27 0:99 / /proc rw,relatime - proc proc rw",
        f"31 1 {os.major(device)}:{os.minor(device)} / {directory} rw,relatime shared:1 - {kind} server:/export rw",
    ]
    path = directory / f"mounts-{kind}"
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph", "lustre"])
def test_a_network_file_system_is_refused(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    with pytest.raises(JournalError, match=rf"network file system \({kind}\).*; use a local directory, or PostgreSQL"):
        Database(folder / "journal.db", mounts=mounts(tmp_path, kind))

    assert names(folder) == []


@pytest.mark.parametrize("kind", ["ext4", "xfs", "tmpfs", "overlay", "9p", "virtiofs", "fuse.encfs"])
def test_a_local_file_system_is_not(tmp_path: Path, kind: str) -> None:
    Database(tmp_path / "journal.db", mounts=mounts(tmp_path, kind)).close()


def test_a_journal_on_a_network_file_system_can_be_read_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    nfs = mounts(tmp_path, "nfs4")
    with SqlJournal(path) as journal:
        knowing(journal, "running")
        with pytest.raises(JournalReadOnly, match="copy both files to a local directory"):
            Database(path, read_only=True, mounts=nfs)
    before = names(tmp_path)

    database = Database(path, read_only=True, mounts=nfs)
    with database.transaction(TransactionMode.READ) as connection:
        assert connection.exec_driver_sql("SELECT state FROM lifecycle_tasks").scalar() == "running"
    assert names(tmp_path) == before
    database.close()


def test_an_unlisted_mount_is_not_a_network_file_system(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "missing") is None
    assert network_file_system(tmp_path / "missing") is None
    assert network_file_system(Path("/proc"), mounts(tmp_path, "nfs")) is None
