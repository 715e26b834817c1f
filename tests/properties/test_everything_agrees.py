"""Client, emulator, table and `transitions` machine, driven together over real HTTP, always agree.

`test_client_and_service_agree_after_every_step` is a test as a user of lifecycle.testing would write it: executors of
one lifecycle side by side, with faults that a client must overcome by itself. `Together` goes further: one task for two
clients and another actor, and faults that no client can overcome. After such a fault a client may report that the
outcome is unknown, but it must never report anything false.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lifecycle import (
    CATALOG,
    CommandError,
    CommandInFlight,
    IllegalTransition,
    Lifecycle,
    LifecycleError,
    Origin,
    Severity,
    TaskEndedFirst,
    VerdictKind,
)
from lifecycle.command import CommandResult
from lifecycle.journal import CommandEntry
from lifecycle.memory import MemoryJournal, MemoryTaskJournal
from lifecycle.testing import Executor, check_executor, events, lifecycle_machine, states
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, HttpError
from lifecycle_adapters.machine import bind
from lifecycle_adapters.services import service, services
from lifecycle_adapters.services.registry import FURTHER
from tests.adapters.http.both import KEY, QUICK, AnyClient, AnyTask, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.http.faults import Fault, faults, reads

# A task may not be found immediately after its creation.
DID_NOTHING = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.NOT_FOUND)
# No fault here hangs, so that only a busy machine makes a request slow.
TIMING = replace(QUICK, request_timeout_s=30.0, longest_retry_s=0.005, settle_timeout_s=0.05)


@dataclass(frozen=True)
class Stage:
    """One lifecycle with its emulator, both clients on one journal, and plain httpx2."""

    api: str
    lifecycle: Lifecycle[str, str]
    emulator: Emulator
    clients: dict[str, AnyClient]
    http: httpx2.Client

    def create(self, by: str) -> AnyTask:
        client = self.clients[by]
        self._end_messages(but=6)  # more than are driven side by side
        match self.api:
            case "v2-session":
                return client.create()
            case "a2a" | "a2a-jsonrpc":
                return client.create(parts=PARTS)
            case "mcp" | "mcp-extension":
                return client.create(name="buy")
            case _:
                return client.create("buy milk")

    def clear(self) -> None:
        """Forget every task and every fault, but keep the session that messages wait in."""
        if self.api == "v4-message":
            self.emulator.clear_faults()
            self._end_messages(but=0)
        else:
            self.emulator.reset()

    def _end_messages(self, *, but: int) -> None:
        """End the messages that wait, but the newest, because the queue of a session gets full."""
        if self.api == "v4-message":
            waiting = [each for each in self.emulator.tasks() if each.api == self.api and not each.is_final]
            for each in waiting[but:]:
                self.emulator.fire(each.id, "fail")

    def request(self, command: str, task_id: str) -> httpx2.Response:
        """Send a command with plain HTTP, without the project's clients."""
        binding = cast("Client", self.clients["sync"]).binding
        request = binding.command_request(command, task_id, fields(command))
        url = self.emulator.base_url + request.path
        headers = binding.request_headers(KEY) | {**request.headers}
        if binding.handshake is not None:
            begin = binding.handshake.begin.request(binding.base_path)
            begun = self.http.request(begin.method, url, json=begin.body, headers=headers)
            headers |= {binding.handshake.header: begun.headers[binding.handshake.header]}
        return self.http.request(request.method, url, params=request.query, json=request.body, headers=headers)


def fields(command: str) -> dict[str, Any]:
    given: dict[str, dict[str, Any]] = {
        "dispatch": {"task": "buy bread"},
        "answer": {"parts": PARTS, "inputResponses": {}},
    }
    return given.get(command, {})


PARTS = [{"text": "buy milk"}]
NAMES = [*(name for name in CATALOG if name.removesuffix("-full") in services()), "a2a-jsonrpc"]


