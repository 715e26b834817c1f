"""Errors about a log as a whole. A row that cannot be read is a reject, not an error."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from lifecycle.errors import AdapterError
from lifecycle_adapters.connection_strings import is_dsn, is_url


class UnusableLog(AdapterError):
    """A log cannot be checked: it does not exist, does not match the arguments, or lacks a column."""


class NoReadableRows(UnusableLog):
    """A log has no rows, or none that can be read. `reasons` counts the rows by `RejectReason`."""

    def __init__(self, message: str, *, reasons: Mapping[str, int]) -> None:
        self.reasons = reasons
        super().__init__(message)


class UnreadableRows(UnusableLog):
    """Rows or files could not be read and `strict` was set.

    `count` is the number of rows, `reasons` counts them by `RejectReason`.
    """

    def __init__(self, message: str, *, reasons: Mapping[str, int]) -> None:
        self.count = sum(reasons.values())
        self.reasons = reasons
        super().__init__(message)


class MissingColumn(UnusableLog):
    """A log lacks a column. `name` is the missing one, `known` are those of the log."""

    def __init__(self, message: str, *, name: str, known: Sequence[str]) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(message)


class UnknownFormat(UnusableLog):
    """A file's format is neither named nor clear from its name. `path` is the file, "-" the standard input."""

    def __init__(self, message: str, *, path: str) -> None:
        self.path = path
        super().__init__(message)


class WrongDelimiter(UnusableLog):
    """The cells of a CSV file have another delimiter. `path` is the file, `delimiter` the probable one."""

    def __init__(self, message: str, *, path: str, delimiter: str) -> None:
        self.path = path
        self.delimiter = delimiter
        super().__init__(message)


class WrongEncoding(UnusableLog):
    """A CSV file is in another encoding. `path` is the file, `encoding` the probable one."""

    def __init__(self, message: str, *, path: str, encoding: str) -> None:
        self.path = path
        self.encoding = encoding
        super().__init__(message)


class WrongPattern(UnusableLog):
    """A pattern of times is not a pattern of strptime that is supported. `pattern` is the pattern."""

    def __init__(self, message: str, *, pattern: str) -> None:
        self.pattern = pattern
        super().__init__(message)


class EngineFailed(AdapterError):
    """The database failed: no room on the disk, no connection, or a cancelled query."""


def no_file(path: str) -> UnusableLog:
    """Return the error for a path without a file; it shows no URL, because a URL may hold a password."""
    if is_dsn(path) or is_url(path):
        return UnusableLog("that is not the path of a file: only postgresql:// URLs can be read, for a table")
    if os.path.islink(path):  # noqa: PTH114 (that of pathlib raises for some names)
        return UnusableLog(f"the link {shown_path(path)} leads to no file")
    return UnusableLog(f"there is no file {shown_path(path)}")


def shown_path(path: str) -> str:
    """Return a path in quotes; of one of more than 300 characters the beginning and the end."""
    text = repr(path)
    return text if len(text) <= _LONGEST_PATH else f"{text[: _LONGEST_PATH // 2]}...{text[-_LONGEST_PATH // 2 :]}"


_LONGEST_PATH = 300
