"""A worker is killed in the middle of a create; another worker finds the create and exactly the task that it made."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from multiprocessing.synchronize import Event
from typing import Any

import pytest

from lifecycle import CommandEvent, CommandState, CreateUncertain
from lifecycle.journal import NO_CONTEXT, CreatedTask, CreateRecord, RequestContext, Server
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, RecoveredCreate
from lifecycle_adapters.journal import RecordedCreate, SqlCreates, SqlJournal
from tests.proofs.witness import PROCESSES

KEY = "order 5"
TEXT = "buy milk"
APIS = ("v1", "v4")
LIMIT_S = 60.0
DELAY_S = 20.0  # of a response that no worker must receive
# The point at which a worker dies, and the recorded state of its create then.
DEATHS = {
    "after its intent": CommandState.ABANDONED,
    "after its attempt": CommandState.UNCERTAIN,
    "while it waits for the response": CommandState.UNCERTAIN,
    "before its outcome": CommandState.UNCERTAIN,
}


class MortalCreates(SqlCreates):
    """Creates of a worker that signals one point and then blocks for ever."""

    _at: str
    _is_there: Event

    def __init__(self, creates: SqlCreates, at: str, is_there: Event) -> None:
        super().__init__(creates._servers, creates._writer, creates._lease, creates._lifecycle, creates._server)
        object.__setattr__(self, "_at", at)
        object.__setattr__(self, "_is_there", is_there)

    def add(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext = NO_CONTEXT
    ) -> CreateRecord | None:
        added = super().add(fields, labels=labels, context=context)
        self._stop("after its intent")
        return added

    def add_attempt(self, create_id: str, *, number: int, claim: int) -> bool:
        may = super().add_attempt(create_id, number=number, claim=claim)
        self._stop("after its attempt")
        return may

    def add_outcome(
        self, create_id: str, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None = None
    ) -> CreateRecord:
        self._stop("before its outcome")
        return super().add_outcome(create_id, event, why=why, claim=claim, task=task)

    def _stop(self, at: str) -> None:
        if at == self._at:
            self._is_there.set()
            time.sleep(LIMIT_S * 10)


class MortalJournal(SqlJournal):
    """A journal whose worker blocks for ever in the middle of a create."""

    def __init__(self, url: str, at: str, is_there: Event) -> None:
        super().__init__(url, worker="the mortal")
        self._at = at
        self._is_there = is_there

    def creates(self, lifecycle: Any, *, server: Server | None = None) -> SqlCreates:
        return MortalCreates(super().creates(lifecycle, server=server), self._at, self._is_there)


def live(url: str, base_url: str, api: str, at: str, is_there: Event) -> None:
    with MortalJournal(url, at, is_there) as journal, Client(api, api_key="k", base_url=base_url, journal=journal) as c:
        c.create(TEXT, idempotency_key=KEY, labels={"order": "5"})


def eventually(question: Callable[[], Any]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not question():
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.01)


def ids(emulator: Emulator) -> Collection[str]:
    return {task.id for task in emulator.tasks()}


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("api", APIS)
def test_create_of_a_killed_worker_is_found_with_exactly_its_task(
    url: str, emulator: Emulator, api: str, death: str
) -> None:
    with SqlJournal(url, worker="another", lease_s=0.001) as journal, Client(
        api, api_key="k", base_url=emulator.base_url, journal=journal
    ) as client:  # fmt: skip
        before = {client.create(TEXT).id for _ in range(2)}
        if death == "while it waits for the response":
            emulator.fault("delay_after", method="POST", seconds=DELAY_S)
        is_there = PROCESSES.Event()
        worker = PROCESSES.Process(target=live, args=(url, emulator.base_url, api, death, is_there))
        worker.start()
        try:
            if death == "while it waits for the response":
                eventually(lambda: len(ids(emulator)) == 3)
            else:
                assert is_there.wait(LIMIT_S)
            worker.kill()
        finally:
            worker.kill()
            worker.join()
        emulator.clear_faults()
        made = set(ids(emulator)) - before
        client.create(TEXT)
        client.create("buy bread")

        [found] = client.recover()

        assert isinstance(found, RecoveredCreate)
        assert found.create.state is DEATHS[death]
        assert {each.id for each in found.candidates} == made
        assert bool(made) == (death in ("while it waits for the response", "before its outcome"))
        assert (found.create.context.idempotency_key, found.create.labels) == (KEY, {"order": "5"})
        if not found.is_settled:
            with pytest.raises(CreateUncertain):
                client.create(TEXT, idempotency_key=KEY)
        for task in made:
            assert client.adopt_create(found.create.id, task).id == task
            assert client.create(TEXT, idempotency_key=KEY).id == task
            [first, *_] = journal.history(task)
            assert isinstance(first, RecordedCreate)
            assert first.worker == "the mortal"
        if not made:
            if not found.is_settled:
                client.abandon_create(found.create.id)
            assert client.create(TEXT, idempotency_key=KEY).id in ids(emulator)
        assert client.recover() == []
        assert list(journal.check()) == []
