"""What is asked of an engine, in SQL that DuckDB, Spark and PostgreSQL all understand.

Every engine offers one relation, `records`, of all rows of the log:

    task      text       the id, compared as it is
    at_us     BIGINT     microseconds since 1970 in UTC; 0 in every row where the log has no times
    sequence  BIGINT     what breaks ties; 0 in every row where no column was named for it
    place     BIGINT     where the row is: unique, and ascending in the order of the rows (see places.py)
    status    text       the status itself
    word      INTEGER    the code of the status (see rules.py); NULL where the lifecycle does not know it
    form      text       how the time was written, a value of `TimeForm`; NULL where the log has no times
    fault     text       why the row cannot be read, a value of `RejectReason`; NULL where it can
    detail    text       the value that is at fault, shortened; may be NULL

Only whole numbers are compared and computed: engines disagree on zones, on rounding and on what
`LAG` gives where nothing is before. Statements hold no text from outside: words are codes, and names
of relations and columns are ours.

Equal times are in the order of `sequence`, then of `place`; so the answer never depends on threads,
partitions or luck.
"""

from __future__ import annotations

from collections.abc import Iterable

from lifecycle_adapters.logs.rules import START, DirectlyFollows, Rules

_ROUNDED_FROM_US = 1_000  # on, three digits of a dwell time count
_DIGITS = 18  # of the longest dwell time: from the year 1 to the year 9999 are 3.2e17 microseconds

_ORDER = "PARTITION BY task ORDER BY at_us, sequence, place"
_BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"


def moves_counted(rules: Rules, *, information: bool, sequenced: bool) -> str:
    """Return the question that makes `counted`: every move, how often, and how long the task had dwelt.

    One pass over the log. Rows of a move that is listed come one by one, all others are counted
    together, so that the answer has some thousand rows besides the findings. Columns:

        previous, word, ended   the move (see `rules.DirectlyFollows`); `ended` is 0 or 1
        dwell_us                since the row before, three digits of it (see `_rounded`); NULL at the first, and
                                where the state repeats: of a polled log nearly all rows do, and count as one
        tied                    1 where time and sequence are those of the row before, else 0
        task                    of a listed row, and of a row that repeats its state; else NULL
        at_us, place            of a listed row; else NULL
        rows_counted            how many rows of the log
        beyond_us, longest_us   by how much their dwell times together exceed `dwell_us`, and the longest; exactly
        example                 the smallest of their places

    Sums are of what is beyond three digits, as whole dwell times of a billion tasks need not fit into 64 bits,
    and wider numbers cost a third of the whole time.
    """
    listed = _is_one_of(rules, rules.listed(information=information))
    named = _is_one_of(rules, {*rules.listed(information=information), *rules.repeats()})
    repeated = _is_one_of(rules, rules.repeats())
    order = _order(sequenced)
    same_sequence = f"sequence = LAG(sequence) OVER ({order})" if sequenced else "1 = 1"
    return f"""
WITH followed AS (
    SELECT task, at_us, place, word,
           LAG(word) OVER ({order}) AS previous,
           LAG(at_us) OVER ({order}) AS before_us,
           CASE WHEN {same_sequence} THEN 1 ELSE 0 END AS same_sequence,
           MAX({_is_final(rules)}) OVER ({order} {_BEFORE}) AS ended
    FROM records
    WHERE word IS NOT NULL AND fault IS NULL
), moves AS (
    SELECT task, at_us, place, word, COALESCE(previous, {START}) AS previous, COALESCE(ended, 0) AS ended,
           at_us - before_us AS dwelt_us,
           CASE WHEN at_us = before_us THEN same_sequence ELSE 0 END AS tied
    FROM followed
), measured AS (
    SELECT task, at_us, place, word, previous, ended, tied, dwelt_us,
           CASE WHEN {repeated} THEN NULL ELSE {_rounded("dwelt_us")} END AS dwell_us
    FROM moves
)
SELECT previous, word, ended, dwell_us, tied,
       CASE WHEN {named} THEN task END AS task,
       CASE WHEN {listed} THEN at_us END AS at_us,
       CASE WHEN {listed} THEN place END AS place,
       COUNT(*) AS rows_counted,
       SUM(dwelt_us - dwell_us) AS beyond_us,
       MAX(dwelt_us) AS longest_us,
       MIN(place) AS example
FROM measured
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"""


def moves_summed() -> str:
    """Return the question for what `counted` holds without its single rows: some thousand rows."""
    return """
SELECT previous, word, ended, dwell_us, tied, SUM(rows_counted), SUM(beyond_us), MAX(longest_us), MIN(example)
FROM counted
GROUP BY previous, word, ended, dwell_us, tied"""


