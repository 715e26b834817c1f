"""The scenarios: each lifecycle of the catalog, each of its commands, each second worker."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lifecycle import CATALOG, COMMAND
from tests.lifecycle.drivers import Declared
from tests.proofs.exploration.search import Exploration, Explored
from tests.proofs.exploration.subject import ABANDON, KEY, READ, RECOVER, Bounds, Program, Subject

LIFECYCLES = [each for each in CATALOG.values() if each.name != COMMAND.name]
FULL = [each for each in LIFECYCLES if each.extended_by is None]
EXTENDED = [each for each in LIFECYCLES if each.extended_by is not None]


class Scale(NamedTuple):
    """Bounds for stories of one worker (and the recovery after it), and of two workers at once."""

    alone: Bounds
    together: Bounds


SMALL = Scale(
    Bounds(total=2, starts_anywhere=True, unknown_statuses=True),
    Bounds(total=1, starts_unseen=False, starts_everywhere=False),
)
"""Seconds for each command."""

LARGE = Scale(Bounds(total=4, surprises=3, starts_anywhere=True), Bounds(total=2, starts_unseen=False))
"""A minute or two for each command."""


def programs(lifecycle: Declared, command: str) -> Iterator[tuple[Program, Program | None]]:
    """Yield the programs of the two workers, in every combination; None means no second worker.

    Of two different commands the first one's scenarios hold the pair: the workers have equal rights.
    """
    yield Program(command), None
    yield Program(command), READ
    yield Program(command), RECOVER
    yield Program(command), ABANDON
    yield Program(command, KEY), Program(command, KEY)
    for other in lifecycle.commands[lifecycle.commands.index(command) :]:
        yield Program(command), Program(other)


def explore(subject: Subject, command: str, scale: Scale = SMALL) -> Explored:
    """Explore one command, with every second worker; exploring every command of a lifecycle explores each pair once."""
    explored = Explored()
    for first, second in programs(subject.lifecycle, command):
        explored.add(Exploration(subject, first, second, scale.alone if second is None else scale.together).run())
    return explored
