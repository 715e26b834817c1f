"""The one interpreter of effects: it turns a procedure's effects into actions, with no I/O of its own.

A procedure of the core yields effects, such as `Send` or `Wait`. Drivers know only four actions: call the
service, sleep, call a journal, report progress. running.py carries them out, synchronously or asynchronously. This
module decides everything else, once for both.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from lifecycle.effects import (
    Claim,
    ClaimCreate,
    CreateEffect,
    Denied,
    Effect,
    JournalEffect,
    ProcedureRun,
    RecordCreate,
    RecordIntent,
    ReportProgress,
    Response,
    Wait,
    apply_journal_effect,
)
from lifecycle.journal import Creates, TaskJournal
from lifecycle_adapters.procedures.timing import Pacer

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall:
    """Call the service; the result is the response. Each driver has a subclass of its own that says what to call.

    `timeout_s` is how long the call may take as a whole, None for the longest that the driver allows.
    """

    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Sleep:
    """Wait this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class JournalCall:
    """Apply an effect to a part of a journal; the result is the effect's.

    The part may block. A driver must not interrupt the call: the procedure would not know what it has claimed, and a
    database could stay locked.
    """

    effect: JournalEffect | CreateEffect
    part: TaskJournal[Any, Any] | Creates


Action = ServiceCall | Sleep | JournalCall | ReportProgress[Any]
Actions = Generator[Action, Any, R]


@dataclass(frozen=True, slots=True)
class Procedure(Generic[R]):
    """The actions that a driver carries out, and the context around all of them, such as a span."""

    actions: Actions[R]
    context: AbstractContextManager[object] = field(default_factory=nullcontext[None])


def interpret(run: ProcedureRun[R], perform: Callable[[Effect, Pacer], Actions[Any]], pacer: Pacer) -> Actions[R]:
    """Yield the actions of a procedure, and return its result; close the procedure if an action fails.

    Args:
        run: the procedure.
        perform: returns the actions of an effect that is neither a pause, nor a report of progress, nor a claim.
        pacer: decides the length of each pause, and the time limit of each request.
    """
    try:
        effect = run.resume()
        while effect is not None:
            try:
                match effect:
                    case Wait():
                        result: Any = yield from _pause(pacer.pause_s(effect))
                    case ReportProgress():
                        result = yield effect
                    case RecordIntent() | Claim() | RecordCreate() | ClaimCreate() if run.journal is not None:
                        result = yield from in_journal(effect, run.journal)
                    case _:
                        result = yield from perform(effect, pacer)
            except Exception as error:  # noqa: BLE001 (the procedure decides what it means)
                effect = run.throw(error)
            else:
                effect = run.resume(result)
    finally:
        try:
            run.close()
        except BaseException:
            run.close()  # Ctrl-C, pressed again, has interrupted the first call
            raise
    return run.result


def _pause(seconds: float | None) -> Actions[bool]:
    if seconds is None:
        return False
    yield Sleep(seconds)
    return True


def read(call: ServiceCall, pacer: Pacer | None = None) -> Actions[Response]:
    """Make a call that changes nothing; repeat it once if the key was refused and may be another one by now."""
    response: Response = yield call
    if isinstance(response, Denied) and response.is_renewable:
        response = yield call if pacer is None else replace(call, timeout_s=pacer.request_s())
    return response


def in_journal(effect: Any, part: TaskJournal[Any, Any] | Creates) -> Actions[Any]:
    """Apply an effect to a part of a journal: at once, or as an action of the driver if that part may block."""
    if part.blocking:
        return (yield JournalCall(effect, part))
    return apply_journal_effect(effect, part)
