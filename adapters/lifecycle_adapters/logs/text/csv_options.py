"""The options of CSV: its delimiter and its encoding."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from encodings.aliases import aliases

from lifecycle.errors import nearest, shortened
from lifecycle_adapters.argument_checks import is_text, require
from lifecycle_adapters.logs.text.blocks import UNDECODABLE

UTF_8 = "UTF-8"

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_NO_DELIMITERS = '"\r\n\0'


@dataclass(frozen=True, slots=True)
class CsvOptions:
    r"""The character between two cells, and the encoding of the text.

    Args:
        delimiter: one character, such as ";" or "\t".
        encoding: a text encoding by any of the names that Python knows for it. A byte order mark is skipped.
    Raises:
        ValueError: the delimiter is not such a character, or the encoding is unknown.
        TypeError: one of them is not a text.
    """

    delimiter: str = ","
    encoding: str = UTF_8

    def __post_init__(self) -> None:
        require(self.delimiter, str, "delimiter must be a text")
        require(self.encoding, str, "encoding must be a text")
        if len(self.delimiter) != 1 or self.delimiter in _NO_DELIMITERS or not is_text(self.delimiter):
            raise ValueError(
                f"a delimiter must be one character, neither a quote nor a line end, not {shortened(self.delimiter)}"
            )
        if not _is_encoding(self.encoding):
            meant = nearest(self.encoding.replace("_", "-"), _encodings())
            hint = "" if meant is None else f"; did you mean {meant!r}?"
            raise ValueError(f"unknown encoding {shortened(self.encoding)}{hint}")
        if codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig"):  # marks are skipped in any case
            object.__setattr__(self, "encoding", UTF_8)

    @property
    def is_utf_8(self) -> bool:
        """Return whether the text is UTF-8 already."""
        return self.encoding == UTF_8

    def others(self) -> Iterator[str]:
        """Yield the other common delimiters."""
        return (other for other in _DELIMITERS if other != self.delimiter)


def delimiters_in_words(delimiter: str) -> str:
    """Return the plural name of a delimiter."""
    return _DELIMITERS.get(delimiter, repr(delimiter))


def _is_encoding(name: str) -> bool:
    """Return whether a text codec has this name and can continue after bytes that it cannot decode."""
    try:
        with suppress(UnicodeError):  # one byte alone may not be text
            b" ".decode(name)  # raises if the codec is not for text
        codecs.getincrementaldecoder(name)(UNDECODABLE).decode(b"\xff", final=True)
    except (LookupError, ValueError):  # the latter for names with NUL, and for codecs without error handlers
        return False
    return True


def _encodings() -> Iterator[str]:
    names = {name.replace("_", "-") for pair in aliases.items() for name in pair}
    return filter(_is_encoding, sorted(names))
