"""The functions of a user's object, and the meanings of what they return and raise.

No call is made here: object_client.py has the drivers.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from lifecycle.effects import Accepted, Denied, Lost, Missing, NotSent, Refused, Response, Throttled
from lifecycle.errors import described, shortened, text_of
from lifecycle.journal import name_fault
from lifecycle_adapters.argument_checks import is_text, require, require_number
from lifecycle_adapters.foreign_text import one_line
from lifecycle_adapters.procedures.call_errors import CallError


class Meaning(StrEnum):
    """What an exception says about the call that raised it."""

    REFUSED = "refused"  # the service did not do it, and would not do it again
    DENIED = "denied"  # the credentials do not allow it
    NOT_FOUND = "not found"  # there is no such task
    NOT_SENT = "not sent"  # nothing arrived, such as without a connection
    MAY_HAVE_ARRIVED = "may have arrived"  # the service may have done it, such as after a time-out


@dataclass(frozen=True, slots=True)
class Limited:
    """The meaning of an exception that says "too many calls": nothing happened, and the call may be repeated.

    `retry_after_s` is the pause that the service asks for, in seconds; None if it asks for none.

    Raises:
        TypeError: it is not a number.
        ValueError: it is negative or NaN.
    """

    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        if self.retry_after_s is not None:
            require_number(self.retry_after_s, "retry_after_s", at_least=0)


Meanings = Mapping[type[Exception], Meaning | Limited] | Callable[[Exception], Meaning | Limited | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one read reports of a task.

    `output` is the task's output so far, None if it has none; `details` is whatever else `task.details()` and the
    result of a wait are to return.

    It is checked when your function has returned it, not here: an error that it raised in the function that sends a
    command could be taken for the service's.
    """

    status: str
    output: Any = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def fault(self) -> str | None:
        """Return why the library cannot use it; None if it can."""
        status: Any = self.status
        details: Any = self.details
        if not isinstance(status, str):
            return f"the status of a Snapshot must be text, not {described(status)}"
        return None if isinstance(details, Mapping) else f"its details must be a mapping, not {described(details)}"


class ObjectError(CallError):
    """A call of the user's function without a usable result.

    `.call` is "read", "send" or "create", `.meaning` what its exception means, and `__cause__` that exception.
    """

    def __init__(self, call: str, what: str, meaning: Meaning | Limited) -> None:
        self.call = call
        self.meaning = meaning
        self.may_pass = isinstance(meaning, Limited) or meaning in (Meaning.NOT_SENT, Meaning.MAY_HAVE_ARRIVED)
        super().__init__(f"{call}: {what}")


_Failure = Refused | Denied | Missing | Throttled | NotSent | Lost

_FAILURES: Mapping[Meaning, type[_Failure]] = {
    Meaning.REFUSED: Refused,
    Meaning.DENIED: Denied,
    Meaning.NOT_FOUND: Missing,
    Meaning.NOT_SENT: NotSent,
    Meaning.MAY_HAVE_ARRIVED: Lost,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectService:
    """The functions of one service. Raises TypeError unless each can be called, and `meanings` is as it must be."""

    read: Callable[..., Any]
    send: Callable[..., Any]
    create: Callable[..., Any] | None
    meanings: Meanings

    def __post_init__(self) -> None:
        for name in ("read", "send", "create"):
            function = getattr(self, name)
            if not callable(function) and not (name == "create" and function is None):
                raise TypeError(f"{name} must be a function, not {described(function)}")
        if is_coroutine_function(self.meanings):
            raise TypeError("meanings must be a function that returns a Meaning, not a coroutine function")
        if not callable(self.meanings):
            require(self.meanings, Mapping, "meanings must be a function, or a mapping from classes of exceptions")
            given: Mapping[Any, Any] = self.meanings
            for kind, meaning in given.items():
                if not _is_exception_class(kind):
                    raise TypeError(f"meanings must have classes of exceptions as its keys, not {described(kind)}")
                require(meaning, Meaning | Limited, "meanings must have a Meaning or Limited(...) as its values")

    def response(self, call: str, result: Any, as_of: datetime) -> Response:
        """Return the meaning of what a function returned; `as_of` is when it was called.

        Raises TypeError if that is a generator, or another awaitable where one was awaited: nothing was done.
        """
        if inspect.isawaitable(result) or inspect.isgenerator(result) or inspect.isasyncgen(result):
            close_unused(result)
            raise TypeError(f"{call} returned {described(result)}, and has done nothing: it must return a result")
        if call == "create":
            fault = _id_fault(result)
            if fault is not None:
                return Lost(ObjectError(call, fault, Meaning.MAY_HAVE_ARRIVED))
            return Accepted(None, as_of, document={"id": result})
        if isinstance(result, str) and call == "read":
            result = Snapshot(result)
        if isinstance(result, Snapshot):
            fault = result.fault()
            if fault is None:
                return Accepted(result.status, as_of, result.output, result.details)
            failed = Lost if call == "send" else Refused  # a command was sent, whatever its function returned
            return failed(ObjectError(call, fault, Meaning.MAY_HAVE_ARRIVED if call == "send" else Meaning.REFUSED))
        if call == "send":
            return Accepted(None, as_of)
        wanted = "it must return the status as text, or a Snapshot"
        return Refused(ObjectError(call, f"{wanted}, not {described(result)}", Meaning.REFUSED))

    def failure(self, call: str, error: Exception) -> _Failure:
        """Return the meaning of what a function raised. An exception of `meanings` itself is raised."""
        meaning = self._meaning_of(error)
        ours = ObjectError(call, f"{type(error).__name__}: {one_line(text_of(error))}", meaning)
        ours.__cause__ = error
        if isinstance(meaning, Limited):
            return Throttled(ours, meaning.retry_after_s)
        return _FAILURES[meaning](ours)

    def _meaning_of(self, error: Exception) -> Meaning | Limited:
        if not callable(self.meanings):
            nearest = (kind for kind in type(error).__mro__ if kind in self.meanings)
            return next((self.meanings[kind] for kind in nearest), Meaning.MAY_HAVE_ARRIVED)
        meaning = self.meanings(error)
        close_unused(meaning)
        require(meaning, Meaning | Limited | None, "meanings must return a Meaning, Limited(...) or None")
        return Meaning.MAY_HAVE_ARRIVED if meaning is None else meaning


def _is_exception_class(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Exception)


def _id_fault(task_id: Any) -> str | None:
    """Return why what `create` returned is not an id that calls and a journal can carry; None if it is one."""
    if not isinstance(task_id, str) or not task_id:
        return f"no id in text, but {shortened(task_id)}"
    fault = name_fault("task id", task_id)
    if not is_text(task_id) or _CONTROL.search(task_id):
        fault = "it has a control character, or half of a surrogate pair"
    return fault and f"the task exists, and its id {shortened(task_id)} cannot be used: {fault}"


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def is_coroutine_function(function: Any) -> bool:
    """Return whether a function, or an object that can be called, returns a coroutine."""
    if inspect.iscoroutinefunction(function):
        return True
    return callable(function) and inspect.iscoroutinefunction(type(function).__call__)


def close_unused(result: Any) -> None:
    """Close a coroutine that is not awaited: otherwise Python would warn that it never was."""
    if inspect.iscoroutine(result):
        result.close()
