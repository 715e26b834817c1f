"""The real generators as an automaton: each suspended generator that can be reached is one node.

A generator cannot be copied. So a node stores the results that lead to it, and the first time that it receives a
result, a new generator runs through all of them. Two runs that suspend a generator at the same place with equal memory
(canonical.py) are one node, and each edge runs only once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from lifecycle import LifecycleError
from lifecycle.effects import (
    Effect,
    FindCommand,
    Load,
    LoadCommand,
    Read,
    ReadProof,
    RecordIntent,
    RecordReport,
    Send,
    Steps,
    Wait,
)
from tests.proofs.exploration.canonical import Form, Given, Moment, Version, form_of_steps, tokenised

Start = Callable[[], Steps[Any]]


class Sort(Enum):
    """The receiver of an effect. A look-up changes nothing."""

    NOBODY = auto()
    SERVICE_LOOKED_UP = auto()
    SERVICE = auto()
    JOURNAL_LOOKED_UP = auto()
    JOURNAL = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A generator that waits for the result of `effect`, or, if that is None, has ended by `ending`.

    `ending` is its result or error. `effect_form` is the effect's canonical form, `sort` the effect's receiver.
    """

    number: int
    history: tuple[Any, ...]
    given: Given
    effect: Effect | None
    effect_form: Hashable
    ending: Any
    sort: Sort


class Procedure:
    """One generator function with its arguments, as an automaton that grows during the exploration.

    Args:
        start: returns a new generator.
        merges: whether generators in equal states are one node; False is slow and shows that merging loses nothing.
    """

    def __init__(self, start: Start, *, merges: bool = True) -> None:
        self._start = start
        self._merges = merges
        self._nodes: dict[Hashable, Node] = {}
        self._edges: dict[tuple[int, Hashable], Node] = {}
        self.first = self._reach((), Given())

    def __len__(self) -> int:
        return len(self._nodes)

    def step(self, node: Node, result: Any, form: Hashable) -> Node:
        """Return the next node for a result. `form` is the result's canonical form."""
        edge = (node.number, form)
        found = self._edges.get(edge)
        if found is None:
            token, given = tokenised(result, node.given)
            found = self._edges[edge] = self._reach((*node.history, token), given)
        return found

    def _reach(self, history: tuple[Any, ...], given: Given) -> Node:
        steps = self._start()
        effect: Effect | None = None
        ending: Any = None
        try:
            effect = next(steps)
            for result in history:
                effect = steps.send(result)
        except StopIteration as stop:
            effect, ending = None, stop.value
        except LifecycleError as error:
            effect, ending = None, error
        if effect is None:
            form: Hashable = _form_of_ending(ending)
        else:
            _require_newest(effect, given)
            form = form_of_steps(steps, given)
            steps.close()
        if not self._merges:
            form = (form, tuple(Form().of(result) for result in history))
        node = self._nodes.get(form)
        if node is None:
            effect_form = None if effect is None else Form().of(effect)
            sort = _sort_of(effect)
            node = self._nodes[form] = Node(len(self._nodes), history, given, effect, effect_form, ending, sort)
        return node


def _sort_of(effect: Effect | None) -> Sort:
    match effect:
        case None | Wait():
            return Sort.NOBODY
        case Read() | ReadProof():
            return Sort.SERVICE_LOOKED_UP
        case Send():
            return Sort.SERVICE
        case Load() | LoadCommand() | FindCommand():
            return Sort.JOURNAL_LOOKED_UP
        case _:
            return Sort.JOURNAL


def _require_newest(effect: Effect, given: Given) -> None:
    """Require that a returned version or time is the last one, because the exploration keeps no earlier one."""
    match effect:
        case RecordIntent(version=Version() as version):
            assert int(version) == given.records, "the procedure records an intent against an older record"
        case RecordReport(report) if isinstance(report.as_of, Moment):
            assert report.as_of.serial == given.responses, "the procedure records an older response"
        case _:
            pass


def _form_of_ending(ending: Any) -> Hashable:
    said = vars(ending) if isinstance(ending, LifecycleError) else {}
    facts = {
        name: value for name, value in said.items() if not name.startswith("_") and not isinstance(value, BaseException)
    }
    return "ended", Form().of(ending), Form().of(facts)
