"""What a sound declaration must satisfy, and the rows that one is compiled to.

An unsound declaration is refused when it is made, wherever it comes from, with all findings at
once. Their codes are stable:

    bad_document                the text is not JSON or YAML
    bad_value                   a field is missing, unknown, or of the wrong type
    bad_name                    a name is empty, too long or not printable
    duplicate_name              two states, events or aliases of one name
    duplicate_row               two rows for one (source, event)
    unknown_name                a row, alias or invariant uses a name that is not declared
    no_initial_state            no state is initial
    several_initial_states      more than one is
    final_state_with_exit       a row leaves a final state
    unreachable_state           no path leads there from the initial state
    dead_end                    no path leads from there to a final state
    unused_event                an event is in no row
    alias_shadows_state         an alias hides a declared state
    not_repeatable              a command is declared repeatable, and what it does can be undone by remote events alone
    not_proved_by_state         a command is declared proved by its state, and leads from a state to that state
    broken_invariant            a row contradicts what the lifecycle promises
    base_final_changed          an extension gives a final state of its base a way out
    base_answer_changed         an extension answers a (state, event) pair of its base differently
    base_reachability_changed   an extension connects two states of its base anew
    base_initial_unreachable    the base's initial state cannot be reached from the extension's
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from lifecycle.errors import DefinitionFinding, nearest, shortened
from lifecycle.graph import accepted_again, reach
from lifecycle.parts import ABOUT_EVENTS, ABOUT_STATES, Alias, Event, Invariant, State, Transition
from lifecycle.table import E, Origin, Rows, S, quoted

LONGEST_NAME = 100  # characters; a longer one is a pasted document, not a name


class Declaration(Protocol[S, E]):
    """What is examined: the fields of a `Lifecycle`, sound or not."""

    @property
    def name(self) -> str: ...
    @property
    def states(self) -> tuple[State[S], ...]: ...
    @property
    def events(self) -> tuple[Event[E], ...]: ...
    @property
    def transitions(self) -> tuple[Transition[S, E], ...]: ...
    @property
    def aliases(self) -> tuple[Alias[S], ...]: ...
    @property
    def invariants(self) -> tuple[Invariant[S, E], ...]: ...


def examine(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    """Yield everything that is wrong with a declaration."""
    # What rests on sound names and rows is only examined when those are sound: a state that is
    # "unreachable" because of a misspelt row would be noise beside the misspelling.
    basic = tuple(_examine_basics(lifecycle))
    yield from basic
    if not basic:
        yield from _examine_paths(lifecycle)
        yield from _examine_repetition(lifecycle)
        yield from _examine_proof(lifecycle)
        rows = rows_of(lifecycle)
        moves = rows.moves
        yield from broken_promises(lifecycle.invariants, rows, lambda state, event: moves.get((state, event)))


def _examine_basics(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    states = [state.name for state in lifecycle.states]
    events = [event.name for event in lifecycle.events]
    yield from _examine_names("lifecycle", [lifecycle.name])
    yield from _examine_names("state", states)
    yield from _examine_names("event", events)
    yield from _examine_references(lifecycle, set(states), set(events))
    yield from _examinerows_of(lifecycle)
    yield from _examine_initial([state.name for state in lifecycle.states if state.initial])
    yield from _examine_aliases(lifecycle.aliases, set(states))
    used = {row.event for row in lifecycle.transitions}
    for event in events:
        if event not in used:
            yield DefinitionFinding("unused_event", f"event {quoted(event)}", "is in no row")


def _examine_names(kind: str, names: Iterable[str]) -> Iterator[DefinitionFinding]:
    for name, count in Counter(names).items():
        where = f"{kind} {shortened(name)}"
        if not (0 < len(name) <= LONGEST_NAME and name.isprintable()):
            yield DefinitionFinding("bad_name", where, f"a name is 1 to {LONGEST_NAME} printable characters")
        if count > 1:
            yield DefinitionFinding("duplicate_name", where, f"is declared {count} times")


def _examine_references(lifecycle: Declaration[S, E], states: set[S], events: set[E]) -> Iterator[DefinitionFinding]:
    used: list[tuple[str, str, Any, Any]] = []
    for index, row in enumerate(lifecycle.transitions):
        used += [(f"transitions[{index}]", "state", name, states) for name in (row.source, row.target)]
        used += [(f"transitions[{index}]", "event", row.event, events)]
    used += [(f"alias {shortened(alias.word)}", "state", alias.state, states) for alias in lifecycle.aliases]
    for invariant in lifecycle.invariants:
        where = f"invariant {shortened(invariant.name)}"
        used += [(where, "state", name, states) for name in invariant.states]
        used += [(where, "event", name, events) for name in invariant.events]
        for part, rules in (("events", ABOUT_EVENTS), ("states", ABOUT_STATES)):
            if bool(getattr(invariant, part)) != (invariant.rule in rules):
                needs = "needs" if invariant.rule in rules else "takes no"
                yield DefinitionFinding("bad_value", where, f"the rule {quoted(invariant.rule)} {needs} {part}")
    for where, kind, name, known in used:
        if name not in known:
            meant = nearest(name, known)
            hint = f"; did you mean {quoted(meant)}?" if meant else ""
            yield DefinitionFinding("unknown_name", where, f"{kind} {shortened(name)} is not declared{hint}")


def _examinerows_of(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    final = {state.name for state in lifecycle.states if state.final}
    seen: dict[tuple[S, E], int] = {}
    for index, row in enumerate(lifecycle.transitions):
        where = f"transitions[{index}]"
        first = seen.setdefault((row.source, row.event), index)
        if first != index:
            message = f"({row.source}, {row.event}) has a row already, transitions[{first}]"
            yield DefinitionFinding("duplicate_row", where, message)
        if row.source in final:
            message = f"{quoted(row.event)} leads out of {quoted(row.source)}"
            yield DefinitionFinding("final_state_with_exit", where, message)


def _examine_initial(initial: list[S]) -> Iterator[DefinitionFinding]:
    if not initial:
        yield DefinitionFinding("no_initial_state", "states", "one state must be initial")
    if len(initial) > 1:
        yield DefinitionFinding(
            "several_initial_states", "states", f"only one may be initial, not {', '.join(initial)}"
        )


def _examine_aliases(aliases: tuple[Alias[S], ...], states: set[S]) -> Iterator[DefinitionFinding]:
    for (channel, word), count in Counter((alias.channel, alias.word) for alias in aliases).items():
        where = f"alias {shortened(word)}"
        if count > 1:
            yield DefinitionFinding("duplicate_name", where, f"is declared {count} times for channel {channel!r}")
        if word in states:
            yield DefinitionFinding(
                "alias_shadows_state", where, f"channel {channel!r} could no longer name that state"
            )


def _examine_paths(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    rows = rows_of(lifecycle)
    reached = reach(rows.moves, rows.initial)
    for state in rows.states:
        where = f"state {quoted(state)}"
        if state not in reached:
            message = f"cannot be reached from {quoted(rows.initial)}"
            yield DefinitionFinding("unreachable_state", where, message)
        if rows.final.isdisjoint(reach(rows.moves, state)):
            yield DefinitionFinding("dead_end", where, "no final state can be reached from it")


def _examine_repetition(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    """Find commands that, sent twice, may do something twice: the second would end what began after the first."""
    rows = rows_of(lifecycle)
    for event in lifecycle.events:
        if event.origin is Origin.CALLER and event.repeatable:
            again = accepted_again(rows.moves, rows.origins, event.name)
            if again is not None:
                message = (
                    f"it leads to {quoted(again[0])}, from where the service alone can reach {quoted(again[1])}, "
                    "which accepts it again: declare repeatable=False"
                )
                yield DefinitionFinding("not_repeatable", f"event {quoted(event.name)}", message)


def _examine_proof(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    """Find commands whose target proves nothing, since the task is there before: each would be done by guess."""
    stays = {row.event: row.source for row in lifecycle.transitions if row.source == row.target}
    for event in lifecycle.events:
        if event.origin is Origin.CALLER and event.proved_by_state and event.name in stays:
            state = quoted(stays[event.name])
            message = (
                f"it leads from {state} to {state}, so that being there proves nothing: declare proved_by_state=False"
            )
            yield DefinitionFinding("not_proved_by_state", f"event {quoted(event.name)}", message)


def broken_promises(
    invariants: Iterable[Invariant[S, E]], rows: Rows[S, E], target: Callable[[S, E], S | None]
) -> Iterator[DefinitionFinding]:
    """Yield each answer of `target` that breaks one of the promises."""
    for invariant in invariants:
        for state, event, to in invariant.broken_pairs(rows, target):
            answer = "is refused" if to is None else f"leads to {quoted(to)}"
            message = f"{quoted(event)} {answer} in {quoted(state)}"
            yield DefinitionFinding("broken_invariant", f"invariant {shortened(invariant.name)}", message)


def examine_extension(
    base: Declaration[S, E], states: tuple[State[S], ...], added: tuple[Transition[S, E], ...]
) -> Iterator[DefinitionFinding]:
    """Yield each promise to its base that an extension with these states and added rows would break."""
    rows = rows_of(base)
    base_states = set(rows.states)
    for index, row in enumerate(added):
        where = f"added transitions[{index}]"
        if row.source in rows.final:
            message = f"{quoted(row.source)} is final in {base.name!r}"
            yield DefinitionFinding("base_final_changed", where, message)
        if row.source in base_states and row.event in rows.origins:
            answer = rows.moves.get((row.source, row.event))
            message = (
                f"{base.name!r} answers ({row.source}, {row.event}) with {quoted(answer) if answer else 'a refusal'}"
            )
            yield DefinitionFinding("base_answer_changed", where, message)
    moves = {**moves_of(added), **rows.moves}
    for state in rows.states:
        for new in sorted(reach(moves, state).keys() & base_states - reach(rows.moves, state).keys()):
            message = f"{quoted(new)} cannot follow it in {base.name!r}"
            yield DefinitionFinding("base_reachability_changed", f"state {quoted(state)}", message)
    initial = next((state.name for state in states if state.initial), rows.initial)
    if rows.initial not in reach(moves, initial):
        message = f"{quoted(rows.initial)} cannot be reached from it"
        yield DefinitionFinding("base_initial_unreachable", f"state {quoted(initial)}", message)


# --- compiling ----------------------------------------------------------------------------------


def rows_of(lifecycle: Declaration[S, E]) -> Rows[S, E]:
    """Return what a table is compiled from; the declaration's names and rows must be sound."""
    return Rows(
        states=tuple(state.name for state in lifecycle.states),
        initial=next(state.name for state in lifecycle.states if state.initial),
        final=frozenset(state.name for state in lifecycle.states if state.final),
        settled=frozenset(state.name for state in lifecycle.states if state.final or state.settled),
        origins={event.name: event.origin for event in lifecycle.events},
        proved_by_state=frozenset(event.name for event in lifecycle.events if event.proved_by_state),
        moves=moves_of(lifecycle.transitions),
    )


def moves_of(transitions: Iterable[Transition[S, E]]) -> dict[tuple[S, E], S]:
    """Return the target of each (source, event)."""
    return {(row.source, row.event): row.target for row in transitions}
