"""The watcher: one process follows thousands of tasks with a few requests under way at a time.

One coroutine starts a read of the task that is due first, as soon as the throttle allows a request. The report is
recorded (recorder.py), applied to the task (watched_task.py) and emitted (events.py); then policies are evaluated
(enforcer.py), whose commands another coroutine starts, and the task is scheduled again (pace.py).

An error about one task concerns that task alone: any error that a journal, a service or a policy raises about it is
emitted as an event, once, and the task is retried with growing pauses; at the longest interval if the service refuses
the read itself, as it does for a malformed id. Policies are evaluated for a task that cannot be read too. If the
service is down (outage.py), one task after the other is read as a probe.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from lifecycle.conformance import Channel
from lifecycle.effects import Accepted, Denied, Failure, Lost, Missing, NotSent, Refused, Response
from lifecycle.errors import OtherServer, text_of
from lifecycle.journal import Report, ReportEntry, TaskRecord, checked_clock
from lifecycle_adapters.argument_checks import (
    TaskId,
    WrongValue,
    id_text,
    require,
    require_boolean,
    require_callback,
    require_number,
)
from lifecycle_adapters.http import AsyncClient, ClientUnusable, ResponseError, Unauthorized
from lifecycle_adapters.http.responses import NotANumber
from lifecycle_adapters.http.task_procedures import reported_cost_usd
from lifecycle_adapters.procedures.timing import CLOCK
from lifecycle_adapters.watch.callback import EventCallback, OnEvent
from lifecycle_adapters.watch.enforcer import PolicyEnforcer
from lifecycle_adapters.watch.events import Change, Event, EventQueue, Outage, ReadFailed
from lifecycle_adapters.watch.feed import ChangeFeed, follow
from lifecycle_adapters.watch.outage import OutageDetector, next_probe
from lifecycle_adapters.watch.pace import Pace
from lifecycle_adapters.watch.policies import Policy, checked_policies
from lifecycle_adapters.watch.recorder import PendingReport, Recorder
from lifecycle_adapters.watch.streams import MOST, Streams
from lifecycle_adapters.watch.throttle import Throttle, pause_asked_s
from lifecycle_adapters.watch.watched_task import (
    Schedule,
    WatchedTask,
    is_behind,
    is_certain,
    is_news,
    is_over,
    learn,
    over_already,
)

_log = logging.getLogger("lifecycle_adapters.watch")

_ROOM = 1000  # events that wait for their reader
_EMITTED_AFTER = 3  # failed reads in a row: fewer may be a short disturbance
_APPEAR_PAUSE_S = 0.5
_COMMAND_PAUSE_S = 1.0  # in an outage, after a command that failed
_LONGEST_CLOSING_S = 1e9
# Deadlines as fractions of `closing_s`: for callbacks, for reads and commands, and for those that were cancelled.
_CALLBACKS, _READS, _CANCELLED = 0.5, 0.7, 0.8


def _require_kinds(client: Any, pace: Any, throttle: Any, on_event: Any) -> None:
    require(client, AsyncClient, "a watcher needs an AsyncClient")
    require(pace, Pace | None, "pace must be a Pace(...)")
    require(throttle, Throttle | None, "throttle must be a Throttle(...)")
    require_callback(on_event, "on_event", "events")


class Watcher:
    """Follows many tasks of one client. Use it with `async with`; call all but `feed_report` in one event loop.

        async with Watcher(client, policies=[StopAfter(3600)]) as watcher:
            watcher.add("task_1", "task_2")
            async for event in watcher.changes():
                print(event)

    At the end of the block, also after an error or a cancellation, it starts no further read, waits for the requests
    and commands under way, and records every report that was received, all within `closing_s`. The client can
    `recover` a command that did not end in time. Reports whose events were not read from `changes` are in the
    journal. `asyncio.run` turns Ctrl-C into a cancellation; a script does the same for SIGTERM with
    `loop.add_signal_handler(SIGTERM, task.cancel)`.

    It can be entered once. If its client can never be used again, watching ends with its ClientUnusable.

    Args:
        client: the client whose service, key and journal are used; the caller closes it.
        policies: the rules by which tasks are ended, or reported as overdue.
        pace: the polling intervals.
        throttle: the rate limit of the key, to be shared by all watchers of the key.
        on_event: called with every event, before the iterator yields it; an awaitable that it returns is
            awaited. If it raises an error, that is logged with its traceback and watching continues; at the end of the
            block an ExceptionGroup of the first ten errors is raised, unless the block itself raises an error.
            If it is given, events are queued for an iterator only from the first call of `changes` on.
        streams: the number of streams, 0 to 64, that are followed at a time, if the service has streams: one of each
            task, or one of all tasks (`mcp`). Each takes a connection of the client. Tasks are still read, rarely
            while their stream reports changes; what ends a task, or settles it, is always a read.
        keep_open: whether `changes` waits for further tasks when none is left to watch.
        closing_s: the longest time in seconds for leaving the block, including requests, asynchronous callbacks and
            the journal. Callbacks have half of it and are then cancelled; the rest is for the journal.
        clock: returns the time for policies, aware and in UTC.
    Raises:
        UnknownName: a policy names a state that the lifecycle does not declare.
        ValueError: two policies have the same name, a policy needs costs that the service does not report, or names
            a final state; `closing_s` is not positive, `streams` is not 0 to 64, or the service has none; or the time
            of `clock` has no zone, or is not in the years 2 to 9998.
        TypeError: an argument has the wrong type, such as a synchronous client, or a policy class that was not
            called.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        policies: Sequence[Policy] = (),
        pace: Pace | None = None,
        throttle: Throttle | None = None,
        on_event: OnEvent | None = None,
        streams: int = 0,
        keep_open: bool = False,
        closing_s: float = 10.0,
        clock: Callable[[], datetime] = CLOCK.now,
    ) -> None:
        _require_kinds(client, pace, throttle, on_event)
        policies = checked_policies(
            policies,
            client.lifecycle,
            service=client.binding.name,
            reports_costs=client.binding.cost_field is not None,
        )
        require_boolean(keep_open, "keep_open")
        require_number(streams, "streams", kind=int, at_least=0, at_most=MOST)
        if streams and client.binding.stream is None:
            raise WrongValue(f"{client.binding.name} has no streams: its binding declares no `stream`", "streams")
        require_number(closing_s, "closing_s", more_than=0, at_most=_LONGEST_CLOSING_S)
        self._client = client
        self._lifecycle = client.lifecycle
        self._pace = pace or Pace()
        self._throttle = throttle or Throttle()
        self._clock = checked_clock(clock)
        self._enforcer = PolicyEnforcer(client, policies, pace=self._pace, throttle=self._throttle, clock=clock)
        self._outage = OutageDetector(client.lifecycle.name, clock, longest_s=self._pace.longest_s)
        self._callback = None if on_event is None else EventCallback(on_event)
        self._keep_open = keep_open
        self._closing_s = closing_s
        self._tasks: dict[str, WatchedTask] = {}
        self._refused: set[str] = set()
        self._schedule = Schedule()
        self._recorder = Recorder(
            client.journal,
            client.lifecycle,
            server=client.server,
            learn=self._apply,
            reject=self._reject,
            emit=self._emit,
            clock=clock,
        )
        self._streams = Streams(
            client,
            limit=streams,
            longest_s=self._pace.longest_s,
            throttle=self._throttle,
            put=self._recorder.put,
            read=self._read_without_stream,
        )
        self._events = EventQueue(room=_ROOM, is_over=self._is_over)
        self._is_read = on_event is None
        self._slots = asyncio.Semaphore(self._pace.concurrency)
        self._command_slots = asyncio.Semaphore(self._pace.concurrency)
        self._commands: asyncio.Queue[WatchedTask] = asyncio.Queue()
        self._command_failed = False
        self._parked: set[WatchedTask] = set()  # due, and not read because the service is down
        self._loop: asyncio.AbstractEventLoop | None = None
        self._was_entered = self._is_closed = False
        self._services: list[asyncio.Task[None]] = []
        self._reads: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    # --- the public methods -----------------------------------------------------------------------

    def add(self, *task_ids: TaskId) -> None:
        """Watch these tasks too; tasks that are watched already stay unchanged.

        The first is read as soon as possible; the others are spread over the first interval.

        Raises:
            ValueError: an id cannot be sent in a request; then no task is added.
            TypeError: an id is not a text, an integer or a UUID; then no task is added.
            RuntimeError: the watcher's block has ended.
        """
        if self._is_closed:
            raise RuntimeError("the watcher's block was left; watch these tasks with another Watcher")
        new = [each for each in dict.fromkeys(map(id_text, task_ids)) if each not in self._tasks]
        binding = self._client.binding
        for each in new:
            binding.status.request(binding.base_path, task_id=each)
        added_at, now_s = self._clock(), _now_s()
        recorded = [self._client.journal.task(self._lifecycle, each, server=self._client.server) for each in new]
        added = [WatchedTask(each, part, added_at=added_at) for each, part in zip(new, recorded, strict=True)]
        for number, watched in enumerate(added):
            self._tasks[watched.task_id] = watched
            self._schedule.put(watched, now_s + self._pace.working_s * number / len(new))
            self._streams.add(watched)

    def discard(self, task_id: TaskId) -> None:
        """Stop watching a task; a report under way is still recorded, but not emitted.

        Raises TypeError if the id is not a text, integer or UUID.
        """
        watched = self._tasks.get(id_text(task_id))
        if watched is not None:
            self._drop(watched)

    def __len__(self) -> int:
        """Return the number of watched tasks."""
        return len(self._tasks)

    @property
    def refused(self) -> frozenset[str]:
        """Return the ids of the watched tasks whose reads the service refuses (`ReadFailed.is_refused`)."""
        return frozenset(self._refused)

    async def changes(self) -> AsyncGenerator[Event]:
        """Yield events, in order for each task; end when no task is left to watch.

        If no event is read, up to a thousand are queued; then no further task is read. One reader at a time.

        Raises:
            RuntimeError: the watcher is not running, because its block was not entered.
        """
        if not self._was_entered:
            raise RuntimeError("the watcher is not running: use it as `async with Watcher(...) as watcher`")
        self._is_read = True
        while (event := await self._events.take()) is not None:
            yield event

    async def finished(self) -> None:
        """Return when no task is left to watch; for callers that receive events with `on_event`."""
        async for _ in self.changes():
            pass

    def feed_report(self, task_id: str, entry: ReportEntry[Any, Any]) -> None:
        """Pass on a report that was just recorded in the client's journal, such as a webhook's, from any thread.

        Its change is emitted like any other; if the report is not certain, the task is read as soon as possible.
        While such reports arrive, the task is read rarely. For a task that is not watched it does nothing.
        """
        loop = self._loop
        with suppress(RuntimeError):  # the loop is closed
            if loop is not None:
                loop.call_soon_threadsafe(self._feed_report, task_id, entry)

    # --- start and end ----------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._was_entered:
            raise RuntimeError("a watcher can be used once; make another Watcher")
        self._was_entered = True
        self._loop = asyncio.get_running_loop()
        journal = self._client.journal
        if isinstance(journal, ChangeFeed):
            present = await self._recorder.retry_until_available(lambda: journal.changes("now"), blocking=True)
            self._services.append(self._begin(self._follow(journal, present.cursor)))
        for service in (self._run(), self._take_commands(), self._probe()):
            self._services.append(self._begin(service))
        self._recording = self._begin(self._recorder.run())
        self._streams.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        closing = asyncio.create_task(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # a first cancellation still closes in order; a second one interrupts this
            raise
        finally:
            left = [closing, *self._services, *self._reads, *self._streams.close(), self._recording]
            if not closing.done() or closing.cancelled():
                # A second Ctrl-C has interrupted it, and has perhaps cancelled all tasks at once. Each command still
                # releases its claim; a second cancellation would interrupt that.
                _cancel(each for each in left if not each.cancelling())
                await _until(_now_s() + (1 - _CANCELLED) * self._closing_s, left)
            _cancel(left)
        if kind is None and self._failure is not None:
            raise self._failure
        if kind is None and self._callback is not None:
            self._callback.raise_errors()

    async def _close(self) -> None:
        begun_s = _now_s()
        self._loop, self._is_closed = None, True
        _cancel(self._services)
        streams = self._streams.close()
        self._events.close()
        self._recorder.close()
        if self._callback is not None:
            self._callback.end_at(begun_s + _CALLBACKS * self._closing_s)
        await _until(begun_s + _READS * self._closing_s, self._reads)
        cancelled = [*self._reads, *streams]
        _cancel(cancelled)
        await _until(begun_s + _CANCELLED * self._closing_s, [*cancelled, *self._services])
        self._recorder.end()
        await _until(begun_s + self._closing_s, [self._recording])
        if not self._recording.done():
            _log.error("the journal could not be written in time", extra={"lost": self._recorder.unrecorded})

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._on_done)
        return task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._reads.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        _log.error("watching failed, and ends", exc_info=failure)
        self._failure = self._failure or failure
        _cancel(self._services)
        self._events.close(failure)

    def _is_over(self) -> bool:
        return not self._tasks and not self._keep_open

    # --- reads ------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            watched = await self._next()
            self._start(self._poll(watched), watched).add_done_callback(lambda _: self._slots.release())

    async def _next(self) -> WatchedTask:
        """Return the task to read now; it is chosen after the wait, so that it is the most urgent one by then."""
        while True:
            await self._schedule.until_due()
            first = self._schedule.first()
            if first is not None and self._may_read(first):
                await self._throttle.acquire()
            watched = self._schedule.pop()
            if watched is not None:
                return watched

    async def _probe(self) -> None:
        """Read one task after the other, as long as an outage is suspected."""
        while True:
            await self._outage.suspected.wait()
            await asyncio.sleep(self._outage.pause_s())
            await self._throttle.acquire()
            watched = next_probe(self._tasks.values()) if self._outage.suspected.is_set() else None
            if watched is not None:
                watched.due_s = float("inf")  # removes it from the schedule
                await asyncio.wait([self._start(self._poll(watched, is_probe=True), watched)])

    def _start(self, work: Coroutine[Any, Any, None], watched: WatchedTask) -> asyncio.Task[None]:
        watched.is_busy = True
        task = self._begin(self._safely(work, watched))
        self._reads.add(task)
        return task

    async def _safely(self, work: Coroutine[Any, Any, None], watched: WatchedTask) -> None:
        """Await `work` on a task; emit any error as that task's failure, unless it ends the watching of all tasks."""
        try:
            await work
        except (ClientUnusable, OtherServer):
            raise
        except Exception as error:  # noqa: BLE001
            await self._on_failure(watched, error, is_certain=True)

    def _may_read(self, watched: WatchedTask) -> bool:
        return not self._outage.suspected.is_set() and watched.read_after_s <= _now_s()

    async def _poll(self, watched: WatchedTask, *, is_probe: bool = False) -> None:
        if watched.record is None:
            watched.record = await self._load(watched)
            known = watched.record.current
            if known is not None and self._lifecycle.is_final(known):  # a reopenable task may have been reopened
                await self._end(watched, over_already(self._lifecycle, watched))
                return
        if not is_probe and not self._may_read(watched):
            await self._follow_policies(watched)
            return
        details = self._enforcer.needs_cost and watched.cost_due_s <= _now_s()
        try:
            response = await self._client.read(watched.task_id, details=details)
        except ClientUnusable:  # no task can ever be read again: watching ends
            raise
        except Exception as error:  # noqa: BLE001 (whatever a transport raises)
            await self._on_failed_read(watched, error, is_probe=is_probe)
            return
        finally:
            if details:
                watched.cost_due_s = _now_s() + self._pace.cost_s  # also if it failed: then the status alone is read
        self._throttle.observe(response, watched.task_id)
        await self._on_result(watched, response, is_probe=is_probe)

    async def _on_result(self, watched: WatchedTask, response: Response, *, is_probe: bool) -> None:
        """Handle the response to a read, or its absence."""
        if isinstance(response, Lost | NotSent) or (
            isinstance(response, Denied) and isinstance(response.error, Unauthorized)
        ):
            await self._on_failed_read(watched, response.error, response, is_probe=is_probe)
            return
        await self._on_response(watched)
        response = await self._if_gone(watched, response)
        match response:
            case Accepted():
                await self._on_status(watched, response)
            case Missing() if self._may_appear(watched):
                self._put_back(watched, _APPEAR_PAUSE_S)
            case Missing() if (
                not watched.is_missing
            ):  # one 404 does not prove that the task is gone; a policy may still have to stop it
                watched.is_missing = True
                self._put_back(watched, min(self._pace.working_s, self._pace.longest_s))
            case Missing():
                await self._end(watched, self._unreadable(watched, response.error, is_gone=True))
            case _:
                await self._on_failure(
                    watched, response.error, response, is_certain=isinstance(response, Denied | Refused)
                )

    async def _if_gone(self, watched: WatchedTask, response: Response) -> Response:
        """Return the response of a task that is gone instead of a 404, if the task is known to have existed."""
        if not isinstance(response, Missing) or response.gone is None or self._may_appear(watched):
            return response
        record = await self._load(watched)  # `watched.record` may be older
        return response.gone if record.was_seen or record.created_at is not None else response

    async def _load(self, watched: WatchedTask) -> TaskRecord[Any, Any]:
        journal = watched.journal
        return await self._recorder.retry_until_available(journal.load, blocking=journal.blocking)

    def _may_appear(self, watched: WatchedTask) -> bool:
        """Return whether the task was created so recently that the service may not find it yet."""
        created_at = None if watched.record is None else watched.record.created_at
        if created_at is None:
            return False
        return abs((self._clock() - created_at).total_seconds()) < self._client.timing.appear_s

    async def _on_response(self, watched: WatchedTask) -> None:
        """Record that the service responds: end an outage, and schedule the tasks that waited for that."""
        watched.responded_s = _now_s()
        ended = self._outage.respond()
        for each in self._parked:
            if not each.is_busy:
                self._put_back(each, 0.0)
        self._parked.clear()
        if ended is not None:
            _log.info("the outage has ended", extra={"lifecycle": self._lifecycle.name})
            await self._emit(ended)

    async def _on_status(self, watched: WatchedTask, response: Accepted) -> None:
        watched.is_missing = False
        await self._note_cost(watched, response)
        await self._recorder.put(PendingReport(watched, Report(str(response.status), response.as_of)))

    async def _note_cost(self, watched: WatchedTask, response: Accepted) -> None:
        """Keep the cost in a response. If it is not a number, emit that once: a limit of the cost is then blind."""
        try:
            cost = reported_cost_usd(response.document, self._client.binding.cost_field)
        except NotANumber as error:
            is_new, watched.has_unreadable_cost = not watched.has_unreadable_cost, True
            for each in self._enforcer.report_cost_fault(watched, error) if is_new else ():
                await self._emit(each)
            return
        if cost is not None:
            watched.cost_usd, watched.has_unreadable_cost = cost, False
            watched.cost_due_s = _now_s() + self._pace.cost_s

    async def _on_failed_read(
        self, watched: WatchedTask, error: Exception, failure: Failure | None = None, *, is_probe: bool
    ) -> None:
        """Handle a read without response, or with a 401: a failure of the service or the key, or of the task."""
        outage = self._outage.fail(watched, error, of=len(self._tasks), is_probe=is_probe)
        if outage is not None:
            await self._emit(_log_of(outage))
        await self._on_failure(watched, error, failure, is_certain=isinstance(failure, Denied))

    async def _on_failure(
        self, watched: WatchedTask, error: Exception, failure: Failure | None = None, *, is_certain: bool
    ) -> None:
        """Emit a task's failure if it is certain and was not emitted yet; read the task again after a growing pause."""
        watched.failures += 1
        is_refused = _is_for_good(failure)
        is_new = not watched.is_reported_unreadable or (is_refused and watched.task_id not in self._refused)
        is_certain = is_certain or watched.failures >= _EMITTED_AFTER
        if is_certain and is_new and not self._outage.suspected.is_set():
            watched.is_reported_unreadable = True
            if is_refused and not watched.is_dropped:
                self._refused.add(watched.task_id)
            await self._emit(self._unreadable(watched, error, is_refused=is_refused))
        asked_s = pause_asked_s(None if failure is None else failure.retry_after_s)
        pause_s = self._pace.refused_s() if is_refused else self._pace.retry_s(watched.failures)
        watched.read_after_s = _now_s() + max(pause_s, asked_s)
        await self._follow_policies(watched)

    def _unreadable(
        self, watched: WatchedTask, error: Exception, *, is_gone: bool = False, is_refused: bool = False
    ) -> ReadFailed:
        name, task_id = self._lifecycle.name, watched.task_id
        facts = {"lifecycle": name, "task_id": task_id, "is_gone": is_gone, "is_refused": is_refused}
        _log.warning("a task cannot be read", extra={**facts, "error": text_of(error)})
        return ReadFailed(lifecycle=name, task_id=task_id, error=error, is_gone=is_gone, is_refused=is_refused)

    # --- policies ---------------------------------------------------------------------------------

    async def _follow_policies(self, watched: WatchedTask) -> None:
        """Evaluate the policies: queue the command of one, or schedule the next read of the task."""
        watched.pending_policy, events = self._enforcer.decide(watched)
        for each in events:
            await self._emit(each)
        if watched.pending_policy is None:
            self._put_back(watched, self._delay_s(watched))
        else:
            watched.is_busy = True
            self._commands.put_nowait(watched)

    async def _take_commands(self) -> None:
        """Start the commands of policies in order; slowly while the service is down and commands fail."""
        while True:
            watched = await self._commands.get()
            await self._command_slots.acquire()
            if self._command_failed and self._outage.suspected.is_set():
                await asyncio.sleep(_COMMAND_PAUSE_S)
            self._start(self._enforce(watched), watched).add_done_callback(lambda _: self._command_slots.release())

    async def _enforce(self, watched: WatchedTask) -> None:
        policy, watched.pending_policy = watched.pending_policy, None
        if policy is None or watched.is_dropped:
            return
        try:
            record = await self._recorder.retry_until_available(watched.journal.load, blocking=watched.journal.blocking)
        except Exception as error:
            self._enforcer.postpone(policy, watched, error)
            raise
        if watched.record is not None and watched.record.state == record.state:
            watched.record = record  # another worker may have seen the state earlier, so that its times are better
        for each in await self._enforcer.enforce(policy, watched, record):
            await self._emit(each)
        self._command_failed = policy.name in watched.failing
        self._put_back(watched, self._delay_s(watched) if self._command_failed else 0.0)

    # --- recorded reports -------------------------------------------------------------------------

    async def _apply(self, pending: PendingReport, entry: ReportEntry[Any, Any]) -> None:
        """Apply a recorded report to its task."""
        try:
            await self._apply_entry(pending, entry)
        except Exception as error:  # noqa: BLE001 (any error here concerns this task alone)
            await self._reject(pending, error)

    async def _reject(self, pending: PendingReport, error: Exception) -> None:
        """Handle a report that cannot be recorded or applied."""
        if pending.is_foreign:
            self._poll_soon(pending.watched)
        elif not pending.watched.is_dropped:
            await self._on_failure(pending.watched, error, is_certain=True)

    async def _apply_entry(self, pending: PendingReport, entry: ReportEntry[Any, Any]) -> None:
        watched = pending.watched
        is_foreign = pending.is_foreign
        if watched.is_dropped:
            return
        if is_foreign and not self._is_relevant(watched, entry):
            if watched.record is not None and entry.state != watched.record.state:  # emitted already, or not yet known
                self._poll_soon(watched)
            return
        if is_behind(watched, entry):
            watched.record = None
            self._poll_soon(watched) if is_foreign else self._put_back(watched, 0.0)
            return
        change = learn(self._lifecycle, watched, entry)
        if is_over(self._lifecycle, watched):
            await self._end(watched, change or over_already(self._lifecycle, watched))
            return
        if change is not None:
            await self._emit(change)
        if is_foreign:
            self._follow_up(watched, entry, change)
        else:
            watched.failures, watched.read_after_s = 0, float("-inf")
            watched.is_reported_unreadable = False
            self._refused.discard(watched.task_id)
            watched.interval_s = self._interval_s(watched, change)
            await self._follow_policies(watched)

    def _is_relevant(self, watched: WatchedTask, entry: ReportEntry[Any, Any]) -> bool:
        """Return whether a foreign report must be emitted: it was not overtaken, or is late or unconfirmed."""
        return entry.late or entry.unconfirmed or is_news(self._lifecycle, watched, entry)

    def _interval_s(self, watched: WatchedTask, change: Change | None) -> float:
        """Return the interval until the next read: short after a change, otherwise growing."""
        if watched.interval_s and (change is None or change.before == change.state):
            return self._pace.next_interval_s(watched.interval_s)
        state = None if watched.record is None else watched.record.current
        return self._pace.first_interval_s(self._lifecycle, state)

    def _follow_up(self, watched: WatchedTask, entry: ReportEntry[Any, Any], change: Change | None) -> None:
        """Schedule the next read after a foreign report: at once if it is not certain, rarely while others arrive."""
        was_pushed = entry.report.channel != Channel.API
        if not is_certain(entry):
            if was_pushed and change is not None:
                self._poll_soon(watched)
        elif not entry.late:
            watched.interval_s = self._pace.longest_s if was_pushed else self._interval_s(watched, change)
            if not watched.is_busy:
                self._put_back(watched, self._delay_s(watched))

    def _delay_s(self, watched: WatchedTask) -> float:
        """Return the seconds until the task is to be read again, or a policy to be evaluated."""
        if self._outage.suspected.is_set():
            self._parked.add(watched)
            until_read_s = float("inf")
        elif watched.failures:
            until_read_s = max(watched.read_after_s - _now_s(), 0.0)
        else:
            until_read_s = self._pace.jittered_s(watched.interval_s)
        return min(until_read_s, self._enforcer.next_s(watched))

    async def _end(self, watched: WatchedTask, event: Event) -> None:
        """Emit the last event of a task, and stop watching it."""
        if not watched.is_dropped:
            await self._emit(event)
        self._drop(watched)

    def _drop(self, watched: WatchedTask) -> None:
        watched.is_dropped, watched.due_s = True, float("inf")
        self._streams.drop(watched)
        self._parked.discard(watched)
        if self._tasks.get(watched.task_id) is watched:
            del self._tasks[watched.task_id]
            self._refused.discard(watched.task_id)
        self._schedule.keep(self._tasks.values())
        self._events.wake()

    def _put_back(self, watched: WatchedTask, delay_s: float) -> None:
        watched.is_busy = False
        if not watched.is_dropped:
            due_s = _now_s() + (0.0 if watched.again else delay_s)
            watched.again = False
            self._schedule.put(watched, due_s)
            self._schedule.keep(self._tasks.values())

    def _poll_soon(self, watched: WatchedTask) -> None:
        watched.again = True
        if not watched.is_busy:
            self._put_back(watched, 0.0)

    # --- foreign reports --------------------------------------------------------------------------

    async def _follow(self, journal: ChangeFeed, since: str) -> None:
        async for task_id, entry in follow(journal, self._lifecycle, self._recorder, since):
            self._feed_report(task_id, entry)

    def _feed_report(self, task_id: str, entry: ReportEntry[Any, Any] | None) -> None:
        watched = self._tasks.get(task_id)
        if watched is None:
            return
        # The task is read instead if it is not known yet, or the report cannot be judged or queued.
        if (
            entry is None
            or watched.record is None
            or not self._recorder.offer(PendingReport(watched, entry.report, entry))
        ):
            self._poll_soon(watched)

    def _read_without_stream(self, watched: WatchedTask) -> None:
        """Read the task at the pace of one without a stream, beginning at once."""
        watched.interval_s = 0.0
        self._poll_soon(watched)

    # --- events -----------------------------------------------------------------------------------

    async def _emit(self, event: Event) -> None:
        if self._callback is not None:
            await self._callback.call(event)
        if self._is_read:
            await self._events.put(event)


