"""Journals in SQLite and in PostgreSQL, closed when the test ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from lifecycle_adapters.journal import SqlJournal
from tests.adapters.journal.acting import Time


class OpenJournal(Protocol):
    """Open the test's database; `clock` is the test's time, and `worker` is `one`, unless said otherwise."""

    def __call__(self, **settings: Any) -> SqlJournal: ...


def sqlite_url(directory: Path) -> str:
    return f"sqlite:///{directory / 'journal.db'}"


KINDS = ["sqlite", "postgresql"]


@pytest.fixture(params=KINDS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    url: str = sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(params=KINDS)
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database of each kind, without tasks."""
    url: str = sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_journal_url")
    return url


@pytest.fixture
def time() -> Time:
    """The time of every journal that `open_journal` opens."""
    return Time()


@pytest.fixture
def open_journal(journal_url: str, time: Time) -> Iterator[OpenJournal]:
    """Open any number of journals on one database."""
    with ExitStack() as opened:

        def open_journal(**settings: Any) -> SqlJournal:
            settings = {"clock": time, "worker": "one", **settings}
            return opened.enter_context(SqlJournal(journal_url, **settings))

        yield open_journal


@pytest.fixture
def journal(open_journal: OpenJournal) -> SqlJournal:
    """A journal of each kind."""
    return open_journal()
