"""Numbers, times and foreign text for people; used wherever a report is shown."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def count(number: int) -> str:
    """Return a number with a comma after each thousand."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, whose plural ends in s."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """Return the share of a part in the whole, in percent; 0 % and 100 % are exact, never rounded."""
    if part in (0, whole):
        return "100 %" if part else "0 %"
    percent = 100 * part / whole
    if percent < 0.01:
        return "< 0.01 %"
    return "> 99.99 %" if percent > 99.99 else f"{percent:.2f} %"


def duration(seconds: float) -> str:
    """Return a time span in its largest units, two at most: 850 µs, 12.3 ms, 4.5 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 60:
        return _below_a_minute(seconds)
    rest = round(seconds)
    if rest >= 3_600:  # seconds are no longer shown
        rest = round(rest / 60) * 60
    if rest >= 86_400:
        rest = round(rest / 3_600) * 3_600
    parts: list[str] = []
    for unit, size in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number:,} {unit}")
    return " ".join(parts)


def _below_a_minute(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{round(seconds * 1e6)} µs" if seconds else "0 s"


def moment(at: datetime) -> str:
    """Return the date and the time in UTC, with all digits."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def iso(at: datetime) -> str:
    """Return a time in UTC in ISO 8601, for programs."""
    return at.isoformat().replace("+00:00", "Z")


def visible(text: str, *, most: int = 120) -> str:
    """Return foreign text truncated, with unprintable characters escaped.

    Unprintable are control characters, and characters that change the direction of writing, have no width, or are half
    of a surrogate pair.
    """
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    return "".join(each if each.isprintable() else _numbered(ord(each)) for each in cut)


def _numbered(code: int) -> str:
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
