"""Spans and metrics received by OpenTelemetry's SDK from both clients and journals; none contains a secret."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanContext, SpanKind

from lifecycle import V1_FULL, LifecycleError, V1Event, V1State
from lifecycle.journal import Delivery, Journal, Report, TaskReport
from lifecycle.memory import MemoryJournal
from lifecycle_adapters import telemetry
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import OverdueAfter, Pace, Watcher
from tests.adapters.http.both import KEY, QUICK, AnyClient, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.http.scripted import Reply, Script, ScriptedServer, by_path

TASK = "task-of-nobody-else"
STATUS = f"GET /api/v1/task/{TASK}/status"
DETAILS = f"GET /api/v1/task/{TASK}"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)

Figures = dict[tuple[str, ...], float]
Connect = Callable[..., AnyClient]


class Spans(SpanProcessor):
    """Keeps the ended spans while a test wants them."""

    def __init__(self) -> None:
        self.ended: list[ReadableSpan] | None = None

    def on_end(self, span: ReadableSpan) -> None:
        if self.ended is not None:
            self.ended.append(span)


@cache
def sdk() -> tuple[Spans, InMemoryMetricReader]:
    """Configure the process's SDK, which can be done once; return where it puts the spans and the metrics."""
    spans, reader = Spans(), InMemoryMetricReader(dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA))
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(spans)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(MeterProvider([reader], shutdown_on_exit=False))
    return spans, reader


class Exported:
    """The spans and metrics that the SDK has received since this was made."""

    def __init__(self) -> None:
        spans, self._reader = sdk()
        spans.ended = self.spans = list[ReadableSpan]()  # in the order in which they ended
        self._points: dict[str, list[Any]] = {}
        self._reader.get_metrics_data()  # those before

    def span(self, name: str) -> ReadableSpan:
        (found,) = [each for each in self.spans if each.name == name]
        return found

    def facts(self, name: str) -> dict[str, Any]:
        """Return the attributes of the only span with this name, without the prefix `lifecycle.`."""
        return {key.removeprefix("lifecycle."): value for key, value in (self.span(name).attributes or {}).items()}

    def metrics(self) -> dict[str, list[Any]]:
        """Return the data points of each metric."""
        data = self._reader.get_metrics_data()  # those since the last call
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        for metric in (metric for scope in scopes for metric in scope.metrics):
            self._points.setdefault(metric.name, []).extend(metric.data.data_points)
        return self._points

    def counts(self, name: str) -> Figures:
        """Return a metric's counts (a histogram's number of values) by the values of its attributes."""
        points = self.metrics().get(name, [])
        return {tuple(map(str, each.attributes.values())): _count(each) for each in points}


def _count(point: Any) -> float:
    counted: float = point.count if hasattr(point, "count") else point.value
    return counted


@pytest.fixture
def exported() -> Iterator[Exported]:
    yield Exported()
    spans, _ = sdk()
    spans.ended = None


