"""A client over functions of the user's: what a lost, ignored, refused or limited call leads to."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest

from lifecycle import (
    A2A,
    A2AEvent,
    A2AState,
    CommandRefused,
    CommandUncertain,
    CreateUncertain,
    IllegalTransition,
    TaskEndedFirst,
    UnknownName,
    UnknownStatus,
    WaitTimedOut,
)
from lifecycle_adapters.http import Timing
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.objects import AsyncObjectClient, Limited, Meaning, ObjectClient, ObjectError, Snapshot
from tests.adapters.objects.worlds import QUICK, Agent, Both, always

PARTS = [{"text": "to Lisbon"}]


class NoSuchTask(LookupError):
    pass


class Slow(Exception):
    pass


class Refusal(Exception):
    pass


class Locked(PermissionError):
    pass


MEANINGS: dict[type[Exception], Meaning | Limited] = {
    Refusal: Meaning.REFUSED,
    NoSuchTask: Meaning.NOT_FOUND,
    Locked: Meaning.DENIED,
    ConnectionRefusedError: Meaning.NOT_SENT,
    Slow: Limited(0.01),
}


@pytest.fixture(params=["sync", "async"])
def over(request: pytest.FixtureRequest) -> Callable[..., Both]:
    def make(agent: Agent, **given: Any) -> Both:
        return Both(request.param, agent, **{"meanings": MEANINGS, **given})

    return make


def test_lost_response_of_a_command_that_took_effect_is_its_success(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.after["send"] = [TimeoutError("no response")]

    assert over(agent).task("cancel").state == A2AState.CANCELED
    assert agent.sent() == 1


def test_lost_request_of_an_idempotent_command_is_sent_again(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["send"] = [TimeoutError("no response"), ConnectionResetError()]

    assert over(agent).task("cancel").state == A2AState.CANCELED
    assert agent.sent() == 3


@pytest.mark.parametrize("place", ["before", "after"])
def test_lost_answer_is_uncertain_and_never_sent_again(over: Callable[..., Both], place: str) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    getattr(agent, place)["send"] = [OSError("cut off")]
    client = over(agent)

    with pytest.raises(CommandUncertain):
        client.task("answer", PARTS)
    [recovered] = client.call("recover")

    assert isinstance(recovered.error, CommandUncertain)
    assert agent.sent() == 1


def test_ignored_command_is_no_success(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.ignored = {"cancel"}
    client = over(agent)

    with pytest.raises(CommandUncertain):
        client.task("cancel")
    agent.states["t1"] = A2AState.COMPLETED

    with pytest.raises(TaskEndedFirst):
        client.task("recover")
    assert agent.effects == []


def test_command_of_a_final_task_is_not_sent(over: Callable[..., Both]) -> None:
    agent = Agent(A2AState.COMPLETED)

    with pytest.raises(IllegalTransition):
        over(agent).task("cancel")
    assert agent.calls == ["read"]


def test_refusal_is_raised_with_the_words_of_its_exception(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["send"] = [Refusal("not now")]

    with pytest.raises(CommandRefused, match="send: Refusal: not now"):
        over(agent).task("cancel")
    assert agent.sent() == 1


@pytest.mark.parametrize(("call", "error"), [("read", Locked("no key")), ("send", Locked("no key"))])
def test_denied_call_is_not_repeated(over: Callable[..., Both], call: str, error: Exception) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    agent.before[call] = [error]

    with pytest.raises(ObjectError, match="Locked: no key") as raised:
        over(agent).task("answer", PARTS)
    assert (raised.value.call, raised.value.meaning) == (call, Meaning.DENIED)
    assert raised.value.__cause__ is error
    assert agent.calls.count(call) == 1


def test_absent_task_is_not_found(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["read"] = [NoSuchTask("t1")]

    with pytest.raises(ObjectError) as raised:
        over(agent).task("status")
    assert raised.value.meaning is Meaning.NOT_FOUND


@pytest.mark.parametrize("error", [Slow(), ConnectionRefusedError()])
def test_call_without_effect_is_repeated_even_if_not_idempotent(over: Callable[..., Both], error: Exception) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    agent.before["send"] = [error, error]

    assert over(agent).task("answer", PARTS).state == A2AState.WORKING
    assert (agent.sent(), agent.effects) == (3, ["answer"])


def test_longer_pause_than_the_budget_ends_the_command(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["send"] = [Slow("later")]

    with pytest.raises(ObjectError, match="later") as raised:
        over(agent, meanings=always(Limited(60))).task("cancel")
    assert raised.value.meaning == Limited(60)
    assert agent.sent() == 1


def test_none_from_meanings_means_that_the_call_may_have_arrived(over: Callable[..., Both]) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    agent.before["send"] = [ValueError("odd")]

    with pytest.raises(CommandUncertain, match="ValueError: odd"):
        over(agent, meanings=always(None)).task("answer", PARTS)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")

    __repr__ = __str__


def test_exception_without_a_text_is_a_failure_like_any_other(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.after["send"] = [Unprintable()]
    agent.before["read"] = [None, Unprintable()]

    assert over(agent).task("cancel").state == A2AState.CANCELED
    agent.before["read"] = [Unprintable()] * 9
    with pytest.raises(ObjectError, match=r"^read: Unprintable: <Unprintable, whose str raises ValueError>$"):
        over(agent).task("status")


def test_text_of_an_exception_is_one_line_of_limited_length(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["send"] = [Refusal("no\nand\x00no" + 1000 * "o")]

    with pytest.raises(CommandRefused, match=r"send: Refusal: no and noo+$") as refused:
        over(agent).task("cancel")
    assert len(str(refused.value)) < 700


def test_result_without_a_repr_is_reported(over: Callable[..., Both]) -> None:
    with pytest.raises(ObjectError, match="a Snapshot, not Unprintable"):
        over(Agent(), read=always(Unprintable())).task("status")
    with pytest.raises(CreateUncertain, match="no id in text, but <Unprintable, whose repr raises ValueError>"):
        over(Agent(), create=always(Unprintable())).call("create")


def test_exception_that_meanings_raises_reaches_the_caller_and_leaves_the_command_to_recovery(
    over: Callable[..., Both],
) -> None:
    def meanings(error: Exception) -> Meaning:
        if isinstance(error, Slow):
            raise error
        return Meaning.MAY_HAVE_ARRIVED

    agent = Agent()
    agent.after["send"] = [Slow("the job's time is up")]
    client = over(agent, meanings=meanings)

    with pytest.raises(Slow):
        client.task("cancel")
    [recovered] = client.call("recover")

    assert (recovered.error, recovered.is_settled) == (None, True)
    assert agent.sent() == 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_interrupted_answer_is_not_sent_again(over: Callable[..., Both], place: str) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    getattr(agent, place)["send"] = [KeyboardInterrupt()]
    client = over(agent)

    with pytest.raises(KeyboardInterrupt):
        client.task("answer", PARTS)
    [recovered] = client.call("recover")

    assert isinstance(recovered.error, CommandUncertain)
    assert agent.sent() == 1


KILLED = """
import os, sys
from lifecycle import A2A
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.objects import ObjectClient

