"""An error of one task, or of a callback, is reported in one place, and watching continues."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import V1_FULL, AdapterError, Lifecycle, LifecycleError, UndeclaredState, UnknownName
from lifecycle.journal import Report, ReportEntry, Server, TaskRecord, TaskReport
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle_adapters.http import AsyncClient, ClientUnusable
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services.registry import service as service_of
from lifecycle_adapters.services.v1 import V1 as BUILT_IN_V1
from lifecycle_adapters.watch import (
    Change,
    Event,
    Facts,
    Pace,
    Policy,
    PolicyAction,
    PolicyFailed,
    ReadFailed,
    StopAfter,
    StopAtCost,
    Watcher,
)
from lifecycle_adapters.watch.feed import ChangeFeed
from tests.adapters.watch.worlds import FAST, KEY, Service, clock, run, states, timetable, unlimited, until, watching

GOOD = [f"good {number}" for number in range(30)]


def kinds(emitted: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [each for each in emitted if isinstance(each, kind)]


def service() -> Service:
    return Service(dict.fromkeys(["bad", *GOOD], "running"))


def watched_to_their_ends(service: Service, **settings: Any) -> list[Event]:
    """Watch a bad task and many good ones, which finish after a minute; stop when the good ones are over."""
    emitted: list[Event] = []
    journal = settings.pop("journal", None)
    on_event = settings.pop("on_event", emitted.append)

    async def everything() -> None:
        timetable(service, {60: dict.fromkeys(GOOD, "finished")})
        chosen: dict[str, Any] = {"on_event": on_event, "clock": clock(), **settings}
        async with watching(service.client(journal=journal), **chosen) as watched:
            watched.add(GOOD[0], "bad", *GOOD[1:])
            await asyncio.sleep(170)
            assert len(watched) <= 1

    run(everything())
    return emitted


def require_good(emitted: list[Event]) -> None:
    assert all(states(emitted, each) == ["running", "finished"] for each in GOOD)
    assert {each.task_id for each in kinds(emitted, ReadFailed) + kinds(emitted, PolicyFailed)} <= {"bad"}


# --- the journal --------------------------------------------------------------------------------

ERRORS: list[Exception] = [
    UnknownName("state", "printing", known=["running"], where="job"),
    LifecycleError("not this one"),
    ValueError("a status of another world"),
    RuntimeError("raw"),
]


class Picky(MemoryJournal):
    """A journal that takes no report of one task, and records a batch as a whole or not at all."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error
        self.batches: list[int] = []

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        if any(each.task_id == "bad" for each in reports):
            raise self._error
        self.batches.append(len(reports))
        return super().add_reports(reports)


@pytest.mark.heavy
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_report_that_cannot_be_recorded_is_rejected_alone(error: Exception) -> None:
    disturbed = service()
    emitted = watched_to_their_ends(disturbed, journal=Picky(error))

    require_good(emitted)
    assert [each.error for each in kinds(emitted, ReadFailed)] == [error]
    read_s = disturbed.times_s("bad")
    assert len(read_s) < 30, "with growing pauses"


class UnloadableLog:
    """A task journal that cannot read what it knows, while its journal `is_broken`. It forwards the rest."""

    def __init__(self, log: MemoryTaskJournal[Any, Any], journal: Unloadable) -> None:
        self._log = log
        self._journal = journal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def load(self) -> TaskRecord[Any, Any]:
        if self._journal.is_broken:
            raise self._journal.error
        return self._log.load()


