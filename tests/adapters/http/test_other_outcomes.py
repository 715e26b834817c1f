"""`may_report`: a command that a service accepts, and after which it may report another state than its row says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifecycle import CommandState, DefinitionError, TaskEndedFirst
from lifecycle.catalog import V4
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services.v4 import V4 as SERVICE
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen


def bound(*may_report: str, **changes: Any) -> HttpBinding[Any, Any]:
    cancel = replace(next(iter(SERVICE.commands.values())), may_report=may_report)
    return replace(SERVICE, **{"commands": dict.fromkeys(SERVICE.commands, cancel), **changes})


def ending(seen: Seen, end: str, *, is_lost: bool, sent: list[str]) -> Reply:
    """Respond as a run does that is cancelled and completes all the same."""
    if seen.method != "GET":
        sent.append(seen.path)
        return Reply(status=500) if is_lost else Reply(body={"runId": "t", "status": "running"})
    return Reply(body={"runId": "t", "status": end if sent else "running"})


@pytest.mark.parametrize(("may_report", "is_lost", "outcome"), [
    (("completed",), False, CommandState.DONE),
    (("completed",), True, CommandState.MOOT),
    ((), False, CommandState.ENDED_FIRST),
])  # fmt: skip
def test_reported_other_outcome_is_recorded_as_such(
    connect: Connect, serve: Serve, may_report: tuple[str, ...], is_lost: bool, outcome: CommandState
) -> None:
    sent, journal = list[str](), MemoryJournal()
    server = serve(lambda seen: ending(seen, "completed", is_lost=is_lost, sent=sent))
    task = connect(bound(*may_report), server.base_url, journal=journal).task("t")
    if outcome is CommandState.DONE:
        assert task.send("cancel").state == "completed"
    else:
        with pytest.raises(TaskEndedFirst):
            task.send("cancel")
    assert journal.task(V4, "t").load_command("1").state is outcome


@pytest.mark.parametrize(
    ("may_report", "finding"),
    [
        (("complete",), "commands.cancel.may_report: 'complete' is not a state of 'v4'; did you mean 'completed'?"),
        (("running",), "commands.cancel.may_report: 'running' is no other outcome: in it the command can be sent"),
        (("cancelled",), "commands.cancel.may_report: 'cancelled' is no other outcome"),
    ],
)
def test_invalid_other_outcome_is_a_finding(may_report: tuple[str, ...], finding: str) -> None:
    with pytest.raises(DefinitionError) as info:
        bound(*may_report)
    assert finding in str(info.value)


def test_may_report_is_refused_outside_of_commands() -> None:
    with pytest.raises(DefinitionError, match=r"status\.may_report: must be empty: only a command leads to a state"):
        bound(status=replace(SERVICE.status, may_report=("completed",)))
    with pytest.raises(DefinitionError, match="may_report: must be several states, in a tuple"):
        replace(SERVICE.status, may_report="completed")  # type: ignore[arg-type]
