"""Spans and metrics of OpenTelemetry, where its API package is installed (extra `telemetry`); nothing elsewhere.

Nothing is to be switched on: what the process configured of OpenTelemetry's SDK receives it. This is the only
importer of `opentelemetry`. Two seams feed it, so that each fact is told once, whoever caused it:

- A journal tells `count_report` of every report that it has recorded, with what was known before and after:
  a report comes by a command, a wait, a watcher or a webhook, and only the journal knows what it changed.
  `SqlJournal` does so by itself. The one in memory is the core's, which knows no telemetry; clients make
  theirs so that it tells, a user's own is made with `MemoryJournal(on_report=telemetry.count_report)`.
- A client carries a procedure out inside of a `ProcedureSpan`, which is the span of all its requests, in threads
  as well, and sends each request inside of `request`. What is repeated is one procedure and several requests.

    span                                    its attributes
    lifecycle.command, .recover             lifecycle.name, .task_id, .command, .outcome, .attempts, .state, error.type
    lifecycle.wait                          lifecycle.name, .task_id, .outcome, .state, error.type
    METHOD /path/with/{id}                  those of the semantic conventions for HTTP clients

    metric                                  its attributes
    lifecycle.transitions                   lifecycle.name, .source, .target, .kind (step, jump)
    lifecycle.unapplied_reports             lifecycle.name, .channel, .kind (late, stale, conflict, unknown, ...)
    lifecycle.time_in_state (s)             lifecycle.name, .state: the one that was left
    lifecycle.refusals                      lifecycle.name, .command, .refused_by (lifecycle, service)
    lifecycle.uncertain_commands            lifecycle.name, .command
    lifecycle.overdue_tasks                 lifecycle.name, .state, .policy
    lifecycle.command.duration (s)          lifecycle.name, .command, .outcome

Task ids stand on spans alone: on a metric each would be a series for ever. No key, header, body or message,
which may quote a body, stands anywhere: an error is told by its type. Names of states, events and
channels are the declaration's; a word that it does not know is counted and not shown.

Sources: OpenTelemetry semantic conventions 1.30 and later, "HTTP spans" (HTTP client) and "Recording errors".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from lifecycle.command import CommandResult
from lifecycle.effects import Send, Steps
from lifecycle.errors import (
    CommandAbandoned,
    CommandError,
    CommandInFlight,
    CommandRefused,
    CommandUncertain,
    IllegalTransition,
    TaskEndedFirst,
    WaitTimedOut,
)
from lifecycle.journal import ReportEntry, TaskRecord
from lifecycle.lifecycle import Lifecycle

try:
    from opentelemetry import metrics, trace
except ImportError:
    metrics = trace = cast("Any", None)

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.trace import Span, Tracer

R = TypeVar("R")
Attributes = dict[str, str | int]

is_present: bool = trace is not None

_NAME = "task-lifecycle"

_OUTCOMES: dict[type[Exception], str] = {
    IllegalTransition: "illegal",
    CommandInFlight: "in_flight",
    CommandRefused: "refused",
    CommandUncertain: "uncertain",
    CommandAbandoned: "abandoned",
    TaskEndedFirst: "ended_first",
    WaitTimedOut: "timed_out",
}
_FAILED = "failed"  # by an error of the transport or the journal, or broken off

# fmt: off
_COMMAND_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_STATE_S   = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
# fmt: on


class Instruments:
    """What spans and figures are given to. Before the SDK is configured, and without one, that is nobody."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self.tracer = tracer
        self.transitions = meter.create_counter(
            "lifecycle.transitions", "{transition}", "Moves of tasks, one for several states where polling missed some."
        )
        self.unapplied = meter.create_counter(
            "lifecycle.unapplied_reports",
            "{report}",
            "Reports that were recorded and moved nothing, for what they are.",
        )
        self.refusals = meter.create_counter(
            "lifecycle.refusals", "{command}", "Commands that the lifecycle or the service refused."
        )
        self.uncertain = meter.create_counter(
            "lifecycle.uncertain_commands", "{command}", "Commands of which nobody knows whether they took effect."
        )
        self.overdue = meter.create_counter(
            "lifecycle.overdue_tasks", "{task}", "Stays in a state that a watcher's policy reported as too long."
        )
        self.in_state_s = meter.create_histogram(
            "lifecycle.time_in_state",
            "s",
            "How long tasks were in the state that they left.",
            explicit_bucket_boundaries_advisory=_STATE_S,
        )
        self.command_s = meter.create_histogram(
            "lifecycle.command.duration",
            "s",
            "How long commands took, to their proof or their error.",
            explicit_bucket_boundaries_advisory=_COMMAND_S,
        )


