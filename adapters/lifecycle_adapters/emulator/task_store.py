"""The emulated tasks: what they are, how they move, and when.

Pure: no HTTP, no real time, nothing on disk. Every state change is a step of the task's declared
lifecycle, made in `EmulatedTask.take` and nowhere else; there is no list of statuses and no rule of legality
here. What a task takes by itself stands in script.py, what the service says of it in v1_service.py to v4_service.py.

Theory: a task that moves by itself needs no timer. It is brought up to date whenever somebody looks
at it: all moves that fell due since then are made, each at the time at which it was due. Nobody can
tell the difference, and equal clocks give equal worlds.

Not safe to share between threads: one event loop owns a world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from typing import Any, Protocol

from lifecycle.errors import AdapterError
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import Origin, quoted

LONGEST_ADVANCE_S = 1e9
"""How far the clock can be put forward: thirty years, which every calendar can hold."""


class UnknownTask(AdapterError, LookupError):
    """No task of this id is in the emulator; `.id` is what was asked for."""

    def __init__(self, task_id: str) -> None:
        self.id = task_id
        super().__init__(f"the emulator has no task {task_id!r}")


class EmulatedClock:
    """Seconds since the emulator started. It follows real time and can be put forward, never back."""

    def __init__(self, *, monotonic: Callable[[], float], started_at: datetime) -> None:
        self._monotonic = monotonic
        self._origin = monotonic()
        self._started_at = started_at

    def now_s(self) -> float:
        """Return the seconds since the start."""
        return self._monotonic() - self._origin

    def advance(self, seconds: float) -> None:
        """Put the clock forward. Raises ValueError for a number of seconds that is negative or out of all reason."""
        if not 0 <= seconds <= LONGEST_ADVANCE_S or self.now_s() + seconds > LONGEST_ADVANCE_S:
            raise ValueError(f"the clock goes forward, by {LONGEST_ADVANCE_S:g} s in all, and not by {seconds:g} s now")
        self._origin -= seconds

    def at(self, seconds: float) -> datetime:
        """Return the moment that many seconds after the start, timezone-aware UTC."""
        return self._started_at + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class TakenTransition:
    """One transition that a task took, and when (seconds since the start)."""

    at_s: float
    event: str
    source: str
    target: str


@dataclass(slots=True, eq=False)
class EmulatedTask:
    """Whatever has a lifecycle of its own: a task, a run, a session.

    `api` is the name of its binding, `given` what its creator asked for. `script` holds the remote
    events that it still takes by itself, in order. `parent` is the session that it runs in, and of a
    session, `children` are the tasks in it, which end by their event `ends_children_by` when it ends.
    With `after_children` it moves by itself only once it had children and all of them ended.
    """

    id: str
    api: str
    lifecycle: Lifecycle[Any, Any]
    created_s: float
    script: tuple[str, ...] = ()
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    parent: EmulatedTask | None = None
    ends_children_by: str = ""
    after_children: bool = False
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
        """When it entered its state."""
        return self.transitions[-1].at_s if self.transitions else self.created_s

    @property
    def is_over(self) -> bool:
        """Whether its state is final."""
        return self.lifecycle.is_final(self.state)

    @property
    def ended_s(self) -> float | None:
        """When it entered its final state; None before."""
        return self.state_since_s if self.is_over else None

    def last(self, *events: str) -> TakenTransition | None:
        """Return the latest move by one of the events, or None."""
        return next((move for move in reversed(self.transitions) if move.event in events), None)

    def next_event(self) -> str | None:
        """Return the remote event that it takes next by itself, or None where it rests."""
        if self.after_children and not (self.children and all(child.is_over for child in self.children)):
            return None
        possible = self.lifecycle.allowed(self.state, origin=Origin.REMOTE)
        return next((event for event in self.script if event in possible), None)

    def take(self, event: str, at_s: float) -> None:
        """Move by one event. Raises IllegalTransition and UnknownName, and then nothing has changed."""
        target = self.lifecycle.step(self.state, event)
        self.transitions.append(TakenTransition(at_s, event, self.state, target))
        self.state = target
        if event in self.script:
            self.script = self.script[self.script.index(event) + 1 :]


class Observer(Protocol):
    """Who is told as soon as something happens, instead of looking. It must not touch the world while it is told."""

    def changed(self, task: EmulatedTask) -> None:
        """A task was made (it has no moves yet), or has taken its last move."""
        ...

    def scheduled(self, task: EmulatedTask) -> None:
        """A task moves by itself at `due_s`; that happens when it is looked at then, or later."""
        ...


class TaskStore:
    """All tasks of one emulator.

    `pace_s` is how many seconds a task rests in each state before it moves on by itself; None where
    nothing moves by itself.
    """

    def __init__(self, *, clock: EmulatedClock, pace_s: float | None) -> None:
        if pace_s is not None and not 0 <= pace_s < inf:
            raise ValueError(f"the pace is a finite number of seconds, 0 or more, not {pace_s}")
        self.clock = clock
        self.pace_s = pace_s
        self.observer: Observer | None = None
        self._tasks: dict[str, EmulatedTask] = {}

    def add(
        self,
        *,
        task_id: str,
        api: str,
        lifecycle: Lifecycle[Any, Any],
        script: Sequence[str] = (),
        given: Mapping[str, Any],
        parent: EmulatedTask | None = None,
        ends_children_by: str = "",
        after_children: bool = False,
    ) -> EmulatedTask:
        """Make a task, in the initial state of its lifecycle. The arguments are those of `EmulatedTask`."""
        task = EmulatedTask(
            id=task_id,
            api=api,
            lifecycle=lifecycle,
            created_s=self.clock.now_s(),
            script=tuple(script),
            given=dict(given),
            parent=parent,
            ends_children_by=ends_children_by,
            after_children=after_children,
        )
        self._tasks[task.id] = task
        if self.observer is not None:
            self.observer.changed(task)
        self._schedule(task)
        if parent is not None:
            self._schedule(parent)
        return task

    def find(self, task_id: str, *, api: str | None = None) -> EmulatedTask | None:
        """Return a task as it is now, or None; of one API if given."""
        task = self._tasks.get(task_id)
        if task is None or api not in (None, task.api):
            return None
        self._catch_up(task)
        return task

    def tasks(self, api: str | None = None) -> list[EmulatedTask]:
        """Return the tasks as they are now, the newest first; of one API if given."""
        return list(self._newest_first(api))

    def command(self, task: EmulatedTask, event: str) -> bool:
        """Apply a command to a task that was just found; whether its lifecycle allowed it."""
        if task.lifecycle.target(task.state, event) is None:
            return False
        self._move(task, event, self.clock.now_s())
        return True

    def fire(self, task_id: str, event: str) -> EmulatedTask:
        """Let a remote event happen now, and return the task.

        Raises:
            UnknownTask: no such task.
            UnknownName: the task's lifecycle does not declare the event.
            ValueError: the event is a command: the API is there to send it.
            IllegalTransition: the task's state refuses it.
        """
        task = self.find(task_id)
        if task is None:
            raise UnknownTask(task_id)
        require_remote(task.lifecycle, event)
        self._move(task, event, self.clock.now_s())
        return task

    def set_script(self, task: EmulatedTask, script: Sequence[str]) -> None:
        """Replace the remote events that a task takes by itself; undeclared ones never happen."""
        task.script = tuple(script)
        self._schedule(task)

    def reset(self) -> None:
        """Forget every task."""
        self._tasks.clear()

    def _newest_first(self, api: str | None) -> Iterator[EmulatedTask]:
        for task in reversed(self._tasks.values()):
            if api in (None, task.api):
                self._catch_up(task)
                yield task

    def _catch_up(self, task: EmulatedTask) -> None:
        for child in task.children:
            self._catch_up(child)
        if task.due_s == inf:
            return
        now_s = self.clock.now_s()
        while task.due_s <= now_s:
            event = task.next_event()
            assert event is not None, "only a task with a next event is due"
            self._move(task, event, task.due_s)

    def _move(self, task: EmulatedTask, event: str, at_s: float) -> None:
        task.take(event, at_s)
        if self.observer is not None:
            self.observer.changed(task)
        self._schedule(task)
        if task.is_over:
            for child in task.children:
                if not child.is_over:
                    self._move(child, task.ends_children_by, at_s)
            if task.parent is not None:
                self._schedule(task.parent)

    def _schedule(self, task: EmulatedTask) -> None:
        if self.pace_s is None or task.next_event() is None:
            task.due_s = inf
        else:
            task.due_s = max(task.state_since_s, *(child.state_since_s for child in task.children), 0.0) + self.pace_s
            if self.observer is not None:
                self.observer.scheduled(task)


def require_remote(lifecycle: Lifecycle[Any, Any], event: str) -> None:
    """Raise UnknownName for an event that is not declared, ValueError for a command."""
    if lifecycle.event(event).origin is not Origin.REMOTE:
        raise ValueError(f"{lifecycle.name}: {quoted(event)} is a command; send it through the API")
