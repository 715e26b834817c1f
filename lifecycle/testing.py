"""Hypothesis strategies for lifecycles, and functions that compare an executor with the table.

For the tests of users and of this project; nothing else imports it, and it imports no adapter.
It needs the extra `testing`. The declared table is the only oracle: nothing here has a second copy
of it.

An *executor* is anything that executes a lifecycle: a machine over an object, a client and its
server, rows in a database. `check_executor` calls one with every (state, event) pair;
`lifecycle_machine` makes Hypothesis drive several side by side and shrink the path on which they differ:

    def start() -> Executor[V1State, V1Event]:
        task = Task()
        return Executor(state=lambda: task.state, fire=task.fire)

    def test_every_pair() -> None:
        check_executor(V1, start)

    TestTogether = lifecycle_machine(V1, {"task": start, "service": start_service}).TestCase
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, cast

from lifecycle.conformance import Channel, FindingCode, Mode
from lifecycle.errors import DefinitionFinding, IllegalTransition, LifecycleError, MissingExtra, shortened
from lifecycle.graph import Closure, accepted_again, reach, remote_rows
from lifecycle.lifecycle import Alias, Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import E, Origin, OriginName, S, quoted, require_iterable, require_origin
from lifecycle.validation import by_source_and_event

try:
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
except ImportError:
    raise MissingExtra("testing", needed_by="lifecycle.testing") from None

__all__ = [
    "Difference",
    "Disagreement",
    "Executor",
    "check_executor",
    "event_paths",
    "events",
    "histories",
    "lifecycle_machine",
    "lifecycles",
    "possible_defects",
    "states",
]


def _require_lifecycle(given: Any) -> None:
    if not isinstance(given, Lifecycle):
        raise TypeError(f"lifecycle must be a Lifecycle, such as lifecycle.get('v1'), not {shortened(given)}")


# --- strategies about one lifecycle ------------------------------------------------------------


def states(lifecycle: Lifecycle[S, E]) -> st.SearchStrategy[S]:
    """Draw a declared state; shrinks towards the one declared first. Raises TypeError if it is not a Lifecycle."""
    _require_lifecycle(lifecycle)
    return st.sampled_from([state.name for state in lifecycle.states])


def events(lifecycle: Lifecycle[S, E], *, origin: OriginName | None = None) -> st.SearchStrategy[E]:
    """Draw a declared event, of one origin if given; shrinks towards the first. Draws nothing if there is none.

    Raises:
        UnknownName: there is no such origin.
        TypeError: `lifecycle` is not a Lifecycle.
    """
    _require_lifecycle(lifecycle)
    only = None if origin is None else require_origin(origin, where=lifecycle.name)
    names = [event.name for event in lifecycle.events if only in (None, event.origin)]
    return st.sampled_from(names) if names else st.nothing()


@st.composite
def event_paths(
    draw: st.DrawFn, lifecycle: Lifecycle[S, E], *, start: S | None = None, max_size: int = 12, ended: bool = False
) -> list[E]:
    """Draw a legal sequence of events, oldest first; `lifecycle.replay` accepts it.

    Args:
        draw: supplied by Hypothesis.
        lifecycle: the lifecycle whose events are drawn.
        start: the state to begin from; the initial state if omitted.
        max_size: the most events to draw.
        ended: whether to continue to a state in which the task is over, by a shortest path that may exceed `max_size`.
    Raises:
        UnknownName: a state that the lifecycle does not declare.
    """
    state = lifecycle.initial if start is None else start
    path: list[E] = []
    for _ in range(draw(st.integers(0, max_size))):
        allowed = lifecycle.allowed(state)
        if not allowed:
            break
        path.append(draw(st.sampled_from(allowed)))
        state = lifecycle.step(state, path[-1])
    if ended:
        ends = [each.name for each in lifecycle.states if lifecycle.is_over(each.name)]
        endings = [each for end in ends if (each := lifecycle.path(state, end)) is not None]
        shortest = min(endings, key=len)
        path += shortest
    return path


def histories(
    lifecycle: Lifecycle[S, E],
    *,
    defect: FindingCode | str | None = None,
    mode: Mode = "exact",
    channel: str = Channel.API,
    max_size: int = 12,
) -> st.SearchStrategy[list[str]]:
    """Draw one task's recorded statuses, oldest first, as statuses of `channel`.

    Without a defect, `lifecycle.check` in the same mode reports notes only. With one,
    its findings include that code at least once.

    Args:
        lifecycle: the lifecycle of the task.
        defect: the code of a finding that the history must have; none if omitted.
        mode: "exact" if every change is recorded, "sampled" if some may be missed.
        channel: the channel whose statuses are drawn.
        max_size: the approximate number of rows; a defect adds its own row and the path to it.
    Raises:
        ValueError: no history of this lifecycle can have the defect; see `possible_defects`.
        UnknownName: `channel` is not declared.
        TypeError: `lifecycle` is not a Lifecycle.
    """
    _require_lifecycle(lifecycle)
    lifecycle.state_of("", channel=channel)  # raises for an undeclared channel now, not while drawing
    sites = _defects(lifecycle, mode)
    if defect is not None and defect not in [*sites]:  # it may not be hashable
        raise ValueError(f"{lifecycle.name}: no {mode} history has the defect {defect}, only {', '.join(sites)}")
    code = None if defect is None else FindingCode(defect)
    sites_of_it = [] if code is None else sites[code]
    return _histories(lifecycle, sites_of_it, defect=code, mode=mode, channel=channel, max_size=max_size)


def possible_defects(lifecycle: Lifecycle[S, E], *, mode: Mode = "exact") -> tuple[FindingCode, ...]:
    """Return the codes that `check` can report for a history of this lifecycle, notes included.

    Raises TypeError if it is not a Lifecycle.
    """
    _require_lifecycle(lifecycle)
    return tuple(_defects(lifecycle, mode))


_Site = tuple[S | None, S]  # the row before a defect, None at the start, and the row that has it


def _defects(lifecycle: Lifecycle[S, E], mode: Mode) -> dict[FindingCode, list[_Site[S]]]:
    """Return the sites of each possible defect: `check` every state after a path to every state."""
    found: dict[FindingCode, list[_Site[S]]] = {code: [] for code in FindingCode}
    names = [state.name for state in lifecycle.states]
    for before in (None, *names):
        rows = [] if before is None else _passed(lifecycle, lifecycle.path(lifecycle.initial, before) or ())
        for after in names:
            for finding in lifecycle.check([*rows, after], mode=mode):  # at the last row: the path is legal
                found[finding.code].append((before, after))
    return {code: sites for code, sites in found.items() if sites or code is FindingCode.UNKNOWN_STATUS}


def _passed(lifecycle: Lifecycle[S, E], path: Iterable[E], *, start: S | None = None) -> list[S]:
    """Return the states that `path` passes through, the first included."""
    rows = [lifecycle.initial if start is None else start]
    for event in path:
        rows.append(lifecycle.step(rows[-1], event))
    return rows


@st.composite
def _histories(
    draw: st.DrawFn,
    lifecycle: Lifecycle[S, E],
    sites: Sequence[_Site[S]],
    *,
    defect: FindingCode | None,
    mode: Mode,
    channel: str,
    max_size: int,
) -> list[str]:
    def walk(start: S) -> list[S]:
        path = draw(event_paths(lifecycle, start=start, max_size=max_size))
        return _passed(lifecycle, path, start=start)

    def recorded(rows: Sequence[S]) -> list[S]:
        return [row for row in rows if mode == "exact" or not draw(st.booleans())]

    if sites:
        before, after = draw(st.sampled_from(sites))
        leading = [] if before is None else _continued(lifecycle, walk(lifecycle.initial), before)
        rows = [*recorded(leading[:-1]), *leading[-1:], after, *recorded(walk(after)[1:])]
    else:
        rows = recorded(walk(lifecycle.initial))
    statuses = [draw(_statuses(lifecycle, row, channel)) for row in rows]
    if defect is FindingCode.UNKNOWN_STATUS:
        foreign = st.text().filter(lambda status: lifecycle.state_of(status, channel=channel) is None)
        statuses.insert(draw(st.integers(0, len(statuses))), draw(foreign))
    return statuses


def _continued(lifecycle: Lifecycle[S, E], rows: list[S], to: S) -> list[S]:
    """Return `rows` continued by a shortest path to the state `to`; if there is none, one from the initial state."""
    path = lifecycle.path(rows[-1], to)
    if path is None:
        return _passed(lifecycle, lifecycle.path(lifecycle.initial, to) or ())
    return rows + _passed(lifecycle, path, start=rows[-1])[1:]


def _statuses(lifecycle: Lifecycle[S, E], state: S, channel: str) -> st.SearchStrategy[str]:
    aliases = (alias.status for alias in lifecycle.aliases if (alias.channel, alias.state) == (channel, state))
    return st.sampled_from([str(state), *aliases])


# --- a strategy for lifecycles -----------------------------------------------------------------
#
# Every drawing gives a sound lifecycle, by construction: Hypothesis never has to reject one, and
# shrinking a drawing gives a sound lifecycle too.

_letters = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
_names = st.text(_letters, min_size=1, max_size=12).map(lambda name: name.strip() or "-")
_state_names = _names.map(lambda name: f"{name}{name}" if name == "*" else name)  # "*" is every state, and none
_numbers = st.integers(0, 99)  # taken modulo the number of choices


def lifecycles(*, max_states: int = 6) -> st.SearchStrategy[Lifecycle[str, str]]:
    """Draw a sound lifecycle: any names, origins, flags and aliases, and invariants that its rows satisfy.

    Shrinks towards a single state, initial and final, with no events.
    """
    return _lifecycles(max_states)


@st.composite
def _lifecycles(draw: st.DrawFn, max_states: int) -> Lifecycle[str, str]:
    states = st.tuples(_state_names, _numbers, st.booleans(), st.booleans())
    drawn = draw(st.lists(states, min_size=1, max_size=max_states))
    names = _different(name for name, _, _, _ in drawn)
    final, pairs = _tree([number for _, number, _, _ in drawn], [ends for _, _, ends, _ in drawn])
    extra = draw(st.lists(st.tuples(_numbers, _numbers), max_size=max_states))
    pairs += ((one % len(names), other % len(names)) for one, other in extra if one % len(names) not in final)
    events, rows = _rows(draw, names, pairs)
    return Lifecycle(
        name=draw(_names),
        citation="drawn by lifecycle.testing",
        states=tuple(
            State(name, initial=index == 0, final=index in final, settled=settled)
            for index, (name, (_, _, _, settled)) in enumerate(zip(names, drawn, strict=True))
        ),
        events=events,
        transitions=rows,
        aliases=_aliases(draw, names),
        invariants=_invariants(draw, names, [names[index] for index in final], rows),
    )


def _different(names: Iterable[str]) -> list[str]:
    different: list[str] = []
    for name in names:
        while name in different:
            name += "0"  # noqa: PLW2901 (that is the point)
        different.append(name)
    return different


def _tree(numbers: Sequence[int], ends: Sequence[bool]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the indices of the final states, and (source, target) pairs by which every state reaches a final one.

    A tree from state 0 reaches every state. Its last state is a leaf and final; a leaf that is not
    final leads back into the branch of the last one.
    """
    last = len(numbers) - 1
    parents = {child: numbers[child] % child for child in range(1, last + 1)}
    branch = [last]
    while branch[-1] in parents:
        branch.append(parents[branch[-1]])
    leaves = sorted(set(range(last + 1)) - set(parents.values()))
    final = [leaf for leaf in leaves if leaf == last or ends[leaf]]
    back = [(leaf, branch[numbers[leaf] % len(branch)]) for leaf in leaves if leaf not in final]
    return final, [(parent, child) for child, parent in parents.items()] + back


