"""Arguments of the journal that are not what they must be: refused by name, before anything is read or written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from lifecycle import V1
from lifecycle_adapters.journal import NotAJournal, SqlJournal
from tests.adapters.journal.acting import knowing

MISUSE: list[tuple[str, Callable[[Any], object], type[Exception], str]] = [
    ("tasks limit", lambda journal: journal.tasks(limit="3"), TypeError, "limit must be a whole number, not '3'"),
    ("tasks none", lambda journal: journal.tasks(limit=0), ValueError, "limit must be at least 1, not 0"),
    ("tasks after", lambda journal: journal.tasks(after="x"), TypeError, "after must be a whole number, not 'x'"),
    ("history None", lambda journal: journal.history(None), TypeError, "a task's id is a text, an integer or a UUID"),
    ("forget None", lambda journal: journal.forget(None), TypeError, "a task's id is a text, an integer or a UUID"),
    ("prune naive", lambda journal: journal.prune(datetime(2020, 1, 1)), ValueError, "before must have a time zone"),  # noqa: DTZ001
    ("prune text", lambda journal: journal.prune("2020"), TypeError, "before must be a datetime, not '2020'"),
    ("check list", lambda journal: list(journal.check([V1])), TypeError, "lifecycles must be a mapping of names"),
    (
        "check text",
        lambda journal: list(journal.check({"v1": "x"})),
        TypeError,
        r"lifecycles\['v1'\] must be a Lifecycle",
    ),
]


@pytest.mark.parametrize(("call", "error", "message"), [each[1:] for each in MISUSE], ids=[each[0] for each in MISUSE])
def test_misuse_names_the_argument(
    journal: SqlJournal, call: Callable[[Any], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(journal)


@pytest.mark.parametrize("task_id", [7, UUID(int=7)])
def test_ids_are_what_clients_take(journal: SqlJournal, task_id: int | UUID) -> None:
    knowing(journal, "running", task=str(task_id))

    assert [each.task_id for each in journal.history(task_id)] == [str(task_id)]
    assert journal.forget(task_id) == 1


def test_a_page_may_be_larger_than_all_numbers(journal: SqlJournal) -> None:
    knowing(journal, "running", task="7")

    assert len(journal.tasks(limit=10**20).tasks) == 1
    assert journal.tasks(after=10**20).tasks == ()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_directory_is_no_journal(tmp_path: Path, *, read_only: bool) -> None:
    with (
        pytest.raises(NotAJournal, match="it is a directory; name a file in it"),
        SqlJournal(tmp_path, read_only=read_only) as journal,
    ):
        journal.tasks()
