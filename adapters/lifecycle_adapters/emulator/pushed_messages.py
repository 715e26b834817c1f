"""The messages that the emulator pushes, in webhooks and in streams, with their receivers and their faults. Data only.

The contents of a message follow from the `webhooks` or the `stream` of the service's binding, or from its profile.
webhook_sender.py sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BeforeValidator,
    Field,
    InstanceOf,
    SecretStr,
    model_validator,
)

from lifecycle.conformance import Channel
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.emulator.control_models import ControlModel
from lifecycle_adapters.emulator.faults import (
    KIND,
    SECONDS,
    SERVICE,
    TASK,
    TIMES,
    Seconds,
    Text,
    Times,
    fault_kind,
    require_effect,
)
from lifecycle_adapters.emulator.profile import Recipient, Subscription, View
from lifecycle_adapters.emulator.shapes import PlainId, utf_8
from lifecycle_adapters.emulator.task_store import EmulatedTask
from lifecycle_adapters.http.responses import placed
from lifecycle_adapters.http.stream_binding import StreamBinding
from lifecycle_adapters.http.webhook_binding import Scheme, Updates, WebhookBinding

RETRY_AFTER_S = (0.1, 0.5, 2.0)
"""The pauses before a message is sent again, unless a webhook has its own."""


def _without_user(url: AnyHttpUrl) -> AnyHttpUrl:
    if url.username is not None or url.password is not None:
        raise ValueError("must hold no user and no password: it is shown in messages")
    return url


def _in_utf_8(secret: SecretStr) -> SecretStr:
    utf_8(secret.get_secret_value())
    return secret


_Url = Annotated[
    AnyHttpUrl, AfterValidator(_without_user), Field(description="a URL that begins with http:// or https://")
]
_Delays = Annotated[tuple[Seconds, ...], Field(description=f"a list of which each is {SECONDS}")]


class WebhookTarget(ControlModel):
    """The URL that messages are sent to, and the retry delays: the part of a webhook that is not secret."""

    url: _Url
    retry_after_s: _Delays = RETRY_AFTER_S


class Webhook(WebhookTarget):
    """The URL that messages are sent to, the retry delays, and the secret that signs the messages.

    A message whose response is not 2xx is sent again after each delay of `retry_after_s` (seconds) in turn.
    """

    url: _Url  # again, with its neighbour: Sphinx cannot import the fields that a model inherits
    retry_after_s: _Delays = RETRY_AFTER_S
    secret: Annotated[
        SecretStr, Field(min_length=1), AfterValidator(_in_utf_8), Field(description="text, at least one character")
    ]


class WebhookFaultKind(StrEnum):
    """The effect of a fault on a message."""

    LATE = "late"  # the message is sent some seconds later, after messages of later changes
    DOUBLED = "doubled"  # the message is sent twice
    OUT_OF_ORDER = "out_of_order"  # the message waits for the task's next message and is sent after it
    LOST = "lost"  # the message is not sent
    CUT = "cut"  # the stream ends instead of the message; a webhook cannot be cut


_USED_BY: dict[WebhookFaultKind, frozenset[str]] = {
    kind: frozenset({"seconds"} if kind is WebhookFaultKind.LATE else ()) for kind in WebhookFaultKind
}


class WebhookFault(ControlModel):
    """A fault and its filter: it matches the messages that agree with every given field.

    `task` is a task's id, `status` the status in the message, `channel` the channel of its service's webhooks
    ("webhook") or streams ("stream"). `times` is the number of messages to inject it into.
    `late` needs `seconds`, the delay, and no other kind takes it.
    """

    kind: Annotated[WebhookFaultKind, BeforeValidator(partial(fault_kind, WebhookFaultKind)), Field(description=KIND)]
    api: Annotated[Text | None, Field(description=SERVICE)] = None
    task: Annotated[PlainId | None, Field(description=TASK)] = None
    status: Annotated[Text | None, Field(description="a status in messages, such as 'started'")] = None
    channel: Annotated[Text | None, Field(description="the name of a channel, such as 'webhook'")] = None
    times: Annotated[Times, Field(description=TIMES)] = 1
    seconds: Annotated[Seconds, Field(description=SECONDS)] = 0.0

    @model_validator(mode="after")
    def _has_its_effect(self) -> Self:
        require_effect(self, self.kind, _USED_BY)
        return self

    def matches(self, message: SentWebhook) -> bool:
        """Return whether the fault matches the message."""
        return (
            self.api in (None, message.api)
            and self.task in (None, message.task)
            and self.status in (None, message.status)
            and self.channel in (None, message.channel)
            and (self.kind is not WebhookFaultKind.CUT or isinstance(message.recipient, OpenStream))
        )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request. `status_code` is the response's; without a response, `error` is the name of the exception."""

    at: datetime
    status_code: int | None = None
    error: str | None = None


