"""The procedure that reads a service's list of tasks, or of a task's events, page by page. A driver carries it out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast
from urllib.parse import parse_qs, unquote, urlencode, urljoin, urlsplit
from uuid import UUID

from lifecycle.effects import Effect, Failure, Load, ProcedureRun, Steps, read_with_retries
from lifecycle.errors import shortened
from lifecycle.journal import TaskRecord
from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.http.call import ListCall
from lifecycle_adapters.http.http_call import HttpCall
from lifecycle_adapters.http.http_errors import InvalidResponse
from lifecycle_adapters.http.redaction import HIDDEN
from lifecycle_adapters.http.requests import Request
from lifecycle_adapters.http.responses import id_in, is_same_id, value_at
from lifecycle_adapters.procedures.interpreter import Actions, Procedure, interpret, read
from lifecycle_adapters.procedures.signal_errors import is_of_a_signal
from lifecycle_adapters.procedures.task_summary import TaskSummary
from lifecycle_adapters.procedures.timing import Pacer, Timing

QueryValue = str | int | UUID | Sequence[str | int | UUID]
"""The value of a parameter of a list: a text, an integer, a boolean, a UUID; or a list of these."""
Value = str | int | tuple[str | int, ...]
Parameters = dict[str, Value]


Item = tuple[str | None, Any]
"""A task or an event on a page: its id, None if events have none, and its JSON."""
R = TypeVar("R")


class Paginator:
    """The pages of one list at the server `base_url`, to be turned until `is_done`.

    Args:
        binding: the service.
        lifecycle: what says which states the listed statuses are.
        query: the parameters of the list, in its query or its body.
        events: the list, if it is one of a task's events; the binding's list of tasks if omitted.
        task_id: the task whose events they are.
    Raises:
        TypeError: a parameter is not a `QueryValue`.
        ValueError: the service has no list; or no request can carry the query: it is too long, or not UTF-8; or the
            first page is not a number, and pages have numbers; or the call sets a parameter itself in its body.
    """

    def __init__(
        self,
        binding: HttpBinding[Any, Any],
        lifecycle: Lifecycle[Any, Any],
        query: Mapping[str, QueryValue],
        *,
        base_url: str,
        events: ListCall | None = None,
        task_id: str = "",
    ) -> None:
        self.is_done = False
        self._fault: InvalidResponse | None = None  # raised instead of the next page: this page's items are returned
        self._base_url = base_url
        self._binding = binding
        self._lifecycle = lifecycle
        self._turned: set[frozenset[tuple[str, Value]]] = set()
        self._seen: set[str] = set()
        self._idle_pages = 0
        self._same_pages = 0
        self._last_page: list[Any] = []
        self._longest_page = 1
        self._number = 0
        self._last_id = ""
        listing = events or binding.listing
        if listing is None:
            raise ValueError(f"{binding.name} has no list of tasks: its binding declares no `listing`")
        self._listing = listing
        self._what = "tasks" if events is None else "events"
        self._id_field = listing.id_field or (binding.id_field if events is None else None)
        self._keeps_slashes = events is None and binding.ids_have_slashes
        self._task_id = task_id
        self._parameters = _sendable(query, in_body=listing.call.body is not None)
        self._first = self._request()  # it raises ValueError if no request can carry the parameters
        if self._listing.pages in ("numbers", "offsets"):
            first = 1 if self._listing.pages == "numbers" else 0
            self._number = _page_number(self._parameters, str(self._listing.page_parameter), first)

    def _request(self) -> Request:
        call, base_path = self._listing.call, self._binding.base_path
        if call.body is None:
            template = call.request(base_path, task_id=self._task_id)
            texts = {name: _as_texts(value) for name, value in self._parameters.items()}
            return replace(template, query={**template.query, **texts})
        if own := [name for name in self._parameters if name in call.own_fields()]:
            raise ValueError(f"{call.name} sets {own[0]!r} itself")
        return call.request(base_path, task_id=self._task_id, fields=self._parameters)

    def read(self, timing: Timing) -> Procedure[list[TaskSummary]]:
        """Read the next page, and return its tasks that were on no earlier page."""
        return self._reading(timing, self._summary)

    def read_events(self, timing: Timing) -> Procedure[list[Mapping[str, Any]]]:
        """Read the next page, and return its events, without those whose ids were on an earlier page."""
        return self._reading(timing, lambda item: cast("Mapping[str, Any]", item[1]))

    def _reading(self, timing: Timing, made_of: Callable[[Item], R]) -> Procedure[list[R]]:
        listing = self._listing

        def perform(effect: Effect, pacer: Pacer) -> Actions[Any]:
            if isinstance(effect, Load):  # a list is not a task, and has no record
                unknown: TaskRecord[Any, Any] = TaskRecord()
                return unknown
            call = HttpCall(self._binding, listing.call, self._request(), timeout_s=pacer.request_s())
            return (yield from read(call, pacer))

        return Procedure(interpret(ProcedureRun(self._read(made_of), None), perform, Pacer(timing)))

    def go_on(self) -> None:
        """Continue with what was added after the last page, in a list whose pages begin after an id."""
        self.is_done = False
        self._turned.clear()
        self._idle_pages = self._same_pages = 0
        if self._last_id:
            self._parameters[str(self._listing.page_parameter)] = self._last_id

    def _read(self, made_of: Callable[[Item], R]) -> Steps[list[R]]:
        if self._fault is not None:
            raise self._fault
        response = yield from read_with_retries()
        if isinstance(response, Failure):
            raise response.error
        return [*map(made_of, self._take(response.document, self._listed(response.document)))]

    def _take(self, document: Any, listed: list[Item]) -> list[Item]:
        new = [item for item in listed if item[0] is None or item[0] not in self._seen]
        self._seen.update(item_id for item_id, _ in new if item_id is not None)
        self._last_id = (new[-1][0] or "") if new else self._last_id
        page: list[Any] = [item if item_id is None else item_id for item_id, item in listed]
        self._idle_pages = 0 if new else self._idle_pages + 1
        self._same_pages = self._same_pages + 1 if page and page == self._last_page else 0
        self._last_page = page
        self._longest_page = max(self._longest_page, len(page))
        has_more = value_at(document, self._listing.more_field)
        following: Parameters = {}
        try:
            following = {} if has_more is False else self._following(document, listed, new, has_more)
        except InvalidResponse as error:
            self._fault = error
            return new
        is_repeated = frozenset(following.items()) in self._turned
        # A service may name its last page again, which has nothing new then, or name all next pages alike.
        if not following or (is_repeated and not (new and self._id_field is not None and has_more is None)):
            if has_more is True:
                self._fault = self._incomplete(
                    f"{self._listing.more_field!r} says that there is more, and no new page is named"
                )
            self.is_done = self._fault is None
        elif self._same_pages >= _MOST_SAME_PAGES or self._idle_pages >= _MOST_IDLE_PAGES:
            # A service that repeats a page for ever must not be listed for ever.
            # Without ids it cannot be known that a page was repeated: equal events may have happened.
            if has_more is not None or self._listing.next_field is not None or self._id_field is None:
                number = max(self._same_pages, self._idle_pages)
                self._fault = self._incomplete(f"{number} pages in a row had nothing new, and none of them is the last")
            self.is_done = self._fault is None
        else:
            self._turned.add(frozenset(following.items()))
            self._parameters.update(following)
        return new

    def _following(self, document: Any, listed: list[Item], new: list[Item], has_more: Any) -> Parameters:
        """Return the parameters that name the next page, none if there is none.

        A page before the last one may be empty if the response shows that it is not the last. A page without anything
        new that is not full is the last one, which some services repeat.
        """
        listing = self._listing
        page: str | int = ""
        match listing.pages:
            case "numbers" | "offsets":
                self._number += 1 if listing.pages == "numbers" else len(listed)
                is_past_the_end = not new and len(listed) < self._longest_page
                page = "" if is_past_the_end and has_more is None else self._number
            case "last_ids":
                page = (listed[-1][0] or "") if listed else ""
            case "cursors":
                page = self._cursor(document, str(listing.next_field))
            case "urls":
                return self._query_of_next(document, str(listing.next_field))
            case "one":
                pass
        return {str(listing.page_parameter): page} if page != "" else {}

    def _cursor(self, document: Any, next_field: str) -> str:
        if not value_at(document, next_field):
            return ""
        cursor = id_in(document, next_field)
        if cursor is None:
            raise self._unsendable(next_field, "cursor")
        return cursor

    def _query_of_next(self, document: Any, next_field: str) -> Parameters:
        """Return the query of the next page's URL, which must be one of the same list.

        Its server is not asked, because it would get the key, and may be called otherwise behind a proxy. So the paths
        are compared alone, as they are or below the path of `base_url`.
        """
        url, path = value_at(document, next_field), self._first.path
        if not url:
            return {}
        wrong = self._invalid(f"{next_field!r} holds no URL of {path} with a query: {url!r:.80}")
        if not isinstance(url, str) or HIDDEN in url:  # the key was removed from it, and is not put back
            raise wrong
        try:
            here, parts = urlsplit(self._base_url + path), urlsplit(urljoin(self._base_url + path, url))
        except ValueError:
            raise wrong from None
        if parts.scheme not in ("http", "https") or not any(_is_path(parts.path, each) for each in (here.path, path)):
            raise wrong
        try:
            return _sendable(parse_qs(parts.query, keep_blank_values=True), in_body=False)
        except ValueError:
            raise self._unsendable(next_field, "URL") from None

    def _unsendable(self, next_field: str, what: str) -> InvalidResponse:
        return self._invalid(f"no request can carry what {next_field!r} holds as the {what} of the next page")

    def _incomplete(self, what: str) -> InvalidResponse:
        return self._invalid(f"the list is incomplete: {what}")

    def _invalid(self, what: str) -> InvalidResponse:
        return InvalidResponse(what, **self._first.names)

    def _listed(self, document: Any) -> list[Item]:
        items_field = self._listing.items_field
        match value_at(document, items_field):
            case [*items]:
                listed = [self._one(item, number) for number, item in enumerate(items)]
            case _:
                raise self._invalid(f"no {self._what} at {items_field!r}")
        frequent = Counter(item_id for item_id, _ in listed if item_id is not None).most_common(1)
        if self._what == "events" and frequent and frequent[0][1] > 1:  # the next page would seem to have nothing new
            what = f"two items of {items_field!r} have the same id at {self._id_field!r}: {shortened(frequent[0][0])}"
            raise self._invalid(f"{what}; `id_field` must be where an event has its own id")
        return listed

    def _one(self, item: Any, number: int) -> Item:
        where = f"item {number} of {self._listing.items_field!r}"
        if self._id_field is None:
            if not isinstance(item, dict):
                raise self._invalid(f"{where} is no object: {shortened(item)}")
            return None, cast("Any", item)
        item_id = id_in(item, self._id_field, keeps_slashes=self._keeps_slashes)
        if item_id is None:
            raise self._invalid(f"{where} has no id at {self._id_field!r}: {shortened(item)}")
        return item_id, item

    def _summary(self, item: Item) -> TaskSummary:
        item_id, document = item
        status = None
        try:
            status = self._binding.status_at(document, self._binding.details.status_field)
        except Exception as error:  # if the binding's own function finds no status in a task, its state is unknown
            if is_of_a_signal(error):
                raise
        known = status if isinstance(status, str) else None
        state = None if known is None else self._lifecycle.state_of(known)
        return TaskSummary(str(item_id), known, state, document)


# Both in a row. A filter may leave pages empty. What is added at the beginning of a list moves what was read to later
# pages, but makes a page equal to the one before only if it is exactly as long as a page.
_MOST_IDLE_PAGES = 100
_MOST_SAME_PAGES = 5


def _is_path(one: str, other: str) -> bool:
    """Return whether two paths are equal: "/%74asks" is "/tasks", and "a%2Fb" is not "a/b"."""
    first, second = ([unquote(each) for each in path.split("/")] for path in (one, other))
    return len(first) == len(second) and all(map(is_same_id, first, second))  # one of them may be the task's id


def _page_number(parameters: Parameters, name: str, first: int) -> int:
    """Return the number of the first page; set it in the parameters if it is missing."""
    given = parameters.setdefault(name, first)
    text = str(given) if type(given) is int else given
    if not (isinstance(text, str) and text.isascii() and text.isdigit() and int(text) >= first):
        what = "the number of the page" if first else "the number of tasks before the page"
        raise ValueError(f"{name} is {what} to begin with, such as '{first}', not {shortened(given)}")
    return int(text)


def _sendable(given: Mapping[str, QueryValue], *, in_body: bool) -> Parameters:
    parameters = {name: _value(name, value) for name, value in given.items()}
    try:
        query = urlencode({name: _as_texts(value) for name, value in parameters.items()}, doseq=True)
        is_sendable = in_body or len(query) <= _LONGEST_QUERY
    except UnicodeEncodeError:  # half of a surrogate pair
        is_sendable = False
    if not is_sendable:
        raise ValueError(f"a listing's query must be text of at most {_LONGEST_QUERY} characters, percent-encoded")
    return parameters


def _value(name: str, value: Any) -> Value:
    """Return the value of a parameter, or those of one that has several."""
    match value:
        case str():
            return str.__str__(value)
        case bool() | int():
            return value
        case UUID():
            return str(value)
        case [*several] if not any(isinstance(each, list | tuple) for each in several):
            values = tuple(cast("str | int", _value(name, each)) for each in several)
            return values[0] if len(values) == 1 else values
        case _:
            what = "a text, an integer, a boolean, a UUID, or a list of these"
            raise TypeError(f"{name} must be {what}, not {shortened(value)}")


def _as_texts(value: Value) -> str | tuple[str, ...]:
    """Return a value as a query carries it."""
    if isinstance(value, tuple):
        return tuple(str(_as_texts(each)) for each in value)
    return str(value).lower() if isinstance(value, bool) else str(value)


_LONGEST_QUERY = 32_768  # httpx2 refuses URLs of more than 65,536 characters, and the next page's cursor is added
