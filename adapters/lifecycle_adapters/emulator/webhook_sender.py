"""The webhooks that the emulator sends: every change of a task's status, signed, to one URL.

Nothing is sent unless it is asked for. Sending never holds up the service: each message goes out by
itself, those of one task one after the other, and is tried again where the answer is no 2xx. What goes
wrong with them on request (late, doubled, out of order, lost) is armed as faults of calls are, without
any chance in it. The signature is that of the receiver, lifecycle_adapters.webhooks; whatever no document says is in
assumptions.py. Every message and every attempt is recorded, in memory only.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from math import inf
from typing import Annotated, Any, Self

import httpx2
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, model_validator

from lifecycle.conformance import Channel
from lifecycle_adapters.emulator.call_log import MAX_RECORDED
from lifecycle_adapters.emulator.calls import BINDINGS
from lifecycle_adapters.emulator.faults import LONGEST_DELAY_S, Api, Faults, require_known
from lifecycle_adapters.emulator.shapes import WHOLE, Number, moment
from lifecycle_adapters.emulator.task_store import EmulatedTask, TaskStore
from lifecycle_adapters.http.v2 import V2_SESSION
from lifecycle_adapters.webhooks import STATUS_UPDATE, sign

TIMEOUT_S = 5.0
"""How long an answer may take."""
CONNECTIONS = 20
"""How many requests are under way at a time."""

_LONGEST_ANSWER_BYTES = 65_536  # what an answer says is not looked at, and may be endless
_TICK_S = 0.001  # a timer may go off a tick of the clock before its time

Seconds = Annotated[Number, Field(ge=0, le=LONGEST_DELAY_S)]


class WebhookTarget(BaseModel):
    """Where messages are sent, and how patiently: what may be shown of a webhook."""

    model_config = ConfigDict(extra="forbid")

    url: AnyHttpUrl
    retry_after_s: tuple[Seconds, ...] = (0.1, 0.5, 2.0)


class Webhook(WebhookTarget):
    """Where messages are sent, and the secret that they are signed with.

    A message that is not answered with 2xx is sent again after each of `retry_after_s` in turn.
    """

    model_config = ConfigDict(hide_input_in_errors=True)  # of a secret that is no text as well

    secret: Annotated[SecretStr, Field(min_length=1)]


class WebhookFaultKind(StrEnum):
    """What happens to a message."""

    LATE = "late"  # it is sent some seconds later, and overtaken by what happens meanwhile
    DOUBLED = "doubled"  # it is sent twice
    OUT_OF_ORDER = "out_of_order"  # it waits for the task's next message, and is sent after it
    LOST = "lost"  # it is not sent


class WebhookFault(BaseModel):
    """A mishap, and the messages that it waits for: those that match every field that is given.

    `task` is a task's id, `status` what is sent. `seconds` is how late a late one is.
    """

    model_config = ConfigDict(extra="forbid")

    kind: WebhookFaultKind
    api: Api | None = None
    task: str | None = None
    status: str | None = None
    times: Annotated[int, Field(ge=1), WHOLE] = 1
    seconds: Seconds = 1.0

    @model_validator(mode="after")
    def _require_messages(self) -> Self:
        require_known("status", self.status, _statuses(self.api), self.api)
        return self

    def matches(self, message: SentWebhook) -> bool:
        """Whether it waits for this message."""
        return (
            self.api in (None, message.api)
            and self.task in (None, message.task)
            and self.status in (None, message.status)
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. Either `status_code` tells the answer, or `error` why there was none."""

    at: datetime
    status_code: int | None = None
    error: str | None = None


@dataclass(slots=True)
class SentWebhook:
    """One message: what it is about, its body, and how it went.

    `number` counts from 1. `api`, `task` and `status` are None for the ping. `fault` is the mishap that
    was played, or None. `is_over` says that nothing more will be sent of it.
    """

    number: int
    api: str | None
    task: str | None
    status: str | None
    body: dict[str, Any]
    fault: WebhookFaultKind | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    is_over: bool = False


