"""The queue of a v4 session: messages that become the next run, as the document of 2026-07-26 has them.

Queue Session Message: "If the session is busy it waits on the queue and runs as the next turn; if idle it drains
immediately." The quotations of the other tests are of the same document.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest

from lifecycle_adapters.emulator import Emulator
from tests.adapters.emulator.requests import connect

TO_ITS_END = ("dispatch", "start", "complete")
NOWHERE = "3c90c3cc-0d44-4b50-8888-8dd25736052a"


class Session:
    """A session with one run that is queued, over plain HTTP."""

    def __init__(self, http: httpx2.Client, emulator: Emulator) -> None:
        self.http = http
        self.emulator = emulator
        self.run = http.post("/api/v4/runs", json={"task": "Buy milk", "model": "kimi-k3"}).json()
        self.path = f"/api/v4/sessions/{self.run['sessionId']}/queue"

    def queue(self, text: str = "Buy bread", **fields: Any) -> Any:
        response = self.http.post(self.path, json={"text": text, **fields})
        assert response.status_code == 200, response.text
        return response.json()

    def message(self, message: Any) -> Any:
        return self.http.get(f"{self.path}/{message['id']}").json()

    def cancel(self, message: Any) -> httpx2.Response:
        return self.http.delete(f"{self.path}/{message['id']}")

    def pending(self) -> list[str]:
        return [each["text"] for each in self.http.get(self.path).json()["queue"]]

    def runs(self) -> list[tuple[str, str]]:
        """The tasks and statuses of the session's runs, oldest first."""
        runs = self.http.get("/api/v4/runs", params={"sessionId": self.run["sessionId"]}).json()["runs"]
        return [(run["task"], run["status"]) for run in reversed(runs)]

    def finish(self, run_id: str) -> None:
        for event in TO_ITS_END:
            self.emulator.fire(run_id, event)


@pytest.fixture
def session(http: httpx2.Client, emulator: Emulator) -> Session:
    return Session(http, emulator)


def test_a_message_to_a_busy_session_waits_and_runs_next(session: Session) -> None:
    message = session.queue()
    assert {**message, "createdAt": ""} == {
        "id": message["id"], "sessionId": session.run["sessionId"], "runId": None, "mode": "queue", "status": "pending",
        "text": "Buy bread", "attachedFileIds": None, "createdAt": "",
    }  # fmt: skip
    assert session.message(message) == message
    session.finish(session.run["id"])
    assert (session.message(message)["status"], session.pending()) == ("dispatching", [])
    session.emulator.fire(str(message["id"]), "consume")
    consumed = session.message(message)
    run = session.http.get(f"/api/v4/runs/{consumed['runId']}").json()
    assert consumed["status"] == "consumed"
    assert (run["task"], run["status"], run["model"]) == ("Buy bread", "queued", "kimi-k3")
    assert (run["sessionId"], run["workspaceId"]) == (session.run["sessionId"], session.run["workspaceId"])


def test_pending_messages_are_listed_oldest_first(session: Session) -> None:
    """List Session Queue: "List the session's still-pending queued messages, oldest first."."""
    messages = [session.queue(text) for text in ("one", "two", "three")]
    session.cancel(messages[1])
    assert session.pending() == ["one", "three"]
    session.finish(session.run["id"])
    assert session.pending() == ["three"]


def test_only_a_pending_message_is_cancelled(session: Session) -> None:
    """Cancel Queued Message: "Remove a still-pending queued message; 409 once the drain has claimed it."."""
    message, other = session.queue(), session.queue()
    response = session.cancel(message)
    assert (response.status_code, response.json()) == (200, {**message, "status": "cancelled"})
    session.finish(session.run["id"])
    text = {"detail": "The message is no longer pending and cannot be cancelled."}
    for each in (message, other):
        refused = session.cancel(each)
        assert (refused.status_code, refused.json()) == (409, text)


def test_an_interrupting_message_cancels_the_run_and_goes_first(session: Session) -> None:
    """Queue Session Message: "the session's active run is cancelled and this message drains straight after"."""
    waiting, urgent = session.queue("later"), session.queue("now", interrupt=True)
    assert (urgent["mode"], urgent["status"]) == ("interrupt", "dispatching")
    assert (session.message(waiting)["status"], session.runs()) == ("pending", [("Buy milk", "cancelled")])


def test_interrupt_of_an_idle_session_is_an_ordinary_message(session: Session) -> None:
    """Queue Session Message: "no-op when the session is idle"."""
    session.finish(session.run["id"])
    assert session.queue(interrupt=True)["status"] == "dispatching"
    assert session.runs() == [("Buy milk", "completed")]


def test_a_session_with_a_claimed_message_is_not_idle(session: Session) -> None:
    session.finish(session.run["id"])
    first, second = session.queue("one"), session.queue("two")
    assert (first["status"], second["status"]) == ("dispatching", "pending")
    body = {"task": "Buy eggs", "sessionId": session.run["sessionId"]}
    assert session.http.post("/api/v4/runs", json=body).status_code == 409
    session.emulator.fire(str(first["id"]), "fail")
    assert session.message(second)["status"] == "dispatching"


def test_a_full_queue_is_a_429(session: Session) -> None:
    """Queue Session Message: 429 "The session message queue is full."."""
    for _ in range(20):
        session.queue()
    refused = session.http.post(session.path, json={"text": "one more"})
    assert (refused.status_code, refused.json()) == (429, {"detail": "The session message queue is full."})


def test_unknown_sessions_and_messages_return_404(session: Session) -> None:
    unknown = {"detail": "Session not found"}
    for method, body in (("GET", None), ("POST", {"text": "x"})):
        response = session.http.request(method, f"/api/v4/sessions/{NOWHERE}/queue", json=body)
        assert (response.status_code, response.json()) == (404, unknown)
    message = session.queue()
    for path in (f"{session.path}/1", f"/api/v4/sessions/{NOWHERE}/queue/{message['id']}"):
        for method in ("GET", "DELETE"):
            response = session.http.request(method, path)
            assert (response.status_code, response.json()) == (404, {"detail": "Message not found"})
    assert session.http.get("/api/v4/sessions/no-uuid/queue").status_code == 422
    assert session.http.get(f"{session.path}/no-number").status_code == 422


def test_unknown_fields_are_refused(session: Session) -> None:
    """QueueMessageRequest: `text` has at least one character, and there are no additional properties."""
    for body in ({}, {"text": ""}, {"text": "x", "task": "y"}, {"text": "x", "attachedFileIds": [NOWHERE] * 21}):
        assert session.http.post(session.path, json=body).status_code == 422


@pytest.fixture(scope="module")
def quick() -> Iterator[Emulator]:
    with Emulator(pace_s=0.01) as emulator:
        yield emulator


def test_messages_become_runs_one_after_another_by_themselves(quick: Emulator) -> None:
    with connect(quick) as http:
        session = Session(http, quick)
        for text in ("one", "two", "three"):
            session.queue(text)
        quick.advance(10)
        assert session.runs() == [(text, "completed") for text in ("Buy milk", "one", "two", "three")]
        runs = quick.tasks("v4")[::-1]
        for before, after in pairwise(runs):
            assert after.created_at > before.transitions[-1].at
