"""Hypothesis strategies for lifecycles, and the comparison of anything that executes one.

For the tests of users and of this project; nothing else imports it, and it imports no adapter.
It needs the extra `testing`. The declared table is the oracle throughout: nothing here knows
what may follow what.

An *executor* is whatever carries a lifecycle out: a machine over an object, a client and its
server, rows in a database. `check_executor` asks one for everything there is to ask;
`lifecycle_machine` lets Hypothesis drive several side by side and shrink how they came to differ:

    def start() -> Executor[V1State, V1Event]:
        task = Task()
        return Executor(state=lambda: task.state, fire=task.fire)

    def test_every_answer() -> None:
        check_executor(V1, start)

    TestTogether = lifecycle_machine(V1, {"task": start, "service": start_service}).TestCase
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Generic, cast

from lifecycle.conformance import Channel, FindingCode, Mode
from lifecycle.errors import DefinitionFinding, IllegalTransition, LifecycleError, MissingExtra
from lifecycle.graph import Closure, accepted_again, reach, remote_rows
from lifecycle.lifecycle import Alias, Event, Invariant, Lifecycle, Rule, State, Transition
from lifecycle.table import E, Origin, OriginName, S, quoted, require_origin
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


# --- strategies about one lifecycle ------------------------------------------------------------


def states(lifecycle: Lifecycle[S, E]) -> st.SearchStrategy[S]:
    """Draw a declared state; shrinks towards the one declared first."""
    return st.sampled_from([state.name for state in lifecycle.states])


def events(lifecycle: Lifecycle[S, E], *, origin: OriginName | None = None) -> st.SearchStrategy[E]:
    """Draw a declared event, of one origin if given (nothing where there is none); shrinks towards the first.

    Raises UnknownName: there is no such origin.
    """
    only = None if origin is None else require_origin(origin, where=lifecycle.name)
    names = [event.name for event in lifecycle.events if only in (None, event.origin)]
    return st.sampled_from(names) if names else st.nothing()


@st.composite
def event_paths(
    draw: st.DrawFn, lifecycle: Lifecycle[S, E], *, start: S | None = None, max_size: int = 12, ended: bool = False
) -> list[E]:
    """Draw a lawful sequence of events, oldest first; `lifecycle.replay` accepts it.

    Args:
        start: the state to begin from; the initial state if omitted.
        max_size: how many events are drawn at most.
        ended: go on to a final state, by a shortest way and if need be past `max_size`.
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
        ways = [way for final in lifecycle.final_states if (way := lifecycle.path(state, final)) is not None]
        shortest = min(ways, key=len)
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
    """Draw one task's recorded statuses, oldest first, in the words of `channel`.

    Without a defect, `lifecycle.check` in the same mode has nothing against them (what it finds
    is information). With one, its findings include that code at least once.

    Args:
        mode: "exact" when every change was recorded, "sampled" when some were missed.
        max_size: about how many rows; a defect adds its own and the way to it.
    Raises:
        ValueError: no history of this lifecycle can have the defect; see `possible_defects`.
        UnknownName: `channel` is not declared.
    """
    lifecycle.state_of("", channel=channel)  # an undeclared channel is refused now, not while drawing
    sites = _defects(lifecycle, mode)
    if defect is not None and defect not in sites:
        raise ValueError(f"{lifecycle.name}: no {mode} history has the defect {defect}, only {', '.join(sites)}")
    code = None if defect is None else FindingCode(defect)
    sites_of_it = [] if code is None else sites[code]
    return _histories(lifecycle, sites_of_it, defect=code, mode=mode, channel=channel, max_size=max_size)


def possible_defects(lifecycle: Lifecycle[S, E], *, mode: Mode = "exact") -> tuple[FindingCode, ...]:
    """Return the codes that `check` can find in a history of this lifecycle, information included."""
    return tuple(_defects(lifecycle, mode))