class OpenStream:
    """One open stream: the documents of the events that its reader has not got yet, until it ends.

    `tasks` are the tasks that it is about, None if it is about all tasks of its service.
    """

    def __init__(self, tasks: Sequence[EmulatedTask] | None) -> None:
        self.tasks = tasks
        self.is_over = False
        self.unsent = 0  # messages that are on their way
        self._documents: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, document: Any) -> bool:
        """Add an event; return whether the stream was open."""
        if not self.is_over:
            self._documents.put_nowait(document)
        return not self.is_over

    def is_about(self, task: EmulatedTask) -> bool:
        """Return whether it has the changes of a task."""
        return self.tasks is None or any(each is task for each in self.tasks)

    def end(self) -> None:
        """End the stream after the last event."""
        self.put(_END)
        self.is_over = True

    async def documents(self) -> AsyncGenerator[Any]:
        """Yield the documents of the events."""
        while (document := await self._documents.get()) is not _END:
            yield document


_END: Any = object()
Queue = tuple[str | None, str | OpenStream | None]
"""A task and its own recipient: messages with equal ones are sent one after the other."""


@dataclass(slots=True)
class SentWebhook:
    """One message: its task and status, its body, and its attempts.

    `number` counts from 1. `channel` says whether it is a webhook or an event of a stream, whose one attempt counts as
    200 if the stream was open. `api`, `task` and `status` are None for the ping. `fault` is the kind of the injected
    fault, or None. `is_over` is true once the message will not be sent again.
    """

    number: int
    api: str | None
    task: str | None
    status: str | None
    body: Any
    fault: WebhookFaultKind | None = None
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    is_over: bool = False
    channel: str = str(Channel.WEBHOOK)
    signature: Annotated[Scheme | None, Field(exclude=True)] = field(default=None, kw_only=True)
    recipient: Annotated[Recipient | InstanceOf[OpenStream] | None, Field(exclude=True)] = field(
        default=None, kw_only=True
    )

    @property
    def queue(self) -> Queue:
        """Return the task and its own recipient, both None for the ping."""
        return self.task, self.recipient.url if isinstance(self.recipient, Recipient) else self.recipient


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one service; `webhooks` or `stream` is None if it sends none, or has no documents for them.

    `document` returns the document of a change: it is called with one of the two, a task, its status and the time of
    its change. `stream_begin` is called with a task and the clock, for the first event of a stream (default:
    `document`); `ping` with the time; `recipients` with a task: they receive its webhooks beside the one webhook.
    `subscription` is the profile's.
    """

    lifecycle: Lifecycle[Any, Any]
    webhooks: WebhookBinding | None
    stream: StreamBinding | None
    document: Callable[[Updates, EmulatedTask, str, str], Any]
    stream_begin: View | None = None
    subscription: Subscription | None = None
    ping: Callable[[str], Any] | None = None
    recipients: Callable[[EmulatedTask], Sequence[Recipient]] | None = None

    @property
    def channels(self) -> list[str]:
        """Return the channels of the webhooks and of the streams."""
        return [each.channel for each in (self.webhooks, self.stream) if each is not None]

    def status(self, state: str, channel: str) -> str:
        """Return the status of a state in a channel, independent of the emulated task's lifecycle."""
        aliases = (each for each in self.lifecycle.aliases if each.channel == channel and each.state == state)
        return next((alias.status for alias in aliases), str(state))

    def statuses(self) -> list[str]:
        """Return the statuses of all states, in all channels."""
        return [self.status(state.name, channel) for state in self.lifecycle.states for channel in self.channels]


def document_of(binding: Updates, task: EmulatedTask, status: str, at: str) -> Any:
    """Return the document of a task's change that follows from a binding alone, with each value in its field."""
    document: Any = {}
    for path, value in (
        (binding.kind_field, next(iter(binding.kinds), "status")),
        (binding.time_field, at),
        (binding.task_field, task.id),
        (binding.status_field, status),
    ):
        document = document if path is None else placed(document, path, value)
    return document
