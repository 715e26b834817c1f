"""The creates of one lifecycle in a durable journal. lifecycle.reducers decides how records change."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, RowMapping
from sqlalchemy.dialects import postgresql, sqlite

from lifecycle.catalog import CommandEvent, CommandState
from lifecycle.errors import UnreadableCreate, UnreadableRecord, shortened
from lifecycle.journal import (
    NO_CONTEXT,
    CreatedTask,
    CreateRecord,
    Lease,
    RequestContext,
    Server,
    TaskReport,
    check_name,
    create_of_another,
    no_such_create,
)
from lifecycle.reducers import apply_attempt_of_create, apply_claim, apply_event_of_create
from lifecycle_adapters.journal.database import TransactionMode
from lifecycle_adapters.journal.recorded_servers import KnownServers
from lifecycle_adapters.journal.schema import creates, tasks
from lifecycle_adapters.journal.transactions import (
    MOST_NAMED,
    AnyLifecycle,
    TaskName,
    Writer,
    ensure_tasks,
    enter_reports,
    require_readable,
)

_OF_LIFECYCLE = creates.c.lifecycle == sa.bindparam("of")
_MAY_HAVE_MADE = sa.text("lifecycle_creates.may_have_made")  # exactly as in the index, or SQLite would not use it
_IS_OPEN = sa.text("lifecycle_creates.is_open")
_BY_NUMBER = sa.select(creates).where(_OF_LIFECYCLE, creates.c.id == sa.bindparam("number"))
_OF_ANY = sa.select(creates.c.lifecycle, creates.c.state, creates.c.task_id).where(
    creates.c.id == sa.bindparam("number")
)
_BY_KEY = sa.select(creates).where(_OF_LIFECYCLE, creates.c.idempotency_key == sa.bindparam("under"), _MAY_HAVE_MADE)
_BY_TASK = sa.select(creates).where(_OF_LIFECYCLE, creates.c.task_id == sa.bindparam("task")).order_by(creates.c.id)
_UNFINISHED = sa.select(creates).where(_OF_LIFECYCLE, _IS_OPEN).order_by(creates.c.id)
_NAMED: sa.BindParameter[str] = sa.bindparam("task_ids", expanding=True)
_MADE_BY_OTHERS = sa.select(creates.c.task_id).where(
    _OF_LIFECYCLE, creates.c.task_id.in_(_NAMED), creates.c.id != sa.bindparam("number")
)
_KNOWN_BEFORE = sa.select(tasks.c.task_id).where(
    tasks.c.lifecycle == sa.bindparam("of"),
    tasks.c.task_id.in_(_NAMED),
    sa.func.coalesce(tasks.c.first_at, tasks.c.changed_at) < sa.bindparam("before", type_=tasks.c.first_at.type),
)


_STATES = {
    CommandState.RECORDED, CommandState.UNCERTAIN, CommandState.DONE, CommandState.REFUSED, CommandState.ABANDONED
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SqlCreates:
    """The creates of one lifecycle, by the protocol `lifecycle.journal.Creates`; made by `SqlJournal.creates`."""

    _servers: KnownServers
    _writer: Callable[[], Writer]
    _lease: timedelta
    _lifecycle: AnyLifecycle
    _server: Server | None

    @property
    def blocking(self) -> bool:
        """Return True: the methods wait for a disk or a network."""
        return True

    def add(
        self, fields: Mapping[str, Any], *, labels: Mapping[str, str], context: RequestContext = NO_CONTEXT
    ) -> CreateRecord | None:
        """Record an intent, which this worker has claimed; return None if its key is taken.

        Raises:
            ValueError: the key is longer than 1,000 bytes.
            TypeError: the fields or labels are not JSON.
        """
        # Grouped: nothing is sent before the first attempt is durable, which makes this durable too.
        with self._transaction(TransactionMode.WRITE_GROUPED) as connection:
            writer = self._writer()
            record = CreateRecord(
                "", dict(fields), dict(labels), writer.now, context=context, lease=self._new_lease(writer)
            )
            row = {
                "lifecycle": self._lifecycle.name,
                "idempotency_key": context.idempotency_key and check_name("idempotency key", context.idempotency_key),
                "fields": record.fields,
                "labels": record.labels,
                "origin": context.origin,
                "reason": context.reason,
                "recorded_at": writer.now,
                "recorded_by": writer.worker,
                **_changing(record, writer),
            }
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            statement = insert(creates).on_conflict_do_nothing().returning(creates.c.id)
            number = connection.execute(statement, row).scalar_one_or_none()
        return None if number is None else replace(record, id=str(number))

    def load(self, create_id: str) -> CreateRecord:
        """Return a create as it is now. Raises ValueError if there is no create with that id."""
        with self._transaction(TransactionMode.READ) as connection:
            return self._record(self._row(connection, create_id))

    def find(self, idempotency_key: str) -> CreateRecord | None:
        """Return the create under this key that made a task or may have made one; None if there is none."""
        return self._first(_BY_KEY, under=idempotency_key)

    def find_maker(self, task_id: str) -> str | None:
        """Return the id of the create that made the task; None if no create of this journal did."""
        made = self._first(_BY_TASK, task=task_id)
        return None if made is None else made.id

    def unfinished(self) -> list[CreateRecord | UnreadableCreate]:
        """Return the creates without an outcome, oldest first; for one whose record cannot be read, its error."""
        with self._transaction(TransactionMode.READ) as connection:
            return [self._outcome(row) for row in connection.execute(_UNFINISHED, self._named()).mappings()]

    def claim(self, create_id: str, *, dead: Collection[str] = ()) -> CreateRecord | None:
        """Claim an open create for this worker alone.

        Returns None if it has ended, or a worker that may be alive has claimed it; the workers in `dead` are not alive.
        """
        with self._transaction() as connection:
            writer, row = self._writer(), self._found(connection, create_id, locked=True)
            if row is None:
                return None
            writer.refresh_clock()
            record = self._record(row)
            is_successor = row[creates.c.worker] == writer.worker and row[creates.c.session] != writer.session
            claimed = apply_claim(record, self._new_lease(writer), now=writer.now, is_successor=is_successor, dead=dead)
            if claimed is not None:
                self._keep(connection, claimed, writer)
            return claimed

    def release(self, create_id: str, *, claim: int) -> None:
        """End this claim of an open create, so that any worker can claim it."""
        ours = sa.update(creates).where(creates.c.id == _number(create_id), creates.c.claim == claim)
        with self._transaction() as connection:
            connection.execute(ours.values(claimed_at=None))

    def add_attempt(self, create_id: str, *, number: int, claim: int) -> bool:
        """Record that the create is about to be sent; return False if it has ended or another worker has claimed it."""
        with self._transaction() as connection:
            writer, row = self._writer(), self._row(connection, create_id, locked=True)
            writer.refresh_clock()
            sent = apply_attempt_of_create(self._record(row), number=number, claim=claim)
            if sent is not None:
                self._keep(connection, replace(sent, lease=self._new_lease(writer)), writer)
            return sent is not None

    def add_outcome(
        self, create_id: str, event: CommandEvent, *, why: str, claim: int, task: CreatedTask | None = None
    ) -> CreateRecord:
        """Apply an event of the lifecycle `command` to the create, if this claim is still valid; record its task."""
        if task is not None:
            self._writer().declarations.ensure([self._lifecycle])
        with self._transaction() as connection:
            writer, row = self._writer(), self._row(connection, create_id, locked=True)
            writer.refresh_clock()
            before = self._record(row)
            after = apply_event_of_create(before, event, why=why, claim=claim, task=task)
            if after is not before:
                after = replace(after, lease=self._new_lease(writer) if after.is_open else None)
                self._keep(connection, after, writer)
            if task is not None:
                self._make_known(connection, writer, task)
            return after

    def excluded(self, create_id: str, task_ids: Collection[str]) -> set[str]:
        """Return the tasks among `task_ids` that this create cannot have made."""
        ids, found = list(task_ids), set[str]()
        with self._transaction(TransactionMode.READ) as connection:
            record = self._record(self._row(connection, create_id))
            for begin in range(0, len(ids), MOST_NAMED):
                named = self._named(task_ids=ids[begin : begin + MOST_NAMED])
                found |= set(connection.scalars(_MADE_BY_OTHERS, {**named, "number": int(record.id)}))
                found |= set(connection.scalars(_KNOWN_BEFORE, {**named, "before": record.recorded_at}))
        return found

    def _make_known(self, connection: Connection, writer: Writer, task: CreatedTask) -> None:
        ensure_tasks(connection, writer, [TaskName(self._lifecycle, task.task_id)], created=True)
        if task.report is None:
            return
        report = TaskReport(self._lifecycle, check_name("task id", task.task_id), task.report)
        for entered in enter_reports(connection, writer, [report]):
            if isinstance(entered, UnreadableRecord):
                raise entered

    def _transaction(self, mode: TransactionMode = TransactionMode.WRITE) -> AbstractContextManager[Connection]:
        return self._servers.transaction(self._lifecycle, self._server, mode)

    def _named(self, **more: Any) -> dict[str, Any]:
        return {"of": self._lifecycle.name, **more}

    def _first(self, query: sa.Select[Any], **named: Any) -> CreateRecord | None:
        with self._transaction(TransactionMode.READ) as connection:
            row = connection.execute(query.limit(1), self._named(**named)).mappings().one_or_none()
            return None if row is None else self._record(row)

    def _found(self, connection: Connection, create_id: str, *, locked: bool = False) -> RowMapping | None:
        query = _BY_NUMBER.with_for_update() if locked else _BY_NUMBER
        return connection.execute(query, self._named(number=_number(create_id))).mappings().one_or_none()

    def _row(self, connection: Connection, create_id: str, *, locked: bool = False) -> RowMapping:
        row = self._found(connection, create_id, locked=locked)
        if row is None:
            other = connection.execute(_OF_ANY, {"number": _number(create_id)}).one_or_none()
            if other is not None:
                raise create_of_another(create_id, self._lifecycle.name, *other)
            rows = connection.execute(_UNFINISHED, self._named()).mappings()
            raise no_such_create(create_id, self._lifecycle.name, (str(each["id"]) for each in rows))
        return row

    def _keep(self, connection: Connection, record: CreateRecord, writer: Writer) -> None:
        change = sa.update(creates).where(creates.c.id == int(record.id))
        connection.execute(change.values(**_changing(record, writer)))

    def _new_lease(self, writer: Writer) -> Lease:
        return Lease(writer.worker, writer.now + self._lease)

    def _outcome(self, row: RowMapping) -> CreateRecord | UnreadableCreate:
        try:
            return self._record(row)
        except UnreadableCreate as error:
            return error

    def _record(self, row: RowMapping) -> CreateRecord:
        """Return the create of a row. Raises UnreadableCreate for every error in it."""
        try:
            require_readable_create(row)
            return self._read(row)
        except (TypeError, ValueError) as error:
            names = {"lifecycle": self._lifecycle.name, "create_id": str(row[creates.c.id])}
            raise UnreadableCreate(str(error), **names) from error

    def _read(self, row: RowMapping) -> CreateRecord:
        claimed_at: datetime | None = row[creates.c.claimed_at]
        return CreateRecord(
            str(row[creates.c.id]),
            row[creates.c.fields],
            row[creates.c.labels],
            row[creates.c.recorded_at],
            CommandState(row[creates.c.state]),
            row[creates.c.attempts],
            RequestContext(row[creates.c.idempotency_key], row[creates.c.origin], row[creates.c.reason]),
            row[creates.c.why],
            row[creates.c.task_id],
            row[creates.c.claim],
            None if claimed_at is None else Lease(row[creates.c.worker], claimed_at + self._lease),
        )


def require_readable_create(row: RowMapping) -> None:
    """Raise ValueError unless all values are of their columns' types and have a meaning, each for itself and together.

    Fields and labels are objects, and labels texts; the state is one of a create; a create that is done, and no other,
    has a task.
    """
    require_readable(row.values())
    objects = {"fields": row[creates.c.fields], "labels": row[creates.c.labels]}
    wrong = [f"its {name} are not a JSON object" for name, value in objects.items() if not isinstance(value, dict)] or [
        f"its label {shortened(name)} is not a text"
        for name, text in objects["labels"].items()
        if not isinstance(text, str)
    ]
    if wrong:
        raise ValueError(wrong[0])
    state, task_id = row[creates.c.state], row[creates.c.task_id]
    if state not in _STATES:
        raise ValueError(f"{state!r} is not a state of a create")
    if bool(task_id) != (state == CommandState.DONE):
        raise ValueError(f"it is {state!r} with the task {task_id!r}")


def _changing(record: CreateRecord, writer: Writer) -> dict[str, Any]:
    """Return the columns that change; the worker that writes has claimed the create, as long as it is open."""
    return {
        "state": record.state,
        "is_open": record.is_open,
        "may_have_made": record.may_have_made,
        "attempts": record.attempts,
        "why": record.why,
        "task_id": record.task_id,
        "changed_at": writer.now,
        "claim": record.claim,
        "worker": writer.worker,
        "session": writer.session,
        "claimed_at": writer.now if record.is_open else None,
    }


def _number(create_id: str) -> int:
    """Return the row id of a create; 0, which no row has, if the text is not an id of this journal."""
    return int(create_id) if re.fullmatch("[1-9][0-9]{0,17}", create_id) else 0


# --- integrity ------------------------------------------------------------------------------------


def verify(connection: Connection) -> Iterator[tuple[RowMapping, str]]:
    """Yield the rows of inconsistent creates, each with its error."""
    made = sa.and_(tasks.c.lifecycle == creates.c.lifecycle, tasks.c.task_id == creates.c.task_id)
    query = sa.select(creates, tasks.c.id).outerjoin_from(creates, tasks, made).order_by(creates.c.id)
    for row in connection.execute(query, execution_options={"yield_per": 500}).mappings():
        wrong = _wrong(row)
        if wrong is not None:
            yield row, wrong


def _wrong(row: RowMapping) -> str | None:
    try:
        require_readable_create(row)
    except ValueError as error:
        return str(error)
    state, task_id = row[creates.c.state], row[creates.c.task_id]
    record = CreateRecord("", {}, {}, row[creates.c.recorded_at], CommandState(state))
    kept = (row[creates.c.is_open], row[creates.c.may_have_made])
    if kept != (record.is_open, record.may_have_made):
        return f"it is {state!r}, but its columns is_open and may_have_made are {kept}"
    if task_id is not None and row[tasks.c.id] is None:
        return f"its task {task_id!r} is not known"
    if not record.is_open and row[creates.c.claimed_at] is not None:
        return "it has ended, but a worker has claimed it"
    return None
