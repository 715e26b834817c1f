"""Services to explore: every combination of their choices is a world of its own.

`Liar` returns any response at all. `World` has a task that follows its lifecycle, and a network that
loses, delays and doubles; it records what really happened. Both ask `Choices`, which are exhausted by
`explore`, drawn by Hypothesis, or given: a failure prints its schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple, TypeVar

from lifecycle import Channel, Origin
from lifecycle.effects import Accepted, Create, Read, Response, Send, Wait
from lifecycle.journal import Report
from tests.lifecycle.drivers import (
    DENIED,
    FAILURES,
    LOST,
    MISSING,
    NOT_SENT,
    REFUSED,
    RENEWABLE,
    THROTTLED,
    UNKNOWN_WORD,
    Declared,
    Request,
    clock,
)

T = TypeVar("T")

# --- choices ----------------------------------------------------------------------------------------


class Choices:
    """Decides by a schedule of numbers, and for the first of what there is when that is used up.

    The first of all options is always the usual course, so that a schedule's numbers other than
    zero are its surprises.
    """

    def __init__(self, schedule: Sequence[int] = ()) -> None:
        self.schedule = tuple(schedule)
        self.taken: list[int] = []  # how many options each choice had

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        place = len(self.taken)
        self.taken.append(len(options))
        return options[self.schedule[place] % len(options) if place < len(self.schedule) else 0]


def explore(run: Callable[[Choices], T], *, surprises: int) -> list[T]:
    """Run once for every schedule of at most so many surprises, and return what each run returned."""
    found: list[T] = []
    todo: list[tuple[int, ...]] = [()]
    while todo:
        schedule = todo.pop()
        choices = Choices(schedule)
        try:
            found.append(run(choices))
        except BaseException as error:
            error.add_note(f"{run} with Choices({schedule})")
            raise
        if sum(map(bool, schedule)) < surprises:
            for place in range(len(schedule), len(choices.taken)):
                usual = schedule + (0,) * (place - len(schedule))
                todo += [(*usual, index) for index in range(1, choices.taken[place])]
    return found


# --- a service with any response ----------------------------------------------------------------


@dataclass(eq=False)
class Liar:
    """Responds with every status and every failure, independently of earlier requests.

    It is waited for so many times in each series.
    """

    lifecycle: Declared
    choices: Choices
    pauses: int = 2

    def __post_init__(self) -> None:
        self._clock = clock()
        self._words = (*(state.name for state in self.lifecycle.states), UNKNOWN_WORD)

    def answer(self, request: Request) -> Response:
        words = self._words if isinstance(request, Read) else (*self._words, None)
        answer = self.choices.pick((*words, *FAILURES, RENEWABLE))
        return Accepted(answer, next(self._clock)) if answer is None or isinstance(answer, str) else answer

    def proves(self) -> bool:
        return self.choices.pick((True, False))

    def waits(self, wait: Wait) -> bool:
        return wait.attempt <= self.pauses


# --- a service with a task that moves ---------------------------------------------------------------


class Fate(NamedTuple):
    """The fate of one request: how often it reaches the task, whether late, and its response."""

    name: str
    arrivals: int
    late: bool = False
    failure: Response | None = None
    word: str | None = ""  # "" for the task's own status


FATES = (
    Fate("done", 1),
    Fate("done, and the response says nothing", 1, word=None),
    Fate("done, and the response has a new word", 1, word=UNKNOWN_WORD),
    Fate("accepted, done later", 1, late=True),
    Fate("accepted, never done", 0),
    Fate("done, and the response is lost", 1, failure=LOST),
    Fate("done later, and the response is lost", 1, late=True, failure=LOST),
    Fate("lost on the way", 0, failure=LOST),
    Fate("doubled on the way", 2),
    Fate("done, and refused when it was doubled", 1, failure=REFUSED),
    Fate("refused", 0, failure=REFUSED),
    Fate("denied", 0, failure=DENIED),
    Fate("denied, and other credentials are there", 0, failure=RENEWABLE),
    Fate("not found", 0, failure=MISSING),
    Fate("throttled", 0, failure=THROTTLED),
    Fate("not sent", 0, failure=NOT_SENT),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A command that reached the task. `target` is None if the task's state refused it."""

    command: str
    fields: Mapping[str, Any]
    source: str
    target: str | None


