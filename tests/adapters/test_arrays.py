"""A lifecycle over arrays: every result is that of the lifecycle itself, and no code is trusted."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import (
    CATALOG,
    V1_FULL,
    Alias,
    Channel,
    Event,
    Lifecycle,
    MissingExtra,
    ObservationKind,
    Origin,
    State,
    Transition,
    UnknownName,
    V1Event,
    V1State,
    get,
)
from lifecycle.testing import lifecycles
from lifecycle_adapters import arrays
from lifecycle_adapters.arrays import CodedLifecycle

Coded = CodedLifecycle[str, str]


def a_chain(states: int, events: int, name: str = "chain") -> Lifecycle[str, str]:
    """A lifecycle of that size: from each state one event or more lead to the next, and one may lead to the last."""
    last = states - 1
    rows = {(i % last, i % events): i % last + 1 for i in range(max(last, events))}
    for i in range(last):
        rows.setdefault((i, (i + 1) % events), last)
    return Lifecycle(
        name=name,
        citation="made for a test",
        states=tuple(State(f"state {i}", initial=i == 0, final=i == last) for i in range(states)),
        events=tuple(Event(f"event {i}", Origin.REMOTE) for i in range(events)),
        transitions=tuple(Transition(f"state {i}", f"event {by}", f"state {to}") for (i, by), to in rows.items()),
        aliases=(Alias("webhook", "begun", "state 1"),),
    )


def named(coded: Coded) -> str:
    return coded.lifecycle.name


SMALL: Coded = CodedLifecycle(get("v1-full"))
WIDE = CodedLifecycle(a_chain(20, 20, "wide"))  # codes of one byte, numbers of pairs of two
LARGE = CodedLifecycle(a_chain(257, 255, "large"))  # codes of two bytes, numbers of pairs of states of four
CODED = [*(CodedLifecycle(each) for each in CATALOG.values()), WIDE, LARGE]
every_lifecycle = pytest.mark.parametrize("coded", CODED, ids=named)
either_width = pytest.mark.parametrize("coded", [SMALL, WIDE], ids=named)
every_width = pytest.mark.parametrize("coded", [SMALL, WIDE, LARGE], ids=named)


def stepped(lifecycle: Lifecycle[str, str], states: list[str], events: list[str]) -> list[str | None]:
    return [lifecycle.target(state, event) for state, event in zip(states, events, strict=True)]


@pytest.fixture(scope="module")
def coded() -> CodedLifecycle[V1State, V1Event]:
    return CodedLifecycle(V1_FULL)


# --- the lifecycle's own results -----------------------------------------------------------------


@every_lifecycle
def test_step_many_agrees_with_target_on_every_pair(coded: Coded) -> None:
    lifecycle = coded.lifecycle
    states, events = np.divmod(np.arange(len(coded.states) * len(coded.events)), len(coded.events))
    targets = coded.step_many(states, events)
    assert coded.decode_states(targets) == [
        lifecycle.target(state, event) for state in coded.states for event in coded.events
    ]


@every_lifecycle
def test_observe_many_agrees_with_observe(coded: Coded) -> None:
    lifecycle = coded.lifecycle
    known = coded.encode_states(coded.states)
    for channel in ("api", "webhook"):
        words = [*lifecycle.statuses(channel=channel), "vanished"]
        words = words if len(words) < 100 else [*words[::30], *words[-3:]]  # every one takes a while
        kept, kinds = coded.observe_many(known[:, np.newaxis], coded.encode_statuses(words, channel=channel))
        seen = [lifecycle.observe(state, word, channel=channel) for state in coded.states for word in words]
        assert coded.decode_states(kept) == [each.state for each in seen]
        assert coded.decode_kinds(kinds) == [each.kind for each in seen]


@every_lifecycle
def test_final_states_equal_those_of_the_lifecycle(coded: Coded) -> None:
    lifecycle = coded.lifecycle
    final = coded.is_final(coded.encode_states(coded.states))
    assert final.dtype == np.bool_
    assert final.tolist() == [lifecycle.is_final(state) for state in coded.states]


@given(lifecycle=lifecycles(), channel=st.sampled_from(Channel), data=st.data())
def test_array_results_equal_a_loop_over_single_results(
    lifecycle: Lifecycle[str, str], channel: str, data: st.DataObject
) -> None:
    coded = CodedLifecycle(lifecycle)
    states = data.draw(st.lists(st.sampled_from(coded.states), max_size=8))

    def one_for_each(names: Iterable[str]) -> list[str]:
        return data.draw(st.lists(st.sampled_from([*names]), min_size=len(states), max_size=len(states)))

    codes = coded.encode_states(states)
    if coded.events:
        events = one_for_each(coded.events)
        targets = coded.step_many(codes, coded.encode_events(events))
        assert coded.decode_states(targets) == stepped(lifecycle, states, events)
    words = one_for_each([*lifecycle.statuses(channel=channel), "vanished for good"])
    kept, kinds = coded.observe_many(codes, coded.encode_statuses(words, channel=channel))
    seen = [lifecycle.observe(state, word, channel=channel) for state, word in zip(states, words, strict=True)]
    assert coded.decode_states(kept) == [each.state for each in seen]
    assert coded.decode_kinds(kinds) == [each.kind for each in seen]


# --- codes ---------------------------------------------------------------------------------------


@every_lifecycle
def test_codes_are_places_in_the_declared_order(coded: Coded) -> None:
    lifecycle = coded.lifecycle
    assert coded.states == tuple(state.name for state in lifecycle.states)
    assert coded.events == tuple(event.name for event in lifecycle.events)
    assert coded.encode_states(coded.states).tolist() == list(range(len(coded.states)))
    assert coded.encode_events(coded.events).tolist() == list(range(len(coded.events)))
    assert coded.decode_states(coded.encode_states(coded.states)) == list(coded.states)
    assert coded.decode_events(coded.encode_events(coded.events)) == list(coded.events)


@pytest.mark.parametrize(("states", "dtype", "none"), [(255, np.uint8, 255), (256, np.uint16, 65535)])
def test_codes_are_as_small_as_they_can_be(states: int, dtype: type[Any], none: int) -> None:
    coded = CodedLifecycle(a_chain(states, 2))
    last = coded.encode_states(coded.states[-1:])
    refused = coded.step_many(last, 0)
    assert coded.none == none
    assert last.dtype == refused.dtype == dtype
    assert refused.tolist() == [none]
    assert last.tolist() == [states - 1]


@pytest.mark.parametrize(("states", "events"), [(5, 51), (16, 16), (51, 5), (3, 300)])
def test_the_last_pair_of_a_table_as_large_as_its_numbers_is_right(states: int, events: int) -> None:
    test_step_many_agrees_with_target_on_every_pair(CodedLifecycle(a_chain(states, events)))


def test_an_extension_reads_what_was_stored_before() -> None:
    base, extended = CodedLifecycle(CATALOG["v1"]), CodedLifecycle(CATALOG["v1-full"])
    stored = base.step_many(base.encode_states(base.states)[:, np.newaxis], base.encode_events(base.events))
    assert extended.decode_states(stored) == base.decode_states(stored)
    assert None in base.decode_states(stored)


def test_names_that_are_not_declared_are_refused(coded: CodedLifecycle[V1State, V1Event]) -> None:
    with pytest.raises(UnknownName, match="unknown state 'runing'; did you mean 'running'"):
        coded.encode_states(["running", "runing"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownName, match="unknown event 'halt'"):
        coded.encode_events(["halt"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownName, match="unknown channel 'fax'"):
        coded.encode_statuses([], channel="fax")


def test_an_alias_is_encoded_as_its_state_in_its_channel_alone(coded: CodedLifecycle[V1State, V1Event]) -> None:
    created = coded.encode_states([V1State.CREATED])
    assert coded.encode_statuses(["initializing"], channel="webhook").tolist() == created.tolist()
    assert coded.encode_statuses(["initializing"]).tolist() == [coded.none]


def test_names_may_be_any_iterable(coded: CodedLifecycle[V1State, V1Event]) -> None:
    states = coded.encode_states(state for state in (V1State.PAUSED, V1State.RUNNING))
    words = coded.encode_statuses(iter(np.array(["paused", "running", "vanished"])))
    assert coded.decode_states(states) == [V1State.PAUSED, V1State.RUNNING]
    assert coded.decode_states(words) == [V1State.PAUSED, V1State.RUNNING, None]


# --- what is not a code --------------------------------------------------------------------------

METHODS: dict[str, tuple[str, Callable[[Coded, Any], object]]] = {
    "step_many states": ("state", lambda coded, codes: coded.step_many(codes, 0)),
    "step_many events": ("event", lambda coded, codes: coded.step_many(0, codes)),
    "observe_many known": ("state", lambda coded, codes: coded.observe_many(codes, 0)),
    "observe_many reported": ("state", lambda coded, codes: coded.observe_many(0, codes)),
    "is_final": ("state", lambda coded, codes: coded.is_final(codes)),
    "decode_states": ("state", lambda coded, codes: coded.decode_states(codes)),
    "decode_events": ("event", lambda coded, codes: coded.decode_events(codes)),
    "decode_kinds": ("kind", lambda coded, codes: coded.decode_kinds(codes)),
}
TAKING_NONE = ("observe_many reported", "decode_states")
every_method = pytest.mark.parametrize("method", METHODS)


@every_width
@every_method
def test_codes_out_of_range_are_refused(coded: Coded, method: str) -> None:
    what, ask = METHODS[method]
    limit = len(getattr(coded, f"{what}s"))
    ask(coded, np.array([0, limit - 1]))
    cut = [2**8, 2**16, 2**32, 2**62]  # zero, were they cut to fewer bytes
    for bad in [limit, -1, -limit, -(2**63), 2**63 - 1, *(each for each in cut if each >= limit)]:
        with pytest.raises(
            ValueError, match=f"^{named(coded)}: {bad} is not the code of any {what} \\(there are {limit}, "
        ):
            ask(coded, np.array([0, bad, 0, limit]))
    with pytest.raises(ValueError, match=f"{2**64 - 1} is not the code of any {what}"):
        ask(coded, np.array([2**64 - 1], np.uint64))


@every_width
@every_method
def test_code_of_no_state_is_accepted_only_by_methods_that_take_it(coded: Coded, method: str) -> None:
    what, ask = METHODS[method]
    codes = np.array([0, coded.none])
    if method in TAKING_NONE:
        ask(coded, codes)
        with pytest.raises(ValueError, match=f"{len(coded.states)} is not the code of any state"):
            ask(coded, np.array([coded.none, len(coded.states)]))
    else:
        hint = ": it is the code of no state" if what == "state" else r" \(there are"
        with pytest.raises(ValueError, match=f"{coded.none} is not the code of any {what}{hint}"):
            ask(coded, codes)


@every_method
@pytest.mark.parametrize(
    "codes",
    [
        np.array([0.0]),
        np.array([True]),
        np.array(["running"]),
        np.array([0], object),
        np.array([0], "m8[s]"),
        np.array([0], "M8[s]"),
        np.array([0j]),
        True,
        0.0,
        "running",
        None,
    ],
    ids=lambda codes: str(np.asarray(codes).dtype),
)
def test_non_integer_codes_are_refused(method: str, codes: Any) -> None:
    what, ask = METHODS[method]
    with pytest.raises(TypeError, match=f"^{what} codes must be integers, not "):
        ask(SMALL, codes)


# --- types, shapes and layouts -------------------------------------------------------------------


@either_width
@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", "i2", "u4", "i4", "u8", "i8", ">i8"])
def test_every_integer_type_gives_the_same(coded: Coded, dtype: str) -> None:
    states, events = coded.encode_states(coded.states[:5]), coded.encode_events(coded.events[:5])
    other_states, other_events = states.astype(dtype), events.astype(dtype)
    assert coded.step_many(other_states, events[:4, np.newaxis]).tolist() == (
        coded.step_many(states, other_events[:4, np.newaxis]).tolist()
    )
    assert coded.step_many(other_states, 1).dtype == np.uint8
    kept, kinds = coded.observe_many(other_states, other_states[::-1])
    assert [kept.dtype, kinds.dtype] == [np.dtype(np.uint8)] * 2
    assert [kept.tolist(), kinds.tolist()] == [each.tolist() for each in coded.observe_many(states, states[::-1])]


@either_width
def test_arrays_are_broadcast(coded: Coded) -> None:
    states = coded.encode_states(coded.states[:4])
    event = int(coded.encode_events([coded.events[1]])[0])
    expected = stepped(coded.lifecycle, list(coded.states[:4]), [coded.events[1]] * 4)
    assert coded.decode_states(coded.step_many(states, event)) == expected
    assert coded.decode_states(coded.step_many(states, np.uint8(event))) == expected
    assert coded.step_many(states.reshape(2, 2), event).shape == (2, 2)
    assert coded.step_many(states[:, np.newaxis], states[:3]).shape == (4, 3)
    alone = coded.step_many(3, event)
    assert alone.shape == ()
    assert coded.decode_states(alone) == expected[3:]
    kept, kinds = coded.observe_many(2, 3)
    assert (kept.shape, kinds.shape) == ((), ())
    assert coded.is_final(3).shape == ()
    for ask in (coded.step_many, coded.observe_many):
        with pytest.raises(ValueError, match="cannot be broadcast"):
            ask(states, states[:3])


@every_method
@pytest.mark.parametrize("nothing", [[], (), [[]], [[], []]], ids=repr)
def test_an_empty_list_has_no_wrong_type(method: str, nothing: Any) -> None:
    METHODS[method][1](SMALL, nothing)
    assert SMALL.decode_states(SMALL.encode_states([])) == []


@every_method
@pytest.mark.parametrize("mask", [[True, False], [True, True]])
def test_codes_that_are_masked_are_refused(method: str, mask: list[bool]) -> None:
    what, ask = METHODS[method]
    ask(SMALL, np.ma.array([0, 1], mask=[False, False]))
    with pytest.raises(ValueError, match=f"{what} codes must not be masked; fill them with `none` first"):
        ask(SMALL, np.ma.array([0, 1], mask=mask))
    with pytest.raises(ValueError, match="must not be masked"):
        ask(SMALL, np.ma.masked)


@pytest.mark.parametrize("name", [[0], {}, {1}, ["running"], np.ma.masked], ids=repr)
def test_unhashable_name_is_unknown(name: Any) -> None:
    with pytest.raises(UnknownName, match="unknown state"):
        SMALL.encode_states([SMALL.states[0], name])
    with pytest.raises(UnknownName, match="unknown event"):
        SMALL.encode_events([SMALL.events[0], name])
    known = SMALL.encode_states(SMALL.states[:1]).tolist()
    assert SMALL.encode_statuses([str(SMALL.states[0]), name]).tolist() == [*known, SMALL.none]


@either_width
def test_empty_arrays_have_empty_results(coded: Coded) -> None:
    for nothing in (coded.encode_states([]), coded.encode_events([]), coded.encode_statuses([]), np.empty((3, 0), int)):
        answers = [coded.step_many(nothing, nothing), *coded.observe_many(nothing, nothing), coded.is_final(nothing)]
        assert [each.shape for each in answers] == [nothing.shape] * 4
        assert coded.decode_states(nothing) == coded.decode_events(nothing) == []


def test_a_lifecycle_without_events_refuses_every_one() -> None:
    only = State("only", initial=True, final=True)
    coded: Coded = CodedLifecycle(Lifecycle(name="still", citation="a test", states=(only,), events=(), transitions=()))
    assert coded.step_many(coded.encode_states([]), coded.encode_events([])).shape == (0,)
    with pytest.raises(ValueError, match=r"0 is not the code of any event \(there are 0"):
        coded.step_many(0, 0)


@either_width
def test_arrays_of_any_layout_are_read_unchanged(coded: Coded) -> None:
    grid = np.arange(20, dtype=np.uint8).reshape(4, 5) % 6
    events = grid.T.copy().T % 4
    expected = coded.step_many(grid, events).tolist()
    grid.flags.writeable = events.flags.writeable = False
    assert coded.step_many(np.asfortranarray(grid), events).tolist() == expected
    assert coded.step_many(np.asfortranarray(grid), np.asfortranarray(events)).tolist() == expected
    assert coded.step_many(grid[::-1, ::-1], events[::-1, ::-1])[::-1, ::-1].tolist() == expected
    assert coded.step_many(np.repeat(grid, 2, axis=1)[:, ::2], events).tolist() == expected
    assert grid.tolist() == (np.arange(20).reshape(4, 5) % 6).tolist()
    answer = coded.step_many(grid, events)
    answer[...] = 0  # an answer is the caller's own
    assert coded.step_many(grid, events).tolist() == expected


# --- out -----------------------------------------------------------------------------------------


@either_width
def test_a_result_is_written_to_the_given_array(coded: Coded) -> None:
    states = coded.encode_states(coded.states[:5])
    expected = coded.step_many(states, 1).tolist()
    wide = np.zeros(10, np.uint8)
    out = wide[::2]
    assert coded.step_many(states, 1, out=out) is out
    assert out.tolist() == expected
    assert wide[1::2].tolist() == [0] * 5
    assert coded.step_many(states, 1, out=states).tolist() == states.tolist() == expected


def test_a_result_that_does_not_fit_is_not_written(coded: CodedLifecycle[V1State, V1Event]) -> None:
    states = coded.encode_states([V1State.RUNNING] * 3)
    small, broad, signed = np.zeros(2, np.uint8), np.zeros((2, 3), np.uint8), np.zeros(3, np.int8)
    with pytest.raises(ValueError, match=r"out must have the shape \(3,\), not \(2,\)"):
        coded.step_many(states, 1, out=small)
    with pytest.raises(ValueError, match=r"out must have the shape \(3,\), not \(2, 3\)"):
        coded.step_many(states, 1, out=broad)
    with pytest.raises(TypeError, match="out must be an array of uint8, not int8"):
        coded.step_many(states, 1, out=signed)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="is not the code of any event"):
        coded.step_many(states, 99, out=states)
    with pytest.raises(TypeError, match="out must be an array, not list"):
        coded.step_many(states, 1, out=[0])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert coded.decode_states(states) == [V1State.RUNNING] * 3
    states.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        coded.step_many(states, 1, out=states)


# --- as it is used -------------------------------------------------------------------------------


def test_threads_share_a_coded_lifecycle(coded: CodedLifecycle[V1State, V1Event]) -> None:
    generator = np.random.default_rng(7)
    states = generator.integers(0, len(coded.states), (8, 5000), dtype=np.uint8)
    events = generator.integers(0, len(coded.events), (8, 5000), dtype=np.uint8)
    fresh = CodedLifecycle(V1_FULL)
    with ThreadPoolExecutor(8) as pool:
        steps = list(pool.map(fresh.step_many, states, events))
        kinds = [answer for _, answer in pool.map(fresh.observe_many, states, events)]
    assert np.array_equal(steps, coded.step_many(states, events))
    assert np.array_equal(kinds, coded.observe_many(states, events)[1])


def test_a_million_tasks_take_their_next_step(coded: CodedLifecycle[V1State, V1Event]) -> None:
    states = np.tile(coded.encode_states([V1State.RUNNING, V1State.PAUSED]), 500_000)
    targets = coded.step_many(states, coded.encode_events([V1Event.PAUSE]))
    assert np.count_nonzero(targets == coded.none) == 500_000
    kept = np.where(targets == coded.none, states, targets)
    assert kept.dtype == np.uint8
    assert np.unique(kept).tolist() == coded.encode_states([V1State.PAUSED]).tolist()


def test_the_kinds_of_a_report_are_distinguished(coded: CodedLifecycle[V1State, V1Event]) -> None:
    known = coded.encode_states([V1State.CREATED] * 3 + [V1State.RUNNING, V1State.STOPPED, V1State.STOPPED])
    words = ["created", "running", "paused", "created", "failed", "vanished"]
    kept, kinds = coded.observe_many(known, coded.encode_statuses(words))
    assert coded.decode_kinds(kinds) == list(ObservationKind)
    assert kept.tolist()[:1] + kept.tolist()[3:] == known.tolist()[:1] + known.tolist()[3:]


def test_the_example_does_what_it_shows() -> None:
    result = doctest.testmod(arrays)
    assert result.attempted >= 6
    assert not result.failed


# --- what it needs -----------------------------------------------------------------------------


def test_arrays_import_numpy_but_not_duckdb() -> None:
    loaded = "{name.partition('.')[0] for name in sys.modules}"
    program = f"import sys; import lifecycle_adapters.arrays; print('numpy' in {loaded}, 'duckdb' in {loaded})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_without_numpy_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numpy", None)
    monkeypatch.delitem(sys.modules, "lifecycle_adapters.arrays")
    with pytest.raises(MissingExtra, match=r"task-lifecycle\[arrays\]"):
        importlib.import_module("lifecycle_adapters.arrays")