_Site = tuple[S | None, S]  # the row before a defect, None at the start, and the row that has it


def _defects(lifecycle: Lifecycle[S, E], mode: Mode) -> dict[FindingCode, list[_Site[S]]]:
    """Where each defect can be put: `check` is asked about every state after a way to every state."""
    found: dict[FindingCode, list[_Site[S]]] = {code: [] for code in FindingCode}
    names = [state.name for state in lifecycle.states]
    for before in (None, *names):
        rows = [] if before is None else _passed(lifecycle, lifecycle.path(lifecycle.initial, before) or ())
        for after in names:
            for finding in lifecycle.check([*rows, after], mode=mode):  # at the last row: the way is lawful
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
        way = [] if before is None else _continued(lifecycle, walk(lifecycle.initial), before)
        rows = [*recorded(way[:-1]), *way[-1:], after, *recorded(walk(after)[1:])]
    else:
        rows = recorded(walk(lifecycle.initial))
    words = [draw(_words(lifecycle, row, channel)) for row in rows]
    if defect is FindingCode.UNKNOWN_STATUS:
        foreign = st.text().filter(lambda word: lifecycle.state_of(word, channel=channel) is None)
        words.insert(draw(st.integers(0, len(words))), draw(foreign))
    return words


def _continued(lifecycle: Lifecycle[S, E], rows: list[S], to: S) -> list[S]:
    """Return `rows` with a shortest way on to the state `to`, or only such a way where there is none from their end."""
    way = lifecycle.path(rows[-1], to)
    if way is None:
        return _passed(lifecycle, lifecycle.path(lifecycle.initial, to) or ())
    return rows + _passed(lifecycle, way, start=rows[-1])[1:]


def _words(lifecycle: Lifecycle[S, E], state: S, channel: str) -> st.SearchStrategy[str]:
    aliases = (alias.status for alias in lifecycle.aliases if (alias.channel, alias.state) == (channel, state))
    return st.sampled_from([str(state), *aliases])


# --- a strategy for lifecycles -----------------------------------------------------------------
#
# Everything drawn leads to a sound lifecycle, by construction: Hypothesis never has to try again,
# and what it takes out of a drawing while shrinking leaves a sound one.

_names = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=12)
_numbers = st.integers(0, 99)  # taken modulo however many there are to choose from


def lifecycles(*, max_states: int = 6) -> st.SearchStrategy[Lifecycle[str, str]]:
    """Draw a sound lifecycle: any names, origins, flags, aliases, and invariants that it keeps.

    Shrinks towards a single state, initial and final, with no events.
    """
    return _lifecycles(max_states)