@dataclass(eq=False)
class World:
    """A task that follows its lifecycle, by commands and by itself, behind a network that fails.

    `past` lists the states that it went through, from its beginning to now, and `arrivals` what
    became of every command of ours that reached it: the truth, of which no procedure sees more than
    its responses. `partner` is what a command does that the task's own state does not show (the
    session that stops with it). With `has_others`, other callers command the task as well. `began_at` is when
    the request that is answered began, None if that is now.
    """

    lifecycle: Declared
    choices: Choices
    state: str
    proved_by_read: frozenset[str] = frozenset()
    has_others: bool = False
    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    refused_though_done: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    partner_is_over: bool = False
    began_at: datetime | None = None

    def __post_init__(self) -> None:
        self.clock = clock()
        self.past = [self.state]
        self._places: dict[datetime, int] = {}
        self._answered: dict[datetime, int] = {}
        self._late: list[tuple[str, Mapping[str, Any]]] = []
        self._partner_is_ending = False
        self.now()

    def now(self) -> datetime:
        """Return the time, and remember how far the task has come by then."""
        at = next(self.clock)
        self._places.setdefault(at, len(self.past) - 1)
        return at

    def report(self, channel: str = Channel.API) -> Report:
        """Return a report of how the task is now."""
        return Report(self.state, self.now(), channel)

    def since(self, at: datetime | None) -> int:
        """Return the place in `past` at which the task was at that time; 0 for None."""
        return 0 if at is None else self._places[at]

    def went_through(self, states: frozenset[str], since: int) -> bool:
        """Return whether the task was in one of the states, at that index of `past` or later."""
        return not states.isdisjoint(self.past[since:])

    def since_answer(self, answer: Accepted) -> int:
        """Return the place in `past` at which the task was when it gave this answer."""
        return self._answered[answer.as_of]

    def answer(self, request: Request) -> Response:
        self.go_on()
        match request:
            case Send(command, fields):
                answer = self._receive(command, fields)
            case Read():
                answer = self._tell()
            case Create():
                raise AssertionError("a world has its task already")
        if isinstance(answer, Accepted):
            self._answered[answer.as_of] = len(self.past) - 1
        return answer

    def proves(self) -> bool:
        self.go_on()
        return self.partner_is_over and self.choices.pick((True, False))

    def waits(self, wait: Wait) -> bool:
        return wait.attempt <= 2 and self.choices.pick((True, False))

    def go_on(self) -> None:
        """Choose what happens, if anything: a late command arrives, or the task changes by itself."""
        happenings: list[Callable[[], None]] = []
        if self._late:
            happenings.append(lambda: self._arrive(*self._late.pop(0)))
        if self._partner_is_ending:
            happenings.append(self._end_partner)
        happenings.append(_nothing)
        events = self.lifecycle.allowed(self.state, origin=None if self.has_others else Origin.REMOTE)
        happenings += [partial(self.move, event) for event in events]
        self.choices.pick(happenings)()

    def move(self, event: str) -> None:
        """Change the task by itself, or by a caller outside of this journal."""
        self._rest_in(self.lifecycle.step(self.state, event))
        self.partner_is_over |= event in self.proved_by_read

    def applied(self, command: str, fields: Mapping[str, Any]) -> bool:
        """Return whether one of our requests for this command, with these fields, has changed the task."""
        return any((each.command, each.fields) == (command, fields) and each.target for each in self.arrivals)

    def _receive(self, command: str, fields: Mapping[str, Any]) -> Response:
        at = self.began_at or self.now()
        before = self.state
        fate = self.choices.pick(FATES)
        if fate.failure is None and self.lifecycle.target(before, command) is None:
            # Services differ in what they say to a command that the task refuses.
            refusals: tuple[Response, ...] = (REFUSED, Accepted(before, at))
            return self.choices.pick(refusals)
        for _ in range(fate.arrivals):
            if fate.late:
                self._late.append((command, fields))
            else:
                self._arrive(command, fields)
        if fate.failure is not None:
            if fate.failure is REFUSED and fate.arrivals > 0:
                self.refused_though_done.append(fields)
            return fate.failure
        return Accepted((before if fate.late else self.state) if fate.word == "" else fate.word, at)

    def _tell(self) -> Response:
        at = self.began_at or self.now()
        answers: tuple[Response, ...] = (
            Accepted(self.state, at),
            Accepted(UNKNOWN_WORD, at),
            LOST,
            THROTTLED,
            DENIED,
            MISSING,
        )
        return self.choices.pick(answers)

    def _arrive(self, command: str, fields: Mapping[str, Any]) -> None:
        target = self.lifecycle.target(self.state, command)
        self.arrivals.append(Arrival(command, fields, self.state, target))
        if target is not None:
            self._rest_in(target)
            if command in self.proved_by_read:
                self._partner_is_ending = self.choices.pick((False, True))
                self.partner_is_over = not self._partner_is_ending

    def _rest_in(self, state: str) -> None:
        self.state = state
        self.past.append(state)

    def _end_partner(self) -> None:
        self._partner_is_ending = False
        self.partner_is_over = True


def _nothing() -> None:
    """Do nothing: the usual behaviour of a service."""
