"""The creates of the journal in memory. reducers.py decides how records change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from lifecycle.catalog import CommandEvent, CommandState
from lifecycle.journal import (
    NO_CONTEXT,
    Claimant,
    CreatedTask,
    CreateRecord,
    Journal,
    Lease,
    RequestContext,
    check_name,
    create_has_ended,
    create_of_another,
    name_fault,
    no_such_create,
)
from lifecycle.lifecycle import Lifecycle
from lifecycle.reducers import apply_attempt_of_create, apply_claim, apply_event_of_create


class Maker(NamedTuple):
    """The id of the create that made a task, and when it did."""

    create_id: str
    at: datetime


class CreateStore:
    """The creates that all workers of one journal share.

    It keeps the creates without an outcome, those whose key is taken, and those that were claimed more than
    once (an earlier worker may still read them). Of all others it keeps the ids of the tasks that they made, and when.
    """

    def __init__(self, lease: timedelta | None, clock: Callable[[], datetime]) -> None:
        self.lease = lease
        self.clock = clock
        self.lock = threading.Lock()
        self.count = 0
        self.records: dict[str, tuple[str, CreateRecord]] = {}  # by id, with the lifecycle's name
        self.keys: dict[tuple[str, str], str] = {}
        self.claimants: dict[str, object] = {}  # the marks of the claimants of `records`, by id
        self.makers: dict[tuple[str, str], Maker] = {}  # by lifecycle and task


@dataclass(eq=False)
class MemoryCreates(Claimant):
    """One worker's view of the creates of one lifecycle in memory; the protocol `Creates` describes its methods."""

    _store: CreateStore
    _lifecycle: Lifecycle[Any, Any]
    _journal: Journal
    _worker: str
    _mark: object = field(default_factory=object)
    _claimed: str = ""  # the id of the create that was claimed last

    def for_procedure(self) -> Self:
        """Return the same creates for one procedure."""
        return type(self)(self._store, self._lifecycle, self._journal, self._worker)

    @property
    def blocking(self) -> bool:
        """Return False: no method waits for a disk or a network."""
        return False

    def add(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext = NO_CONTEXT
    ) -> CreateRecord | None:
        """Record an intent, which this worker has claimed; return None if its key is taken.

        Raises ValueError if the key is longer than 1,000 bytes.
        """
        store = self._store
        if context.idempotency_key is not None:
            check_name("idempotency key", context.idempotency_key)
        with store.lock:
            name = (self._lifecycle.name, str(context.idempotency_key))
            if context.idempotency_key is not None and name in store.keys:
                return None
            store.count += 1
            record = CreateRecord(
                str(store.count), dict(fields), dict(labels), store.clock(), context=context, lease=self._new_lease()
            )
            return self._keep_claimed(record)

    def load(self, create_id: str) -> CreateRecord:
        """Return a create as it is now. Raises ValueError if there is no create with that id."""
        with self._store.lock:
            return self._record(create_id)

    def find(self, idempotency_key: str) -> CreateRecord | None:
        """Return the create under this key that made a task or may have made one; None if there is none."""
        with self._store.lock:
            found = self._store.keys.get((self._lifecycle.name, idempotency_key))
            return None if found is None else self._record(found)

    def find_maker(self, task_id: str) -> str | None:
        """Return the id of the create that made the task; None if no create of this journal did."""
        with self._store.lock:
            maker = self._store.makers.get((self._lifecycle.name, task_id))
            return None if maker is None else maker.create_id

    def unfinished(self) -> list[CreateRecord]:
        """Return the creates without an outcome, oldest first."""
        with self._store.lock:
            records = [each for name, each in self._store.records.values() if name == self._lifecycle.name]
        return [each for each in records if each.is_open]

    def claim(self, create_id: str, *, dead: Collection[str] = ()) -> CreateRecord | None:
        """Claim an open create for this worker alone.

        Returns None if it has ended, or a worker that may be alive has claimed it; the workers in `dead` are not alive.
        """
        with self._store.lock:
            name, record = self._store.records.get(create_id, (None, None))
            if record is None or name != self._lifecycle.name:
                return None
            now = self._store.clock()
            claimed = apply_claim(record, self._new_lease(), now=now, is_successor=False, dead=dead)
            return None if claimed is None else self._keep_claimed(claimed)

    def release(self, create_id: str, *, claim: int) -> None:
        """End this claim of an open create, so that any worker can claim it."""
        with self._store.lock:
            record = self._record(create_id)
            if record.claim == claim:
                self._keep(replace(record, lease=None))

    def release_claim(self) -> None:
        """End the last claim made through this object; do nothing if there is none, or another has followed."""
        with self._store.lock:
            _, record = self._store.records.get(self._claimed, ("", None))
            if record is not None and self._store.claimants.get(self._claimed) is self._mark:
                self._keep(replace(record, lease=None))

    def add_attempt(self, create_id: str, *, number: int, claim: int) -> bool:
        """Record that the create is about to be sent; return False if it has ended or another worker has claimed it."""
        with self._store.lock:
            sent = apply_attempt_of_create(self._record(create_id), number=number, claim=claim)
            if sent is not None:
                self._keep(replace(sent, lease=self._new_lease()))
            return sent is not None

    def add_outcome(
        self, create_id: str, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None = None
    ) -> CreateRecord:
        """Apply an event of the lifecycle `command` to the create, if this claim is still valid; record its task."""
        with self._store.lock:
            record = self._keep(apply_event_of_create(self._record(create_id), event, why=why, claim=claim, task=task))
        if task is not None:
            journal = self._journal.task(self._lifecycle, task.task_id)
            journal.track(created=True)
            if task.report is not None:
                journal.add_report(task.report)
        return record

    def excluded(self, create_id: str, task_ids: Collection[str]) -> set[str]:
        """Return the tasks among `task_ids` that this create cannot have made."""
        recorded_at = self.load(create_id).recorded_at
        return {each for each in task_ids if self._is_made(each) or self._was_known(each, recorded_at)}

    def _is_made(self, task_id: str) -> bool:
        return self.find_maker(task_id) is not None

    def _was_known(self, task_id: str, at: datetime) -> bool:
        if name_fault("task id", task_id) is not None:
            return False
        first_at = self._journal.task(self._lifecycle, task_id).load().first_at
        return first_at is not None and first_at < at

    def _new_lease(self) -> Lease:
        store = self._store
        return Lease(self._worker, None if store.lease is None else store.clock() + store.lease)

    def _record(self, create_id: str) -> CreateRecord:
        owner, record = self._store.records.get(create_id, (None, None))
        if record is None or owner != self._lifecycle.name:
            raise self._not_found(create_id)
        return record

    def _not_found(self, create_id: str) -> ValueError:
        """Return the error for a create of which there is no record, or one of another lifecycle."""
        store, name = self._store, self._lifecycle.name
        known = [(of, each.state, each.task_id) for number, (of, each) in store.records.items() if number == create_id]
        made = [(of, task) for (of, task), maker in store.makers.items() if maker.create_id == create_id]
        known += [(of, CommandState.DONE, task) for of, task in made]
        if known:
            of, state, task_id = known[0]
            if of == name:
                return create_has_ended(create_id, state, task_id)
            return create_of_another(create_id, name, of, state, task_id)
        if create_id in map(str, range(1, store.count + 1)):
            return ValueError(f"create {create_id} has ended; the journal in memory keeps nothing else about it")
        unfinished = (each for each, (of, record) in store.records.items() if of == name and record.is_open)
        return no_such_create(create_id, name, unfinished)

    def _keep_claimed(self, record: CreateRecord) -> CreateRecord:
        self._claimed, self._store.claimants[record.id] = record.id, self._mark
        return self._keep(record)

    def _keep(self, record: CreateRecord) -> CreateRecord:
        store, name = self._store, self._lifecycle.name
        if record.task_id is not None:
            store.makers.setdefault((name, record.task_id), Maker(record.id, store.clock()))
        key = record.context.idempotency_key
        takes_key = key is not None and record.may_have_made
        if key is not None and not takes_key:
            store.keys.pop((name, key), None)
        if record.is_open or record.claim > 1 or takes_key:
            store.records[record.id] = (name, record)
            if takes_key:
                store.keys[name, str(key)] = record.id
        else:
            store.records.pop(record.id, None)
            store.claimants.pop(record.id, None)
        return record
