"""The cost of watching 10,000 tasks in one process, compared with watching one.

Each measurement is a process of its own that watches paused tasks of a bare server: it reads each once, and then none
for an hour. Its memory, and its processor time while nothing is due, are the cost of watching.
`python -m benchmarks.watch TASKS JOURNAL URL` is that process.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import psutil

from benchmarks.measure import Bound, Row
from benchmarks.servers import running
from lifecycle import V1Event
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services.v1 import V1 as WIRE
from lifecycle_adapters.watch import Pace, Throttle, Watcher

_KEY = "benchmark"
_MORE_MB = 40.0
_MOST_IDLE = 0.05
_PACE = Pace(working_s=5.0, resting_s=3600.0, longest_s=3600.0, concurrency=32)


def rows(*, tasks: int, idle_s: float) -> list[Row]:
    """Measure this many tasks against one, with each journal, each idle for this many seconds."""
    with running("bare") as url:
        pause = WIRE.command_request(V1Event.PAUSE, "task")
        httpx2.request(pause.method, url + pause.path, headers=WIRE.request_headers(_KEY)).raise_for_status()
        return [row for journal in ("memory", "sqlite") for row in _rows(journal, url, tasks, idle_s)]


def _rows(journal: str, url: str, tasks: int, idle_s: float) -> list[Row]:
    one, many = (_measured(number, journal, url, idle_s) for number in (1, tasks))
    more_mb = (many["rss_bytes"] - one["rss_bytes"]) / 1e6
    what = f"{tasks:,} tasks watched, journal in {journal}"
    return [
        Row(
            f"{what}: memory above one task's",
            f"{_MORE_MB:g} MB",
            f"{more_mb:.1f} MB more",
            f"{one['rss_bytes'] / 1e6:.1f} MB with one",
            more_mb / _MORE_MB,
            None,
            Bound.AT_MOST,
            1.0,
        ),
        Row(
            f"{what}: idle",
            "the time that passes",
            f"{many['idle']:.2%} of a core",
            f"{one['idle']:.2%} with one",
            many["idle"],
            None,
            Bound.AT_MOST,
            _MOST_IDLE,
        ),
    ]


def _measured(tasks: int, journal: str, url: str, idle_s: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.watch", str(tasks), journal, url, str(idle_s)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


async def _watch(tasks: int, journal: MemoryJournal | SqlJournal, url: str, idle_s: float) -> dict[str, float]:
    left = asyncio.Semaphore(0)
    async with AsyncClient("v1", api_key=_KEY, base_url=url, journal=journal) as client:
        throttle = Throttle(rate_per_s=100_000)
        async with Watcher(client, pace=_PACE, throttle=throttle, on_event=lambda _: left.release()) as watcher:
            watcher.add(*(f"task_{number:016x}" for number in range(tasks)))
            for _ in range(tasks):
                await left.acquire()
            await asyncio.sleep(idle_s)  # a change feed also tells the process's own records
            gc.collect()
            begun_s, worked_s = time.perf_counter(), time.process_time()
            await asyncio.sleep(idle_s)
            idle = (time.process_time() - worked_s) / (time.perf_counter() - begun_s)
            return {"rss_bytes": psutil.Process().memory_info().rss, "idle": idle}


def _main() -> None:
    tasks, journal, url, idle_s = sys.argv[1:]
    with ExitStack() as opened:
        if journal == "memory":
            record: MemoryJournal | SqlJournal = MemoryJournal()
        else:
            directory = opened.enter_context(TemporaryDirectory())
            record = opened.enter_context(SqlJournal(Path(directory, "journal.db")))
        print(json.dumps(asyncio.run(_watch(int(tasks), record, url, float(idle_s)))))


if __name__ == "__main__":
    _main()
