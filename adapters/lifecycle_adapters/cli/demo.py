"""The command `demo`, which drives tasks of three API versions over real HTTP and checks each printed step.

It starts its own emulator on a free port and stops it at the end. If a step does not end as the demo expects, the demo
prints the difference and fails.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from rich.text import Text

from lifecycle import FindingCode, IllegalTransition, Lifecycle
from lifecycle.effects import Progress
from lifecycle_adapters.cli.journal_commands import record_line
from lifecycle_adapters.cli.output import NOT_LEGAL, console, fail, print_finding, shown

if TYPE_CHECKING:
    from lifecycle_adapters.emulator import Emulator, RecordedCall
    from lifecycle_adapters.http import Client, Task
    from lifecycle_adapters.journal import SqlJournal

R = TypeVar("R")

_PAUSE_S = 0.15  # after each line, if the output is a terminal
_REQUEST_WIDTH = 52
_KNOWN_ID = 9  # characters of an id that are shown
_PICTURES = Path("diagrams/README.md")


def demo() -> None:
    """Drive tasks of v1, v2 and v3 over real HTTP on this machine, and show each step. The demo takes seconds.

    Example: lifecycle demo
    """
    from lifecycle_adapters.emulator import Emulator
    from lifecycle_adapters.http import Client, Timing

    with Emulator(manual=True) as emulator:
        stage = _Stage(emulator)
        stage.say(f"An emulator of the service listens on {emulator.base_url}.")
        stage.say("All requests below are real HTTP.")

        def client(api: str) -> Client:
            return Client(api, base_url=emulator.base_url, api_key="any", timing=Timing(poll_s=0.2))

        with client("v1") as v1, client("v2") as v2, client("v3") as v3:
            stopped = _pause_resume_stop(stage, v1)
            _refuse(stage, stopped)
            _lose_a_response(stage, v1)
            _die_in_the_middle_of_a_stop(stage, v1)
            _stop_and_stop_with_session(stage, v2)
            _dispatch_wait_stop(stage, v3)
            _check_history(stage, stopped)
    stage.title("The pictures")
    stage.say(_pictures_hint())
    stage.say("The emulator has stopped. To run one yourself: lifecycle serve", style="dim")


# --- the acts ----------------------------------------------------------------------------------


def _pause_resume_stop(stage: _Stage, client: Client) -> Task:
    stage.title("v1: a task is paused, resumed and stopped")
    task = stage.do("task = client.create('Buy milk')", lambda: client.create("Buy milk"))
    stage.remote(task, "start")
    stage.do("task.pause()", task.pause)
    stage.say(
        "    read before, to judge the command; read after, because v1's response is empty and proves nothing",
        style="dim",
    )
    stage.do("task.resume()", task.resume)
    stage.do("task.stop()", task.stop)
    stage.expect(task.known_state(), "stopped")
    return task


def _refuse(stage: _Stage, task: Task) -> None:
    stage.title("v1: an illegal command is refused, and no request is sent")
    before = stage.call_count()
    try:
        stage.do("task.resume()", task.resume)
    except IllegalTransition as error:
        stage.say(f"    IllegalTransition: {error.reason}", style="yellow")
    else:
        stage.expect("a response", "IllegalTransition")
    stage.expect(stage.call_count(), before)
    stage.say("    the emulator has received no request", style="dim")


def _lose_a_response(stage: _Stage, client: Client) -> None:
    stage.title("v1: the response to a stop is lost")
    task = stage.do("task = client.create('Buy bread')", lambda: client.create("Buy bread"))
    stage.remote(task, "start")
    stage.emulator.fault("drop_after", command="stop")
    stage.say("    the next stop will take effect, but its connection will break before the response", style="dim")
    stage.do("task.stop()", task.stop)
    stage.expect(task.known_state(), "stopped")
    stage.expect(stage.commands_seen(task), ["stop"])
    stage.say("    sent once: reading the task proved that the stop took effect", style="dim")


def _die_in_the_middle_of_a_stop(stage: _Stage, client: Client) -> None:
    from lifecycle_adapters.http import Client
    from lifecycle_adapters.journal import SqlJournal

    stage.title("v1: a process is killed in the middle of a stop, and another one recovers")
    task = stage.do("task = client.create('Buy eggs')", lambda: client.create("Buy eggs"))
    stage.remote(task, "start")
    with TemporaryDirectory() as directory:
        record = f"{directory}/journal.db"
        stage.say("  in another process, with SqlJournal('journal.db', worker='laptop'):", style="dim")
        exit_code = stage.do("task.stop()", lambda: _stop_and_die(stage.emulator, record, task.id))
        stage.expect(exit_code != 0, True)
        stage.say(f"    killed while it waited for the response (exit code {exit_code}); its journal:")
        with SqlJournal(record, worker="laptop") as journal:
            stage.show_record(journal, task)
            stage.expect(journal.open_tasks(client.lifecycle), [task.id])
            with Client("v1", base_url=stage.emulator.base_url, api_key="any", journal=journal) as restarted:
                stage.do("client.recover()", restarted.recover)
            stage.show_record(journal, task, of_last=2)
            stage.expect(journal.open_tasks(client.lifecycle), [])
    stage.expect(stage.commands_seen(task), ["stop"])
    stage.say("    sent once; the next process settled it", style="dim")


def _stop_and_die(emulator: Emulator, record: str, task_id: str) -> int:
    """Stop a task in another process, kill that before it has the response, and return its exit code."""
    emulator.fault("delay_after", command="stop", seconds=60.0)
    program = [sys.executable, "-c", _WORKER, emulator.base_url, record, task_id]
    with subprocess.Popen(program) as worker:  # noqa: S603  (this interpreter, and a program of ours)
        try:
            while emulator.task(task_id).state == "running" and worker.poll() is None:
                time.sleep(0.01)
        finally:
            worker.kill()
    return worker.returncode


_WORKER = """
import sys
from lifecycle_adapters.http import Client
from lifecycle_adapters.journal import SqlJournal

