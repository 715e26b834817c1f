"""What is explored: who gives which command of which lifecycle, and how much may happen meanwhile."""

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
    """What a worker does: give a command, perhaps under an idempotency key; or (None) read the status, or recover."""

    command: str | None
    key: str | None = None
    recovers: bool = False

    def __str__(self) -> str:
        if self.recovers:
            return "recovers"
        if self.command is None:
            return "reads the status"
        return f"gives {self.command!s}" + (f" under the idempotency key {self.key}" if self.key else "")


RECOVER = Program(None, recovers=True)
READ = Program(None)
KEY = "k1"


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
        unknown_words: whether a read may be answered with a word that the lifecycle does not know.
        starts_unseen: whether a journal that has never seen the task is explored too, or that has seen its creation.
        starts_everywhere: whether every state is a first one; otherwise it is the last declared one that accepts
            worker A's command.
        starts_anywhere: whether a task may have moved, by any path, since the journal knew it; otherwise
            it is in the state that the journal knows.
        states: an upper limit of states, beyond which the exploration fails.
    """

    total: int
    surprises: int = 2
    moves: int = 2
    others: int = 1
    crashes: int = 1
    lapses: int = 1
    waits: int = 1
    unknown_words: bool = False
    starts_unseen: bool = True
    starts_everywhere: bool = True
    starts_anywhere: bool = False
    states: int = 3_000_000

    def budget(self) -> Cost:
        """Return all that may happen."""
        return Cost(self.surprises, self.moves, self.others, self.crashes, self.lapses, self.total)


Commands = Callable[[Declared, frozenset[str]], CommandProcedure[str, str]]


def real_commanding(lifecycle: Declared, proved_by_read: frozenset[str]) -> CommandProcedure[str, str]:
    """Return the procedure of the project."""
    return CommandProcedure(lifecycle=lifecycle, task=TASK, proved_by_read=proved_by_read)


class Subject:
    """The procedure and the journal of one lifecycle, as automata that all its explorations share.

    Args:
        lifecycle: of the task.
        with_companion: the commands that only a read of the task's companion proves.
        commanding: makes the procedure; another one than the project's is a mutant.
        join: makes the journal; another one than the project's is a mutant.
        merges: whether equal states of a generator are one; False is slow, and shows that nothing is lost by it.
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
        """Return the automaton of what a worker does."""
        found = self._procedures.get(program)
        if found is None:
            found = self._procedures[program] = Procedure(self._starter(program), merges=self._merges)
        return found

    def _starter(self, program: Program) -> Callable[[], Steps[Any]]:
        command, context = program.command, RequestContext(idempotency_key=program.key)
        if program.recovers:
            return self._commanding.recover
        if command is None:
            return lambda: read_state(self.lifecycle)
        return lambda: self._commanding.execute(command, None, context)