def visits_corrected(rules: Rules) -> str:
    """Return the question for how long tasks really stayed that repeated a state: from its first row, not its last.

    `counted` knows only the time since the row before. Only tasks that repeated a state are looked at. Columns:

        previous                        the state left, as a word
        counted_us, right_us            three digits of the dwell time that was counted, and of the one that is right
        visits                          how often
        counted_beyond_us, beyond_us    by how much all of them exceed these digits, exactly
        longest_us                      the longest right one, exactly
    """
    repeats = _is_one_of(rules, rules.repeats())
    order = _order(sequenced=True)
    return f"""
WITH followed AS (
    SELECT task, at_us, sequence, place, word, 0 AS ended,
           COALESCE(LAG(word) OVER ({order}), {START}) AS previous,
           at_us - LAG(at_us) OVER ({order}) AS dwelt_us
    FROM records
    WHERE word IS NOT NULL AND fault IS NULL
      AND task IN (SELECT task FROM counted WHERE task IS NOT NULL AND {repeats})
), changes AS (
    SELECT previous, dwelt_us, at_us - LAG(at_us) OVER ({order}) AS stayed_us
    FROM followed
    WHERE NOT {repeats}
), measured AS (
    SELECT previous, dwelt_us, stayed_us, {_rounded("dwelt_us")} AS counted_us, {_rounded("stayed_us")} AS right_us
    FROM changes
    WHERE dwelt_us < stayed_us
)
SELECT previous, counted_us, right_us, COUNT(*) AS visits, SUM(dwelt_us - counted_us) AS counted_beyond_us,
       SUM(stayed_us - right_us) AS beyond_us, MAX(stayed_us) AS longest_us
FROM measured
GROUP BY previous, counted_us, right_us"""


def rows_listed() -> str:
    """Return the question for the rows of listed moves, one by one, in no order: findings without their words."""
    return "SELECT task, at_us, place, previous, word, ended FROM counted WHERE place IS NOT NULL"


def strange_found(rules: Rules) -> str:
    """Return the question that makes `strange`: the rows whose status is not known, with what was before them.

    Only tasks with such rows are looked at. Columns:

        task, at_us, place, status    of the row
        previous, ended               as in a move, see `rules.DirectlyFollows`
        known                         how many rows of its task have a status that is known
    """
    order = _order(sequenced=True)
    return f"""
WITH numbered AS (
    SELECT task, at_us, place, word, status,
           SUM(CASE WHEN word IS NULL THEN 0 ELSE 1 END) OVER ({order} ROWS UNBOUNDED PRECEDING) AS nth,
           MAX({_is_final(rules)}) OVER ({order} {_BEFORE}) AS ended,
           COUNT(word) OVER (PARTITION BY task) AS known
    FROM records
    WHERE fault IS NULL AND task IN (SELECT task FROM records WHERE word IS NULL AND fault IS NULL)
), followed AS (
    SELECT task, at_us, place, word, status, known, COALESCE(ended, 0) AS ended,
           COALESCE(MAX(word) OVER (PARTITION BY task, nth), {START}) AS previous
    FROM numbered
)
SELECT task, at_us, place, previous, status, ended, known
FROM followed
WHERE word IS NULL"""


def rows_strange() -> str:
    """Return the question for the rows of unknown status, one by one, in no order."""
    return "SELECT task, at_us, place, previous, status, ended FROM strange"


def tasks_strange() -> str:
    """Return the question for how many tasks have no row whose status is known."""
    return "SELECT COUNT(DISTINCT task) FROM strange WHERE known = 0"


def words_strange(most: int) -> str:
    """Return the question for the most frequent statuses that are not known, and how often each was."""
    return f"""
SELECT status, COUNT(*) AS rows_counted
FROM strange
GROUP BY status
ORDER BY rows_counted DESC, status
LIMIT {most}"""


def totals() -> str:
    """Return the question for all rows by fault and form: how many, how many known, the first time and the last."""
    return """
SELECT fault, form, COUNT(*), COUNT(word), MIN(at_us), MAX(at_us)
FROM records
GROUP BY fault, form"""


def _order(sequenced: bool) -> str:
    # A key that is the same in every row costs a sort all the same.
    return _ORDER if sequenced else _ORDER.replace(" sequence,", "")


def _is_final(rules: Rules) -> str:
    return f"CASE WHEN word IN ({_numbers(rules.final_codes)}) THEN 1 ELSE 0 END"


def _is_one_of(rules: Rules, moves: Iterable[DirectlyFollows]) -> str:
    keys = {rules.key(move) for move in moves}
    others = rules.all_keys() - keys
    # The same number as `Rules.key`, of the columns of a move.
    number = f"((previous + 1) * {len(rules.words)} + word) * 2 + ended"
    # The shorter list of the two: the moves number the square of the states, those without a finding mostly do not.
    if len(others) < len(keys):
        return f"({number}) NOT IN ({_numbers(sorted(others))})" if others else "TRUE"
    return f"({number}) IN ({_numbers(sorted(keys))})"


def _numbers(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers)) or "NULL"  # a list may not be empty; nothing equals NULL


def _rounded(dwell: str) -> str:
    """The dwell time down to its first three digits, so that there are few of them.

    Percentiles are then exact to within one percent, in any engine and in memory that does not grow
    with the log. Whole numbers, because the logarithms of two engines need not agree.
    """
    steps = (
        f"WHEN {dwell} < {10**digits} THEN {dwell} - MOD({dwell}, {10 ** (digits - 3)})"
        for digits in range(4, _DIGITS + 1)
    )
    return f"CASE WHEN {dwell} < {_ROUNDED_FROM_US} THEN {dwell} {' '.join(steps)} END"
