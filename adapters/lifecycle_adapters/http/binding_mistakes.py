"""The rules that a binding keeps beyond the types of its fields, and what breaks them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lifecycle.conformance import Channel
from lifecycle.declaration import Path
from lifecycle.errors import UnknownName, nearest
from lifecycle_adapters.http.authentication import HEADER_NAME, wrong_headers, wrong_server
from lifecycle_adapters.http.call import Call, wrong_etag, wrong_read
from lifecycle_adapters.http.declared import Mistake, wrong_path
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
    for name, call in calls.items():
        where: Path = ("further_calls", name)
        if not name.isidentifier():
            yield where, f"{name!r} is no name such as 'delete'"
        if call.status_field is not None or call.statuses:
            yield where, "must say nothing of a status: a call that changes one is a command"
        if not call.names_a_task():
            yield where, f"{call.name} does not say what it is about: put {ID!r} where the id stands"
        if call.has_idempotency_key():
            yield where, f"must be without {IDEMPOTENCY_KEY!r}: no journal records the call"
        yield from wrong_etag(where, call)


def mistakes_in(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    """Yield every mistake in a binding whose fields are of the right types."""
    yield from _wrong_texts(binding)
    yield from _wrong_commands(binding)
    yield from _wrong_parameters(binding)
    yield from _wrong_reads(binding)
    yield from _wrong_calls(binding)
    if binding.session is not None and binding.session.base_url != binding.base_url:
        servers = f"is at {binding.session.base_url}, and this binding at {binding.base_url}"
        yield ("session",), f"{servers}: one client asks one server, so give both its base_url"
    yield from _wrong_sessions(binding)
    for name, pushed in (("webhooks", binding.webhooks), ("stream", binding.stream)):
        try:
            binding.lifecycle.statuses(channel=Channel.API if pushed is None else pushed.channel)
        except UnknownName as error:
            yield (name, "channel"), str(error)
    if inspect.iscoroutinefunction(binding.state_of):
        yield ("state_of",), "must be a function that returns the status, not a coroutine function"
    if binding.key_variable is not None and binding.authentication is None:
        yield ("key_variable",), "must be left out: the service asks for no key"
    if binding.create.status_field == "" and binding.state_of is None:
        yield ("create", "status_field"), "must be a field or None: the whole response also names the new task"
    if binding.task_field is not None and binding.task_field.partition(".")[0] in binding.create.own_fields():
        yield ("task_field",), f"{binding.task_field!r} is a field that the create sets itself"
    yield from _wrong_etags(binding)
    if binding.error_codes and binding.error_field is None:
        yield ("error_codes",), "must be left out: without `error_field`, status codes say what an error means"
    for code, meaning in binding.error_codes.items():
        if not 400 <= meaning <= 599:
            yield ("error_codes", code), f"{meaning} is no status code of an error: give one from 400 to 599"
    if binding.handshake is not None and binding.handshake.ended_code == 404 and binding.envelope is None:
        what = "404 also says that there is no such task, if no envelope has the service's errors: give another code"
        yield ("handshake", "ended_code"), what
    for name in (
        "id_field",
        "output_field",
        "cost_field",
        "created_field",
        "changed_field",
        "task_field",
        "error_field",
        "etag_field",
        "session_field",
    ):
        yield from wrong_path((name,), getattr(binding, name))


def _wrong_sessions(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    session_calls = binding.session_calls
    if session_calls is not None and binding.session is not None:
        yield ("session_calls",), "must be left out: the sessions have a lifecycle, that of `session`"
    if session_calls is not None and binding.parameters:
        yield ("session_calls",), "must be left out: the session's id is the only parameter that its paths can have"
    messages = None if session_calls is None else session_calls.messages
    if messages is not None and messages.base_url != binding.base_url:
        yield ("session_calls", "messages"), f"is at {messages.base_url}: one client asks one server"
    if binding.session_field is not None and session_calls is None and binding.session is None:
        yield ("session_field",), "must be left out: there are no sessions"
    taken = {"create", "status", "details", "list", "events", "stream", "handshake", *map(str, binding.commands)}
    for name in taken.intersection(binding.further_calls):
        yield ("further_calls", name), "is the name of another call"
    yield from wrong_further_calls(binding.further_calls)


def _wrong_texts(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if not (binding.name and binding.name.isprintable()):
        yield ("name",), f"must be printable text such as 'printer', not {binding.name!r:.80}"
    if "" in binding.limits_tasks:
        yield ("limits_tasks",), "has an empty text, which every response contains"
    path = binding.base_path
    if is_changed_when_sent(path):
        yield ("base_path",), f"must have no '//', '/./' or '/../', not {path!r}"
    if not (path.isprintable() and set("?# {}").isdisjoint(PLACEHOLDER.sub("", path))):
        yield ("base_path",), f"must be printable, without '?', '#', space and single braces, not {path!r}"
    if path and (not path.startswith("/") or path.endswith("/")):
        yield ("base_path",), f"must be empty, or begin with '/' and not end with it, not {path!r}"
    yield from wrong_server("base_url", binding.base_url, path)
    for name, url in binding.servers.items():
        if not name.isidentifier():
            yield ("servers", name), f"{name!r} is no name such as 'eu'"
        yield from ((("servers", name), message) for _, message in wrong_server("servers", url, path))
    yield from wrong_headers(("headers",), binding.headers)
    taken = {} if binding.authentication is None else {binding.authentication.header.casefold(): "carries the key"}
    if binding.handshake is not None:
        taken[binding.handshake.header.casefold()] = "is the header of the handshake"
    yield from _taken_headers(("headers",), binding.headers, taken)
    taken |= {name.casefold(): "is sent with every request" for name in binding.headers}
    for where, call in binding.calls().items():
        yield from _taken_headers((*where, "headers"), call.headers, taken)
        yield from _taken_headers((*where, "field_headers"), call.field_headers, taken)


def _wrong_etags(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    if binding.etag_header is not None and not HEADER_NAME.fullmatch(binding.etag_header):
        yield ("etag_header",), f"{binding.etag_header!r} cannot be a header's name: give one like 'ETag'"
    if binding.etag_header is not None and binding.etag_field is not None:
        yield ("etag_header",), "must be left out: `etag_field` says where the etag is"
    using = [("commands", str(name)) for name, call in binding.commands.items() if call.has_etag()]
    if not (binding.etag_field is not None or binding.etag_header is not None):
        for path in using:
            yield (
                path,
                f"has {ETAG!r}, and nothing says where a response has it: give `etag_field` or `etag_header`",
            )
    elif not using:
        name = "etag_field" if binding.etag_header is None else "etag_header"
        yield (name,), f"must be left out: no command has {ETAG!r}"


def _wrong_outcomes(binding: HttpBinding[Any, Any], command: str, call: Call) -> Iterator[Mistake]:
    where = ("commands", str(command), "may_report")
    states = [str(each.name) for each in binding.lifecycle.states]
    of_rows = {
        each for row in binding.lifecycle.transitions if row.event == command for each in (row.source, row.target)
    }
    for state in call.may_report:
        if state not in states:
            hint = "" if (meant := nearest(state, states)) is None else f"; did you mean {meant!r}?"
            yield where, f"{state!r} is no state of {binding.lifecycle.name!r}{hint}"
        elif state in of_rows:
            yield where, f"{state!r} is no other outcome: in it the command can be sent, or a row of it leads there"


def _wrong_parameters(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    used: dict[Path, list[str]] = {
        (*where, "path"): [name for name in parameters_of(call.path) if name not in call.path_fields]
        for where, call in binding.calls().items()
    }
    for where, call in binding.calls().items():
        if call.path_fields and where[0] != "further_calls":
            yield (*where, "path_fields"), "must be empty: only a further call has fields of the caller in its path"
        if both := [name for name in call.path_fields if name in binding.parameters]:
            yield (*where, "path_fields"), f"names {both[0]!r}, which is a parameter of the binding"
    used[("base_path",)] = [found[1:-1] for found in PLACEHOLDER.findall(binding.base_path)]
    for where, names in used.items():
        if strange := [name for name in names if name not in binding.parameters]:
            allowed = ", ".join(map(repr, binding.parameters)) or "there are none"
            place = "" if where == ("base_path",) else f", nor the task's id {ID!r}"
            yield where, f"unknown placeholder '{{{strange[0]}}}': it is no parameter ({allowed}){place}"
    for name in dict.fromkeys(binding.parameters):
        if not is_parameter(name):
            yield ("parameters",), f"{name!r} cannot be a parameter's name: give one such as 'owner'"
        elif binding.parameters.count(name) > 1:
            yield ("parameters",), f"has {name!r} twice"
        elif not any(name in names for names in used.values()):
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
            yield ("commands", name), f"{name!r} is no command of {binding.lifecycle.name!r}{hint}"
    if missing := [name for name in known if name not in given]:
        yield ("commands",), f"has no call for {', '.join(map(repr, missing))}"
    for where, call in binding.calls().items():
        if call.may_report and where[0] != "commands":
            yield (*where, "may_report"), "must be empty: only a command leads to a state"
    for command, call in binding.commands.items():
        yield from _wrong_outcomes(binding, command, call)
    for command in binding.proofs:
        if command not in binding.commands:
            yield ("proofs", str(command)), f"{str(command)!r} is no command"


def _wrong_reads(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    for name, call in (("status", binding.status), ("details", binding.details)):
        may_be_whole = name == "status" or binding.state_of is not None
        if call.status_field is None or not (call.status_field or may_be_whole):
            yield (name, "status_field"), "must say where the response has the status"
        yield from wrong_read((name,), call)
    if lacking := [code for code in binding.status.statuses if code not in binding.details.statuses]:
        yield (
            ("details", "statuses"),
            f"must have {lacking[0]}, too: a task at its end is read by both calls",
        )


_MAY_MAKE_NONE = ("create", "commands")


def _wrong_calls(binding: HttpBinding[Any, Any]) -> Iterator[Mistake]:
    of_none = ("create", "listing", "handshake")
    none = {path: call for path, call in binding.calls().items() if path[0] in of_none}
    about_one = {path: call for path, call in binding.calls().items() if path not in none}
    for path, call in about_one.items():
        for code, status in call.statuses.items():
            if binding.lifecycle.state_of(status) is None:
                yield (*path, "statuses", code), f"{status!r} is no status of {binding.lifecycle.name!r}"
        if call.id_header is not None:
            yield (*path, "id_header"), "must be left out: only a create's response names a new task"
        if call.id_field is not None and not call.repeats_id:
            yield (*path, "id_field"), "must be left out: `repeats_id` says that the response has no id of the task"
        if ID in call.path and any(each.keeps_slashes() for each in about_one.values()):
            what = f"{ID!r} quotes the slashes of an id, which other calls keep"
            yield (*path, "path"), f"{what}: use {ID_WITH_SLASHES!r} in all paths"
        if not call.names_a_task() and path != ("stream", "call"):  # it would be sent to all tasks at once
            yield path, f"{call.name} does not name its task: put {ID!r} where the task's id stands"
    wrong = [path for path, call in binding.calls().items() if call.task_if and path != ("create",)]
    yield from (((*path, "task_if"), "must be empty: only a create makes a task") for path in wrong)
    wrong = [path for path, call in binding.calls().items() if call.no_task_field and path[0] not in _MAY_MAKE_NONE]
    yield from (((*path, "no_task_field"), "must be left out: only a create or a command has it") for path in wrong)
    for path, call in none.items():
        if call.names_a_task():
            yield path, f"{call.name} names a task, and there is none"
        if call.id_header is not None and binding.ids_have_slashes:
            yield (
                (*path, "id_header"),
                "must be left out: it cannot be known where in a URL an id with slashes begins",
            )
        if path == ("create",):
            yield from wrong_etag(path, call)
        if call.statuses:
            yield (*path, "statuses"), "must be empty: a status code says nothing of a task that it does not name"
