"""The queries of a check, in SQL that DuckDB, Spark and PostgreSQL all understand.

Each relation is made of those before it; an engine holds the upper ones, DuckDB the lower ones:

    relation       one row for                    made of                 by
    records        each row of the log            the log                 records.py
    totals         each kind of row               records                 `totals`
    pair_counts    each pair of rows, counted     records                 `pair_counts`
    unknown_rows   each row of unknown status     records, totals         `unknown_rows`
    ------------   ---------------------------    --------------------    ---------
    judged_pairs   each pair that is a finding    pair_counts, rules.py   tables.py
    findings       each finding                   all of these            tables.py
    rejects        each row that is unreadable    records                 tables.py

The report (report.py) is added up from totals, pair_counts, unknown_rows and findings. The picture is in
docs/how-to/log-relations.md.

Every engine has `records`, with all rows of the log:

    task         text       the id, compared as it is
    at_us        BIGINT     microseconds since 1970 in UTC; 0 in every row if the log has no times
    sequence     BIGINT     what breaks ties; 0 in every row if no column was named for it
    place        BIGINT     where the row is: unique, and ascending in the order of the rows (see places.py)
    status       text       the status itself
    status_code  INTEGER    the code of the status (see rules.py); NULL if the lifecycle does not know it
    form         text       how the time was written, a value of `TimeForm`; NULL if the log has no times
    fault        text       why the row cannot be read, a value of `RejectReason`; NULL if it can
    detail       text       the value that is at fault, shortened; may be NULL

Only integers are compared and computed: engines disagree on zones, on rounding and on what `LAG` returns for the first
row. Queries hold no text from outside: statuses are codes, and names of relations and columns are ours.

Rows of equal times are in the order of `sequence`, then of `place`, so the result does not depend on threads or
partitions.
"""

from __future__ import annotations

from collections.abc import Iterable

from lifecycle_adapters.logs.rules import START, DirectlyFollows, Rules

_ROUNDED_FROM_US = 1_000  # longer times in a state keep three digits
_DIGITS = 18  # of the longest time in a state: from the year 1 to the year 9999 are 3.2e17 microseconds

_BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"


def totals() -> str:
    """Return the query that makes `totals`: all rows by fault and form.

    Columns:

        fault, form         as in `records`
        unknown_task        the task of rows of unknown status; otherwise NULL
        rows_counted        how many rows
        known               how many of them have a known status
        first_us, last_us   their first time and their last
    """
    return """
SELECT fault, form, CASE WHEN status_code IS NULL AND fault IS NULL THEN task END AS unknown_task,
       COUNT(*) AS rows_counted, COUNT(status_code) AS known, MIN(at_us) AS first_us, MAX(at_us) AS last_us
FROM records
GROUP BY 1, 2, 3"""


def totals_summed() -> str:
    """Return the query for `totals` without tasks: some ten rows."""
    return """
SELECT fault, form, SUM(rows_counted), SUM(known), MIN(first_us), MAX(last_us)
FROM totals
GROUP BY fault, form"""