class WebhookSender:
    """Sends the webhooks of one world. One event loop owns it, as it owns the world.

    `first` is where they go from the start; None where they are not sent until `set` says so.
    """

    def __init__(self, store: TaskStore, *, first: Webhook | None) -> None:
        self.faults: Faults[WebhookFault] = Faults()
        self._store = store
        self._first = first
        self._webhook = first
        self._messages: deque[SentWebhook] = deque(maxlen=MAX_RECORDED)
        self._numbers = count(1)
        self._held: dict[str, SentWebhook] = {}  # by task: what waits for its next message
        self._last: dict[str | None, asyncio.Task[None]] = {}  # by task: what is to be sent before the next
        self._sending: set[asyncio.Task[None]] = set()
        self._client: httpx2.AsyncClient | None = None
        store.observer = self

    @property
    def webhook(self) -> Webhook | None:
        """Where messages are sent; None where none are."""
        return self._webhook

    def set(self, webhook: Webhook | None) -> None:
        """Send messages there from now on, a ping first; None sends no more."""
        self._webhook = webhook
        self.start()

    def start(self) -> None:
        """Begin in a new event loop, with a ping."""
        if self._webhook is not None:
            self._send(self._open(None, {"type": "test", **self._stamp(), "payload": {"test": "ok"}}))
            self.look()

    def look(self) -> None:
        """Let happen what is due, and look again when the next things are: the clock may have been put forward."""
        for task in self._store.tasks():
            self.scheduled(task)

    def scheduled(self, task: EmulatedTask) -> None:
        """Look at a task when it is due: nobody else may, and its move is to be told."""
        if self._webhook is not None and task.due_s < inf:
            due_in_s = max(task.due_s - self._store.clock.now_s(), 0.0)
            asyncio.get_running_loop().call_later(due_in_s + _TICK_S, self._store.find, task.id)

    def changed(self, task: EmulatedTask) -> None:
        """Tell that a task was made, or has moved."""
        if self._webhook is None or not _is_told(task):
            return
        message = self._open(task, self._body(task))
        held = self._held.pop(task.id, None)
        if held is not None:
            self._send(message)
            self._send(held)
            return
        fault = self.faults.take(message)
        message.fault = None if fault is None else fault.kind
        if fault is None:
            self._send(message)
        elif fault.kind is WebhookFaultKind.DOUBLED:
            self._send(message, times=2)
        elif fault.kind is WebhookFaultKind.OUT_OF_ORDER:
            self._held[task.id] = message
        elif fault.kind is WebhookFaultKind.LATE:
            self._begin(self._send_late(message, fault.seconds))
        else:
            message.is_over = True

    def messages(self) -> Iterator[SentWebhook]:
        """Return copies, oldest first: a message may still be under way."""
        return iter([replace(each, attempts=list(each.attempts)) for each in self._messages])

    def reset(self) -> None:
        """Forget every message and mishap; what was set at the start is set again."""
        for sending in self._sending:
            sending.cancel()
        self.faults.clear()
        self._messages.clear()
        self._held.clear()
        self._webhook = self._first

    async def close(self) -> None:
        """Send nothing more in this event loop; what is under way is given up."""
        sending = list(self._sending)
        for each in sending:
            each.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        self._last.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(self, task: EmulatedTask | None, body: dict[str, Any]) -> SentWebhook:
        message = SentWebhook(next(self._numbers), None, None, None, body)
        if task is not None:
            message.api, message.task, message.status = task.api, task.id, body["payload"]["status"]
        self._messages.append(message)
        return message

    def _body(self, task: EmulatedTask) -> dict[str, Any]:
        payload = {
            "task_id": task.id,
            "session_id": _session_id(task),
            "status": _status(task.api, task.state),
            "metadata": task.given.get("metadata", {}),
        }
        return {"type": STATUS_UPDATE, **self._stamp(task.state_since_s), "payload": payload}

    def _stamp(self, at_s: float | None = None) -> Mapping[str, str]:
        clock = self._store.clock
        return {"timestamp": moment(clock.at(clock.now_s() if at_s is None else at_s))}

    # --- sending ---

    def _send(self, message: SentWebhook, *, times: int = 1) -> None:
        """Send a message after the task's last one, or after the ping."""
        before = self._last.get(message.task) or self._last.get(None)
        sending = self._last[message.task] = self._begin(self._send_after(before, message, times))
        sending.add_done_callback(lambda _: self._forget(message.task, sending))

    def _forget(self, task: str | None, sending: asyncio.Task[None]) -> None:
        if self._last.get(task) is sending:
            del self._last[task]

    def _begin(self, sending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    async def _send_after(self, before: asyncio.Task[None] | None, message: SentWebhook, times: int) -> None:
        if before is not None:
            await asyncio.wait([before])
        for _ in range(times):
            await self._try(message)
        message.is_over = True

    async def _send_late(self, message: SentWebhook, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._try(message)
        message.is_over = True

    async def _try(self, message: SentWebhook) -> None:
        webhook = self._webhook
        if webhook is None:
            return  # it was taken back meanwhile
        for pause_s in (0.0, *webhook.retry_after_s):
            await asyncio.sleep(pause_s)
            attempt = await self._post(webhook, message.body)
            message.attempts.append(attempt)
            if attempt.status_code is not None and 200 <= attempt.status_code < 300:
                return

    async def _post(self, webhook: Webhook, body: dict[str, Any]) -> Attempt:
        if self._client is None:
            timeout = httpx2.Timeout(TIMEOUT_S, pool=None)
            limits = httpx2.Limits(max_connections=CONNECTIONS)
            self._client = httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
        content = json.dumps(body).encode()
        # Signed with the true time, also where the emulator's clock was put forward: the receiver's was not.
        at = datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            **sign(content, secret=webhook.secret.get_secret_value(), sent_at=at),
        }
        try:
            # A redirect is not followed: it is no 2xx.
            async with self._client.stream("POST", str(webhook.url), content=content, headers=headers) as answer:
                left_bytes = _LONGEST_ANSWER_BYTES
                async for piece in answer.aiter_raw():  # a connection is used again if its answer was read to the end
                    left_bytes -= len(piece)
                    if left_bytes < 0:
                        break
                return Attempt(at, answer.status_code)
        except Exception as error:  # noqa: BLE001 (a URL that no request can have, a redirect to none)
            return Attempt(at, error=type(error).__name__)


def _is_told(task: EmulatedTask) -> bool:
    """Whether there are webhooks of this change.

    There are none of v2's sessions, and of a new task only where its status has a name of its own.
    """
    is_new = not task.transitions
    return task.api != V2_SESSION.name and not (is_new and _status(task.api, task.state) == task.state)


def _status(api: str, state: str) -> str:
    """What the service's webhooks call a state, whatever lifecycle the emulated task follows."""
    [binding] = (binding for binding in BINDINGS if binding.name == api)
    aliases = (each for each in binding.lifecycle.aliases if each.channel == Channel.WEBHOOK and each.state == state)
    return next((alias.status for alias in aliases), str(state))


def _statuses(api: str | None) -> list[str]:
    """The statuses that webhooks carry; of one API if given."""
    sent = [binding for binding in BINDINGS if binding is not V2_SESSION and api in (None, binding.name)]
    found = [_status(binding.name, state.name) for binding in sent for state in binding.lifecycle.states]
    return list(dict.fromkeys(found))


def _session_id(task: EmulatedTask) -> str:
    if task.parent is not None:
        return task.parent.id
    return str(task.given.get("session_id") or task.id)
