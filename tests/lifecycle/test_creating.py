"""One create: every response to it, every crash in the middle, and every recovery."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from lifecycle import (
    CommandEvent,
    CommandState,
    CreateContradicted,
    CreateInFlight,
    CreateKeyReused,
    CreateUncertain,
    get,
)
from lifecycle.create import CreateProcedure, CreateResult
from lifecycle.effects import (
    Accepted,
    ClaimCreate,
    Create,
    CreateEffect,
    Effect,
    ExcludeTasks,
    FindCreate,
    LoadCreate,
    RecordCreate,
    ReleaseCreate,
    Wait,
    WaitReason,
    apply_journal_effect,
)
from lifecycle.journal import CreatedTask, CreateRecord, Lease, Report, RequestContext
from lifecycle.memory import MemoryJournal
from lifecycle.memory_creates import MemoryCreates
from tests.lifecycle.drivers import (
    DENIED,
    LOST,
    NOT_SENT,
    REFUSED,
    RENEWABLE,
    THROTTLED,
    Driver,
    Mishap,
    Scripted,
    clock,
    run_up_to,
)

V1 = get("v1-full")
FIELDS = {"task": "buy milk"}
KEY = RequestContext("order 5", "a shop", "it is sold out")
TASK = "made-1"
PROCEDURE = CreateProcedure(lifecycle="v1-full", id_of=lambda _: TASK)
AT = next(clock())


@dataclass(eq=False)
class Shop(Driver):
    """A worker with a journal, against a service with a script."""

    journal: MemoryJournal = field(default_factory=MemoryJournal)

    def __post_init__(self) -> None:
        self.creates = self.journal.creates(V1)
        self.kept = self.journal.task(V1, TASK)

    def _result(self, effect: Effect) -> Any:
        return (
            apply_journal_effect(effect, self.creates) if isinstance(effect, CreateEffect) else super()._result(effect)
        )

    @property
    def sent(self) -> int:
        return sum(isinstance(effect, Create) for effect, _ in self.trace)

    def create(self, context: RequestContext = KEY, **fields: str) -> Any:
        labels = {"order": "5"}
        return self.run(PROCEDURE.execute({**FIELDS, **fields}, labels=labels, context=context))


def shop(*creates: Any, journal: MemoryJournal | None = None, **script: Any) -> Shop:
    journal = journal or MemoryJournal()
    service = Scripted(creates=list(creates), **script)
    return Shop(journal.task(V1, TASK), service, journal=journal)


def other(creating: Shop) -> MemoryCreates:
    """The same creates, as another worker sees them."""
    return creating.journal.join("another").creates(V1)


# --- creating ---------------------------------------------------------------------------------------


def test_a_create_is_recorded_before_and_after_it_is_sent() -> None:
    creating = shop("running")

    made = creating.create()

    assert (made.task_id, made.response.status) == (TASK, "running")
    assert creating.story() == "RecordCreate RecordCreateAttempt Create RecordCreateOutcome"
    record = creating.creates.load("1")
    assert (record.state, record.task_id, record.attempts) == (CommandState.DONE, TASK, 1)
    assert (record.fields, record.labels, record.context) == (FIELDS, {"order": "5"}, KEY)
    assert record.lease is None
    assert creating.kept.load().state == "running"
    assert creating.creates.unfinished() == []


def test_a_response_without_a_status_makes_the_task_known_without_a_state() -> None:
    creating = shop(None)

    assert creating.create(RequestContext()).task_id == TASK
    assert creating.kept.load().state is None
    assert creating.creates.find_maker(TASK) is not None


def test_a_create_whose_response_is_lost_is_left_open_and_not_sent_again() -> None:
    creating = shop(LOST)

    with pytest.raises(CreateUncertain, match="v1-full: whether a task was created is not known: 500") as info:
        creating.create()

    assert (info.value.create_id, info.value.__cause__) == ("1", LOST.error)
    assert creating.sent == 1
    [left] = creating.creates.unfinished()
    assert (left.state, left.why, left.lease) == (CommandState.UNCERTAIN, str(LOST.error), None)


@pytest.mark.parametrize("failure", [REFUSED, DENIED])
def test_a_refused_create_raises_the_adapters_error_and_frees_its_key(failure: Any) -> None:
    creating = shop(failure, "running")

    with pytest.raises(Mishap) as info:
        creating.create()

    assert info.value is failure.error
    assert creating.creates.unfinished() == []
    assert creating.create().task_id == TASK
    assert creating.sent == 2


def test_a_create_that_did_not_arrive_is_sent_again() -> None:
    creating = shop(THROTTLED, NOT_SENT, None)

    creating.create()

    assert creating.waits() == [Wait(WaitReason.RETRY, 1, 7.0), Wait(WaitReason.RETRY, 2)]
    assert creating.creates.load("1").attempts == 3


@pytest.mark.parametrize("failure", [THROTTLED, NOT_SENT])
def test_create_is_retried_within_the_budget(failure: Any) -> None:
    creating = shop(*[failure] * 3, None, patience=2)

    with pytest.raises(Mishap) as info:
        creating.create()

    assert info.value is failure.error
    assert creating.creates.unfinished() == []
    assert creating.create().task_id == TASK


def test_a_create_that_other_credentials_may_save_is_sent_again_once() -> None:
    creating = shop(RENEWABLE, "running")

    assert creating.create().task_id == TASK

    assert creating.waits() == []
    assert creating.creates.load("1").attempts == 2


def test_a_create_that_is_denied_twice_has_failed() -> None:
    creating = shop(RENEWABLE, RENEWABLE, "running")

    with pytest.raises(Mishap):
        creating.create()

    assert creating.sent == 2
    assert creating.creates.unfinished() == []


IDEMPOTENT = CreateProcedure(lifecycle="v1-full", id_of=lambda _: TASK, is_idempotent=True)


def test_an_idempotent_create_is_sent_again_with_the_same_intent() -> None:
    creating = shop(LOST, THROTTLED, LOST, "running")

    assert creating.run(IDEMPOTENT.execute(FIELDS, context=KEY)).task_id == TASK

    intents = {effect.intent for effect, _ in creating.trace if isinstance(effect, Create)}
    assert (creating.sent, len(intents)) == (4, 1)
    assert creating.creates.load("1").state is CommandState.DONE


@pytest.mark.parametrize("end", [LOST, REFUSED, DENIED, THROTTLED, NOT_SENT])
def test_an_idempotent_create_that_may_have_arrived_stays_open(end: Any) -> None:
    creating = shop(LOST, *[end] * 3, patience=2)

    with pytest.raises(CreateUncertain):
        creating.run(IDEMPOTENT.execute(FIELDS, context=KEY))

    [left] = creating.creates.unfinished()
    assert (left.state, left.lease) == (CommandState.UNCERTAIN, None)


@pytest.mark.parametrize("end", [REFUSED, DENIED, THROTTLED, NOT_SENT])
def test_an_idempotent_create_that_never_arrived_has_failed(end: Any) -> None:
    creating = shop(*[end] * 3, patience=2)

    with pytest.raises(Mishap):
        creating.run(IDEMPOTENT.execute(FIELDS, context=KEY))

    assert creating.creates.unfinished() == []


def test_an_idempotent_create_that_a_crash_left_is_not_sent_again() -> None:
    creating = shop("running")
    steps = IDEMPOTENT.execute(FIELDS, context=KEY)
    run_up_to(creating, steps, 1)  # the attempt is recorded
    steps.close()
    [left] = creating.creates.unfinished()
    creating.creates.release(left.id, claim=left.claim)

    with pytest.raises(CreateUncertain):
        creating.run(IDEMPOTENT.execute(FIELDS, context=KEY))

    assert creating.sent == 0


def test_each_create_has_its_own_intent() -> None:
    creating, ids = shop("running", "running", "running"), iter("abc")
    procedure = CreateProcedure(lifecycle="v1-full", id_of=lambda _: next(ids))

    for context in (KEY, RequestContext("order 6"), RequestContext()):
        creating.run(procedure.execute(FIELDS, context=context))

    intents = {effect.intent for effect, _ in creating.trace if isinstance(effect, Create)}
    assert len(intents) == creating.sent == 3


# --- the key ----------------------------------------------------------------------------------------


def test_repeated_create_under_a_key_returns_the_task_and_sends_nothing() -> None:
    creating = shop("running")
    creating.create()

    again = creating.run(PROCEDURE.execute(FIELDS, context=RequestContext("order 5")))

    assert again == CreateResult(TASK, None)
    assert creating.sent == 1


def test_key_with_other_fields_is_refused() -> None:
    creating = shop("running")
    creating.create()

    with pytest.raises(CreateKeyReused) as info:
        creating.create(llm="o3")

    assert (info.value.key, info.value.create_id) == ("order 5", "1")
    assert creating.sent == 1


def test_a_key_whose_create_is_uncertain_is_never_sent_again() -> None:
    creating = shop(LOST)

    for _ in range(3):
        with pytest.raises(CreateUncertain) as info:
            creating.create()
        assert info.value.create_id == "1"

    assert creating.sent == 1


def test_create_under_a_key_of_a_living_worker_is_in_flight() -> None:
    creating = shop()
    assert other(creating).add(FIELDS, labels={}, context=KEY) is not None

    with pytest.raises(CreateInFlight) as info:
        creating.create()

    assert (info.value.create_id, info.value.claimed_by, info.value.until) == ("1", "another", None)
    assert creating.sent == 0


@pytest.mark.parametrize("attempts", [0, 1])
def test_unsent_create_of_a_dead_worker_is_sent_under_its_key(attempts: int) -> None:
    creating = shop("running")
    dead = other(creating)
    left = dead.add(FIELDS, labels={}, context=KEY)
    assert left is not None
    if attempts:
        assert dead.add_attempt(left.id, number=1, claim=1)
    dead.release(left.id, claim=1)

    if attempts:
        with pytest.raises(CreateUncertain, match="no response was recorded"):
            creating.create()
        assert creating.creates.load("1").state is CommandState.UNCERTAIN
    else:
        assert creating.create().task_id == TASK
    assert creating.sent == 1 - attempts
    assert creating.creates.load("1").claim == 2


def test_a_create_that_changes_under_its_key_is_read_again() -> None:
    held = CreateRecord("1", FIELDS, {}, AT, context=KEY, lease=Lease("another", None))
    made = CreateRecord("1", FIELDS, {}, AT, CommandState.DONE, task_id=TASK, context=KEY)
    steps = PROCEDURE.execute(FIELDS, context=KEY)
    found: list[Any] = [None, held, None, made, None, None, None]
    asked: list[Any] = []

    effect = next(steps)
    for result in found:
        asked.append(type(effect))
        effect = steps.send(result)
    with pytest.raises(StopIteration) as stop:
        steps.send(made)

    assert asked == [RecordCreate, FindCreate, ClaimCreate, FindCreate, RecordCreate, FindCreate, RecordCreate]
    assert stop.value.value == CreateResult(TASK, None)


# --- two workers ------------------------------------------------------------------------------------


def test_a_worker_whose_claim_is_over_sends_nothing() -> None:
    creating = shop("running")
    steps = PROCEDURE.execute(FIELDS, context=KEY)
    record = creating.perform(next(steps))
    assert other(creating).claim("1", dead={"this process"}) is not None

    with pytest.raises(CreateUncertain, match="another worker has claimed it before it was sent"):
        creating.run(steps, record)

    assert creating.sent == 0


def overtaken(creating: Shop, event: CommandEvent | None, task: CreatedTask | None = None) -> Any:
    """Create, while another worker claims the create and records the event before the response arrives."""
    steps = PROCEDURE.execute(FIELDS, context=KEY)
    effect = next(steps)
    while not isinstance(effect, Create):
        effect = steps.send(creating.perform(effect))
    another = other(creating)
    assert another.claim("1", dead={"this process"}) is not None
    if event is not None:
        another.add_outcome("1", event, why="by another", claim=2, task=task)
    return creating.run(steps, creating.perform(effect))


@pytest.mark.parametrize("event", [None, CommandEvent.LOSE])
def test_response_settles_a_create_that_another_worker_has_claimed(event: CommandEvent | None) -> None:
    creating = shop("running")

    assert overtaken(creating, event).task_id == TASK

    record = creating.creates.load("1")
    assert (record.state, record.task_id, record.lease) == (CommandState.DONE, TASK, None)
    assert (creating.creates.unfinished(), creating.creates.find_maker(TASK)) == ([], "1")
    assert creating.create() == CreateResult(TASK, None)
    assert creating.sent == 1


def test_response_confirms_the_task_that_was_adopted_meanwhile() -> None:
    creating = shop("running")

    assert overtaken(creating, CommandEvent.CONFIRM, CreatedTask(TASK)).task_id == TASK
    assert creating.creates.load("1").why == "by another"


@pytest.mark.parametrize(
    ("event", "task", "state"),
    [
        (CommandEvent.ABANDON, None, CommandState.ABANDONED),
        (CommandEvent.CONFIRM, CreatedTask("another task"), CommandState.DONE),
    ],
)
def test_response_does_not_change_an_outcome_and_its_task_is_named(
    event: CommandEvent, task: CreatedTask | None, state: CommandState
) -> None:
    creating = shop("running")

    with pytest.raises(CreateContradicted) as info:
        overtaken(creating, event, task)

    recorded = None if task is None else task.task_id
    assert (info.value.task_id, info.value.recorded_task_id) == (TASK, recorded)
    assert (info.value.create_id, info.value.why) == ("1", "by another")
    assert creating.kept.load().state == "running"
    record = creating.creates.load("1")
    assert (record.state, record.task_id) == (state, recorded)


@pytest.mark.parametrize("event", [None, CommandEvent.LOSE])
def test_refusal_settles_a_create_that_another_worker_has_claimed(event: CommandEvent | None) -> None:
    creating = shop(REFUSED)

    with pytest.raises(Mishap):
        overtaken(creating, event)

    assert creating.creates.load("1").state is CommandState.REFUSED
    assert creating.creates.find("order 5") is None


@pytest.mark.parametrize("failure", [LOST, NOT_SENT])
def test_failure_after_an_adoption_returns_the_adopted_task(failure: Any) -> None:
    creating = shop(failure, patience=0)

    assert overtaken(creating, CommandEvent.CONFIRM, CreatedTask("adopted")) == CreateResult("adopted", None)


def test_failure_of_a_create_that_another_worker_has_claimed_is_uncertain() -> None:
    creating = shop(NOT_SENT, patience=0)

    with pytest.raises(CreateUncertain) as info:
        overtaken(creating, CommandEvent.LOSE)

    assert (info.value.create_id, info.value.__cause__) == ("1", NOT_SENT.error)
    assert creating.creates.load("1").state is CommandState.UNCERTAIN


def test_lost_response_of_an_abandoned_create_names_that_outcome() -> None:
    creating = shop(LOST)

    with pytest.raises(CreateUncertain, match="it is abandoned: by another"):
        overtaken(creating, CommandEvent.ABANDON)


def test_worker_whose_claim_is_over_returns_the_task_that_the_other_worker_made() -> None:
    creating = shop("running")
    steps = PROCEDURE.execute(FIELDS, context=KEY)
    record = creating.perform(next(steps))
    another = other(creating)
    assert another.claim("1", dead={"this process"}) is not None
    another.add_outcome("1", CommandEvent.CONFIRM, why="created", claim=2, task=CreatedTask("made"))

    assert creating.run(steps, record) == CreateResult("made", None)
    assert creating.sent == 0


def proved_during(creating: Shop, steps: Any, claim: int, *, attempts: int = 1) -> Any:
    """Run the steps, and record the response of the first worker after they have claimed the create."""
    another, effect = other(creating), next(steps)
    while not isinstance(effect, ClaimCreate):
        effect = steps.send(creating.perform(effect))
    claimed = creating.perform(effect)
    assert (claimed.claim, claimed.attempts) == (claim, attempts)
    after = another.add_outcome("1", CommandEvent.CONFIRM, why="created", claim=1, task=CreatedTask("made"))
    assert after.state is CommandState.DONE
    return creating.run(steps, claimed)


def in_flight(creating: Shop, *, attempts: int = 1) -> CreateRecord:
    """Another worker is creating under the key; its lease has ended."""
    another = other(creating)
    assert another.add(FIELDS, labels={}, context=KEY) is not None
    if attempts:
        assert another.add_attempt("1", number=1, claim=1)
    another.release("1", claim=1)
    return another.load("1")


@pytest.mark.parametrize("attempts", [0, 1])
def test_recovery_leaves_out_a_create_whose_response_arrives_meanwhile(attempts: int) -> None:
    creating = shop()
    record = in_flight(creating, attempts=attempts)

    assert proved_during(creating, PROCEDURE.recover(record), 2, attempts=attempts) is None
    assert creating.creates.load("1").task_id == "made"


def test_key_whose_response_arrives_meanwhile_returns_the_task() -> None:
    creating = shop()
    in_flight(creating)

    again = proved_during(creating, PROCEDURE.execute(FIELDS, context=KEY), 2)

    assert again == CreateResult("made", None)
    assert creating.sent == 0


def test_create_whose_response_arrives_meanwhile_is_not_abandoned() -> None:
    creating = shop()
    in_flight(creating)

    with pytest.raises(
        ValueError, match="create 1 has ended already, and is not changed: it is done with the task 'made'"
    ):
        proved_during(creating, PROCEDURE.abandon("1", ""), 2)


def test_create_whose_response_arrives_meanwhile_adopts_no_other_task() -> None:
    creating = shop(reads=["paused"])
    in_flight(creating)

    with pytest.raises(
        ValueError, match="create 1 has ended already, and is not changed: it is done with the task 'made'"
    ):
        proved_during(creating, PROCEDURE.adopt("1", TASK), 2)


def test_create_that_another_worker_claims_meanwhile_is_not_abandoned() -> None:
    creating = shop()
    in_flight(creating)
    steps = PROCEDURE.abandon("1", "")
    claimed = creating.perform(next(steps))
    assert other(creating).claim("1", dead={"this process"}) is not None

    with pytest.raises(CreateInFlight):
        creating.run(steps, claimed)


# --- what is left open ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(4))
def test_a_create_killed_at_any_effect_is_known(place: int) -> None:
    creating = shop("running")
    assert run_up_to(creating, PROCEDURE.execute(FIELDS, context=KEY), place)

    found = [
        creating.run(PROCEDURE.recover(each, dead=frozenset({"this process"})))
        for each in creating.creates.unfinished()
    ]

    expected = [CommandState.ABANDONED, CommandState.UNCERTAIN, CommandState.UNCERTAIN, None][place]
    assert [each.state for each in found if each is not None] == ([] if expected is None else [expected])
    assert [each.state for each in creating.creates.unfinished()] == [CommandState.UNCERTAIN] * (place in (1, 2))
    assert all(each.lease is None for each in creating.creates.unfinished())


def test_a_recovery_leaves_a_claimed_or_uncertain_create_unchanged() -> None:
    creating = shop()
    held = other(creating).add(FIELDS, labels={})
    assert held is not None
    uncertain = CreateRecord("9", FIELDS, {}, AT, CommandState.UNCERTAIN, attempts=1)

    assert creating.run(PROCEDURE.recover(held)) == held
    assert creating.run(PROCEDURE.recover(uncertain)) == uncertain
    assert creating.story() == "ClaimCreate UnfinishedCreates"


def test_a_recovery_of_a_create_that_has_ended_meanwhile_returns_none() -> None:
    creating = shop("running")
    stale = CreateRecord("1", FIELDS, {}, AT, attempts=1)
    creating.create()

    assert creating.run(PROCEDURE.recover(stale)) is None


def lost(creating: Shop) -> str:
    with pytest.raises(CreateUncertain) as info:
        creating.create()
    assert info.value.create_id is not None
    return info.value.create_id


def test_an_adopted_create_is_done_with_the_given_task() -> None:
    creating = shop(LOST, reads=["paused"])

    adopted = creating.run(PROCEDURE.adopt(lost(creating), TASK))

    assert (adopted.state, adopted.task_id) == (CommandState.DONE, TASK)
    assert creating.kept.load().state == "paused"
    assert creating.create() == CreateResult(TASK, None)


def test_a_task_that_cannot_be_read_is_not_adopted() -> None:
    creating = shop(LOST, reads=[DENIED])

    with pytest.raises(Mishap):
        creating.run(PROCEDURE.adopt(lost(creating), TASK))

    [left] = creating.creates.unfinished()
    assert (left.state, left.lease) == (CommandState.UNCERTAIN, None)


def test_create_that_was_adopted_already_is_not_changed() -> None:
    creating = shop(LOST, reads=["running"])
    create_id = lost(creating)
    creating.run(PROCEDURE.adopt(create_id, TASK))

    kept = f"^create 1 has ended already, and is not changed: it is done with the task '{TASK}'$"
    with pytest.raises(ValueError, match=kept):
        creating.run(PROCEDURE.adopt(create_id, TASK))


def test_a_task_is_adopted_once() -> None:
    creating = shop("running", LOST)
    creating.create(RequestContext())

    with pytest.raises(ValueError, match=r"^create 2 cannot have made the task 'made-1': create 1 did$"):
        creating.run(PROCEDURE.adopt(lost(creating), TASK))


def test_an_abandoned_create_frees_its_key() -> None:
    creating = shop(LOST, "running")

    abandoned = creating.run(PROCEDURE.abandon(lost(creating), "there is none"))

    assert (abandoned.state, abandoned.why) == (CommandState.ABANDONED, "there is none")
    assert creating.create().task_id == TASK


def test_a_claimed_or_ended_create_is_neither_adopted_nor_abandoned() -> None:
    creating = shop("running")
    creating.create()
    assert other(creating).add(FIELDS, labels={}) is not None

    with pytest.raises(CreateInFlight):
        creating.run(PROCEDURE.abandon("2", ""))
    with pytest.raises(ValueError, match="create 1 has ended already, and is not changed: it is done"):
        creating.run(PROCEDURE.abandon("1", ""))
    with pytest.raises(ValueError, match=r"there is no create '3' of v1-full; without an outcome: 2$"):
        creating.run(PROCEDURE.abandon("3", ""))


def test_create_that_has_ended_says_what_became_of_it() -> None:
    """The journal in memory keeps no record of these creates."""
    creating = shop("running", REFUSED)
    creating.create(RequestContext())
    with pytest.raises(Mishap):
        creating.create(RequestContext())

    for decide in (partial(PROCEDURE.adopt, task_id="another"), partial(PROCEDURE.abandon, reason="")):
        with pytest.raises(
            ValueError, match=f"^create 1 has ended already, and is not changed: it is done with the task '{TASK}'$"
        ):
            creating.run(decide("1"))
        with pytest.raises(
            ValueError, match=r"^create 2 has ended; the journal in memory keeps nothing else about it$"
        ):
            creating.run(decide("2"))
    with pytest.raises(
        ValueError, match=f"^create 1 is of v1-full, not of v2-full: it is done with the task '{TASK}'$"
    ):
        creating.journal.creates(get("v2-full")).load("1")


# --- the journal in memory --------------------------------------------------------------------------


def test_creates_in_memory_belong_to_one_lifecycle() -> None:
    journal = MemoryJournal()
    mine, others = journal.creates(V1), journal.creates(get("v2-full"))
    assert mine.add(FIELDS, labels={}, context=KEY) is not None

    assert others.add(FIELDS, labels={}, context=KEY) is not None
    assert [each.id for each in mine.unfinished()] == ["1"]
    with pytest.raises(ValueError, match=r"^create 1 is of v1-full, not of v2-full: it is recorded$"):
        others.load("1")
    assert not mine.blocking


def test_a_lease_ends() -> None:
    now = [AT]
    journal = MemoryJournal(clock=lambda: now[0], lease_s=60)
    creates, others = journal.creates(V1), journal.join("another").creates(V1)
    opened = creates.add(FIELDS, labels={})
    assert opened is not None
    assert opened.lease == Lease("this process", AT + timedelta(seconds=60))

    assert others.claim("1") is None
    now[0] += timedelta(seconds=61)
    claimed = others.claim("1")

    assert claimed is not None
    assert (claimed.claim, claimed.lease) == (2, Lease("another", AT + timedelta(seconds=121)))
    assert not creates.add_attempt("1", number=1, claim=1)
    creates.release("1", claim=1)
    assert creates.load("1").lease == claimed.lease
    assert creates.add_outcome("1", CommandEvent.LOSE, why="", claim=1) == claimed


def test_tasks_that_a_create_cannot_have_made_are_excluded() -> None:
    creating = shop("running", LOST)
    creating.create(RequestContext())
    before, after = (creating.journal.task(V1, name) for name in ("before", "after"))
    before.add_report(Report("running", AT))
    number = lost(creating)
    after.add_report(Report("running", creating.creates.load(number).recorded_at + timedelta(seconds=1)))

    excluded = creating.perform(ExcludeTasks(number, (TASK, "before", "after", "new")))

    assert excluded == {TASK, "before"}


def test_effects_of_creates_are_carried_out_on_creates() -> None:
    creates = MemoryJournal().creates(V1)
    apply_journal_effect(RecordCreate(FIELDS, {}), creates)

    apply_journal_effect(ReleaseCreate("1", 1), creates)

    assert apply_journal_effect(LoadCreate("1"), creates).lease is None


def test_a_report_with_a_created_task_is_optional() -> None:
    assert CreatedTask("t") == CreatedTask("t", None)
    assert Accepted(None, AT).status is None
