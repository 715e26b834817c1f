"""Tests of the proofs' checkers: a true record passes, and each falsified record is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lifecycle import V1_FULL, CommandEvent, V1Event, V1State
from lifecycle.journal import CommandRecord, Report
from lifecycle_adapters.emulator import Emulator, RecordedCall
from lifecycle_adapters.journal import Recorded as Entry
from tests.proofs.agreement import Recorded, disagreements
from tests.proofs.conftest import PACE_S
from tests.proofs.linear import disorder
from tests.proofs.witness import Operation, Witness, clients

TASK = "task-1"
BEGUN_AT = datetime(2026, 1, 1, tzinfo=UTC)

# --- linearizability ------------------------------------------------------------------------------


@dataclass(frozen=True)
class History:
    """The operations of two workers on a task's journal, and the recorded entries."""

    recorded: tuple[Entry, ...]
    operations: tuple[Operation, ...]

    def disorder(self) -> str | None:
        return disorder(V1_FULL, self.recorded, self.operations)

    def changed(self, place: int, **changes: Any) -> History:
        """Return a copy with one operation replaced."""
        changed = replace(self.operations[place], **changes)
        return replace(self, operations=(*self.operations[:place], changed, *self.operations[place + 1 :]))

    def without(self, place: int) -> History:
        """Return a copy without one operation."""
        return replace(self, operations=(*self.operations[:place], *self.operations[place + 1 :]))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """Let one worker pause a task while another tries the same, one operation after the other."""
    path = str(tmp_path_factory.mktemp("history") / "journal.db")
    with Witness(path, worker="one") as first, Witness(path, worker="two") as second:
        one, two = first.task(V1_FULL, TASK), second.task(V1_FULL, TASK)
        for seconds in range(2):  # 0 and 1: the second report is only counted
            one.add_report(Report("running", BEGUN_AT + timedelta(seconds=seconds)))
        two.load()  # 2
        opened = one.add_intent(V1Event.PAUSE, source=V1State.RUNNING, version=1, fields={})
        assert isinstance(opened, CommandRecord)
        two.add_intent(V1Event.PAUSE, source=V1State.RUNNING, version=1, fields={})  # 4
        one.add_attempt(opened.id, number=1, claim=1)
        two.add_attempt(opened.id, number=1, claim=1)  # 6
        one.release(opened.id, claim=1)
        two.claim(opened.id)  # 8
        two.add_report(Report("paused", BEGUN_AT + timedelta(seconds=2)))
        two.add_outcome(opened.id, CommandEvent.CONFIRM, why="it is", claim=2)  # 10
        one.load()
        operations = (*first.operations, *second.operations)
        recorded = tuple(first.history(TASK))
    return History(recorded, tuple(sorted(operations, key=lambda each: each.invoked_ns)))


def test_sequential_operations_are_linearizable(history: History) -> None:
    assert history.disorder() is None


def test_a_read_that_overlaps_a_write_it_missed_is_linearizable(history: History) -> None:
    late = history.changed(2, returned_ns=history.operations[3].returned_ns)

    assert late.disorder() is None


DOCTORED: dict[str, Callable[[History], History]] = {
    "two entries in the other order": lambda history: replace(
        history, recorded=(*history.recorded[:2], history.recorded[3], history.recorded[2], *history.recorded[4:])
    ),
    "an entry is missing": lambda history: replace(history, recorded=history.recorded[:-1]),
    "an entry by another worker": lambda history: replace(
        history, recorded=(replace(history.recorded[0], worker="two"), *history.recorded[1:])
    ),
    "an entry without an operation": lambda history: replace(
        history, recorded=(*history.recorded, history.recorded[-1])
    ),
    "a report counted too often": lambda history: history.without(1),
    "no operation is recorded": lambda history: replace(history, recorded=()),
    "a read of a past state": lambda history: history.changed(
        2, invoked_ns=history.operations[10].returned_ns, returned_ns=history.operations[10].returned_ns + 1
    ),
    "a read of a future state": lambda history: history.changed(2, result=history.operations[11].result),
    "two commands opened": lambda history: history.changed(4, result=history.operations[3].result),
    "an attempt made twice": lambda history: history.changed(6, result=True),
    "an attempt refused": lambda history: history.changed(5, result=False),
    "claimed from a living worker": lambda history: history.without(7),
    "released after another claim": lambda history: history.changed(
        7, invoked_ns=history.operations[8].returned_ns + 1, returned_ns=history.operations[8].returned_ns + 2
    ),
}


@pytest.mark.parametrize("falsify", DOCTORED.values(), ids=DOCTORED)
def test_a_falsified_order_is_found(history: History, falsify: Callable[[History], History]) -> None:
    assert falsify(history).disorder() is not None


# --- agreement with the service -------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """The contents of a journal, and the calls that the service received."""

    recorded: Recorded
    calls: tuple[RecordedCall, ...]

    def disagreements(self) -> list[str]:
        return list(disagreements(self.recorded, self.calls))

    def changed(self, which: str, **changes: Any) -> Seen:
        """Return a copy with the command's call replaced."""
        calls = (replace(each, **changes) if each.command == which else each for each in self.calls)
        return replace(self, calls=tuple(calls))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """Return the records of a stopped v1 task and of a v3 session with a dispatched task."""
    path = str(tmp_path_factory.mktemp("seen") / "journal.db")
    with (
        Emulator(pace_s=PACE_S) as emulator,
        Witness(path, worker="one") as journal,
        clients(journal, emulator.base_url) as by_api,
    ):
        session = by_api["v3"].create(keepAlive=True)
        session.wait("settled", timeout_s=60)
        session.dispatch("Work", keepAlive=True)
        by_api["v1"].create("Work [remote:]").stop()
        return Seen(Recorded(journal), tuple(emulator.calls()))


def test_correct_journal_agrees_with_the_calls_of_the_service(seen: Seen) -> None:
    assert seen.disagreements() == []


UNTRUE: dict[str, tuple[Callable[[Seen], Seen], str]] = {
    "a call without an attempt": (lambda seen: seen.changed("stop", query=""), "no such attempt"),
    "a call of another task": (lambda seen: seen.changed("stop", task="task-2"), "recorded is"),
    "a call of another command": (lambda seen: seen.changed("stop", command="pause"), "recorded is"),
    "other work": (lambda seen: seen.changed("dispatch", body={"task": "Rest"}), "recorded is"),
    "a call twice": (lambda seen: replace(seen, calls=(*seen.calls, *seen.calls)), "are both attempt"),
    "nothing was done": (lambda seen: seen.changed("stop", applied=False), "nothing did that"),
}


@pytest.mark.parametrize(("falsify", "finding"), UNTRUE.values(), ids=UNTRUE)
def test_falsified_journal_is_found(seen: Seen, falsify: Callable[[Seen], Seen], finding: str) -> None:
    assert finding in "\n".join(falsify(seen).disagreements())
