"""The emulator's own record: every call that it saw, so that a client's journal can be held against it.

In memory only; the oldest calls fall out of a long record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from lifecycle_adapters.emulator.calls import Identity

MAX_RECORDED = 10_000
"""How many calls are kept."""


@dataclass(slots=True)
class RecordedCall:
    """One call, as it arrived and as it was answered.

    `number` counts from 1. `task` is the task that was asked for, or made. `state_before` and
    `state_after` are its states around the handling, None where no task was touched; `applied` says
    whether a command moved it. `status_code` is None while there is no answer, and for good where the
    connection was dropped. `fault` is the kind of fault that was played, or None. `body` is the
    decoded JSON body, or the text where it was none. Keys are never recorded.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: str
    body: Any
    api: str
    call: str | None
    command: str | None
    task: str | None
    state_before: str | None = None
    state_after: str | None = None
    applied: bool = False
    status_code: int | None = None
    fault: str | None = None


class CallLog:
    """The calls seen so far, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[RecordedCall] = deque(maxlen=MAX_RECORDED)
        self._numbers = count(1)

    def open(self, identity: Identity, *, at: datetime, method: str, path: str, query: str, body: Any) -> RecordedCall:
        """Enter a call on its arrival; whoever handles it completes the entry."""
        call = RecordedCall(
            number=next(self._numbers),
            at=at,
            method=method,
            path=path,
            query=query,
            body=body,
            api=identity.api,
            call=identity.call,
            command=identity.command,
            task=identity.task_id,
        )
        self._calls.append(call)
        return call

    def __iter__(self) -> Iterator[RecordedCall]:
        """Return copies: an entry may still be completed after it was read."""
        return iter([replace(call) for call in self._calls])

    def clear(self) -> None:
        """Forget every call; numbers go on."""
        self._calls.clear()
