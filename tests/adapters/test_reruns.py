"""A service whose builds can be run again: a reopenable state ends the work, and a command leads out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from lifecycle import CommandUncertain, IllegalTransition, Lifecycle, MemoryJournal, TaskEndedFirst, WaitTimedOut
from lifecycle_adapters.http import AsyncClient, Client, HttpBinding, Timing
from lifecycle_adapters.logs import Files, check_logs
from lifecycle_adapters.watch import Change, Event, PolicyAction, StopAfter, Watcher
from tests.adapters.cli.commands import call
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.adapters.watch.worlds import QUICK

SERVICE = """
name: builds
base_url: http://builds.invalid
base_path: ""
authentication: null
create: {method: POST, path: /builds, body: {}, required_fields: [ref], status_field: status}
status: {method: GET, path: "/builds/{id}", status_field: status}
details: {method: GET, path: "/builds/{id}", status_field: status}
listing: {call: {method: GET, path: /builds}, items_field: builds, pages: one}
task_field: ref
output_field: log
commands:
  cancel: {method: POST, path: "/builds/{id}/cancel", body: {}}
  rerun: {method: POST, path: "/builds/{id}/rerun", body: {}}
lifecycle:
  name: build
  citation: the build server's manual
  states:
    - {name: queued, initial: true}
    - {name: building}
    - {name: completed, reopenable: true}
    - {name: cancelled, reopenable: true}
  events:
    - {name: cancel, origin: caller}
    - {name: rerun, origin: caller, idempotent: false, proved_by_state: false}
    - {name: begin, origin: remote}
    - {name: complete, origin: remote}
  transitions:
    - {source: [queued, building], event: cancel, target: cancelled}
    - {source: [completed, cancelled], event: rerun, target: queued}
    - {source: queued, event: begin, target: building}
    - {source: building, event: complete, target: completed}