def _connected() -> Instruments:
    # Both stand in for what the process configures later.
    return Instruments(trace.get_tracer(_NAME), metrics.get_meter(_NAME))


_to: Instruments | None = _connected() if is_present else None


def is_recording() -> bool:
    """Whether anybody was given to listen; spans for nobody would cost what they cost."""
    if _to is None:
        return False
    listening = (_to.tracer, trace.get_tracer_provider(), metrics.get_meter_provider())
    return any(not type(each).__module__.startswith(_STAND_INS) for each in listening)


_STAND_INS = ("opentelemetry.trace", "opentelemetry.metrics")  # the API's own, until the process configures an SDK

# --- reports --------------------------------------------------------------------------------------


def count_report(
    lifecycle: Lifecycle[Any, Any],
    entry: ReportEntry[Any, Any],
    before: TaskRecord[Any, Any],
    after: TaskRecord[Any, Any],
) -> None:
    """Count a recorded report: the transition that it told, or as what it was not applied."""
    if _to is None:
        return
    if before.state is not None and after.state != before.state:
        moved: Attributes = {"lifecycle.source": str(before.state), "lifecycle.target": str(after.state)}
        _to.transitions.add(1, {"lifecycle.name": lifecycle.name, **moved, "lifecycle.kind": _kind(entry)})
        if before.since is not None and after.since is not None:
            left = {"lifecycle.name": lifecycle.name, "lifecycle.state": str(before.state)}
            lasted_s = (after.since - before.since).total_seconds()
            _to.in_state_s.record(max(lasted_s, 0.0), left)  # a clock may have been set back
    elif (kind := _kind(entry)) in _UNAPPLIED:
        told = {"lifecycle.channel": str(entry.report.channel), "lifecycle.kind": kind}
        _to.unapplied.add(1, {"lifecycle.name": lifecycle.name, **told})


def count_overdue(lifecycle: str, state: str, policy: str) -> None:
    """Count a task that a watcher's policy reported as overdue in this state."""
    if _to is not None:
        _to.overdue.add(1, {"lifecycle.name": lifecycle, "lifecycle.state": state, "lifecycle.policy": policy})


_UNAPPLIED = frozenset({"late", "unconfirmed", "stale", "conflict", "unknown"})


def _kind(entry: ReportEntry[Any, Any]) -> str:
    if entry.late:
        return "late"
    if entry.unconfirmed:
        return "unconfirmed"
    if entry.observation is None:
        return "first" if entry.state is not None else "unknown"
    return str(entry.observation.kind)


# --- procedures -----------------------------------------------------------------------------------


