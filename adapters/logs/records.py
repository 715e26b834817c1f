"""From a log's own columns to `records` (see questions.py), in DuckDB's SQL: ids, times and faults by column type.

What a time may look like is decided here once for everything that DuckDB reads. Texts and JSON values keep
their type until here; files are opened elsewhere (files.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.logs.columns import EARLIEST_US, LATEST_US, SMALLEST_MILLISECONDS, Columns, Fault, TimeForm
from adapters.logs.rules import Rules
from adapters.logs.workbench import identifier, literal


def records(relation: str, types: Mapping[str, str], columns: Columns, rules: Rules, *, place: str) -> str:
    """Return the query that makes `records` of a relation.

    Args:
        relation: what stands behind FROM.
        types: DuckDB's type of each of its columns, by name.
        columns: which column holds what; each named one is in `types`.
        place: the expression of a row's place.
    """
    task = "''" if columns.task is None else _id(columns.task, types[columns.task])
    at_us, form, at_fault = _time(columns, types)
    sequence = "0::BIGINT" if columns.sequence is None else f"TRY_CAST({identifier(columns.sequence)} AS BIGINT)"
    status = identifier(columns.status)
    return f"""
SELECT task, at_us, sequence, place, status, {word_of("status", rules)} AS word, form,
       CASE WHEN task IS NULL THEN {literal(Fault.NO_TASK)}
            WHEN status IS NULL THEN {literal(Fault.NO_STATUS)}
            WHEN at_fault IS NOT NULL THEN at_fault
            WHEN sequence IS NULL THEN {literal(Fault.NO_SEQUENCE)} END AS fault,
       NULL::VARCHAR AS detail
FROM (SELECT {task} AS task, {at_us} AS at_us, {form} AS form, {at_fault} AS at_fault, {sequence} AS sequence,
             {place} AS place, NULLIF({status}, '') AS status
      FROM {relation}) raw"""


def word_of(status: str, rules: Rules) -> str:
    """Return the expression of a status's code."""
    cases = " ".join(f"WHEN {literal(word)} THEN {code}" for code, word in enumerate(rules.words))
    return f"CASE {status} {cases} END"


def _id(name: str, kind: str) -> str:
    return f"NULLIF({identifier(name)}::VARCHAR, '')"


def _time(columns: Columns, types: Mapping[str, str]) -> tuple[str, str, str]:
    """The expressions of the microseconds, of their form and of what is wrong with them."""
    if columns.at is None:
        return "0::BIGINT", "NULL::VARCHAR", "NULL::VARCHAR"
    name = identifier(columns.at)
    return (
        f"epoch_us({name})",
        literal(TimeForm.TIMESTAMP),
        f"CASE WHEN {name} IS NULL THEN {literal(Fault.NO_TIME)} END",
    )


_ = (EARLIEST_US, LATEST_US, SMALLEST_MILLISECONDS)
