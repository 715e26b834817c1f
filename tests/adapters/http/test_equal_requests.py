"""The synchronous and the asynchronous client send equal requests, get equal results and record equal histories.

Each script is played twice on the emulator, once by either client, and everything that was sent, received and
recorded is compared. The service chooses the ids, so they are numbered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple, cast

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import LifecycleError, Origin
from lifecycle.memory import MemoryTaskJournal
from lifecycle.testing import events
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client
from lifecycle_adapters.services import service
from tests.adapters.http.both import KEY, QUICK, AnyClient, AnyTask, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.http.faults import faults

APIS = ("v1", "v2", "v2-session", "v3", "v4")


class Step(NamedTuple):
    """One step of a script: send a command, read the task, fire a remote event, or arm a fault."""

    kind: str
    name: str
    fields: dict[str, Any] = {}  # noqa: RUF012 (never changed)


class Recorder:
    """A hook of httpx2 clients: every request as it is about to leave."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str], bytes]] = []

    def __call__(self, request: httpx2.Request) -> None:
        headers = {name: value for name, value in request.headers.items() if name != "host"}
        self.sent.append((request.method, request.url.raw_path.decode(), headers, request.content))

    async def later(self, request: httpx2.Request) -> None:
        self(request)


class Both:
    """Both clients of every API, one emulator, and what is compared."""

    def __init__(self, opened: ExitStack) -> None:
        self.emulator = opened.enter_context(Emulator(manual=True))
        self.recorder = Recorder()
        # Whether a task was created just now, and may not be found yet, depends on the machine, too.
        timing = replace(QUICK, appear_s=1e-6)
        common: dict[str, Any] = {"api_key": KEY, "base_url": self.emulator.base_url, "timing": timing}
        http = opened.enter_context(httpx2.Client(verify=NO_CERTIFICATES, event_hooks={"request": [self.recorder]}))
        hooked = {"verify": NO_CERTIFICATES, "event_hooks": {"request": [self.recorder.later]}}
        self.clients: dict[str, tuple[AnyClient, AnyClient]] = {}
        for api in APIS:
            later = opened.enter_context(BlockingClient(api, http_settings=hooked, **common))
            self.clients[api] = (Client(api, http=http, **common), later)

    def play(self, api: str, script: Sequence[Step]) -> None:
        """Play the script with either client, and compare all that can be compared."""
        first, second = (self._played(client, api, script) for client in self.clients[api])
        assert first == second

    def _played(self, client: AnyClient, api: str, script: Sequence[Step]) -> dict[str, list[str]]:
        self.emulator.reset()
        self.recorder.sent.clear()
        task = client.create() if api == "v2-session" else client.create("buy milk")
        came = [_came(step, self.emulator, task) for step in script]
        calls = self.emulator.calls()
        played: dict[str, Sequence[object]] = {
            "sent": _settled(self.recorder.sent),
            "arrived": _settled([(call.method, call.path, call.query, call.body, call.fault) for call in calls]),
            "came": came,
            "recorded": [_untimed(entry) for entry in cast("MemoryTaskJournal[str, str]", task.journal).entries],
            "moved": [(each.event, each.target) for each in self.emulator.task(task.id).transitions],
        }
        return {name: _numbered("\n".join(map(repr, value))).splitlines() for name, value in played.items()}


def _taken(step: Step, emulator: Emulator, task: AnyTask) -> object:
    match step:
        case ("send", command, fields):
            return task.send(command, **fields)
        case ("fire", event, _):
            return emulator.fire(task.id, event).state
        case ("fault", kind, fields):
            emulator.fault(kind, **fields)
            return None
        case ("ask", "wait", _):
            return task.wait(timeout_s=0)
        case (_, question, _):
            return getattr(task, question)()


def _came(step: Step, emulator: Emulator, task: AnyTask) -> object:
    try:
        return _taken(step, emulator, task)
    except LifecycleError as error:
        return type(error).__name__, str(error), type(error.__cause__).__name__


