"""The exploration itself: workers, one journal and one adversarial service, in every order within bounds.

Breadth first, so that the first story that leads to a finding is a shortest one.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from lifecycle.command import Commanding
from lifecycle.effects import (
    Accepted,
    Claim,
    Effect,
    FindCommand,
    Load,
    LoadCommand,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Release,
    Send,
    Steps,
    Wait,
)
from lifecycle.journal import CommandRecord, Purpose, TaskRecord
from lifecycle.memory import MemoryJournal
from tests.lifecycle.drivers import TASK, Declared
from tests.proofs.exploration.journals import HAS_CLAIMS, Content, Journal, Make, Timing, Written
from tests.proofs.exploration.oracle import FINAL_OUTCOMES, Attempt, Facts, Finding, Oracle, Unknowable, Violation
from tests.proofs.exploration.procedures import Node, Procedure
from tests.proofs.exploration.service import (
    CRASH,
    FREE,
    LAPSE,
    OVER,
    SAID_NO,
    SURPRISE,
    Cost,
    Flying,
    Happening,
    Network,
    Service,
)

# --- what is explored -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Program:
    """What a worker does: give a command, perhaps under an idempotency key, or (None) recover."""

    command: str | None
    key: str | None = None

    def __str__(self) -> str:
        if self.command is None:
            return "recovers"
        return f"gives {self.command!s}" + (f" under the key {self.key}" if self.key else "")


RECOVER = Program(None)
KEY = "k1"

Commands = Callable[[Declared, str, frozenset[str]], Commanding[str, str]]


def real_procedure(lifecycle: Declared, task: str, proved_by_read: frozenset[str]) -> Commanding[str, str]:
    """Return the procedure of the project."""
    return Commanding(lifecycle=lifecycle, task=task, proved_by_read=proved_by_read)


@dataclass(frozen=True)
class Bounds:
    """How much may happen in one story.

    Args:
        total: of all that follows together.
        surprises: requests and reads that do not go well.
        moves: events of the task by itself.
        others: commands of somebody outside of the journal.
        crashes: workers that die in the middle.
        lapses: leases that lapse while their holder lives.
        waits: pauses that are granted in each series; every one may be denied.
        starts_anywhere: whether a task may have gone on, by any path, since the journal knew it; otherwise
            it is in the state that the journal knows.
        states: an upper limit of states, beyond which the exploration fails.
    """

    total: int = 2
    surprises: int = 2
    moves: int = 2
    others: int = 1
    crashes: int = 1
    lapses: int = 1
    waits: int = 1
    starts_anywhere: bool = False
    states: int = 3_000_000

    def budget(self) -> Cost:
        """Return all that may happen."""
        return Cost(self.surprises, self.moves, self.others, self.crashes, self.lapses, self.total)


# --- one state ----------------------------------------------------------------------------------------

WORKERS = ("A", "B", "C")
RECOVERER = 2


class Worker(NamedTuple):
    """A worker. `node` is None once it has ended or is dead.

    `is_fresh` says that the last record that it was given is still the journal's; None once that cannot
    matter any more. `pending` orders the response that it has not recorded yet among the journal's last
    believed report (0) and the others' responses; None if it has none, and `visited` are the states of
    interest since that response. `command` is its command's number, -1 if it has none, and `attempt`
    the one that it has recorded and not sent, 0 if there is none.
    """

    node: Node | None
    is_fresh: bool | None = False
    pending: int | None = None
    visited: int = 0
    command: int = -1
    attempt: int = 0


GONE = Worker(None)
RUNNING, RECOVERING, UNDISTURBED, AT_REST = range(4)
"""Workers A and B are at work; worker C is about to recover, and what is under way may still arrive; it recovers
while nothing happens any more; nobody is at work."""


class Moment(NamedTuple):
    """All that the future depends on, except what is left of the budget.

    `visited` are the states of interest since the read behind the last report. After something happened by
    itself (`only_service`), the next effect is one that the service sees: it could not matter to any other.
    """

    service: Service
    content: Content
    workers: tuple[Worker, ...]
    facts: tuple[Facts, ...]
    visited: int
    only_service: bool
    phase: int


class Line(NamedTuple):
    """One line of a story: what a worker does with what result, or (worker -1) what happens by itself."""

    worker: int
    effect: Effect | None
    result: Any
    has_crashed: bool = False
    has_lapsed: bool = False
    ending: tuple[Any] | None = None  # what the worker returns or raises by that


class Step(NamedTuple):
    """What leads from one moment to the next."""

    line: Line
    after: Moment
    cost: Cost
    findings: tuple[Finding, ...]


@dataclass
class Story:
    """How it came to a finding, and which command that is about."""

    finding: Violation | Unknowable
    about: str
    title: str
    start: str
    lines: list[Line]


@dataclass
class Explored:
    """What was found: how many states, how often each unknowable, and a shortest story of each finding."""

    states: int = 0
    steps: int = 0
    unknowables: Counter[Unknowable] = field(default_factory=Counter[Unknowable])
    stories: dict[Finding, Story] = field(default_factory=dict[Finding, Story])

    @property
    def violations(self) -> list[Story]:
        """A shortest story of each violation, the shortest first."""
        return self._stories_of(Violation)

    @property
    def unknowable_stories(self) -> list[Story]:
        """A shortest story of each unknowable, the shortest first."""
        return self._stories_of(Unknowable)

    def _stories_of(self, kind: type[Violation | Unknowable]) -> list[Story]:
        found = [story for story in self.stories.values() if isinstance(story.finding, kind)]
        return sorted(found, key=lambda story: len(story.lines))

    def add(self, other: Explored) -> None:
        """Add what another exploration found."""
        self.states += other.states
        self.steps += other.steps
        self.unknowables += other.unknowables
        for key, story in other.stories.items():
            known = self.stories.get(key)
            if known is None or len(story.lines) < len(known.lines):
                self.stories[key] = story


class Subject:
    """What is explored, as automata that all explorations of one lifecycle share.

    Args:
        lifecycle: of the task.
        with_companion: the commands that only a read of the task's companion proves.
        procedure: makes the procedure; another one than the project's is a mutant.
        journal: makes the journal; another class than the project's is a mutant.
        merges: whether equal states of a generator are one; False is slow, and shows that nothing is lost by it.
    """

    def __init__(
        self,
        lifecycle: Declared,
        *,
        with_companion: frozenset[str] = frozenset({"stop_task_and_session"}),
        procedure: Commands = real_procedure,
        journal: Make = MemoryJournal,
        merges: bool = True,
    ) -> None:
        self.lifecycle = lifecycle
        self.with_companion = with_companion & frozenset(lifecycle.commands)
        self.journal = Journal(lifecycle, WORKERS, journal)
        self._commanding = procedure(lifecycle, TASK, self.with_companion)
        self._merges = merges
        self._procedures: dict[Program, Procedure] = {}

    def procedure(self, program: Program | None) -> Procedure | None:
        """Return the automaton of what a worker does; None if it does nothing."""
        if program is not None and program not in self._procedures:
            self._procedures[program] = Procedure(_starter(self._commanding, program), merges=self._merges)
        return None if program is None else self._procedures[program]


class Exploration:
    """All stories of one command, given by worker A, while worker B does something, or (None) nothing.

    Args:
        subject: what is explored.
        first: what worker A does.
        second: what worker B does.
        bounds: how much may happen.
    """

    def __init__(self, subject: Subject, first: Program, second: Program | None, bounds: Bounds) -> None:
        lifecycle, with_companion = subject.lifecycle, subject.with_companion
        self.lifecycle = lifecycle
        self.bounds = bounds
        self.title = f"{lifecycle.name}: worker A {first}" + (f", worker B {second}" if second else "")
        self._programs = (first, second, RECOVER)
        self._network = Network(lifecycle, with_companion)
        self._oracle = Oracle(lifecycle, with_companion)
        self._journal = subject.journal
        self._procedures = [subject.procedure(each) for each in self._programs]
        self._first = None if self._procedures[0] is None else self._procedures[0].first
        given = {each.command for each in self._programs if each is not None and each.command is not None}
        states = [state.name for state in lifecycle.states]
        interesting = [state for state in states if any(self._oracle.is_target(command, state) for command in given)]
        self._bits = {state: 1 << interesting.index(state) if state in interesting else 0 for state in states}
        self._target_bits = {
            command: sum(bit for state, bit in self._bits.items() if self._oracle.is_target(command, state))
            for command in given
        }
        self._sends: dict[Any, tuple[Happening, ...]] = {}
        self._reads: dict[Any, tuple[Happening, ...]] = {}
        self._by_itself: dict[Any, tuple[Happening, ...]] = {}

    # --- the search ------------------------------------------------------------------------------

    def run(self, *, stops: bool = False) -> Explored:
        """Explore all stories; up to the first violation if it `stops` there.

        Raises:
            MemoryError: there are more states than the bounds allow.
        """
        was_enabled = gc.isenabled()
        gc.disable()  # millions of tuples without a cycle
        try:
            return self._run(stops=stops)
        finally:
            if was_enabled:
                gc.enable()

    def _run(self, *, stops: bool) -> Explored:
        explored = Explored()
        seen: dict[Moment, list[Cost]] = {}
        came_from: list[tuple[int, Line | str]] = []
        layer: list[tuple[Moment, Cost, int]] = []
        for start, moment in self._starts():
            came_from.append((-1, start))
            seen[moment] = [self.bounds.budget()]
            layer.append((moment, self.bounds.budget(), len(came_from) - 1))
        while layer:
            following: list[tuple[Moment, Cost, int]] = []
            for moment, budget, place in layer:
                for line, after, cost, findings in self._steps(moment, budget):
                    explored.steps += 1
                    if findings and self._note(explored, findings, came_from, place, line) and stops:
                        explored.states = len(came_from)
                        return explored
                    left = budget if cost is FREE else Cost(*(a - b for a, b in zip(budget, cost, strict=True)))
                    if _is_new(seen, after if left.surprises and left.total else _certain(after), left):
                        came_from.append((place, line))
                        following.append((after, left, len(came_from) - 1))
            if len(came_from) > self.bounds.states:
                raise MemoryError(f"{self.title}: more than {self.bounds.states} states")
            layer = following
        explored.states = len(came_from)
        return explored

    def _note(
        self,
        explored: Explored,
        findings: tuple[Finding, ...],
        came_from: list[tuple[int, Line | str]],
        place: int,
        last: Line,
    ) -> bool:
        """Count and keep what was found; return whether it is a violation."""
        is_violation = False
        for finding, about in findings:
            key: Finding = (finding, about)
            if isinstance(finding, Unknowable):
                explored.unknowables[finding] += 1
                key = (finding, "")
            else:
                is_violation = True
            if key not in explored.stories:
                start, lines = _lines(came_from, place, last)
                explored.stories[key] = Story(finding, about, self.title, start, lines)
        return is_violation

    def _starts(self) -> Iterator[tuple[str, Moment]]:
        workers = tuple(
            GONE if each is None else Worker(each.first, None if program == RECOVER else False)
            for program, each in zip(self._programs, self._procedures, strict=True)
        )
        for known in (None, *(state.name for state in self.lifecycle.states)):
            content = self._journal.knowing(known)
            for state, visited in self._gone_on(known):
                knows = "has never seen the task" if known is None else f"knows the task as {known!s}"
                service = Service(state, self._network.first_companion, (), (state,))
                yield (
                    f"The task is {state!s}; the journal {knows}.",
                    Moment(service, content, workers, (), visited, only_service=False, phase=RUNNING),
                )

    def _gone_on(self, known: str | None) -> list[tuple[str, int]]:
        """Return where a task may be that the journal knows, each with the states of interest on the way."""
        if known is None:
            return list(self._bits.items())
        found = [(known, self._bits[known])]
        if self.bounds.starts_anywhere:
            for state, visited in found:  # which grows meanwhile
                for event in self.lifecycle.allowed(state):
                    target = self.lifecycle.step(state, event)
                    reached = (target, visited | self._bits[target])
                    if reached not in found:
                        found.append(reached)
        return found

    # --- steps -----------------------------------------------------------------------------------

    def _steps(self, now: Moment, budget: Cost) -> Iterator[Step]:
        if now.phase == AT_REST:
            for happening in self._network.arrivals(now.service, _names(now)):
                yield self._happens(now, happening)
            return
        # Two workers that do the same are alike: the first of them begins.
        first, second, _ = self._programs
        waits = first == second and now.workers[0].node is self._first
        at_service: list[int] = []
        elsewhere: list[int] = []
        for i in (0, 1) if now.phase == RUNNING else (RECOVERER,):
            node = now.workers[i].node
            if node is None or (waits and i == 1):
                continue
            if isinstance(node.effect, Wait):  # it concerns nobody else, so that no order of it matters
                yield from self._wait(now, i, node.effect)
                return
            (at_service if isinstance(node.effect, Send | Read | ReadProof) else elsewhere).append(i)
        # What happens by itself can always be moved to just before the next effect that the service sees.
        if at_service:
            for happening in self._happenings(now):
                if _is_within(happening.cost, budget):
                    yield self._happens(now, happening)
        for i in at_service:
            yield from self._with_crashes(now, i, self._ask_service(now, i), budget)
        if not now.only_service:
            for i in elsewhere:
                yield from self._with_crashes(now, i, self._ask_journal(now, i), budget)

    def _happenings(self, now: Moment) -> tuple[Happening, ...]:
        names = _names(now)
        key = (now.service, names, now.phase)
        found = self._by_itself.get(key)
        if found is None:
            network = self._network
            arrivals = () if now.phase == UNDISTURBED else network.arrivals(now.service, names)
            moves = network.moves(now.service) if now.phase == RUNNING else ()
            found = (*arrivals, *network.companion_ends(now.service), *moves)
            self._by_itself[key] = found
        return found

    def _happens(self, now: Moment, happening: Happening) -> Step:
        changed, findings = self._after(now, happening, only_service=True)
        return Step(Line(-1, None, happening), changed, happening.cost, findings)

    def _with_crashes(self, now: Moment, i: int, steps: Iterable[Step], budget: Cost) -> Iterator[Step]:
        """Yield the steps that the budget allows, and each once more with the worker's death after it."""
        node = now.workers[i].node
        may_crash = (
            now.phase == RUNNING
            and budget.crashes > 0
            and node is not None
            and not isinstance(node.effect, Read | ReadProof | Load | LoadCommand | FindCommand)  # as if it had died before
        )
        for step in steps:
            if not _is_within(step.cost, budget):
                continue
            yield step
            if may_crash and step.after.workers[i].node is not None:
                cost = step.cost.plus(CRASH)
                if _is_within(cost, budget):
                    after = self._with_phase(_with_worker(step.after, i, GONE))
                    yield Step(step.line._replace(has_crashed=True), after, cost, step.findings)

    def _wait(self, now: Moment, i: int, wait: Wait) -> Iterator[Step]:
        if now.phase != RUNNING:
            results = (wait.attempt <= 2,)
        else:
            results = (True, False) if wait.attempt <= self.bounds.waits else (False,)
        for result in results:
            yield self._give(now, i, result, result, Line(i, wait, result), FREE, ())

    # --- the service's effects -------------------------------------------------------------------------

    def _ask_service(self, now: Moment, i: int) -> Iterator[Step]:
        node = now.workers[i].node
        assert node is not None
        if now.phase == RECOVERING:
            now = now._replace(phase=UNDISTURBED)
        match node.effect:
            case Read():
                return self._read(now, i, node.effect)
            case Send():
                return self._send(now, i, node.effect)
            case _:
                return self._read_proof(now, i, node.effect)

    def _read(self, now: Moment, i: int, read: Read) -> Iterator[Step]:
        key = (now.service, now.phase)
        happenings = self._reads.get(key)
        if happenings is None:
            reads = self._network.read if now.phase == RUNNING else self._network.read_well
            happenings = self._reads[key] = tuple(reads(now.service))
        for happening in happenings:
            changed = Moment(happening.after, *now[1:])
            yield self._hear(changed, i, read, happening, ())

    def _read_proof(self, now: Moment, i: int, effect: Effect | None) -> Iterator[Step]:
        is_over = now.service.companion == OVER
        yield self._give(now, i, is_over, is_over, Line(i, effect, is_over), FREE, ())
        if is_over and now.phase == RUNNING:
            yield self._give(now, i, False, False, Line(i, effect, False), SURPRISE, ())

    def _send(self, now: Moment, i: int, send: Send[str]) -> Iterator[Step]:
        worker = now.workers[i]
        k, number = worker.command, worker.attempt
        if not number or now.facts[k].attempts[number - 1 : number] != (Attempt(i, "made"),):
            line = Line(i, send, None)
            yield Step(line, _with_worker(now, i, GONE), FREE, ((Violation.SENT_UNRECORDED, str(send.command)),))
            return
        holder = now.facts[k].holder
        slept: tuple[Finding, ...] = () if holder == i else ((Unknowable.SLEPT, now.facts[k].command),)
        now = _with_worker(now, i, worker._replace(attempt=0))
        key = (now.service, send.command, k, number, now.phase)
        happenings = self._sends.get(key)
        if happenings is None:
            sends = self._network.send if now.phase == RUNNING else self._network.send_well
            happenings = self._sends[key] = tuple(sends(now.service, send.command, Flying(k, number, "")))
        for happening in happenings:
            changed, found = self._after(now, happening, only_service=False)
            facts = changed.facts[k]
            answer = happening.answer
            was_accepted = facts.was_accepted
            if isinstance(answer, Accepted):
                fate = "yes"
                was_accepted = was_accepted or answer.status is None or not self.lifecycle.is_final(answer.status)
            else:
                fate = "no" if answer in SAID_NO else "sent"
            facts = facts._replace(
                attempts=_put(facts.attempts, number - 1, Attempt(i, fate)),
                was_accepted=was_accepted,
                heard_refused_copy=facts.heard_refused_copy or happening.refused_copy,
            )
            changed = changed._replace(facts=_put(changed.facts, k, facts))
            yield self._hear(changed, i, send, happening, (*slept, *found))

    def _hear(self, now: Moment, i: int, effect: Effect, happening: Happening, findings: tuple[Finding, ...]) -> Step:
        """Give a worker the response to its request."""
        answer = happening.answer
        status = None
        if isinstance(answer, Accepted):
            status = answer.status
            newest = max(each.pending or 0 for each in now.workers)
            since = (happening.after.state,) if happening.visited is None else happening.after.seen
            visited = 0
            for state in since:
                visited |= self._bits[state]
            if status is not None:  # what is read later is not older than what this response says
                now = now._replace(service=now.service._replace(seen=now.service.seen[-len(since) :]))
            worker = now.workers[i]
            worker = Worker(worker.node, worker.is_fresh, max(newest, 0) + 1, visited, worker.command, worker.attempt)
            now = _with_worker(now, i, worker)
        form = ("response", type(answer), status)
        return self._give(now, i, answer, form, Line(i, effect, happening), happening.cost, findings)

    def _after(self, now: Moment, happening: Happening, *, only_service: bool) -> tuple[Moment, tuple[Finding, ...]]:
        """Return the moment after something happened at the service, and what was found."""
        state = happening.after.state
        service, content, workers, facts, visited, _, phase = now
        findings: tuple[Finding, ...] = ()
        if happening.applied is not None:
            k, is_copy = happening.applied.command, happening.applied.kind == "copy"
            mine = facts[k]
            findings = tuple(self._oracle.judge_effect(mine, is_copy=is_copy, outcome=content.commands[k].state))
            facts = tuple(
                each._replace(applied=min(each.applied + 1, 2), was_undone=False)
                if n == k
                else each._replace(was_undone=True)
                for n, each in enumerate(facts)
            )
        elif happening.by_other:
            facts = tuple(each._replace(was_undone=True) for each in facts)
        if state != service.state:
            bit = self._bits[state]
            if bit:
                visited |= bit
                workers = tuple(
                    each if each.pending is None else each._replace(visited=each.visited | bit) for each in workers
                )
                facts = tuple(
                    each._replace(was_at_target=True) if self._oracle.is_target(each.command, state) else each
                    for each in facts
                )
        return Moment(happening.after, content, workers, facts, visited, only_service, phase), findings

    # --- the journal's effects -----------------------------------------------------------------------------

    def _ask_journal(self, now: Moment, i: int) -> Iterator[Step]:
        worker = now.workers[i]
        node = worker.node
        assert node is not None
        effect = node.effect
        assert effect is not None
        for has_lapsed, cost in self._lapses(now, i, effect):
            if isinstance(effect, Claim) and not HAS_CLAIMS and not has_lapsed and self._is_held(now, i, effect):
                yield self._give(now, i, None, None, Line(i, effect, None), cost, ())
                continue
            timing = Timing(has_lapsed=has_lapsed)
            if isinstance(effect, RecordIntent):
                assert worker.is_fresh is not None, "the procedure opens a second command"
                timing = Timing(is_fresh=worker.is_fresh)
            if isinstance(effect, RecordReport):
                assert worker.pending is not None, "the procedure records a response twice"
                timing = Timing(is_newer=worker.pending > 0)
            written = self._journal.carry_out(now.content, WORKERS[i], effect, node.effect_form, timing)
            changed, findings = self._written(now, i, effect, written)
            line = Line(i, effect, written.result, has_lapsed=has_lapsed)
            yield self._give(changed, i, written.result, written.form, line, cost, findings)

    def _lapses(self, now: Moment, i: int, effect: Effect) -> list[tuple[bool, Cost]]:
        """Return whether the lease of the command's holder may have lapsed by now, each with its cost."""
        if not isinstance(effect, Claim):
            return [(False, FREE)]
        if now.phase != RUNNING:
            return [(True, FREE)]
        holder = now.facts[_number(effect.command_id)].holder
        if holder is None or holder == i:
            return [(False, FREE)]
        is_gone = now.workers[holder].node is None
        return [(False, FREE), (True, FREE if is_gone else LAPSE)]

    def _is_held(self, now: Moment, i: int, claim: Claim) -> bool:
        return now.facts[_number(claim.command_id)].holder not in (None, i)

    def _written(self, now: Moment, i: int, effect: Effect, written: Written) -> tuple[Moment, tuple[Finding, ...]]:
        """Return the moment after an effect of the journal, and what was found."""
        before, after = now.content.commands, written.content.commands
        facts, worker, result, visited = now.facts, now.workers[i], written.result, now.visited
        findings: list[Finding] = []
        program = self._programs[i]
        assert program is not None
        is_keyed = program.key is not None or program.command is None
        is_fresh = worker.is_fresh
        if is_fresh is not None:
            is_fresh = _holds_record(result) or (is_fresh and not written.is_new_version)
        match effect:
            case RecordIntent() if len(after) > len(before):
                was_at_target = bool(visited & self._target_bits[effect.command])
                facts = (*facts, Facts(str(effect.command), i, was_at_target))
                worker, is_fresh = worker._replace(command=len(before)), None
                if sum(each.state not in FINAL_OUTCOMES for each in after) > 1:
                    findings.append((Violation.TWO_OPEN, " and ".join(each.command for each in after)))
            case FindCommand() | LoadCommand() if is_keyed and isinstance(result, CommandRecord):
                worker = worker._replace(command=_number(cast("CommandRecord[str, str]", result).id))
            case Claim(command_id) if result is not None:
                k = _number(command_id)
                holder = facts[k].holder
                is_taken = holder is not None and holder != i and now.workers[holder].node is not None
                facts = _put(facts, k, facts[k]._replace(holder=i, was_taken=facts[k].was_taken or is_taken))
                if is_keyed:
                    worker = worker._replace(command=k)
            case Release(command_id) if facts[_number(command_id)].holder == i:
                k = _number(command_id)
                facts = _put(facts, k, facts[k]._replace(holder=None))
            case RecordAttempt(command_id) if before != after:
                k = _number(command_id)
                if facts[k].holder != i:
                    findings.append((Violation.WRITTEN_WITHOUT_CLAIM, f"an attempt of {facts[k].command}"))
                attempts = (*facts[k].attempts, Attempt(i, "made"))
                facts = _put(facts, k, facts[k]._replace(attempts=attempts))
                worker = worker._replace(attempt=len(attempts))
            case RecordOutcome(command_id) if before != after:
                k = _number(command_id)
                facts, findings = self._settled(now, i, k, before[k].state, after[k].state)
            case _:
                pass
        workers = now.workers
        if written.is_new_version:
            workers = tuple(each._replace(is_fresh=False) if each.is_fresh else each for each in workers)
        workers = _put(workers, i, worker if worker.is_fresh is is_fresh else worker._replace(is_fresh=is_fresh))
        if isinstance(effect, RecordReport):
            visited = worker.visited if written.is_believed else visited | worker.visited
            workers = _recorded(workers, i, is_believed=written.is_believed)
        return Moment(now.service, written.content, workers, facts, visited, False, now.phase), tuple(findings)

    def _settled(self, now: Moment, i: int, k: int, before: str, after: str) -> tuple[tuple[Facts, ...], list[Finding]]:
        """Judge an event of a command's life that a worker has recorded."""
        facts, findings = now.facts[k], list[Finding]()
        is_own = now.workers[i].command == k
        holder = facts.holder
        if before in FINAL_OUTCOMES:
            findings.append((Violation.SECOND_OUTCOME, f"{facts.command}: {before}, then {after}"))
        if holder != i:
            if is_own:
                findings.append((Violation.WRITTEN_WITHOUT_CLAIM, f"{facts.command} is {after}"))
            elif holder is not None and now.workers[holder].node is not None:
                findings.append((Violation.ABANDONED_IN_HAND, facts.command))
        if after in FINAL_OUTCOMES:
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
            # Of what has ended, only this can still matter: a worker may yet send an attempt that it has made.
            attempts = facts.attempts if any(each.fate == "made" for each in facts.attempts) else ()
            facts = Facts(
                facts.command,
                None,
                was_at_target=True,
                applied=facts.applied,
                attempts=attempts,
                was_undone=facts.was_undone,
                was_taken=facts.was_taken,
            )
        return _put(now.facts, k, facts), findings

    # --- what a worker makes of it ------------------------------------------------------------------------

    def _give(
        self, now: Moment, i: int, result: Any, form: Any, line: Line, cost: Cost, findings: tuple[Finding, ...]
    ) -> Step:
        """Give a worker the result of its effect, and judge how it ends if it ends by that."""
        worker, procedure = now.workers[i], self._procedures[i]
        assert worker.node is not None
        assert procedure is not None
        node = procedure.step(worker.node, result, form)
        service, content, workers, facts, visited, _, phase = now
        worker = Worker(node, *worker[1:])
        after = Moment(service, content, _put(workers, i, worker), facts, visited, False, phase)
        if node.effect is not None:
            return Step(line, after, cost, findings)
        line = line._replace(ending=(node.ending,))
        findings = (*findings, *self._judge_ending(after, i, node.ending))
        after = self._with_phase(_with_worker(after, i, GONE))
        if after.phase == AT_REST:
            findings = (*findings, *self._judge_rest(after))
        return Step(line, after, cost, findings)

    def _judge_ending(self, now: Moment, i: int, ending: Any) -> Iterator[Finding]:
        worker, program = now.workers[i], self._programs[i]
        assert program is not None
        k = worker.command
        commands = now.content.commands
        kept = commands[k] if k >= 0 else None
        command = program.command or (kept.command if kept else "a recovery")
        yield from self._oracle.judge_ending(
            ending,
            command=command,
            outcome=kept.state if kept else None,
            was_taken=k >= 0 and now.facts[k].was_taken,
            is_any_open=any(each.state not in FINAL_OUTCOMES for each in commands),
            attempts=kept.attempts if kept else 0,
            was_at_target=bool(now.visited & self._target_bits.get(command, 0)),
            is_recovery=program.command is None,
        )
        for facts, each in zip(now.facts, commands, strict=True):
            if each.state not in FINAL_OUTCOMES and (facts.holder == i or each.holder == WORKERS[i]):
                yield Violation.LEFT_CLAIMED, facts.command

    def _judge_rest(self, now: Moment) -> Iterator[Finding]:
        is_over = now.service.companion == OVER
        for facts, kept in zip(now.facts, now.content.commands, strict=True):
            if kept.state not in FINAL_OUTCOMES:
                yield from self._oracle.judge_rest(facts, state=now.service.state, is_companion_over=is_over)

    def _with_phase(self, now: Moment) -> Moment:
        """Begin a recovery once all workers are gone and a command is open; rest once nothing is left to do."""
        workers = now.workers
        if now.phase == RUNNING:
            if workers[0].node is not None or workers[1].node is not None:
                return now
            if any(each.state not in FINAL_OUTCOMES for each in now.content.commands):
                return now._replace(phase=RECOVERING)
        elif workers[RECOVERER].node is not None:
            return now
        return now._replace(phase=AT_REST, workers=(GONE, GONE, GONE))


