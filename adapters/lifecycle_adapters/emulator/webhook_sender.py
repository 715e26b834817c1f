"""What the emulator pushes: every change of a task's status, in webhooks and in streams.

A webhook is signed, and sent to one URL and to those of the task's own. A stream is a response that stays open.
The emulator sends webhooks only if one is configured, or if a call gave the task recipients of its own, which its
profile knows. Sending never delays the service: messages are sent in the background, those of one task one after the
other, and are sent again if the response is not 2xx. A fault (late, doubled, out of order, lost, and of streams cut) is
armed like a fault of calls and injected without randomness. The messages themselves are in pushed_messages.py; the
receiver's package, lifecycle_adapters.webhooks, computes their signatures. Every message and every attempt is recorded,
in memory only.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from math import inf
from typing import Any, cast
from uuid import uuid4

import httpx2

from lifecycle.errors import UnknownName
from lifecycle_adapters.emulator.call_log import MAX_RECORDED
from lifecycle_adapters.emulator.faults import Faults, require_known
from lifecycle_adapters.emulator.profile import Recipient
from lifecycle_adapters.emulator.pushed_messages import (
    RETRY_AFTER_S,
    Attempt,
    Messages,
    OpenStream,
    Queue,
    SentWebhook,
    Webhook,
    WebhookFault,
    WebhookFaultKind,
)
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedTask, TaskStore
from lifecycle_adapters.http.webhook_binding import Scheme, SignatureScheme, Updates, WebhookBinding
from lifecycle_adapters.webhooks import sign

TIMEOUT_S = 5.0
"""Seconds within which the receiver must respond."""
CONNECTIONS = 20
"""Number of requests that run at the same time."""

_MAX_RESPONSE_BYTES = 65_536  # a response's body is discarded, and may be endless
_TICK_S = 0.001  # a timer may fire one tick of the clock early
_PINGS: Queue = (None, None)


class WebhookSender:
    """The sender of one task store's webhooks. Only the event loop that owns the store may use it.

    `services` are those that send webhooks, by their names. `initial` is the first webhook; with None nothing is sent
    until `set` is called.
    """

    def __init__(self, store: TaskStore, *, services: Mapping[str, Messages], initial: Webhook | None) -> None:
        self.faults: Faults[WebhookFault] = Faults(self._require_message)
        self._services = services
        self._store = store
        self._initial = initial
        self._webhook = initial
        self._messages: deque[SentWebhook] = deque(maxlen=MAX_RECORDED)
        self._numbers = count(1)
        self._run = uuid4().hex  # a journal outlives the emulator, and must not take its next ids for replays
        self._streams: dict[str, list[OpenStream]] = {}  # by service
        self._delayed: dict[Queue, SentWebhook] = {}  # the message that waits for the next one
        self._last: dict[Queue, asyncio.Task[None]] = {}  # the sending that the next one waits for
        self._sending: set[asyncio.Task[None]] = set()
        self._client: httpx2.AsyncClient | None = None
        store.observer = self

    @property
    def webhook(self) -> Webhook | None:
        """Return the present webhook; None if nothing is sent."""
        return self._webhook

    def set(self, webhook: Webhook | None) -> None:
        """Replace the webhook and send it a ping; None stops sending."""
        self._webhook = webhook
        self.start()

    def start(self) -> None:
        """Send each different ping, and schedule the due events in the running event loop."""
        if self._webhook is not None:
            pings = {each.ping: each.webhooks for each in self._services.values() if each.ping and each.webhooks}
            for ping, webhooks in pings.items():
                self._send(self._open(ping(self._time()), webhooks))
            self.schedule_all()

    def schedule_all(self) -> None:
        """Apply the due events, and schedule the next ones; called after the clock was advanced."""
        for task in self._store.tasks():
            self.scheduled(task)

    def scheduled(self, task: EmulatedTask) -> None:
        """Update the task at its due time, so that its change is pushed even if no client reads the task."""
        is_pushed = self._webhook is not None or self._streams_about(task) or self._recipients(task)
        if task.due_s < inf and is_pushed:
            due_in_s = max(task.due_s - self._store.clock.now_s(), 0.0)
            asyncio.get_running_loop().call_later(due_in_s + _TICK_S, self._store.find, task.id)

    def changed(self, task: EmulatedTask) -> None:
        """Push that a task was created or changed its state."""
        service = self._services.get(task.api)
        if service is None:
            return
        recipients: list[Recipient | OpenStream | None] = [*self._recipients(task)]
        if self._webhook is not None:
            recipients.append(None)
        self._push(task, service, service.webhooks, recipients)
        self._push(task, service, service.stream, self._streams_about(task))

    def _streams_about(self, task: EmulatedTask) -> list[OpenStream]:
        return [each for each in self._streams.get(task.api, ()) if each.is_about(task)]

    def _push(
        self,
        task: EmulatedTask,
        service: Messages,
        updates: Updates | None,
        recipients: Sequence[Recipient | OpenStream | None],
    ) -> None:
        if updates is None or not recipients:
            return
        status = service.status(task.state, updates.channel)
        if not task.transitions and status == task.state:
            return  # a creation is sent only if the channel has a name of its own for the initial state
        body = service.document(updates, task, status, self._time(task.state_since_s))
        for recipient in recipients:
            if isinstance(recipient, OpenStream):
                recipient.unsent += 1
            self._dispatch(self._open(body, updates, task, status, recipient))

    async def events_of(self, api: str, tasks: Sequence[EmulatedTask] | None) -> AsyncGenerator[Any]:
        """Open a stream of some tasks, or of all tasks of a service (None), and yield the documents of its events.

        The first event of a task's stream shows the task as it is, unless the service has subscriptions.
        """
        service, stream = self._services.get(api), OpenStream(tasks)
        if tasks is not None and service is not None and service.stream is not None:
            stream.put(self._first_event(tasks, service, service.stream))
            if service.subscription is not None:
                self._end_at_rest(stream, service)
        streams = self._streams.setdefault(api, [])
        streams.append(stream)
        for each in self._store.tasks() if tasks is None else tasks:
            self.scheduled(each)
        try:
            async for document in stream.documents():
                yield document
        finally:
            stream.is_over = True
            streams.remove(stream)

    def _first_event(self, tasks: Sequence[EmulatedTask], service: Messages, updates: Updates) -> Any:
        if service.subscription is not None:
            return service.subscription.begin(tasks)
        (task,) = tasks
        if service.stream_begin is not None:
            return service.stream_begin(task, self._store.clock)
        at = self._time(task.state_since_s)
        return service.document(updates, task, service.status(task.state, updates.channel), at)

    def end_streams(self) -> None:
        """End every stream, as a server does that shuts down."""
        for api, streams in self._streams.items():
            for each in streams:
                self._end(each, self._services.get(api))

    def _recipients(self, task: EmulatedTask) -> Sequence[Recipient]:
        service = self._services.get(task.api)
        return () if service is None or service.recipients is None else service.recipients(task)

    def _dispatch(self, message: SentWebhook) -> None:
        """Send a message, with the fault that is armed for it."""
        delayed = self._delayed.pop(message.queue, None)
        if delayed is not None:
            self._send(message)
            self._send(delayed)
            return
        fault = self.faults.pop(message)
        message.fault = None if fault is None else fault.kind
        if fault is None:
            self._send(message)
        elif fault.kind is WebhookFaultKind.DOUBLED:
            self._send(message, times=2)
        elif fault.kind is WebhookFaultKind.OUT_OF_ORDER:
            self._delayed[message.queue] = message
        elif fault.kind is WebhookFaultKind.LATE:
            self._start_sending(self._send_late(message, fault.seconds))
        else:
            if fault.kind is WebhookFaultKind.CUT and isinstance(message.recipient, OpenStream):
                message.recipient.end()
            self._finish(message, is_lost=True)

    def messages(self) -> Iterator[SentWebhook]:
        """Return copies of the messages, oldest first; a message may still change while it is sent."""
        return iter([replace(each, attempts=list(each.attempts)) for each in self._messages])

    def reset(self) -> None:
        """Remove every message and fault, and restore the initial webhook."""
        for sending in self._sending:
            sending.cancel()
        self.faults.clear()
        self._messages.clear()
        self._delayed.clear()
        self.end_streams()
        self._streams.clear()
        self._webhook = self._initial

    async def close(self) -> None:
        """Cancel every sending in this event loop, and close the HTTP client."""
        sending = list(self._sending)
        for each in sending:
            each.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        self._last.clear()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _open(
        self,
        body: Any,
        updates: Updates,
        task: EmulatedTask | None = None,
        status: str | None = None,
        recipient: Recipient | OpenStream | None = None,
    ) -> SentWebhook:
        message = SentWebhook(
            number=next(self._numbers),
            api=None if task is None else task.api,
            task=None if task is None else task.id,
            status=status,
            body=body,
            channel=updates.channel,
            signature=updates.signature if isinstance(updates, WebhookBinding) else None,
            recipient=recipient,
        )
        self._messages.append(message)
        return message

    def _time(self, at_s: float | None = None) -> str:
        clock = self._store.clock
        return moment(clock.at(clock.now_s() if at_s is None else at_s))

    def _require_message(self, fault: WebhookFault) -> None:
        """Raise UnknownName if a fault can match no message, because an API or a status is unknown.

        Raise ValueError if it is to cut a stream, and there is none.
        """
        if fault.api not in (None, *self._services):
            raise UnknownName("service", fault.api, known=self._services, where="emulator")
        sent = [each for api, each in self._services.items() if fault.api in (None, api)]
        statuses = [status for each in sent for status in each.statuses()]
        require_known("status", fault.status, dict.fromkeys(statuses), fault.api)
        channels = dict.fromkeys(channel for each in sent for channel in each.channels)
        require_known("channel", fault.channel, channels, fault.api)
        streams = [each.stream.channel for each in sent if each.stream is not None]
        if fault.kind is WebhookFaultKind.CUT and not any(fault.channel in (None, each) for each in streams):
            raise ValueError("only a stream can be cut, and the emulator has none with this api and channel")

    # --- sending ---

    def _send(self, message: SentWebhook, *, times: int = 1) -> None:
        """Send a message after the previous one to the same recipient, or after the ping."""
        queue = message.queue
        before = self._last.get(queue) or self._last.get(_PINGS)
        sending = self._last[queue] = self._start_sending(self._send_after(before, message, times))
        sending.add_done_callback(lambda _: self._forget(queue, sending))

    def _forget(self, queue: Queue, sending: asyncio.Task[None]) -> None:
        if self._last.get(queue) is sending:
            del self._last[queue]

    def _start_sending(self, sending: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)
        return task

    async def _send_after(self, before: asyncio.Task[None] | None, message: SentWebhook, times: int) -> None:
        if before is not None:
            await asyncio.wait([before])
        for _ in range(times):
            await self._try(message)
        self._finish(message)

    async def _send_late(self, message: SentWebhook, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._try(message)
        self._finish(message)

    def _finish(self, message: SentWebhook, *, is_lost: bool = False) -> None:
        """Note that a message will not be sent again; end a task's stream after the last one, if it is at rest."""
        message.is_over = True
        stream = message.recipient
        if isinstance(stream, OpenStream):
            stream.unsent -= 1
            if not is_lost and not stream.unsent:
                self._end_at_rest(stream, self._services[str(message.api)])

    def _end_at_rest(self, stream: OpenStream, service: Messages) -> None:
        """End a stream if its tasks are settled; with subscriptions only if they are over, and with a last event."""
        if stream.tasks is None:
            return
        present = [task for task in (self._store.find(each.id) for each in stream.tasks) if task is not None]
        has_subscriptions = service.subscription is not None
        if all(each.is_over if has_subscriptions else each.lifecycle.is_settled(each.state) for each in present):
            self._end(stream, service)

    def _end(self, stream: OpenStream, service: Messages | None) -> None:
        if service is not None and service.subscription is not None:
            stream.put(service.subscription.end)
        stream.end()

    async def _try(self, message: SentWebhook) -> None:
        webhook, own = self._webhook, message.recipient
        if isinstance(own, OpenStream):
            at, is_sent = datetime.now(UTC), own.put(message.body)
            message.attempts.append(Attempt(at, 200) if is_sent else Attempt(at, error="StreamEnded"))
            return
        if webhook is None and own is None:
            return  # `set(None)` was called meanwhile
        for pause_s in (0.0, *(RETRY_AFTER_S if own or not webhook else webhook.retry_after_s)):
            await asyncio.sleep(pause_s)
            if own is not None and not self._is_present(own, message):
                return
            # Sign with the real time even if the emulator's clock was advanced, because the receiver's clock was not.
            at = datetime.now(UTC)
            content = json.dumps(message.body).encode()
            to = own or self._signed(cast("Webhook", webhook), content, message, at)
            attempt = await self._post(to, content, at)
            message.attempts.append(attempt)
            if attempt.status_code is not None and 200 <= attempt.status_code < 300:
                return

    def _is_present(self, recipient: Recipient, message: SentWebhook) -> bool:
        """Return whether a recipient of a task's own has not been removed."""
        task = self._store.find(str(message.task))
        return task is not None and recipient in self._recipients(task)

    def _signed(self, webhook: Webhook, content: bytes, message: SentWebhook, at: datetime) -> Recipient:
        """Return the emulator's webhook as a recipient of this message, whose headers prove the sender."""
        scheme = cast("Scheme", message.signature)
        is_known_by_id = isinstance(scheme, SignatureScheme) and scheme.id_header is not None
        # The id is the same whenever the message is sent again.
        delivery_id = f"msg_{self._run}_{message.number}" if is_known_by_id else None
        secret = webhook.secret.get_secret_value()
        return Recipient(str(webhook.url), sign(content, scheme, secret=secret, sent_at=at, delivery_id=delivery_id))

    async def _post(self, to: Recipient, content: bytes, at: datetime) -> Attempt:
        if self._client is None:
            timeout = httpx2.Timeout(TIMEOUT_S, pool=None)
            limits = httpx2.Limits(max_connections=CONNECTIONS)
            self._client = httpx2.AsyncClient(timeout=timeout, limits=limits, trust_env=False)
        headers = {"Content-Type": "application/json", **to.headers}
        try:
            # A redirect is not followed: it is not 2xx.
            async with self._client.stream("POST", to.url, content=content, headers=headers) as response:
                left_bytes = _MAX_RESPONSE_BYTES
                async for piece in response.aiter_raw():  # a connection is reused only if its response was read
                    left_bytes -= len(piece)
                    if left_bytes < 0:
                        break
                return Attempt(at, response.status_code)
        except Exception as error:  # noqa: BLE001 (a URL that cannot be requested, a redirect to an invalid one)
            return Attempt(at, error=type(error).__name__)
