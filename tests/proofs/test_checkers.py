"""The checkers of these proofs can fail: what is true passes, and each doctored record is found out."""

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
class Told:
    """What two workers did with a task's log, and what was recorded."""

    recorded: tuple[Entry, ...]
    operations: tuple[Operation, ...]

    def disorder(self) -> str | None:
        return disorder(V1_FULL, self.recorded, self.operations)

    def changed(self, place: int, **changes: Any) -> Told:
        """As this, but with one operation another."""
        doctored = replace(self.operations[place], **changes)
        return replace(self, operations=(*self.operations[:place], doctored, *self.operations[place + 1 :]))

    def without(self, place: int) -> Told:
        """As this, but without one operation."""
        return replace(self, operations=(*self.operations[:place], *self.operations[place + 1 :]))


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One worker pauses a task while another tries to, one operation after the other."""
    path = str(tmp_path_factory.mktemp("told") / "journal.db")
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
    return Told(recorded, tuple(sorted(operations, key=lambda each: each.invoked_ns)))


def test_what_was_done_one_after_the_other_is_in_order(told: Told) -> None:
    assert told.disorder() is None


def test_a_read_that_overlaps_what_it_did_not_see_is_in_order(told: Told) -> None:
    late = told.changed(2, returned_ns=told.operations[3].returned_ns)

    assert late.disorder() is None


DOCTORED: dict[str, Callable[[Told], Told]] = {
    "two entries in the other order": lambda told: replace(
        told, recorded=(*told.recorded[:2], told.recorded[3], told.recorded[2], *told.recorded[4:])
    ),
    "an entry is missing": lambda told: replace(told, recorded=told.recorded[:-1]),
    "an entry by somebody else": lambda told: replace(
        told, recorded=(replace(told.recorded[0], worker="two"), *told.recorded[1:])
    ),
    "an entry that nobody made": lambda told: replace(told, recorded=(*told.recorded, told.recorded[-1])),
    "a report counted too often": lambda told: told.without(1),
    "what was made is not recorded": lambda told: replace(told, recorded=()),
    "a read of what was over": lambda told: told.changed(
        2, invoked_ns=told.operations[10].returned_ns, returned_ns=told.operations[10].returned_ns + 1
    ),
    "a read of what was still to come": lambda told: told.changed(2, result=told.operations[11].result),
    "two commands opened": lambda told: told.changed(4, result=told.operations[3].result),
    "an attempt made twice": lambda told: told.changed(6, result=True),
    "an attempt refused": lambda told: told.changed(5, result=False),
    "taken from the living": lambda told: told.without(7),
    "released after it was taken": lambda told: told.changed(
        7, invoked_ns=told.operations[8].returned_ns + 1, returned_ns=told.operations[8].returned_ns + 2
    ),
}


@pytest.mark.parametrize("doctor", DOCTORED.values(), ids=DOCTORED)
def test_a_doctored_order_is_found_out(told: Told, doctor: Callable[[Told], Told]) -> None:
    assert doctor(told).disorder() is not None


# --- agreement with the service -------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """What a journal holds, and what the service saw."""

    recorded: Recorded
    calls: tuple[RecordedCall, ...]

    def disagreements(self) -> list[str]:
        return list(disagreements(self.recorded, self.calls))

    def changed(self, which: str, **changes: Any) -> Seen:
        """As this, but with that command's call another."""
        calls = (replace(each, **changes) if each.command == which else each for each in self.calls)
        return replace(self, calls=tuple(calls))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A task of v1 that was stopped, and a session of v3 that was given work."""
    path = str(tmp_path_factory.mktemp("seen") / "journal.db")
    with (
        Emulator(pace_s=PACE_S) as emulator,
        Witness(path, worker="one") as journal,
        clients(journal, emulator.base_url) as by_api,
    ):
        session = by_api["v3"].create(keepAlive=True)
        session.wait("settled", timeout_s=10)
        session.dispatch("Work", keepAlive=True)
        by_api["v1"].create("Work [remote:]").stop()
        return Seen(Recorded(journal), tuple(emulator.calls()))


def test_a_true_record_agrees_with_what_the_service_saw(seen: Seen) -> None:
    assert seen.disagreements() == []


UNTRUE: dict[str, tuple[Callable[[Seen], Seen], str]] = {
    "a call without an attempt": (lambda seen: seen.changed("stop", query=""), "no such attempt"),
    "a call of another task": (lambda seen: seen.changed("stop", task="task-2"), "recorded is"),
    "a call of another command": (lambda seen: seen.changed("stop", command="pause"), "recorded is"),
    "other work": (lambda seen: seen.changed("dispatch", body={"task": "Rest"}), "recorded is"),
    "a call twice": (lambda seen: replace(seen, calls=(*seen.calls, *seen.calls)), "are both attempt"),
    "nothing was done": (lambda seen: seen.changed("stop", applied=False), "nothing did that"),
}


@pytest.mark.parametrize(("doctor", "finding"), UNTRUE.values(), ids=UNTRUE)
def test_an_untrue_record_is_found_out(seen: Seen, doctor: Callable[[Seen], Seen], finding: str) -> None:
    assert finding in "\n".join(doctor(seen).disagreements())