def _rows(
    draw: st.DrawFn, names: Sequence[str], pairs: Sequence[tuple[int, int]]
) -> tuple[tuple[Event[str], ...], tuple[Transition[str, str], ...]]:
    """Draw an event for each (source, target) pair, with no event twice from one source."""
    taken: list[tuple[int, int]] = []
    for source, _ in pairs:
        label = draw(st.integers(0, 3))
        while (source, label) in taken:
            label += 1
        taken.append((source, label))
    labels = list(dict.fromkeys(label for _, label in taken))
    drawn = [draw(st.tuples(_names, st.sampled_from(Origin), st.booleans(), st.booleans())) for _ in labels]
    events = dict(zip(labels, _different(name for name, _, _, _ in drawn), strict=True))
    rows = tuple(
        Transition(names[source], events[label], names[target])
        for (source, target), (_, label) in zip(pairs, taken, strict=True)
    )
    origins = {events[label]: origin for label, (_, origin, _, _) in zip(labels, drawn, strict=True)}

    remote = Closure(names, remote_rows(by_source_and_event(rows), origins))

    def may_repeat(event: str) -> bool:
        return accepted_again({row.source: row.target for row in rows if row.event == event}, remote) is None

    stays = {row.event for row in rows if row.source == row.target}  # the target of such a command proves nothing

    return (
        tuple(
            Event(
                events[label],
                origin,
                proved_by_state=proved and events[label] not in stays,
                idempotent=idempotent and may_repeat(events[label]),
            )
            for label, (_, origin, proved, idempotent) in zip(labels, drawn, strict=True)
        ),
        rows,
    )