def _settled(calls: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Without the reads that only repeat the one before: how many fit into a second depends on the machine."""
    befores = [None, *calls]
    return [call for call, before in zip(calls, befores, strict=False) if call != before or call[0] != "GET"]


def _untimed(entry: object) -> str:
    return re.sub(r"as_of=datetime\.datetime\([^()]*\(?[^()]*\)?\)|times=\d+", "", repr(entry))


_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|task_[0-9a-f]+")
# Which of these a dropped connection is depends on when the operating system notices.
_DROPPED = re.compile(
    r"Server disconnected without sending a response\.|\[Errno 104\] Connection reset by peer"
    r"|(?<=')(RemoteProtocolError|ReadError)(?=')"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?|(?<='duration': )[\d.e-]+")


def _numbered(text: str) -> str:
    """Ids by the order of their first appearance, one word for a dropped connection, no times."""
    numbers: dict[str, str] = {}
    text = _ID.sub(lambda match: numbers.setdefault(match[0], f"<id {len(numbers)}>"), text)
    return _TIME.sub("<time>", _DROPPED.sub("<dropped>", text))


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with ExitStack() as opened:
        yield Both(opened)


# --- scripts ------------------------------------------------------------------------------------


def send(command: str) -> Step:
    return Step("send", command, {"task": "buy bread"} if command == "dispatch" else {})


def ask(question: str) -> Step:
    return Step("ask", question)


def fire(event: str) -> Step:
    return Step("fire", event)


def fault(kind: str, **fields: Any) -> Step:
    return Step("fault", kind, fields)


UNPROCESSABLE = {"detail": [{"loc": ["query", "task_id"], "msg": "no", "type": "t"}]}

# fmt: off
SCRIPTS: dict[str, tuple[str, list[Step]]] = {
    "v1": ("v1", [
        ask("status"), fire("start"), send("pause"), ask("status"), send("pause"), send("resume"), send("resume"),
        ask("allowed"), send("stop"), send("stop"), send("pause"), ask("wait"), ask("details"), ask("recover"),
    ]),
    "v1 with faults": ("v1", [
        fire("start"), fault("fail_after", command="pause"), send("pause"), fault("drop_before", command="resume"),
        send("resume"), fault("status", status_code=429, headers={"Retry-After": "0"}, times=2), ask("status"),
        fault("status", status_code=422, body=UNPROCESSABLE, command="pause"), send("pause"),
        fault("status", status_code=500, times=20, command="pause"), send("pause"), send("stop"), ask("recover"),
    ]),
    "v2": ("v2", [
        fire("start"), ask("status"), send("stop_task_and_session"), send("stop"), ask("wait"), ask("details"),
    ]),
    "v2 with faults": ("v2", [
        fault("drop_after", command="stop_task_and_session"), send("stop_task_and_session"), ask("wait"),
    ]),
    "v2-session": ("v2-session", [ask("status"), send("stop"), send("stop"), ask("details")]),
    "v3": ("v3", [
        fire("start"), ask("status"), send("stop_task"), send("dispatch"), fire("complete"), ask("wait"),
        send("dispatch"), send("dispatch"), send("stop"), ask("wait"),
    ]),
    "v3 with faults": ("v3", [
        fire("start"), fire("complete"), fault("drop_after", command="dispatch"), send("dispatch"), ask("recover"),
        send("stop_task"), send("stop"), ask("recover"),
    ]),
    "v4": ("v4", [fire("dispatch"), ask("status"), fire("start"), send("cancel"), send("cancel"), ask("wait")]),
}
# fmt: on


@pytest.mark.parametrize(("api", "script"), SCRIPTS.values(), ids=SCRIPTS)
def test_both_clients_send_equal_requests_for_a_script(both: Both, api: str, script: list[Step]) -> None:
    both.play(api, script)


def test_scripts_send_every_command_of_every_service() -> None:
    for api in APIS:
        sent = {step.name for of, script in SCRIPTS.values() for step in script if (of, step.kind) == (api, "send")}
        assert sent >= set(map(str, service(api).commands))


@pytest.mark.parametrize("api", APIS)
def test_both_clients_list_with_equal_requests(both: Both, api: str) -> None:
    both.emulator.reset()
    first, second = both.clients[api]
    for _ in range(3):
        first.create() if api == "v2-session" else first.create("buy milk")
    seen: list[object] = []
    for client in (first, second):
        both.recorder.sent.clear()
        listed = list(client.list(**({"limit": "2"} if api in ("v1", "v4") else {})))
        seen.append((list(both.recorder.sent), listed))
        assert len(listed) == 3
    assert seen[0] == seen[1]


# --- scripts that Hypothesis writes -------------------------------------------------------------

ASKS = ("status", "allowed", "details", "wait", "recover", "known_state")


def scripts(api: str) -> st.SearchStrategy[list[Step]]:
    lifecycle = service(api).lifecycle
    commands = events(lifecycle, origin=Origin.CALLER).map(str).map(send)
    remote = events(lifecycle, origin=Origin.REMOTE).map(str).map(fire)
    wrong = faults(api).map(lambda drawn: fault(**drawn))
    return st.lists(commands | remote | st.sampled_from(ASKS).map(ask) | wrong, min_size=1, max_size=12)


def check(both: Both, api: str, *, examples: int) -> None:
    @settings(max_examples=examples)
    @given(script=scripts(api))
    def play(script: list[Step]) -> None:
        both.play(api, script)

    play()


@pytest.mark.parametrize("api", APIS)
def test_both_clients_send_equal_requests_for_any_script(both: Both, api: str) -> None:
    check(both, api, examples=8)


@pytest.mark.heavy
@pytest.mark.parametrize("api", APIS)
def test_both_clients_send_equal_requests_for_many_scripts(both: Both, api: str) -> None:
    check(both, api, examples=200)
