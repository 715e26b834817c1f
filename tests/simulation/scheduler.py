"""The scheduler: from one seed, it chooses each next step and its outcome.

Every effect takes two steps: it happens, and the worker receives its result. Between any two steps other workers act,
the task changes, webhooks arrive, and hours pass; the worker may die and restart. An effect on the journal may fail
before or after it happened, or happen twice. tests/lifecycle/worlds.py holds the possible outcomes of a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple, TypeVar

from lifecycle import Channel, Origin
from lifecycle.command import CommandProcedure, CommandResult
from lifecycle.effects import Claim, Create, Effect, Read, ReadProof, RecordIntent, ReportProgress, Send, Steps, Wait
from lifecycle.following import read_state
from lifecycle.journal import CommandRecord, Delivery, Journal, RequestContext, TaskReport
from tests.lifecycle.drivers import Driver, Worker, clock
from tests.lifecycle.worlds import Choices, World
from tests.properties.lived import FULL, PROVED_BY_READ, targets
from tests.simulation.invariants import CommandInvariant, Witness, require
from tests.simulation.storage import LEASE, Clock, Memory, Storage

T = TypeVar("T")

Log = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a simulation; a test replaces one part by a faulty one."""

    keep: Callable[[Clock], Storage] = Memory
    driver: type[Driver] = Driver
    procedure: Callable[..., CommandProcedure[str, str]] = CommandProcedure


class RandomChoices(Choices):
    """Choices that are ordinary except with the probability `surprise`."""

    def __init__(self, random: Random, surprise: float) -> None:
        super().__init__()
        self._random = random
        self._surprise = surprise

    def pick(self, options: Sequence[T]) -> T:
        return self._random.choice(options) if self._random.random() < self._surprise else options[0]


class Given(NamedTuple):
    """A command of a caller; with its key it may be sent again."""

    command: str
    fields: Mapping[str, Any]
    context: RequestContext


@dataclass(eq=False)
class Process:
    """A worker with its journal.

    `results` holds the result of an effect until the procedure receives it; `held` is the claimed command and the
    number of its claim. `began_at` is when the request began that is not answered yet.
    """

    name: str
    journal: Journal
    worker: Worker | None = None
    witness: Witness | None = None
    results: list[Any] = field(default_factory=list[Any])
    held: tuple[str, int] | None = None
    began_at: datetime | None = None


