"""The command `watch`, which follows many tasks and prints a line for each event until all are over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle_adapters.cli.json_documents import plain, snake_case
from lifecycle_adapters.cli.names import AsJson
from lifecycle_adapters.cli.output import (
    BAD_INPUT,
    NOT_LEGAL,
    accepted_by,
    fail,
    misuse_is_bad_input,
    print_json_line,
    say,
    shown,
)
from lifecycle_adapters.cli.signals import ending_signals
from lifecycle_adapters.cli.task_commands import (
    Api,
    BaseUrl,
    GoverningLifecycle,
    Journal,
    KeyFrom,
    Parameters,
    Worker,
    assigned_parameters,
    governing,
    open_journal,
    with_key,
)

if TYPE_CHECKING:
    from lifecycle_adapters.http import AsyncClient
    from lifecycle_adapters.journal import SqlJournal
    from lifecycle_adapters.watch import Change, Event, Policy, Throttle

TaskIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ID", help="Follow the tasks with these ids. Default: all tasks in the journal that are not over."
    ),
]


def _stop_after(seconds: float) -> Policy:
    from lifecycle_adapters.watch import StopAfter

    return StopAfter(seconds)


def _stop_paused_after(seconds: float) -> Policy:
    from lifecycle_adapters.watch import StopPausedAfter

    return StopPausedAfter(seconds)


def _stop_at_cost(usd: float) -> Policy:
    from lifecycle_adapters.watch import StopAtCost

    return StopAtCost(usd)


def _throttle(rate_per_s: float) -> Throttle:
    from lifecycle_adapters.watch import Throttle

    return Throttle(rate_per_s)


def watch(
    task_ids: TaskIds = None,
    *,
    api: Api,
    stop_after: Annotated[
        float | None,
        typer.Option(
            callback=accepted_by(_stop_after), metavar="SECONDS", help="Stop a task at this age. Default: no limit."
        ),
    ] = None,
    stop_paused_after: Annotated[
        float | None,
        typer.Option(
            callback=accepted_by(_stop_paused_after),
            metavar="SECONDS",
            help="Stop a task that has done no work for this long. Default: no limit.",
        ),
    ] = None,
    stop_at_cost: Annotated[
        float | None,
        typer.Option(
            callback=accepted_by(_stop_at_cost),
            metavar="USD",
            help="Stop a task that has cost this much. Default: no limit.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            callback=accepted_by(_throttle),
            metavar="PER_SECOND",
            help="Send at most this many requests per second; choose what the API key allows.",
        ),
    ] = 10.0,
    streams: Annotated[
        int,
        typer.Option(
            min=0,
            max=64,
            metavar="NUMBER",
            help="Follow at most this many streams of tasks. Needs a service with streams.",
        ),
    ] = 0,
    journal: Journal = None,
    worker: Worker = None,
    base_url: BaseUrl = None,
    parameter: Parameters = None,
    key_from: KeyFrom = None,
    lifecycle: GoverningLifecycle = None,
    as_json: AsJson = False,
) -> None:
    """Follow many tasks and print their events, until all are over or you press Ctrl-C.

    With a journal, a later call continues with what an interrupted one has recorded.
    After Ctrl-C it waits up to ten seconds for the requests that are under way.
    Without a limit such as --stop-after, it also ends when the service refuses to read every task that is left. It goes
    on after 401 and 403, because a key can be replaced, and says that nothing can be read.

    Exit code 0: all tasks are over, or you ended it.
    1: a task could not be followed, because the service has no such task or refuses to read it.
    2: bad input, or a service or journal that cannot be used.

    Example: lifecycle watch --api v4 TASK_ID OTHER_ID --stop-after 3600 --journal journal.db
    """
    from lifecycle_adapters.http import AsyncClient

    limits = (_stop_after, stop_after), (_stop_paused_after, stop_paused_after), (_stop_at_cost, stop_at_cost)
    policies = [limit(given) for limit, given in limits if given is not None]
    # Without ids, a mistyped name would create an empty journal, in which there is nothing to watch.
    with misuse_is_bad_input(), open_journal(journal, worker, must_exist=not task_ids) as record:
        settings = {"base_url": base_url, "parameters": assigned_parameters(parameter), "journal": record}
        client = with_key(AsyncClient, api, key_from, lifecycle=governing(lifecycle, api, record), **settings)
        ids = task_ids or list(_unfinished(client, record))
        shown_by = _print_json if as_json else _print
        watching = _watch(
            client,
            ids,
            shown_by,
            policies=policies,
            throttle=_throttle(rate),
            streams=streams,
            is_recorded=record is not None,
        )
        lost = asyncio.run(watching)
    if lost:
        say(f"{len(lost)} of {len(set(ids))} tasks could not be followed", stderr=True)
        raise typer.Exit(NOT_LEGAL)


def _unfinished(client: AsyncClient, record: SqlJournal | None) -> Iterator[str]:
    from lifecycle_adapters.http.requests import quoted_id

    if record is None:
        fail("name the tasks to watch, or give --journal FILE|URL to watch all in it that are not over", BAD_INPUT)
    lifecycle, after = client.lifecycle, 0
    while True:
        page = record.tasks(lifecycle, after=after, limit=1000)
        for each in page.tasks:
            state = each.doubt or each.state
            if state is None or not lifecycle.is_over(state):
                if quoted_id(each.task_id, keeps_slashes=client.binding.ids_have_slashes) is None:
                    say(f"{shown(each.task_id)!r} is recorded, but no request can carry it: not watched", stderr=True)
                else:
                    yield each.task_id
        if page.after is None:
            return
        after = page.after


async def _watch(
    client: AsyncClient,
    ids: list[str],
    show: Callable[[Event], None],
    *,
    policies: list[Policy],
    throttle: Throttle,
    streams: int,
    is_recorded: bool,
) -> set[str]:
    """Show every event until all tasks are over or a signal ends it; return the ids of tasks that were not followed."""
    from lifecycle_adapters.watch import ReadFailed, Watcher

    lost = set[str]()
    watching = asyncio.current_task()
    assert watching is not None

    def end() -> None:
        say("ending; waiting for the requests under way", stderr=True)
        watching.cancel()

    for each in ending_signals():
        with suppress(NotImplementedError):  # on Windows, where Ctrl-C raises KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(each, end)
    try:
        async with Watcher(client, policies=policies, throttle=throttle, streams=streams) as watcher:
            watcher.add(*ids)
            say(f"watching {len(watcher)} task{'' if len(watcher) == 1 else 's'}", stderr=True)
            try:
                async for event in (
                    watcher.changes()
                ):  # not `on_event`: the watcher would continue after its errors, such as a closed pipe
                    show(event)
                    if isinstance(event, ReadFailed) and event.is_gone:  # the watcher retries all other failures
                        lost.add(event.task_id)
                    refused = watcher.refused
                    if not policies and len(refused) == len(watcher):  # nothing remains to wait for
                        lost |= refused
                        for task_id in refused:
                            watcher.discard(task_id)
            finally:
                lost |= watcher.refused
    except asyncio.CancelledError:
        say(
            "interrupted; all that was seen is recorded" if is_recorded else "interrupted; nothing is recorded",
            stderr=True,
        )
    finally:
        await client.close()
    return lost


def _print(event: Event) -> None:
    from lifecycle_adapters.watch import Change, JournalOutage, Outage, Overdue, PolicyAction, PolicyFailed, ReadFailed

    match event:
        case Change():
            states = " → ".join(dict.fromkeys((event.before or "new", event.state or "new")))  # one, if it stays
            say((shown(event.task_id), "bold"), f"  {shown(states)}", (f"  {shown(_comment(event))}", "dim"))
        case PolicyAction():
            outcome = event.state if event.error is None else event.error
            say((shown(event.task_id), "bold"), f"  {event.command}: {shown(event.reason)}: {shown(outcome)}")
        case ReadFailed():
            say((shown(event.task_id), "bold"), f"  cannot be read: {shown(event.error)}")
        case Overdue():
            say((shown(event.task_id), "bold"), f"  overdue: {shown(event.reason)}")
        case PolicyFailed():
            say((shown(event.task_id), "bold"), f"  {shown(event.policy)} failed: {shown(event.error)}")
        case Outage(ended_at=None):
            say(("no task can be read", "bold"), f" since {event.began_at:%H:%M:%S} UTC: {shown(event.error)}")
        case Outage():
            say(("the outage has ended", "bold"), f" at {event.ended_at:%H:%M:%S} UTC")
        case JournalOutage(ended_at=None):
            since = f"{event.began_at:%H:%M:%S} UTC"
            say(
                ("the journal cannot be written", "bold"),
                f" since {since}, and no limit is enforced until it can: {shown(event.error)}",
            )
        case JournalOutage():
            say(("the journal can be written again", "bold"), f" at {event.ended_at:%H:%M:%S} UTC")


def _comment(change: Change) -> str:
    if change.is_unknown:
        return f"unknown status {change.status!r}"
    if change.late:
        return "late"
    if change.unconfirmed:
        return "to be confirmed"
    return "" if change.before != change.state else str(change.kind)


def _print_json(event: Event) -> None:
    facts = {name: plain(getattr(event, name)) for name in event.__slots__}
    print_json_line({"event": snake_case(type(event)), **facts})