@pytest.fixture(params=["memory", "sql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal(on_report=telemetry.count_report)
    else:
        with SqlJournal(tmp_path / "journal.db") as opened:
            yield opened


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Return a function that connects a v1 client to a scripted service, `connect(script, **settings)`."""
    with ExitStack() as running:

        def connect(script: Script, **settings: Any) -> AnyClient:
            server = running.enter_context(ScriptedServer(script).running())
            settings = {"api_key": KEY, "base_url": server.base_url, "timing": QUICK, **settings}
            if request.param == "async":
                return running.enter_context(
                    BlockingClient("v1", http_settings={"verify": NO_CERTIFICATES}, **settings)
                )
            http = running.enter_context(httpx2.Client(verify=NO_CERTIFICATES))
            return running.enter_context(Client("v1", http=http, **settings))

        yield connect


def statuses(*reported: str, **calls: Reply | list[Reply]) -> Script:
    """Return a script: these statuses in turn for reads, and these replies for the named commands (`pause`)."""
    reads = [Reply(body=status) for status in reported]
    commands = {f"PUT /api/v1/{name}-task": reply for name, reply in calls.items()}
    return by_path({STATUS: reads, DETAILS: Reply(body={"id": TASK, "status": reported[-1]}), **commands})


OK, BROKEN = Reply(body={}), Reply(status=500, body={"detail": "a secret of the service"})
REFUSED = Reply(status=400, body={"detail": "a secret of the service"})

# --- commands -------------------------------------------------------------------------------------


def test_a_commands_span_is_the_parent_of_its_requests(exported: Exported, connect: Connect, journal: Journal) -> None:
    client = connect(statuses("running", "paused", pause=[Reply(status=429), OK]), journal=journal)

    client.task(TASK).pause()

    assert exported.facts("lifecycle.command") == {
        "name": "v1-full", "task_id": TASK, "command": "pause", "outcome": "done", "attempts": 2, "state": "paused",
    }  # fmt: skip
    *requests, command = exported.spans
    assert [each.name for each in requests] == [
        "GET /api/v1/task/{id}/status",
        "PUT /api/v1/pause-task",
        "PUT /api/v1/pause-task",
        "GET /api/v1/task/{id}/status",
    ]
    assert [each.parent for each in requests] == 4 * [command.context]
    assert command.parent is None
    assert command.status.is_unset


def test_a_requests_span_follows_the_semantic_conventions(exported: Exported, connect: Connect) -> None:
    client = connect(statuses("running", pause=Reply(status=401)))

    with pytest.raises(LifecycleError):
        client.task(TASK).pause()

    read, sent = exported.span("GET /api/v1/task/{id}/status"), exported.span("PUT /api/v1/pause-task")
    host, _, port = client.base_url.removeprefix("http://").partition(":")
    assert dict(read.attributes or {}) == {
        "http.request.method": "GET",
        "url.full": f"{client.base_url}/api/v1/task/{TASK}/status",
        "url.template": "/api/v1/task/{id}/status",
        "server.address": host,
        "server.port": int(port),
        "http.response.status_code": 200,
    }
    assert read.kind is sent.kind is SpanKind.CLIENT
    assert (read.status.is_unset, sent.status.is_ok, sent.status.is_unset) == (True, False, False)
    assert (sent.attributes or {})["error.type"] == "401"


def test_a_request_of_json_rpc_is_named_by_its_method(exported: Exported) -> None:
    with telemetry.request("POST", "https://host", "/rpc", template="/rpc", rpc_method="tasks/get") as on_outcome:
        on_outcome(200)

    attributes = exported.span("tasks/get").attributes or {}
    assert (attributes["rpc.system"], attributes["rpc.method"]) == ("jsonrpc", "tasks/get")


def test_a_request_without_a_response_has_an_error_type(exported: Exported, connect: Connect) -> None:
    client = connect(statuses("running", pause=Reply(drops=True), stop=OK), timing=replace(QUICK, attempts=1))

    with pytest.raises(LifecycleError):
        client.task(TASK).pause()

    lost = [each for each in exported.spans if each.name == "PUT /api/v1/pause-task"]
    assert {str((each.attributes or {})["error.type"]) for each in lost} == {"httpx2.RemoteProtocolError"}
    assert not any("http.response.status_code" in (each.attributes or {}) for each in lost)


def lost_responses() -> Script:
    return by_path({STATUS: [Reply(body="running"), BROKEN], "PUT /api/v1/pause-task": BROKEN})


OUTCOMES: dict[str, tuple[Callable[[], Script], str]] = {
    "done": (lambda: statuses("running", "paused", pause=OK), ""),
    "redundant": (lambda: statuses("paused"), ""),
    "illegal": (lambda: statuses("finished"), "lifecycle.errors.IllegalTransition"),
    "refused": (lambda: statuses("running", pause=REFUSED), "lifecycle.errors.CommandRefused"),
    "uncertain": (lost_responses, "lifecycle.errors.CommandUncertain"),
    "ended_first": (lambda: statuses("running", "finished", pause=REFUSED), "lifecycle.errors.TaskEndedFirst"),
    "moot": (lambda: statuses("running", "failed", pause=OK), "lifecycle.errors.TaskEndedFirst"),
    "failed": (lambda: statuses("running", pause=Reply(status=403)), "lifecycle_adapters.http.http_errors.Forbidden"),
}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_of_a_command_is_recorded(exported: Exported, connect: Connect, outcome: str) -> None:
    script, error_type = OUTCOMES[outcome]

    with suppress(LifecycleError):
        connect(script()).task(TASK).pause()

    facts = exported.facts("lifecycle.command")
    assert (facts["outcome"], facts.get("error.type", "")) == (outcome, error_type)
    assert facts["attempts"] == (0 if outcome in ("redundant", "illegal") else 1)
    assert exported.span("lifecycle.command").status.is_unset == (not error_type)
    assert exported.span("lifecycle.command").events == ()
    assert exported.counts("lifecycle.command.duration") == {("v1-full", "pause", outcome): 1}
    by = {"illegal": "lifecycle", "refused": "service"}.get(outcome)
    assert exported.counts("lifecycle.refusals") == ({("v1-full", "pause", by): 1} if by else {})
    assert exported.counts("lifecycle.uncertain_commands") == (
        {("v1-full", "pause"): 1} if outcome == "uncertain" else {}
    )


def test_a_command_that_waits_for_another_is_in_flight(exported: Exported, connect: Connect, journal: Journal) -> None:
    log = journal.task(V1_FULL, TASK)
    known = log.add_report(Report("running", NOW))
    log.add_intent(V1Event.PAUSE, source=V1State.RUNNING, version=known.version, fields={})

    with pytest.raises(LifecycleError):
        connect(statuses("running"), journal=journal).task(TASK).stop()

    assert exported.facts("lifecycle.command")["outcome"] == "in_flight"


def test_an_error_of_the_journal_fails_the_command(exported: Exported, connect: Connect, tmp_path: Path) -> None:
    with SqlJournal(tmp_path / "journal.db") as made:
        made.task(V1_FULL, TASK).track()
    with SqlJournal(tmp_path / "journal.db", read_only=True) as journal, pytest.raises(LifecycleError):
        connect(statuses("running"), journal=journal).task(TASK).pause()

    facts = exported.facts("lifecycle.command")
    assert (facts["outcome"], facts["error.type"]) == (
        "failed",
        "lifecycle_adapters.journal.journal_errors.JournalReadOnly",
    )


def test_an_undeclared_name_starts_no_span(exported: Exported, connect: Connect) -> None:
    with pytest.raises(LifecycleError):
        connect(statuses("running")).task(TASK).send("explode")

    assert (exported.spans, exported.metrics()) == ([], {})


# --- recovering and waiting -----------------------------------------------------------------------


def test_a_recoverys_span_names_the_resumed_command(exported: Exported, connect: Connect, journal: Journal) -> None:
    task = connect(lost_responses(), journal=journal).task(TASK)
    with pytest.raises(LifecycleError):
        task.pause()

    moved = connect(statuses("running", "paused", pause=OK), journal=journal)
    moved.add_server()
    moved.recover()

    assert exported.facts("lifecycle.recover") == {
        "name": "v1-full", "task_id": TASK, "command": "pause", "outcome": "done", "attempts": 1, "state": "paused",
    }  # fmt: skip
    below = [each.name for each in exported.spans if each.parent == exported.span("lifecycle.recover").context]
    assert below == ["GET /api/v1/task/{id}/status", "PUT /api/v1/pause-task", "GET /api/v1/task/{id}/status"]
    assert exported.counts("lifecycle.command.duration") == {("v1-full", "pause", "uncertain"): 1}, "it was sent once"


def test_a_recovery_that_returns_its_error_still_failed(exported: Exported, connect: Connect, journal: Journal) -> None:
    task = connect(lost_responses(), journal=journal).task(TASK)
    with pytest.raises(LifecycleError):
        task.pause()

    moved = connect(by_path({STATUS: BROKEN}), journal=journal)
    moved.add_server()
    (recovered,) = moved.recover()

    assert recovered.error is not None
    facts = exported.facts("lifecycle.recover")
    assert (facts["outcome"], facts["command"]) == ("uncertain", "pause")
    assert facts["error.type"] == "lifecycle.errors.CommandUncertain"
    assert not exported.span("lifecycle.recover").status.is_unset


def test_a_recovery_without_an_open_command_has_its_own_outcome(exported: Exported, connect: Connect) -> None:
    assert connect(statuses("running")).task(TASK).recover() is None

    assert exported.facts("lifecycle.recover")["outcome"] == "nothing_open"


def test_a_waits_span_is_the_parent_of_its_polls(exported: Exported, connect: Connect) -> None:
    connect(statuses("created", "running", "finished")).task(TASK).wait()

    assert exported.facts("lifecycle.wait") == {
        "name": "v1-full", "task_id": TASK, "outcome": "rested", "state": "finished",
    }  # fmt: skip
    below = [each.name for each in exported.spans if each.parent == exported.span("lifecycle.wait").context]
    assert below == 3 * ["GET /api/v1/task/{id}/status"] + ["GET /api/v1/task/{id}"]


def test_a_wait_that_times_out_has_its_own_outcome(exported: Exported, connect: Connect) -> None:
    with pytest.raises(TimeoutError):
        connect(statuses("running")).task(TASK).wait(timeout_s=0.02)

    assert exported.facts("lifecycle.wait")["outcome"] == "timed_out"


# --- the context ----------------------------------------------------------------------------------


def test_the_journals_calls_are_inside_the_commands_span_in_other_threads_too(
    exported: Exported, connect: Connect, tmp_path: Path
) -> None:
    seen: list[SpanContext] = []

    def now() -> datetime:
        seen.append(trace.get_current_span().get_span_context())
        return datetime.now(UTC)

    with SqlJournal(tmp_path / "journal.db", clock=now) as journal:
        seen.clear()  # the constructor has read the clock once
        connect(statuses("running", "paused", pause=OK), journal=journal).task(TASK).pause()

    assert seen
    assert all(each == exported.span("lifecycle.command").context for each in seen)


def test_a_span_ends_with_its_procedure(exported: Exported, connect: Connect) -> None:
    task = connect(statuses("running", "paused", "running", pause=OK, resume=OK)).task(TASK)

    with trace.get_tracer("user").start_as_current_span("theirs") as theirs:
        task.pause()
        assert trace.get_current_span() is theirs
        task.resume()

    commands = [each for each in exported.spans if each.name == "lifecycle.command"]
    assert [each.parent for each in commands] == 2 * [theirs.get_span_context()]


def test_a_cancelled_command_restores_the_outer_span(exported: Exported) -> None:
    async def cancel(base_url: str) -> bool:
        async with AsyncClient("v1", api_key=KEY, base_url=base_url) as client:
            with trace.get_tracer("user").start_as_current_span("theirs") as theirs:
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await client.task(TASK).pause()
                return trace.get_current_span() is theirs

    with ScriptedServer(lambda _: Reply(delay_s=1.0)).running() as server:
        assert asyncio.run(cancel(server.base_url))

    assert exported.facts("lifecycle.command")["error.type"] == "asyncio.exceptions.CancelledError"
    assert exported.counts("lifecycle.command.duration") == {("v1-full", "pause", "failed"): 1}


# --- reports --------------------------------------------------------------------------------------


def reported(*reports: tuple[str, float], channel: str = "api") -> list[TaskReport]:
    return [
        TaskReport(V1_FULL, TASK, Report(status, NOW + timedelta(seconds=second), channel))
        for status, second in reports
    ]


def test_transitions_and_times_are_counted_for_every_source_of_reports(exported: Exported, journal: Journal) -> None:
    log = journal.task(V1_FULL, TASK)  # the journal in memory drops a task without references
    journal.add_reports(reported(("created", 0), ("created", 1), ("running", 2)))
    journal.receive(Delivery("1", "update", NOW, "{}"), reported(("finished", 12.5), channel="webhook"))
    log.add_report(Report("finished", NOW + timedelta(seconds=20)))

    assert exported.counts("lifecycle.transitions") == {
        ("v1-full", "created", "running", "step"): 1,
        ("v1-full", "running", "finished", "step"): 1,
    }
    times = {
        str(each.attributes["lifecycle.state"]): each.sum for each in exported.metrics()["lifecycle.time_in_state"]
    }
    assert times == {"created": 2.0, "running": 10.5}
    assert exported.counts("lifecycle.unapplied_reports") == {}


def test_a_jump_counts_as_one_transition(exported: Exported, journal: Journal) -> None:
    log = journal.task(V1_FULL, TASK)
    journal.add_reports(reported(("created", 0), ("finished", 5)))

    assert log.load().state == "finished"
    assert exported.counts("lifecycle.transitions") == {("v1-full", "created", "finished", "jump"): 1}


def test_reports_that_are_not_applied_are_counted_by_kind(exported: Exported, journal: Journal) -> None:
    log = journal.task(V1_FULL, TASK)
    journal.add_reports(reported(("exploded", 0), ("running", 1), ("paused", 0.5), ("created", 2), ("hibernating", 3)))
    journal.add_reports(reported(("paused", 4), channel="webhook"))
    journal.add_reports(reported(("finished", 5), ("failed", 6), ("failed", 7)))

    assert log.load().state == "finished"
    assert exported.counts("lifecycle.unapplied_reports") == {
        ("v1-full", "api", "unknown"): 2,
        ("v1-full", "api", "late"): 1,
        ("v1-full", "api", "stale"): 1,
        ("v1-full", "webhook", "unconfirmed"): 1,
        ("v1-full", "api", "conflict"): 2,
    }


def test_a_replayed_delivery_is_not_counted_again(exported: Exported, journal: Journal) -> None:
    log = journal.task(V1_FULL, TASK)
    for _ in range(2):
        journal.receive(Delivery("1", "update", NOW, "{}"), reported(("created", 0), ("running", 1)))

    assert log.load().state == "running"
    assert sum(exported.counts("lifecycle.transitions").values()) == 1


def test_overdue_tasks_are_counted_by_state_and_policy(exported: Exported) -> None:
    policies = [OverdueAfter("running", 0.01), OverdueAfter("paused", 0.01), OverdueAfter("running", 3600, "long")]

    async def watch(base_url: str) -> None:
        async with (
            httpx2.AsyncClient(verify=NO_CERTIFICATES) as http,
            AsyncClient("v1", api_key=KEY, base_url=base_url, http=http) as client,
            Watcher(client, policies=policies, pace=Pace(working_s=0.02, resting_s=0.02, longest_s=0.02)) as watcher,
        ):
            watcher.add(TASK)
            await watcher.finished()

    with ScriptedServer(statuses(*["running"] * 5, *["paused"] * 5, "finished")).running() as server:
        asyncio.run(watch(server.base_url))

    overdue = {("v1-full", "running", "overdue-after:running"): 1, ("v1-full", "paused", "overdue-after:paused"): 1}
    assert exported.counts("lifecycle.overdue_tasks") == overdue


def test_a_report_that_is_not_recorded_is_not_counted(exported: Exported, journal: Journal) -> None:
    nowhere = Report("running", NOW, "no-such-channel")
    with pytest.raises(LifecycleError):
        journal.add_reports([*reported(("created", 0), ("running", 1)), TaskReport(V1_FULL, TASK, nowhere)])

    assert exported.metrics() == {}


def test_a_client_without_a_journal_also_counts(exported: Exported, connect: Connect) -> None:
    connect(statuses("running", "paused", pause=OK)).task(TASK).pause()

    assert exported.counts("lifecycle.transitions") == {("v1-full", "running", "paused", "step"): 1}


# --- secrets --------------------------------------------------------------------------------------


def test_no_secret_is_exported(exported: Exported, connect: Connect, journal: Journal) -> None:
    for outcome in OUTCOMES:
        client = connect(OUTCOMES[outcome][0](), journal=journal)
        client.add_server()
        for act in (client.task(TASK).pause, client.recover, client.task(TASK).stop):
            with suppress(LifecycleError):
                act()

    spans = "".join(each.to_json() for each in exported.spans)
    counts = json.dumps([str(point) for points in exported.metrics().values() for point in points])
    assert "lifecycle.command" in spans
    for secret in (KEY, "a secret of the service", "X-Browser-Use", "Authorization"):
        assert secret not in spans
        assert secret not in counts
    assert TASK not in counts, "a series for each task, for ever"


# --- with and without the package -----------------------------------------------------------------


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_sdk_that_is_configured_later_receives_the_data() -> None:
    output = run("""
from lifecycle_adapters import telemetry
from datetime import datetime, UTC
from lifecycle import V1
from lifecycle.journal import Report
from lifecycle.memory import MemoryJournal
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
import sys
reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
with telemetry.request("GET", "https://host", "/path/1", template="/path/{id}") as on_outcome:
    on_outcome(200)
log = MemoryJournal(on_report=telemetry.count_report).task(V1, "t")
for status in ("running", "paused"):
    log.add_report(Report(status, datetime.now(UTC)))
print(reader.get_metrics_data().to_json())
""")

    assert '"name": "GET /path/{id}"' in output
    assert '"server.port": 443' in output
    assert '"name": "lifecycle.transitions"' in output


@pytest.mark.heavy
def test_everything_works_without_the_package(tmp_path: Path) -> None:
    script = statuses("running", "paused", "running", "finished", pause=OK, resume=OK)
    with ScriptedServer(script).running() as server:
        output = run(f"""
import asyncio, sys
sys.modules["opentelemetry"] = None  # makes `import` fail as if the package were absent
from lifecycle_adapters import telemetry
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import OverdueAfter, Pace, Watcher

service = {{"api_key": "any", "base_url": {server.base_url!r}}}

async def resume(journal):
    async with AsyncClient("v1", journal=journal, **service) as client:
        return await client.task({TASK!r}).resume()

with SqlJournal({str(tmp_path / "journal.db")!r}) as journal:
    with Client("v1", **service) as client:
        print(client.task({TASK!r}).pause().state, client.recover())
    print(asyncio.run(resume(journal)).state)
    with Client("v1", journal=journal, **service) as client:
        print(client.task({TASK!r}).wait().state)
print(telemetry.is_present, [name for name in sys.modules if name.startswith("opentelemetry.")])
""")

    assert output.splitlines() == ["paused []", "running", "finished", "False []"]
