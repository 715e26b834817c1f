"""Documents of tasks that follow from a binding alone: each value is in the field that the binding names.

Pure. A task's document repeats the fields of its create, as most services do, and has its id, status, output, cost and
time of creation. A list's document is one page of such documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import dropwhile
from typing import Any, cast
from urllib.parse import quote, urlencode

from lifecycle.errors import text_of
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.argument_checks import WrongValue
from lifecycle_adapters.emulator.script import goal_of
from lifecycle_adapters.emulator.shapes import moment
from lifecycle_adapters.emulator.task_store import EmulatedClock, EmulatedTask
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import Call, ListCall
from lifecycle_adapters.http.requests import filled_text
from lifecycle_adapters.http.responses import placed, value_at

PRICE_USD = "0.0120"
"""The cost of a task that did its work."""
NO_COST_USD = "0"


class Documents:
    """The documents of one binding's tasks. `statuses` maps each state to the value of the status field.

    Raises:
        ValueError: `statuses` lacks a state although the binding has a `state_of`, or names a state that its lifecycle
            does not declare, or the binding reads another state from its value.
    """

    def __init__(self, binding: HttpBinding[Any, Any], statuses: Mapping[str, Any]) -> None:
        self._binding = binding
        self._statuses = {str(state.name): str(state.name) for state in binding.lifecycle.states} | dict(statuses)
        _require_statuses(binding, statuses)
        parts = (
            binding.id_field, binding.output_field, binding.cost_field, binding.created_field, binding.changed_field,
            binding.error_field, binding.etag_field,
        )  # fmt: skip
        fields = [binding.status.status_field, binding.details.status_field, *(part for part in parts if part)]
        self._own = {path.partition(".")[0] for path in fields if path}

    def task(self, task: EmulatedTask, clock: EmulatedClock, *calls: Call) -> Any:
        """Return a task's document for the responses of these calls, which share one request."""
        binding = self._binding
        shown = self._statuses[task.state]
        fields = [call.status_field for call in calls if call.status_field is not None]
        if "" in fields and not isinstance(shown, dict):
            return shown
        task_field = (binding.task_field or "").partition(".")[0]
        document: Any = {name: each for name, each in task.given.items() if name not in self._own or name == task_field}
        is_done = task.state == goal_of(task.lifecycle, task.lifecycle.initial)
        text = value_at(task.given, binding.task_field)
        if all(call.repeats_id for call in calls):
            own_place = next((call.id_field for call in calls if call.id_field is not None), None)
            document = placed(document, own_place or binding.id_field, task.id)
        if task.parent is not None:
            for proof in binding.proofs.values():
                document = placed(document, proof.id_field, task.parent.id)
        output = f"Done: {text}" if isinstance(text, str) else "Done"
        for path, value in (
            (binding.output_field, output if is_done else None),
            (binding.cost_field, PRICE_USD if is_done else NO_COST_USD),
            (binding.created_field, moment(clock.at(task.created_s))),
            (binding.changed_field, moment(clock.at(task.state_since_s))),
            (binding.etag_field, task.etag),
        ):
            document = document if path is None else placed(document, path, value)
        for path in fields:
            document = placed(document, path, shown) if path else {**document, **cast("dict[str, Any]", shown)}
        return document

    def created(self, task: EmulatedTask, clock: EmulatedClock) -> Any:
        """Return the response of a create; without the id, and None for no body, if a header has the id."""
        create, document = self._binding.create, cast("Any", None)
        if create.id_header is None:
            document = self.task(task, clock, create)
        elif create.status_field is not None:
            shown = self._statuses[task.state]
            document = placed({}, create.status_field, shown) if create.status_field else shown
        for path, text in create.task_if.items():
            document = placed(document, path, text)
        return document

    def page(
        self,
        tasks: Sequence[EmulatedTask],
        clock: EmulatedClock,
        query: Mapping[str, str],
        size: int,
        parameters: Mapping[str, str],
    ) -> Any:
        """Return one page of tasks, newest first; `query` names the page in the binding's way.

        Raises ValueError if the page's number is not a number. The URL of a next page is a path, with the parameters
        filled in, and a query.
        """
        binding, listing = self._binding, self._binding.listing
        assert listing is not None, "only a service with a list has a call of it"
        tasks = [task for task in tasks if not self.is_missing(task)]
        parameter = listing.page_parameter or _CURSOR
        after = query.get(parameter, "")
        match listing.pages:
            case "one":
                size, rest = len(tasks), tasks
            case "numbers":
                rest = tasks[_number(parameter, after or "1", least=1) * size - size :]
            case "offsets":
                rest = tasks[_number(parameter, after or "0", least=0) :]
            case _:
                rest = [*dropwhile(lambda task: task.id != after, tasks)][1:] if after else tasks
        shown, has_more = rest[:size], len(rest) > size
        items = [self.task(task, clock, binding.details) for task in shown]
        if listing.id_field is not None:
            items = [placed(item, listing.id_field, task.id) for item, task in zip(items, shown, strict=True)]
        if not listing.items_field:
            return items
        document = placed({}, listing.items_field, items)
        if listing.more_field is not None:
            document = placed(document, listing.more_field, has_more)
        if listing.next_field is not None:
            following: str | None = shown[-1].id if has_more else None
            if following is not None and listing.pages == "urls":
                path = self.path(listing.call, parameters)
                following = f"{path}?{urlencode({**query, _CURSOR: following})}"
            document = placed(document, listing.next_field, following)
        return document

    def path(self, call: Call, parameters: Mapping[str, str]) -> str:
        """Return the percent-encoded path of a call that names no task, with these parameters."""
        values = {f"{{{name}}}": quote(text, safe="") for name, text in parameters.items()}
        return quote(filled_text(self._binding.base_path + call.path, values), safe="/%:@!$&'()*+,;=")

    def no_items(self, listing: ListCall) -> Any:
        """Return an empty page of a list."""
        document: Any = placed({}, listing.items_field, []) if listing.items_field else []
        return document if listing.more_field is None else placed(document, listing.more_field, False)

    def error(self, text: str, status_code: int) -> Any:
        """Return the document of an error: with the text in the binding's field, otherwise `{"detail": text}`."""
        if self._binding.error_field is None:
            return {"detail": text}
        codes = [code for code, meaning in self._binding.error_codes.items() if meaning == status_code]
        return placed(
            {}, self._binding.error_field, {"code": codes[0], "message": text} if codes else {"message": text}
        )

    def code(self, call: Call, task: EmulatedTask) -> int | None:
        """Return the status code that means the task's state in this call, None if the document has the status."""
        lifecycle = self._binding.lifecycle
        codes = (code for code, status in call.statuses.items() if lifecycle.state_of(status) == task.state)
        return next(codes, None)

    def is_missing(self, task: EmulatedTask) -> bool:
        """Return whether the service no longer finds a task, so that no list has it either."""
        return (self.code(self._binding.details, task) or 200) >= 400