class Unloadable(MemoryJournal):
    """A journal that cannot read what it knows of one task, while `is_broken`."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.is_broken = True
        self.error = error

    def task(self, lifecycle: Lifecycle[Any, Any], task_id: str, *, server: Server | None = None) -> Any:
        log = super().task(lifecycle, task_id, server=server)
        return UnloadableLog(log, self) if task_id == "bad" else log

    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        if self.is_broken and any(each.task_id == "bad" for each in reports):
            raise self.error
        return super().add_reports(reports)


@pytest.mark.heavy
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_task_whose_record_cannot_be_read_is_reported_once_and_tried_again(error: Exception) -> None:
    emitted = watched_to_their_ends(service(), journal=Unloadable(error), policies=[StopAfter(1000)])

    require_good(emitted)
    assert [each.error for each in kinds(emitted, ReadFailed)] == [error]


def test_record_that_becomes_unreadable_leads_to_no_endless_loop_of_its_policy() -> None:
    journal, disturbed = Unloadable(ERRORS[0]), service()
    journal.is_broken = False

    async def everything() -> list[Event]:
        emitted: list[Event] = []
        asyncio.get_running_loop().call_at(20, setattr, journal, "is_broken", True)
        settings: dict[str, Any] = {"policies": [StopAfter(50)], "clock": clock(), "on_event": emitted.append}
        async with watching(disturbed.client(journal=journal), **settings) as watched:
            watched.add("bad", *GOOD)
            await asyncio.sleep(300)
        return emitted

    emitted = run(everything())
    assert all(states(emitted, each) == ["running", "stopped"] for each in GOOD)
    assert len(kinds(emitted, ReadFailed)) < 4
    assert disturbed.words["bad"] == "running"


OLD = """
name: job
citation: c
states: [{name: waiting, initial: true}, {name: printing}, {name: done, final: true}]
events: [{name: begin, origin: remote}, {name: finish, origin: remote}, {name: cancel, origin: caller}]
transitions:
  - {source: waiting, event: begin, target: printing}
  - {source: printing, event: finish, target: done}
  - {source: printing, event: cancel, target: done}
  - {source: waiting, event: cancel, target: done}
"""


def test_feed_reports_a_task_in_an_undeclared_state(tmp_path: Path) -> None:
    """A rolling update: another worker records a state that we do not know, and later one that we know."""
    old = Lifecycle.from_yaml(OLD)
    new = Lifecycle.from_yaml(OLD.replace("printing", "at-the-printer"))
    v4 = service_of("v4")
    words = {"old": "waiting", "good": "waiting", "moved": "waiting"}
    binding = replace(
        v4, name="printer", lifecycle=new, commands={"cancel": next(iter(v4.commands.values()))}, proofs={}
    )

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"status": words[request.url.path.split("/")[4]]})

    async def everything() -> list[Event]:
        with SqlJournal(tmp_path / "journal.db") as ours, SqlJournal(tmp_path / "journal.db") as theirs:
            for status in ("waiting", "printing"):
                theirs.task(old, "old").add_report(Report(status, datetime.now(UTC)))
            http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
            client = AsyncClient(binding, api_key=KEY, base_url="http://s.test", http=http, journal=ours, timing=FAST)
            emitted: list[Event] = []
            async with Watcher(
                client, pace=Pace(working_s=600), throttle=unlimited(), on_event=emitted.append
            ) as watcher:
                for each in ("moved", "good", "old"):
                    watcher.add(each)
                await until(lambda: len(emitted) == 3)
                theirs.task(old, "moved").add_report(Report("printing", datetime.now(UTC)))
                await until(lambda: len(kinds(emitted, ReadFailed)) == 2)
                theirs.task(old, "good").add_report(Report("done", datetime.now(UTC)))
                await until(lambda: len(watcher) == 2)
            return emitted

    emitted = asyncio.run(asyncio.wait_for(everything(), 60))
    assert states(emitted, "good") == ["waiting", "done"]
    unreadable = kinds(emitted, ReadFailed)
    assert [each.task_id for each in unreadable] == ["old", "moved"]
    assert all(isinstance(each.error, UndeclaredState) for each in unreadable)


class Feeding(MemoryJournal):
    """A journal whose changes cannot be read for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str | None] = []

    def changes(self, since: str | None = None, *, limit: int = 1000) -> Any:
        del limit
        self.asked.append(since)
        if 1 < len(self.asked) < 4:
            raise ValueError("not a cursor of this journal's")
        return _Told((), "7")


@dataclass(frozen=True)
class _Told:
    entries: tuple[object, ...]
    cursor: str


def test_feed_that_cannot_be_read_is_resumed_and_tasks_are_read(caplog: pytest.LogCaptureFixture) -> None:
    journal = Feeding()
    assert isinstance(journal, ChangeFeed)

    emitted = watched_to_their_ends(service(), journal=journal)

    require_good(emitted)
    assert journal.asked[:6] == ["now", "7", "now", "now", "7", "7"]
    assert "the journal's changes cannot be read" in caplog.text


