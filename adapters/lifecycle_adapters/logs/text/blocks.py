"""Read a text file or the standard input, plain or compressed, in blocks of whole lines.

The first bytes of a file, not its name, show whether it is compressed. Other encodings are converted to UTF-8. The
contents of the lines do not matter here.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self, cast

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STANDARD_INPUT = "-"

BLOCK_BYTES = 16 << 20
LONGEST_BYTES = 32 << 20
"""The longest row: without a limit, an unclosed quote or a file that is not text would fill the memory."""

_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"  # RFC 1952
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a file.

    Attributes:
        data: whole lines; the last line of the file may have no end.
        is_last: whether no block follows.
        lost: the reason why the line after these could not be read; None if it could.
    """

    data: bytes
    is_last: bool = False
    lost: str | None = None


class Blocks:
    """The blocks of one file; use it as a context manager.

    Args:
        path: the file's path; "-" is the standard input.
        block_bytes: the approximate length of a block. After `put_back` the next block is at least twice as long as
            what was put back.
        longest_bytes: the longest line.
        encoding: the text's encoding, if it is not UTF-8; blocks are then converted to UTF-8. Bytes that cannot be
            decoded become bytes that are not UTF-8.
    """

    def __init__(
        self,
        path: str,
        *,
        block_bytes: int = BLOCK_BYTES,
        longest_bytes: int = LONGEST_BYTES,
        encoding: str | None = None,
    ) -> None:
        self.broken: str | None = None
        """The reason why the file could not be read to its end; None if it was."""
        self._block_bytes = block_bytes
        self._longest_bytes = longest_bytes
        self._rest = b""
        self._has_ended = False
        self._open = ExitStack()
        self._size = 0
        try:
            if path == STANDARD_INPUT:
                self._file = _CountedFile(standard_input())
            else:
                file = self._open.enter_context(Path(path).open("rb"))  # noqa: SIM115 (a stack closes it)
                self._size = os.fstat(file.fileno()).st_size
                self._file = _CountedFile(file)
            stream = _decompressed(self._file)
            self._stream = stream if encoding is None else _Utf8Stream(stream, encoding)
        except OSError as error:
            self._break_off(error)

    @property
    def share(self) -> float | None:
        """Return the share of the file that has been read, 0.0 to 1.0; None if its size is not known."""
        return min(self._file.count / self._size, 1.0) if self._size else None

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks, without the byte order mark. An unreadable file sets `broken` and raises nothing."""
        mark = codecs.BOM_UTF8
        while self._rest or not self._has_ended:
            block = self._next()
            yield replace(block, data=block.data.removeprefix(mark))
            mark = b""

    def put_back(self, rest: bytes) -> None:
        """Put the end of this block, which must not be the last, before the next one."""
        self._rest = rest + self._rest

    def _next(self) -> Block:
        while True:
            # At least doubled: otherwise a long row would be parsed again and again.
            data = self._read_after(self._rest, max(self._block_bytes, len(self._rest)))
            self._rest = b""
            end = len(data) if self._has_ended and self.broken is None else data.rfind(b"\n") + 1
            if self._has_ended:
                return Block(data[:end], is_last=True, lost=self.broken if end < len(data) else None)
            self._rest = data[end:]
            if end:
                return Block(data[:end])
            if len(data) > self._longest_bytes:
                self._rest = self._skip_line()
                return Block(b"", lost=f"the line is longer than {self._longest_bytes} bytes")

    def _read_after(self, rest: bytes, size: int) -> bytes:
        pieces = [rest]
        while not self._has_ended and size > 0:
            pieces.append(self._read_piece(min(size, _PIECE_BYTES)))
            size -= len(pieces[-1])
        return b"".join(pieces)

    def _read_piece(self, size: int) -> bytes:
        try:
            # `read` would discard what it read before an error.
            piece = self._stream.read1(size)
        except (OSError, EOFError, zlib.error, zstd.ZstdError, UnicodeError) as error:
            self._break_off(error)
            return b""
        self._has_ended = not piece
        return piece

    def _skip_line(self) -> bytes:
        while not self._has_ended:
            _, end, after = self._read_piece(_PIECE_BYTES).partition(b"\n")
            if end:
                return after
        return b""

    def _break_off(self, error: Exception) -> None:
        self.broken = (isinstance(error, OSError) and error.strerror) or str(error)
        self._has_ended = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def standard_input() -> io.BufferedReader:
    """Return the standard input as a binary stream. Raises OSError if the process has none."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return cast("io.BufferedReader", sys.stdin.buffer)


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def _decompressed(file: _CountedFile) -> _Readable:
    if file.head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if file.head.startswith(_ZSTD):
        return zstd.ZstdFile(file)
    return io.BufferedReader(file)


UNDECODABLE = "lifecycle.undecodable"
"""The name of the error handler for decoding."""


def _surrogate_for(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that cannot be decoded by a surrogate, which no valid text holds."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(UNDECODABLE, _surrogate_for)


class _Utf8Stream:
    """A stream converted to UTF-8; bytes that cannot be decoded become bytes that are not UTF-8."""

    def __init__(self, stream: _Readable, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)(UNDECODABLE)
        self._has_ended = False

    def read1(self, size: int, /) -> bytes:
        """Return some bytes, which may be more than `size`; none at the end."""
        while not self._has_ended:
            piece = self._stream.read1(size)
            self._has_ended = not piece
            if text := self._decoder.decode(piece, final=self._has_ended):
                return text.encode("utf-8", "surrogatepass")
        return b""


class _CountedFile(io.RawIOBase):
    """A file whose first bytes are known, and that counts the bytes read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.count = 0
        self.head = file.read(max(len(_GZIP), len(_ZSTD)))
        self._unread_head = self.head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        head = self._unread_head[: len(buffer)]
        self._unread_head = self._unread_head[len(head) :]
        buffer[: len(head)] = head
        count = len(head) or self._file.readinto(buffer)
        self.count += count
        return count
