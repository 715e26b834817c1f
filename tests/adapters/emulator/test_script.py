"""Scripts: those that a task's text names, and the defaults."""

from __future__ import annotations

import pytest

from lifecycle import V1, V1_FULL, V2_FULL, V2_SESSION, V3_FULL, V4, Lifecycle, Origin, UnknownName
from lifecycle_adapters.emulator import script
from lifecycle_adapters.emulator.script import parse_script


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
    with pytest.raises(UnknownName, match="'v1-full' declares it"):
        parse_script("[remote: start]", V1)
    with pytest.raises(ValueError, match="'stop' is a command"):
        parse_script("[remote: stop]", V1_FULL)


@pytest.mark.parametrize(
    ("events", "lifecycle", "end"),
    [
        (script.V1_TASK, V1_FULL, "finished"),
        (script.V2_TASK, V2_FULL, "finished"),
        (script.V2_SESSION, V2_SESSION, "active"),
        (script.V2_SESSION_CLOSING, V2_SESSION, "stopped"),
        (script.V3_EMPTY, V3_FULL, "idle"),
        (script.V3_TASK, V3_FULL, "stopped"),
        (script.V3_TASK_KEPT, V3_FULL, "idle"),
        (script.V4_RUN, V4, "completed"),
    ],
)
def test_each_default_script_is_possible_and_remote(
    events: tuple[str, ...], lifecycle: Lifecycle[str, str], end: str
) -> None:
    assert lifecycle.replay(events) == end
    assert all(lifecycle.event(event).origin is Origin.REMOTE for event in events)
