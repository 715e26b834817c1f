"""The run of a procedure: its actions are carried out one after the other, synchronously or asynchronously.

It knows no service: the caller passes the function that carries out a call. A run closes the procedure whenever an
action raises or is cancelled; the procedure then releases its claims. An effect on a journal that may block is never
cancelled, because only its result names the claim.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from _thread import start_new_thread
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from lifecycle.effects import Progress, ReportProgress, Response, apply_journal_effect
from lifecycle_adapters.procedures.interpreter import Action, Actions, JournalCall, Procedure, Sleep

R = TypeVar("R")
OnProgress = Callable[[Progress[str]], object]


class Runner(Protocol):
    """A synchronous driver."""

    def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result."""
        ...


class AsyncRunner(Protocol):
    """An asynchronous driver."""

    async def run(self, procedure: Procedure[R], on_progress: OnProgress | None = None) -> R:
        """Carry a procedure out, and return its result."""
        ...


def run_procedure(procedure: Procedure[R], send: Callable[[Any], Response], on_progress: OnProgress | None) -> R:
    """Carry a procedure out, and return its result; `send` carries out its calls.

    Raises the procedure's errors, and every exception of an action that the procedure does not handle.
    """
    running = _RunningActions(procedure.actions)
    with procedure.context:
        try:
            action = running.resume()
            while action is not None:
                if isinstance(action, JournalCall):
                    action = uninterrupted(partial(running.call_journal, action))
                else:
                    action = running.resume(_perform(action, send, on_progress))
        except BaseException:
            try:
                _break_off_now(running)
            finally:
                _break_off_now(running)  # Ctrl-C, pressed again, may have interrupted the first call
            raise
    return running.result


def _perform(action: Action, send: Callable[[Any], Response], on_progress: OnProgress | None) -> Any:
    match action:
        case Sleep(seconds):
            return time.sleep(seconds)
        case ReportProgress(progress):
            return on_progress(progress) if on_progress else None
        case call:
            return send(call)


async def run_procedure_async(
    procedure: Procedure[R], send: Callable[[Any], Awaitable[Response]], on_progress: OnProgress | None
) -> R:
    """Carry a procedure out in asyncio, and return its result; it awaits the result of an async `on_progress`.

    Raises the procedure's errors, and every exception of an action that the procedure does not handle.
    """
    running = _RunningActions(procedure.actions)
    with procedure.context:
        try:
            action = running.resume()
            while action is not None:
                if isinstance(action, JournalCall):
                    action = await _in_a_thread(partial(running.call_journal, action))
                else:
                    action = running.resume(await _perform_async(action, send, on_progress))
        except GeneratorExit:  # the coroutine is being closed, and cannot await anything
            running.break_off()
            raise
        except BaseException:
            if not running.are_over:
                await _break_off(running)
            raise
    return running.result


async def _perform_async(
    action: Action, send: Callable[[Any], Awaitable[Response]], on_progress: OnProgress | None
) -> Any:
    match action:
        case Sleep(seconds):
            return await asyncio.sleep(seconds)
        case ReportProgress(progress):
            called = on_progress(progress) if on_progress else None
            return await called if inspect.isawaitable(called) else None
        case call:
            return await send(call)


