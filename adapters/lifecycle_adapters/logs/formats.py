"""Formats and compressions by the names of files. Every format that is written can be read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]

_FORMATS: Mapping[str, Format] = {
    ".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
}  # fmt: skip
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}

SUFFIXES = f"{', '.join(_FORMATS)}, all but the first also with {', '.join(_COMPRESSIONS)}"
"""The suffixes of names, for messages."""


class FileFormat(NamedTuple):
    """A format and the compression of the file as a whole; Parquet is compressed inside, if at all."""

    format: Format
    compression: str | None

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileFormat | None:
        """Return the format and compression of a file by its name; None if no format has such a name."""
        name = Path(path)
        compression = _COMPRESSIONS.get(name.suffix.lower())
        kind = _FORMATS.get((name if compression is None else name.with_suffix("")).suffix.lower())
        return None if kind is None or (kind == "parquet" and compression) else FileFormat(kind, compression)


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """Return the format of a file by its name, however it is compressed; None if no format has such a name."""
    return None if (found := FileFormat.of(path)) is None else found.format