# --- parts ------------------------------------------------------------------------------------------------


def _starter(commanding: Commanding[str, str], program: Program) -> Callable[[], Steps[Any]]:
    if program.command is None:
        return commanding.recover
    command, purpose = program.command, Purpose(key=program.key)
    return lambda: commanding.execute(command, None, purpose)


def _is_within(cost: Cost, budget: Cost) -> bool:
    if cost is FREE:
        return True
    a, b, c, d, e, f = cost
    most_a, most_b, most_c, most_d, most_e, most_f = budget
    return a <= most_a and b <= most_b and c <= most_c and d <= most_d and e <= most_e and f <= most_f


def _is_new(seen: dict[Moment, list[Cost]], moment: Moment, left: Cost) -> bool:
    """Remember a moment; return whether it was not reached before with as much left in every respect."""
    known = seen.get(moment)
    if known is None:
        seen[moment] = [left]
        return True
    for each in known:
        if each == left or _is_within(left, each):
            return False
    known.append(left)
    return True


def _certain(moment: Moment) -> Moment:
    """Forget what a read could still answer wrongly: there is no surprise left."""
    service = moment.service
    if len(service.seen) == 1:
        return moment
    return moment._replace(service=service._replace(seen=(service.state,)))


def _names(now: Moment) -> tuple[str, ...]:
    return tuple([each.command for each in now.facts])


