"""Texts that another program made, as messages show them."""

from __future__ import annotations


def one_line(text: str) -> str:
    """Return the first 500 characters on one line, without those that break a log's line or control a terminal."""
    printable = "".join(each if each.isprintable() else " " for each in text[: 2 * _LONGEST])
    return " ".join(printable.split())[:_LONGEST]


_LONGEST = 500