_CURSOR = "cursor"  # the parameter in the URL of a next page, which a client repeats without reading it


def _number(name: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:20]) >= least):
        raise ValueError(f"{name} must be a number of at least {least}")
    return int(text[:20])


def _require_statuses(binding: HttpBinding[Any, Any], statuses: Mapping[str, Any]) -> None:
    lifecycle: Lifecycle[Any, Any] = binding.lifecycle
    names = [str(state.name) for state in lifecycle.states]
    by_code = {lifecycle.state_of(status) for status in binding.status.statuses.values()}
    needed = [name for name in names if name not in by_code] if binding.state_of is not None else []
    if missing := [name for name in needed if name not in statuses]:
        what = "no emulator can invert its `state_of`: give a Profile whose `statuses` map each state to a value"
        raise WrongValue(f"{binding.name}: {what} in {', '.join(map(repr, missing))}", "profiles")
    for state, shown in statuses.items():
        what = f"{binding.name}: `statuses` of its profile shows {state!r} as {shown!r:.80}"
        if state not in names:
            raise WrongValue(f"{what}, and {lifecycle.name!r} has no such state", "profiles")
        try:
            read: Any = shown if binding.state_of is None else binding.state_of(shown)
        except Exception as error:  # noqa: BLE001 (whatever the caller's function raises, it is about this value)
            what += f", for which `state_of` raises {type(error).__name__}: {text_of(error)}"
            raise WrongValue(what, "profiles") from None
        if not isinstance(read, str) or lifecycle.state_of(read) != state:
            raise WrongValue(f"{what}, which the binding reads as {read!r:.80}", "profiles")
