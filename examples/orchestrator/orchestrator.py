"""Run the tasks of a file to their end, and survive every crash: python orchestrator.py JOBS

JOBS has a line for each task, `KEY TEXT`. Kill this program whenever you like (`kill -9`), and start it again: it goes
on where it was. No task is created twice, no stop is forgotten. Exit code 1: a person must look at something.
"""

import asyncio
import os
import sys
from pathlib import Path

from lifecycle import CreateInFlight, CreateUncertain, LifecycleError
from lifecycle_adapters.http import AsyncClient, AsyncTask, RecoveredCreate
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.watch import Change, Event, Pace, PolicyAction, StopAfter, Watcher

WORKER = "orchestrator"  # a process that starts under this name settles what the last one left open


def jobs(path: str) -> dict[str, str]:
    """Return the text of each task by its key. Raises ValueError: a line has no text, or the key of another line."""
    found: dict[str, str] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        match line.split(maxsplit=1):
            case []:
                pass  # an empty line
            case [key, text] if key not in found:
                found[key] = text
            case _:
                raise ValueError(f"{path}, line {number}: it must be KEY TEXT, with a key of its own")
    return found


async def main(wanted: dict[str, str]) -> int:
    """Recover, create what is missing, and watch until all tasks are over."""
    limit = StopAfter(float(os.environ.get("LIMIT_S", "3600")))
    pace = Pace(working_s=float(os.environ.get("POLL_S", "2")))
    with SqlJournal("journal.db", worker=WORKER) as journal:
        async with AsyncClient("v2", base_url=os.environ.get("LIFECYCLE_BASE_URL"), journal=journal) as client:
            unsettled = await recover(client)
            tasks = {key: await create(client, key, text) for key, text in wanted.items()}
            async with Watcher(client, policies=[limit], pace=pace, on_event=show) as watcher:
                watcher.add(*(task.id for task in tasks.values() if task is not None))
                await watcher.finished()
    return 1 if unsettled or None in tasks.values() else 0


async def recover(client: AsyncClient) -> int:
    """Settle what a crash left open; return how much of it stays open."""
    unsettled = 0
    for each in await client.recover():
        if isinstance(each, RecoveredCreate) and len(each.candidates) == 1:  # its text names the job: this is the task
            await client.adopt_create(each.create.id, each.candidates[0].id)
            print("adopted", each.create.fields["task"])
        elif each.is_settled:
            print("settled", each.command, each.task_id)
        else:
            print(f"open: {each.command} {each.task_id}: {each.error}; see `lifecycle recover --help`")
            unsettled += 1
    return unsettled


async def create(client: AsyncClient, key: str, text: str) -> AsyncTask | None:
    """Create the task of a job, or find it: one key makes one task."""
    try:
        return await client.create(f"{key}: {text}", idempotency_key=key)
    except (CreateUncertain, CreateInFlight) as error:
        print(f"open: {error}")
        return None


def show(event: Event) -> None:
    """Print what happens to a task."""
    match event:
        case Change():
            if event.is_over:
                print(event.task_id, event.state)
        case PolicyAction():
            print(event.task_id, f"{event.command}: {event.reason}")
        case _:
            print(event)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.exit(asyncio.run(main(jobs(sys.argv[1]))))
    except (LifecycleError, OSError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