base_url, record, task_id = sys.argv[1:]
with SqlJournal(record, worker="laptop") as journal:
    Client("v1", base_url=base_url, api_key="any", journal=journal).task(task_id).stop()
"""


def _stop_and_stop_with_session(stage: _Stage, client: Client) -> None:
    stage.title("v2: one task is stopped, another with its session")
    task = stage.do("task = client.create('Find a flight')", lambda: client.create("Find a flight"))
    stage.remote(task, "start")
    stage.do("task.stop()", task.stop)
    stage.expect(task.known_state(), "stopped")
    stage.say("    not read after: v2's response has the status", style="dim")
    task = stage.do("task = client.create('Find a hotel')", lambda: client.create("Find a hotel"))
    stage.remote(task, "start")
    stage.do("task.stop_task_and_session()", task.stop_task_and_session)
    stage.expect(task.known_state(), "stopped")
    stage.say("    the task's state does not prove that the session stopped, so the session was read too", style="dim")


def _dispatch_wait_stop(stage: _Stage, client: Client) -> None:
    stage.title("v3: a session runs a task, and is then stopped")
    session = stage.do("session = client.create(keepAlive=True)", lambda: client.create(keepAlive=True))
    stage.remote(session, "ready")
    stage.do("session.dispatch('Compare prices')", lambda: session.dispatch("Compare prices"))

    def watch(progress: Progress[str]) -> None:
        stage.show_calls()
        if progress.poll == 2:
            stage.remote(session, "complete")

    result = stage.do("result = session.wait()", lambda: session.wait(on_progress=watch))
    stage.expect(result.state, "idle")
    stage.say("    polled until it was idle; the last request read its output", style="dim")
    stage.say(f"    {result.state}, its output: {shown(result.output)}", style="dim")
    stage.do("session.stop()", session.stop)
    stage.expect(session.known_state(), "stopped")


def _check_history(stage: _Stage, task: Task) -> None:
    stage.title("v1: the history of the first task is checked")
    transitions = stage.emulator.task(task.id).transitions
    history = [transitions[0].source, *(each.target for each in transitions)]
    stage.expect(_findings(task.lifecycle, history), [])
    stage.say(f"  {' → '.join(history)}: no findings")
    stage.say("  the same history with one more row, 'running':")
    stage.expect(_findings(task.lifecycle, [*history, "running"]), [FindingCode.AFTER_FINAL])


def _findings(lifecycle: Lifecycle[str, str], statuses: list[str]) -> list[FindingCode]:
    """Print what `lifecycle check` prints for a file with this history, and return the findings' codes."""
    findings = lifecycle.check(statuses)
    for finding in findings:
        print_finding(f"    history.jsonl:{finding.index + 1}", "", finding.severity, finding.message)
    return [finding.code for finding in findings]