def _put(items: tuple[Any, ...], index: int, item: Any) -> tuple[Any, ...]:
    return (*items[:index], item, *items[index + 1 :])


def _with_worker(now: Moment, i: int, worker: Worker) -> Moment:
    service, content, workers, facts, visited, only_service, phase = now
    return Moment(service, content, (*workers[:i], worker, *workers[i + 1 :]), facts, visited, only_service, phase)


def _number(command_id: str) -> int:
    return int(command_id) - 1  # the journal in memory counts from 1


def _holds_record(result: Any) -> bool:
    if isinstance(result, TaskRecord):
        return True
    return isinstance(result, tuple) and any(map(_holds_record, cast("tuple[Any, ...]", result)))


def _recorded(workers: tuple[Worker, ...], i: int, *, is_believed: bool) -> tuple[Worker, ...]:
    """Return the workers once the response of one is recorded: if it is believed, the others are compared with it."""
    base = (workers[i].pending or 0) if is_believed else 0
    workers = _put(workers, i, workers[i]._replace(pending=None, visited=0))
    newer = sorted({each.pending for each in workers if each.pending is not None and each.pending > base})
    return tuple(
        each
        if each.pending is None
        else each._replace(pending=newer.index(each.pending) + 1 if each.pending > base else -1)
        for each in workers
    )


def _lines(came_from: list[tuple[int, Line | str]], place: int, last: Line) -> tuple[str, list[Line]]:
    lines = [last]
    while True:
        place, line = came_from[place]
        if isinstance(line, str):
            return line, lines[::-1]
        lines.append(line)