def _aliases(draw: st.DrawFn, states: Sequence[str]) -> tuple[Alias[str], ...]:
    channels = st.sampled_from(Channel).map(str) | _names
    drawn = {
        (channel, status): number
        for channel, status, number in draw(st.lists(st.tuples(channels, _names, _numbers), max_size=3))
    }
    return tuple(
        Alias(channel, status, states[number % len(states)])
        for (channel, status), number in drawn.items()
        if status not in states
    )


def _invariants(
    draw: st.DrawFn, states: Sequence[str], final: Sequence[str], rows: Sequence[Transition[str, str]]
) -> tuple[Invariant[str, str], ...]:
    """Draw some of the invariants that the rows satisfy, of every rule."""
    kept: list[tuple[Rule, tuple[str, ...], tuple[str, ...]]] = [(Rule.FINAL, (), tuple(final))]
    for event in dict.fromkeys(row.event for row in rows):
        sources = tuple(dict.fromkeys(row.source for row in rows if row.event == event))
        targets = tuple(dict.fromkeys(row.target for row in rows if row.event == event))
        others = tuple(state for state in states if state not in sources)
        kept += [(rule, (event,), sources) for rule in (Rule.ONLY_IN, Rule.ACCEPTED_IN)]
        kept += [(Rule.LEADS_TO, (event,), targets), (Rule.NEVER_IN, (event,), others)]
        kept += [(Rule.IRREVERSIBLE, (event,), ())] if set(targets) <= set(final) else []
        kept += [(Rule.ACCEPTED_UNTIL_FINAL, (event,), ())] if set(others) <= set(final) else []
    drawn = draw(st.lists(st.sampled_from([each for each in kept if any(each[1:])]), unique=True, max_size=3))
    return tuple(
        Invariant(f"{rule} {number}", rule, events=events, states=states, citation="its rows")
        for number, (rule, events, states) in enumerate(drawn, start=1)
    )


