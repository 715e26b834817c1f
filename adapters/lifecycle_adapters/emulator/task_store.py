"""The store of emulated tasks: their states, their transitions, and the times of these.

The module is pure: no HTTP, no real time, no files. Every state change is a step of the task's declared lifecycle and
happens in `EmulatedTask.apply` only; the module holds no list of statuses and no rule of legality. script.py holds
the events that a task takes by itself; documents.py and the profiles make its documents.

Theory of operation: a script needs no timer. Every read first applies all events that fell due since the last one, in
the order of the times at which they were due, and each with that time. A client cannot observe the difference, and
equal clocks lead to equal states. What a change of one task causes in others (`TaskStore.react`) happens at its time.

A store is not thread-safe: one event loop owns it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import Any, Protocol

from lifecycle.errors import AdapterError
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.emulator.script import default_script, require_remote

LONGEST_ADVANCE_S = 1e9
"""Seconds by which the clock can be advanced in total: thirty years, which `datetime` can represent."""


class UnknownTask(AdapterError, LookupError):
    """The emulator has no task with this id; `.id` is the requested id."""

    def __init__(self, task_id: str) -> None:
        self.id = task_id
        super().__init__(f"the emulator has no task {task_id!r}")


class EmulatedClock:
    """A clock of seconds since the emulator started. It follows real time and can be advanced, never set back."""

    def __init__(self, *, monotonic: Callable[[], float], started_at: datetime) -> None:
        self._monotonic = monotonic
        self._origin = monotonic()
        self._started_at = started_at

    def now_s(self) -> float:
        """Return the seconds since the start."""
        return self._monotonic() - self._origin

    def advance(self, seconds: float) -> None:
        """Advance the clock. Raises ValueError if `seconds` is negative or the clock would exceed 1e9 s."""
        require_number(seconds, "seconds", at_least=0, at_most=LONGEST_ADVANCE_S)
        if self.now_s() + seconds > LONGEST_ADVANCE_S:
            raise ValueError(
                f"the clock cannot be advanced by {seconds:g} s: it goes to {LONGEST_ADVANCE_S:g} s at most"
            )
        self._origin -= seconds

    def at(self, seconds: float) -> datetime:
        """Return the date and time that many seconds after the start, timezone-aware UTC."""
        return self._started_at + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class TakenTransition:
    """One transition of a task, and its time (seconds since the start)."""

    at_s: float
    event: str
    source: str
    target: str


@dataclass(slots=True, eq=False)
class EmulatedTask:
    """A task, a run or a session: anything with its own lifecycle.

    `api` is the name of its binding, `given` holds the fields of its create call, `parameters` the values in
    that call's path: a task is found only under paths with the same values. `own_script` holds the remote events that
    it will still take by itself, in order; with None they are those of `default_script`. `parent` is the session
    that it runs in. A session's `children` are its tasks; when the session ends, they take the event
    `ends_children_by`, none if it is "". With `after_children` the script runs only once the session had children and
    all of them ended.
    """

    id: str
    api: str
    lifecycle: Lifecycle[Any, Any]
    created_s: float
    own_script: tuple[str, ...] | None = None
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    parent: EmulatedTask | None = None
    ends_children_by: str = ""
    after_children: bool = False
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    children: list[EmulatedTask] = field(default_factory=list["EmulatedTask"])
    transitions: list[TakenTransition] = field(default_factory=list[TakenTransition])
    state: str = field(init=False)
    due_s: float = field(default=inf, init=False)

    def __post_init__(self) -> None:
        self.state = self.lifecycle.initial
        if self.parent is not None:
            self.parent.children.append(self)

    @property
    def state_since_s(self) -> float:
        """Return the time at which it entered its state, in seconds since the start."""
        return self.transitions[-1].at_s if self.transitions else self.created_s

    def is_at(self, parameters: Mapping[str, str]) -> bool:
        """Return whether it was created under a path that agrees with these parameters."""
        return all(self.parameters.get(name, value) == value for name, value in parameters.items())

    @property
    def etag(self) -> str:
        """Return the name of its version, which every transition changes."""
        return f'"{len(self.transitions) + 1}"'

    @property
    def script(self) -> tuple[str, ...]:
        """Return the remote events that it will still take by itself, in order."""
        return default_script(self.lifecycle, self.state) if self.own_script is None else self.own_script

    @property
    def is_over(self) -> bool:
        """Return whether its state is final."""
        return self.lifecycle.is_final(self.state)

    @property
    def ended_s(self) -> float | None:
        """Return the time at which it entered its final state, in seconds since the start; None before."""
        return self.state_since_s if self.is_over else None

    def last(self, *events: str) -> TakenTransition | None:
        """Return the latest transition by one of the events, or None."""
        return next((each for each in reversed(self.transitions) if each.event in events), None)

    def next_event(self) -> str | None:
        """Return the script's next event that the state allows, or None."""
        if self.after_children and not (self.children and all(child.is_over for child in self.children)):
            return None
        possible = self.lifecycle.allowed(self.state, origin=Origin.REMOTE)
        return next((event for event in self.script if event in possible), None)

    def apply(self, event: str, at_s: float) -> None:
        """Apply one event. Raises IllegalTransition or UnknownName without any change."""
        target = self.lifecycle.step(self.state, event)
        self.transitions.append(TakenTransition(at_s, event, self.state, target))
        self.state = target
        if self.own_script is not None and event in self.own_script:
            self.own_script = self.own_script[self.own_script.index(event) + 1 :]