@pytest.fixture(scope="module", params=NAMES)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    api = str(request.param).removesuffix("-full")
    lifecycle = CATALOG[request.param] if request.param in CATALOG else service(api).lifecycle
    with ExitStack() as opened:
        emulator = opened.enter_context(Emulator(*_apis(api), manual=True, lifecycles={api: lifecycle}))
        http = opened.enter_context(httpx2.Client(verify=NO_CERTIFICATES, timeout=60.0))
        common: dict[str, Any] = {
            "api_key": KEY if service(api).authentication is not None else None,
            "base_url": emulator.base_url,
            "lifecycle": lifecycle,
            "timing": TIMING,
        }
        common["journal"] = MemoryJournal()
        if api == "v4-message":  # a message is pending as long as its session has an active run
            of_runs = {name: common[name] for name in ("api_key", "base_url")}
            run = opened.enter_context(Client("v4", **of_runs)).create("buy milk")
            common["parameters"] = {"session_id": run.details()["sessionId"]}
        sync = Client(api, http=http, **common)
        other = opened.enter_context(BlockingClient(api, http_settings={"verify": NO_CERTIFICATES}, **common))
        yield Stage(api, sync.lifecycle, emulator, {"sync": sync, "async": other}, http)


def _apis(api: str) -> tuple[str, ...]:
    """The services to emulate, none for all that one emulator can have."""
    return (api,) if api in {each.name for each in FURTHER} else ()


# --- in step ------------------------------------------------------------------------------------


def by_the_client(stage: Stage, by: str) -> Executor[str, str]:
    """A task that a client commands, in the state that the client knows."""
    task = stage.create(by)

    def fire(event: str) -> str | None:
        if stage.lifecycle.event(event).origin is Origin.REMOTE:
            return stage.emulator.fire(task.id, event).state
        task.status()  # a client refuses only from a state that it has read
        result = task.send(event, **fields(event))
        return result.state if result.sent else None

    def arming(kind: str, **facts: Any) -> Callable[[], None]:
        def arm() -> None:
            if not any(armed.task == task.id for armed in stage.emulator.faults()):  # two may exceed the retries
                stage.emulator.fault(kind, task=task.id, **facts)

        return arm

    wrong = {
        "no read": arming("status", status_code=503, **reads(stage.api), times=2),
        "read lost": arming("drop_before", **reads(stage.api)),
        "throttled": arming("status", status_code=429, headers={"Retry-After": "0"}, times=2),
        "slow": arming("delay", seconds=0.005),
    }
    for command in stage.lifecycle.commands:
        if stage.lifecycle.event(command).idempotent:
            wrong[f"{command} lost"] = arming("drop_before", command=command)
            wrong[f"{command} done, its response lost"] = arming("drop_after", command=command)
            wrong[f"{command} done, its response 500"] = arming("fail_after", command=command)
            wrong[f"{command} not done, its response 500"] = arming("status", status_code=500, command=command)
    return Executor(state=task.status, fire=fire, faults=wrong, close=stage.emulator.clear_faults)


def by_the_emulator(stage: Stage) -> Executor[str, str]:
    """A task that plain requests command, to test the service's own transitions and refusals."""
    task = stage.create("sync")

    def fire(event: str) -> str | None:
        if stage.lifecycle.event(event).origin is Origin.REMOTE:
            return stage.emulator.fire(task.id, event).state
        assert stage.request(event, task.id).status_code in (200, 400, 409)
        call = stage.emulator.calls()[-1]
        return call.state_after if call.applied else None

    return Executor(state=lambda: stage.emulator.task(task.id).state, fire=fire)


def by_the_machine(stage: Stage) -> Executor[str, str]:
    machine = bind(stage.lifecycle, SimpleNamespace(), attach=False)
    return Executor(state=lambda: machine.state, fire=machine.fire)


