"""Whatever the functions raise, and whenever: a command that is not idempotent takes effect at most once."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import A2AState, LifecycleError
from lifecycle_adapters.http import Timing
from lifecycle_adapters.objects import Limited, Meaning
from tests.adapters.objects.worlds import Agent, Both


class Failed(Exception):
    """What a call raises, with its meaning."""

    def __init__(self, meaning: Meaning | Limited) -> None:
        super().__init__(meaning)
        self.meaning = meaning


LOST = (Failed(Meaning.MAY_HAVE_ARRIVED), KeyError("?"), KeyboardInterrupt())
IN_VAIN = (*(Failed(each) for each in (*Meaning, Limited(), Limited(0.001))), KeyError("?"), KeyboardInterrupt())
"""What a call raises after it took effect, and what it may raise before."""
SENDS: list[tuple[BaseException | None, BaseException | None]] = [
    (None, None),
    *((None, each) for each in LOST),
    *((each, None) for each in IN_VAIN),
]
INSTANT = Timing(
    attempts=3,
    retry_budget_s=1,
    longest_retry_s=1e-3,
    settle_timeout_s=1e-3,
    poll_s=1e-3,
    longest_poll_s=1e-3,
    appear_s=1e-3,
)


def meanings(error: Exception) -> Meaning | Limited | None:
    return error.meaning if isinstance(error, Failed) else None


@pytest.mark.parametrize("kind", ["sync", "async"])
@given(
    sends=st.lists(
        st.sampled_from([(None, None), *((None, each) for each in LOST), *((each, None) for each in IN_VAIN)])
    ),
    reads=st.lists(st.sampled_from([None, *IN_VAIN]), max_size=8),
    further=st.lists(st.sampled_from(["recover", "answer", "status"]), max_size=4),
    waits_again=st.booleans(),
)
def test_answer_takes_effect_once_at_most(
    *,
    kind: str,
    sends: list[tuple[BaseException | None, BaseException | None]],
    reads: list[BaseException | None],
    further: list[str],
    waits_again: bool,
) -> None:
    agent = Agent(A2AState.INPUT_REQUIRED)
    agent.before["read"] = [*reads]
    agent.before["send"], agent.after["send"] = [before for before, _ in sends], [after for _, after in sends]
    client = Both(kind, agent, timing=INSTANT, meanings=meanings)

    for name in ["answer", *further]:
        fields = {"parts": [{"text": "to Lisbon"}], "idempotency_key": "k"} if name == "answer" else {}
        with suppress(LifecycleError, KeyboardInterrupt):
            client.task(name, **fields)
        if waits_again and agent.effects:  # the agent asks once more, as if the answer had not come
            agent.states["t1"] = A2AState.INPUT_REQUIRED

    assert agent.effects in ([], ["answer"])
