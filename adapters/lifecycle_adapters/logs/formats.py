"""What the name of a file tells of it: its format and its compression. What is written here can be read here."""

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
"""What a name may end in, in words."""


class FileFormat(NamedTuple):
    """A format and what the file as a whole is compressed with; Parquet is compressed within, if at all."""

    format: Format
    compression: str | None

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileFormat | None:
        """Return what the name of a file tells, None where that is nothing."""
        name = Path(path)
        compression = _COMPRESSIONS.get(name.suffix.lower())
        kind = _FORMATS.get((name if compression is None else name.with_suffix("")).suffix.lower())
        return None if kind is None or (kind == "parquet" and compression) else FileFormat(kind, compression)


def format_of(path: str | os.PathLike[str]) -> Format | None:
    """Return the format that the name of a file tells, however it is compressed."""
    return None if (found := FileFormat.of(path)) is None else found.format
