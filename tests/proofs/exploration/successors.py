"""The successors of a moment: every effect of every worker, and every spontaneous event."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from lifecycle.effects import Wait
from tests.proofs.exploration.journal_effects import JournalEffects
from tests.proofs.exploration.journals import Content
from tests.proofs.exploration.moments import (
    AT_REST,
    GONE,
    RECOVERING,
    RUNNING,
    Heard,
    Line,
    Moment,
    Step,
    Worker,
    newest,
    put,
    ranked,
)
from tests.proofs.exploration.oracle import FINAL_OUTCOMES, Ending, Finding, Oracle, Violation
from tests.proofs.exploration.procedures import Node, Sort
from tests.proofs.exploration.service import CRASH, OVER, Cost, Network, Service
from tests.proofs.exploration.service_effects import ServiceEffects
from tests.proofs.exploration.subject import READ, RECOVER, RECOVERER, WORKERS, Bounds, Program, Subject

_SERVICE = (Sort.SERVICE, Sort.SERVICE_LOOKED_UP)


class Successors:
    """The moments that can follow a moment.

    Args:
        subject: the procedure and the journal.
        first: what worker A does.
        second: what worker B does; None for nothing.
        bounds: how much may happen.
    """

    def __init__(self, subject: Subject, first: Program, second: Program | None, bounds: Bounds) -> None:
        lifecycle = subject.lifecycle
        self._lifecycle = lifecycle
        self._bounds = bounds
        self._programs = (first, second, RECOVER)
        self._procedures = [None if each is None else subject.procedure(each) for each in self._programs]
        self._journal = subject.journal
        self._oracle = Oracle(lifecycle, subject.with_companion)
        network = Network(lifecycle, subject.with_companion, has_unknown_statuses=bounds.unknown_statuses)
        self._first_companion = network.first_companion
        given = {each.command for each in self._programs if each is not None and each.command is not None}
        states = [state.name for state in lifecycle.states]
        interesting = [state for state in states if any(self._oracle.is_target(command, state) for command in given)]
        self._bits = {state: 1 << interesting.index(state) if state in interesting else 0 for state in states}
        self._target_bits = {
            command: sum(bit for state, bit in self._bits.items() if self._oracle.is_target(command, state))
            for command in given
        }
        self._at_service = ServiceEffects(network, self._oracle, self._bits)
        self._at_journal = JournalEffects(subject, self._programs, self._oracle, self._target_bits)

    # --- first moments ---------------------------------------------------------------------------

    def first(self) -> Iterator[tuple[str, Moment]]:
        """Yield each first moment, with its description."""
        workers = tuple(
            GONE
            if each is None
            else _at_first(each.first, may_open=program is not None and program.command is not None)
            for program, each in zip(self._programs, self._procedures, strict=True)
        )
        for known, knows, content in self._known():
            for state, visited in self._moved_from(known):
                service = Service(state, self._first_companion, (), (state,))
                moment = Moment(service, content, workers, (), visited, False, RUNNING)
                yield f"The task is {state!s}; the journal {knows}.", moment

    def _known(self) -> Iterator[tuple[str | None, str, Content]]:
        """Yield each state that a journal may know, with its description and the journal."""
        if self._bounds.starts_unseen:
            yield None, "has never seen the task", self._journal.knowing(None)
            initial = self._lifecycle.initial
            created = self._journal.knowing(initial, was_created=True)
            yield initial, f"has seen its creation and knows it as {initial!s}", created
        states, command = [state.name for state in self._lifecycle.states], self._programs[0].command
        if not self._bounds.starts_everywhere and command is not None:
            states = [state for state in states if self._lifecycle.target(state, command) is not None][-1:]
        for state in states:
            yield state, f"knows the task as {state!s}", self._journal.knowing(state)

    def _moved_from(self, known: str | None) -> list[tuple[str, int]]:
        """Return the possible present states of a task in the journal, each with the visited states of interest."""
        if known is None:
            return list(self._bits.items())
        found = [(known, self._bits[known])]
        if self._bounds.starts_anywhere:
            for state, visited in found:  # the list grows during the loop
                for event in self._lifecycle.allowed(state):
                    target = self._lifecycle.step(state, event)
                    reached = (target, visited | self._bits[target])
                    if reached not in found:
                        found.append(reached)
        return found

    # --- successors --------------------------------------------------------------------------------

    def of(self, now: Moment, budget: Cost) -> Iterator[Step]:
        """Yield each step that the rest of the budget allows after this moment."""
        if now.phase == AT_REST:
            yield from self._happen(now, budget)
            return
        seen_by_service: list[int] = []
        others: list[int] = []
        for i in self._at_work(now):
            node = now.workers[i].node
            if node is None:
                continue
            if node.sort is Sort.NOBODY:  # it affects no other worker, so that its order does not matter
                yield from self._wait(now, i, cast("Wait", node.effect))
                return
            (seen_by_service if node.sort in _SERVICE else others).append(i)
        # A spontaneous event can always be moved to just before the next effect on the service.
        if seen_by_service:
            yield from self._happen(now, budget)
        for i in seen_by_service:
            yield from self._act(now, i, budget)
        if not now.only_service:
            for i in others:
                yield from self._act(now, i, budget)

    def _happen(self, now: Moment, budget: Cost) -> Iterator[Step]:
        return (step for step in self._at_service.happen(now) if step.cost.is_within(budget))

    def _at_work(self, now: Moment) -> tuple[int, ...]:
        if now.phase != RUNNING:
            return (RECOVERER,)
        first, second, _ = self._programs
        # Two workers with the same program are interchangeable: let worker A begin.
        is_first = first == second and now.workers[0].node is (self._procedures[0] and self._procedures[0].first)
        return (0,) if is_first else (0, 1)

    def _wait(self, now: Moment, i: int, wait: Wait) -> Iterator[Step]:
        if now.phase != RUNNING:
            results = [wait.attempt <= 2]
        else:
            results = [True, False] if wait.attempt <= self._bounds.waits else [False]
        for result in results:
            yield self._give(i, Heard(now, result, result, Line(i, wait, result)))

    def _act(self, now: Moment, i: int, budget: Cost) -> Iterator[Step]:
        """Yield each outcome of a worker's effect, without and with the worker's death after it."""
        node = now.workers[i].node
        assert node is not None
        assert node.effect is not None
        effect = node.effect
        effects: ServiceEffects | JournalEffects = self._at_service if node.sort in _SERVICE else self._at_journal
        # A death after an effect that changes nothing equals a death before it.
        may_crash = now.phase == RUNNING and (node.sort is Sort.SERVICE or node.sort is Sort.JOURNAL)
        for each in effects.carry_out(now, i, effect):
            if not each.cost.is_within(budget):
                continue
            step = self._give(i, each)
            yield step
            if may_crash and budget.crashes and step.after.workers[i].node is not None:
                cost = each.cost.plus(CRASH)
                if cost.is_within(budget):
                    after = _next_phase(step.after.with_worker(i, GONE))
                    yield Step(step.line._replace(has_crashed=True), after, cost, step.findings)

    # --- results -----------------------------------------------------------------------------------

    def _give(self, i: int, heard: Heard) -> Step:
        """Pass a worker the result of its effect, and judge its end if it ends."""
        now, result, form, line, cost, findings = heard
        worker, procedure = now.workers[i], self._procedures[i]
        assert worker.node is not None
        assert procedure is not None
        if findings and findings[0][0] is Violation.SENT_UNRECORDED:  # there is no result to pass
            return Step(line, _next_phase(now.with_worker(i, GONE)), cost, findings)
        node = procedure.step(worker.node, result, form)
        _, is_fresh, asked, visited, command, attempt = worker
        workers = now.workers
        if node.sort in _SERVICE:  # its next request may begin now and get its response much later
            asked, visited = newest(put(workers, i, worker._replace(asked=None))) + 1, 0
        workers = ranked(put(workers, i, Worker(node, is_fresh, asked, visited, command, attempt)))
        after = Moment(now[0], now[1], workers, now[3], now[4], False, now[6])
        if node.effect is not None:
            return Step(line, after, cost, findings)
        line = line._replace(ending=(node.ending,))
        findings = (*findings, *self._judge_ending(after, i, node.ending))
        after = _next_phase(after.with_worker(i, GONE))
        if after.phase == AT_REST:
            findings = (*findings, *self._judge_rest(after))
        return Step(line, after, cost, findings)

    def _judge_ending(self, now: Moment, i: int, ending: Any) -> Iterator[Finding]:
        program, k, commands = self._programs[i], now.workers[i].command, now.content.commands
        assert program is not None
        if program == READ:
            return
        kept = commands[k] if k >= 0 else None
        command = program.command or (kept.command if kept else "a recovery")
        if program.abandons:
            yield from self._oracle.judge_abandoning(ending)
        else:
            yield from self._oracle.judge_ending(
                Ending(
                    ending,
                    command,
                    outcome=kept.state if kept else None,
                    attempts=kept.attempts if kept else 0,
                    was_taken=k >= 0 and now.facts[k].was_taken,
                    is_any_open=any(each.state not in FINAL_OUTCOMES for each in commands),
                    was_at_target=bool(now.visited & self._target_bits.get(command, 0)),
                    is_recovery=program.recovers,
                )
            )
        for facts, each in zip(now.facts, commands, strict=True):
            if each.state not in FINAL_OUTCOMES and (facts.claimed_by == i or each.claimed_by == WORKERS[i]):
                yield Violation.LEFT_CLAIMED, facts.command

    def _judge_rest(self, now: Moment) -> Iterator[Finding]:
        is_over = now.service.companion == OVER
        for facts, kept in zip(now.facts, now.content.commands, strict=True):
            if kept.state not in FINAL_OUTCOMES:
                yield from self._oracle.judge_rest(facts, state=now.service.state, is_companion_over=is_over)


def _at_first(node: Node, *, may_open: bool) -> Worker:
    """Return a worker before its first effect; if that is a request, it begins once another one has."""
    return Worker(node, False if may_open else None, 1 if node.sort in _SERVICE else None)


def _next_phase(now: Moment) -> Moment:
    """Let worker C recover once the others are gone and a command is open; rest once nothing is left to do."""
    workers = now.workers
    if now.phase == RUNNING:
        if workers[0].node is not None or workers[1].node is not None:
            return now
        if any(each.state not in FINAL_OUTCOMES for each in now.content.commands):
            return now._replace(phase=RECOVERING)
    elif workers[RECOVERER].node is not None:
        return now
    return now._replace(phase=AT_REST, workers=(GONE, GONE, GONE))
