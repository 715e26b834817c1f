"""The procedure of one command, from its intent to its outcome: a pure generator of effects.

Executing a command safely is the hard part: the request may be lost, the response may be lost, the
service may return 500 and carry it out, the process may die between two lines, another worker may act
on the same task. So the procedure is pure: it yields effects (effects.py) and is resumed with
their results. It never touches a socket, a file or a clock, and a test can inject every failure at
every effect.

The steps of a command, numbered as in the code:

1. Know the state: from the journal, or by one read. A stop that every state accepts needs no read, and
   is sent if that fails, also to a task that was created just now and is not found yet. A command whose
   request names the version of the task (If-Match) always needs one, and so does one that gives work: a
   wait has to see what changes after it.
2. Judge. A refusal or a redundancy is confirmed by one read if it rests on a recorded state that is
   not final, or that a later report contradicts. An illegal command raises, a redundant one returns;
   neither is sent. A command that has fields and is not idempotent is illegal instead of redundant,
   and its target proves it only if a request may have arrived: otherwise its fields would be lost.
3. Record the intent, only if the task has not changed since it was read. Another open command is in
   flight; a stop abandons it if no living worker has claimed it.
4. Send. Each attempt is recorded first, so that only one of several workers makes it, and only while
   the last recorded state accepts the command; if that state has changed, continue at 7. A 401 that
   other credentials may avoid is followed by one more attempt.
5. A usable response: done if proved, by the state (the target, or another that the service may report
   instead), or, if that proves nothing, by the read that the service's binding names, or by the response
   itself. If that names no state, or another read began since it was sent, one read follows, which must
   not show a task that is over where the command cannot have led it. At another final state the task is
   over.
   Neither: read again until the driver's time is spent, then the command is uncertain.
6. A refusal: read the status. At the target, and proved by it: done. At another final state: over.
   Otherwise refused, or uncertain if an earlier attempt may have arrived.
7. No usable response: uncertain until a read proves the effect, the end, or that nothing happened. In a
   state that refuses the command for good, and that it cannot have led to, it is refused.
   The command is sent again only in the last case, and only if it is idempotent, or if its request
   carries an idempotency key, by which the service knows it again.
8. After a crash exactly one worker resumes an open command, at 7.

proof.py decides what proves a command.

Every write about a command names the claim under which it is made. If another worker has claimed the
command since, the write changes nothing, and the procedure returns the outcome that the other worker records.

A command with an idempotency key is executed at most once: a second call with the key returns the first
outcome. It is recorded even if it is redundant, so that its key keeps that outcome.

No command is ever recorded as done or failed without a proof.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NoReturn

from lifecycle.catalog import COMMAND, CommandEvent, CommandState
from lifecycle.effects import (
    Accepted,
    Claim,
    Denied,
    Failure,
    FindCommand,
    Load,
    LoadCommand,
    Lost,
    Missing,
    NotSent,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Refused,
    Release,
    Response,
    Send,
    Steps,
    Throttled,
    Wait,
    WaitReason,
    error_of,
    if_gone,
    intent_of,
    read_with_retries,
    retry_after_s,
)
from lifecycle.errors import (
    AdapterError,
    CommandAbandoned,
    CommandFacts,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    IllegalTransition,
    KeyReused,
    LifecycleError,
    TaskEndedFirst,
    UnknownName,
    UnknownStatus,
)
from lifecycle.journal import (
    NO_CONTEXT,
    CommandOutcome,
    CommandRecord,
    Report,
    RequestContext,
    TaskRecord,
    are_same_fields,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.proof import CommandProof
from lifecycle.table import E, Origin, S, VerdictKind, quoted


@dataclass(frozen=True, slots=True)
class CommandResult(Generic[S, E]):
    """The result of a command that succeeded. `state` is the task's state after it, as it was last reported.

    `is_last_known` is True if `state` was reported earlier, and not after the command or by this call: the response
    proved the command, but named no state (a re-run) or another read of the task overlapped it, and the read that
    followed named none; or a command that has ended had this idempotency key.
    `sent` is False if the command was redundant, or if recovery found that it was not needed before it was sent.
    The latter call sends and reads nothing: `sent` is that of the first call, and `state` is the one that the journal
    recorded last, which other commands may have changed since.
    """

    command: E
    state: S
    sent: bool
    is_last_known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandProcedure(Generic[S, E]):
    """The procedures of one task's commands.

    Args:
        lifecycle: the lifecycle of the task.
        task: the task's id, for messages.
        proved_by_read: the commands that only a further read proves.
        may_report: by command, the states that the service may report instead of the target once it took effect.
        with_etag: the commands whose request names the version of the task: each is sent with the etag of this
            procedure's last read, and the service refuses it if the task has changed since.
        with_key: the commands whose request carries an idempotency key: the service executes each once, however
            often it is sent.
        needs_read: returns whether a command must be preceded by a read although the record, which it is given, has a
            state that accepts it; None for never.
    """

    lifecycle: Lifecycle[S, E]
    task: str
    proved_by_read: frozenset[E] = field(default_factory=frozenset[E])
    may_report: Mapping[E, frozenset[S]] = field(default_factory=dict[E, frozenset[S]])
    with_etag: frozenset[E] = field(default_factory=frozenset[E])
    with_key: frozenset[E] = field(default_factory=frozenset[E])
    needs_read: Callable[[E, TaskRecord[S, E]], bool] | None = None

    def execute(
        self, command: E, fields: Mapping[str, Any] | None = None, context: RequestContext = NO_CONTEXT
    ) -> Steps[CommandResult[S, E]]:
        """Execute the command with these fields, by the steps at the top of this module.

        Raises at once:
            UnknownName: the lifecycle does not declare the command, or declares it as a remote event.
        Raises when driven:
            IllegalTransition: the state refuses it; nothing was sent.
            UnknownStatus: the service reports a status that the lifecycle does not declare; nothing was sent. A stop
                that every state accepts, and that a state or a read proves, is still sent.
            CommandInFlight: another command of this task has no outcome yet, and the driver does not wait
                for it; nothing was sent.
            CommandRefused: the service refused it; or its response was lost, and the task is in a state to which it
                cannot have led, and which refuses it for good.
            CommandUncertain: it is not known whether it took effect; it stays open for `recover`.
            TaskEndedFirst: the task is over, in another final state than the command leads to; `.took_effect` is
                False if the command is known not to have taken effect, and None if that cannot be known.
            CommandAbandoned: the command with this idempotency key was abandoned.
            KeyReused: another command, or one with other fields, has this idempotency key.
            The adapter's error: the service responded 401, 403, or 404 (and a read does not find the task either), or
                429 until the time for retries was spent; or it was never reached.
        """
        return _Execution(self, command, fields or {}, context).run()

    def recover(self, *, dead: frozenset[str] = frozenset()) -> Steps[CommandResult[S, E] | None]:
        """Settle the command that a crash, or an earlier uncertainty, left open; return None if there is none.

        Args:
            dead: names of workers that are known to be dead: the commands that they have claimed are resumed at once.
        Raises when driven:
            CommandInFlight: another worker has claimed it, and the driver does not wait for that worker.
            IllegalTransition, UnknownStatus, CommandRefused, CommandUncertain, TaskEndedFirst, CommandAbandoned, or
                the adapter's error: under the same conditions as for `execute`.
        """
        record: TaskRecord[S, E] = yield Load()
        opened = record.open_command
        if opened is None:
            return None
        execution = _Execution(self, opened.command, opened.fields, opened.context, dead)
        return (yield from execution.resume(record, opened))

    def abandon(self, reason: str) -> Steps[CommandRecord[S, E] | None]:
        """Record the open command as abandoned and return its record; None if there is none, or it ends meanwhile.

        Nothing is sent and nothing is read: whether the command took effect stays unknown, and no recovery resumes it.

        Raises when driven:
            CommandInFlight: a living worker has claimed it.
        """
        record: TaskRecord[S, E] = yield Load()
        opened = record.open_command
        if opened is None:
            return None
        execution = _Execution(self, opened.command, opened.fields, opened.context)
        return (yield from execution.abandon(record, opened, reason or "abandoned by a caller"))


class _Superseded(Exception):
    """Another worker has claimed the command, and now decides its outcome."""


@dataclass(slots=True, kw_only=True)
class _OpenCommand(Generic[S]):
    """An open command that this worker has claimed, with its progress.

    `source` is the state in which it was judged last, None if that is not known. `state` is its state in the journal:
    recorded, and uncertain once a response was lost. `attempts` counts its requests. `may_have_arrived` is true
    once one of them may have: its response was lost or usable, or a crash left its fate unknown.
    `was_accepted` is true once a usable response to it arrived here. `why` is the reason recorded last.
    """

    id: str
    claim: int
    source: S | None
    state: CommandState
    why: str
    attempts: int
    may_have_arrived: bool
    was_accepted: bool = False


class _Execution(Generic[S, E]):
    """The execution of one command. The numbers in comments are the steps at the top of this module."""

    record: TaskRecord[S, E]  # as the journal returned it last

    def __init__(
        self,
        procedure: CommandProcedure[S, E],
        command: E,
        fields: Mapping[str, Any],
        context: RequestContext,
        dead: frozenset[str] = frozenset(),
    ) -> None:
        self.lifecycle = procedure.lifecycle
        self.task = procedure.task
        self.command = command
        self.fields = fields
        self.context = context
        self.dead = dead
        self.event = self.lifecycle.event(command)
        if self.event.origin is not Origin.CALLER:
            raise UnknownName("command", command, known=self.lifecycle.commands, where=self.lifecycle.name)
        self.proof = CommandProof(
            lifecycle=self.lifecycle,
            command=command,
            by_read=command in procedure.proved_by_read,
            names_version=command in procedure.with_etag,
            may_report=procedure.may_report.get(command, frozenset()),
        )
        self.has_key = command in procedure.with_key
        self.needs_read = procedure.needs_read
        self.etag: str | None = None
        self.was_renewed = False
        self.retries = 0
        self.waits = 0

    def run(self) -> Steps[CommandResult[S, E]]:
        self.record = yield Load()
        while True:
            earlier = yield from self._find_earlier()
            if earlier is not None:
                return (yield from self._replay_outcome(earlier))
            try:
                state = yield from self._judge()
            except IllegalTransition:
                if (earlier := (yield from self._find_earlier())) is None:
                    raise
                return (yield from self._replay_outcome(earlier))  # it was sent since, and changed the state
            is_redundant = state is not None and self.lifecycle.target(state, self.command) is None
            if state is not None and is_redundant and self.context.idempotency_key is None:
                return CommandResult(self.command, state, sent=False)
            # 3
            opened: CommandRecord[S, E] | TaskRecord[S, E]
            opened = yield RecordIntent(self.command, state, self.record.version, self.fields, self.context)
            if isinstance(opened, CommandRecord):
                self._open(opened)
                return (yield from self._settled(self._confirm() if is_redundant else self._send()))
            self.record = opened
            other = opened.open_command
            if other is not None and (
                self.context.idempotency_key is None or other.context.idempotency_key != self.context.idempotency_key
            ):
                yield from self._abandon_or_wait(other)

    def resume(self, record: TaskRecord[S, E], opened: CommandRecord[S, E]) -> Steps[CommandResult[S, E]]:
        # 8
        self.record = record
        while True:
            claimed: CommandRecord[S, E] | None = yield Claim(opened.id, self.dead)
            if claimed is not None:
                self._open(claimed)
                return (yield from self._settled(self._read_and_send()))
            opened = yield LoadCommand(opened.id)
            if COMMAND.is_final(opened.state):
                return (yield from self._outcome_of(opened))
            yield from self._wait_for(opened, is_same=True)

    def abandon(
        self, record: TaskRecord[S, E], opened: CommandRecord[S, E], why: str
    ) -> Steps[CommandRecord[S, E] | None]:
        self.record = record
        latest: CommandRecord[S, E] = (yield from self._abandon(opened, why)) or (yield LoadCommand(opened.id))
        if not COMMAND.is_final(latest.state):
            raise CommandInFlight(latest.command, lease=latest.lease, is_same=True, **self._facts())
        return latest if latest.state is CommandState.ABANDONED else None

    # --- other commands, and other workers ---

    def _find_earlier(self) -> Steps[CommandRecord[S, E] | None]:
        return None if self.context.idempotency_key is None else (yield FindCommand(self.context.idempotency_key))

    def _replay_outcome(self, earlier: CommandRecord[S, E]) -> Steps[CommandResult[S, E]]:
        """Return the outcome of the command that was given under this key; resume it if it has none yet."""
        if earlier.command != self.command or not are_same_fields(earlier.fields, self.fields):
            self.record = yield Load()
            raise KeyReused(str(earlier.context.idempotency_key), earlier.command, **self._facts())
        if COMMAND.is_final(earlier.state):
            return replace((yield from self._outcome_of(earlier)), is_last_known=True)
        return (yield from self.resume(self.record, earlier))

    def _outcome_of(self, ended: CommandRecord[S, E]) -> Steps[CommandResult[S, E]]:
        """Return the result of a command that has ended, or raise the error of its recorded outcome."""
        self.record = yield Load()  # the first report of the task may have come since the last one
        match ended.state:
            case CommandState.DONE:
                return CommandResult(self.command, self._state(), sent=ended.attempts > 0)
            case CommandState.REFUSED:
                raise CommandRefused(ended.why, **self._facts())
            case CommandState.ENDED_FIRST:
                raise TaskEndedFirst(took_effect=False, **self._facts())
            case CommandState.MOOT:
                raise TaskEndedFirst(took_effect=None, **self._facts())
            case _:
                raise CommandAbandoned(ended.why, **self._facts())

    def _settled(self, steps: Steps[CommandResult[S, E]]) -> Steps[CommandResult[S, E]]:
        """Run `steps`; if another worker claims the command meanwhile, return or raise the outcome that it records."""
        try:
            return (yield from steps)
        except _Superseded:
            pass
        except AdapterError as error:
            if self.opened.may_have_arrived and not COMMAND.is_final(self.opened.state):  # the journal has failed
                error.add_note(f"The command {quoted(self.command)} was sent, and may have taken effect.")
            raise
        while True:
            command: CommandRecord[S, E] = yield LoadCommand(self.opened.id)
            if COMMAND.is_final(command.state):
                return (yield from self._outcome_of(command))
            self.waits += 1
            if not (yield Wait(WaitReason.IN_FLIGHT, self.waits)):
                by = "another worker" if command.lease is None else f"worker {quoted(command.lease.worker)}"
                raise CommandUncertain(f"{by} has resumed it", **self._facts())

    def _abandon_or_wait(self, other: CommandRecord[S, E]) -> Steps[None]:
        """Abandon another open command for a stop, unless a living worker has claimed it; wait for it otherwise."""
        if self.lifecycle.is_terminating(self.command):
            if (yield from self._abandon(other, f"abandoned for {quoted(self.command)}")) is not None:
                return
            other = yield LoadCommand(other.id)
        if not COMMAND.is_final(other.state):
            yield from self._wait_for(other)
        self.record = yield Load()

    def _abandon(self, other: CommandRecord[S, E], why: str) -> Steps[CommandRecord[S, E] | None]:
        """Abandon an open command and return it as it is then; None if a living worker has claimed it."""
        claimed: CommandRecord[S, E] | None = yield Claim(other.id, self.dead)
        if claimed is None:
            return None
        outcome: CommandOutcome[S, E] = yield RecordOutcome(other.id, CommandEvent.ABANDON, why, claimed.claim)
        self.record = outcome.task
        return outcome.command

    def _wait_for(self, other: CommandRecord[S, E], *, is_same: bool = False) -> Steps[None]:
        """Wait for a command in flight. Raises CommandInFlight if the driver does not wait, or no longer."""
        self.waits += 1
        if not (yield Wait(WaitReason.IN_FLIGHT, self.waits)):
            raise CommandInFlight(other.command, lease=other.lease, is_same=is_same, **self._facts())

    def _open(self, opened: CommandRecord[S, E]) -> None:
        self.opened: _OpenCommand[S] = _OpenCommand(
            id=opened.id,
            claim=opened.claim,
            source=opened.source,
            state=opened.state,
            why=opened.why,
            attempts=opened.attempts,
            may_have_arrived=opened.attempts > 0,
        )

    # --- 1 and 2 ---

    def _judge(self) -> Steps[S | None]:
        """Return the state in which the command is legal or redundant; None if it cannot and need not be read."""
        if self._must_read_first():
            yield from self._read_first()
        state = self.record.current
        if state is not None and self.lifecycle.target(state, self.command) is None:
            verdict = self.lifecycle.judge(state, self.command)
            if verdict.kind is not VerdictKind.REDUNDANT or self._adds_something():
                self.lifecycle.step(state, self.command)
        return state

    def _adds_something(self) -> bool:
        """Return whether the command says more than its target: it has fields, and twice is not the same as once."""
        return bool(self.fields) and not self.event.idempotent

    def _must_read_first(self) -> bool:
        """Return whether the recorded state does not suffice to judge and to send the command."""
        known = self.record.current
        if known is None or self.record.doubt is not None or self.proof.names_version:
            return True
        if self.lifecycle.target(known, self.command) is None:
            return not self.lifecycle.is_final(known)
        return self.needs_read is not None and self.needs_read(self.command, self.record)

    def _read_first(self) -> Steps[None]:
        """Read the state. Raises if that fails, unless the command is an emergency stop.

        Even that is not sent to a task that is not found, unless it was created just now: the stop may find it.
        """
        is_single = self.proof.needs_no_state
        response = (yield from if_gone((yield Read()))) if is_single else (yield from read_with_retries())
        yield from self._report(response)
        if is_single and (not isinstance(response, Missing) or (yield from self._may_appear())):
            return
        self._require_state(response)

    def _require_state(self, response: Response) -> None:
        """Raise the error of the response to a read, or UnknownStatus, if it contains no declared state."""
        if (unread := self._unread(response)) is not None:
            raise unread

    def _unread(self, response: Response) -> LifecycleError | None:
        """Return the error of a response, or an UnknownStatus, if it contains no declared state; None if it does."""
        if isinstance(response, Failure):
            return response.error
        try:
            self.lifecycle.require_state_of(str(response.status))
        except UnknownStatus as error:
            return error.with_traceback(None)
        return None

    # --- 4 ---

    def _send(self) -> Steps[CommandResult[S, E]]:
        while True:
            if not (yield from self._attempt()):
                result = yield from self._after_lost_response(None)
                if result is not None:
                    return result
                continue
            intent = intent_of(self.opened.id, self.context)
            sent: Response = yield Send(self.command, self.fields, intent, self.etag, self.opened.source)
            response = yield from if_gone(sent, is_known=self.opened.may_have_arrived)
            match response:
                case Accepted():
                    return (yield from self._after_acceptance(response))
                case Missing() if (yield from self._may_be_too_early()):
                    pass  # nothing happened: send again
                case Refused() | Missing():
                    return (yield from self._after_refusal(response))
                case Denied() if not self._may_renew(response):
                    yield from self._close_unsent(CommandEvent.REFUSE, response.error)
                case Throttled() if not (yield from self._may_retry(response)):
                    yield from self._close_unsent(CommandEvent.REFUSE, response.error)
                case NotSent() if not (yield from self._may_retry(response)):
                    yield from self._close_unsent(CommandEvent.ABANDON, response.error)
                case Lost():
                    self.opened.may_have_arrived = True
                    result = yield from self._after_lost_response(response)
                    if result is not None:
                        return result
                case _:
                    pass  # nothing happened, and it may now: send again

    def _attempt(self) -> Steps[bool]:
        """Record the next attempt; return False if the task has changed, and must be read again before sending."""
        if (yield RecordAttempt(self.opened.id, self.opened.attempts + 1, self.opened.claim)):
            self.opened.attempts += 1
            return True
        self.record = yield Load()
        opened = self.record.open_command
        if opened is None or (opened.id, opened.claim) != (self.opened.id, self.opened.claim):
            raise _Superseded
        # The journal may have recorded an attempt more than we know of: it repeats a transaction whose commit was not
        # acknowledged. No other worker can make an attempt under our claim, and we send only after the
        # acknowledgement; so that attempt counts, and was not sent.
        self.opened.attempts = opened.attempts
        return False

    # --- 5 ---

    def _after_acceptance(self, accepted: Accepted) -> Steps[CommandResult[S, E]]:
        self.opened.may_have_arrived = self.opened.was_accepted = True
        state = yield from self._report(accepted)
        reported = None if accepted.status is None else self.lifecycle.state_of(accepted.status)
        is_other = reported is not None and self.proof.is_other_outcome(reported, self.opened.source, was_accepted=True)
        if reported is not None and not is_other and self.proof.is_over_elsewhere(reported, self.opened.source):
            # A response with another final state does not confirm the command. The task is over if the journal
            # believes that report.
            if state is not None and self.proof.is_over_elsewhere(state, self.opened.source):
                yield from self._end(state)
            why = f"the response reported {quoted(reported)}, and no read confirmed it"
            return (yield from self._settle(accepted, why))
        if self.proof.by_response:
            # Another worker's read may have begun after the request, and before its effect: the response then counts
            # as the older of the two.
            is_known = (reported is not None and state == reported) or (yield from self._read_after_acceptance())
            return replace((yield from self._confirm("the service accepted it")), is_last_known=not is_known)
        response: Response = accepted
        if accepted.status is None:
            response = yield from self._read()
            state = yield from self._report(response)
        concluded = yield from self._conclude(state)
        return concluded or (yield from self._settle(response, "the service accepted it and did not act"))

    def _read_after_acceptance(self) -> Steps[bool]:
        """Read once, and return whether the service reports a state.

        Raises TaskEndedFirst if the task is over where the command cannot have led it: some services also accept what
        they then ignore.
        """
        state = yield from self._report((yield from self._read()))
        if state is not None and self.proof.is_contradicted(state, self.opened.source):
            yield from self._end(state)
        return state is not None

    def _settle(self, response: Response, missing: str) -> Steps[CommandResult[S, E]]:
        """Read again until the command is proved, the task is over, or the driver's time is spent."""
        attempt = 0
        while True:
            attempt += 1
            if not (yield Wait(WaitReason.SETTLE, attempt, retry_after_s(response))):
                unread = self._unread(response)
                why = f"{missing} in time" if unread is None else f"its effect could not be read in time: {unread}"
                yield from self._uncertain(why, unread)
            response = yield from self._read()
            result = yield from self._conclude((yield from self._report(response)))
            if result is not None:
                return result

    # --- 6 ---

    def _after_refusal(self, refused: Refused | Missing) -> Steps[CommandResult[S, E]]:
        response = yield from read_with_retries()
        result = yield from self._conclude((yield from self._report(response)))
        if result is not None:
            return result
        if self.opened.may_have_arrived:  # this attempt did not take effect; an earlier one may have
            yield from self._uncertain(f"sent again, it was refused: {refused.error}", refused.error)
        yield from self._record(CommandEvent.REFUSE, str(refused.error))
        if isinstance(refused, Missing) and isinstance(response, Missing):
            raise refused.error
        raise CommandRefused(str(refused.error), **self._facts()) from refused.error

    def _close_unsent(self, event: CommandEvent, error: LifecycleError) -> Steps[NoReturn]:
        if self.opened.may_have_arrived:  # this attempt did not arrive; an earlier one may have
            yield from self._uncertain(str(error), error)
        yield from self._record(event, str(error))
        raise error

    # --- 7 ---

    def _read_and_send(self) -> Steps[CommandResult[S, E]]:
        result = yield from self._after_lost_response(None)
        return result or (yield from self._send())

    def _after_lost_response(self, lost: Lost | None) -> Steps[CommandResult[S, E] | None]:
        """Read the state, and return the result if that proves one; None if the command is to be sent (again)."""
        why = self._why_uncertain() if lost is None else str(lost.error)
        if self.opened.may_have_arrived:
            yield from self._lose(why)
        # An emergency stop is sent again soon, whatever the state: read once, and use the recorded state if that fails.
        is_single = self.proof.needs_no_state
        response = (yield from self._read()) if is_single else (yield from read_with_retries())
        state = yield from self._report(response)
        unread = None if state is not None else self._unread(response)
        if unread is not None:
            why = f"{why}, and the status cannot be read: {unread}"
        if state is None and self.proof.needs_no_state:
            state = self.record.current
        result = yield from self._conclude(state)
        if result is not None:
            return result
        if state is not None and self.opened.may_have_arrived and self.lifecycle.is_final(state):
            return (yield from self._settle(response, "its proof did not come"))  # the task is at the target
        if state is None and not self.proof.needs_no_state:
            if self.opened.may_have_arrived:
                yield from self._uncertain(why, unread)
            yield Release(self.opened.id, self.opened.claim)  # never sent; it can be sent later
            self._require_state(response)
        yield from self._prepare_retry(state, why, lost)
        return None

    def _why_uncertain(self) -> str:
        """Return why the command became uncertain; if it is not recorded so, its worker died before it knew."""
        return self.opened.why if self.opened.state is CommandState.UNCERTAIN else "no usable response arrived"

    def _prepare_retry(self, state: S | None, why: str, lost: Lost | None) -> Steps[None]:
        is_legal = state is None or self.lifecycle.target(state, self.command) is not None
        if not self.opened.may_have_arrived:
            if not is_legal:
                yield from self._record(CommandEvent.ABANDON, f"never sent, and now {quoted(str(state))}")
                self.lifecycle.step(self._state(), self.command)
            self.opened.source = state
            return
        if not (self.event.idempotent or self.has_key):
            yield from self._uncertain(f"{why}, and sending it twice is not the same as once", error_of(lost))
        if not is_legal:
            yield from self._uncertain(f"{why}, and the task is now {quoted(str(state))}", error_of(lost))
        self.retries += 1
        if not (yield Wait(WaitReason.RETRY, self.retries, retry_after_s(lost))):
            yield from self._uncertain(why, error_of(lost))
        self.opened.source = state

    def _may_retry(self, response: Throttled | NotSent) -> Steps[bool]:
        self.retries += 1
        return bool((yield Wait(WaitReason.RETRY, self.retries, response.retry_after_s)))

    def _may_renew(self, denied: Denied) -> bool:
        is_first, self.was_renewed = not self.was_renewed, True
        return denied.is_renewable and is_first

    def _may_appear(self) -> Steps[bool]:
        self.retries += 1
        since = self.record.created_at
        return since is not None and bool((yield Wait(WaitReason.APPEAR, self.retries, since=since)))

    def _may_be_too_early(self) -> Steps[bool]:
        """Return whether the task was created just now, and is not found yet: one that can be read has refused it."""
        if self.record.created_at is None or isinstance((yield Read()), Accepted):
            return False
        return (yield from self._may_appear())

    def _read(self) -> Steps[Response]:
        """Read the state once. If the command may have arrived, a task that is not found is gone."""
        return (yield from if_gone((yield Read()), is_known=self.opened.may_have_arrived))

    # --- proofs ---

    def _conclude(self, state: S | None) -> Steps[CommandResult[S, E] | None]:
        """Return the result if it is proved; None if not.

        Raises TaskEndedFirst if the task is over elsewhere, CommandRefused if its state refuses the command for good.
        """
        if state is None:
            return None
        if (yield from self._is_proved(state)):
            return (yield from self._confirm())
        if self.proof.is_over_elsewhere(state, self.opened.source):
            yield from self._end(state)
        if self.opened.may_have_arrived and self.proof.is_refused_for_good(state):
            why = f"the task is {quoted(str(state))}, which refuses it for good"
            yield from self._record(CommandEvent.REFUSE, why)
            raise CommandRefused(why, **self._facts())
        return None

    def _is_proved(self, state: S) -> Steps[bool]:
        """Return whether the command is proved by `state` (target, past it, another outcome), alone or with a read."""
        source, proof = self.opened.source, self.proof
        if self._adds_something() and not self.opened.may_have_arrived:
            return False  # the task came to the target without it
        is_proof = proof.is_target(state, source) or (
            self.opened.may_have_arrived
            and (
                proof.is_past_target(state, source)
                or proof.is_other_outcome(state, source, was_accepted=self.opened.was_accepted)
            )
        )
        if not is_proof:
            return False
        return proof.by_state or (proof.by_read and bool((yield ReadProof(self.command))))

    # --- recording ---

    def _report(self, response: Response) -> Steps[S | None]:
        """Record the status in a response; return the state known after it, None if there is no declared status."""
        if isinstance(response, Accepted) and response.etag is not None:
            self.etag = response.etag
        if not isinstance(response, Accepted) or response.status is None:
            return None
        self.record = yield RecordReport(Report(response.status, response.as_of))
        return None if self.lifecycle.state_of(response.status) is None else self.record.current

    def _confirm(self, why: str | None = None) -> Steps[CommandResult[S, E]]:
        """Record the command as done: `why` is the proof, the task's state if it is None."""
        state = self._state()  # read before recording: a late report about a task that is over may change it meanwhile
        yield from self._record(CommandEvent.CONFIRM, why or f"the task was then {quoted(str(state))}")
        return CommandResult(self.command, state, sent=self.opened.attempts > 0)

    def _end(self, state: S) -> Steps[NoReturn]:
        """Record that the task is over, in a final state that does not prove the command."""
        is_moot = self.opened.may_have_arrived and self.proof.may_have_led_to(state)
        event = CommandEvent.OUTLIVE if is_moot else CommandEvent.END
        yield from self._record(event, f"the task was then {quoted(str(state))}")
        raise TaskEndedFirst(took_effect=None if is_moot else False, **self._facts())

    def _uncertain(self, why: str, cause: LifecycleError | None) -> Steps[NoReturn]:
        # If it is uncertain already, this changes nothing, but raises if another worker has claimed it since.
        yield from self._record(CommandEvent.LOSE, why)
        yield Release(self.opened.id, self.opened.claim)
        raise CommandUncertain(why, **self._facts()) from cause

    def _lose(self, why: str) -> Steps[None]:
        if self.opened.state is not CommandState.UNCERTAIN:
            yield from self._record(CommandEvent.LOSE, why)

    def _record(self, event: CommandEvent, why: str) -> Steps[None]:
        """Record an event of the command. Raises _Superseded if another worker has claimed it."""
        outcome: CommandOutcome[S, E] = yield RecordOutcome(self.opened.id, event, why, self.opened.claim)
        if event is CommandEvent.CONFIRM and outcome.command.claim != self.opened.claim:
            # A proof stays valid, also if another worker has claimed the command since. If that worker has released
            # it or is gone, claim it and record the proof again.
            claimed: CommandRecord[S, E] | None = yield Claim(self.opened.id)
            if claimed is not None:
                self.opened.claim = claimed.claim
                outcome = yield RecordOutcome(claimed.id, event, why, claimed.claim)
        self.record = outcome.task
        if outcome.command.claim != self.opened.claim:
            raise _Superseded
        self.opened.state, self.opened.why = outcome.command.state, outcome.command.why

    def _state(self) -> S:
        assert self.record.current is not None
        return self.record.current

    def _facts(self) -> CommandFacts:
        state = self.record.current
        return {
            "lifecycle": self.lifecycle.name,
            "task": self.task,
            "command": str(self.command),
            "state": None if state is None else str(state),
        }
