"""The clients over a user's object, and the drivers that call its functions."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVar as TypeVarWithDefault

from lifecycle.effects import Lost, Response
from lifecycle.errors import not_made
from lifecycle.journal import Journal
from lifecycle.lifecycle import Lifecycle
from lifecycle.process_bound import ProcessBound
from lifecycle_adapters.argument_checks import TaskId, id_text, require
from lifecycle_adapters.objects.object_procedures import ObjectCall, ObjectCreates, ObjectTaskProcedures
from lifecycle_adapters.objects.object_service import (
    Meaning,
    Meanings,
    ObjectError,
    ObjectService,
    close_unused,
    is_coroutine_function,
)
from lifecycle_adapters.procedures.arguments import request_context, usable_journal
from lifecycle_adapters.procedures.governed_handles import AsyncTaskHandle, TaskHandle
from lifecycle_adapters.procedures.interpreter import Procedure
from lifecycle_adapters.procedures.recovery_methods import AsyncRecoveryMethods, RecoveryMethods
from lifecycle_adapters.procedures.running import OnProgress, run_procedure, run_procedure_async
from lifecycle_adapters.procedures.signal_errors import is_of_a_signal
from lifecycle_adapters.procedures.timing import CLOCK, Timing
from lifecycle_adapters.procedures.twins import twin_of

R = TypeVar("R")
S = TypeVarWithDefault("S", bound=str, default=Any)
E = TypeVarWithDefault("E", bound=str, default=Any)

_UNKNOWN: Meanings = {}  # every exception may mean that the call arrived


class _ObjectDriver:
    """Carries procedures out by calls of the functions."""

    def __init__(self, service: ObjectService) -> None:
        self._service = service

    def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result."""
        return run_procedure(procedure, self._send, on_progress)

    def _send(self, call: ObjectCall) -> Response:
        as_of = CLOCK.now()
        try:
            result = call.function()
        except Exception as error:  # the user says what it means
            if is_of_a_signal(error):
                raise
            return self._service.failure(call.name, error)
        if inspect.isawaitable(result):
            close_unused(result)
            raise TypeError(f"an ObjectClient does not await what {call.name} returns: use an AsyncObjectClient")
        return self._service.response(call.name, result, as_of)


