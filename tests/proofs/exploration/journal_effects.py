"""The effects of a worker on the journal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from lifecycle.effects import (
    Claim,
    Effect,
    FindCommand,
    LoadCommand,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Release,
)
from lifecycle.journal import CommandOutcome, CommandRecord, TaskRecord
from tests.proofs.exploration.journals import Timing, Written
from tests.proofs.exploration.moments import RUNNING, Heard, Line, Moment, Worker, put, recorded
from tests.proofs.exploration.oracle import FINAL_OUTCOMES, Attempt, Facts, Finding, Oracle, Violation
from tests.proofs.exploration.service import FREE, LAPSE, OVER, Cost
from tests.proofs.exploration.subject import WORKERS, Program, Subject


class JournalEffects:
    """Performs effects on the journal.

    Args:
        subject: whose journal it is.
        programs: what each worker does; None for nothing.
        oracle: judges what is recorded.
        target_bits: of each command, the bits of the states that it leads to.
    """

    def __init__(
        self, subject: Subject, programs: tuple[Program | None, ...], oracle: Oracle, target_bits: dict[str, int]
    ) -> None:
        self._journal = subject.journal
        self._oracle = oracle
        self._target_bits = target_bits
        # These workers look up only their own command.
        self._looks_up = [program is not None and (program.recovers or program.key is not None) for program in programs]

    def carry_out(self, now: Moment, i: int, effect: Effect) -> Iterator[Heard]:
        """Yield every possible outcome of a worker's effect."""
        worker = now.workers[i]
        assert worker.node is not None
        for has_lapsed, cost in self._lapses(now, i, effect):
            timing = Timing(has_lapsed=has_lapsed)
            if isinstance(effect, RecordIntent):
                assert worker.is_fresh is not None, "the procedure opens a second command"
                timing = Timing(is_fresh=worker.is_fresh)
            if isinstance(effect, RecordReport):
                assert worker.asked is not None, "the procedure records a response twice"
                timing = Timing(is_newer=worker.asked > 0)
            written = self._journal.carry_out(now.content, WORKERS[i], effect, worker.node.effect_form, timing)
            after, findings = self._after(now, i, effect, written)
            line = Line(i, effect, written.result, has_lapsed=has_lapsed)
            yield Heard(after, written.result, written.form, line, cost, findings)

    def _lapses(self, now: Moment, i: int, effect: Effect) -> list[tuple[bool, Cost]]:
        """Return whether the lease of a claimed command may have lapsed by now, each with its cost."""
        if not isinstance(effect, Claim):
            return [(False, FREE)]
        if now.phase != RUNNING:
            return [(True, FREE)]
        claimed_by = now.facts[_number(effect.command_id)].claimed_by
        if claimed_by is None or claimed_by == i:
            return [(False, FREE)]
        is_gone = now.workers[claimed_by].node is None
        return [(False, FREE), (True, FREE if is_gone else LAPSE)]

    def _after(self, now: Moment, i: int, effect: Effect, written: Written) -> tuple[Moment, tuple[Finding, ...]]:
        """Return the moment after an effect, and the findings."""
        before, after = now.content.commands, written.content.commands
        facts, findings = now.facts, list[Finding]()
        worker = self._remember(now.workers[i], i, effect, written)
        match effect:
            case RecordIntent() if len(after) > len(before):
                was_at_target = bool(now.visited & self._target_bits[effect.command])
                facts = (*facts, Facts(str(effect.command), i, was_at_target))
                worker = worker._replace(command=len(before), is_fresh=None)
                findings += self._oracle.judge_opening([each.state for each in after], str(effect.command))
            case Claim(command_id) if written.result is not None:
                k = _number(command_id)
                claimed_by = facts[k].claimed_by
                is_taken = claimed_by is not None and claimed_by != i and now.workers[claimed_by].node is not None
                facts = put(facts, k, facts[k]._replace(claimed_by=i, was_taken=facts[k].was_taken or is_taken))
            case Release(command_id) if facts[_number(command_id)].claimed_by == i:
                k = _number(command_id)
                facts = put(facts, k, facts[k]._replace(claimed_by=None))
            case RecordAttempt(command_id) if before != after:
                k = _number(command_id)
                if facts[k].claimed_by != i:
                    findings.append((Violation.WRITTEN_WITHOUT_CLAIM, f"an attempt of {facts[k].command}"))
                attempts = (*facts[k].attempts, Attempt(i, "made"))
                facts = put(facts, k, facts[k]._replace(attempts=attempts))
                worker = worker._replace(attempt=len(attempts))
            case RecordOutcome(command_id) if before != after:
                k = _number(command_id)
                settled, findings = self._settled(now, i, k, (before[k].state, after[k].state))
                facts = put(facts, k, settled)
            case _:
                pass
        workers, visited = now.workers, now.visited
        if written.is_new_version:
            workers = tuple(each._replace(is_fresh=False) if each.is_fresh else each for each in workers)
        workers = put(workers, i, worker)
        if isinstance(effect, RecordReport):
            visited = worker.visited if written.is_believed else visited | worker.visited
            workers = recorded(workers, i, is_believed=written.is_believed)
        return Moment(now.service, written.content, workers, facts, visited, False, now.phase), tuple(findings)

    def _remember(self, worker: Worker, i: int, effect: Effect, written: Written) -> Worker:
        """Return the worker with its new knowledge: its own command, and whether its record is fresh."""
        result = written.result
        if worker.is_fresh is not None:
            is_fresh = _holds_record(result) or (worker.is_fresh and not written.is_new_version)
            if is_fresh != worker.is_fresh:
                worker = worker._replace(is_fresh=is_fresh)
        is_looked_up = isinstance(effect, FindCommand | LoadCommand | Claim) and isinstance(result, CommandRecord)
        if is_looked_up and self._looks_up[i]:
            worker = worker._replace(command=_number(cast("CommandRecord[str, str]", result).id))
        return worker

    def _settled(self, now: Moment, i: int, k: int, states: tuple[str, str]) -> tuple[Facts, list[Finding]]:
        """Judge an event of a command's life that a worker has recorded; return what is still to be known."""
        facts, findings = now.facts[k], list[Finding]()
        before, after = states
        is_own, claimed_by = now.workers[i].command == k, facts.claimed_by
        if before in FINAL_OUTCOMES:
            findings.append((Violation.SECOND_OUTCOME, f"{facts.command}: {before}, then {after}"))
        if claimed_by != i and is_own:
            findings.append((Violation.WRITTEN_WITHOUT_CLAIM, f"{facts.command} is {after}"))
        elif claimed_by is not None and claimed_by != i and now.workers[claimed_by].node is not None:
            findings.append((Violation.ABANDONED_IN_HAND, facts.command))
        if after not in FINAL_OUTCOMES:
            return facts, findings
        service = now.service
        findings += self._oracle.judge_outcome(
            facts,
            after,
            by=i,
            is_own=is_own,
            state=service.state,
            is_companion_over=service.companion == OVER,
            is_accepted=any(each.command == k and each.kind == "accepted" for each in service.flying),
        )
        # Of an ended command only this can still matter: a worker may yet send a recorded attempt.
        attempts = facts.attempts if any(each.fate == "made" for each in facts.attempts) else ()
        ended = Facts(
            facts.command,
            claimed_by=None,
            was_at_target=True,
            applied=facts.applied,
            attempts=attempts,
            was_undone=facts.was_undone,
            was_taken=facts.was_taken,
        )
        return ended, findings


def _number(command_id: str) -> int:
    return int(command_id) - 1  # the journal in memory counts from 1


def _holds_record(result: Any) -> bool:
    return isinstance(result, TaskRecord | CommandOutcome)
