"""The reducers of a journal: pure functions that compute the next record, once, for every journal.

The task's lifecycle judges reports, the lifecycle `command` judges commands and creates. journal.py has the records.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from lifecycle.catalog import COMMAND, CommandEvent
from lifecycle.conformance import Channel, Observation, ObservationKind
from lifecycle.journal import (
    NO_RESPONSE,
    CommandRecord,
    CreatedTask,
    CreateRecord,
    Entry,
    Lease,
    Report,
    ReportEntry,
    TaskRecord,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, S

R = TypeVar("R", bound=CommandRecord[Any, Any] | CreateRecord)


def classify_report(
    lifecycle: Lifecycle[S, E], record: TaskRecord[S, E], report: Report, *, now: datetime | None = None
) -> ReportEntry[S, E]:
    """Classify `report` against `record`, the task's current record.

    The time of a pushed report is from another clock, and two clocks never agree. Therefore reachability decides first
    about it: if it leads to a state in which the task cannot have been before, it is new; if the task can have been
    there, as inside a cycle, it is unconfirmed until a read. Any other report is late if it is older than the last one
    applied; but if that one is later than `now`, the time of the journal's clock (None: not known), a clock was set
    back, and no times are compared.

    Raises:
        UnknownName: the lifecycle declares no such channel.
    """
    if record.state is None:
        return ReportEntry(report, lifecycle.state_of(report.status, channel=report.channel), None)
    observation = lifecycle.observe(record.state, report.status, channel=report.channel)
    is_older = _trusts(record, now) and record.as_of is not None and report.as_of < record.as_of
    is_pushed = report.channel != Channel.API
    is_new = is_pushed and leads_on(lifecycle, observation)
    unconfirmed = is_pushed and observation.kind in _FORWARD and not is_new
    late = is_older and not is_new and not unconfirmed
    keeps = late or unconfirmed
    contradicts = not keeps and observation.kind in _CONTRADICTS and lifecycle.is_final(record.state)
    state = record.state if keeps else observation.state
    return ReportEntry(report, state, observation, late, unconfirmed, contradicts)


_FORWARD = (ObservationKind.STEP, ObservationKind.JUMP)


def leads_on(lifecycle: Lifecycle[S, E], observation: Observation[S, E]) -> bool:
    """Return whether a step or jump leads to a state in which the task cannot have been before."""
    is_forward = observation.kind in _FORWARD
    return is_forward and lifecycle.relation(observation.state, observation.known) not in _FORWARD


def _trusts(record: TaskRecord[S, E], now: datetime | None) -> bool:
    """Return whether the record's time can be compared with others, because no clock was set back since."""
    return now is None or record.as_of is None or record.as_of <= now


def apply_report(
    record: TaskRecord[S, E], entry: ReportEntry[S, E], *, now: datetime | None = None
) -> TaskRecord[S, E]:
    """Return the task's record after a report; no time in it is later than `now`, if that is given."""
    if entry.late or entry.unconfirmed:
        return record
    as_of = entry.report.as_of if now is None else min(entry.report.as_of, now)
    if record.as_of is not None and _trusts(record, now):
        as_of = max(as_of, record.as_of)  # the report is new although its time is older: the other clock is slow
    has_changed = entry.state != record.state
    observation = entry.observation
    kind = None if observation is None else observation.kind
    believed = entry.state is not None and kind not in _NOT_BELIEVED
    doubt = record.doubt
    if entry.contradicts and observation is not None:
        doubt = observation.reported
    elif believed:
        doubt = None
    # Not `replace`, which is slower: a watcher records thousands of reports a second.
    return TaskRecord(
        version=record.version + (has_changed or doubt != record.doubt),
        state=entry.state,
        as_of=as_of if believed else record.as_of,
        open_command=record.open_command,
        since=as_of if has_changed else record.since,
        first_at=record.first_at or as_of,
        doubt=doubt,
        created_at=record.created_at,
    )