"""
BINDING: HttpBinding[str, str] = HttpBinding.from_yaml(SERVICE)
BUILD: Lifecycle[str, str] = BINDING.lifecycle
FAST = Timing(poll_s=0.01, longest_poll_s=0.01, settle_timeout_s=2.0)


class Builds:
    """The build server. Each read of a build takes the next of its statuses; the last one stays."""

    def __init__(self) -> None:
        self.statuses: list[str] = ["queued"]
        self.log: str | None = None
        self.cancelled: Reply | None = None
        self.rerun = Reply(status=201, body={})
        self.reads = 1_000_000  # so many reads succeed

    def __call__(self, seen: Seen) -> Reply:
        match [seen.method, *seen.path.strip("/").split("/")]:
            case ["POST", "builds"]:
                return Reply(status=201, body={"id": "1", "status": "queued"})
            case ["GET", "builds", "1"] if self.reads == 0:
                return Reply(status=503)
            case ["GET", "builds", "1"]:
                self.reads -= 1
                status = self.statuses[0]
                self.statuses = self.statuses[1:] or self.statuses
                return Reply(body={"id": "1", "status": status, "log": self.log})
            case ["POST", "builds", "1", "rerun"]:
                return self.rerun
            case ["POST", "builds", "1", "cancel"] if self.cancelled is not None:
                return self.cancelled
            case ["POST", "builds", "1", "cancel"]:
                self.statuses = ["cancelled"]
                return Reply(status=202, body={})
            case _:
                return Reply(status=404, body={"detail": "no such build"})


@pytest.fixture
def builds() -> Builds:
    return Builds()


@pytest.fixture
def server(builds: Builds) -> Generator[ScriptedServer]:
    with ScriptedServer(builds).running() as running:
        yield running


@pytest.fixture
def client(server: ScriptedServer) -> Generator[Client[str, str]]:
    with Client(BINDING, base_url=server.base_url, timing=FAST) as made:
        yield made


@pytest.mark.parametrize("until", ["settled", "final"])
@pytest.mark.parametrize("seen", [["queued", "building", "completed"], ["completed"], ["queued", "cancelled"]])
def test_the_first_reopenable_state_ends_the_wait_for_a_new_task(
    client: Any, builds: Builds, until: str, seen: list[str]
) -> None:
    """Also if the build was not seen at work: nothing but a command leads out of the state."""
    builds.statuses, builds.log = list(seen), "all is well"

    result = client.create("main").wait(until, timeout_s=20)

    assert (result.state, result.output) == (seen[-1], "all is well")


@pytest.mark.parametrize("begun", ["queued", "building"])
def test_a_rerun_is_a_legal_command_whose_wait_passes_over_the_state_before(
    client: Any, server: ScriptedServer, builds: Builds, begun: str
) -> None:
    builds.statuses = ["completed"]
    build = client.create("main")
    assert build.wait(timeout_s=20).state == "completed"
    assert build.allowed() == ("rerun",)
    with pytest.raises(IllegalTransition):
        build.send("cancel")

    builds.statuses = ["completed", "completed", begun, "completed"]
    rerun = build.send("rerun")
    assert (rerun.sent, rerun.state, rerun.is_last_known) == (True, "completed", False)
    with pytest.raises(WaitTimedOut):
        build.wait(timeout_s=0)
    assert build.wait(timeout_s=20).state == "completed"

    assert builds.statuses == ["completed"], "the wait read on until the new run was over"
    assert server.commands == ["POST /builds", "POST /builds/1/rerun"]


def test_a_lost_rerun_is_abandoned_and_the_next_one_is_sent(
    client: Any, server: ScriptedServer, builds: Builds
) -> None:
    builds.statuses, builds.rerun = ["completed"], Reply(status=503)
    build = client.create("main")
    build.wait(timeout_s=20)
    with pytest.raises(CommandUncertain):
        build.send("rerun")
    with pytest.raises(CommandUncertain):
        build.recover()

    with pytest.raises(TypeError, match="reason must be text"):
        build.abandon_command(reason=5)
    abandoned = build.abandon_command(reason="the new run is not to be seen")
    assert (abandoned.command, abandoned.state, abandoned.attempts) == ("rerun", "abandoned", 1)
    assert build.recover() is None
    assert build.abandon_command() is None

    builds.statuses, builds.rerun = ["completed", "queued"], Reply(status=201, body={})
    assert build.send("rerun").sent
    assert server.commands == ["POST /builds", *["POST /builds/1/rerun"] * 2]


def test_an_asynchronous_handle_abandons_a_command(server: ScriptedServer, builds: Builds) -> None:
    builds.statuses, builds.rerun = ["completed"], Reply(status=503)

    async def everything() -> None:
        async with AsyncClient(BINDING, base_url=server.base_url, timing=FAST) as client:
            build = client.task("1")
            with pytest.raises(CommandUncertain):
                await build.send("rerun")
            abandoned = await build.abandon_command()
            assert abandoned is not None
            assert (abandoned.command, abandoned.why) == ("rerun", "abandoned by a caller")
            assert await build.abandon_command() is None

    asyncio.run(everything())


def test_state_of_a_rerun_is_that_of_the_read_after_it(client: Any, builds: Builds) -> None:
    builds.statuses = ["completed"]
    build = client.create("main")
    build.wait(timeout_s=20)

    builds.statuses = ["completed", "queued"]
    rerun = build.send("rerun")
    assert (rerun.state, rerun.is_last_known) == ("queued", False)


def test_rerun_after_which_no_read_succeeds_is_done_in_the_last_known_state(
    client: Any, server: ScriptedServer, builds: Builds
) -> None:
    builds.statuses = ["completed"]
    build = client.create("main")
    build.wait(timeout_s=20)

    builds.reads = 1  # the one before the command
    rerun = build.send("rerun")
    assert (rerun.state, rerun.is_last_known) == ("completed", True)
    assert build.recover() is None, "its outcome is recorded"


@pytest.mark.parametrize("answer", [Reply(status=202, body={}), Reply(status=409, body={"detail": "not running"})])
def test_late_cancel_is_settled_when_the_run_ends(client: Any, builds: Builds, answer: Reply) -> None:
    """As at a final state: the command does not stay open, so that the next one can be sent."""
    builds.statuses = ["building"]
    build = client.create("main")
    assert build.status() == "building"
    builds.statuses, builds.cancelled = ["completed"], answer

    with pytest.raises(TaskEndedFirst) as ended:
        build.send("cancel")

    assert (ended.value.state, ended.value.took_effect) == ("completed", None if answer.status == 202 else False)
    assert build.send("rerun").sent


def test_rerun_without_seen_work_is_over_once_its_output_changed(client: Any, builds: Builds) -> None:
    builds.statuses, builds.log = ["completed"], "first run"
    build = client.create("main")
    build.wait(timeout_s=20)
    build.send("rerun")
    with pytest.raises(WaitTimedOut):
        build.wait(timeout_s=0.05)

    builds.log = "second run"

    assert build.wait(timeout_s=20).output == "second run"


def test_an_unknown_status_does_not_end_a_wait_in_a_reopenable_state(client: Any, builds: Builds) -> None:
    builds.statuses = ["completed"]
    build = client.create("main")
    build.wait(timeout_s=20)
    builds.statuses = ["archived"]

    with pytest.raises(WaitTimedOut):
        build.wait(timeout_s=0.05, on_unknown="continue")


def watched(server: ScriptedServer, journal: MemoryJournal, *policies: Any) -> list[Event]:
    async def events() -> list[Event]:
        async with (
            AsyncClient(BINDING, base_url=server.base_url, timing=FAST, journal=journal) as client,
            Watcher(client, pace=QUICK, policies=policies) as watcher,
        ):
            watcher.add("1")
            return [event async for event in watcher.changes()]

    return asyncio.run(asyncio.wait_for(events(), 60))


def test_a_watcher_ends_with_a_run_and_follows_the_next_one(server: ScriptedServer, builds: Builds) -> None:
    journal = MemoryJournal()
    for last in ("building", "completed"), ("completed",), ("queued", "building", "cancelled"):
        builds.statuses = list(last)
        *others, end = watched(server, journal)
        assert isinstance(end, Change)
        assert (end.state, end.is_over) == (last[-1], True)
        assert not any(each.is_over for each in others if isinstance(each, Change))


def test_a_policy_ends_a_run_by_a_command_to_a_reopenable_state(server: ScriptedServer) -> None:
    events = watched(server, MemoryJournal(), StopAfter(seconds=0.01))

    assert [each.command for each in events if isinstance(each, PolicyAction)] == ["cancel"]
    assert isinstance(events[-1], Change)
    assert (events[-1].state, events[-1].is_over) == ("cancelled", True)


def test_the_command_line_waits_and_watches_until_the_run_is_over(
    server: ScriptedServer, builds: Builds, tmp_path: Path
) -> None:
    file = tmp_path / "builds.yaml"
    file.write_text(SERVICE)
    env = {"LIFECYCLE_BASE_URL": server.base_url, "LIFECYCLE_JOURNAL": str(tmp_path / "j.db")}
    options = ("--api", str(file))
    builds.statuses = ["building", "completed"]
    assert call("create", *options, "main", env=env).stdout == "1\n"
    waited = call("wait", *options, "1", "--poll", "0.01", "--until", "final", env=env)
    assert (waited.exit_code, waited.stdout) == (0, "completed\n")
    assert call("send", *options, "1", "rerun", env=env).exit_code == 0
    builds.statuses = ["building", "completed"]
    assert call("watch", *options, "1", env=env).exit_code == 0
    assert call("watch", *options, env=env).exit_code == 0, "no task in the journal is left to watch"
    status = call("status", *options, "1", env=env)
    assert (status.stdout, status.stderr) == ("completed\n", "build: accepts rerun\n")


def test_command_line_marks_the_state_after_a_rerun_as_the_last_known_one(
    server: ScriptedServer, builds: Builds, tmp_path: Path
) -> None:
    file = tmp_path / "builds.yaml"
    file.write_text(SERVICE)
    env = {"LIFECYCLE_BASE_URL": server.base_url}
    builds.statuses, builds.reads = ["completed"], 1
    sent = call("send", "--api", str(file), "1", "rerun", env=env)
    assert (sent.exit_code, sent.stdout) == (0, "completed\n")
    known = "its state was not read after that: this is the last known one"
    assert sent.stderr == f"build: 'rerun' took effect; {known}\n"


def test_a_history_with_a_rerun_has_no_finding(tmp_path: Path) -> None:
    history = ["queued", "building", "completed", "queued", "building", "cancelled"]
    assert BUILD.check(history) == ()
    (finding,) = BUILD.check([*history, "building"])
    assert finding.code == "gap"
    log = tmp_path / "log.csv"
    rows = [f"1,2026-01-01T00:0{minute}:00Z,{status}\n" for minute, status in enumerate(history)]
    log.write_text("task_id,at,status\n" + "".join(rows))
    with check_logs(BUILD, Files(log)) as checked:
        assert list(checked.findings()) == []
        assert dict(checked.report.last_states) == {"cancelled": 1}