class _RunningActions(Generic[R]):
    """The actions of a procedure. One thread at a time resumes or closes them."""

    result: R

    def __init__(self, actions: Actions[R]) -> None:
        self._actions = actions
        self._turn = threading.Lock()  # held by the thread that calls the journal, or closes
        self._is_broken_off = False

    def resume(self, result: Any = None) -> Action | None:
        """Send the result of an action to the procedure, and return its next action; None if it has ended."""
        try:
            return self._actions.send(result)
        except StopIteration as stop:
            self.result = stop.value
            return None

    def call_journal(self, call: JournalCall) -> Action | None:
        """Apply an effect to its journal, and resume with the result; None if the procedure has ended.

        Call it in a thread that nothing interrupts: an interruption between the effect and its result loses a claim.
        """
        with self._turn:
            if self._is_broken_off:
                return None
            try:
                return self.resume(apply_journal_effect(call.effect, call.part))
            finally:
                if self._is_broken_off:
                    self._actions.close()

    @property
    def are_over(self) -> bool:
        """Return whether the procedure has returned or raised."""
        return inspect.getgeneratorstate(self._actions) == inspect.GEN_CLOSED

    def break_off(self) -> None:
        """Close the procedure, which releases its claims; a thread that still calls the journal closes it later."""
        self._is_broken_off = True
        if self._turn.acquire(timeout=_PATIENCE_S):
            try:
                self._actions.close()
            finally:
                self._turn.release()


_PATIENCE_S = 2.0  # how long a driver that breaks off waits for its journal


class _Uninterrupted(Generic[R]):
    """Work in a thread that no signal's handler, such as that of Ctrl-C, can interrupt: those run in the main thread.

    It is neither a thread of a pool nor a `threading.Thread`: an interruption of the caller, while it hands the work
    over, may leave their locks locked for good.
    """

    _result: R

    def __init__(self, work: Callable[[], R]) -> None:
        self._work, self._context = work, contextvars.copy_context()
        self._error: BaseException | None = None
        self._end = threading.Lock()
        self._end.acquire()
        self.is_done = False
        if threading.current_thread() is threading.main_thread():
            with suppress(RuntimeError):  # no thread can be started once the interpreter ends
                start_new_thread(self._run, ())
                return
        self._run()

    def _run(self) -> None:
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001 (`result` raises it)
            self._error = error
        self.is_done = True
        self._end.release()

    def wait(self, timeout_s: float = -1) -> None:
        """Wait until the work is done, or for this many seconds; -1 is no limit."""
        if not self.is_done:
            self._end.acquire(timeout=timeout_s)

    def result(self) -> R:
        """Wait, and return the work's result or raise its error."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._result


def uninterrupted(work: Callable[[], R]) -> R:
    """Do work with a journal that signals do not interrupt, as a database could otherwise stay locked."""
    return _Uninterrupted(work).result()


def _break_off_now(running: _RunningActions[Any]) -> None:
    """Close the procedure, and wait a few seconds for that, even if Ctrl-C is pressed again meanwhile.

    A second interruption is ignored, because the first one is already being raised.
    """
    begun: _Uninterrupted[None] | None = None
    until_s = time.monotonic() + 2 * _PATIENCE_S
    while not (running.are_over or (begun and begun.is_done)) and (left_s := until_s - time.monotonic()) > 0:
        with suppress(BaseException):
            begun = begun or _Uninterrupted(running.break_off)
            begun.wait(left_s)


async def _in_a_thread(work: Callable[[], R]) -> R:
    """Run the work in a thread, and return its result; a cancellation does not reach the work.

    `asyncio.to_thread` would cancel it, for example when a loop that ends cancels all of its tasks.
    """
    doing = _begun(work)
    await asyncio.wait([doing])
    return doing.result()


async def _break_off(running: _RunningActions[Any]) -> None:
    """Close the procedure, and wait a few seconds for that; a second cancellation ends only the waiting."""
    try:
        breaking_off = _begun(running.break_off)
    except RuntimeError:  # no thread can be started once the loop or the interpreter ends
        running.break_off()
    else:
        await asyncio.wait([breaking_off], timeout=_PATIENCE_S)


def _begun(work: Callable[[], R]) -> asyncio.Future[R]:
    context = contextvars.copy_context()
    doing = asyncio.get_running_loop().run_in_executor(None, context.run, work)
    doing.add_done_callback(_is_known)
    return doing


def _is_known(done: asyncio.Future[Any]) -> None:
    """Retrieve a future's exception; otherwise asyncio would log it as never retrieved if nobody waits for it."""
    if not done.cancelled():
        done.exception()
