"""Every exception that the core raises, and the root of those that the adapters raise.

Nothing else belongs here. Messages say what was tried, where, and what would have been
allowed; the attributes carry the same facts, typed.

    LifecycleError
    ├── DefinitionError         a declaration that is not sound: all findings at once
    ├── UnknownName             a state, event, channel or lifecycle that is not declared (a ValueError)
    ├── IllegalTransition       an event that the state refuses
    ├── UnknownStatus           a service reported a word that its lifecycle does not declare
    ├── CommandError            a command that was legal here and did not simply succeed
    │   ├── CommandInFlight     another command of this task has no outcome yet
    │   ├── CommandRefused      the service refused it
    │   ├── CommandUncertain    nobody knows whether it took effect; it stays open
    │   └── TaskEndedFirst      the task reached another final state before it took effect
    ├── MissingExtra            an optional dependency is not installed (an ImportError)
    └── AdapterError            the outside world; its subclasses live beside their adapters
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class LifecycleError(Exception):
    """Root of everything that this project raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default rebuilds an exception by calling its class with `args`, which fails for
        # keyword-only constructors: these errors must survive a process pool.
        return _restore, (type(self), self.args, self.__dict__)


def _restore(cls: type[LifecycleError], args: tuple[Any, ...], state: dict[str, Any]) -> LifecycleError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


@dataclass(frozen=True, slots=True)
class DefinitionFinding:
    """One thing that is wrong with a declaration.

    `code` is stable and meant for programs, `where` names the part (`transitions[3]`,
    `state 'idle'`), `message` is for people.
    """

    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.where}: {self.message}"


class DefinitionError(LifecycleError):
    """A declaration is not sound. `.findings` holds everything that is wrong with it, in order."""

    def __init__(self, name: str, findings: Sequence[DefinitionFinding]) -> None:
        self.name = name
        self.findings = tuple(findings)
        lines = "".join(f"\n  {finding}" for finding in self.findings)
        super().__init__(f"lifecycle {name!r} is not sound, {len(self.findings)} finding(s):{lines}")


class UnknownName(LifecycleError, ValueError):
    """A name that is not declared.

    `.kind` says of what ("state", "event", "channel", "lifecycle"), `.known` lists the declared
    names in order, `.suggestion` is the nearest of them or None, `.declared_by` names the
    lifecycle that does declare it where that is known.
    """

    def __init__(
        self, kind: str, name: object, *, known: Iterable[str], where: str, declared_by: str | None = None
    ) -> None:
        self.kind = kind
        self.name = name
        self.known = tuple(str(each) for each in known)
        self.where = where
        self.declared_by = declared_by
        nearest = difflib.get_close_matches(str(name), self.known, n=1)
        self.suggestion = nearest[0] if nearest else None
        # A name can be a megabyte of foreign text; the message must stay readable.
        shown = repr(name) if len(repr(name)) <= 80 else repr(name)[:77] + "..."
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        if declared_by:
            hint = f"; {declared_by!r} declares it"
        super().__init__(f"{where}: unknown {kind} {shown}{hint} (known: {', '.join(self.known) or 'none'})")


class IllegalTransition(LifecycleError):
    """The state refuses the event.

    `.lifecycle`, `.state` and `.event` are names, `.allowed` the events that the state accepts
    in declared order, `.index` the event's place in a replayed history (0..n-1) or None.
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


class CommandError(LifecycleError):
    """A command that was legal when it was judged and did not simply succeed.

    `.lifecycle`, `.task` and `.command` are names; `.state` is the task's last known state.
    """

    def __init__(self, message: str, *, lifecycle: str, task: str, command: str, state: str) -> None:
        self.lifecycle = lifecycle
        self.task = task
        self.command = command
        self.state = state
        super().__init__(f"{lifecycle} task {task}: {message}")


class CommandInFlight(CommandError):
    """Another command of the same task has no outcome yet; `.other` is its name."""

    def __init__(self, *, lifecycle: str, task: str, command: str, state: str, other: str) -> None:
        self.other = other
        super().__init__(
            f"{command!r} must wait, {other!r} has no outcome yet",
            lifecycle=lifecycle,
            task=task,
            command=command,
            state=state,
        )


class CommandRefused(CommandError):
    """The service refused the command; `.status_code` and `.detail` are what it answered."""

    def __init__(self, *, lifecycle: str, task: str, command: str, state: str, status_code: int, detail: str) -> None:
        self.status_code = status_code
        self.detail = detail
        super().__init__(
            f"{command!r} was refused in {state!r}: HTTP {status_code}: {detail}",
            lifecycle=lifecycle,
            task=task,
            command=command,
            state=state,
        )


class CommandUncertain(CommandError):
    """It is not known whether the command took effect. It stays open; a later stop may abandon it."""

    def __init__(self, why: str, *, lifecycle: str, task: str, command: str, state: str) -> None:
        self.why = why
        super().__init__(
            f"whether {command!r} took effect is not known: {why} (last known state {state!r})",
            lifecycle=lifecycle,
            task=task,
            command=command,
            state=state,
        )


class TaskEndedFirst(CommandError):
    """The task reached another final state, `.state`, before the command took effect."""

    def __init__(self, *, lifecycle: str, task: str, command: str, state: str) -> None:
        super().__init__(
            f"it was {state!r} before {command!r} took effect",
            lifecycle=lifecycle,
            task=task,
            command=command,
            state=state,
        )


class MissingExtra(LifecycleError, ImportError):
    """An optional dependency is not installed; the message is the line to type."""

    def __init__(self, extra: str, *, needed_by: str) -> None:
        self.extra = extra
        super().__init__(f"{needed_by} needs an extra: pip install 'task-lifecycle[{extra}]'")


class AdapterError(LifecycleError):
    """Root of what goes wrong between us and the outside world."""
