"""No wait after an answer returns the question that was answered, whichever handle answers, and however late the agent.

The oracle is the agent, which numbers its questions; no part of the client sees the numbers as such.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import IllegalTransition, MemoryJournal
from lifecycle_adapters.http import Client, HttpBinding, Timing
from lifecycle_adapters.services.a2a import A2A

AT_ONCE = Timing(poll_s=0.0001, longest_poll_s=0.0001, attempts=1)
PARTS = [{"text": "as you like"}]
HANDLES = 3


@dataclass
class Agent:
    """An agent that asks one question after another. Requests alone move it, no clock does.

    An answer takes the next of `delays`, unless another answer is still being worked off: so many reads of the status
    still show the question that was answered, and so many then show it at work. With neither it asks again at once.
    It never asks between a read and the next request: which question an answer is then for, no client can know.
    """

    delays: list[tuple[int, int]]
    shown_by: str  # the field that changes with each question
    question: int = 1
    answered: int = 0
    unstamped: int = 0  # so many reads of the status have no time stamp
    shown: int = 0  # the question when the status was read last
    ahead: list[str] | None = None  # what the next reads show before it asks again; None while it waits for an answer

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "POST":
            if "taskId" in json.loads(request.content)["message"]:
                self._take_answer()
            return httpx2.Response(200, json={"task": self._task()})
        if "historyLength" not in request.url.params:  # a read of the details
            return httpx2.Response(200, json=self._task())
        if self.ahead == []:
            self._ask()
        task, self.shown = self._task(), self.question
        if self.unstamped:
            self.unstamped -= 1
            del task["status"]["timestamp"]
        if self.ahead:
            self.ahead = self.ahead[1:]
        return httpx2.Response(200, json=task)

    def _take_answer(self) -> None:
        self.answered = self.question
        if self.ahead is None:
            late, works = self.delays.pop(0) if self.delays else (1, 0)
            self.ahead = ["TASK_STATE_INPUT_REQUIRED"] * late + ["TASK_STATE_WORKING"] * works
            if not self.ahead:
                self._ask()

    def _ask(self) -> None:
        self.question, self.ahead = self.question + 1, None

    def _task(self) -> dict[str, Any]:
        state = self.ahead[0] if self.ahead else "TASK_STATE_INPUT_REQUIRED"
        task: dict[str, Any] = {"id": "t", "contextId": "c", "status": {"state": state}}
        if self.shown_by == "timestamp":
            task["status"]["timestamp"] = f"2026-01-01T00:00:{self.question:02}Z"
        else:
            task["artifacts"] = [self.question]
        return task


BINDINGS: dict[str, HttpBinding[Any, Any]] = {"timestamp": A2A, "artifacts": replace(A2A, changed_field=None)}
STEPS = st.tuples(st.integers(0, HANDLES - 1), st.sampled_from(["answer", "answer", "wait", "status", "details"]))


@pytest.mark.parametrize("shown_by", BINDINGS)
@given(
    delays=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=6),
    steps=st.lists(STEPS, min_size=2, max_size=10),
)
def test_wait_after_an_answer_does_not_return_the_answered_question(
    shown_by: str, delays: list[tuple[int, int]], steps: list[tuple[int, str]]
) -> None:
    agent = Agent([*delays], shown_by)
    http = httpx2.Client(transport=httpx2.MockTransport(agent.respond))
    settings: dict[str, Any] = {"timing": AT_ONCE, "journal": MemoryJournal(), "http": http}
    with http, Client(BINDINGS[shown_by], **settings) as client, Client(BINDINGS[shown_by], **settings) as another:
        handles = [client.create(parts=PARTS), client.task("t"), another.task("t")]
        answered = [0] * HANDLES
        for number, step in [*steps, *((each, "wait") for each in range(HANDLES))]:
            task = handles[number]
            match step:
                case "answer":
                    try:
                        task.answer(PARTS)
                    except IllegalTransition:
                        continue  # it was at work
                    answered[number] = agent.answered
                case "wait":
                    task.wait(timeout_s=20)
                    assert agent.shown > answered[number], f"{delays=} {steps=}"
                case "status":
                    task.status()
                case _:
                    task.details()


def test_missing_time_stamp_before_the_answer_shows_no_change() -> None:
    agent = Agent([(2, 1)], "timestamp", unstamped=1)
    with (
        httpx2.Client(transport=httpx2.MockTransport(agent.respond)) as http,
        Client(A2A, timing=AT_ONCE, http=http) as c,
    ):
        task = c.create(parts=PARTS)
        task.answer(PARTS)
        task.wait(timeout_s=20)

    assert agent.shown > agent.answered
