"""Every exception that the core raises, and the root of those that the adapters raise.

Nothing else belongs here. Messages contain the attempted action, its place, and the
allowed alternatives; the attributes carry the same facts, typed.

    LifecycleError
    ├── DefinitionError         a declaration is not sound: all findings at once (a ValueError)
    ├── UnknownName             a state, event, channel or lifecycle that is not declared (a ValueError)
    ├── IllegalTransition       an event that the state refuses
    ├── UnknownStatus           a service reported a status that its lifecycle does not declare
    ├── CommandError            a command that the table allowed did not succeed
    │   ├── CommandInFlight     another command of this task has no outcome yet
    │   ├── CommandRefused      the service refused it, or the task's state does for good
    │   ├── CommandUncertain    it is not known whether it took effect; it stays open
    │   ├── CommandAbandoned    it was abandoned: never sent, replaced by a stop, or by a caller
    │   ├── KeyReused           its idempotency key was given to another command
    │   └── TaskEndedFirst      the task is over, in another state than the command leads to
    ├── CreateError             a create did not succeed
    │   ├── CreateUncertain     it is not known whether a task was created
    │   ├── CreateInFlight      another worker has claimed the create
    │   ├── CreateKeyReused     its idempotency key was given to a create with other fields
    │   └── CreateContradicted  it made a task, and is recorded as abandoned or with another task
    ├── WaitTimedOut            a task was not settled or final in time (a TimeoutError)
    ├── UnreadableRecord        a journal's record of one task cannot be read
    │   ├── UndeclaredState     its lifecycle does not declare the recorded state
    │   └── UnreadableCreate    the record of a create cannot be read
    ├── OtherServer             the journal has these tasks at another server than the client's (a ValueError)
    ├── MissingExtra            an optional dependency is not installed (an ImportError)
    └── AdapterError            the outside world; its other subclasses live beside their adapters
        └── RecordMissing       the journal does not have, or no longer has, a task's command
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack, cast


class LifecycleError(Exception):
    """Root of everything that this project raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default rebuilds an exception by calling its class with `args`, which fails for
        # keyword-only constructors: these errors must survive a process pool.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[LifecycleError], args: tuple[Any, ...], state: dict[str, Any]) -> LifecycleError:
    error = cls.__new__(cls, *args)
    super(LifecycleError, error).__init__(*args)  # an ImportError keeps its message outside of `__dict__`
    error.__dict__.update(state)
    return error


def text_of(value: object) -> str:
    """Return the text of a foreign object, such as another library's error; its class if the object has none."""
    return _by(str, value)


def repr_of(value: object) -> str:
    """Return the repr of a foreign object; its class if the object has none: a message about it must not fail."""
    return _by(repr, value)


def _by(show: Callable[[object], str], value: object) -> str:
    try:
        return show(value)
    except Exception as error:  # noqa: BLE001 (whatever a foreign method raises)
        return f"<{type(value).__name__}, whose {show.__name__} raises {type(error).__name__}>"