def pair_counts(rules: Rules, *, notes: bool, sequenced: bool, partition: str) -> str:
    """Return the query that makes `pair_counts`: every pair with its number and the time in the state before it.

    One pass over the log. Rows of a pair that is listed come one by one, all others are counted together, so that the
    result has some thousand rows besides the findings. Columns:

        previous, status_code, ended   the pair (see `rules.DirectlyFollows`); `ended` is 0 or 1
        since_us                       the time since the row before, three digits of it (see `_rounded`); NULL at the
                                       first, and if the state repeats: in a log of polls nearly all rows do, and are
                                       counted as one
        tied                           1 if time and sequence are those of the row before, otherwise 0
        task                           of a listed row, and of a row that repeats its state; otherwise NULL
        at_us, place                   of a listed row; otherwise NULL
        rows_counted                   how many rows of the log
        beyond_us, longest_us          by how much their times together exceed `since_us`, and the longest; exactly
        example                        the smallest of their places

    Sums are of what is beyond three digits, because whole times of a billion tasks need not fit into 64 bits, and
    wider numbers cost a third of the whole time.
    """
    listed = _is_one_of(rules, rules.listed(notes=notes))
    named = _is_one_of(rules, {*rules.listed(notes=notes), *rules.repeats()})
    repeated = _is_one_of(rules, rules.repeats())
    order = _order(sequenced=sequenced, partition=partition)
    same_sequence = f"sequence = LAG(sequence) OVER ({order})" if sequenced else "1 = 1"
    return f"""
WITH followed AS (
    SELECT task, at_us, place, status_code,
           LAG(status_code) OVER ({order}) AS previous,
           LAG(at_us) OVER ({order}) AS before_us,
           CASE WHEN {same_sequence} THEN 1 ELSE 0 END AS same_sequence,
           MAX({_is_final(rules)}) OVER ({order} {_BEFORE}) AS ended
    FROM records
    WHERE status_code IS NOT NULL AND fault IS NULL
), pairs AS (
    SELECT task, at_us, place, status_code, COALESCE(previous, {START}) AS previous, COALESCE(ended, 0) AS ended,
           at_us - before_us AS exact_us,
           CASE WHEN at_us = before_us THEN same_sequence ELSE 0 END AS tied
    FROM followed
), measured AS (
    SELECT task, at_us, place, status_code, previous, ended, tied, exact_us,
           CASE WHEN {repeated} THEN NULL ELSE {_rounded("exact_us")} END AS since_us
    FROM pairs
)
SELECT previous, status_code, ended, since_us, tied,
       CASE WHEN {named} THEN task END AS task,
       CASE WHEN {listed} THEN at_us END AS at_us,
       CASE WHEN {listed} THEN place END AS place,
       COUNT(*) AS rows_counted,
       SUM(exact_us - since_us) AS beyond_us,
       MAX(exact_us) AS longest_us,
       MIN(place) AS example
FROM measured
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""


def pair_counts_summed() -> str:
    """Return the query for `pair_counts` without its single rows: some thousand rows."""
    return """
SELECT previous, status_code, ended, since_us, tied,
       SUM(rows_counted), SUM(beyond_us), MAX(longest_us), MIN(example)
FROM pair_counts
GROUP BY previous, status_code, ended, since_us, tied"""


def visits_corrected(rules: Rules, *, partition: str) -> str:
    """Return the query for visits to a state that was repeated: they began at its first row, not at its last.

    `pair_counts` has only the time since the row before. Only tasks that repeated a state are read. Columns:

        previous                        the state that was left, as a status's code
        counted_us, right_us            three digits of the time that was counted, and of the right one
        visits                          how often
        counted_beyond_us, beyond_us    by how much all of them exceed these digits, exactly
        longest_us                      the longest right one, exactly
    """
    repeats = _is_one_of(rules, rules.repeats())
    order = _order(partition=partition)
    return f"""
WITH followed AS (
    SELECT task, at_us, sequence, place, status_code, 0 AS ended,
           COALESCE(LAG(status_code) OVER ({order}), {START}) AS previous,
           at_us - LAG(at_us) OVER ({order}) AS since_us
    FROM records
    WHERE status_code IS NOT NULL AND fault IS NULL
      AND task IN (SELECT task FROM pair_counts WHERE task IS NOT NULL AND {repeats})
), changes AS (
    SELECT previous, since_us, at_us - LAG(at_us) OVER ({order}) AS visit_us
    FROM followed
    WHERE NOT {repeats}
), measured AS (
    SELECT previous, since_us, visit_us, {_rounded("since_us")} AS counted_us, {_rounded("visit_us")} AS right_us
    FROM changes
    WHERE since_us < visit_us
)
SELECT previous, counted_us, right_us, COUNT(*) AS visits, SUM(since_us - counted_us) AS counted_beyond_us,
       SUM(visit_us - right_us) AS beyond_us, MAX(visit_us) AS longest_us