def executors(stage: Stage) -> dict[str, Callable[[], Executor[str, str]]]:
    stage.clear()
    return {
        "client": lambda: by_the_client(stage, "sync"),
        "asynchronous client": lambda: by_the_client(stage, "async"),
        "emulator": lambda: by_the_emulator(stage),
        "machine": lambda: by_the_machine(stage),
    }


@pytest.mark.parametrize("name", ["client", pytest.param("asynchronous client", marks=pytest.mark.heavy), "emulator"])
def test_every_pair_and_every_invariant_over_http(stage: Stage, name: str) -> None:
    check_executor(stage.lifecycle, executors(stage)[name])


def in_step(stage: Stage, *, examples: int) -> None:
    machine = lifecycle_machine(stage.lifecycle, executors(stage))
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=15))


def test_client_and_service_agree_after_every_step(stage: Stage) -> None:
    in_step(stage, examples=2)


@pytest.mark.heavy
def test_client_and_service_agree_in_long_runs(stage: Stage) -> None:
    in_step(stage, examples=50)


# --- together -----------------------------------------------------------------------------------

Came = CommandResult[str, str] | LifecycleError | None


class Watched:
    """One task, and all parts that hold its state."""

    def __init__(self, stage: Stage, by: str) -> None:
        stage.clear()
        made = stage.create(by)
        self.stage = stage
        self.id = made.id
        self.tasks = {name: client.task(made.id) for name, client in stage.clients.items()}
        self.log = cast("MemoryTaskJournal[str, str]", made.journal)
        self.machine = bind(stage.lifecycle, SimpleNamespace(), attach=False)
        self.state = stage.lifecycle.initial  # the table's state
        self.followed = 0  # how many of the emulated transitions were compared
        self.strange: set[int] = set()  # the numbers of the calls that came from no client of the project

    # Actions

    def send(self, command: str, by: str) -> None:
        before = self.log.load()
        is_plain = not self.stage.emulator.faults() and before.open_command is None and before.state == self.state
        came, is_sent = self.act(lambda: self.tasks[by].send(command, **fields(command)))
        self.check(came, command, is_sent=is_sent)
        if is_plain:
            self.check_plain(came, command, str(before.state))

    def recover(self, by: str) -> None:
        opened = self.log.load().open_command
        came, is_sent = self.act(self.tasks[by].recover)
        if opened is None:
            assert (came, is_sent) == (None, False)
        else:
            self.check(came, opened.command, is_sent=is_sent or opened.attempts > 0)

    def read(self, by: str) -> None:
        try:
            state = self.tasks[by].status()
        except HttpError:
            assert self.stage.emulator.calls()[-1].fault, "only a fault can keep it from being read"
            return
        self.follow()
        assert state == self.state
        assert {task.known_state() for task in self.tasks.values()} == {state}

    def move(self, event: str) -> None:
        target = self.stage.lifecycle.target(self.state, event)
        try:
            assert self.stage.emulator.fire(self.id, event).state == target
        except IllegalTransition:
            assert target is None
        self.follow()

    def let_somebody_else(self, command: str) -> None:
        armed = self.stage.emulator.faults()
        self.stage.emulator.clear_faults()
        self.stage.request(command, self.id)
        self.strange.add(self.stage.emulator.calls()[-1].number)
        for fault in armed:
            self.stage.emulator.fault(**fault.model_dump())
        self.follow()

    def visit(self, state: str) -> None:
        """Lead the task to a state, if there is a path, without the project's clients."""
        lifecycle = self.stage.lifecycle
        for event in lifecycle.path(self.state, state) or ():
            is_command = lifecycle.event(event).origin is Origin.CALLER
            (self.let_somebody_else if is_command else self.move)(event)

    # Checks

    def follow(self) -> None:
        """Compare every transition of the emulator with the table and the machine."""
        task = self.stage.emulator.task(self.id)
        for each in task.transitions[self.followed :]:
            assert each.source == self.state
            self.state = self.stage.lifecycle.step(self.state, each.event)
            assert each.target == self.state == self.machine.fire(each.event)
        self.followed = len(task.transitions)
        assert task.state == self.state == self.machine.state

    def account(self) -> None:
        """Require that the calls are the journal's attempts, and that no command is repeated that must not be."""
        commands = [call for call in self.stage.emulator.calls() if call.task == self.id and call.command]
        arrived = [call for call in commands if call.number not in self.strange]
        if service(self.stage.api).handshake is not None:  # an attempt whose handshake fails sends no command
            attempted = iter([command for _, command in self.attempts()])
            assert all(str(call.command) in attempted for call in arrived)
            return
        assert [command for _, command in self.attempts()] == [call.command for call in arrived]
        taken: set[str] = set()
        for (number, command), call in zip(self.attempts(), arrived, strict=True):
            assert number not in taken
            if call.status_code not in DID_NOTHING and not self.stage.lifecycle.event(command).idempotent:
                taken.add(number)

    def finish(self) -> None:
        """Require that, without faults, all parts agree on the state and the journal holds a legal history."""
        self.stage.emulator.clear_faults()
        for by in sorted(self.tasks):
            self.recover(by)
            self.read(by)
        self.account()
        said = [entry.report.status for entry in self.log.entries if not isinstance(entry, CommandEntry)]
        findings = self.stage.lifecycle.check(said, mode="sampled")
        assert not [finding for finding in findings if finding.severity is Severity.ERROR]

    def act(self, action: Callable[[], Came]) -> tuple[Came, bool]:
        """Return the outcome of an action, and whether it sent a command."""
        attempts = len(self.attempts())
        try:
            came = action()
        except (CommandError, IllegalTransition, HttpError) as error:
            came = error
        self.follow()
        return came, len(self.attempts()) > attempts

    def attempts(self) -> list[tuple[str, str]]:
        """Return the journal's attempts as (command id, command); the last recorded state must allow each.

        A stop that every state accepts may be sent to a task that could not be read.
        """
        lifecycle = self.stage.lifecycle
        found: list[tuple[str, str]] = []
        known: str | None = None
        sends: dict[str, int] = {}
        for entry in self.log.entries:
            if not isinstance(entry, CommandEntry):
                known = entry.state
            elif entry.record.attempts > sends.get(entry.record.id, 0):
                sends[entry.record.id] = entry.record.attempts
                found.append((entry.record.id, entry.record.command))
                if known is None:
                    going = {each.name for each in lifecycle.states if not each.final}
                    assert going == {row.source for row in lifecycle.transitions if row.event == entry.record.command}
                else:
                    assert lifecycle.target(known, entry.record.command) is not None
        return found

    def check(self, came: Came, command: str, *, is_sent: bool) -> None:
        """Require that a client's outcome, if it is certain, is true."""
        lifecycle = self.stage.lifecycle
        match came:
            case CommandResult(_, state, sent, is_last_known=True):
                assert (state, sent) == (self.log.load().state, is_sent)
                assert self.stage.emulator.calls()[-1].fault, "only a fault can keep the state from being read"
            case CommandResult(_, state, sent):
                assert (state, sent) == (self.state, is_sent)
                if sent:
                    targets = {row.target for row in lifecycle.transitions if row.event == command}
                    assert any(state in {target, *lifecycle.reachable_by_remote(target)} for target in targets)
                else:
                    assert lifecycle.judge(state, command).kind is VerdictKind.REDUNDANT
            case IllegalTransition():
                assert (came.state, is_sent) == (self.state, False)
                assert lifecycle.target(self.state, command) is None
            case CommandInFlight():
                assert not is_sent
            case TaskEndedFirst():
                assert came.state == self.state
                assert lifecycle.is_final(self.state)
            case _:
                pass

    def check_plain(self, came: Came, command: str, state: str) -> None:
        """Require that, without faults and unknowns, the outcome of a command is the table's verdict."""
        verdict = self.stage.lifecycle.judge(state, command)
        match verdict.kind:
            case VerdictKind.APPLIED:
                assert came == CommandResult(command, str(verdict.target), sent=True)
            case VerdictKind.REDUNDANT:
                assert came == CommandResult(command, state, sent=False)
            case _:
                assert isinstance(came, IllegalTransition)


