"""The file of a journal in SQLite: permissions, network file systems, and reading without leaving files behind.

SQLite needs two files beside a database in WAL mode, `-wal` and `-shm`, even to read it. The last connection to close
removes them, which needs write permission. Without that permission, or on a full disk, and if there is no `-wal`, the
file is complete, and `immutable=1` reads it alone. SQLite then takes no locks, so the file must be unchanged afterwards
(`stamp`).

Source: SQLite's "Write-Ahead Logging", section 5 (Read-Only Databases), and "Uniform Resource Identifiers".
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from lifecycle_adapters.journal.journal_errors import JournalError, JournalReadOnly, NotAJournal
from lifecycle_adapters.private_files import create_private

MOUNTS = Path("/proc/self/mountinfo")  # Linux's list of file systems, see proc(5)

# Several machines share these, and SQLite's shared memory does not work between machines. 9p and virtiofs are left
# out: a virtual machine accesses the disk of its host with them, and some have their root file system there.
_NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs",
    "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs",
})  # fmt: skip

Stamp = tuple[int, int, int]


class SqliteFile:
    """The file of a journal, which need not exist yet.

    Args:
        database: its path.
        mounts: the file in which the system lists its file systems.
    Raises:
        ValueError: the path contains a null byte, or is the root.
        OSError: no file can have this path, for example because it is too long.
    """

    def __init__(self, database: str, mounts: Path = MOUNTS) -> None:
        self._where = database
        self._path = Path(os.path.realpath(database))  # SQLite's own files are beside what a link leads to
        with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            self._path.lstat()
        if not self._path.name:
            raise ValueError("it names no file")
        self._wal, self._shm = (self._path.with_name(f"{self._path.name}-{suffix}") for suffix in ("wal", "shm"))
        self._network = network_file_system(self._path.parent, mounts)
        self._has_room = _has_room(self._path.parent)

    @property
    def is_cleared_up(self) -> bool:
        """Return whether reading may create files beside it, because there is room, and they can be removed again."""
        return self._has_room and self._may_be_written()

    def _may_be_written(self) -> bool:
        return self._network is None and _may_write(self._path) and _may_write(self._path.parent)

    def prepare_to_write(self) -> None:
        """Create it, readable for its owner only, if it does not exist.

        Raises:
            NotAJournal: it is a directory, or not a regular file.
            JournalReadOnly: it exists and cannot be written.
            JournalError: it is on a network file system, or has a hard link.
        """
        self._require_regular()
        if self._network is not None:
            what = f"it is on a network file system ({self._network}), where SQLite cannot lock it between machines"
            raise JournalError(f"{what}; use a local directory, or PostgreSQL for many machines", where=self._where)
        if self._path.is_file() and self._path.stat().st_nlink > 1:
            what = "the file has a second name (a hard link), and SQLite keeps the newest part beside one of them"
            raise JournalError(f"{what}; remove the other name, or copy the file", where=self._where)
        if self._path.is_file() and not self._may_be_written():
            what = "the file, or its directory, cannot be written to"
            raise JournalReadOnly(f"{what}; it can only be read (read_only=True)", where=self._where)
        with suppress(OSError):  # SQLite fails too, with a better message
            create_private(self._path)

    def require_readable(self) -> None:
        """Raise if the file does not exist or cannot be read; SQLite would create a missing one.

        Raises:
            NotAJournal: there is no such file, or it is a directory or not a regular file.
            JournalReadOnly: this user may not read it.
        """
        self._require_regular()
        if not self._path.is_file():
            raise NotAJournal("there is no such file", where=self._where)
        self._require_right_to_read(self._path)

    def to_read(self) -> tuple[str, Stamp | None]:
        """Return the URI for reading it now, and the stamp that must be unchanged afterwards (None if SQLite locks).

        Raises:
            JournalReadOnly: its `-wal` cannot be read in this directory, or this user may not read it.
        """
        uri = self._path.as_uri()
        if self.is_cleared_up:
            return f"{uri}?mode=rw", None
        with suppress(FileNotFoundError):
            if self._wal.stat().st_size:
                if self._network is not None or not (self._shm.exists() or _may_write(self._path.parent)):
                    what = f"its newest part is in {self._wal.name}, which cannot be read in this directory"
                    raise JournalReadOnly(f"{what}; copy both files to a local directory", where=self._where)
                self._require_right_to_read(self._wal, self._shm)
                return f"{uri}?mode=ro", None
        return f"{uri}?immutable=1", self.stamp()

    def _require_regular(self) -> None:
        if self._path.is_dir():
            raise NotAJournal("it is a directory; name a file in it, such as journal.db", where=self._where)
        if self._path.exists() and not self._path.is_file():  # to open a pipe would block
            raise NotAJournal("it is a pipe, a socket or a device; name a regular file", where=self._where)

    def _require_right_to_read(self, *files: Path) -> None:
        for file in files:
            if file.exists() and not _may(os.R_OK, file):
                what = f"this user may not read {file.name}; ask its owner for the right to"
                raise JournalReadOnly(what, where=self._where)

    def stamp(self) -> Stamp:
        """Return the inode, the size and the modification time, which differ after every change of the file."""
        found = self._path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns


def _has_room(directory: Path) -> bool:
    with suppress(OSError):
        return shutil.disk_usage(directory).free >= _FILES_BESIDE
    return True  # not known: SQLite finds out


_FILES_BESIDE = 65_536  # bytes; `-shm` alone has 32,768


def network_file_system(directory: Path, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the network file system of a directory; None if it is not on one, or that is not known."""
    with suppress(OSError):
        device = directory.stat().st_dev
        number = f"{os.major(device)}:{os.minor(device)}"
        for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
            mount, _, kind = line.partition(" - ")
            if f" {number} " in mount:
                name = kind.partition(" ")[0]
                return name if name in _NETWORK else None
    return None


def _may(what: int, path: Path) -> bool:
    # For the effective user, which may differ from the user that started the process.
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def _may_write(path: Path) -> bool:
    return _may(os.W_OK, path)
