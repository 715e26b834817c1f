"""The watcher: one process follows thousands of tasks with a few requests under way at a time.

One coroutine takes the task that is due first, as soon as a request may be made, and lets it be looked
at; what was seen is recorded (recorder.py), learned (tasks.py), told (events.py) and judged by the
policies (acting.py); then the task is due again (pace.py).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

from adapters.http import AsyncClient
from adapters.http.driver import CLOCK
from adapters.http.exchange import cost_usd
from adapters.watch.acting import Acting
from adapters.watch.events import Change, Event, Mailbox, Unreadable
from adapters.watch.feed import ChangeFeed, follow
from adapters.watch.pace import Pace
from adapters.watch.policies import Policy
from adapters.watch.recorder import Recorder, Seen
from adapters.watch.tasks import Schedule, Watched, is_certain, is_news, is_over, learn, over_already
from adapters.watch.throttle import Throttle
from lifecycle.effects import Accepted, Denied, Failure, Missing, Refused, Throttled
from lifecycle.errors import LifecycleError
from lifecycle.history import Channel
from lifecycle.journal import Report, ReportEntry

_log = logging.getLogger("adapters.watch")

OnEvent = Callable[[Event], object]

_ROOM = 1000  # events that wait for their reader
_TOLD_AFTER = 3  # reads in a row that failed: until then it may be a moment's trouble


class Watcher:
    """Follows many tasks of one client. To be used with `async with`; all but `hear` in one event loop.

        async with Watcher(client, policies=[StopAfter(3600)]) as watcher:
            watcher.add("task_1", "task_2")
            async for event in watcher.changes():
                print(event)

    It ends in good order however the block is left, by cancellation too: no look is begun, requests and
    commands under way are waited for, everything that was seen is recorded. A command that could not end is the
    client's to `recover`. What was not read from `changes` is in the journal. `asyncio.run` makes a
    cancellation of Ctrl-C; a script makes one of SIGTERM by `loop.add_signal_handler(SIGTERM, task.cancel)`.

    Args:
        client: whose service, key and journal are used; it stays the caller's to close.
        policies: when tasks are to be ended.
        pace: how closely to watch.
        throttle: the requests a second that the key allows; to be shared by all watchers of the key.
        on_event: told of every event, before the iterator is; what it returns is awaited where it can
            be. If it (or a policy) raises, watching ends, and the iterator and the block raise that.
            Where it is given, events wait for an iterator only from the first call of `changes` on.
        keep_open: whether `changes` waits for more when nothing is left to watch.
        closing_s: seconds that the end may take.
        clock: tells policies the time, aware and in UTC.
    Raises:
        ValueError: two policies have one name, or one asks for costs that the service does not tell.
    """

    def __init__(
        self,
        client: AsyncClient,
        *,
        policies: Sequence[Policy] = (),
        pace: Pace | None = None,
        throttle: Throttle | None = None,
        on_event: OnEvent | None = None,
        keep_open: bool = False,
        closing_s: float = 10.0,
        clock: Callable[[], datetime] = CLOCK.now,
    ) -> None:
        self._client = client
        self._lifecycle = client.lifecycle
        self._pace = pace or Pace()
        self._throttle = throttle or Throttle()
        self._acting = Acting(client.behind(self._throttle), policies, clock)
        self._require_sound(policies)
        self._on_event = on_event
        self._keep_open = keep_open
        self._closing_s = closing_s
        self._tasks: dict[str, Watched] = {}
        self._schedule = Schedule()
        self._recorder = Recorder(client.journal, client.lifecycle, self._learn)
        self._mailbox = Mailbox(room=_ROOM, is_over=self._is_over)
        self._is_read = on_event is None
        self._slots = asyncio.Semaphore(self._pace.concurrency)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._services: list[asyncio.Task[None]] = []
        self._looks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def _require_sound(self, policies: Sequence[Policy]) -> None:
        if len({each.name for each in policies}) < len(policies):
            raise ValueError("two policies have one name, and their commands could not be told apart")
        if self._acting.needs_cost and self._client.wire.cost_at is None:
            raise ValueError(f"{self._client.wire.name} does not tell what a task costs")

    # --- what is asked of it ----------------------------------------------------------------------

    def add(self, *task_ids: str) -> None:
        """Watch these tasks too; those that are watched already are left as they are.

        The first is looked at as soon as may be, many are spread over the first interval.

        Raises:
            ValueError: an id that no request can carry; then none is added.
        """
        new = [each for each in dict.fromkeys(task_ids) if each not in self._tasks]
        wire = self._client.wire
        for each in new:
            wire.status.request(wire.base_path, task_id=each)
        now_s = _now_s()
        for number, task_id in enumerate(new):
            watched = Watched(task_id, self._client.journal.task(self._lifecycle, task_id))
            self._tasks[task_id] = watched
            self._schedule.put(watched, now_s + self._pace.working_s * number / len(new))

    def discard(self, task_id: str) -> None:
        """Watch a task no longer. What is seen of it at this moment is recorded, and not told."""
        watched = self._tasks.get(task_id)
        if watched is not None:
            self._drop(watched)

    def __len__(self) -> int:
        """Return how many tasks are watched."""
        return len(self._tasks)

    async def changes(self) -> AsyncGenerator[Event]:
        """Yield what happens, task by task in its order; end when nothing is left to watch.

        While nobody reads, a thousand events wait, then nobody is asked any more. One reader at a time.
        """
        self._is_read = True
        while (event := await self._mailbox.take()) is not None:
            yield event

    async def finished(self) -> None:
        """Return when nothing is left to watch; for those who are told by `on_event`."""
        async for _ in self.changes():
            pass

    def hear(self, task_id: str, entry: ReportEntry[Any, Any]) -> None:
        """Take over a report that was just recorded in the client's journal, such as a webhook's. From any thread.

        It is told like any other; where it is not certain, the task is looked at as soon as may be.
        While such reports come, the task is looked at rarely. Of a task that is not watched nothing is told.
        """
        loop = self._loop
        with suppress(RuntimeError):  # the loop is closed
            if loop is not None:
                loop.call_soon_threadsafe(self._hear, task_id, entry)

    # --- its beginning and its end ----------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        journal = self._client.journal
        if isinstance(journal, ChangeFeed):
            told = await self._recorder.patiently(lambda: journal.changes("now"), blocking=True)
            self._services.append(self._begin(self._follow(journal, told.cursor)))
        self._services.append(self._begin(self._take_turns()))
        self._recording = self._begin(self._recorder.run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        closing = asyncio.create_task(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await closing  # to be cancelled is to end in good order; only who cancels twice is in a hurry
            raise
        finally:
            _cancel([closing, *self._services, *self._looks, self._recording])
        if kind is None and self._failure is not None:
            raise self._failure

    async def _close(self) -> None:
        until_s = _now_s() + self._closing_s
        self._loop = None
        _cancel(self._services)
        self._mailbox.close()
        self._recorder.close()
        if self._looks:
            await asyncio.wait(self._looks, timeout=self._closing_s)
        cut_off = list(self._looks)
        _cancel(cut_off)
        await asyncio.gather(*cut_off, *self._services, return_exceptions=True)
        self._recorder.end()
        await asyncio.wait([self._recording], timeout=max(until_s - _now_s(), 0.1))
        if not self._recording.done():
            _log.error("the journal could not be written in time", extra={"lost": self._recorder.unrecorded})

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(self._see_end)
        return task

    def _see_end(self, task: asyncio.Task[None]) -> None:
        self._looks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._fail(failure)

    def _fail(self, failure: BaseException) -> None:
        _log.error("watching failed, and ends", exc_info=failure)
        self._failure = self._failure or failure
        _cancel(self._services)
        self._mailbox.close(failure)

    def _is_over(self) -> bool:
        return not self._tasks and not self._keep_open

    # --- looking ----------------------------------------------------------------------------------

    async def _take_turns(self) -> None:
        while True:
            await self._slots.acquire()
            watched = await self._next()
            watched.is_busy = True
            look = self._begin(self._look(watched) if watched.to_do is None else self._act(watched))
            look.add_done_callback(lambda _: self._slots.release())
            self._looks.add(look)

    async def _next(self) -> Watched:
        """The task to look at now; chosen last, so that whatever is urgent by then comes first."""
        while True:
            await self._schedule.until_due()
            await self._throttle.enter()
            watched = self._schedule.pop()
            if watched is not None:
                return watched

    async def _look(self, watched: Watched) -> None:
        if watched.record is None:
            watched.record = await self._recorder.patiently(watched.log.load, blocking=watched.log.blocking)
            if is_over(self._lifecycle, watched):
                await self._end(watched, over_already(self._lifecycle, watched))
                return
        details = self._acting.needs_cost and watched.cost_due_s <= _now_s()
        answer = await self._client.read(watched.task_id, details=details)
        self._throttle.leave(answer)
        match answer:
            case Accepted():
                await self._see(watched, answer, details=details)
            case Missing():
                await self._end(watched, self._unreadable(watched, answer.error, is_gone=True))
            case Throttled():
                self._put_back(watched, 0.0)
            case _:
                await self._miss(watched, answer)

    async def _see(self, watched: Watched, answer: Accepted, *, details: bool) -> None:
        watched.failures, watched.is_told_unreadable = 0, False
        cost = cost_usd(answer.document, self._client.wire.cost_at)
        if cost is not None:
            watched.cost_usd = cost
        if cost is not None or details:
            watched.cost_due_s = _now_s() + self._pace.cost_s
        await self._recorder.put(Seen(watched, Report(str(answer.status), answer.as_of)))

    async def _miss(self, watched: Watched, failure: Failure) -> None:
        watched.failures += 1
        is_certain = isinstance(failure, Denied | Refused) or watched.failures >= _TOLD_AFTER
        if is_certain and not watched.is_told_unreadable:
            watched.is_told_unreadable = True
            await self._tell(self._unreadable(watched, failure.error))
        self._put_back(watched, self._pace.retry_s(watched.failures))

    def _unreadable(self, watched: Watched, error: LifecycleError, *, is_gone: bool = False) -> Unreadable:
        facts = {"lifecycle": self._lifecycle.name, "task_id": watched.task_id, "is_gone": is_gone}
        _log.warning("a task cannot be read", extra={**facts, "error": str(error)})
        return Unreadable(task_id=watched.task_id, lifecycle=self._lifecycle.name, error=error, is_gone=is_gone)

    async def _act(self, watched: Watched) -> None:
        policy, watched.to_do = watched.to_do, None
        assert policy is not None
        record = await self._recorder.patiently(watched.log.load, blocking=watched.log.blocking)
        if watched.record is not None and watched.record.state == record.state:
            watched.record = record  # another worker may have known longer of the state, and so of its times
        before = watched.in_vain
        acted = await self._acting.carry_out(policy, watched, record)
        if acted is not None:
            await self._tell(acted)
        was_in_vain = watched.in_vain > before
        self._put_back(watched, self._pace.retry_s(watched.in_vain) if was_in_vain else 0.0)

    # --- learning ---------------------------------------------------------------------------------

    async def _learn(self, seen: Seen, entry: ReportEntry[Any, Any]) -> None:
        """Learn what was recorded. Where a callback or a policy fails nothing more is told, but all is recorded."""
        if self._failure is None:
            try:
                await self._learn_from(seen, entry)
            except Exception as error:  # noqa: BLE001 (it is raised to whoever reads, and by the block)
                self._fail(error)

    async def _learn_from(self, seen: Seen, entry: ReportEntry[Any, Any]) -> None:
        watched = seen.watched
        was_heard = seen.entry is not None
        if watched.is_dropped or (was_heard and not _is_worth_hearing(watched, entry)):
            return
        change = learn(self._lifecycle, watched, entry)
        if is_over(self._lifecycle, watched):
            await self._end(watched, change)
            return
        if change is not None:
            await self._tell(change)
        if was_heard:
            self._follow_up(watched, entry, change)
        else:
            watched.interval_s = self._interval_s(watched, change)
            watched.to_do = self._acting.decide(watched)
            self._put_back(watched, self._delay_s(watched))

    def _interval_s(self, watched: Watched, change: Change | None) -> float:
        """Short after a change, else ever longer."""
        if watched.interval_s and (change is None or change.before == change.state):
            return self._pace.next_interval_s(watched.interval_s)
        state = None if watched.record is None else watched.record.state
        return self._pace.first_interval_s(self._lifecycle, state)

    def _follow_up(self, watched: Watched, entry: ReportEntry[Any, Any], change: Change | None) -> None:
        """After a report that was heard: look at once where only a look tells, rarely while the others come."""
        was_pushed = entry.report.channel != Channel.API
        if not is_certain(entry):
            if was_pushed and change is not None:
                self._look_soon(watched)
        elif not entry.late:
            watched.interval_s = self._pace.longest_s if was_pushed else self._interval_s(watched, change)
            if not watched.is_busy:
                self._put_back(watched, self._delay_s(watched))

    def _delay_s(self, watched: Watched) -> float:
        if watched.to_do is not None:
            return 0.0
        return min(self._pace.jittered_s(watched.interval_s), self._acting.next_s(watched))

    async def _end(self, watched: Watched, event: Event | None) -> None:
        """Tell the last of a task, and watch it no longer."""
        if event is not None and not watched.is_dropped:
            await self._tell(event)
        self._drop(watched)

    def _drop(self, watched: Watched) -> None:
        watched.is_dropped, watched.due_s = True, float("inf")
        if self._tasks.get(watched.task_id) is watched:
            del self._tasks[watched.task_id]
        self._schedule.keep(self._tasks.values())
        self._mailbox.wake()

    def _put_back(self, watched: Watched, delay_s: float) -> None:
        watched.is_busy = False
        if not watched.is_dropped:
            due_s = _now_s() + (0.0 if watched.again else delay_s)
            watched.again = False
            self._schedule.put(watched, due_s)
            self._schedule.keep(self._tasks.values())

    def _look_soon(self, watched: Watched) -> None:
        watched.again = True
        if not watched.is_busy:
            self._put_back(watched, 0.0)

    # --- hearing ----------------------------------------------------------------------------------

    async def _follow(self, journal: ChangeFeed, since: str) -> None:
        async for task_id, entry in follow(journal, self._lifecycle, self._recorder, since):
            self._hear(task_id, entry)

    def _hear(self, task_id: str, entry: ReportEntry[Any, Any]) -> None:
        watched = self._tasks.get(task_id)
        if watched is None:
            return
        # What is not known yet is read, and so is what there is no room for: the journal has it.
        if watched.record is None or not self._recorder.offer(Seen(watched, entry.report, entry)):
            self._look_soon(watched)

    # --- telling ----------------------------------------------------------------------------------

    async def _tell(self, event: Event) -> None:
        if self._on_event is not None:
            told = self._on_event(event)
            if inspect.isawaitable(told):
                await told
        if self._is_read:
            await self._mailbox.put(event)


async def watch(
    client: AsyncClient,
    tasks: Iterable[str],
    *,
    policies: Sequence[Policy] = (),
    pace: Pace | None = None,
    throttle: Throttle | None = None,
) -> AsyncGenerator[Event]:
    """Yield what happens to these tasks until all of them are over. As `Watcher`, which see.

    To leave it early in good order, wrap it in `contextlib.aclosing`.
    """
    async with Watcher(client, policies=policies, pace=pace, throttle=throttle) as watcher:
        watcher.add(*tasks)
        async for event in watcher.changes():
            yield event


def _is_worth_hearing(watched: Watched, entry: ReportEntry[Any, Any]) -> bool:
    """Whether what another recorded was not overtaken; late reports are told as what they are."""
    return entry.late or entry.unconfirmed or is_news(watched, entry.report)


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