# --- unusable responses of a service ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cost", "is_reported"),
    [
        *((each, False) for each in ("NaN", "Infinity", "-Infinity")),  # no JSON: the task cannot be read
        *((each, False) for each in ("null", "0.99", '" 0.99 "')),
        *((each, True) for each in ('"NaN"', '"sNaN"', '"abc"', "[]", "1e400", "true", '""')),
        *((each, True) for each in ('"5 USD"', '"$5.00"', '"5,00"', '{"usd": 5}', "[5]")),
    ],
)
def test_a_cost_that_is_not_a_number_is_reported_once_for_each_limit_of_it(cost: str, is_reported: bool) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        task_id = request.url.path.split("/")[4]
        if request.method == "PATCH":
            words[task_id] = "stopped"
        emitted = cost if task_id == "bad" else "2.5"
        return httpx2.Response(200, content=f'{{"id": "{task_id}", "status": "{words[task_id]}", "cost": {emitted}}}')

    words = {"bad": "started", "good": "started"}

    async def everything() -> list[Event]:
        emitted: list[Event] = []
        client = Service(plan=answer).client(api="v2")
        limits = [StopAtCost(1), StopAtCost(2, name="stop-late"), StopAfter(1e6)]
        async with watching(client, policies=limits, clock=clock(), on_event=emitted.append) as watched:
            watched.add("bad", "good")
            await asyncio.sleep(100)
        return emitted

    emitted = run(everything())
    assert [each.task_id for each in kinds(emitted, PolicyAction)] == ["good"]
    assert words == {"bad": "started", "good": "stopped"}
    failed = kinds(emitted, PolicyFailed)
    assert [(each.task_id, each.policy) for each in failed] == (
        [("bad", "stop-at-cost"), ("bad", "stop-late")] if is_reported else []
    )
    assert all(str(each.error) == "the cost at 'cost' is not a number" for each in failed)


def test_a_cost_is_reported_again_if_it_was_a_number_between(caplog: pytest.LogCaptureFixture) -> None:
    costs = iter(['"1 USD"', '"2 USD"', "null", "3", "3", '"4 USD"', '"5 USD"', "10"])

    def answer(request: httpx2.Request) -> httpx2.Response:
        words["a"] = "stopped" if request.method == "PATCH" else words["a"]
        return httpx2.Response(200, content=f'{{"id": "a", "status": "{words["a"]}", "cost": {next(costs, "10")}}}')

    words = {"a": "started"}

    async def everything() -> list[Event]:
        emitted: list[Event] = []
        client = Service(plan=answer).client(api="v2")
        pace = Pace(working_s=1, growth=1, jitter=0, cost_s=1)
        settings: dict[str, Any] = {"policies": [StopAtCost(9)], "pace": pace, "clock": clock()}
        async with watching(client, **settings, on_event=emitted.append) as watched:
            watched.add("a")
            await watched.finished()
        return emitted

    emitted = run(everything())
    assert len(kinds(emitted, PolicyFailed)) == 2
    assert [each.sent for each in kinds(emitted, PolicyAction)] == [True], "the limit still works"
    assert caplog.text.count("the cost at 'cost' is not a number") == 2


def test_details_that_cannot_be_read_do_not_hide_the_status() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        is_status = request.url.path.endswith("/status")
        return httpx2.Response(200, json={"status": "started"}) if is_status else httpx2.Response(500)

    async def everything() -> list[Event]:
        emitted: list[Event] = []
        client = Service(plan=answer).client(api="v2")
        async with watching(client, policies=[StopAtCost(1)], clock=clock(), on_event=emitted.append) as watched:
            watched.add("a")
            await asyncio.sleep(100)
        return emitted

    emitted = run(everything())
    assert [type(each) for each in emitted] == [Change]


