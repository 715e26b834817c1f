"""Scripts: those that a task's text names, and those that a lifecycle implies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import CATALOG, V1, V1_FULL, V2_FULL, V2_SESSION, V3_FULL, V4, Lifecycle, Origin, UnknownName
from lifecycle_adapters.emulator.script import default_script, parse_script
from lifecycle_adapters.http import HttpBinding
from tests.support.packages import ROOT

EXAMPLES = {
    path.stem: HttpBinding.from_file(path).lifecycle for path in (ROOT / "examples" / "services").glob("*.yaml")
}
LIFECYCLES = {**CATALOG, **EXAMPLES}


@pytest.mark.parametrize(
    ("text", "events"),
    [
        ("Buy milk", None),
        ("Buy milk [remote: start, fail]", ("start", "fail")),
        ("[remote:start fail] Buy milk", ("start", "fail")),
        ("Buy milk [remote:]", ()),
        ("Buy milk [remote: start", None),
        ("", None),
    ],
)
def test_a_text_can_name_the_remote_events(text: str, events: tuple[str, ...] | None) -> None:
    assert parse_script(text, V1_FULL) == events


def test_an_undeclared_event_or_a_command_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'start'"):
        parse_script("[remote: strt]", V1_FULL)
    with pytest.raises(UnknownName, match="unknown event 'start;'; did you mean 'start'"):
        parse_script("[remote: start; fail]", V1_FULL)
    with pytest.raises(UnknownName, match="'v1-full' declares it"):
        parse_script("[remote: start]", V1)
    with pytest.raises(ValueError, match="'stop' is a command"):
        parse_script("[remote: stop]", V1_FULL)


@pytest.mark.parametrize(
    ("lifecycle", "state", "events"),
    [
        (V1, "running", ()),  # nothing happens by itself
        (V1_FULL, "created", ("start", "finish")),
        (V1_FULL, "paused", ()),  # it waits for a resume, although it could fail
        (V1_FULL, "stopped", ()),
        (V2_FULL, "created", ("start", "finish")),
        (V2_SESSION, "active", ("close",)),
        (V3_FULL, "created", ("start", "close")),
        (V4, "dispatching", ("start", "complete")),
        (EXAMPLES["print-job"], "waiting", ("begin", "finish")),
        (EXAMPLES["openai-batch"], "validating", ("begin", "finalize", "complete")),  # and not fail, which is shorter
        (EXAMPLES["openai-batch"], "cancelling", ("end_cancelled",)),  # it can no longer be completed
        (EXAMPLES["replicate-prediction"], "starting", ("begin", "succeed")),
        (EXAMPLES["anthropic-batch"], "canceling", ("end",)),
    ],
)
def test_a_lifecycle_implies_a_script(lifecycle: Lifecycle[str, str], state: str, events: tuple[str, ...]) -> None:
    assert default_script(lifecycle, state) == events


@given(data=st.data())
def test_an_implied_script_is_possible_and_comes_to_rest(data: st.DataObject) -> None:
    lifecycle = LIFECYCLES[data.draw(st.sampled_from(sorted(LIFECYCLES)))]
    start = data.draw(st.sampled_from([str(state.name) for state in lifecycle.states]))
    events = default_script(lifecycle, start)
    assert all(lifecycle.event(event).origin is Origin.REMOTE for event in events)
    state = start
    for number, event in enumerate(events):
        assert default_script(lifecycle, state) == events[number:], "the path is the same from each state on it"
        state = lifecycle.step(state, event)
    assert default_script(lifecycle, state) == ()