def _pictures_hint() -> str:
    if _PICTURES.is_file():
        return f"Every lifecycle is drawn in {_PICTURES}, which GitHub shows."
    return "lifecycle diagrams DIRECTORY draws every lifecycle."


# --- the stage ---------------------------------------------------------------------------------


class _Stage:
    """Prints each step with its requests and responses, and checks the results."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self._console = console()
        self._shown = 0

    def title(self, text: str) -> None:
        """Begin an act."""
        self.say("")
        self.say(text, style="bold")

    def do(self, code: str, action: Callable[[], R]) -> R:
        """Print a line of Python, run it, and print the calls that it made."""
        self.say(f"  {code}", style="cyan")
        try:
            return action()
        finally:
            self.show_calls()

    def remote(self, task: Task, event: str) -> None:
        """Let the service fire a remote event."""
        transition = self.emulator.fire(task.id, event).transitions[-1]
        request = f"    remote event: {event}"
        self.say(f"{request:{_REQUEST_WIDTH + 4}}       {transition.source} ⇢ {transition.target}", style="magenta")

    def show_calls(self) -> None:
        """Print the calls that the emulator has received since the last time."""
        calls = self.emulator.calls()
        for call in calls[self._shown :]:
            self._say(_line(call))
        self._shown = len(calls)

    def show_record(self, journal: SqlJournal, task: Task, *, of_last: int | None = None) -> None:
        """Print what the journal holds about a task, or the last entries of it."""
        entries = journal.history(task.id)
        for entry in entries if of_last is None else entries[-of_last:]:
            what, detail = record_line(entry)
            self.say(f"      {what:24} {detail}", style="yellow")

    def say(self, text: str, *, style: str = "") -> None:
        """Print a line."""
        self._say(Text(text, style))

    def call_count(self) -> int:
        """Return how many calls the emulator has received."""
        return len(self.emulator.calls())

    def commands_seen(self, task: Task) -> list[str | None]:
        """Return the commands that the emulator has received for a task."""
        return [call.command for call in self.emulator.calls() if call.task == task.id and call.command]

    def expect(self, found: object, expected: object) -> None:
        """End the demo with exit code 1 if a result is not the expected one."""
        if found != expected:
            fail(f"this step of the demo expected {expected!r}, not {found!r}", NOT_LEGAL)

    def _say(self, line: Text) -> None:
        self._console.print(line)
        if self._console.is_terminal:
            time.sleep(_PAUSE_S)


def _line(call: RecordedCall) -> Text:
    """Return a call as a line: the request, the response, and the transition it caused or the state it returned."""
    path = f"{call.path}?{call.query}" if call.query else call.path
    if call.task is not None:
        path = path.replace(call.task, f"{call.task[:_KNOWN_ID]}…")
    request = Text.assemble(f"    {call.method} {path} ", (call.command or "", "bold"))
    request.pad_right(_REQUEST_WIDTH + 4 - len(request))
    if call.status_code is None:
        response = ("lost", "bold red")
    else:
        response = (f" {call.status_code}", "green" if call.status_code < 300 else "red")
    return Text.assemble(request, response, "   ", _effect(call))


def _effect(call: RecordedCall) -> Text:
    if call.applied:
        return Text(f"{call.state_before} → {call.state_after}", "bold")
    return Text(call.state_after or "", "dim")
