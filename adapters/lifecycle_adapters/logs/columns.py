"""The form of a log: the names of its columns, the forms of its times, and the reasons why a row cannot be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lifecycle.errors import UnknownName, nearest, shortened
from lifecycle_adapters.argument_checks import require
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog
from lifecycle_adapters.logs.time_patterns import require_pattern


class TimeForm(StrEnum):
    """The form of a time. Reports and options show the values."""

    TIMESTAMP = "timestamp"  # a type of its own in the file; UTC if it has no zone
    ISO = "iso"  # ISO 8601 with a zone or an offset
    ISO_NAIVE = "iso, no zone"  # read as UTC
    SECONDS = "seconds"  # since 1970
    MILLISECONDS = "milliseconds"  # since 1970
    MICROSECONDS = "microseconds"  # since 1970; only if `Columns.time` names it
    NANOSECONDS = "nanoseconds"  # since 1970; only if `Columns.time` names it
    PATTERN = "pattern"  # by `Columns.pattern`


class RejectReason(StrEnum):
    """The reason why a row cannot be read. Reports and files of rejects show the values."""

    NOT_A_ROW = "not a row"  # no CSV, no JSON object, not UTF-8, too few or too many columns
    NO_TASK = "no task id"  # empty, absent, or neither a text nor an integer
    NO_STATUS = "no status"  # empty, absent, or not text
    NO_TIME = "no time"  # empty or absent
    BAD_TIME = "bad time"  # neither ISO 8601 nor a number of seconds or milliseconds
    TIME_OUT_OF_RANGE = "time out of range"  # not in the years 1 to 9999
    NO_SEQUENCE = "no sequence"  # absent, or no integer of 64 bits
    NO_PLACE = "no place"  # absent, or no integer of 64 bits; only in a Spark DataFrame with a column of places


# Seconds reach this in the year 5138, milliseconds did in 1973: a larger number is in milliseconds.
SMALLEST_MILLISECONDS = 100_000_000_000

EARLIEST_US = -62_135_596_800_000_000  # 0001-01-01
LATEST_US = 253_402_300_799_999_999  # 9999-12-31, its last microsecond

# Patterns that a text must match as a whole, in regular expressions that every engine understands: without
# backslashes. Times are ISO 8601 in its extended form: a date alone, or with hours and minutes at least.
_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.,][0-9]+)?)?"
_ZONE = "([Zz]|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"
ISO = f"{_DAY}[Tt ]{_CLOCK}{_ZONE}"
ISO_NAIVE = f"{_DAY}([Tt ]{_CLOCK})?"
NUMBER = "[+-]?[0-9]+([.][0-9]*)?([Ee][+-]?[0-9]+)?"
NUMBER_TOO_LONG = "[+-]?[0-9]+[.][0-9]{7,}"  # digits beyond microseconds are cut off
INTEGER = "[+-]?[0-9]+"

_MOST_NAMES = 20  # in one message
LONGEST_DETAIL = 80  # characters of a value that cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The names of a log's columns.

    `task` None: the whole log is the history of one task. `at` None: the log has no times, and its rows are
    in order already. `sequence`: integers that order those rows of a task that have the same time.
    `time`: the form of numbers and texts in `at`; recognised row by row if it is None. ISO and ISO_NAIVE each
    accept times with a zone and without. `pattern`: the pattern of texts in `at`, in the directives of Python's
    strptime ("%d.%m.%Y %H:%M", UTC if there is no %z or %Z), without %c, %x, %X and those that count weeks (%G, %V,
    %U, %W); `time` is then PATTERN or omitted. Microseconds, nanoseconds and patterns are
    not read in a table of PostgreSQL, nor in a frame of Spark.

    Raises:
        ValueError: `time` is PATTERN without a pattern, or there is a pattern and `time` is another form; or two of
            the columns are the same.
        UnknownName: `time` is not a TimeForm.
        WrongPattern: `pattern` is not a supported pattern of strptime.
        TypeError: `status` is not a text, or another name is neither a text nor None.
    """

    task: str | None = "task_id"
    at: str | None = "at"
    status: str = "status"
    sequence: str | None = None
    time: TimeForm | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        require(self.status, str, "status must be the name of a column")
        for part in ("task", "at", "sequence", "pattern"):
            require(getattr(self, part), str | None, f"{part} must be a text or None")
        if self.time is not None:
            object.__setattr__(self, "time", _time_form(self.time))
        if self.pattern is not None and self.time is None:
            object.__setattr__(self, "time", TimeForm.PATTERN)
        if (self.pattern is None) == (self.time is TimeForm.PATTERN):
            raise ValueError("`pattern` needs `time` to be PATTERN or omitted, and PATTERN needs a `pattern`")
        if self.pattern is not None:
            require_pattern(self.pattern)
        for name, times in Counter(self.named()).items():
            if times > 1:
                parts = [part for part in ("task", "at", "status", "sequence") if getattr(self, part) == name]
                raise ValueError(f"{' and '.join(parts)} are the same column, {shortened(name)}; each needs its own")

    def require_usual_times(self, reader: str) -> None:
        """Raise UnusableLog if only DuckDB reads such times."""
        if self.time in (TimeForm.MICROSECONDS, TimeForm.NANOSECONDS, TimeForm.PATTERN):
            form = "by a pattern" if self.time is TimeForm.PATTERN else f"in {self.time}"
            raise UnusableLog(f"{reader} does not read times {form}: give the log as files or frames")

    def named(self) -> tuple[str, ...]:
        """Return the names of all columns that a log must have."""
        return tuple(name for name in (self.task, self.at, self.status, self.sequence) if name is not None)


def _time_form(name: str) -> TimeForm:
    try:
        return TimeForm(name)
    except ValueError:
        raise UnknownName("form of times", name, known=TimeForm, where="Columns") from None


def require_columns(names: Sequence[str], columns: Columns, *, of: str | None = None, is_nested: bool = False) -> None:
    """Raise UnusableLog unless a log has the columns, and no two of one name.

    Names are compared exactly, although DuckDB itself ignores their letter case.

    Args:
        names: the names of the log's columns.
        columns: the ones that it must have.
        of: the log's name in the message.
        is_nested: whether a name with dots can lead into a column.
    Raises:
        MissingColumn: a column is missing.
        UnusableLog: two columns have the same name.
    """
    where = "" if of is None else f"{of}: "
    for name, times in Counter(names).items():
        if times > 1:
            raise UnusableLog(f"{where}the column {shortened(name)} occurs {times} times")
    for name in columns.named():
        if name not in names:
            message = absent("column", name, names, is_nested=is_nested)
            raise MissingColumn(where + message, name=name, known=names)


def absent(what: str, name: str, names: Iterable[str], *, is_nested: bool = False) -> str:
    """Return the message that there is no such name among these; `is_nested`: whether names can lead into a column."""
    # There can be thousands, and each of a thousand characters.
    known = [*names]
    if not known:
        return f"there is no {what} {shortened(name)}, and no other {what} either"
    first = [shortened(each) for each in known[:_MOST_NAMES]]
    more = ["..."] if len(known) > _MOST_NAMES else []
    meant = nearest(name, known)
    hint = "" if meant is None else f"; was {shortened(meant)} meant?"
    column, dot, inside = name.partition(".")
    if dot and column in known:
        hint = "; only in JSON Lines can a name lead into a column"
        if is_nested:
            hint = f"; no row has {shortened(inside)} inside of {shortened(column)}"
    return f"there is no {what} {shortened(name)}, only {', '.join(first + more)}{hint}"
