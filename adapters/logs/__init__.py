"""Recorded histories, read from files. Whether they are lawful is asked of a lifecycle's `check`."""

from __future__ import annotations

from adapters.logs.read import BadRow, Columns, Format, Histories, Row, read_histories

__all__ = ["BadRow", "Columns", "Format", "Histories", "Row", "read_histories"]