def together(stage: Stage) -> type[RuleBasedStateMachine]:
    """One task, two clients, another actor and remote events, with any fault before any call."""
    lifecycle, emulator = stage.lifecycle, stage.emulator
    commands = events(lifecycle, origin=Origin.CALLER)
    moves = events(lifecycle, origin=Origin.REMOTE)
    clients = st.sampled_from(sorted(stage.clients))
    lively = states(lifecycle).filter(lambda state: not lifecycle.is_final(state))
    wrong = st.none() | faults(stage.api)

    # Nothing that is drawn depends on the task's state, so there are no preconditions on it: how far a command comes
    # in its 50 ms differs from run to run, and Hypothesis must be able to draw the same steps again.
    class Together(RuleBasedStateMachine):
        @initialize(by=clients, state=lively)
        def begin(self, by: str, state: str) -> None:
            self.watched = Watched(stage, by)
            self.watched.visit(state)

        @rule(by=clients, state=lively)
        def begin_again(self, by: str, state: str) -> None:
            # Without this, nearly every step would happen in a final state.
            if lifecycle.is_final(self.watched.state):
                self.watched.finish()
                self.begin(by, state)

        @rule(command=commands, by=clients, fault=wrong)
        def send(self, command: str, by: str, fault: Fault | None) -> None:
            self.go_wrong(fault)
            self.watched.send(command, by)

        @rule(state=lively, which=st.integers(0, 11), by=clients, fault=wrong)
        def send_what_is_allowed(self, state: str, which: int, by: str, fault: Fault | None) -> None:
            self.begin_again(by, state)
            allowed = lifecycle.allowed(self.watched.state, origin=Origin.CALLER)
            if allowed:  # a message that is claimed accepts none until it ends
                self.send(allowed[which % len(allowed)], by, fault)

        @rule(by=clients, fault=wrong)
        def recover(self, by: str, fault: Fault | None) -> None:
            self.go_wrong(fault)
            self.watched.recover(by)

        @rule(by=clients, fault=wrong)
        def read(self, by: str, fault: Fault | None) -> None:
            self.go_wrong(fault)
            self.watched.read(by)

        @precondition(lambda _: not moves.is_empty)
        @rule(event=commands if moves.is_empty else moves)
        def move(self, event: str) -> None:
            self.watched.move(event)

        @rule(by=clients, begin=lively, state=states(lifecycle))
        def visit(self, by: str, begin: str, state: str) -> None:
            self.begin_again(by, begin)
            self.watched.visit(state)

        @rule(command=commands)
        def let_somebody_else(self, command: str) -> None:
            self.watched.let_somebody_else(command)

        @rule()
        def go_right(self) -> None:
            emulator.clear_faults()

        @invariant()
        def agree(self) -> None:
            self.watched.follow()
            self.watched.account()

        def teardown(self) -> None:
            self.watched.finish()

        def go_wrong(self, fault: Fault | None) -> None:
            if fault:
                emulator.fault(**fault)

    return Together


def play(stage: Stage, *, examples: int, steps: int) -> None:
    run_state_machine_as_test(together(stage), settings=settings(max_examples=examples, stateful_step_count=steps))


@pytest.mark.heavy
def test_all_parts_agree_with_two_clients_and_faults(stage: Stage) -> None:
    play(stage, examples=40, steps=25)


@pytest.mark.heavy
def test_all_parts_agree_in_long_runs_with_faults(stage: Stage) -> None:
    play(stage, examples=100, steps=50)