def is_repeat(entry: ReportEntry[S, E], last: Entry[S, E] | None) -> bool:
    """Return whether `entry` repeats `last`; repeats are counted, not stored, so that polling does not fill a journal.

    Two reports are equal if their status and channel are; a late or unconfirmed one is never a repeat.
    """
    if not isinstance(last, ReportEntry) or entry.late or last.late or entry.unconfirmed or last.unconfirmed:
        return False
    return (entry.report.status, entry.report.channel) == (last.report.status, last.report.channel)


def apply_command(record: TaskRecord[S, E], command: CommandRecord[S, E]) -> TaskRecord[S, E]:
    """Return the task's record after an event of its command; `command` is the command after it."""
    still_open = None if COMMAND.is_final(command.state) else command
    # Not `replace`, which is slower.
    return TaskRecord(
        version=record.version + 1,
        state=record.state,
        as_of=record.as_of,
        open_command=still_open,
        since=record.since,
        first_at=record.first_at,
        doubt=record.doubt,
        created_at=record.created_at,
    )


def may_attempt(
    lifecycle: Lifecycle[S, E], record: TaskRecord[S, E], command_id: str, *, number: int, claim: int
) -> bool:
    """Return whether a command may be sent for the `number`-th time, under this claim.

    It may if it is open, no other worker has claimed it since, no worker has made that attempt, and the
    state in `record` accepts it.
    """
    command = record.open_command
    if command is None or (command.id, command.attempts + 1, command.claim) != (command_id, number, claim):
        return False
    if record.current is None:
        return lifecycle.accepted_until_final(command.command)
    return lifecycle.target(record.current, command.command) is not None


def apply_event(
    command: CommandRecord[S, E], event: CommandEvent, *, why: str, claim: int, lease: Lease | None
) -> CommandRecord[S, E]:
    """Return a command after an event of its lifecycle, with this lease as long as it is open.

    If it has ended, or another worker has claimed it since `claim`, the same object is returned: this
    worker was too late, and the record stays as it is.
    """
    state = COMMAND.target(command.state, event)
    if state is None or command.claim != claim:
        return command
    return replace(command, state=state, why=why, lease=None if COMMAND.is_final(state) else lease)


def apply_claim(record: R, by: Lease, *, now: datetime, is_successor: bool, dead: Collection[str]) -> R | None:
    """Return a command or a create after a worker has claimed it, or None if it has ended or another one may be alive.

    Args:
        record: the recorded command or create; its `lease` has ended if its `until` is before `now`.
        by: the worker that claims it, and the end of its lease.
        now: the journal's time.
        is_successor: whether the worker is a new session of the worker that has claimed it.
        dead: workers that are known to be dead.
    """
    lease = record.lease
    has_lapsed = lease is not None and lease.until is not None and lease.until < now
    is_free = lease is None or has_lapsed or is_successor or lease.worker in dead
    if COMMAND.is_final(record.state) or not is_free:
        return None
    return replace(record, claim=record.claim + 1, lease=by)


def apply_attempt_of_create(record: CreateRecord, *, number: int, claim: int) -> CreateRecord | None:
    """Return a create that is about to be sent; None if it has ended, or this claim may not make that attempt."""
    may_attempt = record.is_open and (record.claim, record.attempts + 1) == (claim, number)
    return replace(record, attempts=number, why=NO_RESPONSE) if may_attempt else None


def apply_event_of_create(
    record: CreateRecord, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None
) -> CreateRecord:
    """Return a create after an event of its lifecycle; the same object if the claim or the lifecycle forbids it.

    A usable response, which names the task, and a refusal are proofs: they settle an open create whichever worker has
    claimed it since, because only the worker that sent it receives them and nobody sends it again.
    """
    state = COMMAND.target(record.state, event)
    is_proof = task is not None or event is CommandEvent.REFUSE
    if state is None or (record.claim != claim and not is_proof):
        return record
    lease = None if COMMAND.is_final(state) else record.lease
    return replace(record, state=state, why=why, lease=lease, task_id=None if task is None else task.task_id)


_NOT_BELIEVED = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT, ObservationKind.UNKNOWN})
_CONTRADICTS = frozenset({ObservationKind.STALE, ObservationKind.CONFLICT})