async def watch(
    client: AsyncClient,
    tasks: Iterable[str],
    *,
    policies: Sequence[Policy] = (),
    pace: Pace | None = None,
    throttle: Throttle | None = None,
    streams: int = 0,
) -> AsyncGenerator[Event]:
    """Yield the events of these tasks until all of them are over. To end it earlier, wrap it in `contextlib.aclosing`.

    Args:
        client: the client whose service, key and journal are used; the caller closes it.
        tasks: the ids of the tasks.
        policies: the rules by which tasks are ended, or reported as overdue.
        pace: the polling intervals.
        throttle: the rate limit of the key, to be shared by all watchers of the key.
        streams: the number of streams, 0 to 64, that are followed at a time, if the service has streams.
    Raises:
        UnknownName: a policy names a state that the lifecycle does not declare.
        ValueError: two policies have the same name, a policy needs costs that the service does not report, or names
            a final state; `streams` is not 0 to 64, or the service has none; or an id cannot be sent in a request.
        TypeError: a policy is not a policy object, or an id is not a text, integer or UUID.
    """
    async with Watcher(client, policies=policies, pace=pace, throttle=throttle, streams=streams) as watcher:
        watcher.add(*tasks)
        async for event in watcher.changes():
            yield event


def _is_for_good(failure: Failure | None) -> bool:
    """Return whether a read was refused for a reason that will not pass, such as a malformed id."""
    error = failure.error if isinstance(failure, Refused) else None
    return isinstance(error, ResponseError) and 400 <= error.status_code < 500 and error.status_code not in _PASSING


_PASSING = frozenset({409, 423, 425})  # conflict, locked, too early; 401, 403, 404, 408 and 429 are not `Refused`


async def _until(end_s: float, tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait until the tasks have ended, at most until `end_s` of the loop's clock."""
    left = list(tasks)
    if left:
        await asyncio.wait(left, timeout=max(end_s - _now_s(), 0.0))


def _log_of(outage: Outage) -> Outage:
    facts = {"lifecycle": outage.lifecycle, "began_at": outage.began_at.isoformat(), "error": str(outage.error)}
    _log.warning("no task can be read", extra=facts)
    return outage


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
