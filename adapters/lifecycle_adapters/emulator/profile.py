"""Profiles: the behaviour of an emulated service beyond its binding, as data and pure functions.

A binding alone makes an emulator; a profile adds what the real service also has: views, request models, texts of
errors, filters of lists. Every field has a default that follows from the binding. The profiles of the built-in services
are beside their bindings in services/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter
from typing import Any, Protocol
from uuid import uuid4

from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import require, require_boolean, require_number
from lifecycle_adapters.emulator.script import require_events
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.call import Call

View = Callable[[EmulatedTask, EmulatedClock], Any]
"""A function that returns the JSON document which shows a task; the clock turns seconds into dates."""


class Tasks(Protocol):
    """The tasks of all services of the emulator, for reading only."""

    def find(self, task_id: str, *, api: str | None = None) -> EmulatedTask | None:
        """Return a task in its present state, or None."""
        ...

    def tasks(self, api: str | None = None) -> list[EmulatedTask]:
        """Return the tasks in their present states, newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """The response to a call that the service does not carry out: a status code and a JSON document."""

    status_code: int
    document: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to be created.

    `given` is kept for the views. `script` holds the remote events that it takes by itself; with None they follow from
    its lifecycle (`default_script`). `parent` is the session that it runs in, or the one to be created for it. When a
    session ends, its tasks take the event `ends_children_by`, none if it is "". With `after_children` its script runs
    only once it had tasks and all of them ended.
    """

    given: Mapping[str, Any]
    script: tuple[str, ...] | None = None
    parent: EmulatedTask | NewTask | None = None
    ends_children_by: str = ""
    after_children: bool = False

    def __post_init__(self) -> None:
        require(self.given, Mapping, "given must be a mapping of the fields that views show")
        if self.script is not None:
            require_events(self.script)
        require(self.ends_children_by, str, "ends_children_by must be text")
        require_boolean(self.after_children, "after_children")


@dataclass(frozen=True, slots=True)
class Happens:
    """A consequence: a task takes an event, if its state allows it."""

    task: EmulatedTask
    event: str


@dataclass(frozen=True, slots=True)
class Starts:
    """A consequence: a task of this id is created in a service."""

    api: str
    task_id: str
    plan: NewTask


@dataclass(frozen=True, slots=True)
class Vanishes:
    """A consequence: a task is not found any more."""

    task: EmulatedTask


@dataclass(frozen=True, slots=True)
class Keeps:
    """A consequence: a task keeps these fields, as if its create had given them."""

    task: EmulatedTask
    fields: Mapping[str, Any]


Consequence = Happens | Starts | Vanishes | Keeps


@dataclass(frozen=True, slots=True)
class Outcome:
    """The document of a response, which the status code 204 leaves out, and what follows from the call elsewhere."""

    document: Any
    consequences: Sequence[Consequence] = ()


@dataclass(frozen=True, slots=True)
class Recipient:
    """A receiver of one task's webhooks: its URL, and the headers that it asked for, which prove the sender to it."""

    url: str
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUpdate:
    """The changes of an applied command beside the state: fields that views show, and the script unless it is None."""

    given: Mapping[str, Any] = field(default_factory=dict[str, Any])
    script: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require(self.given, Mapping, "given must be a mapping of the fields that views show")
        if self.script is not None:
            require_events(self.script)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call in the OpenAPI document, and the parts of its requests that FastAPI validates.

    `name` and `about` are its name and its description. `response` is the type of a successful response, whose status
    code is `status_code`; `errors` are the other status codes, to which 401 and 422 are added. `body` is the type of
    the JSON body and `default` its value if there is none; without a type any body is accepted. `query` maps further
    query parameters to their types and defaults.
    """

    name: str
    about: str
    response: Any = None
    status_code: int = 200
    errors: Sequence[int] = ()
    body: Any = None
    default: Any = Parameter.empty
    query: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCall:
    """A call that is in no binding, because it is about no task and no session.

    `respond` is called with all tasks, the clock, and what FastAPI validated by name (in an envelope the caller's
    fields by their names); it returns the outcome. An open call needs no key. A call that shares the method and the
    path of a call of the binding is known by the texts at the top of its body, such as the method of JSON-RPC; the
    route, its documentation and its key are then those of the binding's call.
    """

    call: Call
    operation: Operation
    respond: Callable[..., Outcome | Refusal]
    is_open: bool = False

    def __post_init__(self) -> None:
        require_boolean(self.is_open, "is_open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """The streams of a service whose caller lists, in the body of its request, the tasks that one is about.

    `task_ids` returns the ids in such a body; those of no task are ignored. `begin` is called with the tasks and
    returns the document of the first event. `end` is that of the last one, after which the service ends the stream,
    because all its tasks are over. `event` is called with a document and the body, and returns what is sent.
    """

    task_ids: Callable[[Any], Sequence[str]]
    begin: Callable[[Sequence[EmulatedTask]], Any]
    end: Any
    event: Callable[[Any, Any], Any]


def new_uuid() -> str:
    """Return a random UUID."""
    return str(uuid4())


def field_error(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return one of FastAPI's validation errors for a response: its location, a message, and its type."""
    return {"loc": list(error["loc"]), "msg": error["msg"], "type": error["type"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The behaviour of an emulated service beyond its binding. Every field can be left out.

    Attributes:
        statuses: the value of the status field in each state, by the states' names; default: the name. If the binding
            has a `state_of`, which cannot be inverted, it is needed for every state but those that a status code means:
            {"done": {"done": True, "error": None}}.
        page_size: the number of tasks on a page of a list without `listed`.
        parameter: the name of the task's id in the paths of the OpenAPI document.
        parameter_types: the types that the binding's own parameters in paths must have, by their names; default: `str`.
        missing: called with these parameters and all tasks; returns the refusal of a list or a create if what the
            parameters name does not exist. Default: it exists.
        id_type: the type that ids in requests must have, `str` or `UUID`; another id is a 422.
        new_id: returns a new id.
        id_in_create: True if a create's body may name the new task, at the binding's `id_field`. A name that another
            task of the emulator has, also under other parameters of the path, is a 409: control calls know tasks by
            their ids alone.
        not_found: the text of a 404.
        handshake: fields of the response to a handshake beside those that the binding expects, or instead of them.
        webhook: called with a task, its status and the clock; returns the document of the webhook, and of
            the event in its stream. Default: the fields that the binding's `webhooks` or `stream` names; with an
            `update_of`, which cannot be inverted, nothing is sent.
        optional: paths to parts of the binding's bodies that a request may leave out, such as "configuration".
        waits: called with the JSON of a create's or a command's body; returns whether the response waits until the task
            is settled. Default: it does not.
        unsupported: called with the headers and the JSON of a request; returns the refusal of one that the service does
            not support, such as one of another version. Default: there is none.
        recipients: called with a task; returns who receives its webhooks beside the one webhook of the emulator.
            Default: nobody.
        streaming: by further paths, the paths of creates and commands whose requests they take, too: the response is
            then the stream of the task. So it is by further texts at the top of a body, such as methods of JSON-RPC.
        stream_begin: called with a task and the clock; returns the document of the first event of its stream. Default:
            that of its present status, as `webhook` returns it.
        subscription: how a stream is opened and ended if its caller lists the tasks that it is about. Default: it is
            about the task that the call names, and ends with it.
        ping: called with the time; returns the document that is sent when a webhook is set. Default: there is none.
        operations: the documentation of each call, by its name (create, status, details, list, a command, or one of
            `further`).
        own_calls: calls that are in no binding.
        new: called with the create's body (as the operation's `body` makes it, otherwise its JSON), all tasks, and the
            binding's parameters in the path; returns the task.
        causes: called with a task that was created or has just taken its last transition, and all tasks as they were at
            that time; returns what follows from it elsewhere.
        further: by the name of a call (events, a further call, "session", "session NAME"), called with its task, or
            with the session's id, all tasks, the clock, and what FastAPI validated by name (in an envelope the caller's
            fields by their names, of which a wrong one is a ValueError); returns its outcome.
        created: the response of a create.
        status: the response of a status call.
        details: the response of a details call.
        listed: called with all tasks of the service, newest first, the clock, and the query parameters of the
            operation by name; returns the response of the list.
        commanded: the response of a command, or one for each of some commands. Default: `details`.
        changed: called with an applied command, its task and its body; returns the changes beside the state.
        refused: called with the lifecycle, a task and a command that was not applied; returns the refusal, or None if
            the command succeeds all the same. Default: a redundant command succeeds, another one is a 409.
        error: called with the text and the status code of an error; returns its document. Default: the text in the
            binding's field, otherwise `{"detail": text}`.
        error_codes: the status codes of responses with an error in the binding's `error_field`, by what the error
            means, such as 404; the default is 200.
        omits_unread: True if a response in an envelope leaves out what could not be read of its request, such as the id
            of JSON-RPC. Default: it is null.
        shown_error: called with one of FastAPI's validation errors; returns its form in a 422.
    Raises:
        TypeError: a field has the wrong type.
        ValueError: `page_size` is less than 1.
    """

    statuses: Mapping[str, Any] = field(default_factory=dict[str, Any])
    page_size: int = 20
    parameter: str = "task_id"
    parameter_types: Mapping[str, Any] = field(default_factory=dict[str, Any])
    missing: Callable[[Mapping[str, str], Tasks], Refusal | None] | None = None
    id_type: Any = str
    new_id: Callable[[], str] = new_uuid
    id_in_create: bool = False
    not_found: str = "Task not found"
    handshake: Mapping[str, Any] = field(default_factory=dict[str, Any])
    webhook: Callable[[EmulatedTask, str, EmulatedClock], Any] | None = None
    optional: Sequence[str] = ()
    waits: Callable[[Any], bool] | None = None
    unsupported: Callable[[Mapping[str, str], Any], Refusal | None] | None = None
    recipients: Callable[[EmulatedTask], Sequence[Recipient]] | None = None
    streaming: Mapping[str, str] = field(default_factory=dict[str, str])
    stream_begin: View | None = None
    subscription: Subscription | None = None
    ping: Callable[[str], Any] | None = None
    operations: Mapping[str, Operation] = field(default_factory=dict[str, Operation])
    own_calls: Sequence[OwnCall] = ()
    new: Callable[[Any, Tasks, Mapping[str, str]], NewTask | Refusal] | None = None
    causes: Callable[[EmulatedTask, Tasks], Sequence[Consequence]] | None = None
    further: Mapping[str, Callable[..., Outcome | Refusal]] = field(
        default_factory=dict[str, Callable[..., "Outcome | Refusal"]]
    )
    created: View | None = None
    status: View | None = None
    details: View | None = None
    listed: Callable[..., Any] | None = None
    commanded: View | Mapping[str, View] | None = None
    changed: Callable[[str, EmulatedTask, Any], TaskUpdate] | None = None
    refused: Callable[[Lifecycle[Any, Any], EmulatedTask, str], Refusal | None] | None = None
    error: Callable[[str, int], Any] | None = None
    error_codes: Mapping[int, int] = field(default_factory=dict[int, int])
    omits_unread: bool = False
    shown_error: Callable[[Mapping[str, Any]], Mapping[str, Any]] = field_error

    def __post_init__(self) -> None:
        require_number(self.page_size, "page_size", kind=int, at_least=1)
        for name in ("id_in_create", "omits_unread"):
            require_boolean(getattr(self, name), name)
        for name in ("parameter", "not_found"):
            require(getattr(self, name), str, f"{name} must be text")
        for name in ("statuses", "parameter_types", "handshake", "streaming", "operations", "further"):
            require(getattr(self, name), Mapping, f"{name} must be a mapping")
        for name in ("new_id", "shown_error"):
            require(getattr(self, name), Callable, f"{name} must be a function")
        for name in _FUNCTIONS:
            require(getattr(self, name), Callable | None, f"{name} must be a function or None")
        require(self.commanded, Callable | Mapping | None, "commanded must be a function, or several by command")


_FUNCTIONS = (
    "missing", "webhook", "waits", "unsupported", "recipients", "stream_begin", "ping", "new", "causes", "created",
    "status", "details", "listed", "changed", "refused", "error",
)  # fmt: skip