@st.composite
def _lifecycles(draw: st.DrawFn, max_states: int) -> Lifecycle[str, str]:
    drawn = draw(st.lists(st.tuples(_names, _numbers, st.booleans(), st.booleans()), min_size=1, max_size=max_states))
    names = _different(name for name, _, _, _ in drawn)
    final, moves = _tree([number for _, number, _, _ in drawn], [ends for _, _, ends, _ in drawn])
    extra = draw(st.lists(st.tuples(_numbers, _numbers), max_size=max_states))
    moves += ((one % len(names), other % len(names)) for one, other in extra if one % len(names) not in final)
    events, rows = _rows(draw, names, moves)
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
    """Return which states are final, and (source, target) pairs by which none is stranded.

    A tree from state 0 reaches every state. Its last state is a leaf and final; a leaf that is not
    final leads back into the branch of the last one. So every state reaches a final one.
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
    draw: st.DrawFn, names: Sequence[str], moves: Sequence[tuple[int, int]]
) -> tuple[tuple[Event[str], ...], tuple[Transition[str, str], ...]]:
    """Draw an event for each move, no two alike from one source."""
    taken: list[tuple[int, int]] = []
    for source, _ in moves:
        label = draw(st.integers(0, 3))
        while (source, label) in taken:
            label += 1
        taken.append((source, label))
    labels = list(dict.fromkeys(label for _, label in taken))
    drawn = [draw(st.tuples(_names, st.sampled_from(Origin), st.booleans(), st.booleans())) for _ in labels]
    events = dict(zip(labels, _different(name for name, _, _, _ in drawn), strict=True))
    rows = tuple(
        Transition(names[source], events[label], names[target])
        for (source, target), (_, label) in zip(moves, taken, strict=True)
    )
    origins = {events[label]: origin for label, (_, origin, _, _) in zip(labels, drawn, strict=True)}

    remote = Closure(names, remote_rows(by_source_and_event(rows), origins))

    def may_repeat(event: str) -> bool:
        return accepted_again({row.source: row.target for row in rows if row.event == event}, remote) is None

    stays = {row.event for row in rows if row.source == row.target}  # where a command's target proves nothing

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
        (channel, word): number
        for channel, word, number in draw(st.lists(st.tuples(channels, _names, _numbers), max_size=3))
    }
    return tuple(
        Alias(channel, word, states[number % len(states)])
        for (channel, word), number in drawn.items()
        if word not in states
    )


def _invariants(
    draw: st.DrawFn, states: Sequence[str], final: Sequence[str], rows: Sequence[Transition[str, str]]
) -> tuple[Invariant[str, str], ...]:
    """Draw some of the invariants that the rows keep, of every rule."""
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
    """What an executor that holds nothing open does at its end."""


@dataclass(frozen=True, kw_only=True)
class Executor(Generic[S, E]):
    """One task, in its initial state, of something that carries out a lifecycle.

    Args:
        state: returns the task's state, whatever faults there are.
        fire: carries an event out and answers as `Lifecycle.target` does: with the state that it
            led to, or None where it was refused, a redundant command included. Raising
            IllegalTransition is a refusal too; any other exception fails the test.
        close: called once at the end, whether the test has passed or failed.
        faults: what may go wrong, by name. Calling one makes it happen at some later `fire`, whose
            answer must be right nevertheless.
    """

    state: Callable[[], S]
    fire: Callable[[E], S | None]
    close: Callable[[], object] = _nothing
    faults: Mapping[str, Callable[[], object]] = field(default_factory=dict[str, Callable[[], object]])


@dataclass(frozen=True, slots=True)
class Difference:
    """One answer of an executor that is not the table's.

    `path` are the events taken before, from the initial state; `event` is the one asked in `state`,
    None where the executor rests in another state than the table. An `answer` of None is a refusal.
    """

    executor: str
    path: tuple[str, ...]
    state: str
    event: str | None
    expected: str | None
    answer: str | None

    def __str__(self) -> str:
        after = f" after {', '.join(self.path)}" if self.path else ""
        asked = "it rests in" if self.event is None else f"{quoted(self.event)} in {quoted(self.state)} gives"
        expected, answer = (quoted(each) if each else "a refusal" for each in (self.expected, self.answer))
        return f"{self.executor}{after}: {asked} {answer}, the table says {expected}"


class Disagreement(LifecycleError, AssertionError):
    """An executor and the table differ; a failed test.

    `.differences` are all that were found, `.broken` the lifecycle's invariants that they break.
    """

    def __init__(
        self, *, lifecycle: str, differences: Sequence[Difference], broken: Sequence[DefinitionFinding] = ()
    ) -> None:
        self.lifecycle = lifecycle
        self.differences = tuple(differences)
        self.broken = tuple(broken)
        lines = "".join(f"\n  {each}" for each in (*self.differences, *self.broken))
        super().__init__(f"{lifecycle}: not as declared:{lines}")


def check_executor(
    lifecycle: Lifecycle[S, E], start: Callable[[], Executor[S, E]], *, only: Iterable[E] | None = None
) -> None:
    """Ask an executor every (state, event) pair, and check with its answers what the lifecycle invariants.

    Each pair has a fresh executor, which is led to the state by a shortest path.

    Args:
        start: makes an executor.
        only: the events to fire where it cannot carry out all of them (`lifecycle.commands` for a
            client). States that they do not lead to are left out.
    Raises:
        Disagreement: with all differences and all broken invariants.
        UnknownName: an event that is not declared.
    """
    fired = _fired(lifecycle, only)
    found: list[Difference] = []
    for way in reach(_moves(lifecycle, fired), lifecycle.initial).values():
        for event in fired:
            try:
                _follow(lifecycle, start, (*way, event))
            except Disagreement as disagreement:
                found += (each for each in disagreement.differences if each not in found)
    if found:
        answers = {(each.state, each.event): cast("S | None", each.answer) for each in found}
        broken = lifecycle.violations(lambda state, event: answers.get((state, event), lifecycle.target(state, event)))
        raise Disagreement(lifecycle=lifecycle.name, differences=found, broken=broken)


def lifecycle_machine(
    lifecycle: Lifecycle[S, E],
    executors: Mapping[str, Callable[[], Executor[S, E]]],
    *,
    only: Iterable[E] | None = None,
) -> type[RuleBasedStateMachine]:
    """Return a Hypothesis state machine that drives executors side by side, with the table as oracle.

    Each example starts one executor of each kind and fires events at all of them, lawful ones and
    others, with faults between. It also leads them to some state by a shortest path, starting new
    ones where there is none. It fails when one answers or rests otherwise than the table. Run it as
    `lifecycle_machine(...).TestCase`, or with `hypothesis.stateful.run_state_machine_as_test`.

    Args:
        executors: by a name for messages, what makes one.
        only: the events to fire where some executor cannot carry out all of them: they move
            together or not at all.
    Raises:
        ValueError: there is no event to fire.
        UnknownName: an event that is not declared.
    """
    fired = _fired(lifecycle, only)
    if not fired:
        raise ValueError(f"{lifecycle.name}: there is no event to fire")
    moves = _moves(lifecycle, fired)
    ways = {state.name: reach(moves, state.name) for state in lifecycle.states}

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
                each.rest()

        @rule(event=st.sampled_from(fired))
        def fire(self, event: E) -> None:
            for each in self.followed:
                each.fire(event)

        @rule(state=st.sampled_from(list(ways[lifecycle.initial])))
        def visit(self, state: S) -> None:
            # Left to single events, nearly every step would be spent in a final state.
            if any(state not in ways[each.state] for each in self.followed):
                self.begin()
            for each in self.followed:
                for event in ways[each.state][state]:
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
    names = (event.name for event in lifecycle.events) if only is None else only
    return tuple(lifecycle.event(name).name for name in names)


def _moves(lifecycle: Lifecycle[S, E], fired: tuple[E, ...]) -> dict[tuple[S, E], S]:
    return {(row.source, row.event): row.target for row in lifecycle.transitions if row.event in fired}


def _follow(lifecycle: Lifecycle[S, E], start: Callable[[], Executor[S, E]], path: Iterable[E]) -> None:
    with ExitStack() as opened:
        followed = _Followed(lifecycle, start(), "the executor", opened)
        followed.rest()
        for event in path:
            followed.fire(event)


class _Followed(Generic[S, E]):
    """An executor and where the table says it is."""

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
            answer = self.executor.fire(event)
        except IllegalTransition:
            answer = None
        if answer != expected:
            raise self._disagreement(event, expected, answer)
        if expected is not None:
            self.path.append(event)
            self.state = expected
        self.rest()

    def rest(self) -> None:
        state = self.executor.state()
        if state != self.state:
            raise self._disagreement(None, self.state, state)

    def _disagreement(self, event: E | None, expected: S | None, answer: S | None) -> Disagreement:
        difference = Difference(self.name, tuple(self.path), self.state, event, expected, answer)
        return Disagreement(lifecycle=self.lifecycle.name, differences=(difference,))