class _AsyncObjectDriver:
    """Carries procedures out by calls of the functions, whose results it awaits if they are awaitable."""

    def __init__(self, service: ObjectService) -> None:
        self._service = service

    async def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result."""
        return await run_procedure_async(procedure, self._send, on_progress)

    async def _send(self, call: ObjectCall) -> Response:
        as_of = CLOCK.now()
        limit = asyncio.timeout(call.timeout_s)
        try:
            async with limit:
                result = call.function()
                if inspect.isawaitable(result):
                    result = await result
        except Exception as error:  # the user says what it means
            if is_of_a_signal(error):
                raise
            if limit.expired():
                what = f"it took longer than {call.timeout_s:g} s"
                return Lost(ObjectError(call.name, what, Meaning.MAY_HAVE_ARRIVED))
            return self._service.failure(call.name, error)
        return self._service.response(call.name, result, as_of)


class _ObjectClient(ProcessBound, Generic[S, E]):
    """The part of both clients that makes no call."""

    _instead = "make another client where it is needed"

    def __init__(
        self,
        lifecycle: Lifecycle[S, E],
        *,
        read: Callable[..., Any],
        send: Callable[..., Any],
        create: Callable[..., Any] | None,
        meanings: Meanings,
        timing: Timing | None,
        journal: Journal | None,
    ) -> None:
        require(lifecycle, Lifecycle, "the lifecycle must be a Lifecycle, such as lifecycle.A2A")
        self._lifecycle = lifecycle
        self._service = ObjectService(read=read, send=send, create=create, meanings=meanings)
        self._timing = Timing() if timing is None else timing
        require(self._timing, Timing, "timing must be a Timing(...)")
        self._journal = usable_journal(journal)

    def __repr__(self) -> str:
        if "_journal" not in vars(self):
            return not_made(self)
        return f"{type(self).__name__}({self.lifecycle.name!r})"

    @property
    def lifecycle(self) -> Lifecycle[S, E]:
        """The lifecycle that governs the tasks."""
        return self._lifecycle

    @property
    def timing(self) -> Timing:
        """The limits of calls, retries and waits."""
        return self._timing

    @property
    def journal(self) -> Journal:
        """The journal that records the tasks."""
        return self._journal

    def _procedures(self, task_id: TaskId) -> ObjectTaskProcedures[S, E]:
        name = id_text(task_id)
        if not name:
            raise ValueError("a task's id must not be empty")
        part = self.journal.task(self.lifecycle, name)
        return ObjectTaskProcedures(
            lifecycle=self.lifecycle, timing=self.timing, task_id=name, journal=part, service=self._service
        )

    def _open_commands(self) -> list[ObjectTaskProcedures[S, E]]:
        return [self._procedures(each) for each in self.journal.open_tasks(self.lifecycle)]

    def _create_procedures(self) -> list[ObjectCreates]:
        creates = ObjectCreates(
            lifecycle=self.lifecycle,
            timing=self.timing,
            creates=self.journal.creates(self.lifecycle),
            open_task=self._procedures,
            service=self._service,
        )
        return [creates]

    def _creating(
        self,
        idempotency_key: str | None,
        labels: Mapping[str, str] | None,
        reason: str,
        origin: str,
        fields: Mapping[str, Any],
    ) -> Procedure[ObjectTaskProcedures[Any, Any]]:
        context = request_context(idempotency_key, origin, reason)
        (creates,) = self._create_procedures()
        return creates.create(fields, labels={} if labels is None else labels, context=context)


class ObjectClient(_ObjectClient[S, E], RecoveryMethods[_ObjectDriver, TaskHandle[S, E]]):
    """A synchronous client of a service that functions of yours call. Threads can share it if they can share those.

    Its handles and its journal give the guarantees of an HTTP client: a command is judged before it is sent, recorded
    before it is sent, sent again only if that is safe, and settled only by a proof.

    Args:
        lifecycle: the lifecycle that governs the tasks. The journal records them under its name.
        read: called with a task's id; returns its status as text, or a `Snapshot`. It must change nothing.
        send: called with a task's id, a command, and the command's fields as keyword arguments. It must send the
            command at most once: switch off the retries of the SDK below. If it returns a `Snapshot`, that spares a
            read; whatever else it returns is ignored.
        create: called with the fields as keyword arguments; returns the new task's id as text. It must send the create
            at most once. An id with a control character or half of a surrogate pair cannot be used: the create stays
            uncertain.
        meanings: what the exceptions of these functions mean: a mapping from classes, of which the nearest one counts,
            or a function that returns a `Meaning`, a `Limited` or, for an exception that it does not know, None. Any
            other exception means that the call may have arrived. An exception that the function raises, such as one
            that is not a failure of the call but the time limit of a job queue, ends the method and reaches the caller.
        timing: the limits of retries and waits. A function cannot be interrupted: it must have a time limit of its own.
        journal: the journal that records the tasks; if omitted, one in memory, which forgets what was reported of a
            task once it has neither a handle nor an open command. It keeps which tasks its creates made, and all that
            had an idempotency key.
    Raises:
        TypeError: an argument has a wrong type, a function is a coroutine function, or a key of `meanings` is not a
            class of exceptions.
    """

    def __init__(
        self,
        lifecycle: Lifecycle[S, E],
        *,
        read: Callable[..., Any],
        send: Callable[..., Any],
        create: Callable[..., Any] | None = None,
        meanings: Meanings = _UNKNOWN,
        timing: Timing | None = None,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(
            lifecycle, read=read, send=send, create=create, meanings=meanings, timing=timing, journal=journal
        )
        for name, function in {"read": read, "send": send, "create": create}.items():
            if is_coroutine_function(function):
                raise TypeError(f"an ObjectClient does not await {name}: use an AsyncObjectClient")
        self._driver = _ObjectDriver(self._service)

    def task(self, task_id: TaskId) -> TaskHandle[S, E]:
        """Return a handle on an existing task; nothing is called.

        Raises:
            ValueError: the id is empty, or no journal can record it.
            TypeError: it is not text, an integer or a UUID.
        """
        return self._handle(self._procedures(task_id))

    def create(
        self,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> TaskHandle[S, E]:
        """Create a task with the function `create`. Its intent is recorded first.

        A create with fields gives the task work: a wait for a settled task then lasts until that has begun.

        Args:
            idempotency_key: a second call with this key returns the task of the first one and calls nothing, also
                across processes and restarts if the journal is durable.
            labels: texts by their names; they are recorded in the journal, and never sent.
            reason: why it is created; it is recorded in the journal.
            origin: who or what creates it; it is recorded in the journal.
            fields: keyword arguments of the function; JSON.
        Raises:
            CreateUncertain: the call may have arrived, in this call or in an earlier one with the key.
            CreateInFlight: another worker is creating the task under this key.
            CreateKeyReused: a create with other fields has this key; nothing was called.
            CreateContradicted: the service made `.task_id`, but before that the create was abandoned, or another task
                was recorded for it.
            TypeError, ValueError: an argument has a wrong type or value, or there is no `create`; nothing was called.
            ObjectError: the service refused, or was never reached; no task was created.
            AdapterError: the journal cannot be read or written.
        """
        return self._handle(self._driver.run(self._creating(idempotency_key, labels, reason, origin, fields)))

    def _handle(self, task: Any) -> TaskHandle[S, E]:
        return TaskHandle(self._driver, task)


class AsyncObjectClient(_ObjectClient[S, E], AsyncRecoveryMethods[_AsyncObjectDriver, AsyncTaskHandle[S, E]]):
    """An asynchronous client of a service that functions of yours call, for asyncio.

    Its arguments, and the errors for them, are those of `ObjectClient`, with two differences: `read`, `send` and
    `create` can be coroutine functions, whose calls take at most `timing.request_timeout_s`; and a plain function is
    called in the event loop, so it must not block. `recover` settles eight commands at a time.
    """

    def __init__(
        self,
        lifecycle: Lifecycle[S, E],
        *,
        read: Callable[..., Any],
        send: Callable[..., Any],
        create: Callable[..., Any] | None = None,
        meanings: Meanings = _UNKNOWN,
        timing: Timing | None = None,
        journal: Journal | None = None,
    ) -> None:
        super().__init__(
            lifecycle, read=read, send=send, create=create, meanings=meanings, timing=timing, journal=journal
        )
        self._driver = _AsyncObjectDriver(self._service)

    @twin_of(ObjectClient.task)
    def task(self, task_id: TaskId) -> AsyncTaskHandle[S, E]:
        """Return a handle on an existing task; nothing is called."""
        return self._handle(self._procedures(task_id))

    @twin_of(ObjectClient.create)
    async def create(
        self,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        reason: str = "",
        origin: str = "caller",
        **fields: Any,
    ) -> AsyncTaskHandle[S, E]:
        """Create a task with the function `create`. Its intent is recorded first."""
        return self._handle(await self._driver.run(self._creating(idempotency_key, labels, reason, origin, fields)))

    def _handle(self, task: Any) -> AsyncTaskHandle[S, E]:
        return AsyncTaskHandle(self._driver, task)
