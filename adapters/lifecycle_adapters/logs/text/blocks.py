"""The bytes of a text file or of the standard input, plain or compressed, in blocks of whole lines.

The first bytes of a file, not its name, show whether it is compressed. Other encodings become UTF-8 here. The contents
of the lines do not matter to this file.
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
from types import TracebackType
from typing import BinaryIO, Protocol, Self

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STANDARD_INPUT = "-"

BLOCK_BYTES = 16 << 20
LONGEST_BYTES = 32 << 20
"""The most that one row may have; so a quote that is never closed, or no text at all, does not fill the memory."""

_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"  # RFC 1952
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of a file.

    Attributes:
        data: whole lines; only at the end of the file may the last one have no end.
        is_last: nothing comes after it.
        lost: why one line more, that came after these, could not be read; None where there was none.
    """

    data: bytes
    is_last: bool = False
    lost: str | None = None


class Blocks:
    """The blocks of one file; to be used as a context manager.

    Args:
        path: of the file; "-" is the standard input.
        block_bytes: about how long a block is. One that begins with what was put back is at least twice as long
            as that.
        longest_bytes: how long a line may be.
        encoding: of the text, if it is not UTF-8; blocks are UTF-8 then. Of bytes that cannot be decoded they have
            others that are not UTF-8 either.
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
        """Why the file could not be read to its end."""
        self._block_bytes = block_bytes
        self._longest_bytes = longest_bytes
        self._rest = b""
        self._has_ended = False
        self._open = ExitStack()
        self._size = 0
        try:
            if path == STANDARD_INPUT:
                self._file = _Counted(standard_input())
            else:
                file = self._open.enter_context(Path(path).open("rb"))  # noqa: SIM115 (a stack closes it)
                self._size = os.fstat(file.fileno()).st_size
                self._file = _Counted(file)
            stream = _decompressed(self._file)
            self._stream = stream if encoding is None else _Transcoded(stream, encoding)
        except OSError as error:
            self._break_off(error)

    @property
    def share(self) -> float | None:
        """How much of the file has been read, 0.0 to 1.0; None where its size is not known."""
        return min(self._file.count / self._size, 1.0) if self._size else None

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks, without the byte order mark. Never raises what is wrong with the file: see `broken`."""
        mark = codecs.BOM_UTF8
        while self._rest or not self._has_ended:
            block = self._next()
            yield replace(block, data=block.data.removeprefix(mark))
            mark = b""

    def put_back(self, rest: bytes) -> None:
        """Let the next block begin with the end of this one, which must not be the last."""
        self._rest = rest + self._rest

    def _next(self) -> Block:
        while True:
            # At least doubled, or a long row would be looked at again and again.
            data = self._rest + self._read(max(self._block_bytes, len(self._rest)))
            self._rest = b""
            end = len(data) if self._has_ended and self.broken is None else data.rfind(b"\n") + 1
            if self._has_ended:
                return Block(data[:end], is_last=True, lost=self.broken if end < len(data) else None)
            self._rest = data[end:]
            if end:
                return Block(data[:end])
            if len(data) > self._longest_bytes:
                self._rest = self._after_line()
                return Block(b"", lost=f"the line is longer than {self._longest_bytes} bytes")

    def _read(self, size: int) -> bytes:
        pieces = io.BytesIO()
        while not self._has_ended and (missing := size - pieces.tell()) > 0:
            pieces.write(self._read_piece(min(missing, _PIECE_BYTES)))
        return pieces.getvalue()

    def _read_piece(self, size: int) -> bytes:
        try:
            # `read` would throw away what it had before an error.
            piece = self._stream.read1(size)
        except (OSError, EOFError, zlib.error, zstd.ZstdError, UnicodeError) as error:
            self._break_off(error)
            return b""
        self._has_ended = not piece
        return piece

    def _after_line(self) -> bytes:
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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._open.close()


def standard_input() -> BinaryIO:
    """Return the bytes of the standard input. Raises OSError where the process has none."""
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed")
    return sys.stdin.buffer


class _Readable(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def _decompressed(file: _Counted) -> _Readable:
    if file.head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if file.head.startswith(_ZSTD):
        return zstd.ZstdFile(file)
    return io.BufferedReader(file)


UNDECODABLE = "lifecycle.undecodable"
"""The error handler with which text is decoded."""


def _marked(error: UnicodeError) -> tuple[str, int]:
    """Replace bytes that cannot be decoded by a surrogate, which no valid text holds."""
    assert isinstance(error, UnicodeDecodeError)
    return "\udcff", error.end


codecs.register_error(UNDECODABLE, _marked)


class _Transcoded:
    """A stream in another encoding, as UTF-8; only what cannot be decoded is not UTF-8 afterwards either."""

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


class _Counted(io.RawIOBase):
    """A file whose first bytes are known, and how many have been read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.count = 0
        self.head = file.read(max(len(_GZIP), len(_ZSTD)))
        self._again = self.head

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._again[: len(buffer)] or self._file.read(len(buffer))
        self._again = self._again[len(buffer) :]
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)
