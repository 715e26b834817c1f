"""The package as a whole: its names, and what belongs to one process."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

import lifecycle
from lifecycle import V1, Lifecycle
from lifecycle.diagram.dot import DotLine, to_dot_with
from lifecycle.effects import ClaimCreate, Load, ProcedureRun, RecordCreate, apply_journal_effect
from lifecycle.journal import NO_CONTEXT
from lifecycle.memory import MemoryJournal
from tests.lifecycle.test_effects import procedure


def test_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    assert "MemoryJournal" in dir(lifecycle)
    assert lifecycle.MemoryJournal is MemoryJournal
    with pytest.raises(AttributeError, match="module 'lifecycle' has no attribute 'MemoryJurnal'"):
        lifecycle.MemoryJurnal  # noqa: B018


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_journal_in_memory_can_be_neither_copied_nor_pickled(copied: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match="MemoryJournal can be neither copied nor pickled: it belongs to its process"):
        copied(MemoryJournal())


@pytest.mark.parametrize(
    ("clock", "error", "said"),
    [
        (3, TypeError, "clock must return the time when it is called, and 3 cannot be called"),
        (lambda: 3, TypeError, "clock returns must be a datetime, not 3"),
        (lambda: datetime(2026, 1, 1), ValueError, "clock returns must have a time zone"),  # noqa: DTZ001
        (lambda: datetime.min.replace(tzinfo=UTC), ValueError, "clock returns must be in the years 2 to 9998"),
    ],
)
def test_invalid_clock_is_refused_at_construction(clock: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        MemoryJournal(clock=clock)


@pytest.mark.parametrize("given", [3, None, {"name": "x"}])
@pytest.mark.parametrize("read", [Lifecycle.from_json, Lifecycle.from_yaml])
def test_declaration_is_read_from_text_or_bytes(given: Any, read: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"a declaration is read from a text or bytes, not from .*; use from_file"):
        read(given)


def test_create_that_its_procedure_has_claimed_is_released_when_it_is_closed() -> None:
    creates = MemoryJournal().creates(V1)
    with closing(ProcedureRun(procedure(RecordCreate({}, {}, NO_CONTEXT), Load()), creates)) as run:
        run.resume()
        record = creates.add({}, labels={}, context=NO_CONTEXT)
        assert record is not None
        run.resume(record)
    free = creates.load(record.id)
    assert free.lease is None
    with closing(ProcedureRun(procedure(ClaimCreate(record.id, frozenset()), Load()), creates)) as run:
        run.resume()
        run.resume(creates.claim(record.id))
        assert creates.load(record.id).lease is not None
    assert creates.load(record.id).lease is None


def test_create_whose_claim_never_reached_its_procedure_is_released_when_that_is_closed() -> None:
    creates = MemoryJournal().creates(V1)
    for effect in (RecordCreate({}, {}, NO_CONTEXT), ClaimCreate("1", frozenset())):
        with closing(ProcedureRun(procedure(effect), creates)) as run:
            run.resume()
            assert run.journal is not None
            apply_journal_effect(effect, run.journal)
            assert creates.load("1").lease is not None
        assert creates.load("1").lease is None


def test_callers_own_lines_are_drawn_between_the_states_of_a_diagram() -> None:
    labels = {"running": '"a running one"'}
    lines = [DotLine(None, "running", "color=red"), DotLine("running", "stopped", "color=blue")]
    text = to_dot_with(V1.diagram(), lines, labels=labels)
    assert text.count("initial -> s0 [color=red]") == text.count("s0 -> s2 [color=blue]") == 1
    assert '"a running one"' in text
    assert "{rank=max; s2}" in text, "final states are in the last column"
    only_final = to_dot_with(V1.diagram(), [DotLine("stopped", "stopped", "color=blue")], labels={})
    assert "rank=max" not in only_final, "labels within one column would lie on each other"
