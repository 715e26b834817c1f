"""A traced worker: its journal keeps every operation, and its requests name their recorded attempts.

With these traces the checkers can compare the record with the service call by call. The traces do not change what the
worker does.
"""

from __future__ import annotations

import multiprocessing
import ssl
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ParamSpec, TypeVar

import httpx2

from lifecycle import CommandEvent, Lifecycle
from lifecycle.journal import (
    NO_CONTEXT,
    CommandOutcome,
    CommandRecord,
    Lease,
    Report,
    RequestContext,
    Server,
    TaskRecord,
)
from lifecycle.table import E, S
from lifecycle_adapters.http import Client, Timing
from lifecycle_adapters.journal import SqlJournal, SqlTaskJournal

P = ParamSpec("P")
R = TypeVar("R")

# Fork from a process that has imported everything and has no threads, so that workers start in milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "tests.proofs.test_death", "tests.proofs.life"])

APIS = ("v1", "v2", "v3")
ATTEMPT = "attempt"  # the parameter in which a request names its attempt: COMMAND-ID.NUMBER

TIMING = Timing(
    request_timeout_s=60.0,  # long enough that only a fault causes a time-out on a busy machine
    attempts=3,
    longest_retry_s=0.02,
    poll_s=0.01,
    longest_poll_s=0.02,
)
IMPATIENT = replace(TIMING, request_timeout_s=0.25, retry_budget_s=2.0, settle_timeout_s=0.5)

# Reading the system's certificates is the slowest part of a client's start.
_NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a worker on a task's journal, with its result; all times are of one machine's clock."""

    worker: str
    task: str
    name: str
    arguments: tuple[Any, ...]
    result: Any
    invoked_ns: int
    returned_ns: int


class Witness(SqlJournal):
    """A journal that keeps all operations of its task journals, and the recorded attempt that is not yet sent."""

    def __init__(self, url: str, *, worker: str, **settings: Any) -> None:
        super().__init__(url, worker=worker, **settings)
        self.operations: list[Operation] = []
        self.attempt: str | None = None

    def task(
        self, lifecycle: Lifecycle[S, E], task_id: str, *, server: Server | None = None
    ) -> WitnessTaskJournal[S, E]:
        return WitnessTaskJournal(self, lifecycle, task_id, server)

    def take_attempt(self) -> str:
        """Return the attempt of the next request; a request without a recorded attempt names none."""
        taken, self.attempt = self.attempt, None
        return taken or "none"


class WitnessTaskJournal(SqlTaskJournal[S, E]):
    """One task's part of a `Witness`."""

    __slots__ = ("_task_id", "_witness")

    def __init__(self, witness: Witness, lifecycle: Lifecycle[S, E], task_id: str, server: Server | None) -> None:
        super().__init__(witness, lifecycle, task_id, server)
        self._witness = witness
        self._task_id = task_id

    def load(self) -> TaskRecord[S, E]:
        return self._asked(super().load)

    def add_report(self, report: Report) -> TaskRecord[S, E]:
        return self._asked(super().add_report, report)

    def add_intent(
        self,
        command: E,
        *,
        source: S | None,
        version: int,
        fields: Mapping[str, Any],
        context: RequestContext = NO_CONTEXT,
    ) -> CommandRecord[S, E] | TaskRecord[S, E]:
        return self._asked(super().add_intent, command, source=source, version=version, fields=fields, context=context)

    def find_command(self, idempotency_key: str) -> CommandRecord[S, E] | None:
        return self._asked(super().find_command, idempotency_key)

    def load_command(self, command_id: str) -> CommandRecord[S, E]:
        return self._asked(super().load_command, command_id)

    def claim(self, command_id: str, *, dead: Collection[str] = ()) -> CommandRecord[S, E] | None:
        return self._asked(super().claim, command_id, dead=dead)

    def release(self, command_id: str, *, claim: int) -> None:
        return self._asked(super().release, command_id, claim=claim)

    def add_attempt(self, command_id: str, *, number: int, claim: int) -> bool:
        is_made = self._asked(super().add_attempt, command_id, number=number, claim=claim)
        if is_made:
            self._witness.attempt = f"{command_id}.{number}"
        return is_made

    def add_outcome(self, command_id: str, event: CommandEvent, *, why: str, claim: int) -> CommandOutcome[S, E]:
        return self._asked(super().add_outcome, command_id, event, why=why, claim=claim)

    def _asked(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        invoked_ns = time.monotonic_ns()
        result = method(*args, **kwargs)
        self._keep(method.__name__, (*args, *kwargs.values()), without_ends(result), invoked_ns)
        return result

    def _keep(self, name: str, arguments: tuple[Any, ...], result: Any, invoked_ns: int) -> None:
        witness = self._witness
        witness.operations.append(
            Operation(witness.worker, self._task_id, name, arguments, result, invoked_ns, time.monotonic_ns())
        )


def without_ends(result: Any) -> Any:
    """Return an operation's result without the times at which leases end."""
    match result:
        case CommandRecord(lease=Lease(worker)):
            return replace(result, lease=Lease(worker, None))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case TaskRecord():
            return replace(result, open_command=without_ends(result.open_command))  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
        case CommandOutcome(task, command):
            return CommandOutcome(without_ends(task), without_ends(command))
        case _:
            return result


@contextmanager
def clients(
    journal: Witness, base_url: str, *, timing: Timing = TIMING, transport: httpx2.BaseTransport | None = None
) -> Generator[dict[str, Client]]:
    """Return a client of each API whose command requests name their attempts."""

    def name_attempt(request: httpx2.Request) -> None:
        if request.method != "GET":
            request.url = request.url.copy_merge_params({ATTEMPT: journal.take_attempt()})

    with ExitStack() as opened:
        hooks = {"request": [name_attempt]}
        http = opened.enter_context(
            httpx2.Client(verify=_NO_CERTIFICATES, trust_env=False, event_hooks=hooks, transport=transport)
        )
        settings: dict[str, Any] = {"api_key": "any", "base_url": base_url, "timing": timing, "journal": journal}
        yield {api: opened.enter_context(Client(api, http=http, **settings)) for api in APIS}
