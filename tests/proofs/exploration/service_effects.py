"""The effects of a worker on the service, and the service's spontaneous events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lifecycle.effects import Accepted, Effect, Read, Send
from tests.proofs.exploration.moments import (
    RECOVERING,
    RUNNING,
    UNDISTURBED,
    Heard,
    Line,
    Moment,
    Step,
    Worker,
    newest,
    put,
)
from tests.proofs.exploration.oracle import Attempt, Facts, Finding, Oracle, Unknowable, Violation
from tests.proofs.exploration.service import FREE, OVER, SAID_NO, SURPRISE, Flying, Happening, Network


class ServiceEffects:
    """Performs effects on the service.

    Args:
        network: every possible outcome of a request.
        oracle: judges what the service does.
        bits: of each state, the bit by which the states of interest are kept in a number; 0 for no interest.
    """

    def __init__(self, network: Network, oracle: Oracle, bits: dict[str, int]) -> None:
        self._network = network
        self._oracle = oracle
        self._bits = bits
        self._final = frozenset(network.lifecycle.final_states)
        self._known: dict[Any, tuple[Happening, ...]] = {}

    def happen(self, now: Moment) -> Iterator[Step]:
        """Yield every spontaneous event."""
        key = (now.service, now.names, now.phase)
        happenings = self._known.get(key)
        if happenings is None:
            arrivals = () if now.phase == UNDISTURBED else self._network.arrivals(now.service, now.names)
            moves = self._network.moves(now.service) if now.phase == RUNNING else ()
            happenings = (*arrivals, *self._network.companion_ends(now.service), *moves)
            self._known[key] = happenings
        for happening in happenings:
            after, findings = self._after(now, happening)
            yield Step(Line(-1, None, happening), after._replace(only_service=True), happening.cost, findings)

    def carry_out(self, now: Moment, i: int, effect: Effect) -> Iterator[Heard]:
        """Yield every possible outcome of a worker's request."""
        if now.phase == RECOVERING:
            now = now._replace(phase=UNDISTURBED)
        match effect:
            case Read():
                return self._read(now, i, effect)
            case Send():
                return self._send(now, i, effect)
            case _:
                return self._read_proof(now, i, effect)

    def _read(self, now: Moment, i: int, read: Read) -> Iterator[Heard]:
        key = (now.service, now.phase == RUNNING)
        happenings = self._known.get(key)
        if happenings is None:
            reads = self._network.read if now.phase == RUNNING else self._network.read_well
            happenings = self._known[key] = tuple(reads(now.service))
        for happening in happenings:
            yield from self._heard(Moment(happening.after, *now[1:]), i, read, happening)

    def _read_proof(self, now: Moment, i: int, effect: Effect) -> Iterator[Heard]:
        is_over = now.service.companion == OVER
        yield Heard(now, is_over, is_over, Line(i, effect, is_over))
        if is_over and now.phase == RUNNING:
            yield Heard(now, False, False, Line(i, effect, False), SURPRISE)

    def _send(self, now: Moment, i: int, send: Send[Any]) -> Iterator[Heard]:
        worker = now.workers[i]
        k, number = worker.command, worker.attempt
        if not number or now.facts[k].attempts[number - 1 : number] != (Attempt(i, "made"),):
            yield Heard(now, None, None, Line(i, send, None), FREE, ((Violation.SENT_UNRECORDED, str(send.command)),))
            return
        slept = () if now.facts[k].claimed_by == i else ((Unknowable.SLEPT, now.facts[k].command),)
        now = now.with_worker(i, worker._replace(attempt=0))
        key = (now.service, send.command, k, number, now.phase == RUNNING)
        happenings = self._known.get(key)
        if happenings is None:
            sends = self._network.send if now.phase == RUNNING else self._network.send_well
            happenings = self._known[key] = tuple(sends(now.service, send.command, Flying(k, number, "")))
        for happening in happenings:
            after, findings = self._after(now, happening)
            facts = self._answered(after.facts[k], i, number, happening)
            yield from self._heard(after.with_facts(k, facts), i, send, happening, (*slept, *findings))

    def _answered(self, facts: Facts, i: int, number: int, happening: Happening) -> Facts:
        """Return the facts of a command after the response to one of its requests."""
        response = happening.response
        was_accepted = facts.was_accepted
        if isinstance(response, Accepted):
            fate = "yes"
            was_accepted = was_accepted or response.status not in self._final
        else:
            fate = "no" if response in SAID_NO else "sent"
        return facts._replace(
            attempts=put(facts.attempts, number - 1, Attempt(i, fate)),
            was_accepted=was_accepted,
            heard_refused_copy=facts.heard_refused_copy or happening.refused_copy,
        )

    def _heard(
        self, now: Moment, i: int, effect: Effect, happening: Happening, findings: tuple[Finding, ...] = ()
    ) -> Iterator[Heard]:
        """Yield the worker's response to a request that began just now, or (slow) at the earliest possible time."""
        response = happening.response
        node, is_fresh, asked, _, command, attempt = now.workers[i]
        assert asked is not None
        line = Line(i, effect, happening)
        if not isinstance(response, Accepted):
            now = now.with_worker(i, Worker(node, is_fresh, None, 0, command, attempt))
            yield Heard(now, response, ("response", type(response), None), line, happening.cost, findings)
            return
        service, status = now.service, response.status
        since = service.seen if happening.is_stale else (service.state,)
        if status is not None:  # no later read returns a state from before this response
            now = now._replace(service=service._replace(seen=since))
        visited = 0
        for state in since:
            visited |= self._bits[state]
        form = ("response", type(response), status)
        last = newest(now.workers)
        is_last = asked == last
        worker = Worker(node, is_fresh, asked if is_last else last + 1, visited, command, attempt)
        yield Heard(now.with_worker(i, worker), response, form, line, happening.cost, findings)
        if not is_last and now.phase == RUNNING:  # others have read or recorded since it could begin
            now = now.with_worker(i, worker._replace(asked=asked))
            line = line._replace(was_slow=True)
            yield Heard(now, response, form, line, happening.cost.plus(SURPRISE), findings)

    def _after(self, now: Moment, happening: Happening) -> tuple[Moment, tuple[Finding, ...]]:
        """Return the moment after an event at the service, and the findings."""
        state = happening.after.state
        service, content, workers, facts, visited, _, phase = now
        findings: tuple[Finding, ...] = ()
        if happening.applied is not None:
            k, is_copy = happening.applied.command, happening.applied.kind == "copy"
            outcome = content.commands[k].state
            findings = tuple(self._oracle.judge_effect(facts[k], is_copy=is_copy, outcome=outcome))
            facts = tuple(
                each._replace(applied=min(each.applied + 1, 2), was_undone=False)
                if n == k
                else each._replace(was_undone=True)
                for n, each in enumerate(facts)
            )
        elif happening.by_other:
            facts = tuple(each._replace(was_undone=True) for each in facts)
        bit = self._bits[state]
        if bit and state != service.state:
            visited |= bit
            workers = tuple(
                each if each.asked is None else each._replace(visited=each.visited | bit) for each in workers
            )
            facts = tuple(
                each._replace(was_at_target=True) if self._oracle.is_target(each.command, state) else each
                for each in facts
            )
        return Moment(happening.after, content, workers, facts, visited, False, phase), findings
