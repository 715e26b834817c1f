"""Pure procedures of one create: send it, recover it, adopt its task, abandon it.

They yield effects (effects.py), as the procedure of a command does. Creating is not a command: after a lost
response there is no id to read, and no later state of a task proves it. So a create is sent again only if nothing
arrived (429, or no connection was made), or if it is *idempotent*: the service makes one task of all its requests. Its
record (journal.CreateRecord) is what a crash leaves behind:

1. Record the intent: fields, labels, idempotency key, origin and reason. If the key is taken, return the task
   that was created under it, with the labels, origin and reason recorded first: only the fields decide what is
   created. The others describe the call, and a retry by another worker may describe itself differently; if it were
   refused for that, a caller would give another key, and so create a second task.
2. Record the attempt, under the same claim, then send.
3. A usable response names the task: record the create as done, and the task, in one transaction, whichever worker
   has claimed the create since, because the response proves it. If the create has another outcome by then (it was
   abandoned, or another task was adopted), keep that, record the task, and raise an error that names both.
4. A refusal: record the create as refused. 429 or no connection: wait and return to step 2, within the driver's
   time; then record it as refused, or as abandoned because it was never sent. In each case the key is free again.
   A 401 that other credentials may avoid is followed by one more attempt.
5. No usable response: if the create is idempotent, wait and return to step 2, within the driver's time. Otherwise
   record it as uncertain, and leave it open; also if it was repeated, and is then refused.

A create that a crash left open is abandoned if it was never sent. Otherwise it is uncertain, even if it is idempotent,
because a service forgets the keys of its creates after some time. It stays uncertain until a caller names
the task that it made (`adopt`), or states that it made none (`abandon`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

from lifecycle.catalog import CommandEvent, CommandState
from lifecycle.effects import (
    Accepted,
    ClaimCreate,
    Create,
    Denied,
    Failure,
    FindCreate,
    FindMaker,
    LoadCreate,
    Lost,
    NotSent,
    RecordCreate,
    RecordCreateAttempt,
    RecordCreateOutcome,
    ReleaseCreate,
    Response,
    Steps,
    Throttled,
    UnfinishedCreates,
    Wait,
    WaitReason,
    intent_of,
    read_with_retries,
    retry_after_s,
)
from lifecycle.errors import CreateContradicted, CreateInFlight, CreateKeyReused, CreateUncertain, UnreadableCreate
from lifecycle.journal import (
    NO_CONTEXT,
    NO_RESPONSE,
    CreatedTask,
    CreateRecord,
    Report,
    RequestContext,
    are_same_fields,
    create_has_ended,
    made_by_another,
)

_NO_LABELS: Mapping[str, str] = {}
_NO_ONE: frozenset[str] = frozenset()


class _Facts(TypedDict):
    lifecycle: str
    create_id: str


@dataclass(frozen=True, slots=True)
class CreateResult:
    """The task that was created. `response` is the service's response, None if an earlier call received it."""

    task_id: str
    response: Accepted | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProcedure:
    """The procedures of the creates of one lifecycle.

    `id_of` returns the task id in a usable response; every usable response to a create has one. `is_idempotent` is True
    if each request carries the create's `intent`, by which the service makes one task of several requests.
    """

    lifecycle: str
    id_of: Callable[[Accepted], str]
    is_idempotent: bool = False

    def execute(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str] = _NO_LABELS, context: RequestContext = NO_CONTEXT
    ) -> Steps[CreateResult]:
        """Create a task with these fields, or return the one that was created under the same key.

        The labels of the first create under a key are kept; those of later ones are ignored.

        Raises when driven:
            CreateUncertain: the response was lost, now or when the key was first given; or another worker
                claimed the create before it was sent.
            CreateInFlight: another worker is creating the task under this key.
            CreateKeyReused: the key was given to a create with other fields.
            CreateContradicted: the create made a task, and was meanwhile abandoned or given another task.
            The adapter's error: the service refused the create, or the time for retries is spent.
        """
        record = yield from self._open(fields, labels, context)
        if record.task_id is not None:
            return CreateResult(record.task_id, None)
        return (yield from self._send(record))

    def recover(self, record: CreateRecord, *, dead: frozenset[str] = _NO_ONE) -> Steps[CreateRecord | None]:
        """Abandon an unfinished create if it was never sent, record it as uncertain otherwise, and return its record.

        If another worker has claimed it, its record is returned unchanged; None if it has an outcome by now.
        """
        if record.state is CommandState.UNCERTAIN and record.lease is None:
            return record
        claimed: CreateRecord | None = yield ClaimCreate(record.id, dead)
        if claimed is None:
            unfinished: Sequence[CreateRecord | UnreadableCreate] = yield UnfinishedCreates()
            return next((each for each in unfinished if isinstance(each, CreateRecord) and each.id == record.id), None)
        if not claimed.attempts:
            record = yield RecordCreateOutcome(claimed.id, CommandEvent.ABANDON, "never sent", claimed.claim)
            return record if record.is_open or record.state is CommandState.ABANDONED else None
        left = yield from self._leave_open(claimed, NO_RESPONSE)
        return left if left.is_open else None

    def adopt(self, create_id: str, task_id: str) -> Steps[CreateRecord]:
        """Record that an open create made this task, which is read first. The driver must read that task.

        Raises when driven:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended, also with this task; or another create made the task.
            The adapter's error: the task cannot be read; nothing was recorded about the create.
        """
        maker: str | None = yield FindMaker(task_id)
        if maker == create_id:
            raise create_has_ended(create_id, CommandState.DONE, task_id)
        if maker is not None:
            raise made_by_another(create_id, task_id, maker)
        claimed = yield from self._claim(create_id)
        response = yield from read_with_retries()
        if isinstance(response, Failure):
            yield ReleaseCreate(claimed.id, claimed.claim)
            raise response.error
        task = CreatedTask(task_id, _report(response))
        adopted: CreateRecord
        adopted = yield RecordCreateOutcome(claimed.id, CommandEvent.CONFIRM, "adopted", claimed.claim, task)
        if adopted.task_id != task_id:
            raise _has_ended(adopted)
        return adopted

    def abandon(self, create_id: str, reason: str) -> Steps[CreateRecord]:
        """Record that an open create made no task, or none that matters: its key is free again.

        Raises when driven:
            CreateInFlight: a living worker has claimed the create.
            ValueError: there is no such create, or it has ended.
        """
        claimed = yield from self._claim(create_id)
        why = reason or "abandoned by a caller"
        abandoned: CreateRecord = yield RecordCreateOutcome(claimed.id, CommandEvent.ABANDON, why, claimed.claim)
        if abandoned.state is not CommandState.ABANDONED:  # a response arrived, or another worker has claimed it
            raise self._is_not_ours(abandoned)
        return abandoned

    def _open(
        self, fields: Mapping[str, Any], labels: Mapping[str, str], context: RequestContext
    ) -> Steps[CreateRecord]:
        """Return a create that is to be sent, or one that has made its task."""
        while True:
            opened: CreateRecord | None = yield RecordCreate(fields, labels, context)
            if opened is not None:
                return opened
            earlier: CreateRecord | None = yield FindCreate(str(context.idempotency_key))
            if earlier is not None:
                again = yield from self._replay_outcome(earlier, fields)
                if again is not None:
                    return again

    def _replay_outcome(self, earlier: CreateRecord, fields: Mapping[str, Any]) -> Steps[CreateRecord | None]:
        """Return the earlier create under this key, to be sent or done; None if it has changed meanwhile."""
        facts = self._facts(earlier)
        if not are_same_fields(earlier.fields, fields):
            raise CreateKeyReused(str(earlier.context.idempotency_key), **facts)
        if earlier.task_id is not None:
            return earlier
        claimed: CreateRecord | None = yield ClaimCreate(earlier.id)
        if claimed is None:
            latest: CreateRecord | None = yield FindCreate(str(earlier.context.idempotency_key))
            if latest == earlier:
                raise CreateInFlight(**facts, lease=earlier.lease)
            return None
        if not claimed.attempts:  # its worker died before it was sent
            return claimed
        left = yield from self._leave_open(claimed, NO_RESPONSE)
        if left.is_open:
            raise CreateUncertain(left.why, **facts)
        return None  # a response arrived meanwhile

    def _send(self, record: CreateRecord) -> Steps[CreateResult]:
        attempts, was_renewed, may_have_arrived = record.attempts, False, False
        while True:
            attempts += 1
            if not (yield RecordCreateAttempt(record.id, attempts, record.claim)):
                latest: CreateRecord = yield LoadCreate(record.id)
                return self._result_of(latest, "another worker has claimed it before it was sent")
            response: Response = yield Create(record.fields, intent_of(record.id, record.context))
            if isinstance(response, Accepted):
                return (yield from self._confirm(record, response))
            may_have_arrived = may_have_arrived or isinstance(response, Lost)
            if isinstance(response, Denied) and response.is_renewable and not was_renewed:
                was_renewed = True  # nothing happened: send again, once
            elif not self._may_repeat(response) or not (
                yield Wait(WaitReason.RETRY, attempts - record.attempts, retry_after_s(response))
            ):
                return (yield from self._fail(record, response, may_have_arrived=may_have_arrived))

    def _may_repeat(self, response: Failure) -> bool:
        """Return whether the same request may be sent again: nothing happened, or the create is idempotent."""
        return isinstance(response, Throttled | NotSent) or (self.is_idempotent and isinstance(response, Lost))

    def _confirm(self, record: CreateRecord, response: Accepted) -> Steps[CreateResult]:
        task = CreatedTask(self.id_of(response), _report(response))
        made: CreateRecord = yield RecordCreateOutcome(record.id, CommandEvent.CONFIRM, "created", record.claim, task)
        if made.task_id != task.task_id:
            raise CreateContradicted(task.task_id, made.task_id, made.why, **self._facts(record))
        return CreateResult(task.task_id, response)

    def _fail(self, record: CreateRecord, response: Failure, *, may_have_arrived: bool) -> Steps[CreateResult]:
        """Record the end of a create that is not sent again, and raise its error."""
        if may_have_arrived:
            again = "" if isinstance(response, Lost) else "its response was lost; sent again: "
            why = f"{again}{response.error}"
            left = yield from self._leave_open(record, why)
            return self._result_of(left, why, response.error)
        event = CommandEvent.ABANDON if isinstance(response, NotSent) else CommandEvent.REFUSE
        ended: CreateRecord = yield RecordCreateOutcome(record.id, event, str(response.error), record.claim)
        if ended.may_have_made:  # another worker has claimed it, and not known whether this one has sent it
            return self._result_of(ended, str(response.error), response.error)
        raise response.error

    def _result_of(self, record: CreateRecord, why: str, cause: Exception | None = None) -> CreateResult:
        """Return the recorded task. Raises CreateUncertain, for the reason `why`, if none is recorded."""
        if record.task_id is not None:
            return CreateResult(record.task_id, None)
        ended = "" if record.is_open else f"; it is {record.state}: {record.why}"
        raise CreateUncertain(why + ended, **self._facts(record)) from cause

    def _leave_open(self, record: CreateRecord, why: str) -> Steps[CreateRecord]:
        """Record that a create may have made a task, and release our claim of it."""
        claim = record.claim
        if record.state is not CommandState.UNCERTAIN:
            record = yield RecordCreateOutcome(record.id, CommandEvent.LOSE, why, claim)
        yield ReleaseCreate(record.id, claim)
        return replace(record, lease=None) if record.claim == claim else record

    def _claim(self, create_id: str) -> Steps[CreateRecord]:
        claimed: CreateRecord | None = yield ClaimCreate(create_id)
        if claimed is not None:
            return claimed
        record: CreateRecord = yield LoadCreate(create_id)
        raise self._is_not_ours(record)

    def _is_not_ours(self, record: CreateRecord) -> CreateInFlight | ValueError:
        """Return the error for a create that another worker has claimed, or that has ended."""
        return CreateInFlight(**self._facts(record), lease=record.lease) if record.is_open else _has_ended(record)

    def _facts(self, record: CreateRecord) -> _Facts:
        return {"lifecycle": self.lifecycle, "create_id": record.id}


def _has_ended(record: CreateRecord) -> ValueError:
    return create_has_ended(record.id, record.state, record.task_id)


def _report(response: Accepted) -> Report | None:
    return None if response.status is None else Report(response.status, response.as_of)
