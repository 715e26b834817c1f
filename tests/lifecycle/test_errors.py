"""The exceptions: their messages, their attributes, and that they can be sent to another process."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from unittest.mock import create_autospec

import pytest

from lifecycle import V1Event, V1State, errors
from lifecycle.errors import (
    AdapterError,
    CommandAbandoned,
    CommandError,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    CreateContradicted,
    CreateError,
    CreateInFlight,
    CreateKeyReused,
    CreateUncertain,
    DefinitionError,
    DefinitionFinding,
    IllegalTransition,
    KeyReused,
    LifecycleError,
    MissingExtra,
    OtherServer,
    RecordMissing,
    TaskEndedFirst,
    UndeclaredState,
    UnknownName,
    UnknownStatus,
    UnreadableCreate,
    UnreadableRecord,
    WaitTimedOut,
    nearest,
    repr_of,
    shortened,
    text_of,
)

# Members of the enumerations, not plain text: that is where a careless message shows `<V1State...>`.
TASK: dict[str, Any] = {
    "lifecycle": "v1",
    "task": "task_12",
    "command": V1Event.STOP,
    "state": V1State.PAUSED,
}
UNREAD: dict[str, Any] = {**TASK, "state": None}
UNTIL = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
MESSAGES: dict[LifecycleError, str] = {
    LifecycleError("anything"): "anything",
    DefinitionError("door", [DefinitionFinding("dead_end", "state 'ajar'", "no final state can be reached from it")]): (
        "lifecycle 'door' is not sound, 1 finding:\n  dead_end: state 'ajar': no final state can be reached from it"
    ),
    UnknownName("state", "stoped", known=V1State, where="v1"): (
        "v1: unknown state 'stoped'; did you mean 'stopped'? "
        "(known: created, running, paused, stopped, finished, failed)"
    ),
    UnknownName("lifecycle", "mine", known=["v1"], where="catalog", advice="name a file"): (
        "catalog: unknown lifecycle 'mine' (known: v1); name a file"
    ),
    UnknownName("form", "x", known=["iso", "iso, no zone"], where="log"): (
        "log: unknown form 'x' (known: iso, 'iso, no zone')"
    ),
    IllegalTransition(
        "no", lifecycle="v1", state=V1State.STOPPED, event=V1Event.STOP, allowed=[V1Event.PAUSE], index=3
    ): "v1: no (event 3 of the history)",
    UnknownStatus("'zombie' is not a status", lifecycle="v1", status="zombie", known=("running",)): (
        "v1: 'zombie' is not a status"
    ),
    CommandError("it went wrong", **TASK): "v1 task task_12: it went wrong",
    CommandInFlight(**TASK, other=V1Event.PAUSE, lease=None): (
        "v1 task task_12: 'stop' was not sent: 'pause' has no outcome yet; "
        "no worker has claimed it, `recover` settles it if the service shows its outcome; "
        "`abandon_command` ends it if nobody asks for its outcome any more"
    ),
    CommandInFlight(**TASK, other=V1Event.PAUSE, lease=("worker-1", UNTIL)): (
        "v1 task task_12: 'stop' was not sent: 'pause' has no outcome yet; "
        "worker 'worker-1' has claimed it until 2026-01-01T00:01:00+00:00"
    ),
    CommandInFlight(**TASK, other=V1Event.PAUSE, lease=("worker-1", None)): (
        "v1 task task_12: 'stop' was not sent: 'pause' has no outcome yet; "
        "worker 'worker-1' has claimed it until it is settled"
    ),
    CommandInFlight(**TASK, other=V1Event.STOP, lease=("worker-1", None), is_same=True): (
        "v1 task task_12: 'stop' has no outcome yet; worker 'worker-1' has claimed it until it is settled"
    ),
    CommandRefused(**TASK, detail="Agent session already stopped"): (
        "v1 task task_12: 'stop' was refused in 'paused': Agent session already stopped"
    ),
    CommandUncertain("the read timed out", **TASK): (
        "v1 task task_12: whether 'stop' took effect is not known: the read timed out (last known state 'paused')"
    ),
    CommandRefused(**UNREAD, detail="no"): ("v1 task task_12: 'stop' was refused (its state is not known): no"),
    CommandUncertain("the read timed out", **UNREAD): (
        "v1 task task_12: whether 'stop' took effect is not known: the read timed out (its state is not known)"
    ),
    CommandAbandoned("never sent", **TASK): (
        "v1 task task_12: 'stop' was abandoned: never sent; give it again under a new key"
    ),
    KeyReused("key-7", "pause", **TASK): "v1 task task_12: 'stop' cannot have the key 'key-7', used for 'pause'",
    KeyReused("key-7", "stop", **TASK): "v1 task task_12: 'stop' cannot have the key 'key-7', used with other fields",
    TaskEndedFirst(**TASK, took_effect=False): "v1 task task_12: it was 'paused' before 'stop' took effect",
    TaskEndedFirst(**TASK, took_effect=None): (
        "v1 task task_12: it is 'paused'; whether 'stop' took effect before is not known"
    ),
    CreateUncertain("the connection was lost", lifecycle="v1"): (
        "v1: whether a task was created is not known: the connection was lost"
    ),
    UnreadableRecord("'soon' is not a time", lifecycle="v1", task="task_12"): (
        "v1 task task_12: its record cannot be read: 'soon' is not a time"
    ),
    UnreadableCreate("'zzz' is not a state", lifecycle="v1", create_id="7"): (
        "v1 create 7: its record cannot be read: 'zzz' is not a state"
    ),
    OtherServer("v1", "http://127.0.0.1:8000", ["https://host", "http://two\nlines"]): (
        "the journal has the tasks of v1 at https://host and 'http://two\\nlines', not at http://127.0.0.1:8000: give "
        "this client another journal; if both are one server, say so with `client.add_server()` or "
        "`lifecycle journal add-server`"
    ),
    RecordMissing("2", lifecycle="v1", task="task_12"): (
        "v1 task task_12: the journal has no command '2'; if its record was deleted while the command was under way, "
        "read the task's status to learn whether it took effect"
    ),
    UndeclaredState("asleep", lifecycle="v1", task="task_12", known=[V1State.RUNNING, V1State.PAUSED]): (
        "v1 task task_12: its record cannot be read: "
        "'asleep' is not a state of this declaration (known: running, paused)"
    ),
    CreateUncertain("it was lost", lifecycle="v1", create_id="7"): (
        "v1: whether a task was created is not known: it was lost (create 7)"
    ),
    CreateError("it went wrong", lifecycle="v1"): "v1: it went wrong",
    CreateInFlight(lifecycle="v1", create_id="7", lease=("w1", datetime(2026, 1, 2, tzinfo=UTC))): (
        "v1: worker 'w1' has claimed create 7 until 2026-01-02T00:00:00+00:00"
    ),
    CreateInFlight(lifecycle="v1", create_id="7", lease=("w1", None)): "v1: worker 'w1' has claimed create 7",
    CreateInFlight(lifecycle="v1", create_id="7", lease=None): "v1: another worker has claimed create 7",
    CreateKeyReused("order 5", lifecycle="v1", create_id="7"): (
        "v1: the key 'order 5' was given to create 7 with other fields"
    ),
    CreateContradicted("t1", None, "given up", lifecycle="v1", create_id="7"): (
        "v1: the task 't1' was created, but create 7 is recorded as abandoned: given up"
    ),
    CreateContradicted("t1", "t2", "adopted", lifecycle="v1", create_id="7"): (
        "v1: the task 't1' was created, but create 7 is recorded as done with the task 't2': adopted"
    ),
    WaitTimedOut(lifecycle="v1", task="task_12", until="final", state=V1State.PAUSED): (
        "v1 task task_12: not final in time, still 'paused'"
    ),
    WaitTimedOut(lifecycle="v1", task="task_12", until="final", state=None, why="503 busy"): (
        "v1 task task_12: not final in time, its state is not known; the last read failed: 503 busy"
    ),
    WaitTimedOut(lifecycle="v1", task="a\x1b[2J\n", until="final", state="paused"): (
        "v1 task 'a\\x1b[2J\\n': not final in time, still 'paused'"
    ),
    UnreadableRecord("a fault", lifecycle="v1", task=""): "v1 task '': its record cannot be read: a fault",
    MissingExtra("http", "yaml", needed_by="this"): "this needs extras: pip install 'task-lifecycle[http,yaml]'",
    AdapterError("the world is down"): "the world is down",
}
EXAMPLES = [pytest.param(error, id=type(error).__name__) for error in MESSAGES]


def test_every_exception_has_an_example() -> None:
    classes = {each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)}

    assert classes == {type(error) for error in MESSAGES}


@pytest.mark.parametrize("error", EXAMPLES)
def test_error_messages_are_as_written(error: LifecycleError) -> None:
    assert str(error) == MESSAGES[error]


def pickled(protocol: int, error: Any) -> Any:
    return pickle.loads(pickle.dumps(error, protocol))


WAYS: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": partial(pickled, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", EXAMPLES)
def test_exceptions_survive_copying_and_pickling(error: LifecycleError, way: str) -> None:
    again = WAYS[way](error)

    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.args == error.args
    assert vars(again) == vars(error)


def test_notes_survive_copying_and_pickling() -> None:
    error = MissingExtra("yaml", needed_by="reading YAML")
    error.add_note("while reading door.yaml")

    again = pickle.loads(pickle.dumps(error))

    assert again.__notes__ == ["while reading door.yaml"]
    assert again.msg == error.msg


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnknownName("state", "x", known=(), where="v1"), ValueError),
        (MissingExtra("yaml", needed_by="it"), ImportError),
        (WaitTimedOut(lifecycle="v1", task="t", until="final", state="paused"), TimeoutError),
    ],
)
def test_some_errors_are_also_the_builtin_ones(error: LifecycleError, kind: type[Exception]) -> None:
    assert isinstance(error, kind)


def test_findings_are_counted_and_listed_in_order() -> None:
    findings = [DefinitionFinding("dead_end", f"state '{name}'", "no way out") for name in "ab"]
    error = DefinitionError("x" * 1000, findings)

    assert error.findings == tuple(findings)
    assert error.name == "x" * 1000
    assert str(error) == (
        f"lifecycle '{'x' * 75}... is not sound, 2 findings:\n"
        "  dead_end: state 'a': no way out\n"
        "  dead_end: state 'b': no way out"
    )


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("stoped", "stopped"),
        ("STOPPED", "stopped"),
        ("timed-out", "timed_out"),
        ("Timed Out", "timed_out"),
        ("runing", "running"),
        ("zombie", None),
        ("", None),
        (None, None),
        ("stopped" * 200_000, None),
    ],
)
def test_nearest_suggests_the_closest_name(name: object, suggestion: str | None) -> None:
    assert nearest(name, ["running", "stopped", "timed_out"]) == suggestion
    assert nearest(name, []) is None


def test_nearest_gives_the_name_as_it_was_declared() -> None:
    assert nearest("stopp", ["Stopped"]) == "Stopped"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("paused", "'paused'"),
        (V1State.PAUSED, "'paused'"),
        ("it's", '"it\'s"'),
        ("a\nb", "'a\\nb'"),
        (None, "None"),
        (1, "1"),
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 75}..."),
    ],
)
def test_shortened_limits_a_value(value: object, shown: str) -> None:
    assert shortened(value) == shown


class Silent:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def test_object_that_cannot_be_shown_is_shown_as_its_class() -> None:
    assert text_of(Silent()) == "<Silent, whose str raises RuntimeError>"
    assert repr_of(Silent()) == shortened(Silent()) == "<Silent, whose repr raises RuntimeError>"
    assert nearest(Silent(), ["running"]) is None
    assert shortened(create_autospec("running")).startswith("<NonCallableMagicMock spec='str'")
    assert (text_of(ValueError("no")), repr_of("no")) == ("no", "'no'")


def test_the_error_of_an_unknown_name_has_its_facts_as_attributes() -> None:
    error = UnknownName("state", V1State.CREATED, known=["running"], where="v1", declared_by="v1-full")

    assert (error.kind, error.name, error.where) == ("state", "created", "v1")
    assert (error.known, error.suggestion, error.declared_by) == (("running",), None, "v1-full")
    assert str(error) == "v1: unknown state 'created'; 'v1-full' declares it (known: running)"


def test_a_command_error_has_its_facts_as_attributes() -> None:
    error = CommandInFlight(**TASK, other="pause", lease=("worker-1", UNTIL))

    assert (error.lifecycle, error.task, error.command, error.state) == ("v1", "task_12", "stop", "paused")
    assert (error.other, error.claimed_by, error.until) == ("pause", "worker-1", UNTIL)
    free = CommandInFlight(**TASK, other="pause", lease=None)
    assert (free.claimed_by, free.until) == (None, None)
    assert [TaskEndedFirst(**TASK, took_effect=known).took_effect for known in (False, None)] == [False, None]
    assert CommandRefused(**TASK, detail="no").detail == "no"
    assert CommandUncertain("lost", **TASK).why == "lost"
