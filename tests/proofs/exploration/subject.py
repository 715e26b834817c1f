"""The subject of an exploration: the workers' programs, the lifecycle, and the bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lifecycle.command import CommandProcedure
from lifecycle.effects import Steps
from lifecycle.following import read_state
from lifecycle.journal import RequestContext
from tests.lifecycle.drivers import TASK, Declared
from tests.proofs.exploration.journals import Joined, Journal, join_memory
from tests.proofs.exploration.procedures import Procedure
from tests.proofs.exploration.service import Cost

WORKERS = ("A", "B", "C")
RECOVERER = 2


@dataclass(frozen=True)
class Program:
    """A worker's program: send a command, with or without a key; or (None) read the status, recover, or abandon."""

    command: str | None
    key: str | None = None
    recovers: bool = False
    abandons: bool = False

    def __str__(self) -> str:
        if self.recovers:
            return "recovers"
        if self.abandons:
            return "abandons the open command"
        if self.command is None:
            return "reads the status"
        return f"gives {self.command!s}" + (f" under the idempotency key {self.key}" if self.key else "")


RECOVER = Program(None, recovers=True)
ABANDON = Program(None, abandons=True)
READ = Program(None)
KEY = "k1"


@dataclass(frozen=True)
class Bounds:
    """The limits of one story.

    Args:
        total: the limit of all following kinds together.
        surprises: requests and reads that fail or are unusual.
        moves: remote events of the task.
        others: commands of an actor outside the journal.
        crashes: workers that die in the middle.
        lapses: leases that lapse while their claimant is alive.
        waits: pauses that are granted in each series; every one may be denied.
        unknown_statuses: whether a read may return a status that the lifecycle does not know.
        starts_unseen: whether journals without a record of the task, or with only its creation, are explored too.
        starts_everywhere: whether every state is a first one; otherwise only the last declared one that accepts
            worker A's command.
        starts_anywhere: whether the task may have changed, by any path, since the journal's last record; otherwise
            it is in the state that the journal knows.
        states: the largest number of states; beyond it the exploration fails.
    """

    total: int
    surprises: int = 2
    moves: int = 2
    others: int = 1
    crashes: int = 1
    lapses: int = 1
    waits: int = 1
    unknown_statuses: bool = False
    starts_unseen: bool = True
    starts_everywhere: bool = True
    starts_anywhere: bool = False
    states: int = 3_000_000

    def budget(self) -> Cost:
        """Return the limits as a budget."""
        return Cost(self.surprises, self.moves, self.others, self.crashes, self.lapses, self.total)


Commands = Callable[[Declared, frozenset[str]], CommandProcedure[str, str]]


def real_commanding(lifecycle: Declared, proved_by_read: frozenset[str]) -> CommandProcedure[str, str]:
    """Return the project's procedure."""
    return CommandProcedure(lifecycle=lifecycle, task=TASK, proved_by_read=proved_by_read)


class Subject:
    """The procedure and the journal of one lifecycle, as automata that all its explorations share.

    Args:
        lifecycle: the task's lifecycle.
        with_companion: the commands that only a read of the task's companion proves.
        commanding: returns the procedure, which is the project's own or a mutant.
        join: returns the journal, which is the project's own or a mutant.
        merges: whether equal states of a generator are merged; False is slow and shows that merging loses nothing.
    """

    def __init__(
        self,
        lifecycle: Declared,
        *,
        with_companion: frozenset[str] = frozenset({"stop_task_and_session"}),
        commanding: Commands = real_commanding,
        join: Joined = join_memory,
        merges: bool = True,
    ) -> None:
        self.lifecycle = lifecycle
        self.with_companion = with_companion & frozenset(lifecycle.commands)
        self.journal = Journal(lifecycle, WORKERS, join)
        self._commanding = commanding(lifecycle, self.with_companion)
        self._merges = merges
        self._procedures: dict[Program, Procedure] = {}

    def procedure(self, program: Program) -> Procedure:
        """Return the automaton of a worker's program."""
        found = self._procedures.get(program)
        if found is None:
            found = self._procedures[program] = Procedure(self._starter(program), merges=self._merges)
        return found

    def _starter(self, program: Program) -> Callable[[], Steps[Any]]:
        command, context = program.command, RequestContext(idempotency_key=program.key)
        if program.recovers:
            return self._commanding.recover
        if program.abandons:
            return lambda: self._commanding.abandon("by hand")
        if command is None:
            return lambda: read_state(self.lifecycle)
        return lambda: self._commanding.execute(command, None, context)