class Simulation:
    """One schedule. `log` is called with every step. `run` raises InvariantViolated, or any other error."""

    def __init__(self, seed: int, parts: Parts, log: Log | None = None) -> None:
        self.parts = parts
        self.seed = seed
        self.random = Random(seed)
        self.log = log
        self.now = next(clock())
        self.trouble = self.random.choice((0.0, 0.03, 0.1, 0.2))
        self.storage = self.parts.keep(lambda: self.now)
        self.witnesses: list[Witness] = []
        self.tasks = [self._task() for _ in range(self.random.randint(1, 3))]
        self.processes = [self._process(f"worker-{number}") for number in range(self.random.randint(2, 4))]
        self.given: dict[str, list[Given]] = {}
        self.dead: set[str] = set()
        self.deliveries: list[tuple[Delivery, TaskReport]] = []
        self._received: set[str] = set()
        self._numbers = 0

    def run(self) -> None:
        """Run the schedule, then recover every open command over a network without failures."""
        try:
            for _ in range(self.random.randint(50, 250)):
                self._step()
            self._settle()
        finally:
            self.storage.close()

    # --- tasks and processes ---

    def _task(self) -> Witness:
        lifecycle = self.random.choice(_LIFECYCLES)
        state = self.random.choice([each.name for each in lifecycle.states if not each.final])
        choices = RandomChoices(self.random, self.random.choice((0.05, 0.3, 0.6)))
        world = World(lifecycle, choices, state, PROVED_BY_READ, has_others=self.random.random() < 0.2)
        world.clock = self._moments()
        witness = Witness(lifecycle, f"{self.seed}-{len(self.witnesses)}", world, self.storage)
        self.witnesses.append(witness)
        return witness

    def _moments(self) -> Iterator[datetime]:
        while True:
            yield self.now

    def _process(self, name: str) -> Process:
        return Process(name, self.storage.join(name))

    # --- one step ---

    def _step(self) -> None:
        self.now += timedelta(seconds=self.random.choice((0.001, 0.1, 1.0)))
        if self._goes_wrong():
            self.random.choice((self._move, self._push, self._push, self._pass_time))()
        process = self.random.choice(self.processes)
        if process.worker is None:
            self._begin(process)
        elif self.random.random() < self.trouble / 4:
            self._die(process)
        else:
            self._advance(process)

    def _goes_wrong(self) -> bool:
        return self.random.random() < self.trouble

    def _log(self, who: str, *what: object) -> None:
        if self.log is not None:  # the text costs more time than the rest of the step
            self.log(" ".join((f"{self.now:%H:%M:%S.%f}", f"{who:9}", *map(shown, what))))

    def _move(self) -> None:
        witness = self.random.choice(self.tasks)
        witness.world.go_on()
        self._log("service", witness.task_id, "is", witness.world.state)

    def _push(self) -> None:
        """Deliver a webhook: a new one, or an earlier one late or again."""
        witness = self.random.choice(self.tasks)
        pushed = Delivery(f"{witness.task_id}-{len(self.deliveries)}", "status", self.now, "{}")
        present = witness.world.report(Channel.WEBHOOK)
        self.deliveries.append((pushed, TaskReport(witness.lifecycle, witness.task_id, present)))
        delivery, report = self.random.choice(self.deliveries[-3:])
        entries = self.random.choice(self.processes).journal.receive(delivery, [report])
        require(delivery.id not in self._received or entries is None, CommandInvariant.KEPT, f"{delivery} was received")
        self._log("webhook", report.task_id, report.report.status, "again" if entries is None else "new")
        self._received.add(delivery.id)

    def _pass_time(self) -> None:
        self.now += self.random.choice((LEASE / 4, LEASE, LEASE * 3))

    # --- a worker's life ---

    def _begin(self, process: Process) -> None:
        left_open = [each for each in self.tasks if each.record().open_command is not None]
        what = self.random.choice(("give", "give", "give", "give again", "recover", "recover", "read"))
        witness = self.random.choice(left_open) if what == "recover" and left_open else self._choose_task()
        procedure = self._procedure(witness)
        given: Given | None = None
        match what:
            case "recover":
                steps: Steps[Any] = procedure.recover(dead=self._dead())
            case "read":
                steps = read_state(witness.lifecycle)
            case _:
                given = self._give_again(witness) if what == "give again" else self._give(witness)
                steps = procedure.execute(*given)
        self._log(process.name, witness.task_id, what, given or "")
        self._set_out(process, witness, steps)

    def _dead(self) -> frozenset[str]:
        """Return the workers that are known to have died, or sometimes none of them."""
        return frozenset(self.dead if self.random.random() < 0.5 else ())

    def _procedure(self, witness: Witness) -> CommandProcedure[str, str]:
        return self.parts.procedure(
            lifecycle=witness.lifecycle, task=witness.task_id, proved_by_read=witness.world.proved_by_read
        )

    def _choose_task(self) -> Witness:
        """Return one of the tasks, or a new one in its place if it is over, because it exercises little more."""
        place = self.random.randrange(len(self.tasks))
        if self.tasks[place].lifecycle.is_final(self.tasks[place].world.state) and self.random.random() < 0.5:
            self.tasks[place] = self._task()
        return self.tasks[place]

    def _set_out(self, process: Process, witness: Witness, steps: Steps[Any]) -> None:
        log = process.journal.task(witness.lifecycle, witness.task_id)
        process.witness, process.held = witness, None
        process.worker = Worker(self.parts.driver(log, witness.world), name=process.name)
        process.worker.begin(steps)

    def _give_again(self, witness: Witness) -> Given:
        given = self.given.get(witness.task_id)
        return self.random.choice(given) if given else self._give(witness)

    def _give(self, witness: Witness) -> Given:
        lifecycle = witness.lifecycle
        legal = lifecycle.allowed(witness.world.state, origin=Origin.CALLER)
        goes_on = [each for each in legal if not lifecycle.is_terminating(each)]
        command = self.random.choice((*goes_on * 8, *legal, *lifecycle.commands))
        self._numbers += 1
        key = f"key-{self._numbers}" if self.random.random() < 0.5 else None
        given = Given(command, {"number": self._numbers}, RequestContext(key))
        if key is not None:
            self.given.setdefault(witness.task_id, []).append(given)
        return given

    def _advance(self, process: Process) -> None:
        """Perform the next effect, or pass its result to the procedure."""
        assert process.worker is not None
        assert process.witness is not None
        effect = process.worker.effect
        if process.results:
            self._resume(process, process.worker, process.witness)
        elif effect is not None and not isinstance(effect, _OUTSIDE_THE_JOURNAL) and self._goes_wrong():
            failures = [self._fail_before, self._fail_after]
            if not isinstance(effect, RecordIntent):  # `TaskJournal` forbids a journal to repeat this one
                failures.append(self._double)
            self.random.choice(failures)(process, effect)
        elif isinstance(effect, Send | Read) and process.began_at is None and self.random.random() < 0.5:
            process.began_at = process.witness.world.now()  # others act before it is answered
        elif effect is not None:
            self._perform(process, effect)

    def _perform(self, process: Process, effect: Effect) -> None:
        assert process.worker is not None
        assert process.witness is not None
        witness, worker = process.witness, process.worker
        witness.before(effect, worker.known)
        witness.world.began_at, process.began_at = process.began_at, None
        result = worker.driver.perform(effect)
        witness.world.began_at = None
        self._log(process.name, witness.task_id, effect, "->", result)
        witness.after(effect, result)
        if isinstance(effect, Claim):
            witness.check_claim(result, self.now, {*self.dead, process.name})
        if not isinstance(effect, _WITHOUT_RECORD):
            witness.check()
        process.results = [result]

    def _resume(self, process: Process, worker: Worker, witness: Witness) -> None:
        effect, [result] = worker.effect, process.results
        process.results = []
        if isinstance(effect, Send):
            witness.received_response(effect.fields["number"], result)
        if isinstance(effect, RecordIntent | Claim) and isinstance(result, CommandRecord):
            process.held = result.id, result.claim
        ending = worker.tell(result)
        if worker.steps is None:
            self._log(process.name, witness.task_id, "ends:", repr(ending))
            witness.check_ending(worker, ending, process.held)
            self._check_ending(ending, witness)
            process.worker = None

    def _check_ending(self, ending: object, witness: Witness) -> None:
        """Require that the task is over if a terminating command returned so."""
        match ending:
            case CommandResult(command, state) if witness.lifecycle.is_terminating(command):
                is_over = witness.world.state in targets(witness.lifecycle, command)
                is_there = witness.world.state == state or not witness.lifecycle.is_final(state)
                require(is_over and is_there, CommandInvariant.TRUE, f"{ending}, and it is {witness.world.state}")
            case _:
                pass

    # --- failures ---

    def _die(self, process: Process) -> None:
        """Kill the process and start another, sometimes with the same name."""
        self._stop(process)
        name = self.random.choice((process.name, f"{process.name}'"))
        self._log(process.name, "dies, and", name, "comes")
        self.dead = {*self.dead, process.name} - {name}
        process.name, process.journal = name, self.storage.join(name)

    def _stop(self, process: Process) -> None:
        assert process.worker is not None
        process.worker.die()
        process.worker, process.results, process.began_at = None, [], None

    def _fail_before(self, process: Process, effect: Effect) -> None:
        self._log(process.name, effect, "fails")
        self._break_off(process)

    def _fail_after(self, process: Process, effect: Effect) -> None:
        """Perform the effect but report a failure to the worker."""
        assert process.worker is not None
        self._log(process.name, effect, "is done, and fails")
        process.worker.driver.perform(effect)
        self._break_off(process)

    def _double(self, process: Process, effect: Effect) -> None:
        """Perform the effect twice, like a transaction that is repeated because its commit was not confirmed."""
        self._perform(process, effect)
        self._perform(process, effect)

    def _break_off(self, process: Process) -> None:
        """Stop a procedure whose journal failed; release its command if the journal allows."""
        assert process.worker is not None
        if process.held is not None and not self._goes_wrong():
            command_id, claim = process.held
            process.worker.driver.log.release(command_id, claim=claim)
        self._stop(process)

    # --- the end ---

    def _settle(self) -> None:
        self.trouble = 0.0
        for witness in self.witnesses:
            witness.world.choices = Choices()
        for process in self.processes:
            if self.random.random() < 0.5 and process.worker is not None:
                self._die(process)
        while busy := [each for each in self.processes if each.worker is not None]:
            self.now += timedelta(seconds=1)
            self._advance(self.random.choice(busy))
        self.now += LEASE * 2
        self._recover(self._process("medic"))

    def _recover(self, medic: Process) -> None:
        for witness in self.witnesses:
            if witness.task_id in medic.journal.open_tasks(witness.lifecycle):
                self._set_out(medic, witness, self._procedure(witness).recover())
                while medic.worker is not None:
                    self.now += timedelta(seconds=1)
                    self._advance(medic)
            witness.check_at_rest(medic.journal)


# Lifecycles with a command that is not idempotent are chosen more often.
_LIFECYCLES = [*FULL, *2 * [each for each in FULL if not all(event.idempotent for event in each.events)]]
_OUTSIDE_THE_JOURNAL = (Send, Create, Read, ReadProof, Wait, ReportProgress)
_WITHOUT_RECORD = (Read, ReadProof, Wait, ReportProgress)


def shown(part: object) -> str:
    """Return a part of a step as text, with sets in one order: theirs differs between processes."""
    return re.sub(r"frozenset\(\{(.*?)\}\)", lambda found: f"{{{', '.join(sorted(found[1].split(', ')))}}}", str(part))