journal, log = SqlJournal(sys.argv[1], worker="killed"), open(sys.argv[2], "a")

def send(task_id, command, **fields):
    print(command, file=log, flush=True)
    os._exit(9)

client = ObjectClient(A2A, read=lambda _: sys.argv[4], send=send, journal=journal)
client.task("t1").send(sys.argv[3])
"""


@pytest.mark.heavy
@pytest.mark.parametrize(("command", "state"), [("cancel", "WORKING"), ("answer", "INPUT_REQUIRED")])
def test_process_killed_while_it_sends(tmp_path: Path, command: str, state: str) -> None:
    url, log = f"sqlite:///{tmp_path / 'journal.db'}", tmp_path / "sent"
    given = [sys.executable, "-c", KILLED, url, str(log), command, f"TASK_STATE_{state}"]
    assert subprocess.run(given, check=False).returncode == 9
    agent = Agent(A2AState[state])

    def read(task_id: str) -> Snapshot:
        return Snapshot(agent.read(task_id), details={"by": "another process"})

    with SqlJournal(url) as journal:
        client = ObjectClient(A2A, read=read, send=agent.send, journal=journal, timing=QUICK)
        [recovered] = client.recover(dead={"killed"})

    assert log.read_text() == f"{command}\n"
    assert agent.effects == (["cancel"] if command == "cancel" else [])  # a cancel may be sent again
    assert isinstance(recovered.error, CommandUncertain) is (command == "answer")


# --- creates ------------------------------------------------------------------------------------


def test_create_under_a_key_makes_one_task(over: Callable[..., Both]) -> None:
    agent = Agent()
    client = over(agent)

    first = client.call("create", idempotency_key="order 5", text="Book")
    second = client.call("create", idempotency_key="order 5", text="Book")

    assert (first.id, second.id) == ("t2", "t2")
    assert agent.effects == ["create {'text': 'Book'}"]


def test_lost_create_is_uncertain_until_its_task_is_named(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.after["create"] = [TimeoutError()]
    client = over(agent)

    with pytest.raises(CreateUncertain) as lost:
        client.call("create", text="Book")
    [recovered] = client.call("recover")
    adopted = client.call("adopt_create", create_id=lost.value.create_id, task_id="t2")

    assert "no list of tasks" in str(recovered.error)
    assert adopted.id == "t2"
    assert client.call("recover") == []
    assert agent.calls.count("create") == 1


def test_uncertain_create_that_is_abandoned_frees_its_key(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["create"] = [TimeoutError()]
    client = over(agent)

    with pytest.raises(CreateUncertain) as lost:
        client.call("create", idempotency_key="order 5")
    client.call("abandon_create", create_id=lost.value.create_id, reason="looked")

    assert client.call("create", idempotency_key="order 5").id == "t2"


def test_create_without_a_usable_id_is_uncertain(over: Callable[..., Both]) -> None:
    client = over(Agent(), create=always(5))

    with pytest.raises(CreateUncertain, match="no id in text, but 5"):
        client.call("create")


@pytest.mark.parametrize("task_id", ["t\x00", "t\ud800", "\n", "\x7f", "\x85", "x" * 1001])
def test_create_with_an_unusable_id_raises_create_uncertain(over: Callable[..., Both], task_id: Any) -> None:
    client = over(Agent(), create=always(task_id))

    with pytest.raises(CreateUncertain, match=r"the task exists, and its id .* cannot be used: ") as raised:
        client.call("create", idempotency_key="order 5")
    assert str(raised.value).isprintable()
    [recovered] = client.call("recover")
    assert "cannot be used" in str(recovered.error)


def test_client_without_a_create_creates_nothing(over: Callable[..., Both]) -> None:
    client = over(Agent(), create=None)

    with pytest.raises(TypeError, match="the client was given no `create`"):
        client.call("create")
    assert client.call("recover") == []


# --- reads and waits ----------------------------------------------------------------------------


def test_wait_returns_the_output_and_the_details_of_a_snapshot(over: Callable[..., Both]) -> None:
    states = iter([A2AState.SUBMITTED, A2AState.WORKING, *[A2AState.COMPLETED] * 3])

    def read(_: str) -> Snapshot:
        return Snapshot(next(states), output="Lisbon", details={"pages": 3})

    client = over(Agent(), read=read)

    result = client.task("wait", "final")

    assert (result.state, result.output, result.details) == (A2AState.COMPLETED, "Lisbon", {"pages": 3})
    assert client.task("details") == {"pages": 3}
    assert client.task("known_state") == A2AState.COMPLETED


def test_wait_outlasts_reads_that_fail(over: Callable[..., Both]) -> None:
    agent = Agent(A2AState.COMPLETED)
    agent.before["read"] = [TimeoutError(), Slow(), NoSuchTask(), None]
    client = over(agent)

    with pytest.raises(ObjectError):  # its state was never known, and it is not found
        client.task("wait", "final")
    assert client.task("wait", "final").state == A2AState.COMPLETED


def test_wait_whose_reads_fail_until_the_end_times_out(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["read"] = [TimeoutError("silent")] * 100

    with pytest.raises(WaitTimedOut, match="silent"):
        over(agent, timing=Timing(attempts=100, poll_s=0.01)).task("wait", timeout_s=0.05)


def test_snapshot_of_a_sent_command_spares_a_read(over: Callable[..., Both]) -> None:
    agent = Agent()
    client = over(agent, send=always(Snapshot(A2AState.CANCELED)))

    assert client.task("cancel").state == A2AState.CANCELED
    assert agent.calls == ["read"]  # the one before it


@pytest.mark.parametrize("status", [None, 3, {"state": "working"}])
def test_read_that_returns_another_type_fails_at_once(over: Callable[..., Both], status: Any) -> None:
    client = over(Agent(), read=always(status))

    with pytest.raises(ObjectError, match="it must return the status as text, or a Snapshot, not"):
        client.task("status")


@pytest.mark.parametrize(
    "snapshot",
    [Snapshot(cast("Any", 5)), Snapshot(A2AState.WORKING, details=cast("Any", [1]))],
    ids=["status", "details"],
)
def test_snapshot_that_cannot_be_used_is_an_error_of_the_call(over: Callable[..., Both], snapshot: Snapshot) -> None:
    for method in ("status", "details"):
        with pytest.raises(ObjectError, match=r"must be (text|a mapping), not"):
            over(Agent(), read=always(snapshot)).task(method)
    with pytest.raises(CommandUncertain):
        over(Agent(), send=always(snapshot)).task("cancel")


def test_unknown_status_is_reported(over: Callable[..., Both]) -> None:
    with pytest.raises(UnknownStatus):
        over(Agent(), read=always("TASK_STATE_ASLEEP")).task("status")


# --- arguments ----------------------------------------------------------------------------------


async def nothing(*_: Any, **__: Any) -> None:
    """Return nothing."""


class Awaited:
    __call__ = nothing


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "lifecycle": ({"lifecycle": "a2a"}, "must be a Lifecycle"),
    "read": ({"read": None}, "read must be a function"),
    "send": ({"send": "cancel"}, "send must be a function"),
    "coroutine": ({"create": nothing}, "does not await create: use an AsyncObjectClient"),
    "meanings": ({"meanings": 5}, "meanings must be a function, or a mapping"),
    "key": ({"meanings": {"TimeoutError": Meaning.NOT_SENT}}, "classes of exceptions as its keys"),
    "other class": ({"meanings": {int: Meaning.NOT_SENT}}, "classes of exceptions as its keys, not the class int"),
    "no Exception": ({"meanings": {KeyboardInterrupt: Meaning.NOT_SENT}}, "classes of exceptions as its keys"),
    "coroutine meanings": (
        {"meanings": nothing},
        "meanings must be a function that returns a Meaning, not a coroutine",
    ),
    "coroutine object": ({"send": Awaited()}, "does not await send: use an AsyncObjectClient"),
    "value": ({"meanings": {TimeoutError: "lost"}}, "a Meaning or Limited"),
    "timing": ({"timing": 5}, "timing must be a Timing"),
    "journal": ({"journal": "journal.db"}, "SqlJournal"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_wrong_argument_is_named(mistake: str) -> None:
    given, message = MISTAKES[mistake]
    agent = Agent()
    functions: dict[str, Any] = {"lifecycle": A2A, "read": agent.read, "send": agent.send}

    with pytest.raises(TypeError, match=message):
        ObjectClient(**{**functions, **given})


@pytest.mark.parametrize("pause", [-1, float("nan")])
def test_negative_retry_after_is_refused(pause: float) -> None:
    with pytest.raises(ValueError, match="retry_after_s"):
        Limited(pause)


def test_wrong_result_of_meanings_raises_type_error(over: Callable[..., Both]) -> None:
    agent = Agent()
    agent.before["read"] = [Slow()]

    with pytest.raises(TypeError, match="meanings must return a Meaning"):
        over(agent, meanings=always("lost")).task("status")


def test_awaitable_that_is_not_awaited_sends_nothing() -> None:
    client = ObjectClient(A2A, read=always(nothing()), send=always(None))

    with pytest.raises(TypeError, match="does not await what read returns"):
        client.task("t1").status()


def test_field_that_no_journal_can_record_is_refused_before_anything_is_called(over: Callable[..., Both]) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)

    with pytest.raises(TypeError, match=r"^the field 'parts' is not JSON: Object of type object"):
        over(agent).task("answer", [{"text": object()}])
    with pytest.raises(TypeError, match=r"^the field 'parts' is not JSON: Out of range"):
        over(agent).task("answer", [{"text": float("nan")}])
    with pytest.raises(TypeError, match=r"^the field 'when' is not JSON: Object of type date"):
        over(agent).call("create", text="now", when=date(2026, 1, 1))
    with pytest.raises(UnknownName):
        over(agent).task("send", "stop")
    assert agent.calls == []


def test_empty_text_is_refused_as_an_id() -> None:
    with pytest.raises(ValueError, match="a task's id must not be empty"):
        ObjectClient(A2A, read=always("x"), send=always(None)).task("")


def test_call_that_takes_too_long_may_have_arrived() -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    async def use() -> None:
        timing = Timing(request_timeout_s=0.02, attempts=1, longest_retry_s=0.01)
        client = AsyncObjectClient(A2A, read=Agent(A2AState.INPUT_REQUIRED).read, send=hang, timing=timing)
        with pytest.raises(CommandUncertain, match="it took longer than"):
            await client.task("t1").send(A2AEvent.ANSWER)

    asyncio.run(use())


def test_cancelled_call_leaves_its_command_to_recovery() -> None:
    agent = Agent()

    async def use() -> None:
        begun = asyncio.Event()

        async def hang(task_id: str, command: str) -> None:
            agent.send(task_id, command)
            begun.set()
            await asyncio.Event().wait()

        client = AsyncObjectClient(A2A, read=agent.read, send=hang, timing=QUICK)
        sending = asyncio.create_task(client.task("t1").cancel())
        await begun.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        [recovered] = await client.recover()
        assert recovered.is_settled
        assert recovered.error is None

    asyncio.run(use())
    assert agent.sent() == 1


def generator(*_: Any, **__: Any) -> Iterator[str]:
    yield "never run"


async def async_generator(*_: Any, **__: Any) -> AsyncIterator[str]:
    yield "never run"


UNRUN: list[tuple[str, Callable[..., Any]]] = [
    ("sync", generator),
    ("sync", async_generator),
    ("sync", lambda *_, **__: nothing()),
    ("async", generator),
    ("async", async_generator),
]


@pytest.mark.parametrize(("kind", "function"), UNRUN, ids=lambda each: getattr(each, "__name__", each))
@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_result_that_has_not_run_is_named(kind: str, function: Callable[..., Any]) -> None:
    """A warning that a coroutine was never awaited would be an error here."""
    for call, method in (("read", "status"), ("send", "cancel"), ("create", None)):
        client = Both(kind, Agent(), **{call: function})
        with pytest.raises(TypeError, match=f"{call} return"):
            client.call("create") if method is None else client.task(method)
    gc.collect()


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_awaitable_that_an_awaitable_returns_is_named() -> None:
    async def twice(*_: Any) -> Any:
        return nothing()

    with pytest.raises(TypeError, match=r"read returned .* and has done nothing: it must return a result"):
        Both("async", Agent(), read=twice).task("status")
    gc.collect()


@pytest.mark.usefixtures("old_objects_are_no_garbage")
def test_meanings_that_return_a_coroutine_raise_type_error(over: Callable[..., Both]) -> None:
    def started(_: Exception) -> Any:
        return nothing()

    agent = Agent()
    agent.before["read"] = [Slow()]
    with pytest.raises(TypeError, match="meanings must return a Meaning"):
        over(agent, meanings=started).task("status")
    gc.collect()