# --- comparing executors with the table --------------------------------------------------------


def _nothing() -> None:
    """Do nothing; the default `close` of an executor."""


@dataclass(frozen=True, kw_only=True)
class Executor(Generic[S, E]):
    """One task, in its initial state, of anything that executes a lifecycle.

    Args:
        state: returns the task's state, also while faults are injected.
        fire: executes an event and returns the state that it led to, or None if it was refused, a
            redundant command included. Raising IllegalTransition is a refusal too; any other
            exception fails the test.
        close: called once at the end, whether the test has passed or failed.
        faults: functions that inject a fault, by name. Each makes its fault happen at some later
            `fire`, whose result must be correct nevertheless.
    """

    state: Callable[[], S]
    fire: Callable[[E], S | None]
    close: Callable[[], object] = _nothing
    faults: Mapping[str, Callable[[], object]] = field(default_factory=dict[str, Callable[[], object]])


@dataclass(frozen=True, slots=True)
class Difference:
    """One result of an executor that differs from the table.

    `path` are the events applied before, from the initial state; `event` is the one fired in `state`,
    None if the executor is in another state than the table. `expected` or `actual` is None for a refusal.
    """

    executor: str
    path: tuple[str, ...]
    state: str
    event: str | None
    expected: str | None
    actual: str | None

    def __str__(self) -> str:
        after = f" after {', '.join(self.path)}" if self.path else ""
        fired = "it is in" if self.event is None else f"{quoted(self.event)} in {quoted(self.state)} gives"
        expected, actual = (quoted(each) if each else "a refusal" for each in (self.expected, self.actual))
        return f"{self.executor}{after}: {fired} {actual}, the table has {expected}"


