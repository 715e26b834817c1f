"""Spans and metrics of OpenTelemetry, if its API package is installed (extra `telemetry`); otherwise no-ops.

Nothing needs to be enabled: the process's configured OpenTelemetry SDK receives the data. This is the only importer of
`opentelemetry`. Two kinds of callers feed it, so that each fact is recorded once, for every cause:

- A journal calls `count_report` for every recorded report, with the task's record before and after: a report comes
  from a command, a wait, a watcher or a webhook, and only the journal knows what it changed. `SqlJournal` calls it by
  itself. The journal in memory belongs to the core, which knows no telemetry; clients create theirs with the callback,
  users create their own with `MemoryJournal(on_report=telemetry.count_report)`.
- A client runs a procedure inside a `ProcedureSpan`, the parent span of all its requests, also in threads, and sends
  each request inside `request`. A retried command is one procedure and several requests.

    span                                    its attributes
    lifecycle.command, .recover             lifecycle.name, .task_id, .command, .outcome, .attempts, .state, error.type
    lifecycle.wait                          lifecycle.name, .task_id, .outcome, .state, error.type
    METHOD /path/with/{id}                  those of the semantic conventions for HTTP clients

    metric                                  its attributes
    lifecycle.transitions                   lifecycle.name, .source, .target, .kind (step, jump)
    lifecycle.unapplied_reports             lifecycle.name, .channel, .kind (late, stale, conflict, unknown, ...)
    lifecycle.time_in_state (s)             lifecycle.name, .state: the state that the task left
    lifecycle.refusals                      lifecycle.name, .command, .refused_by (lifecycle, service)
    lifecycle.uncertain_commands            lifecycle.name, .command
    lifecycle.overdue_tasks                 lifecycle.name, .state, .policy
    lifecycle.command.duration (s)          lifecycle.name, .command, .outcome

Only spans carry task ids: on a metric each id would create a permanent series. Nothing carries a key, a header, a body
or an error message, which may quote a body: errors are recorded by their type. Names of states, events and channels
come from the declaration; an unknown status is counted but not shown.

Sources: OpenTelemetry semantic conventions 1.30 and later, "HTTP spans" (HTTP client) and "Recording errors".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from lifecycle.command import CommandResult
from lifecycle.effects import Effect, Send
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
_FAILED = "failed"  # an error of the transport or the journal, or a cancellation

# fmt: off
_COMMAND_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_STATE_S   = (0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
# fmt: on


def _is_real(part: object) -> bool:
    return not type(part).__module__.startswith(_PROXIES)


_PROXIES = ("opentelemetry.trace", "opentelemetry.metrics")  # the API's no-ops, until the process configures an SDK


class _Instruments:
    """The tracer and the metric instruments; no-op proxies until the process configures an SDK."""

    def __init__(self) -> None:
        self.tracer, meter = trace.get_tracer(_NAME), metrics.get_meter(_NAME)
        self.transitions = meter.create_counter(
            "lifecycle.transitions",
            "{transition}",
            "Transitions of tasks; several count as one if polling missed the states between.",
        )
        self.unapplied = meter.create_counter(
            "lifecycle.unapplied_reports",
            "{report}",
            "Recorded reports that changed no state, by kind.",
        )
        self.refusals = meter.create_counter(
            "lifecycle.refusals", "{command}", "Commands that the lifecycle or the service refused."
        )
        self.uncertain = meter.create_counter(
            "lifecycle.uncertain_commands", "{command}", "Commands that may or may not have taken effect."
        )
        self.overdue = meter.create_counter(
            "lifecycle.overdue_tasks", "{task}", "Tasks that a watcher's policy reported as too long in a state."
        )
        self.in_state_s = meter.create_histogram(
            "lifecycle.time_in_state",
            "s",
            "Time that tasks spent in the state that they left.",
            explicit_bucket_boundaries_advisory=_STATE_S,
        )
        self.command_s = meter.create_histogram(
            "lifecycle.command.duration",
            "s",
            "Duration of commands until their proof or their error.",
            explicit_bucket_boundaries_advisory=_COMMAND_S,
        )


_instruments: _Instruments | None = _Instruments() if is_present else None


def is_recording() -> bool:
    """Return whether an SDK is configured; if not, callers skip spans to save their cost."""
    return _is_tracing() or (_instruments is not None and _is_real(metrics.get_meter_provider()))


def _is_tracing() -> bool:
    return _instruments is not None and _is_real(trace.get_tracer_provider())


# --- reports --------------------------------------------------------------------------------------


def count_report(
    lifecycle: Lifecycle[Any, Any],
    entry: ReportEntry[Any, Any],
    before: TaskRecord[Any, Any],
    after: TaskRecord[Any, Any],
) -> None:
    """Count a recorded report: the transition that it caused, or the kind of a report that was not applied."""
    if _instruments is None:
        return
    if before.state is not None and after.state != before.state:
        states: Attributes = {"lifecycle.source": str(before.state), "lifecycle.target": str(after.state)}
        _instruments.transitions.add(1, {"lifecycle.name": lifecycle.name, **states, "lifecycle.kind": _kind(entry)})
        if before.since is not None and after.since is not None:
            left = {"lifecycle.name": lifecycle.name, "lifecycle.state": str(before.state)}
            lasted_s = (after.since - before.since).total_seconds()
            _instruments.in_state_s.record(max(lasted_s, 0.0), left)  # a clock may have been set back
    elif (kind := _kind(entry)) in _UNAPPLIED:
        labels = {"lifecycle.channel": str(entry.report.channel), "lifecycle.kind": kind}
        _instruments.unapplied.add(1, {"lifecycle.name": lifecycle.name, **labels})


def count_overdue(lifecycle: str, state: str, policy: str) -> None:
    """Count a task that a watcher's policy reported as overdue in this state."""
    if _instruments is not None:
        _instruments.overdue.add(1, {"lifecycle.name": lifecycle, "lifecycle.state": state, "lifecycle.policy": policy})


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
    """The span and metrics of one run of a procedure; create it only if `is_recording()`.

    Args:
        span_name: the span's name, which names the procedure.
        lifecycle: the name of the task's lifecycle.
        task_id: the task's id.
        command: the command to count and time; None for a wait or a recovery.
        outcome_of: returns what a result means: a CommandResult, an error, a state, or None if nothing was open.
    """

    def __init__(
        self,
        span_name: str,
        lifecycle: str,
        task_id: str,
        command: str | None = None,
        *,
        outcome_of: Callable[[Any], object],
    ) -> None:
        self._outcome_of = outcome_of
        self._span_name = span_name
        self._command = command
        self._task: Attributes = {"lifecycle.name": lifecycle, "lifecycle.task_id": task_id}
        self._lifecycle = lifecycle
        self._attempts = 0
        self._outcome: str | None = None
        self._facts: Attributes = {} if command is None else {"lifecycle.command": command}

    def observe(self, effect: Effect) -> None:
        """Count the attempts of the procedure."""
        self._attempts += isinstance(effect, Send)

    def succeed(self, result: Any) -> None:
        """Note the outcome of the procedure."""
        match self._outcome_of(result):
            case CommandResult(command, state, sent):
                self._outcome = "done" if sent else "redundant"
                self._facts |= {"lifecycle.command": str(command), "lifecycle.state": str(state)}
            case Exception() as error:
                self._fail(error)
            case None:
                self._outcome = "nothing_open"
            case state:
                self._outcome = "rested"
                self._facts |= {"lifecycle.state": str(state)}

    @contextmanager
    def as_current_span(self) -> Generator[None]:
        """Start the span, make it the current one within the block, and end it at the block's end."""
        assert _instruments is not None
        begun_s = time.monotonic()
        with _span(_instruments.tracer, self._span_name, self._task | self._facts) as span:
            try:
                yield
            except BaseException as error:
                self._fail(error)
                raise
            finally:
                self._set_attributes(span)
                self._count(time.monotonic() - begun_s)

    def _fail(self, error: BaseException) -> None:
        self._outcome = next((name for kind, name in _OUTCOMES.items() if isinstance(error, kind)), _FAILED)
        if isinstance(error, TaskEndedFirst) and error.took_effect is None:
            self._outcome = "moot"
        self._facts |= {"error.type": _type_of(error)}
        if isinstance(error, CommandError):
            self._facts |= {"lifecycle.command": error.command, "lifecycle.state": error.state or "unknown"}

    def _set_attributes(self, span: Span) -> None:
        sent: Attributes = {"lifecycle.attempts": self._attempts} if "lifecycle.command" in self._facts else {}
        span.set_attributes({"lifecycle.outcome": self._outcome or _FAILED, **sent, **self._facts})
        if "error.type" in self._facts:  # a recovery returns its error as data
            span.set_status(trace.StatusCode.ERROR)

    def _count(self, seconds: float) -> None:
        if _instruments is None or self._command is None:
            return
        given: Attributes = {"lifecycle.name": self._lifecycle, "lifecycle.command": self._command}
        _instruments.command_s.record(seconds, {**given, "lifecycle.outcome": self._outcome or _FAILED})
        if self._outcome in _REFUSED_BY:
            _instruments.refusals.add(1, {**given, "lifecycle.refused_by": _REFUSED_BY[self._outcome]})
        if self._outcome == _OUTCOMES[CommandUncertain]:
            _instruments.uncertain.add(1, given)