FROM measured
GROUP BY previous, counted_us, right_us"""


def listed_rows() -> str:
    """Return the query for the rows of listed pairs, one by one, in no order."""
    return "SELECT task, at_us, place, previous, status_code, ended FROM pair_counts WHERE place IS NOT NULL"


def unknown_rows(rules: Rules, *, partition: str) -> str:
    """Return the query that makes `unknown_rows`: the rows of unknown status, with the state before each.

    Only tasks with such rows are read. Columns:

        task, at_us, place, status    of the row
        previous, ended               as in a pair, see `rules.DirectlyFollows`
        known                         the number of rows of its task that have a known status
    """
    order = _order(partition=partition)
    return f"""
WITH numbered AS (
    SELECT task, at_us, place, status_code, status,
           SUM(CASE WHEN status_code IS NULL THEN 0 ELSE 1 END) OVER ({order} ROWS UNBOUNDED PRECEDING) AS nth,
           MAX({_is_final(rules)}) OVER ({order} {_BEFORE}) AS ended,
           COUNT(status_code) OVER (PARTITION BY task) AS known
    FROM records
    WHERE fault IS NULL AND task IN (SELECT unknown_task FROM totals WHERE unknown_task IS NOT NULL)
), followed AS (
    SELECT task, at_us, place, status_code, status, known, COALESCE(ended, 0) AS ended,
           COALESCE(MAX(status_code) OVER (PARTITION BY task, nth), {START}) AS previous
    FROM numbered
)
SELECT task, at_us, place, previous, status, ended, known
FROM followed
WHERE status_code IS NULL"""


def unknown_rows_listed() -> str:
    """Return the query for the rows of unknown status, one by one, in no order."""
    return "SELECT task, at_us, place, previous, status, ended FROM unknown_rows"


def tasks_without_known_status() -> str:
    """Return the query for the number of tasks without a row of known status."""
    return "SELECT COUNT(DISTINCT task) FROM unknown_rows WHERE known = 0"


def unknown_statuses(most: int) -> str:
    """Return the query for the most frequent unknown statuses, each with its number of rows."""
    return f"""
SELECT status, COUNT(*) AS rows_counted
FROM unknown_rows
GROUP BY status
ORDER BY rows_counted DESC, status
LIMIT {most}"""


def _order(*, sequenced: bool = True, partition: str) -> str:
    # Sorting by a column costs time even if it is the same in every row.
    return f"PARTITION BY {partition} ORDER BY at_us,{' sequence,' if sequenced else ''} place"


def _is_final(rules: Rules) -> str:
    return f"CASE WHEN status_code IN ({_numbers(rules.final_codes)}) THEN 1 ELSE 0 END"


def _is_one_of(rules: Rules, pairs: Iterable[DirectlyFollows]) -> str:
    keys = {rules.key(pair) for pair in pairs}
    others = rules.keys - keys
    # The same number as `Rules.key`, of the columns of a pair.
    number = f"((previous + 1) * {len(rules.statuses)} + status_code) * 2 + ended"
    # The shorter of two lists: there are twice as many pairs as the square of the statuses, but most are findings.
    if len(others) < len(keys):
        return f"({number}) NOT IN ({_numbers(sorted(others))})" if others else "TRUE"
    return f"({number}) IN ({_numbers(sorted(keys))})"


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers)) or "NULL"  # a list may not be empty; nothing equals NULL


def _rounded(us: str) -> str:
    """Return the expression for a time rounded down to its first three digits, so that there are few different ones.

    Percentiles are then exact to within one percent, in any engine and in memory that does not grow with the log.
    Integers, because the logarithms of two engines need not agree.
    """
    steps = (
        f"WHEN {us} < {10**digits} THEN {us} - MOD({us}, {10 ** (digits - 3)})" for digits in range(4, _DIGITS + 1)
    )
    return f"CASE WHEN {us} < {_ROUNDED_FROM_US} THEN {us} {' '.join(steps)} END"
