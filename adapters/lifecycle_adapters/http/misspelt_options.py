"""Recognition of names that are misspelt options of a client: if they were sent, the option would have no effect.

Pure. The options themselves belong to client.py and task_handles.py; the calls that check their fields, to binding.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

OF_CREATES = ("idempotency_key", "labels", "reason", "origin")
OF_COMMANDS = ("idempotency_key", "reason", "origin", "wait_for_in_flight_s")
_OPTIONS = tuple(dict.fromkeys(OF_CREATES + OF_COMMANDS))
_SHORTENED = {"key": "idempotency_key", "idempotency": "idempotency_key"}
_LONG = 10  # letters; in a name of this length two errors leave no doubt which option is meant


def require_no_misspelt(names: Iterable[str], option: str, method: str, *, declared: Collection[str]) -> None:
    """Raise TypeError if a name that would be sent resembles a method's own option, unless the call declares it."""
    for name in names:
        if name not in declared and option_meant(name, (option,)) is not None:
            what = f"{name!r} is not an option and would be sent; did you mean {option!r}?"
            raise TypeError(f"{method}: {what} (If it is a field, name it in the call's `optional_fields`.)")


def option_meant(field_name: str, options: Collection[str] = _OPTIONS) -> str | None:
    """Return the option of the client that a name is probably meant to be, None if it resembles none.

    Case, underscores and hyphens do not count: a field `IdempotencyKey` also means the option.
    """
    name = _letters(field_name)
    if _SHORTENED.get(name) in options:
        return _SHORTENED[name]
    return next((option for option in options if _is_misspelt(name, _letters(option))), None)


def _letters(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _is_misspelt(name: str, option: str) -> bool:
    most = 2 if len(option) >= _LONG else 1
    # A name can be a megabyte, and the comparison takes the product of both lengths.
    return abs(len(name) - len(option)) <= most and _edits(name, option) <= most


def _edits(one: str, other: str) -> int:
    """Return how many insertions, deletions, replacements and exchanges of neighbours turn one text into the other.

    Source: the restricted edit distance of Damerau (1964), by dynamic programming over prefixes of both texts.
    `difflib` counts an exchange as two errors, and so misses the most frequent slip.
    """
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        current = [row]
        for column, wanted in enumerate(other, start=1):
            edits = min(last[column] + 1, current[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and (letter, one[row - 2]) == (other[column - 2], wanted):
                edits = min(edits, before[column - 2] + 1)
            current.append(edits)
        before, last = last, current
    return last[-1]