_REFUSED_BY = {_OUTCOMES[IllegalTransition]: "lifecycle", _OUTCOMES[CommandRefused]: "service"}

# --- requests -------------------------------------------------------------------------------------

OnOutcome = Callable[[int | Exception], None]
"""A callback for a request's outcome: the response's status code, or the exception."""


def request(
    method: str, base_url: str, path: str, *, template: str, rpc_method: str | None = None
) -> AbstractContextManager[OnOutcome]:
    """Open a client span; call the yielded function with the response's status code or the exception.

    Args:
        method: the HTTP method, such as `GET`.
        base_url: the server's URL, without a user and a password.
        path: the requested path.
        template: the path with `{id}` instead of the task's id.
        rpc_method: the method of JSON-RPC that is called, which then names the span.
    """
    if _instruments is None or not _is_tracing():
        return _UNTRACED
    sent: Attributes = {"http.request.method": method, "url.full": base_url + path, "url.template": template}
    if rpc_method is not None:
        sent |= {"rpc.system": "jsonrpc", "rpc.method": rpc_method}
    return _request(_instruments.tracer, rpc_method or f"{method} {template}", sent | _server(base_url))


@contextmanager
def _request(tracer: Tracer, name: str, attributes: Attributes) -> Generator[OnOutcome]:
    with _span(tracer, name, attributes, client=True) as span:

        def on_outcome(outcome: int | Exception) -> None:
            if isinstance(outcome, int):
                span.set_attribute("http.response.status_code", outcome)
            if isinstance(outcome, Exception) or outcome >= 400:
                _mark(span, str(outcome) if isinstance(outcome, int) else _type_of(outcome))

        yield on_outcome


def _ignore(_: int | Exception) -> None:
    """Ignore the outcome, because no SDK is configured."""


_UNTRACED = nullcontext(_ignore)


@cache
def _server(base_url: str) -> Attributes:
    parts = urlsplit(base_url)
    return {"server.address": parts.hostname or "", "server.port": parts.port or _PORTS[parts.scheme]}


_PORTS = {"http": 80, "https": 443}

# --- spans ----------------------------------------------------------------------------------------


@contextmanager
def _span(tracer: Tracer, name: str, attributes: Attributes, *, client: bool = False) -> Generator[Span]:
    """Open a span that records an error by its type only, because its message may quote a response."""
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