def test_client_that_can_never_be_used_again_ends_the_watching() -> None:
    async def everything() -> None:
        http = httpx2.AsyncClient()
        await http.aclose()
        client = AsyncClient("v1", api_key=KEY, base_url="http://127.0.0.1:9", http=http, timing=FAST)
        async with watching(client) as watched:
            watched.add("a", "b")
            async for _ in watched.changes():
                pass

    with pytest.raises(ClientUnusable):
        run(everything())


# --- policies -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raising:
    """A policy that raises for one task, in one of its methods."""

    where: str
    until: datetime
    error: type[BaseException]
    name: str = "raising"
    needs_cost: bool = False

    def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
        del lifecycle
        if self.where == "decide" and facts.task_id == "bad" and now < self.until:
            raise self.error("what a policy")
        return "its time has come" if facts.task_id == "bad" and now >= self.until else None

    def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> datetime | None:
        del lifecycle
        if self.where == "due_at" and facts.task_id == "bad" and datetime.now(UTC) < self.until:
            raise self.error("what a policy")
        return None


@pytest.mark.heavy
@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
@pytest.mark.parametrize("where", ["decide", "due_at"])
def test_policy_that_raises_about_one_task_is_evaluated_again_and_the_others_continue(
    where: str, error: type[BaseException]
) -> None:
    disturbed = service()
    other = StopAfter(90, name="other")
    until = datetime.now(UTC) + (timedelta(seconds=70) if where == "decide" else timedelta(days=1))
    emitted = watched_to_their_ends(disturbed, policies=[Raising(where, until, error), other])

    require_good(emitted)
    failed = kinds(emitted, PolicyFailed)
    assert [each.policy for each in failed[:1]] == ["raising"]
    assert error in (type(failed[0].error), type(failed[0].error.__cause__))
    assert len(failed) <= 2, "at growing intervals"
    assert disturbed.words["bad"] == "stopped"
    if where == "due_at":
        assert {each.policy for each in kinds(emitted, PolicyAction)} == {"other"}


@pytest.mark.parametrize(
    ("reason", "due_at", "wrong"),
    [
        (None, datetime(2026, 1, 1), "due_at of the policy 'odd' must return an aware datetime or None"),  # noqa: DTZ001
        (None, 1.5, "due_at of the policy 'odd' must return an aware datetime or None, not 1.5"),
        (True, None, "decide of the policy 'odd' must return a text or None, not True"),
    ],
)
def test_policy_that_returns_another_type_is_reported(reason: Any, due_at: Any, wrong: str) -> None:
    @dataclass
    class Odd:
        name: str = "odd"
        needs_cost: bool = False

        def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> Any:
            del lifecycle, facts, now
            return reason

        def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> Any:
            del lifecycle, facts
            return due_at

    emitted = watched_to_their_ends(service(), policies=[Odd()])

    assert {type(each.error) for each in kinds(emitted, PolicyFailed)} == {TypeError}
    assert all(wrong in str(each.error) for each in kinds(emitted, PolicyFailed))
    assert all(states(emitted, each) == ["running", "finished"] for each in GOOD)


def test_policy_that_raises_on_its_second_evaluation_is_reported() -> None:
    @dataclass
    class Fickle:
        name: str = "fickle"
        needs_cost: bool = False
        asked: int = 0

        def decide(self, lifecycle: Lifecycle[Any, Any], facts: Facts, now: datetime) -> str | None:
            del lifecycle, facts, now
            self.asked += 1
            if self.asked % 2 == 0:
                raise ZeroDivisionError
            return "now"

        def due_at(self, lifecycle: Lifecycle[Any, Any], facts: Facts) -> None: ...

    async def everything() -> list[Event]:
        emitted: list[Event] = []
        disturbed = Service({"bad": "running"})
        policies: list[Policy] = [Fickle()]
        async with watching(disturbed.client(), policies=policies, on_event=emitted.append) as watched:
            watched.add("bad")
            await asyncio.sleep(100)
        return emitted

    emitted = run(everything())
    assert kinds(emitted, PolicyFailed)
    assert len(emitted) < 6


# --- callbacks ----------------------------------------------------------------------------------


async def _cancelled(_: Event) -> None:
    raise asyncio.CancelledError


def _raising(_: Event) -> None:
    raise ZeroDivisionError


