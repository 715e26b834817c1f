"""Server-sent events as they arrive: pieces of bytes in, the data of events out. Pure.

Source: WHATWG, HTML, 9.2.6 (Interpreting an event stream). Only `data` is used: no event has an id after which to
resume, and the client decides when it opens a stream again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lifecycle_adapters.http.transport_failures import ResponseTooLarge

_LINE_END = re.compile(rb"\r\n|\n|\r")
_MARK = b"\xef\xbb\xbf"  # of the order of bytes, which a stream may begin with


def is_event_stream(headers: Mapping[str, str]) -> bool:
    """Return whether a response's headers, by their names in lower case, say that it is an event stream."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == "text/event-stream"


class EventParser:
    """The events of one stream. An event may have `limit_bytes`, its unfinished last line included."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._line = bytearray()
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._is_first_line = True
        self._ended_with_cr = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Take the next bytes, and yield the data of each event that they end. Raises ResponseTooLarge."""
        if piece and self._ended_with_cr:
            piece = piece.removeprefix(b"\n")  # the rest of a line's end, whose event was not kept back for it
            self._ended_with_cr = False
        self._ended_with_cr = piece.endswith(b"\r") or (not piece and self._ended_with_cr)
        *ended, rest = _LINE_END.split(piece)
        for each in ended:
            self._grow(each)
            line = bytes(self._line)
            self._line.clear()
            data = self._take(line)
            if data is not None:
                yield data
        self._grow(rest)

    def _grow(self, part: bytes) -> None:
        self._line += part
        if len(self._line) + self._data_bytes > self._limit_bytes:
            raise ResponseTooLarge(f"an event has more than {self._limit_bytes} bytes")

    def _take(self, line: bytes) -> bytes | None:
        """Take a line; return the data of the event that it ends, None if it ends none or one without data."""
        if self._is_first_line:
            self._is_first_line, line = False, line.removeprefix(_MARK)
        if line:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data.append(value.removeprefix(b" "))
                self._data_bytes += len(line)
            return None
        data = b"\n".join(self._data)
        self._data.clear()
        self._data_bytes = 0
        return data or None


def data_of_events(stream: bytes) -> Iterator[bytes]:
    """Yield the data of each event in a stream that is over; what ends too early is not an event."""
    return EventParser(len(stream)).feed(stream)
