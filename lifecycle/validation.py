"""The validation of a declaration, and its compilation to rows.

An unsound declaration is refused when a lifecycle is made from it, whatever its source, with all findings
at once. Their codes are stable:

    bad_document                the text is not JSON or YAML
    openapi_document            the text is an OpenAPI document, not a declaration
    bad_value                   a field is missing, unknown, or of the wrong type
    duplicate_key               a key is written twice
    too_large                   there are more states, rows or other parts than a lifecycle may have
    more_findings               there are more findings than are listed
    bad_name                    a name is empty, too long, not printable or has a blank at an end, or an enumeration
                                shows it as another text
    duplicate_name              two states, events or aliases of one name
    duplicate_row               two rows for one (source, event)
    unknown_name                a row, alias or invariant uses a name that is not declared
    no_initial_state            no state is initial
    several_initial_states      more than one is
    final_state_with_exit       a row leaves a final state
    unreachable_state           no path leads from the initial state to the state
    dead_end                    no path leads from the state to a final or reopenable state
    not_reopenable              a state is declared reopenable, but is final, or a remote event or no command leaves it
    not_interrupted             a state is declared interrupted, but is initial, final or reopenable
    unused_event                no row uses an event
    alias_shadows_state         an alias hides a declared state
    not_idempotent              a command is declared idempotent, but remote events alone can undo its effect
    not_proved_by_state         a command is declared proved by its state, but leads from a state to that same state
    broken_invariant            a row violates an invariant
    base_final_changed          an extension adds a row that leaves a final state of its base
    base_answer_changed         an extension changes the target or refusal of a (state, event) pair of its base
    base_reachability_changed   an extension adds a path between two states of its base that its base does not have
    base_initial_unreachable    the base's initial state cannot be reached from the extension's
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from lifecycle.declaration import (
    ABOUT_EVENTS,
    ABOUT_STATES,
    EVERY,
    Declaration,
    Invariant,
    Path,
    Row,
    State,
    Transition,
    going_states,
    located_rows,
    rows_of,
)
from lifecycle.errors import DefinitionFinding, nearest, shortened
from lifecycle.graph import Closure, accepted_again, reach, remote_rows
from lifecycle.partial import NotKnown, as_far_as_known
from lifecycle.table import E, Origin, S, TransitionSystem, quoted

LONGEST_NAME = 100  # characters; a longer one is a pasted document, not a name

LARGEST: Mapping[str, int] = {
    "states": 2_000, "events": 10_000, "transitions": 10_000, "aliases": 10_000, "channels": 100, "invariants": 1_000,
}  # fmt: skip
"""The most parts of each kind that may be declared: such a lifecycle is validated in seconds and in 300 MiB."""

MOST_FINDINGS = 100  # nobody reads more, and each one costs a search for the intended name


def path_text(path: Path) -> str:
    """Return the name of a part in messages, such as `transitions[3].target`."""
    name = ""
    for part in path:
        key = str(part)[:LONGEST_NAME]
        key = key if key.isprintable() else repr(key)
        name += f"[{key}]" if isinstance(part, int) else f".{key}" if name else key
    return name or "declaration"


def limited(findings: Iterable[DefinitionFinding]) -> tuple[DefinitionFinding, ...]:
    """Return the first 100 findings, and if there are more, one finding about that."""
    found = tuple(islice(findings, MOST_FINDINGS + 1))
    if len(found) <= MOST_FINDINGS:
        return found
    more = DefinitionFinding("more_findings", "declaration", "there are more; correct these, then examine it again")
    return (*found[:MOST_FINDINGS], more)


def validate(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    """Yield a finding for every error in a declaration, or in what could be read of it."""
    # Checks that depend on sound names and rows run only if those are sound: a state that is "unreachable"
    # because of a misspelt row would be noise beside the misspelling.
    for part in (_validate_size, _validate_basics):
        is_sound = True
        for finding in part(lifecycle):
            is_sound = False
            yield finding
        if not is_sound:
            return
    yield from as_far_as_known(_validate_whole(lifecycle))


def _validate_size(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    for part, most in LARGEST.items():
        if part == "channels":
            count = len({alias.channel for alias in lifecycle.aliases if hasattr(alias, "channel")})
        elif part == "transitions":
            count = _count_rows(lifecycle)
        else:
            count = len(getattr(lifecycle, part))
        if count > most:
            message = f"{count:,} are declared and at most {most:,} are allowed: declare several lifecycles instead"
            yield DefinitionFinding("too_large", part, message, ("aliases" if part == "channels" else part,))


def _count_rows(lifecycle: Declaration[S, E]) -> int:
    """Return the number of rows that could be read, without listing them: a few lines can declare millions."""
    going = going_states(lifecycle.states)
    count = 0
    for row in lifecycle.transitions:
        with suppress(NotKnown):
            match row.source:
                case tuple():
                    count += len(row.source)
                case "*":
                    count += len(going()) - (row.target in going())
                case _:
                    count += 1
    return count


def _validate_basics(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    yield from _validate_names("lifecycle", {(): lifecycle})
    yield from _validate_names("state", {("states", i): state for i, state in enumerate(lifecycle.states)})
    yield from _validate_names("event", {("events", i): event for i, event in enumerate(lifecycle.events)})
    yield from _validate_references(lifecycle)
    yield from _validate_rules(lifecycle.invariants)
    yield from _validate_rows(lifecycle)
    yield from as_far_as_known(_validate_initial(lifecycle.states))
    yield from _validate_aliases(lifecycle)
    yield from as_far_as_known(_validate_uses(lifecycle))


def _validate_whole(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    rows = transition_system(lifecycle)
    yield from _validate_paths(rows)
    yield from _validate_reopenable(lifecycle)
    yield from _validate_interrupted(lifecycle)
    yield from _validate_idempotence(lifecycle, rows)
    yield from _validate_proof(lifecycle)
    yield from violations(lifecycle.invariants, rows)


def _validate_names(kind: str, named: Mapping[Path, Any]) -> Iterator[DefinitionFinding]:
    names: dict[Path, str] = {(*path, "name"): part.name for path, part in named.items() if hasattr(part, "name")}
    last = {name: path for path, name in names.items()}
    for name, count in Counter(names.values()).items():
        where, path = f"{kind} {shortened(name)}", last[name]
        text = str.__str__(name)
        if not (0 < len(text) <= LONGEST_NAME and text.isprintable()):
            message = f"a name is 1 to {LONGEST_NAME} printable characters"
            yield DefinitionFinding("bad_name", where, message, path)
        elif text != text.strip():
            yield DefinitionFinding("bad_name", where, "a name neither begins nor ends with a blank", path)
        if kind == "state" and text == EVERY:
            meaning = "as a source it means every state that is neither final nor the target"
            message = f"{meaning}, so that no state can have this name"
            yield DefinitionFinding("bad_name", where, message, path)
        shown = {str(name), f"{name}"} - {text}
        if shown:
            # Code that stores or prints it would write that other text; `class S(str, Enum)` is such a case.
            message = (
                f"it is shown as {shortened(shown.pop())}: use a StrEnum with no __str__ of its own, or plain text"
            )
            yield DefinitionFinding("bad_name", where, message, path)
        if count > 1:
            yield DefinitionFinding("duplicate_name", where, f"is declared {count} times", path)


def _validate_references(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    declared: dict[str, tuple[Any, ...]] = {"state": lifecycle.states, "event": lifecycle.events}
    known = {
        kind: {part.name for part in parts}
        for kind, parts in declared.items()
        if all(hasattr(part, "name") for part in parts)
    }
    for where, path, kind, name in _references(lifecycle):
        with suppress(NotKnown):
            if kind in known and name not in known[kind]:
                meant = nearest(name, known[kind])
                hint = f"; did you mean {quoted(meant)}?" if meant else ""
                yield DefinitionFinding("unknown_name", where, f"{kind} {shortened(name)} is not declared{hint}", path)


def _references(lifecycle: Declaration[S, E]) -> Iterator[tuple[str, Path, str, str]]:
    """Yield each use of a name: the part that uses it, the path of the use, the kind and the name."""
    for i, row in enumerate(lifecycle.transitions):
        where = f"transitions[{i}]"
        if hasattr(row, "source"):
            if isinstance(row.source, tuple):
                for j, source in enumerate(row.source):
                    path: Path = ("transitions", i, "source", j)
                    yield path_text(path), path, "state", source
            elif row.source != EVERY:
                yield where, ("transitions", i, "source"), "state", row.source
        if hasattr(row, "target"):
            yield where, ("transitions", i, "target"), "state", row.target
        if hasattr(row, "event"):
            yield where, ("transitions", i, "event"), "event", row.event
    for i, alias in enumerate(lifecycle.aliases):
        if hasattr(alias, "state"):
            yield _where(("aliases", i), "alias", alias, "status"), ("aliases", i, "state"), "state", alias.state
    for i, invariant in enumerate(lifecycle.invariants):
        where = _where(("invariants", i), "invariant", invariant, "name")
        for part in ("states", "events"):
            for j, name in enumerate(getattr(invariant, part, ())):
                yield where, ("invariants", i, part, j), part[:-1], name


def _where(path: Path, kind: str, part: Any, field: str) -> str:
    """Return the kind of a part and the text in its field, or its path if that could not be read."""
    return f"{kind} {shortened(getattr(part, field))}" if hasattr(part, field) else path_text(path)


def _validate_rules(invariants: Iterable[Invariant[S, E]]) -> Iterator[DefinitionFinding]:
    for i, invariant in enumerate(invariants):
        for part, rules in (("events", ABOUT_EVENTS), ("states", ABOUT_STATES)):
            with suppress(NotKnown):
                if bool(getattr(invariant, part)) != (invariant.rule in rules):
                    needs = "needs" if invariant.rule in rules else "takes no"
                    message = f"the rule {quoted(invariant.rule)} {needs} {part}"
                    path = ("invariants", i)
                    where = _where(path, "invariant", invariant, "name")
                    yield DefinitionFinding("bad_value", where, message, path)


def _validate_rows(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    final = {state.name for state in lifecycle.states if hasattr(state, "name") and getattr(state, "final", False)}
    going = going_states(lifecycle.states)
    seen: dict[tuple[S, E], Path] = {}
    for index, part in enumerate(lifecycle.transitions):
        with suppress(NotKnown):
            declared = tuple(rows_of(part, ("transitions", index), going))
            if not declared:
                path: Path = ("transitions", index, "source")
                yield DefinitionFinding("bad_value", f"transitions[{index}]", "its source contains no state", path)
            for path, row in declared:
                with suppress(NotKnown):
                    yield from _validate_row(path, row, seen, final)


def _validate_row(
    path: Path, row: Transition[S, E], seen: dict[tuple[S, E], Path], final: Collection[S]
) -> Iterator[DefinitionFinding]:
    where = path_text(path)
    first = seen.setdefault((row.source, row.event), path)
    if first is not path:
        message = f"({row.source}, {row.event}) has a row already, {path_text(first)}"
        yield DefinitionFinding("duplicate_row", where, message, path)
    if row.source in final:
        message = f"{quoted(row.event)} leads out of {quoted(row.source)}"
        yield DefinitionFinding("final_state_with_exit", where, message, path)


def _validate_initial(states: tuple[State[S], ...]) -> Iterator[DefinitionFinding]:
    initial = {i: state.name for i, state in enumerate(states) if state.initial}
    if not initial:
        yield DefinitionFinding("no_initial_state", "states", "one state must be initial", ("states",))
    if len(initial) > 1:
        message = f"only one may be initial, not {', '.join(initial.values())}"
        yield DefinitionFinding("several_initial_states", "states", message, ("states", max(initial)))


def _validate_aliases(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    states = {state.name for state in lifecycle.states if hasattr(state, "name")}
    statuses = {
        i: (alias.channel, alias.status)
        for i, alias in enumerate(lifecycle.aliases)
        if hasattr(alias, "channel") and hasattr(alias, "status")
    }
    last = {status: i for i, status in statuses.items()}
    for (channel, status), count in Counter(statuses.values()).items():
        where, path = f"alias {shortened(status)}", ("aliases", last[channel, status])
        if count > 1:
            message = f"is declared {count} times for channel {channel!r}"
            yield DefinitionFinding("duplicate_name", where, message, path)
        if status in states:
            message = f"channel {channel!r} could no longer name that state"
            yield DefinitionFinding("alias_shadows_state", where, message, path)


def _validate_uses(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    used = {row.event for row in lifecycle.transitions}
    for i, event in enumerate(lifecycle.events):
        if hasattr(event, "name") and event.name not in used:
            yield DefinitionFinding("unused_event", f"event {quoted(event.name)}", "no row uses it", ("events", i))


def _validate_paths(rows: TransitionSystem[S, E]) -> Iterator[DefinitionFinding]:
    closure = Closure(rows.states, rows.transitions)
    ends = sum(closure.bit[state] for state in rows.over)
    for index, state in enumerate(rows.states):
        where, path = f"state {quoted(state)}", ("states", index)
        if not closure.leads(rows.initial, state):
            message = f"cannot be reached from {quoted(rows.initial)}"
            yield DefinitionFinding("unreachable_state", where, message, path)
        if not closure.after[state] & ends:
            yield DefinitionFinding("dead_end", where, "no final or reopenable state can be reached from it", path)


def _validate_reopenable(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    origins = {event.name: event.origin for event in lifecycle.events}
    leaving = [(row.source, row.event) for row in lifecycle.rows if row.source != row.target]
    for index, state in enumerate(lifecycle.states):
        if not state.reopenable:
            continue
        events = [event for source, event in leaving if source == state.name]
        remote = next((event for event in events if origins[event] is Origin.REMOTE), None)
        if state.final:
            message = "it is final, and nothing begins its work again: declare it final or reopenable"
        elif remote is not None:
            message = (
                f"the service alone can leave it, by {quoted(remote)}, so that the task is not over: declare it settled"
            )
        elif not events:
            message = "no command leaves it: declare it final"
        else:
            continue
        yield DefinitionFinding("not_reopenable", f"state {quoted(state.name)}", message, ("states", index))


def _validate_interrupted(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    for index, state in enumerate(lifecycle.states):
        if state.interrupted and (state.initial or state.final or state.reopenable):
            message = "no work has begun in it" if state.initial else "the task is over in it"
            yield DefinitionFinding("not_interrupted", f"state {quoted(state.name)}", message, ("states", index))


def _validate_idempotence(lifecycle: Declaration[S, E], rows: TransitionSystem[S, E]) -> Iterator[DefinitionFinding]:
    """Find commands declared idempotent that may take effect twice if they are sent twice."""
    remote = Closure(rows.states, remote_rows(rows.transitions, rows.origins))
    rows_by_event: dict[E, dict[S, S]] = {event: {} for event in rows.origins}
    for (source, by), target in rows.transitions.items():
        rows_by_event[by][source] = target
    for index, event in enumerate(lifecycle.events):
        if event.origin is Origin.CALLER and event.idempotent:
            again = accepted_again(rows_by_event[event.name], remote)
            if again is not None:
                message = (
                    f"it leads to {quoted(again[0])}, from where the service alone can reach {quoted(again[1])}, "
                    "which accepts it again: declare idempotent=False"
                )
                yield DefinitionFinding("not_idempotent", f"event {quoted(event.name)}", message, ("events", index))


def _validate_proof(lifecycle: Declaration[S, E]) -> Iterator[DefinitionFinding]:
    """Find commands whose target proves nothing, since the task may be there before the command takes effect."""
    stays = {row.event: row.source for row in lifecycle.rows if row.source == row.target}
    for index, event in enumerate(lifecycle.events):
        if event.origin is Origin.CALLER and event.proved_by_state and event.name in stays:
            state = quoted(stays[event.name])
            message = (
                f"it leads from {state} to {state}, so that being there proves nothing: declare proved_by_state=False"
            )
            yield DefinitionFinding("not_proved_by_state", f"event {quoted(event.name)}", message, ("events", index))


def violations(
    invariants: Iterable[Invariant[S, E]],
    rows: TransitionSystem[S, E],
    target: Callable[[S, E], S | None] | None = None,
) -> Iterator[DefinitionFinding]:
    """Yield a finding for each result of `target`, or of the rows if it is omitted, that violates an invariant."""
    for index, invariant in enumerate(invariants):
        for state, event, to in as_far_as_known(invariant.violations(rows, target)):
            outcome = "is refused" if to is None else f"leads to {quoted(to)}"
            message = f"{quoted(event)} {outcome} in {quoted(state)}"
            path = ("invariants", index)
            where = _where(path, "invariant", invariant, "name")
            yield DefinitionFinding("broken_invariant", where, message, path)


def validate_extension(
    base: Declaration[S, E],
    states: tuple[State[S], ...],
    transitions: tuple[Row[S, E], ...],
) -> Iterator[DefinitionFinding]:
    """Yield a finding for each property of its base that an extension with these states and rows would change."""
    rows = transition_system(base)
    added = {(row.source, row.event): (path, row) for path, row in located_rows(transitions, states)}
    for path, row in added.values():
        if row.source in rows.final:
            message = f"{quoted(row.source)} is final in {base.name!r}"
            yield DefinitionFinding("base_final_changed", f"added {path_text(path)}", message)
    with_added = {**rows.transitions, **by_source_and_event(row for _, row in added.values())}
    base_states = set(rows.states)
    for source, event, target, _ in changed_targets(rows.transitions, with_added):
        if source in base_states and event in rows.origins:
            outcome = f"leads to {quoted(target)}" if target else "is refused"
            message = f"({source}, {event}) {outcome} in {base.name!r}"
            yield DefinitionFinding("base_answer_changed", f"added {path_text(added[source, event][0])}", message)
    with_base = {**with_added, **rows.transitions}
    for state, gained, _ in changed_reachability(rows, with_base, rows.states):
        for new in sorted(gained):
            message = f"{quoted(new)} cannot follow it in {base.name!r}"
            yield DefinitionFinding("base_reachability_changed", f"state {quoted(state)}", message)
    initial = next((state.name for state in states if state.initial), rows.initial)
    if rows.initial not in reach(with_base, initial):
        message = f"{quoted(rows.initial)} cannot be reached from it"
        yield DefinitionFinding("base_initial_unreachable", f"state {quoted(initial)}", message)


# --- what changes --------------------------------------------------------------------------------


def changed_targets(
    before: Mapping[tuple[S, E], S], after: Mapping[tuple[S, E], S]
) -> Iterator[tuple[S, E, S | None, S | None]]:
    """Yield each (source, event) whose target differs, with the target before and after; None is a refusal."""
    for source, event in {**before, **after}:
        was, now = before.get((source, event)), after.get((source, event))
        if was != now:
            yield source, event, was, now


def changed_reachability(
    before: TransitionSystem[S, E], after: Mapping[tuple[S, E], S], states: Iterable[S]
) -> Iterator[tuple[S, tuple[S, ...], tuple[S, ...]]]:
    """Yield each of these states, all declared before, for which the others of them that can follow it differ.

    With it, the states that can follow it by the rows `after` alone, and those that can by the rows before alone.
    """
    was, now = Closure(before.states, before.transitions), Closure(before.states, after)
    kept = [*states]
    among = sum(was.bit[state] for state in kept)
    for state in kept:
        gained, lost = now.after[state] & ~was.after[state] & among, was.after[state] & ~now.after[state] & among
        if gained or lost:
            yield state, was.among(gained), was.among(lost)


# --- compiling ----------------------------------------------------------------------------------


def transition_system(lifecycle: Declaration[S, E]) -> TransitionSystem[S, E]:
    """Compile a declaration whose names and rows are sound."""
    return TransitionSystem(
        states=tuple(state.name for state in lifecycle.states),
        initial=next(state.name for state in lifecycle.states if state.initial),
        final=frozenset(state.name for state in lifecycle.states if state.final),
        over=frozenset(state.name for state in lifecycle.states if state.final or state.reopenable),
        settled=frozenset(
            state.name
            for state in lifecycle.states
            if state.final or state.settled or state.reopenable or state.interrupted
        ),
        interrupted=frozenset(state.name for state in lifecycle.states if state.interrupted),
        origins={event.name: event.origin for event in lifecycle.events},
        proved_by_state=frozenset(event.name for event in lifecycle.events if event.proved_by_state),
        transitions=by_source_and_event(lifecycle.rows),
    )


def by_source_and_event(transitions: Iterable[Transition[S, E]]) -> dict[tuple[S, E], S]:
    """Return the target of each (source, event)."""
    return {(row.source, row.event): row.target for row in transitions}
