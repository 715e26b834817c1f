"""Bytes come in blocks of whole lines, however they are compressed; the lines before a file's break count."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_adapters.logs.text.blocks import Block, Blocks

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LINES = b"".join(b"line %d of some\n" % number for number in range(1_000))

Pack = Callable[[bytes], bytes]
PACKS: list[Pack] = [bytes, gzip.compress, zstd.compress]
packed = pytest.mark.parametrize("pack", PACKS, ids=["plain", "gzip", "zstd"])


def blocks(path: Path, *, block_bytes: int = 100, longest_bytes: int = 10_000) -> tuple[list[Block], str | None]:
    with Blocks(str(path), block_bytes=block_bytes, longest_bytes=longest_bytes) as reading:
        return list(reading), reading.broken


def joined(found: Iterable[Block]) -> bytes:
    return b"".join(block.data for block in found)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


@packed
def test_compression_is_recognised_by_the_first_bytes(file: Path, pack: Pack) -> None:
    file.write_bytes(pack(LINES))

    found, broken = blocks(file)

    assert joined(found) == LINES
    assert broken is None
    assert len(found) > 100
    assert all(block.data.endswith(b"\n") for block in found if block.data)
    assert [block.is_last for block in found] == [False] * (len(found) - 1) + [True]


@packed
def test_several_members_are_one_file(file: Path, pack: Pack) -> None:
    file.write_bytes(pack(LINES) + pack(b"x\ny"))

    found, broken = blocks(file, block_bytes=1_000_000)

    assert joined(found) == LINES + b"x\ny"
    assert broken is None


@pytest.mark.parametrize("pack", PACKS[1:], ids=["gzip", "zstd"])
@pytest.mark.parametrize("block_bytes", [100, 1_000_000])
def test_whole_rows_before_a_break_are_read(file: Path, pack: Pack, block_bytes: int) -> None:
    whole = pack(LINES)
    file.write_bytes(whole + pack(LINES)[: len(whole) // 2])

    found, broken = blocks(file, block_bytes=block_bytes)

    assert joined(found).startswith(LINES)
    assert (LINES + LINES).startswith(joined(found))
    assert joined(found).endswith(b"\n")
    assert broken is not None
    assert "ended before the end-of-stream marker" in broken
    assert [block.lost for block in found if block.lost] in ([], [broken])


def test_a_line_that_breaks_off_is_lost_and_reported(file: Path) -> None:
    packed = gzip.compress(b"whole\n" + bytes(range(256)) * 100, 0)
    file.write_bytes(packed[:-1_000])

    found, broken = blocks(file, block_bytes=1_000_000)

    assert found == [Block(found[0].data, is_last=True, lost=broken)]


@pytest.mark.parametrize(
    "content", [b"\x1f\x8b\x08", b"\x1f\x8b\x08" + b"nonsense" * 9, b"\x28\xb5\x2f\xfd" + b"\xff" * 99]
)
def test_file_with_only_a_compression_header_is_broken(file: Path, content: bytes) -> None:
    file.write_bytes(content)

    found, broken = blocks(file)

    assert joined(found) == b""
    assert broken


def test_an_uncompressed_file_with_a_compressed_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(LINES)

    assert joined(blocks(tmp_path / "a.csv.gz")[0]) == LINES


def test_a_wrong_checksum_is_reported(file: Path) -> None:
    content = bytearray(gzip.compress(LINES))
    content[-5] ^= 1
    file.write_bytes(content)

    found, broken = blocks(file)

    assert joined(found) == LINES
    assert str(broken).startswith("CRC check failed")


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_file_that_cannot_be_opened_is_broken(tmp_path: Path, name: str) -> None:
    found, broken = blocks(tmp_path / name)

    assert found == []
    assert broken in {"No such file or directory", "Is a directory", "Permission denied"}


def test_an_empty_file_has_nothing(file: Path) -> None:
    file.write_bytes(b"")

    assert blocks(file) == ([Block(b"", is_last=True)], None)


@pytest.mark.parametrize("block_bytes", [1, 100])
def test_byte_order_mark_is_stripped_from_the_first_line(file: Path, block_bytes: int) -> None:
    file.write_bytes(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n")

    assert joined(blocks(file, block_bytes=block_bytes)[0]) == b"a\n\xef\xbb\xbfb\n"


def test_a_line_that_is_too_long_is_left_out_and_reported(file: Path) -> None:
    file.write_bytes(b"a\n" + b"x" * 3_000_000 + b"\nb\n")

    found, broken = blocks(file)

    assert joined(found) == b"a\nb\n"
    assert [block.lost for block in found if block.lost] == ["the line is longer than 10000 bytes"]
    assert broken is None


def test_the_last_line_is_too_long(file: Path) -> None:
    file.write_bytes(b"a\n" + b"x" * 3_000_000)

    assert [block.lost for block in blocks(file)[0] if block.lost] == ["the line is longer than 10000 bytes"]


def test_unread_data_comes_again_in_a_larger_block(file: Path) -> None:
    file.write_bytes(LINES)
    sizes: list[int] = []
    with Blocks(str(file), block_bytes=100) as reading:
        for block in reading:
            sizes.append(len(block.data))
            assert LINES.startswith(block.data)
            if not block.is_last:
                reading.put_back(block.data)

    assert sizes[-1] == len(LINES)
    assert len(sizes) < 12


@packed
def test_the_standard_input_is_read_and_stays_open(monkeypatch: pytest.MonkeyPatch, pack: Pack) -> None:
    stream = io.BytesIO(pack(LINES))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stream))

    with Blocks("-", block_bytes=100) as reading:
        assert joined(reading) == LINES
        assert reading.share is None

    assert not stream.closed


@packed
def test_progress_counts_compressed_bytes(file: Path, pack: Pack) -> None:
    file.write_bytes(pack(LINES * 100))
    with Blocks(str(file), block_bytes=10_000) as reading:
        shares = [reading.share for _ in reading]

    assert shares == sorted(shares, key=float)  # type: ignore[arg-type]
    assert shares[-1] == 1.0


@given(st.binary(max_size=200), st.integers(1, 50))
def test_joined_blocks_equal_the_file(tmp_path_factory: pytest.TempPathFactory, data: bytes, block_bytes: int) -> None:
    file = tmp_path_factory.getbasetemp() / "given.log"
    file.write_bytes(gzip.compress(data))

    found, broken = blocks(file, block_bytes=block_bytes)

    assert broken is None
    assert joined(found) == data.removeprefix(b"\xef\xbb\xbf")
    assert all(block.data.endswith(b"\n") for block in found[:-1])