def shortened(value: object) -> str:
    """Return the plain text of a name in quotes, cut to at most 80 characters."""
    is_text = issubclass(type(value), str)  # `isinstance` believes a mock of a text
    text = repr_of(str.__str__(cast("str", value)) if is_text else value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def described(given: object) -> str:
    """Return a value with its type, for a message; the type alone of all but texts and numbers: they may hold a key."""
    if isinstance(given, type):
        return f"the class {given.__name__}"
    is_shown = given is None or type(given) in (str, bool, int, float)
    return f"{repr_of(given):.80} ({type(given).__name__})" if is_shown else type(given).__name__


def plain_id(given: str) -> str:
    """Return an id for a message: as it is, or in quotes and cut if it is empty, long or not printable."""
    return given if given.isprintable() and 0 < len(given) <= _LONGEST_ID else shortened(given)


_LONGEST_ID = 200  # characters, at most 80 in quotes


def not_made(value: object) -> str:
    """Return the repr of an object whose constructor raised: an error report that shows it must not fail too."""
    return f"<{type(value).__name__} that was not made>"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant, ignoring case; None if none is close."""
    folded = {each.casefold(): each for each in known}
    # A name can be a megabyte of foreign text, and the comparison is slow.
    close = difflib.get_close_matches(text_of(name)[:100].casefold(), folded, n=1)
    return folded[close[0]] if close else None


@dataclass(frozen=True, slots=True)
class DefinitionFinding:
    """One error in a declaration.

    `code` is stable and meant for programs, `where` names the part (`transitions[3]`,
    `state 'idle'`), `message` is for people. `path` leads from the declaration's fields to the part
    (`("transitions", 3, "target")`), and `line` is its line, from 1, if the declaration was text.
    """

    code: str
    where: str
    message: str
    path: tuple[str | int, ...] = field(default=(), compare=False, repr=False)
    line: int | None = field(default=None, compare=False)

    def __str__(self) -> str:
        line = "" if self.line is None else f" (line {self.line})"
        return f"{self.code}: {self.where}{line}: {self.message}"


class DefinitionError(LifecycleError, ValueError):
    """A declaration is not sound. `.findings` contains every error in it that can be known, in order.

    What depends on an error is examined once that is corrected: further findings may follow.
    `.kind` is the kind of the declaration ("lifecycle", "binding", "call"), `.name` its name.
    """

    def __init__(self, name: str, findings: Sequence[DefinitionFinding], *, kind: str = "lifecycle") -> None:
        self.kind = kind
        self.name = name
        self.findings = tuple(findings)
        count = "1 finding" if len(self.findings) == 1 else f"{len(self.findings)} findings"
        lines = "".join(f"\n  {finding}" for finding in self.findings)
        super().__init__(f"{kind} {shortened(name)} is not sound, {count}:{lines}")


class UnknownName(LifecycleError, ValueError):
    """A name that is not declared.

    `.kind` is the kind of name ("state", "event", "channel", "lifecycle"), `.known` lists the declared
    names in order, `.suggestion` is the one that was probably meant (the argument `meant`, or the nearest)
    or None, `.declared_by` is the lifecycle that does declare the name, None if that is not known. The message ends
    with the argument `advice`, if it is given.
    """

    def __init__(
        self,
        kind: str,
        name: object,
        *,
        known: Iterable[str],
        where: str,
        declared_by: str | None = None,
        meant: str | None = None,
        advice: str = "",
    ) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(str(each) for each in known)
        self.where = where
        self.declared_by = declared_by
        self.suggestion = meant if meant in self.known else nearest(name, self.known)
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        if declared_by:
            hint = f"; {declared_by!r} declares it"
        listed = (repr(each) if "," in each else each for each in self.known)
        names = f"(known: {', '.join(listed) or 'none'})"
        advised = f"; {advice}" if advice else ""
        super().__init__(f"{where}: unknown {kind} {shortened(name)}{hint} {names}{advised}")


class IllegalTransition(LifecycleError):
    """The state refuses the event.

    `.lifecycle`, `.state` and `.event` are names. `.allowed` lists the events of the same origin that the
    state accepts, in declared order: for a command the commands, for a remote event the remote events. `.index` is the
    event's place in a replayed history (0..n-1) or None.
    """

    def __init__(
        self,
        reason: str,
        *,
        lifecycle: str,
        state: str,
        event: str,
        allowed: Sequence[str],
        index: int | None = None,
    ) -> None:
        self.reason = reason
        self.lifecycle = lifecycle
        self.state = state
        self.event = event
        self.allowed = tuple(allowed)
        self.index = index
        place = "" if index is None else f" (event {index} of the history)"
        super().__init__(f"{lifecycle}: {reason}{place}")


class UnknownStatus(LifecycleError):
    """A service reported a status that the lifecycle does not declare: the API has grown.

    `.status` is the foreign text, `.known` the declared states.
    """

    def __init__(self, reason: str, *, lifecycle: str, status: str, known: Sequence[str]) -> None:
        self.reason = reason
        self.lifecycle = lifecycle
        self.status = status
        self.known = tuple(known)
        super().__init__(f"{lifecycle}: {reason}")


class CommandFacts(TypedDict):
    """The facts of a command: names, and the task's last known state (None: it could not be read)."""

    lifecycle: str
    task: str
    command: str
    state: str | None


class CommandError(LifecycleError):
    """A command that was legal when it was judged did not succeed.

    `.lifecycle`, `.task` and `.command` are names; `.state` is the task's last known state, None if it
    could not be read.
    """

    def __init__(self, message: str, **facts: Unpack[CommandFacts]) -> None:
        self.lifecycle = facts["lifecycle"]
        self.task = facts["task"]
        self.command = facts["command"]
        self.state = facts["state"]
        super().__init__(f"{self.lifecycle} task {plain_id(self.task)}: {message}")


class CommandInFlight(CommandError):
    """A command of the same task has no outcome yet; `.other` is its name.

    `.is_same` is True if it is this very command, which was given before (under the same idempotency key), or is to be
    recovered; otherwise this command was not sent.
    `.claimed_by` names the worker that has claimed it, `.until` is when its claim ends (UTC; None if it has
    no end). Both are None if no worker has claimed it: then `recover` need not wait, and settles it
    if the service shows its outcome; otherwise `abandon_command` ends it, or a command that abandons it, such as a
    stop.
    """

    def __init__(
        self,
        other: str,
        *,
        lease: tuple[str, datetime | None] | None,
        is_same: bool = False,
        **facts: Unpack[CommandFacts],
    ) -> None:
        self.other = other
        self.is_same = is_same
        self.claimed_by = None if lease is None else lease[0]
        self.until = None if lease is None else lease[1]
        waits = f"{shortened(other)} has no outcome yet"
        not_sent = "" if is_same else f"{shortened(facts['command'])} was not sent: "
        super().__init__(f"{not_sent}{waits}; {_claimed(self.claimed_by, self.until)}", **facts)


def _claimed(claimed_by: str | None, until: datetime | None) -> str:
    if claimed_by is None:
        return (
            "no worker has claimed it, `recover` settles it if the service shows its outcome; "
            "`abandon_command` ends it if nobody asks for its outcome any more"
        )
    end = "until it is settled" if until is None else f"until {until.isoformat(timespec='seconds')}"
    return f"worker {shortened(claimed_by)} has claimed it {end}"


class CommandRefused(CommandError):
    """The service refused the command; `.detail` is its message, `.__cause__` the adapter's own error.

    Without a cause, the task's state shows it: the command did not take effect before that state, and cannot after it.
    """

    def __init__(self, detail: str, **facts: Unpack[CommandFacts]) -> None:
        self.detail = detail
        super().__init__(f"{shortened(facts['command'])} was refused {_in(facts['state'])}: {detail}", **facts)


class CommandUncertain(CommandError):
    """It is not known whether the command took effect. It stays open: `abandon_command` or a later stop ends it."""

    def __init__(self, why: str, **facts: Unpack[CommandFacts]) -> None:
        self.why = why
        unknown = f"whether {shortened(facts['command'])} took effect is not known"
        last = "its state is not known" if facts["state"] is None else f"last known state {shortened(facts['state'])}"
        super().__init__(f"{unknown}: {why} ({last})", **facts)


class CommandAbandoned(CommandError):
    """The command that was given under this key was abandoned; `.why` is the reason. A new one needs a new key."""

    def __init__(self, why: str, **facts: Unpack[CommandFacts]) -> None:
        self.why = why
        super().__init__(f"{shortened(facts['command'])} was abandoned: {why}; give it again under a new key", **facts)


class KeyReused(CommandError):
    """The key of this command was given to another command, or with other fields.

    `.key` is the key, `.other` the name of the command to which it was given first.
    """

    def __init__(self, key: str, other: str, **facts: Unpack[CommandFacts]) -> None:
        self.key = key
        self.other = other
        what = "with other fields" if other == facts["command"] else f"for {shortened(other)}"
        super().__init__(f"{shortened(facts['command'])} cannot have the key {shortened(key)}, used {what}", **facts)


class TaskEndedFirst(CommandError):
    """The task is over, in another final state, `.state`, than the command leads to.

    `.took_effect` is False if the command is known not to have taken effect, and None if it cannot be known
    whether it took effect before the end: its request may have arrived in time.
    """

    def __init__(self, *, took_effect: Literal[False] | None, **facts: Unpack[CommandFacts]) -> None:
        self.took_effect = took_effect
        command, state = shortened(facts["command"]), shortened(facts["state"])
        if took_effect is None:
            message = f"it is {state}; whether {command} took effect before is not known"
        else:
            message = f"it was {state} before {command} took effect"
        super().__init__(message, **facts)


def _in(state: str | None) -> str:
    return "(its state is not known)" if state is None else f"in {shortened(state)}"


class CreateError(LifecycleError):
    """A create did not succeed.

    `.lifecycle` is a name; `.create_id` is the id of its record in the journal, None if it has none.
    """

    def __init__(self, message: str, *, lifecycle: str, create_id: str | None = None) -> None:
        self.lifecycle = lifecycle
        self.create_id = create_id
        super().__init__(f"{lifecycle}: {message}")


class CreateUncertain(CreateError):
    """The response to a create was lost: a task may exist, and there is no id to read it by.

    It was not sent again, because that could create a second task. `recover` reports it with the tasks
    that it may have created.
    """

    def __init__(self, why: str, *, lifecycle: str, create_id: str | None = None) -> None:
        self.why = why
        of = "" if create_id is None else f" (create {create_id})"
        super().__init__(
            f"whether a task was created is not known: {why}{of}", lifecycle=lifecycle, create_id=create_id
        )


class CreateInFlight(CreateError):
    """A worker that may be alive has claimed this create.

    `.claimed_by` names the worker, `.until` is when its claim ends (UTC; None if it has no end).
    """

    def __init__(self, *, lifecycle: str, create_id: str, lease: tuple[str, datetime | None] | None) -> None:
        self.claimed_by = None if lease is None else lease[0]
        self.until = None if lease is None else lease[1]
        end = "" if self.until is None else f" until {self.until.isoformat(timespec='seconds')}"
        claimed_by = "another worker" if self.claimed_by is None else f"worker {shortened(self.claimed_by)}"
        super().__init__(f"{claimed_by} has claimed create {create_id}{end}", lifecycle=lifecycle, create_id=create_id)


class CreateKeyReused(CreateError):
    """The idempotency key was given to a create with other fields; `.key` is the key."""

    def __init__(self, key: str, *, lifecycle: str, create_id: str) -> None:
        self.key = key
        what = f"the key {shortened(key)} was given to create {create_id} with other fields"
        super().__init__(what, lifecycle=lifecycle, create_id=create_id)


class CreateContradicted(CreateError):
    """A create made a task, but another outcome of it was recorded before the response arrived.

    `.task_id` is the task that it made; it is in the journal. `.recorded_task_id` is the task that is recorded
    instead, None if the create was abandoned; `.why` is the recorded reason. The recorded outcome is kept.
    """

    def __init__(self, task_id: str, recorded_task_id: str | None, why: str, *, lifecycle: str, create_id: str) -> None:
        self.task_id = task_id
        self.recorded_task_id = recorded_task_id
        self.why = why
        done = "abandoned" if recorded_task_id is None else f"done with the task {shortened(recorded_task_id)}"
        super().__init__(
            f"the task {shortened(task_id)} was created, but create {create_id} is recorded as {done}: {why}",
            lifecycle=lifecycle,
            create_id=create_id,
        )


class WaitTimedOut(LifecycleError, TimeoutError):
    """A task was not settled or final in time; `.state` is its last known state, None if it was never read.

    `.why` is the error of the last read, None if that read succeeded.
    """

    def __init__(self, *, lifecycle: str, task: str, until: str, state: str | None, why: str | None = None) -> None:
        self.why = why
        self.lifecycle = lifecycle
        self.task = task
        self.until = until
        self.state = state
        last = "its state is not known" if state is None else f"still {shortened(state)}"
        failed = "" if why is None else f"; the last read failed: {why}"
        super().__init__(f"{lifecycle} task {plain_id(task)}: not {until} in time, {last}{failed}")


class UnreadableRecord(LifecycleError):
    """A journal's record of one task cannot be read; other tasks are not affected.

    `.lifecycle` and `.task` name the task, `.why` is the error in its record.
    """

    def __init__(self, why: str, *, lifecycle: str, task: str) -> None:
        self.why = why
        self.lifecycle = lifecycle
        self.task = task
        super().__init__(f"{lifecycle} task {plain_id(task)}: its record cannot be read: {why}")


class UndeclaredState(UnreadableRecord):
    """The task is recorded in a state that its lifecycle does not declare, or no longer declares.

    `.state` is the recorded state, `.known` lists the declared ones. Another version of the declaration wrote
    the record; a worker whose declaration has the state can read it.
    """

    def __init__(self, state: str, *, lifecycle: str, task: str, known: Iterable[str]) -> None:
        self.state = state
        self.known = tuple(str(each) for each in known)
        why = f"{shortened(state)} is not a state of this declaration (known: {', '.join(self.known)})"
        super().__init__(why, lifecycle=lifecycle, task=task)


class UnreadableCreate(UnreadableRecord):
    """A journal's record of one create cannot be read; others are not affected.

    `.lifecycle` and `.create_id` name the create, `.why` is the error in its record; `.task` is empty.
    """

    def __init__(self, why: str, *, lifecycle: str, create_id: str) -> None:
        super().__init__(why, lifecycle=lifecycle, task="")
        self.create_id = create_id
        self.args = (f"{lifecycle} create {create_id}: its record cannot be read: {why}",)


class OtherServer(LifecycleError, ValueError):
    """A journal has the tasks of a lifecycle at another server than the client's, which may give them the same ids.

    `.lifecycle` is the lifecycle's name without a scope, `.server` the URL of the client's server, `.recorded` are the
    URLs of the journal's.
    """

    def __init__(self, lifecycle: str, server: str, recorded: Sequence[str]) -> None:
        self.lifecycle = lifecycle
        self.server = server
        self.recorded = tuple(recorded)
        super().__init__(
            f"the journal has the tasks of {lifecycle} at {' and '.join(map(plain_id, self.recorded))}, not at"
            f" {plain_id(server)}: give this client another journal; if both are one server, say so with"
            " `client.add_server()` or `lifecycle journal add-server`"
        )


class MissingExtra(LifecycleError, ImportError):
    """Optional dependencies are not installed; the message contains the command that installs them.

    `.extras` are the names of all missing extras that the import or the command needs. `or_else` maps a
    further extra, which includes these, to what it adds: `{"spark": "Spark"}`.
    """

    def __init__(self, *extras: str, needed_by: str, or_else: Mapping[str, str] | None = None) -> None:
        self.extras = extras
        extra = "an extra" if len(extras) == 1 else "extras"
        others = "".join(f", for {what} {_install(other)}" for other, what in (or_else or {}).items())
        super().__init__(f"{needed_by} needs {extra}: {_install(*extras)}{others}")


def _install(*extras: str) -> str:
    return f"pip install 'task-lifecycle[{','.join(extras)}]'"


class AdapterError(LifecycleError):
    """Root of the errors that the adapters raise."""


class RecordMissing(AdapterError):
    """The journal does not have a command: it was deleted while it was under way, or never recorded.

    Whether the command took effect is then not recorded. `.lifecycle` and `.task` name the task, `.command_id` the
    command.
    """

    def __init__(self, command_id: str, *, lifecycle: str, task: str) -> None:
        self.command_id = command_id
        self.lifecycle = lifecycle
        self.task = task
        super().__init__(
            f"{lifecycle} task {plain_id(task)}: the journal has no command {shortened(command_id)}; if its record was"
            " deleted while the command was under way, read the task's status to learn whether it took effect"
        )
