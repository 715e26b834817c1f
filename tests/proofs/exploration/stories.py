"""Stories as text: numbered lines, one for each event."""

from __future__ import annotations

from typing import Any, cast

from lifecycle import LifecycleError
from lifecycle.command import CommandResult
from lifecycle.effects import (
    Claim,
    Effect,
    FindCommand,
    Load,
    LoadCommand,
    Read,
    ReadProof,
    RecordAttempt,
    RecordIntent,
    RecordOutcome,
    RecordReport,
    Release,
    Send,
    Wait,
)
from lifecycle.journal import CommandOutcome, CommandRecord, TaskRecord
from tests.proofs.exploration.moments import Line
from tests.proofs.exploration.search import Story
from tests.proofs.exploration.service import Happening
from tests.proofs.exploration.subject import WORKERS


def describe(story: Story) -> str:
    """Return a story as text, one line for each event."""
    lines = [f"{story.finding.name}: {story.finding.value} ({story.about}).", f"{story.title}.", f"   {story.start}"]
    return "\n".join(lines + [f"{number:2}. {_line(line)}" for number, line in enumerate(story.lines, 1)])


def _line(line: Line) -> str:
    if line.worker < 0:
        return f"{line.result.description}."
    assert line.effect is not None
    who = f"worker {WORKERS[line.worker]}"
    before = "the command's lease ends; " if line.has_lapsed else ""
    after = f"; {who} crashes" if line.has_crashed else ""
    ending = "" if not line.ending else f"; {who} {_ending(*line.ending)}"
    slow = " (its request began before the others')" if line.was_slow else ""
    return f"{before}{who} {_deed(line.effect, line.result)}{slow}{after}{ending}."


def _deed(effect: Effect, result: Any) -> str:
    match effect:
        case Send(command):
            return f"sends {command!s}: {_words(result)}"
        case Read():
            return f"reads the status: {_words(result)}"
        case ReadProof():
            return f"reads the companion: {'it is over' if result else 'nothing proves that it is over'}"
        case Wait(reason):
            return f"waits ({reason!s})" if result else f"has no time left ({reason!s})"
        case _:
            return _entry(effect, result)


def _entry(effect: Effect, result: Any) -> str:
    match effect:
        case Load():
            return f"reads the journal: {_record(result)}"
        case FindCommand(key):
            return f"looks for a command under the key {key}: {_command(result)}"
        case LoadCommand():
            return f"reads the command: {_command(result)}"
        case RecordReport(report):
            return f"records the report {report.status!s}: {_record(result)}"
        case RecordIntent(command):
            is_opened = isinstance(result, CommandRecord)
            return f"records the intent {command!s}" if is_opened else f"cannot record the intent: {_record(result)}"
        case Claim():
            return "claims the command" if result is not None else "cannot claim the command"
        case Release():
            return "releases the command"
        case RecordAttempt(_, number):
            return f"records attempt {number}" if result else f"may not record attempt {number}"
        case RecordOutcome(_, event, why):
            return f"records '{event!s}' ({why}): {_record(result)}"
        case _:
            return f"does {effect}"


def _words(result: Any) -> str:
    return result.description if isinstance(result, Happening) else "without a recorded attempt"


def _record(result: Any) -> str:
    if isinstance(result, CommandOutcome):
        task, command = cast("CommandOutcome[str, str]", result)
        return f"the task is {task.state!s}, {_command(command)}"
    if not isinstance(result, TaskRecord):
        return str(result)
    record = cast("TaskRecord[str, str]", result)
    state = "the task was never seen" if record.state is None else f"the task is {record.state!s}"
    return f"{state}, {_command(record.open_command)}"


def _command(command: CommandRecord[str, str] | None) -> str:
    if command is None:
        return "no command is open"
    return f"{command.command!s} is {command.state!s} after {command.attempts} attempts"


def _ending(ending: Any) -> str:
    # Without the error's message: of runs that differ only in texts, only one was executed.
    if isinstance(ending, LifecycleError):
        effect = getattr(ending, "took_effect", "")
        return f"raises {type(ending).__name__}" + ("" if effect == "" else f"(took_effect={effect})")
    if isinstance(ending, CommandResult):
        sent = "sent" if cast("CommandResult[str, str]", ending).sent else "not sent"
        return f"returns: done, {sent}"
    return f"returns {ending}"
