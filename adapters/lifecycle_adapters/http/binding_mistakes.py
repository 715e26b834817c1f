"""The rules that a binding keeps beyond the types of its fields, and what breaks them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lifecycle.conformance import Channel
from lifecycle.declaration import Path
from lifecycle.errors import UnknownName, nearest
from lifecycle.partial import NotKnown, as_far_as_known, known_items
from lifecycle_adapters.http.authentication import HEADER_NAME, wrong_headers, wrong_server
from lifecycle_adapters.http.call import Call, wrong_etag, wrong_read
from lifecycle_adapters.http.declared import Mistake, wrong_path
from lifecycle_adapters.http.handshake import Handshake
from lifecycle_adapters.http.requests import (
    ETAG,
    ID,
    ID_WITH_SLASHES,
    IDEMPOTENCY_KEY,
    PLACEHOLDER,
    is_changed_when_sent,
    is_parameter,
    parameters_of,
)

if TYPE_CHECKING:
    from lifecycle_adapters.http.binding import HttpBinding


def wrong_further_calls(calls: Mapping[str, Call]) -> Iterator[Mistake]:
    """Yield the mistakes in calls that have no part in a lifecycle."""
    for name in calls:
        yield from as_far_as_known(_wrong_further_call(name, calls))


def _wrong_further_call(name: str, calls: Mapping[str, Call]) -> Iterator[Mistake]:
    where: Path = ("further_calls", name)
    if not name.isidentifier():
        yield where, f"{name!r} is not a name such as 'delete'"
    call = calls[name]
    if call.status_field is not None or call.statuses:
        yield where, "must say nothing of a status: a call that changes one is a command"
    if not call.names_a_task():
        yield where, f"{call.name} does not say what it is about: put {ID!r} where the id stands"
    if call.has_idempotency_key():
        yield where, f"must be without {IDEMPOTENCY_KEY!r}: no journal records the call"
    yield from wrong_etag(where, call)


_CALLS = ("create", "listing", "events", "status", "details", "commands", "further_calls", "stream", "handshake")
"""The fields of a binding that have calls."""


def calls_of(binding: HttpBinding[Any, Any]) -> dict[Path, Call]:
    """Return every call of a binding, with its path in it."""
    return {path: call for name in _CALLS for path, call in _calls_in(name, getattr(binding, name)).items()}


def _calls_in(name: str, value: Any) -> dict[Path, Call]:
    match value:
        case None:
            return {}
        case Call():
            return {(name,): value}
        case Handshake():
            return {(name, *path): call for path, call in value.calls().items()}
        case Mapping():
            return {(name, str(each)): call for each, call in cast("Mapping[str, Call]", value).items()}
        case _:
            return {(name, "call"): value.call}


def _known_calls(binding: HttpBinding[Any, Any]) -> dict[Path, Call]:
    """Return the calls of a binding but the broken ones, and those in broken fields."""
    known: dict[Path, Call] = {}
    for name in _CALLS:
        with suppress(NotKnown):
            value: Any = getattr(binding, name)
            if isinstance(value, Mapping):
                known |= _calls_in(name, dict(known_items(cast("Mapping[str, Call]", value))))
            else:
                known |= _calls_in(name, value)
    return known


def mistakes_in(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    """Yield every mistake in a binding whose fields are of the right types.

    If some are not, yield the mistakes that do not depend on them: each rule runs until it reads a broken field.
    """
    for rule in _RULES:
        yield from as_far_as_known(rule(binding))
    for name in _PATHS:
        yield from as_far_as_known(_wrong_field(binding, name))


def _wrong_field(binding: HttpBinding[Any, Any], name: str) -> Iterator[Mistake]:
    yield from wrong_path((name,), getattr(binding, name))


def _wrong_events(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.events is not None and binding.events.pages == "last_ids" and binding.events.id_field is None:
        yield ("events", "id_field"), "must be given if `pages` is 'last_ids': say where an event has its id"


def _wrong_session(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.session is not None and binding.session.base_url != binding.base_url:
        servers = f"is at {binding.session.base_url}, and this binding at {binding.base_url}"
        yield ("session",), f"{servers}: one client asks one server, so give both its base_url"


def _wrong_channel(binding: HttpBinding[Any, Any], name: str) -> Iterator[Mistake]:
    pushed: Any = getattr(binding, name)
    try:
        binding.lifecycle.statuses(channel=Channel.API if pushed is None else pushed.channel)
    except UnknownName as error:
        yield (name, "channel"), str(error)


def _wrong_state_of(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if inspect.iscoroutinefunction(binding.state_of):
        yield ("state_of",), "must be a function that returns the status, not a coroutine function"


def _wrong_key_variable(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.key_variable is not None and binding.authentication is None:
        yield ("key_variable",), "must be left out: the service asks for no key"


def _wrong_create(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.create.status_field == "" and binding.state_of is None:
        yield ("create", "status_field"), "must be a field or None: the whole response also names the new task"


def _wrong_task_field(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.task_field is not None and binding.task_field.partition(".")[0] in binding.create.own_fields():
        yield ("task_field",), f"{binding.task_field!r} is a field that the create sets itself"


def _wrong_codes(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for code, meaning in binding.error_codes.items():
        if not 400 <= meaning <= 599:
            yield ("error_codes", code), f"{meaning} is not a status code of an error: give one from 400 to 599"
    if binding.error_codes and binding.error_field is None:
        yield ("error_codes",), "must be left out: without `error_field`, status codes say what an error means"


def _wrong_handshake(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.handshake is not None and binding.handshake.ended_code == 404 and binding.envelope is None:
        what = "404 also says that there is no such task, if no envelope has the service's errors: give another code"
        yield ("handshake", "ended_code"), what


def _wrong_sessions(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    session_calls = binding.session_calls
    if session_calls is not None and binding.session is not None:
        yield ("session_calls",), "must be left out: the sessions have a lifecycle, that of `session`"
    if binding.session_field is not None and session_calls is None and binding.session is None:
        yield ("session_field",), "must be left out: there are no sessions"


def _wrong_session_calls(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    session_calls = binding.session_calls
    if session_calls is not None and binding.parameters:
        yield ("session_calls",), "must be left out: the session's id is the only parameter that its paths can have"
    messages = None if session_calls is None else session_calls.messages
    if messages is not None and messages.base_url != binding.base_url:
        yield ("session_calls", "messages"), f"is at {messages.base_url}: one client asks one server"


def _wrong_further_calls(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    yield from wrong_further_calls(binding.further_calls)
    taken = {"create", "status", "details", "list", "events", "stream", "handshake", *map(str, binding.commands)}
    for name in taken.intersection(binding.further_calls):
        yield ("further_calls", name), "is the name of another call"


def _wrong_name(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if not (binding.name and binding.name.isprintable()):
        yield ("name",), f"must be printable text such as 'printer', not {binding.name!r:.80}"


def _wrong_limits(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if "" in binding.limits_tasks:
        yield ("limits_tasks",), "has an empty text, which every response contains"


def _wrong_base_path(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    path = binding.base_path
    if is_changed_when_sent(path):
        yield ("base_path",), f"must have no '//', '/./' or '/../', not {path!r}"
    if not (path.isprintable() and set("?# {}").isdisjoint(PLACEHOLDER.sub("", path))):
        yield ("base_path",), f"must be printable, without '?', '#', space and single braces, not {path!r}"
    if path and (not path.startswith("/") or path.endswith("/")):
        yield ("base_path",), f"must be empty, or begin with '/' and not end with it, not {path!r}"


def _wrong_base_url(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    yield from wrong_server("base_url", binding.base_url, binding.base_path)


def _wrong_servers(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for name, url in binding.servers.items():
        if not name.isidentifier():
            yield ("servers", name), f"{name!r} is not a name such as 'eu'"
        yield from ((("servers", name), message) for _, message in wrong_server("servers", url, binding.base_path))


def _wrong_headers(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    yield from wrong_headers(("headers",), binding.headers)
    for name, text in binding.headers.items():
        if found := PLACEHOLDER.search(text):
            yield (
                ("headers", name),
                f"is sent as it is, with {found[0]!r}: only the headers of a call have placeholders",
            )
    taken = {} if binding.authentication is None else {binding.authentication.header.casefold(): "carries the key"}
    if binding.handshake is not None:
        taken[binding.handshake.header.casefold()] = "is the header of the handshake"
    yield from _taken_headers(("headers",), binding.headers, taken)
    taken |= {name.casefold(): "is sent with every request" for name in binding.headers}
    for where, call in _known_calls(binding).items():
        yield from _taken_headers((*where, "headers"), call.headers, taken)
        yield from _taken_headers((*where, "field_headers"), call.field_headers, taken)


def _wrong_etags(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.etag_header is not None and not HEADER_NAME.fullmatch(binding.etag_header):
        yield ("etag_header",), f"{binding.etag_header!r} cannot be a header's name: give one like 'ETag'"
    if binding.etag_header is not None and binding.etag_field is not None:
        yield ("etag_header",), "must be left out: `etag_field` says where the etag is"


def _wrong_use_of_etags(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    using = [path for path, call in _known_calls(binding).items() if path[0] == "commands" and call.has_etag()]
    if not (binding.etag_field is not None or binding.etag_header is not None):
        for path in using:
            yield (
                path,
                f"has {ETAG!r}, and nothing says where a response has it: give `etag_field` or `etag_header`",
            )
    elif not any(call.has_etag() for call in binding.commands.values()):  # if all are known
        name = "etag_field" if binding.etag_header is None else "etag_header"
        yield (name,), f"must be left out: no command has {ETAG!r}"


def _wrong_outcomes(binding: HttpBinding[Any, Any], command: str) -> Iterator[Mistake]:
    where = ("commands", str(command), "may_report")
    states = [str(each.name) for each in binding.lifecycle.states]
    of_rows = {
        each for row in binding.lifecycle.transitions if row.event == command for each in (row.source, row.target)
    }
    for state in binding.commands[command].may_report:
        if state not in states:
            hint = "" if (meant := nearest(state, states)) is None else f"; did you mean {meant!r}?"
            yield where, f"{state!r} is not a state of {binding.lifecycle.name!r}{hint}"
        elif state in of_rows:
            yield where, f"{state!r} is no other outcome: in it the command can be sent, or a row of it leads there"


def _wrong_parameters(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    used: dict[Path, list[str]] = {
        (*where, "path"): [name for name in parameters_of(call.path) if name not in call.path_fields]
        for where, call in _known_calls(binding).items()
    }
    for where, call in _known_calls(binding).items():
        if call.path_fields and where[0] != "further_calls":
            yield (*where, "path_fields"), "must be empty: only a further call has fields of the caller in its path"
        if both := [name for name in call.path_fields if name in binding.parameters]:
            yield (*where, "path_fields"), f"names {both[0]!r}, which is a parameter of the binding"
    used[("base_path",)] = [found[1:-1] for found in PLACEHOLDER.findall(binding.base_path)]
    for where, names in used.items():
        if strange := [name for name in names if name not in binding.parameters]:
            allowed = ", ".join(map(repr, binding.parameters)) or "there are none"
            place = "" if where == ("base_path",) else f", nor the task's id {ID!r}"
            yield where, f"unknown placeholder '{{{strange[0]}}}': it is not a parameter ({allowed}){place}"
    for name in dict.fromkeys(binding.parameters):
        if not is_parameter(name):
            yield ("parameters",), f"{name!r} cannot be a parameter's name: give one such as 'owner'"
        elif binding.parameters.count(name) > 1:
            yield ("parameters",), f"has {name!r} twice"
        elif binding.calls() and not any(name in names for names in used.values()):  # if all calls are known
            yield ("parameters",), f"{name!r} is in no path: put '{{{name}}}' where it stands, or leave it out"


def _taken_headers(where: Path, headers: Mapping[str, str], taken: Mapping[str, str]) -> Iterator[Mistake]:
    for name in headers:
        if name.casefold() in taken:
            yield (*where, name), f"{name!r} {taken[name.casefold()]}"


def _wrong_commands(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    known, given = [str(each) for each in binding.lifecycle.commands], [str(each) for each in binding.commands]
    for name in given:
        if name not in known:
            hint = "" if (meant := nearest(name, known)) is None else f"; did you mean {meant!r}?"
            yield ("commands", name), f"{name!r} is not a command of {binding.lifecycle.name!r}{hint}"
    if missing := [name for name in known if name not in given]:
        yield ("commands",), f"has no call for {', '.join(map(repr, missing))}"
    for command in binding.commands:
        yield from as_far_as_known(_wrong_outcomes(binding, command))


def _wrong_may_report(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for where, call in _known_calls(binding).items():
        if call.may_report and where[0] != "commands":
            yield (*where, "may_report"), "must be empty: only a command leads to a state"


def _wrong_proofs(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for command in binding.proofs:
        if command not in binding.commands:
            yield ("proofs", str(command)), f"{str(command)!r} is not a command"


def _wrong_read(binding: HttpBinding[Any, Any], name: str) -> Iterator[Mistake]:
    call: Call = getattr(binding, name)
    if call.status_field is None or not (call.status_field or name == "status" or binding.state_of is not None):
        yield (name, "status_field"), "must say where the response has the status"
    yield from wrong_read((name,), call)


def _wrong_statuses_of_reads(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if lacking := [code for code in binding.status.statuses if code not in binding.details.statuses]:
        yield (
            ("details", "statuses"),
            f"must have {lacking[0]}, too: a task at its end is read by both calls",
        )


_MAY_MAKE_NONE = ("create", "commands")


def _divided(binding: HttpBinding[Any, Any]) -> tuple[dict[Path, Call], dict[Path, Call]]:
    """Return the known calls about one task, and those about none."""
    calls = _known_calls(binding)
    none = {path: call for path, call in calls.items() if path[0] in ("create", "listing", "handshake")}
    return {path: call for path, call in calls.items() if path not in none}, none


def _wrong_statuses(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for path, call in _divided(binding)[0].items():
        for code, status in call.statuses.items():
            if binding.lifecycle.state_of(status) is None:
                yield (*path, "statuses", code), f"{status!r} is not a status of {binding.lifecycle.name!r}"


def _wrong_calls(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    about_one, none = _divided(binding)
    for path, call in about_one.items():
        if call.id_header is not None:
            yield (*path, "id_header"), "must be left out: only a create's response names a new task"
        if call.id_field is not None and not call.repeats_id:
            yield (*path, "id_field"), "must be left out: `repeats_id` says that the response has no id of the task"
        if ID in call.path and any(each.keeps_slashes() for each in about_one.values()):
            what = f"{ID!r} quotes the slashes of an id, which other calls keep"
            yield (*path, "path"), f"{what}: use {ID_WITH_SLASHES!r} in all paths"
        if not call.names_a_task() and path != ("stream", "call"):  # it would be sent to all tasks at once
            yield path, f"{call.name} does not name its task: put {ID!r} where the task's id stands"
    for path, call in none.items():
        if call.names_a_task():
            yield path, f"{call.name} names a task, and there is none"
        if call.id_header is not None and any(each.keeps_slashes() for each in about_one.values()):
            yield (
                (*path, "id_header"),
                "must be left out: it cannot be known where in a URL an id with slashes begins",
            )
        if path == ("create",):
            yield from wrong_etag(path, call)
        if call.statuses:
            yield (*path, "statuses"), "must be empty: a status code says nothing of a task that it does not name"


def _wrong_marks_of_tasks(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for path, call in _known_calls(binding).items():
        if call.task_if and path != ("create",):
            yield (*path, "task_if"), "must be empty: only a create makes a task"
        if call.no_task_field and path[0] not in _MAY_MAKE_NONE:
            yield (*path, "no_task_field"), "must be left out: only a create or a command has it"


_RULES: tuple[Callable[[HttpBinding[Any, Any]], Iterator[Mistake]], ...] = (
    _wrong_name,
    _wrong_limits,
    _wrong_base_path,
    _wrong_base_url,
    _wrong_servers,
    _wrong_headers,
    _wrong_commands,
    _wrong_may_report,
    _wrong_proofs,
    _wrong_parameters,
    partial(_wrong_read, name="status"),
    partial(_wrong_read, name="details"),
    _wrong_statuses_of_reads,
    _wrong_statuses,
    _wrong_calls,
    _wrong_marks_of_tasks,
    _wrong_events,
    _wrong_session,
    _wrong_sessions,
    _wrong_session_calls,
    _wrong_further_calls,
    partial(_wrong_channel, name="webhooks"),
    partial(_wrong_channel, name="stream"),
    _wrong_state_of,
    _wrong_key_variable,
    _wrong_create,
    _wrong_task_field,
    _wrong_etags,
    _wrong_use_of_etags,
    _wrong_codes,
    _wrong_handshake,
)

_PATHS = (
    "id_field",
    "output_field",
    "cost_field",
    "created_field",
    "changed_field",
    "task_field",
    "error_field",
    "etag_field",
    "session_field",
)
"""The fields of a binding that are paths of fields."""