class Disagreement(LifecycleError, AssertionError):
    """An executor and the table differ; a failed test.

    `.differences` are all that were found, `.violations` the violations of the lifecycle's invariants among them.
    """

    def __init__(
        self, *, lifecycle: str, differences: Sequence[Difference], violations: Sequence[DefinitionFinding] = ()
    ) -> None:
        self.lifecycle = lifecycle
        self.differences = tuple(differences)
        self.violations = tuple(violations)
        lines = "".join(f"\n  {each}" for each in (*self.differences, *self.violations))
        super().__init__(f"{lifecycle}: not as declared:{lines}")


def check_executor(
    lifecycle: Lifecycle[S, E], start: Callable[[], Executor[S, E]], *, only: Iterable[E] | None = None
) -> None:
    """Compare an executor with the table for every (state, event) pair, and check the invariants on its results.

    Each pair gets a fresh executor, which is first brought to the state by a shortest path.

    Args:
        lifecycle: the lifecycle that it executes.
        start: makes an executor.
        only: the events to fire, if it cannot execute all of them (`lifecycle.commands` for a
            client). States that they do not lead to are left out.
    Raises:
        Disagreement: with all differences and all violations of invariants.
        ValueError: `only` is empty.
        UnknownName: an event that is not declared.
        TypeError: `lifecycle` is not a Lifecycle, `start` cannot be called, or `only` is not an iterable.
    """
    _require_lifecycle(lifecycle)
    if not callable(start):
        raise TypeError(f"start must be a function that makes an executor, not {shortened(start)}")
    fired = _fired(lifecycle, only)
    found: list[Difference] = []
    for path in reach(_rows_of(lifecycle, fired), lifecycle.initial).values():
        for event in fired:
            try:
                _follow(lifecycle, start, (*path, event))
            except Disagreement as disagreement:
                found += (each for each in disagreement.differences if each not in found)
    if found:
        actual = {(each.state, each.event): cast("S | None", each.actual) for each in found}
        violations = lifecycle.violations(
            lambda state, event: actual.get((state, event), lifecycle.target(state, event))
        )
        raise Disagreement(lifecycle=lifecycle.name, differences=found, violations=violations)