async def _raising_later(_: Event) -> None:
    await asyncio.sleep(0.1)
    raise ZeroDivisionError


@pytest.mark.parametrize("callback", [_raising, _raising_later, _cancelled])
def test_callback_that_raises_stops_nothing_and_its_errors_are_raised_at_the_end(
    callback: Callable[[Event], Awaitable[None] | None], caplog: pytest.LogCaptureFixture
) -> None:
    emitted: list[Event] = []

    def record(event: Event) -> Awaitable[None] | None:
        emitted.append(event)
        return callback(event) if getattr(event, "task_id", None) == "bad" else None

    disturbed = service()

    async def everything() -> None:
        timetable(disturbed, {60: dict.fromkeys(disturbed.words, "finished")})
        async with watching(disturbed.client(), on_event=record) as watched:
            watched.add(*disturbed.words)
            await watched.finished()

    with pytest.raises(ExceptionGroup, match="on_event") as raised:
        run(everything())
    assert all(states(emitted, each) == ["running", "finished"] for each in disturbed.words)
    assert len(raised.value.exceptions) == 2
    assert all(isinstance(each, ZeroDivisionError | RuntimeError) for each in raised.value.exceptions)
    logged = [record for record in caplog.records if "on_event" in record.getMessage()]
    assert len(logged) == 2
    assert all(record.exc_info for record in logged)


def test_many_errors_of_a_callback_are_all_logged_and_ten_are_raised(caplog: pytest.LogCaptureFixture) -> None:
    async def everything() -> None:
        finished = Service({f"t{number}": "finished" for number in range(40)})
        async with watching(finished.client(), on_event=_raising) as watched:
            watched.add(*finished.words)
            await watched.finished()

    with caplog.at_level(logging.ERROR), pytest.raises(ExceptionGroup) as raised:
        run(everything())
    assert len(raised.value.exceptions) == 10
    assert sum("on_event" in record.getMessage() for record in caplog.records) == 40


def test_error_of_the_block_outranks_those_of_the_callback() -> None:
    async def everything() -> None:
        async with watching(Service({"a": "running"}).client(), on_event=_raising) as watched:
            watched.add("a")
            await asyncio.sleep(10)
            raise KeyError

    with pytest.raises(KeyError):
        run(everything())


# --- closing ------------------------------------------------------------------------------------


def _hanging_until(event: asyncio.Event) -> Callable[[Event], Awaitable[None]]:
    async def hang(_: Event) -> None:
        await event.wait()

    return hang


def _stubborn_until(event: asyncio.Event) -> Callable[[Event], Awaitable[None]]:
    async def hang(_: Event) -> None:
        while not event.is_set():
            try:
                await event.wait()
            except asyncio.CancelledError:
                continue

    return hang


class Unwritable(MemoryJournal):
    def add_reports(self, reports: Sequence[TaskReport]) -> list[ReportEntry[Any, Any]]:
        raise AdapterError(f"the disk is full: no room for {len(reports)}")


class HangingTransport(httpx2.AsyncBaseTransport):
    """Answers with a body that never ends, or not at all; some do not mind being cancelled."""

    def __init__(self, how: str, released: asyncio.Event) -> None:
        self._how, self._released = how, released

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        del request
        if self._how == "request":
            await self._released.wait()
        if self._how == "stubborn request":
            await _stubborn_until(self._released)(None)  # type: ignore[arg-type]
        return httpx2.Response(200, stream=_Drip())


class _Drip(httpx2.AsyncByteStream):
    async def __aiter__(self) -> AsyncGenerator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b" "


