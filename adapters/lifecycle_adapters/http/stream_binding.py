"""A service's streams, as data: the call that opens one, and the fields of its events.

A stream is a response that does not end: server-sent events (WHATWG, HTML, 9.2), each with a JSON document as its data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from lifecycle.conformance import Channel
from lifecycle.declaration import StrictText
from lifecycle_adapters.http.call import CALL, Call, wrong_read
from lifecycle_adapters.http.declared import Mistake
from lifecycle_adapters.http.webhook_binding import Updates


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBinding(Updates):
    """The streams of one service: the call that opens the stream of a task, and the fields of its events (`Updates`).

    `call` is repeated after each end of a stream, until the task is over. Events that arrived in between are lost.
    A call that names no task opens one stream with the events of all tasks.

    Raises:
        DefinitionError: a field is of another type; there are neither both of `task_field` and `status_field` nor
            `update_of`, or all of them; a field is not a path; there are `kinds` or `session_kinds` without
            `kind_field`; there is only one of `session_field` and `session_kinds`; a kind is one of both; or the call
            is not a read, or says where a status is.
    """

    call: Annotated[Call, Field(description=CALL)]
    channel: Annotated[StrictText, Field(description="the name of a channel, as text such as 'stream'")] = str(
        Channel.STREAM
    )

    def __post_init__(self) -> None:
        self._examine("stream", str(getattr(self.call, "path", self.call)))

    @property
    def is_of_all_tasks(self) -> bool:
        """Return whether one stream has the events of all tasks."""
        return not self.call.names_a_task()

    def _mistakes(self) -> Iterator[Mistake]:
        """Yield the mistakes in fields that are of the right types."""
        yield from Updates._mistakes(self)
        yield from wrong_read(("call",), self.call)
        if self.call.status_field is not None or self.call.statuses:
            yield ("call",), "must say nothing of a status: the events have it"
