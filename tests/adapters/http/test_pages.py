"""Every way in which a service turns the pages of its list: each task is listed once, and no list is endless."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlsplit
from uuid import UUID

import pytest

from lifecycle import DefinitionError, V1State
from lifecycle_adapters.http import Call, HttpError, InvalidResponse, ListCall
from lifecycle_adapters.services.v1 import V1
from tests.adapters.http.conftest import Connect, Serve
from tests.adapters.http.scripted import Reply, Seen

SIZE = 3  # tasks on a page
GET = Call(method="GET", path="/tasks", query={"all": "yes"})


def listed(items_field: str = "data.tasks", **settings: Any) -> ListCall:
    fields: dict[str, Any] = {"call": GET, "items_field": items_field, **settings}
    return ListCall(**fields)


@dataclass(frozen=True)
class Way:
    """A way to name pages, written without the binding: `next` returns what a page says about the next one."""

    listing: ListCall
    begin: Callable[[dict[str, str]], int]  # the place of the first task of the page that is asked for
    next: Callable[[int, int, str], dict[str, Any]]  # by the end of the page, the number of tasks and the server


def after(query: dict[str, str]) -> int:
    return int(query["after"].removeprefix("task-")) + 1 if "after" in query else 0


def nothing(_end: int, _size: int, _server: str) -> dict[str, Any]:
    return {}


# fmt: off
WAYS = {
    "numbers": Way(
        listed(page_parameter="page"),
        lambda query: (int(query["page"]) - 1) * SIZE,
        nothing),
    "numbers with a last page": Way(
        listed(page_parameter="page", more_field="meta.more"),
        lambda query: (int(query["page"]) - 1) * SIZE,
        lambda end, size, _: {"meta": {"more": end < size}}),
    "offsets": Way(
        listed(pages="offsets", page_parameter="skip"),
        lambda query: int(query["skip"]),
        nothing),
    "cursors": Way(
        listed(pages="cursors", page_parameter="cursor", next_field="meta.next"),
        lambda query: int(query.get("cursor", "c0")[1:]),
        lambda end, size, _: {"meta": {"next": f"c{end}" if end < size else None}}),
    "cursors that stay": Way(
        listed(pages="cursors", page_parameter="after", next_field="last", more_field="has_more"),
        after,
        lambda end, size, _: {"last": f"task-{end - 1}" if size else None, "has_more": end < size}),
    "last ids": Way(
        listed(pages="last_ids", page_parameter="after"),
        after,
        nothing),
    "last ids with a last page": Way(
        listed(pages="last_ids", page_parameter="after", more_field="has_more"),
        after,
        lambda end, size, _: {"has_more": end < size}),
    "URLs": Way(
        listed(pages="urls", next_field="next"),
        lambda query: int(query.get("from", "0")),
        lambda end, size, server: {"next": f"{server}/api/v1/tasks?from={end}&all=yes" if end < size else None}),
    "URLs without a host": Way(
        listed(pages="urls", next_field="next"),
        lambda query: int(query.get("from", "0")),
        lambda end, size, _: {"next": f"?from={end}" if end < size else ""}),
    "URLs of the same folder": Way(
        listed(pages="urls", next_field="next"),
        lambda query: int(query.get("from", "0")),
        lambda end, size, _: {"next": f"tasks?from={end}" if end < size else ""}),
    "URLs of another host": Way(
        listed(pages="urls", next_field="next"),
        lambda query: int(query.get("from", "0")),
        lambda end, size, _: {"next": f"https://cdn.example/api/v1/tasks?from={end}" if end < size else None}),
}
# fmt: on


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", [0, 1, SIZE, SIZE + 1, 4 * SIZE])
def test_each_task_is_listed_once(connect: Connect, serve: Serve, name: str, size: int) -> None:
    way = WAYS[name]

    def script(seen: Seen) -> Reply:
        assert (seen.method, seen.path) == ("GET", "/api/v1/tasks")
        query = {key: values[0] for key, values in parse_qs(seen.query).items()}
        assert query.pop("all") == "yes"
        begin = way.begin(query)
        end = min(begin + SIZE, size)
        tasks = [{"id": f"task-{place}", "status": "running"} for place in range(begin, end)]
        return Reply(body={"data": {"tasks": tasks}, **way.next(max(end, 0), size, server.base_url)})

    server = serve(script)
    client = connect(replace(V1, listing=way.listing), server.base_url)
    assert [each.id for each in client.list()] == [f"task-{place}" for place in range(size)]
    assert len(server.seen) <= size // SIZE + 2


def test_list_of_one_page_is_read_once(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body=[{"id": "a", "status": "running"}, {"id": "b", "status": "odd"}]))
    listing = ListCall(call=GET, items_field="", pages="one")
    client = connect(replace(V1, listing=listing), server.base_url)
    assert [(each.id, each.state) for each in client.list()] == [("a", "running"), ("b", None)]
    assert server.calls == ["GET /api/v1/tasks?all=yes"]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("repeats", [True, False], ids=["the same page", "an empty page"])
def test_service_that_never_ends_its_list_is_not_listed_for_ever(
    connect: Connect, serve: Serve, name: str, repeats: bool
) -> None:
    way = WAYS[name]
    ends = count(SIZE, SIZE)

    def script(_: Seen) -> Reply:
        tasks = [{"id": f"task-{place}", "status": "running"} for place in range(SIZE if repeats else 0)]
        return Reply(body={"data": {"tasks": tasks}, **way.next(next(ends), 10**9, "http://any.example")})

    server = serve(script)
    client = connect(replace(V1, listing=way.listing), server.base_url)
    if set(way.next(0, 1, "")) - {"last"}:  # it says that there is more
        with pytest.raises(InvalidResponse, match="the list is incomplete: "):
            list(client.list())
    else:
        assert len(list(client.list())) == (SIZE if repeats else 0)
    assert len(server.seen) <= 100


POINTS_BACK: list[tuple[str, dict[str, Any]]] = [
    ("cursors", {"meta": {"next": "c0"}}),
    ("URLs", {"next": "/api/v1/tasks?all=yes"}),
    ("URLs", {"next": "https://any.example/api/v1/tasks"}),
    ("last ids", {}),
]


@pytest.mark.parametrize(("name", "said"), POINTS_BACK)
def test_page_that_points_back_ends_the_list(connect: Connect, serve: Serve, name: str, said: dict[str, Any]) -> None:
    tasks = [{"id": "a", "status": "running"}]
    server = serve(lambda _: Reply(body={"data": {"tasks": tasks}, **said}))
    client = connect(replace(V1, listing=WAYS[name].listing), server.base_url)
    assert [each.id for each in client.list()] == ["a"]
    assert len(server.seen) <= 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("last ids with a last page", {"has_more": True}),
        ("cursors that stay", {"has_more": True, "last": "a"}),
        ("cursors that stay", {"has_more": True}),
    ],
)
def test_page_that_says_there_is_more_and_names_no_new_page_is_an_error(
    connect: Connect, serve: Serve, name: str, said: dict[str, Any]
) -> None:
    server = serve(lambda _: Reply(body={"data": {"tasks": [{"id": "a"}]}, **said}))
    client = connect(replace(V1, listing=WAYS[name].listing), server.base_url)
    with pytest.raises(InvalidResponse, match="the list is incomplete: 'has_more' says that there is more"):
        list(client.list())
    assert len(server.seen) <= 2


BY_PLACE = ["numbers", "numbers with a last page", "offsets", "cursors", "URLs"]  # which creates move, unlike an id


@pytest.mark.parametrize("name", BY_PLACE)
@pytest.mark.parametrize("created", [1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 5 * SIZE])
@pytest.mark.parametrize("before_page", [2, 3])
def test_no_old_task_is_missing_if_others_are_created_meanwhile(
    connect: Connect, serve: Serve, name: str, created: int, before_page: int
) -> None:
    way, old = WAYS[name], [f"old-{place}" for place in range(3 * SIZE)]  # the newest task is listed first

    def script(seen: Seen) -> Reply:
        query = {key: values[0] for key, values in parse_qs(seen.query).items()}
        everything = [f"new-{place}" for place in range(created)] * (len(server.seen) >= before_page) + old
        begin = way.begin(query)
        end = min(begin + SIZE, len(everything))
        tasks = [{"id": each, "status": "running"} for each in everything[begin:end]]
        return Reply(body={"data": {"tasks": tasks}, **way.next(end, len(everything), server.base_url)})

    server = serve(script)
    found = [each.id for each in connect(replace(V1, listing=way.listing), server.base_url).list()]
    assert len(found) == len({*found})
    assert [each for each in found if each.startswith("old-")] == old


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("URLs", {"next": "https://any.example/api/v1/keys?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": "/mine/api/v1/tasks?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": "/api%2Fv1/tasks?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": "ftp://any.example/api/v1/tasks?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": "/api/v1/tasks/../keys?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": 7}, "holds no URL of /api/v1/tasks with a query: 7"),
        ("URLs", {"next": ["/api/v1/tasks?from=3"]}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": "http://[/api/v1/tasks?from=3"}, "holds no URL of /api/v1/tasks with a query"),
        ("URLs", {"next": f"/api/v1/tasks?from={'x' * 40_000}"}, "no request can carry what 'next' holds as the URL"),
        ("URLs", {"next": "/api/v1/tasks?from=\ud800"}, "no request can carry what 'next' holds as the URL"),
        ("URLs", {"next": "/api/v1/tasks?\udfff=3"}, "no request can carry what 'next' holds as the URL"),
        ("cursors", {"meta": {"next": {"id": 3}}}, "no request can carry what 'meta.next' holds"),
        ("cursors", {"data": {"tasks": {"a": 1}}}, "no tasks at 'data.tasks'"),
        (
            "cursors",
            {"data": {"tasks": [{"id": "a"}, {"no": 1}]}},
            "item 1 of 'data.tasks' has no id at 'id': {'no': 1}",
        ),
        ("cursors", {"data": {"tasks": ["a"]}}, "item 0 of 'data.tasks' has no id at 'id': 'a'"),
    ],
)
def test_invalid_next_page_is_an_invalid_response(
    connect: Connect, serve: Serve, name: str, said: dict[str, Any], message: str
) -> None:
    tasks = [{"id": "a", "status": "running"}]
    server = serve(lambda _: Reply(body={"data": {"tasks": tasks}, **said}))
    client = connect(replace(V1, listing=WAYS[name].listing), server.base_url)
    with pytest.raises(InvalidResponse, match=message):
        list(client.list())
    assert len(server.seen) == 1


STRANGE: list[Any] = [
    *(
        "",
        "\ud800",
        "x" * 70_000,
        "\0",
        "é",
        "\r\n",
        "%",
        "?",
        "?x",
        "?a=\udc80",
        f"?a={'%' * 70_000}",
        "#",
        "//",
        "http://[",
    ),
    *(
        "/api/v1/tasks?a=\ud800",
        f"/api/v1/tasks?{'é' * 20_000}=1",
        "/api/v1/tasks?=",
        "/api/v1/tasks?a=1&a=2",
        "http://:x/",
    ),
    *(0, -1, 10**4_000, 1.5, True, False, None, [], [[]], {}, {"id": "\ud800"}),
]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    "place",
    ["next", *(pytest.param(each, marks=pytest.mark.heavy) for each in ("id", "status", "items", "last", "has_more"))],
)
def test_whatever_a_page_holds_the_list_ends_or_raises_an_http_error(
    connect: Connect, serve: Serve, name: str, place: str
) -> None:
    strange: Any = None

    def script(_: Seen) -> Reply:
        task = {"id": "task-0", "status": "running"}
        page: dict[str, Any] = {"data": {"tasks": [task]}, "meta": {"next": "c9"}, "next": "", "last": "task-0"}
        if place in task:
            task[place] = strange
        elif place == "items":
            page["data"] = {"tasks": strange}
        elif place == "next":
            page |= {"next": strange, "meta": {"next": strange, "more": strange}}
        else:
            page[place] = strange
        return Reply(body=page)

    client = connect(replace(V1, listing=WAYS[name].listing), serve(script).base_url)
    for strange in STRANGE:
        with suppress(HttpError):
            assert len(list(client.list())) <= 1, strange


@pytest.mark.parametrize(
    "url", ["/api/v1/%74asks?from=1", "/api/v1/x/../tasks?from=1", "HTTP://Any.Example:80/api/v1/tasks?from=1",
            "/below/api/v1/tasks?from=1", "tasks?from=1"]
)  # fmt: skip
def test_url_of_the_next_page_may_be_written_in_other_ways(connect: Connect, serve: Serve, url: str) -> None:
    pages = [{"data": {"tasks": [{"id": "a"}]}, "next": url}, {"data": {"tasks": [{"id": "b"}]}}]
    server = serve(lambda _: Reply(body=pages[len(server.seen) - 1]))
    client = connect(replace(V1, listing=WAYS["URLs"].listing), f"{server.base_url}/below")
    assert [each.id for each in client.list()] == ["a", "b"]
    assert server.calls[1].startswith("GET /below/api/v1/tasks?")


@pytest.mark.parametrize("query", ["tag=a&tag=b&page=2", "page=2&flag=", "page=2&flag", "tag=%26&tag=&page=2"])
def test_query_of_the_next_page_is_sent_unchanged(connect: Connect, serve: Serve, query: str) -> None:
    pages = [{"data": {"tasks": [{"id": "a"}]}, "next": f"/api/v1/tasks?{query}"}, {"data": {"tasks": [{"id": "b"}]}}]
    server = serve(lambda _: Reply(body=pages[len(server.seen) - 1]))
    client = connect(replace(V1, listing=WAYS["URLs"].listing), server.base_url)
    assert [each.id for each in client.list()] == ["a", "b"]
    sent = urlsplit(server.calls[1].split(" ")[1]).query
    expected = [("all", "yes"), *parse_qsl(query, keep_blank_values=True)]
    assert sorted(parse_qsl(sent, keep_blank_values=True)) == sorted(expected)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("a b", ["a b"]),
        (7, ["7"]),
        (True, ["true"]),
        (V1State.RUNNING, ["running"]),
        (UUID(int=1), [str(UUID(int=1))]),
        (["a", 1], ["a", "1"]),
        (("a",), ["a"]),
        ([], []),
    ],
)
def test_filters_are_sent_as_texts(connect: Connect, serve: Serve, value: Any, sent: list[str]) -> None:
    server = serve(lambda _: Reply(body={"data": {"tasks": []}}))
    client = connect(replace(V1, listing=WAYS["cursors"].listing), server.base_url)
    assert not list(client.list(tag=value))
    query = parse_qsl(urlsplit(server.calls[0].split(" ")[1]).query, keep_blank_values=True)
    assert [text for name, text in query if name == "tag"] == sent


@pytest.mark.parametrize("value", [b"a", None, 1.5, object, {"a": 1}, [["a"]], [None]])
def test_non_text_filter_is_refused_at_once(connect: Connect, serve: Serve, value: Any) -> None:
    server = serve(lambda _: Reply(body={"data": {"tasks": []}}))
    client = connect(replace(V1, listing=WAYS["cursors"].listing), server.base_url)
    with pytest.raises(TypeError, match="tag must be a text, an integer, a boolean, a UUID, or a list of these, not "):
        client.list(tag=value)
    assert not server.seen


@pytest.mark.parametrize(("name", "first", "wrong"), [("numbers", "2", "0"), ("offsets", "3", "-1")])
def test_list_begins_at_the_given_page(connect: Connect, serve: Serve, name: str, first: str, wrong: str) -> None:
    listing = WAYS[name].listing
    server = serve(lambda _: Reply(body={"data": {"tasks": []}}))
    client = connect(replace(V1, listing=listing), server.base_url)
    assert not list(client.list(**{str(listing.page_parameter): first}))
    assert f"{listing.page_parameter}={first}" in server.calls[0]
    with pytest.raises(
        ValueError, match=rf"{listing.page_parameter} is the number of .* to begin with, .*, not '{wrong}'"
    ):
        list(client.list(**{str(listing.page_parameter): wrong}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "page_parameter: must be given if `pages` is 'numbers'"),
        ({"pages": "offsets"}, "page_parameter: must be given if `pages` is 'offsets'"),
        ({"page_parameter": "page", "next_field": "next"}, "next_field: must be left out if `pages` is 'numbers'"),
        ({"pages": "cursors", "page_parameter": "page"}, "next_field: must be given if `pages` is 'cursors'"),
        ({"pages": "urls", "page_parameter": "a", "next_field": "b"}, "page_parameter: must be left out if `pages` is"),
        ({"pages": "one", "page_parameter": "page"}, "page_parameter: must be left out if `pages` is 'one'"),
        ({"pages": "pages", "page_parameter": "page"}, "pages: must be one of 'numbers', 'offsets', 'cursors', "),
        ({"page_parameter": "page", "more_field": "a", "items_field": ""}, "more_field: must be left out: the whole"),
        ({"page_parameter": "page", "more_field": "a..b"}, "more_field: must be a field or a path"),
        ({"page_parameter": "page", "id_field": "a..b"}, "id_field: must be a field or a path"),
        ({"page_parameter": "page", "call": replace(GET, id_field="a")}, "call.id_field: a list has no id of its own"),
    ],
)
def test_invalid_list_call_is_a_finding(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        listed(**settings)


# --- the events of a task --------------------------------------------------------------------------


EVENTS = Call(method="GET", path="/tasks/{id}/events")
OF_EVENTS = replace(V1, events=ListCall(call=EVENTS, items_field="events", pages="urls", next_field="next"))
UUID_IN_CAPITALS = "8D5C0E6A-0F0B-4B0E-9D0B-6B1D3C1F4A55"


@pytest.mark.parametrize(
    ("task_id", "spelled"),
    [("7", "7"), ("a b", "a%20b"), ("a/b", "a%2fb"), ("ü:+", "%C3%BC:+"), (UUID_IN_CAPITALS, UUID_IN_CAPITALS.lower())],
)
def test_url_of_the_next_page_of_events_names_the_task(
    connect: Connect, serve: Serve, task_id: str, spelled: str
) -> None:
    first = {"events": [{"id": "1"}], "next": f"/api/v1/tasks/{spelled}/events?page=2"}
    server = serve(lambda seen: Reply(body={"events": [{"id": "2"}]} if seen.query else first))
    events = connect(OF_EVENTS, server.base_url).task(task_id).events()
    assert [each["id"] for each in events] == ["1", "2"]
    path = f"GET /api/v1/tasks/{quote(task_id, safe='')}/events"
    assert server.calls == [path, f"{path}?page=2"]


@pytest.mark.parametrize("page", [{"next": "/api/v1/tasks/8/events?page=2"}, {"next": "?\ud800"}, {"events": 5}])
def test_error_about_the_events_of_a_task_has_the_path_of_the_request(
    connect: Connect, serve: Serve, page: dict[str, Any]
) -> None:
    client = connect(OF_EVENTS, serve(lambda _: Reply(body={"events": [{"id": "1"}], **page})).base_url)
    with pytest.raises(InvalidResponse) as raised:
        list(client.task("7").events())
    assert (raised.value.path, "{" in str(raised.value)) == ("/api/v1/tasks/7/events", False)


def of_events(listing: ListCall, **changes: Any) -> Any:
    """Return a binding whose tasks have their ids at `jobId`, with this list of events."""
    call = replace(EVENTS, query=listing.call.query)
    return replace(V1, id_field="jobId", events=replace(listing, call=call, **changes))


WAYS_OF_EVENTS = [
    (name, id_field)
    for name in WAYS
    for id_field in ("id", "meta.key", None)
    if (name == "URLs without a host" or not name.startswith("URLs")) and (id_field or "last ids" not in name)
]


@pytest.mark.parametrize(("name", "id_field"), WAYS_OF_EVENTS)
@pytest.mark.parametrize("size", [0, 1, SIZE, SIZE + 1, 4 * SIZE])
def test_each_event_of_a_task_is_yielded_once(
    connect: Connect, serve: Serve, name: str, size: int, id_field: str | None
) -> None:
    way = WAYS[name]

    def script(seen: Seen) -> Reply:
        begin = way.begin({key: values[0] for key, values in parse_qs(seen.query).items()})
        end = min(begin + SIZE, size)
        ids = [f"task-{place}" for place in range(begin, end)]
        events = [{"jobId": "7", "id": each, "meta": {"key": each}} for each in ids]
        return Reply(body={"data": {"tasks": events}, **way.next(max(end, 0), size, server.base_url)})

    server = serve(script)
    task = connect(of_events(way.listing, id_field=id_field), server.base_url).task("7")
    assert [each["id"] for each in task.events()] == [f"task-{place}" for place in range(size)]


@pytest.mark.parametrize("pages", ["numbers", "one"])
def test_equal_events_without_ids_are_all_yielded(connect: Connect, serve: Serve, pages: Any) -> None:
    parameter = None if pages == "one" else "page"
    listing = ListCall(call=EVENTS, items_field="", pages=pages, page_parameter=parameter)
    ticks = [{"type": "tick"}, {"type": "tick"}]

    def script(seen: Seen) -> Reply:
        return Reply(body=ticks if seen.query in ("", "page=1", "page=2") else [])

    events = [*connect(replace(V1, events=listing), serve(script).base_url).task("7").events()]
    assert events == (ticks if pages == "one" else ticks * 2)


def test_page_of_events_without_ids_that_is_repeated_for_ever_is_an_error(connect: Connect, serve: Serve) -> None:
    listing = ListCall(call=EVENTS, items_field="", page_parameter="page")
    server = serve(lambda _: Reply(body=[{"type": "tick"}]))
    with pytest.raises(InvalidResponse, match="the list is incomplete: 5 pages in a row had nothing new"):
        list(connect(replace(V1, events=listing), server.base_url).task("7").events())
    assert len(server.seen) == 6


def test_event_on_two_pages_is_yielded_once_if_events_have_ids(connect: Connect, serve: Serve) -> None:
    listing = ListCall(call=EVENTS, items_field="", page_parameter="page", id_field="seq")
    pages = {"page=1": [{"seq": 1}, {"seq": 2}], "page=2": [{"seq": 2}, {"seq": 3}]}
    server = serve(lambda seen: Reply(body=pages.get(seen.query, [])))
    events = connect(replace(V1, events=listing), server.base_url).task("7").events()
    assert [each["seq"] for each in events] == [1, 2, 3]


@pytest.mark.parametrize(
    ("id_field", "events", "message"),
    [
        ("jobId", [{"jobId": "7"}, {"jobId": "7"}], "two items of 'events' have the same id at 'jobId': '7'"),
        ("seq", [{"id": "1"}], "item 0 of 'events' has no id at 'seq'"),
        (None, [{"id": "1"}, "x"], "item 1 of 'events' is no object: 'x'"),
        (None, None, "no events at 'events'"),
    ],
)
def test_invalid_events_are_an_invalid_response(
    connect: Connect, serve: Serve, id_field: str | None, events: Any, message: str
) -> None:
    listing = ListCall(call=EVENTS, items_field="events", page_parameter="page", id_field=id_field)
    server = serve(lambda _: Reply(body={"events": events}))
    with pytest.raises(InvalidResponse, match=message):
        list(connect(replace(V1, events=listing), server.base_url).task("7").events())


def test_events_whose_pages_begin_after_an_id_must_have_ids() -> None:
    listing = ListCall(call=EVENTS, items_field="events", pages="last_ids", page_parameter="after")
    with pytest.raises(DefinitionError, match="id_field: must be given if `pages` is 'last_ids'"):
        replace(V1, events=listing)


def test_list_says_where_a_task_has_its_id_in_it(connect: Connect, serve: Serve) -> None:
    server = serve(lambda _: Reply(body={"data": {"tasks": [{"id": "row", "run": {"key": "a"}}]}}))
    client = connect(replace(V1, listing=listed(pages="one", id_field="run.key")), server.base_url)
    assert [each.id for each in client.list()] == ["a"]


@pytest.mark.parametrize("names", [["same"], ["a", "b"], ["a", "b", "c"]])
@pytest.mark.parametrize(
    ("way", "form"), [("cursors", "{}"), ("URLs", "?from={}")], ids=lambda each: each if "{" not in each else ""
)
def test_page_whose_name_is_used_again_is_read_while_it_has_new_tasks(
    connect: Connect, serve: Serve, way: str, form: str, names: list[str]
) -> None:
    """The service remembers where it is, whatever the page is called; at the end it repeats the last page."""
    pages = [["1", "2"], ["3", "4"], ["5", "6"], ["7", "8"], ["9"]]

    def script(_: Seen) -> Reply:
        number = len(server.seen)
        tasks = [{"id": each, "status": "running"} for each in pages[min(number, len(pages)) - 1]]
        following = form.format(names[number % len(names)])
        return Reply(body={"data": {"tasks": tasks}, "meta": {"next": following}, "next": following})

    server = serve(script)
    binding = replace(V1, listing=WAYS[way].listing)

    assert [each.id for each in connect(binding, server.base_url).list()] == [*"123456789"]
    assert len(server.seen) <= len(pages) + len(names)
