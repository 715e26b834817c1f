"""One moment of an exploration: everything that the future depends on, and the steps to the next moment."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NamedTuple, TypeVar

from lifecycle.effects import Effect
from tests.proofs.exploration.journals import Content
from tests.proofs.exploration.oracle import Facts, Finding
from tests.proofs.exploration.procedures import Node
from tests.proofs.exploration.service import FREE, Cost, Service

T = TypeVar("T")


class Worker(NamedTuple):
    """A worker. `node` is None once it has ended or is dead.

    `is_fresh`: the last record that it received is still the journal's; None once that cannot matter. `asked` is the
    time at which its last request began, which is the time of its unrecorded response: a number that orders it among
    the other workers' and the journal's last applied report, which is at 0; -1 is earlier, None is no request.
    `visited` are the states of interest since the response. `command` is its command's number, -1 if it has none, and
    `attempt` the number of its recorded and unsent attempt, 0 if there is none.
    """

    node: Node | None
    is_fresh: bool | None = False
    asked: int | None = None
    visited: int = 0
    command: int = -1
    attempt: int = 0


GONE = Worker(None)

RUNNING, RECOVERING, UNDISTURBED, AT_REST = range(4)
"""The phases: workers A and B are running; worker C is about to recover, and requests in transit may still arrive;
worker C recovers, and nothing else happens; no worker is running."""


class Moment(NamedTuple):
    """All that the future depends on, except what is left of the budget.

    `visited` are the states of interest since the read that led to the last report. After a spontaneous event
    (`only_service`), the next effect is one on the service, because the event cannot matter to any other.
    """

    service: Service
    content: Content
    workers: tuple[Worker, ...]
    facts: tuple[Facts, ...]
    visited: int
    only_service: bool
    phase: int

    def with_worker(self, i: int, worker: Worker) -> Moment:
        """Return this moment with another state of one worker."""
        service, content, workers, facts, visited, only_service, phase = self
        return Moment(service, content, put(workers, i, worker), facts, visited, only_service, phase)

    def with_facts(self, k: int, facts: Facts) -> Moment:
        """Return this moment with other facts of one command."""
        return self._replace(facts=put(self.facts, k, facts))

    @property
    def names(self) -> tuple[str, ...]:
        """The commands, oldest first."""
        return tuple([each.command for each in self.facts])

    def certain(self) -> Moment:
        """Return the rest of this moment once no read can be stale."""
        service = self.service
        if len(service.seen) == 1:
            return self
        return self._replace(service=service._replace(seen=(service.state,)))


class Line(NamedTuple):
    """One line of a story: a worker's effect with its result, or (worker -1) a spontaneous event.

    `ending` holds the worker's result or error if it ends by this.
    """

    worker: int
    effect: Effect | None
    result: Any
    has_crashed: bool = False
    has_lapsed: bool = False
    was_slow: bool = False
    ending: tuple[Any, ...] = ()


class Step(NamedTuple):
    """A step from one moment to the next."""

    line: Line
    after: Moment
    cost: Cost
    findings: tuple[Finding, ...] = ()


class Heard(NamedTuple):
    """An effect that took place, before its worker knows: the moment, and the result with its canonical form."""

    now: Moment
    result: Any
    form: Hashable
    line: Line
    cost: Cost = FREE
    findings: tuple[Finding, ...] = ()


def put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """Return the items with the one at this index replaced."""
    return (*items[:index], item, *items[index + 1 :])


def newest(workers: tuple[Worker, ...]) -> int:
    """Return when the last request began; 0 if the journal's last believed report is newer than all."""
    return max(0, *(each.asked for each in workers if each.asked is not None), 0)


def ranked(workers: tuple[Worker, ...], base: int = 0) -> tuple[Worker, ...]:
    """Return the workers with their requests numbered from 1; what is not newer than `base` is earlier than all."""
    later = sorted({each.asked for each in workers if each.asked is not None and each.asked > base})
    if not base and later == list(range(1, len(later) + 1)):
        return workers
    return tuple(
        each if each.asked is None else each._replace(asked=later.index(each.asked) + 1 if each.asked > base else -1)
        for each in workers
    )


def recorded(workers: tuple[Worker, ...], i: int, *, is_believed: bool) -> tuple[Worker, ...]:
    """Return the workers once the response of one is recorded: if it is believed, the others are compared with it."""
    base = max(workers[i].asked or 0, 0) if is_believed else 0
    return ranked(put(workers, i, workers[i]._replace(asked=None, visited=0)), base)