class StoreObserver(Protocol):
    """A receiver of callbacks on every change of a store; it must not modify the store within a callback."""

    def changed(self, task: EmulatedTask) -> None:
        """Receive a task that was created (it has no transitions yet) or has just taken its last transition."""
        ...

    def scheduled(self, task: EmulatedTask) -> None:
        """Receive a task whose script has an event due at `due_s`; a read at or after that time applies it.

        It is called again if its given fields change. An infinite time means that no event is due.
        """
        ...


class TaskStore:
    """The tasks of one emulator.

    `pace_s` is the number of seconds that a task stays in each state before its script's next event; with None no
    task runs its script. `react` is called with a task that was created or has taken a transition, and with the time;
    it may change other tasks, as of that time. `responses` are those to successful requests with an idempotency key, by
    API, call, the path's parameters, task and key.
    """

    def __init__(self, *, clock: EmulatedClock, pace_s: float | None) -> None:
        self.clock = clock
        self.pace_s = pace_s
        self.observer: StoreObserver | None = None
        self.react: Callable[[EmulatedTask, float], None] | None = None
        self.responses: dict[tuple[Hashable, ...], Any] = {}
        self._tasks: dict[str, EmulatedTask] = {}
        self._due: list[tuple[float, int, EmulatedTask]] = []  # a heap; entries of tasks that were rescheduled stay
        self._scheduled = count()
        self._is_reacting = False

    def add(
        self,
        *,
        task_id: str,
        api: str,
        lifecycle: Lifecycle[Any, Any],
        script: Sequence[str] | None = None,
        given: Mapping[str, Any],
        parent: EmulatedTask | None = None,
        ends_children_by: str = "",
        after_children: bool = False,
        parameters: Mapping[str, str] | None = None,
        at_s: float | None = None,
    ) -> EmulatedTask:
        """Create a task in the initial state of its lifecycle.

        Args:
            task_id: the task's id.
            api: the name of its binding.
            lifecycle: the lifecycle that it follows.
            script: the remote events that it takes by itself, in order; None for its lifecycle's default script.
            given: the fields of its create call.
            parent: the session that it runs in.
            ends_children_by: the event that its children take when it ends, "" for none.
            after_children: if true, its script runs only once it had children and all of them ended.
            parameters: the values in the path of its create call, by name; None for none.
            at_s: when, in seconds since the start; None for now.
        """
        task = EmulatedTask(
            id=task_id,
            api=api,
            lifecycle=lifecycle,
            created_s=self.clock.now_s() if at_s is None else at_s,
            own_script=None if script is None else tuple(script),
            given=dict(given),
            parent=parent,
            ends_children_by=ends_children_by,
            after_children=after_children,
            parameters=parameters or {},
        )
        self._tasks[task.id] = task
        if self.observer is not None:
            self.observer.changed(task)
        self._schedule(task)
        if parent is not None:
            self._schedule(parent)
        self._react(task, task.created_s)
        return task

    def find(self, task_id: str, *, api: str | None = None) -> EmulatedTask | None:
        """Return a task in its present state, or None if there is none with this id (in this API)."""
        self._catch_up()
        task = self._tasks.get(task_id)
        return task if task is not None and api in (None, task.api) else None

    def tasks(self, api: str | None = None) -> list[EmulatedTask]:
        """Return the tasks in their present states, newest first, of all APIs or of one."""
        self._catch_up()
        return [task for task in reversed(self._tasks.values()) if api in (None, task.api)]

    def command(self, task: EmulatedTask, event: str) -> bool:
        """Apply a command to a task that was just found; return whether its lifecycle allowed it."""
        return self.happen(task, event, self.clock.now_s())

    def happen(self, task: EmulatedTask, event: str, at_s: float) -> bool:
        """Apply an event at a time that is no earlier than any other change; return whether it was allowed."""
        if event not in task.lifecycle.allowed(task.state):
            return False
        self._apply(task, event, at_s)
        return True

    def fire(self, task_id: str, event: str) -> EmulatedTask:
        """Apply a remote event now, and return the task.

        Raises:
            UnknownTask: there is no task with this id.
            UnknownName: the task's lifecycle does not declare the event.
            ValueError: the event is a command, which must be sent through the API.
            IllegalTransition: the task's state refuses the event.
        """
        task = self.find(task_id)
        if task is None:
            raise UnknownTask(task_id)
        require_remote(task.lifecycle, event)
        self._apply(task, event, self.clock.now_s())
        return task

    def set_script(self, task: EmulatedTask, script: Sequence[str]) -> None:
        """Replace a task's script; events that its lifecycle does not declare never happen."""
        task.own_script = tuple(script)
        self._schedule(task)

    def give(self, task: EmulatedTask, fields: Mapping[str, Any]) -> None:
        """Change fields that a task was given."""
        task.given.update(fields)
        if self.observer is not None:
            self.observer.scheduled(task)

    def forget(self, task: EmulatedTask) -> None:
        """Remove a task: nothing finds it any more, and its script ends."""
        self._tasks.pop(task.id, None)
        task.due_s = inf

    def reset(self) -> None:
        """Remove every task and every remembered response."""
        self._tasks.clear()
        self._due.clear()
        self.responses.clear()

    def _catch_up(self) -> None:
        if self._is_reacting:
            return  # all that was due before is applied, and nothing that is due later may be
        now_s = self.clock.now_s()
        while self._due and self._due[0][0] <= now_s:
            due_s, _, task = heappop(self._due)
            if task.due_s == due_s:
                event = task.next_event()
                assert event is not None, "only a task with a next event is due"
                self._apply(task, event, due_s)

    def _apply(self, task: EmulatedTask, event: str, at_s: float) -> None:
        task.apply(event, at_s)
        if self.observer is not None:
            self.observer.changed(task)
        self._schedule(task)
        if task.is_over and task.ends_children_by:
            for child in task.children:
                if not child.is_over:
                    self._apply(child, task.ends_children_by, at_s)
        if task.is_over and task.parent is not None:
            self._schedule(task.parent)
        self._react(task, at_s)

    def _react(self, task: EmulatedTask, at_s: float) -> None:
        if self.react is None:
            return
        before, self._is_reacting = self._is_reacting, True
        try:
            self.react(task, at_s)
        finally:
            self._is_reacting = before

    def _schedule(self, task: EmulatedTask) -> None:
        if self.pace_s is None or task.next_event() is None:
            task.due_s = inf
        else:
            task.due_s = max(task.state_since_s, *(child.state_since_s for child in task.children), 0.0) + self.pace_s
            heappush(self._due, (task.due_s, next(self._scheduled), task))
            if self.observer is not None:
                self.observer.scheduled(task)