def lifecycle_machine(
    lifecycle: Lifecycle[S, E],
    executors: Mapping[str, Callable[[], Executor[S, E]]],
    *,
    only: Iterable[E] | None = None,
) -> type[RuleBasedStateMachine]:
    """Return a Hypothesis state machine that drives executors side by side, with the table as oracle.

    Each example starts one executor of each kind and fires events at all of them, legal ones and
    others, with faults between. It also brings them to some state by a shortest path, starting new
    ones if there is no path. It fails if a result or a state of one differs from the table. Run it as
    `lifecycle_machine(...).TestCase`, or with `hypothesis.stateful.run_state_machine_as_test`.

    Args:
        lifecycle: the lifecycle that they execute.
        executors: functions that make an executor, by a name for messages.
        only: the events to fire, if some executor cannot execute all of them: every event is fired
            at all executors.
    Raises:
        ValueError: there is no event to fire, or no executor.
        UnknownName: an event that is not declared.
        TypeError: `lifecycle` is not a Lifecycle.
    """
    _require_lifecycle(lifecycle)
    fired = _fired(lifecycle, only)
    if not fired:
        raise ValueError(f"{lifecycle.name}: there is no event to fire")
    if not executors:
        raise ValueError(f"{lifecycle.name}: there is no executor")
    rows = _rows_of(lifecycle, fired)
    paths = {state.name: reach(rows, state.name) for state in lifecycle.states}

    class SideBySide(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.opened = ExitStack()
            self.followed: list[_Followed[S, E]] = []

        @initialize()
        def begin(self) -> None:
            self.opened.close()
            self.followed = [_Followed(lifecycle, start(), name, self.opened) for name, start in executors.items()]
            for each in self.followed:
                each.check_state()

        @rule(event=st.sampled_from(fired))
        def fire(self, event: E) -> None:
            for each in self.followed:
                each.fire(event)

        @rule(state=st.sampled_from(list(paths[lifecycle.initial])))
        def visit(self, state: S) -> None:
            # With single events alone, nearly every step would be spent in a final state.
            if any(state not in paths[each.state] for each in self.followed):
                self.begin()
            for each in self.followed:
                for event in paths[each.state][state]:
                    each.fire(event)

        @precondition(lambda self: any(each.executor.faults for each in self.followed))
        @rule(data=st.data())
        def go_wrong(self, data: st.DataObject) -> None:
            faults = {(each.name, name): make for each in self.followed for name, make in each.executor.faults.items()}
            faults[data.draw(st.sampled_from(list(faults)), label="fault")]()

        def teardown(self) -> None:
            self.opened.close()

    return SideBySide


def _fired(lifecycle: Lifecycle[S, E], only: Iterable[E] | None) -> tuple[E, ...]:
    names = (event.name for event in lifecycle.events) if only is None else require_iterable(only, "only")
    fired = tuple(lifecycle.event(name).name for name in names)
    if only is not None and not fired:
        raise ValueError(f"{lifecycle.name}: `only` names no event to fire")
    return fired


def _rows_of(lifecycle: Lifecycle[S, E], fired: tuple[E, ...]) -> dict[tuple[S, E], S]:
    return {(row.source, row.event): row.target for row in lifecycle.transitions if row.event in fired}


def _follow(lifecycle: Lifecycle[S, E], start: Callable[[], Executor[S, E]], path: Iterable[E]) -> None:
    with ExitStack() as opened:
        followed = _Followed(lifecycle, start(), "the executor", opened)
        followed.check_state()
        for event in path:
            followed.fire(event)


class _Followed(Generic[S, E]):
    """An executor, and the state that it must be in by the table."""

    def __init__(self, lifecycle: Lifecycle[S, E], executor: Executor[S, E], name: str, opened: ExitStack) -> None:
        opened.callback(executor.close)
        self.lifecycle = lifecycle
        self.executor = executor
        self.name = name
        self.state = lifecycle.initial
        self.path: list[E] = []

    def fire(self, event: E) -> None:
        expected = self.lifecycle.target(self.state, event)
        try:
            actual = self.executor.fire(event)
        except IllegalTransition:
            actual = None
        if actual != expected:
            raise self._disagreement(event, expected, actual)
        if expected is not None:
            self.path.append(event)
            self.state = expected
        self.check_state()

    def check_state(self) -> None:
        state = self.executor.state()
        if state != self.state:
            raise self._disagreement(None, self.state, state)

    def _disagreement(self, event: E | None, expected: S | None, actual: S | None) -> Disagreement:
        difference = Difference(self.name, tuple(self.path), self.state, event, expected, actual)
        return Disagreement(lifecycle=self.lifecycle.name, differences=(difference,))