class ProcedureSpan:
    """One procedure while it is carried out, and what came of it. Only where somebody listens.

    Args:
        span_name: what procedure it is.
        lifecycle: the name of the task's lifecycle.
        task_id: the task.
        command: the command that is given: this one is counted and timed. None where none is given.
    """

    def __init__(self, span_name: str, lifecycle: str, task_id: str, command: str | None = None) -> None:
        self._span_name = span_name
        self._command = command
        self._task: Attributes = {"lifecycle.name": lifecycle, "lifecycle.task_id": task_id}
        self._lifecycle = lifecycle
        self._attempts = 0
        self._outcome: str | None = None
        self._facts: Attributes = {} if command is None else {"lifecycle.command": command}

    def follow(self, steps: Steps[R]) -> Steps[R]:
        """Pass a procedure's effects on, and note its attempts and what came of it."""
        result: Any = None
        with closing(steps):
            while True:
                try:
                    effect = steps.send(result)
                except StopIteration as stop:
                    value: R = stop.value
                    self._succeed(value)
                    return value
                except Exception as error:
                    self._fail(error)
                    raise
                self._attempts += isinstance(effect, Send)
                result = yield effect

    @contextmanager
    def as_current_span(self) -> Generator[None]:
        """Make this the span of all that is done until it is left; then it has ended."""
        assert _to is not None
        begun_s = time.monotonic()
        with _span(_to.tracer, self._span_name, self._task | self._facts) as span:
            try:
                yield
            except BaseException as error:
                if self._outcome is None:  # a driver's error, which the procedure does not see
                    self._fail(error)
                raise
            finally:
                self._tell(span)
                self._count(time.monotonic() - begun_s)

    def _succeed(self, result: object) -> None:
        match result:
            case CommandResult(command, state, sent):
                self._outcome = "done" if sent else "redundant"
                self._facts |= {"lifecycle.command": str(command), "lifecycle.state": str(state)}
            case None:
                self._outcome = "nothing_open"
            case state:
                self._outcome = "rested"
                self._facts |= {"lifecycle.state": str(state)}

    def _fail(self, error: BaseException) -> None:
        self._outcome = next((name for kind, name in _OUTCOMES.items() if isinstance(error, kind)), _FAILED)
        if isinstance(error, TaskEndedFirst) and error.took_effect is None:
            self._outcome = "moot"
        self._facts |= {"error.type": _type_of(error)}
        if isinstance(error, CommandError):
            self._facts |= {"lifecycle.command": error.command, "lifecycle.state": error.state or "unknown"}

    def _tell(self, span: Span) -> None:
        sent: Attributes = {"lifecycle.attempts": self._attempts} if "lifecycle.command" in self._facts else {}
        span.set_attributes({"lifecycle.outcome": self._outcome or _FAILED, **sent, **self._facts})
        if "error.type" in self._facts:  # a recovery returns its error as data
            span.set_status(trace.StatusCode.ERROR)

    def _count(self, seconds: float) -> None:
        if _to is None or self._command is None:
            return
        given: Attributes = {"lifecycle.name": self._lifecycle, "lifecycle.command": self._command}
        _to.command_s.record(seconds, {**given, "lifecycle.outcome": self._outcome or _FAILED})
        if self._outcome in _REFUSED_BY:
            _to.refusals.add(1, {**given, "lifecycle.refused_by": _REFUSED_BY[self._outcome]})
        if self._outcome == _OUTCOMES[CommandUncertain]:
            _to.uncertain.add(1, given)


_REFUSED_BY = {_OUTCOMES[IllegalTransition]: "lifecycle", _OUTCOMES[CommandRefused]: "service"}

# --- requests -------------------------------------------------------------------------------------

Answered = Callable[[int | Exception], None]
"""To be told the status code of an answer, or why none came."""


def request(method: str, base_url: str, path: str, *, template: str) -> AbstractContextManager[Answered]:
    """Make what is done inside the span of a request; what it gives is to be told what came of it.

    Args:
        method: such as `GET`.
        base_url: the server, without a user and a password.
        path: the path that is asked for.
        template: the same with `{id}` for the task's id.
    """
    if _to is None or not is_recording():
        return nullcontext(_tell_nobody)
    return _request(_to.tracer, method, base_url, path, template)


@contextmanager
def _request(tracer: Tracer, method: str, base_url: str, path: str, template: str) -> Generator[Answered]:
    sent: Attributes = {"http.request.method": method, "url.full": base_url + path, "url.template": template}
    with _span(tracer, f"{method} {template}", sent | _server(base_url), client=True) as span:

        def answered(outcome: int | Exception) -> None:
            if isinstance(outcome, int):
                span.set_attribute("http.response.status_code", outcome)
            if isinstance(outcome, Exception) or outcome >= 400:
                _mark(span, str(outcome) if isinstance(outcome, int) else _type_of(outcome))

        yield answered


def _tell_nobody(_: int | Exception) -> None:
    """Nobody listens."""


@cache
def _server(base_url: str) -> Attributes:
    parts = urlsplit(base_url)
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS[parts.scheme]}


_PORTS = {"http": 80, "https": 443}

# --- spans ----------------------------------------------------------------------------------------


@contextmanager
def _span(tracer: Tracer, name: str, attributes: Attributes, *, client: bool = False) -> Generator[Span]:
    """A span that an error ends by its type alone: its message may hold what a service said."""
    kind = trace.SpanKind.CLIENT if client else trace.SpanKind.INTERNAL
    span = tracer.start_span(name, kind=kind, attributes=attributes)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield span
        except BaseException as error:
            _mark(span, _type_of(error))
            raise


def _mark(span: Span, error_type: str) -> None:
    span.set_attribute("error.type", error_type)
    span.set_status(trace.StatusCode.ERROR)


def _type_of(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
