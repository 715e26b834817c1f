"""The recovery of all tasks and creates that a journal has open, synchronously and asynchronously."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable
from itertools import chain
from typing import Any

from lifecycle.errors import AdapterError, LifecycleError
from lifecycle_adapters.procedures.arguments import longest_wait_s, worker_names
from lifecycle_adapters.procedures.governed_creates import GovernedCreates
from lifecycle_adapters.procedures.governed_task import GovernedTask, Recovered
from lifecycle_adapters.procedures.running import AsyncRunner, Runner, uninterrupted

OpenTasks = Callable[[], Iterable[GovernedTask[Any, Any]]]
AllCreates = Iterable[GovernedCreates[Any]]


def recover_all(
    driver: Runner, open_tasks: OpenTasks, creates: AllCreates, *, wait: bool, dead: Collection[str]
) -> list[Recovered]:
    """Settle the open command of each task one after the other, then report the open creates.

    Raises:
        AdapterError: the journal, which the recovery of every task needs, cannot be read or written.
        TypeError: `dead` is not a collection of texts, or `wait` is not a boolean.
    """
    given: dict[str, Any] = {"dead": worker_names(dead), "in_flight_s": longest_wait_s(wait)}

    def settle(task: GovernedTask[Any, Any]) -> Recovered | None:
        try:
            return driver.run(task.settle(**given))
        except AdapterError:
            raise
        except LifecycleError as error:  # it is reported, and the other tasks are recovered
            return task.broken_off(error)

    commands = [found for each in uninterrupted(open_tasks) if (found := settle(each)) is not None]
    recovered = [driver.run(each.recover(given["dead"])) for each in creates]
    return [*commands, *chain.from_iterable(recovered)]


async def recover_all_async(
    driver: AsyncRunner, open_tasks: OpenTasks, creates: AllCreates, *, wait: bool, dead: Collection[str]
) -> list[Recovered]:
    """Settle the open command of each task, eight at a time, then report the open creates.

    Raises the same as `recover_all`.
    """
    given: dict[str, Any] = {"dead": worker_names(dead), "in_flight_s": longest_wait_s(wait)}
    at_a_time = asyncio.Semaphore(_RECOVERED_AT_A_TIME)

    async def settle(task: GovernedTask[Any, Any]) -> Recovered | None:
        async with at_a_time:
            try:
                return await driver.run(task.settle(**given))
            except AdapterError:
                raise
            except LifecycleError as error:  # it is reported, and the other tasks are recovered
                return task.broken_off(error)

    left_open = await asyncio.to_thread(open_tasks)
    found = await asyncio.gather(*map(settle, left_open), return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):  # not earlier: now no other command is being settled
            raise each
    commands = [each for each in found if isinstance(each, Recovered)]
    recovered = [await driver.run(each.recover(given["dead"])) for each in creates]
    return [*commands, *chain.from_iterable(recovered)]


_RECOVERED_AT_A_TIME = 8