@pytest.mark.parametrize("how", ["request", "stubborn request", "body", "callback", "stubborn callback", "journal"])
def test_closing_takes_no_longer_than_it_may(how: str) -> None:
    async def everything() -> tuple[float, str | None]:
        released = asyncio.Event()
        journal = Unwritable() if how == "journal" else MemoryJournal()
        log = journal.task(V1_FULL, "a")
        client = Service({"a": "running"}).client(journal=journal)
        if how in ("request", "stubborn request", "body"):
            http = httpx2.AsyncClient(transport=HangingTransport(how, released))
            client = AsyncClient("v1", api_key=KEY, base_url="http://s.test", http=http, journal=journal, timing=FAST)
        callbacks = {"callback": _hanging_until, "stubborn callback": _stubborn_until}
        on_event = callbacks[how](released) if how in callbacks else None
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        try:
            async with watching(client, on_event=on_event, closing_s=5.0) as watched:
                watched.add("a")
                await asyncio.sleep(20)
                begun_s = loop.time()
        except* TimeoutError:
            assert how == "callback"
        took_s = loop.time() - begun_s
        released.set()
        await asyncio.sleep(1)
        return took_s, log.load().state

    took_s, state = run(everything())
    assert took_s < 5.1
    assert state == ("running" if "callback" in how else None)


def test_callback_that_hangs_at_the_end_leaves_time_to_record_reports() -> None:
    journal = MemoryJournal()
    logs = [journal.task(V1_FULL, each) for each in ("a", "b", "c")]

    async def everything() -> None:
        never = asyncio.Event()
        client = Service(dict.fromkeys("abc", "running")).client(journal=journal)
        async with watching(client, on_event=_hanging_until(never), closing_s=5.0) as watched:
            watched.add("a", "b", "c")
            await asyncio.sleep(20)

    with pytest.raises(ExceptionGroup):
        run(everything())
    assert [log.load().state for log in logs] == ["running"] * 3


@pytest.mark.parametrize("closing_s", [0, -1, float("nan"), float("inf")])
def test_invalid_closing_time_is_refused(closing_s: float) -> None:
    async def everything() -> None:
        with pytest.raises(ValueError, match="closing_s"):
            watching(Service().client(), closing_s=closing_s)

    run(everything())


# --- a task that was just created ---------------------------------------------------------------


@pytest.mark.parametrize(("found_after_s", "is_gone"), [(2.0, False), (4.5, False), (8.0, True)])
def test_new_task_that_is_not_found_is_gone_after_five_seconds(found_after_s: float, is_gone: bool) -> None:
    journal, lagging = MemoryJournal(), Service({"a": "running"})
    lagging.plan = lambda _: httpx2.Response(404) if asyncio.get_running_loop().time() < found_after_s else None
    log = journal.task(V1_FULL, "a")

    async def everything() -> list[Event]:
        log.track(created=True)
        timetable(lagging, {20: {"a": "finished"}})
        async with watching(lagging.client(journal=journal), clock=clock()) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    emitted = run(everything())
    if is_gone:
        assert [each.is_gone for each in kinds(emitted, ReadFailed)] == [True]
        assert 5 <= lagging.times_s()[-1] < 7
    else:
        assert [type(each) for each in emitted] == [Change, Change]
        assert found_after_s <= lagging.times_s()[-2] < 20


@pytest.mark.parametrize("was_seen", [True, False])
def test_404_means_a_status_only_for_a_task_that_was_seen(*, was_seen: bool) -> None:
    journal, service = MemoryJournal(), Service()
    read = replace(BUILT_IN_V1.status, statuses={404: "stopped"})
    binding = replace(BUILT_IN_V1, status=read, details=replace(BUILT_IN_V1.details, statuses={404: "stopped"}))

    log = journal.task(V1_FULL, "a")

    async def everything() -> list[Event]:
        if was_seen:
            log.add_report(Report("running", datetime.now(UTC)))
        async with watching(service.client(journal=journal, api=binding)) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    emitted = run(everything())
    assert [type(each) for each in emitted][-1] is (Change if was_seen else ReadFailed)
    assert log.load().state == ("stopped" if was_seen else None)


def test_task_created_long_ago_is_gone_after_two_reads() -> None:
    journal, service = MemoryJournal(), Service()
    log = journal.task(V1_FULL, "a")

    async def everything() -> list[Event]:
        log.track(created=True)
        later = datetime.now(UTC) + timedelta(minutes=1)
        async with watching(service.client(journal=journal), clock=lambda: later) as watched:
            watched.add("a")
            return [event async for event in watched.changes()]

    [gone] = run(everything())
    assert isinstance(gone, ReadFailed)
    assert gone.is_gone
    assert len(service.times_s()) == 2
