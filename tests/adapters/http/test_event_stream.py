"""Server-sent events: whatever pieces they arrive in, each is seen once and whole."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_adapters.http.event_stream import EventParser
from lifecycle_adapters.http.transport_failures import ResponseTooLarge

LINES = st.binary(max_size=8).filter(lambda line: not {*b"\r\n"} & {*line})
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
OTHERS = st.sampled_from([b": ping", b":", b"event: update", b"id: 7", b"retry: 10", b"data", b"datum: 1", b"unknown"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Draw events, and a stream of them with comments, other fields and any line ends, as the standard allows."""
    events = list[bytes]()
    written = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    for lines, others in draw(
        st.lists(st.tuples(st.lists(LINES, max_size=3), st.lists(OTHERS, max_size=2)), max_size=4)
    ):
        end = draw(ENDS)
        written += b"".join(each + end for each in [*(b"data: " + line for line in lines), *others, b""])
        empty = [b""] * others.count(b"data")  # a field without a colon has an empty value
        if data := b"\n".join([*lines, *empty]):
            events.append(data)
    return events, written + draw(st.sampled_from([b"", b"data: unfinished\n"]))


@given(stream=streams(), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_each_event_is_seen_once_however_it_is_cut(stream: tuple[list[bytes], bytes], cuts: list[int]) -> None:
    events, written = stream
    parser = EventParser(1000)

    seen = [
        data
        for begin, end in pairwise([0, *sorted(min(cut, len(written)) for cut in cuts), len(written)])
        for data in parser.feed(written[begin:end])
    ]

    assert seen == events


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 100, b"data: xxxxxxxxxx\n" * 10, b":" * 101])
def test_endless_event_is_not_kept(piece: bytes) -> None:
    parser = EventParser(100)
    assert [*parser.feed(b"data: " + b"x" * 90 + b"\n\n" + b": ping\n\n" * 100)] == [b"x" * 90]
    with pytest.raises(ResponseTooLarge, match="an event has more than 100 bytes"):
        list(parser.feed(piece))
