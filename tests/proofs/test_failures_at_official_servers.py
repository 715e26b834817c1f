"""What goes wrong around a command to a server of an official SDK: lost responses, ignored cancels, killed processes.

After a death another process settles the command. The journal is a SQLite file, and the end is SIGKILL: nothing of the
process runs any more.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx2
import pytest

from lifecycle import CommandUncertain, TaskEndedFirst
from lifecycle_adapters.http import Client, Timing
from lifecycle_adapters.journal import SqlJournal
from tests.proofs.witness import PROCESSES
from tests.support.sdk_servers import MCP_SDK_2, installed, sdk_server

LIMIT_S = 60.0
TIMING = Timing(poll_s=0.02, settle_timeout_s=0.5, retry_budget_s=2.0)
PATHS = {"a2a": "", "a2a-jsonrpc": "/rpc", "mcp": "/mcp", "mcp-extension": "/mcp"}
CANCELS = {  # texts of their requests
    "a2a": ":cancel",
    "a2a-jsonrpc": "CancelTask",
    "mcp": "tasks/cancel",
    "mcp-extension": "tasks/cancel",
}
ANSWER = "Lisbon"
DEATHS = ("before the request is sent", "before the response is read")


class Mortal(httpx2.HTTPTransport):
    """A transport that signals one point of the request with this text, and then blocks for ever."""

    def __init__(self, text: str, at: str, is_there: Event) -> None:
        super().__init__()
        self._text, self._at, self._is_there = text, at, is_there

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_it = self._text in str(request.url) + request.content.decode()
        if is_it:
            self._stop(DEATHS[0])
        response = super().handle_request(request)
        if is_it:
            self._stop(DEATHS[1])
        return response

    def _stop(self, at: str) -> None:
        if at == self._at:
            self._is_there.set()
            time.sleep(LIMIT_S * 10)


@dataclass(frozen=True)
class Life:
    """A process that sends the command whose request has this text, and can be killed at a point of it."""

    journal: Path
    api: str
    base_url: str
    task_id: str
    text: str
    at: str

    def live(self, is_there: Event) -> None:
        with (
            SqlJournal(self.journal, worker="the mortal") as journal,
            httpx2.Client(transport=Mortal(self.text, self.at, is_there)) as http,
        ):
            client = Client(self.api, base_url=self.base_url, timing=TIMING, journal=journal, http=http)
            task: Any = client.task(self.task_id)
            if self.text == ANSWER and self.api == "mcp-extension":
                task.send("answer", inputResponses={"why": {"action": "accept", "content": {"text": ANSWER}}})
            elif self.text == ANSWER:
                task.answer([{"text": ANSWER}])
            else:
                task.cancel()

    def end(self) -> None:
        """Live until the point, and be killed there."""
        is_there = PROCESSES.Event()
        worker = PROCESSES.Process(target=self.live, args=(is_there,))
        worker.start()
        try:
            assert is_there.wait(LIMIT_S)
        finally:
            worker.kill()
            worker.join()


class Losing(httpx2.HTTPTransport):
    """Loses the response to the first request with a text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.lost = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = super().handle_request(request)
        if not self.lost and self._text in str(request.url) + request.content.decode():
            response.read()
            self.lost += 1
            raise httpx2.ReadError("lost")
        return response


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    sdk = installed(tmp_path_factory.mktemp("sdk"), *MCP_SDK_2)
    with (
        sdk_server("tests.support.a2a_agent") as agent,
        sdk_server("tests.support.mcp_server") as tools,
        sdk_server("tests.support.mcp_extension_server", packages=sdk) as extension,
    ):
        hosts = {"mcp": tools, "mcp-extension": extension}
        yield {api: hosts.get(api, agent) + path for api, path in PATHS.items()}


def created(client: Client[Any, Any], text: str) -> Any:
    """Create a task that does what this text says."""
    is_tool = client.lifecycle.name.startswith("mcp")
    return client.create(name=text) if is_tool else client.create(parts=[{"text": text}])


@pytest.mark.heavy
@pytest.mark.parametrize("api", PATHS)
def test_cancel_whose_response_is_lost_is_settled_by_reads(servers: dict[str, str], api: str) -> None:
    transport = Losing(CANCELS[api])
    with httpx2.Client(transport=transport) as http:
        client = Client(api, base_url=servers[api], timing=TIMING, http=http)
        assert created(client, "long").cancel().state in ("cancelled", "TASK_STATE_CANCELED")
    assert transport.lost == 1


@pytest.mark.heavy
@pytest.mark.parametrize("api", PATHS)
def test_cancel_that_is_ignored_is_no_success(servers: dict[str, str], api: str) -> None:
    with Client(api, base_url=servers[api], timing=TIMING) as client:
        task = created(client, "deaf")
        with pytest.raises(TaskEndedFirst):
            task.cancel()
        assert task.status() in ("completed", "TASK_STATE_COMPLETED")


@pytest.mark.heavy
@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("api", PATHS)
def test_cancel_of_a_killed_process_is_settled_by_another(
    servers: dict[str, str], tmp_path: Path, api: str, death: str
) -> None:
    with (
        SqlJournal(tmp_path / "tasks.db", worker="another") as journal,
        Client(api, base_url=servers[api], timing=TIMING, journal=journal) as client,
    ):
        task = created(client, "long")
        Life(tmp_path / "tasks.db", api, servers[api], task.id, CANCELS[api], death).end()
        was_over = death == DEATHS[1]
        assert client.lifecycle.is_final(client.task(task.id).status()) is was_over

        (recovered,) = client.recover(dead=["the mortal"])

        assert (recovered.task_id, recovered.is_settled, recovered.error) == (task.id, True, None)
        assert task.status() in ("cancelled", "TASK_STATE_CANCELED")
        assert client.recover() == []


@pytest.mark.heavy
@pytest.mark.parametrize("api", ["a2a", "a2a-jsonrpc", "mcp-extension"])
def test_answer_of_a_killed_process_is_not_sent_again(servers: dict[str, str], tmp_path: Path, api: str) -> None:
    """Nobody can know whether it arrived: the agent still asks, and a second answer may be a second order."""
    with (
        SqlJournal(tmp_path / "tasks.db", worker="another") as journal,
        Client(api, base_url=servers[api], timing=TIMING, journal=journal) as client,
    ):
        task = created(client, "ask")
        task.wait("settled")
        Life(tmp_path / "tasks.db", api, servers[api], task.id, ANSWER, DEATHS[0]).end()

        (recovered,) = client.recover(dead=["the mortal"])

        assert not recovered.is_settled
        assert isinstance(recovered.error, CommandUncertain)
        assert task.status() in ("input_required", "TASK_STATE_INPUT_REQUIRED")


@pytest.mark.heavy
@pytest.mark.parametrize("api", ["a2a", "a2a-jsonrpc"])
def test_answer_that_had_its_effect_is_settled(servers: dict[str, str], tmp_path: Path, api: str) -> None:
    with (
        SqlJournal(tmp_path / "tasks.db", worker="another") as journal,
        Client(api, base_url=servers[api], timing=TIMING, journal=journal) as client,
    ):
        task = client.create(parts=[{"text": "ask"}])
        task.wait("settled")
        Life(tmp_path / "tasks.db", api, servers[api], task.id, ANSWER, DEATHS[1]).end()
        assert task.wait("final").state == "TASK_STATE_COMPLETED"

        (recovered,) = client.recover(dead=["the mortal"])

        assert recovered.is_settled
        said = [part["text"] for each in task.details()["history"] for part in each["parts"]]
        assert said.count(ANSWER) == 1
