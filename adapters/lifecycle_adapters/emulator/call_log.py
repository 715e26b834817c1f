"""The call log: every API call that the emulator received, for comparison with a client's journal.

It is kept in memory only. When it is full, each new call removes the oldest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any

from lifecycle_adapters.emulator.calls import Identity

MAX_RECORDED = 10_000
"""Number of calls that the call log keeps; also the number of webhooks that the webhook sender keeps."""


HIDDEN = "[hidden]"
"""What the call log shows instead of a secret header's value."""

RECEIVED = "emulator.received"
"""Key in the ASGI scope under which a service finds the `ReceivedCall`."""


@dataclass(slots=True)
class RecordedCall:
    """One call: its request and the outcome.

    `number` counts from 1. `task` is the id of the task that the call addressed or created. `state_before` and
    `state_after` are the task's states before and after the call, None if the call reached no task; `applied` is
    whether a command caused a transition. `status_code` is None until the response is sent, and stays None if the
    connection was dropped. `fault` is the kind of the injected fault, or None. `body` is the decoded JSON body, or
    the text of a body that is not JSON. `headers` are those of the request, by their names in lower case; the value of
    each that may carry a key, a token or a signature is `HIDDEN`. Keys are never recorded.
    """

    number: int
    at: datetime
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
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


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """A call on its path to a service: its identity, its decoded body, and its unfinished entry in the log."""

    identity: Identity
    body: Any
    entry: RecordedCall


class CallLog:
    """The calls received so far, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[RecordedCall] = deque(maxlen=MAX_RECORDED)
        self._numbers = count(1)

    def open(
        self,
        identity: Identity,
        *,
        at: datetime,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: Any,
    ) -> RecordedCall:
        """Add a call on arrival and return its entry; its handlers complete the entry. `headers` have no secrets."""
        call = RecordedCall(
            number=next(self._numbers),
            at=at,
            method=method,
            path=path,
            query=query,
            headers=headers,
            body=body,
            api=identity.api,
            call=identity.call,
            command=identity.command,
            task=identity.task_id,
        )
        self._calls.append(call)
        return call

    def __iter__(self) -> Iterator[RecordedCall]:
        """Return copies, because an entry may still change after it was read."""
        return iter([replace(call) for call in self._calls])

    def clear(self) -> None:
        """Remove every call; the numbering continues."""
        self._calls.clear()
