"""One journal for many: threads that share it, a child of a fork, and worker processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from lifecycle.journal import Report
from lifecycle_adapters.journal import RecordedReport, SqlJournal
from tests.adapters.journal.acting import at, knowing, opened
from tests.adapters.journal.conftest import OpenJournal

THREADS = 32


def test_threads_that_share_a_journal_lose_nothing(journal: SqlJournal) -> None:
    barrier = Barrier(THREADS)

    def work(number: int) -> None:
        barrier.wait()
        own, shared = knowing(journal, task=f"task-{number}"), knowing(journal, task="shared")
        for second, status in enumerate(("running", "paused")):
            own.add_report(Report(status, at(second)))
            shared.add_report(Report(status, at(second)))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))

    recorded = [entry.times for entry in journal.history("shared") if isinstance(entry, RecordedReport)]
    assert sum(times or 0 for times in recorded) == 2 * THREADS
    assert {task.state for task in journal.tasks().tasks if task.task_id != "shared"} == {"paused"}
    assert len(journal.tasks().tasks) == THREADS + 1
    assert list(journal.check()) == []


def test_one_of_many_threads_records_the_intent(open_journal: OpenJournal) -> None:
    journals = [open_journal(worker=str(number)) for number in range(4)]
    version = knowing(journals[0], "running").load().version
    barrier = Barrier(8)

    def contend(number: int) -> object:
        log = knowing(journals[number % 4])
        barrier.wait()
        return log.add_intent("pause", source="running", version=version, fields={})

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(contend, range(8)))

    now = knowing(journals[0]).load()
    assert [each for each in found if each != now] == [now.open_command]


def test_one_of_many_threads_sends_the_attempt(open_journal: OpenJournal) -> None:
    journals = [open_journal(worker=str(number)) for number in range(4)]
    command = opened(knowing(journals[0], "running"))
    barrier = Barrier(8)

    def contend(number: int) -> bool:
        log = knowing(journals[number % 4])
        barrier.wait()
        return log.add_attempt(command.id, number=1, claim=1)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(contend, range(8))) == 1


# In a process of its own, because that of the tests has threads by now.
FORK = """
import os, sys
from datetime import UTC, datetime
from lifecycle_adapters.journal import SqlJournal
from lifecycle import get
from lifecycle.journal import Report

def tell(task):
    journal.task(get("v1"), task).add_report(Report("running", datetime.now(UTC)))

journal = SqlJournal(sys.argv[1])
tell("parent")
child = os.fork()
if not child:
    for number in range(20):
        tell(f"child-{number}")
    journal.close()
    os._exit(0)
for number in range(20):
    tell(f"parent-{number}")
_, status = os.waitpid(child, 0)
tell("parent at last")
assert status == 0, status
assert not list(journal.check())
print(len(journal.tasks().tasks))
journal.close()
"""


@pytest.mark.heavy
def test_the_child_of_a_fork_writes_with_its_parent(journal_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK, journal_url],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("42\n", "")
