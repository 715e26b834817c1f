"""The pages of the documentation, and a reader who types what they say.

A page is read from top to bottom in one empty folder:

- A block after "Save it as `NAME`" is written to that file; all other Python blocks are run as programs.
- A program prints exactly the `text` block that follows it, if one does.
- In a `console` block each line that begins with `$ ` is a command, lines that begin with `> ` continue it, and the
  other lines are its output. All commands of a page are typed into one shell.
- A `console` block after "a terminal of its own" is typed into another shell, whose last command runs until the page
  ends.

In an output `...` stands for anything. Ports and the PostgreSQL database that a page names are replaced by free ones,
so that pages can be read side by side. A `{literalinclude}` is a block with the text of its file.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import yaml

from tests.support.packages import ROOT

BLOCK: Final = re.compile(
    r"^```(?P<language>\w+|\{literalinclude\} *\S+)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
SAVED: Final = re.compile(r"Save\s+it\s+as\s+`([\w./-]+)`[^\n`]*:\n+\Z")
OWN_TERMINAL: Final = re.compile(r"a\s+terminal\s+of\s+its\s+own[^\n`]*:\n+\Z")
PORTS: Final = ("8787", "8788")
DATABASE: Final = "postgresql://user@host/database"
TIME_LIMIT_S: Final = 300.0  # for a hang alone


@dataclass(frozen=True)
class Example:
    """A block of a page: where it begins, what it holds, and what the page says about it."""

    line: int
    language: str
    text: str
    output: str | None
    file: str | None
    in_own_terminal: bool


def examples(document: str) -> list[Example]:
    """Return the blocks of a page, from top to bottom."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = list(BLOCK.finditer(text))
    following = {block.start(): after for block, after in pairwise(blocks)}
    found: list[Example] = []
    for block in blocks:
        after = following.get(block.start())
        between = "" if after is None else text[block.end() : after.start()]
        has_output = after is not None and after["language"] == "text" and not between.strip()
        language, body = block["language"], block["text"]
        if language.startswith("{"):
            path = (ROOT / document).parent / language.split("}")[1].strip()
            language, body = LANGUAGES[path.suffix], path.read_text(encoding="utf-8")
        before = text[: block.start()]
        saved = SAVED.search(before)
        found.append(
            Example(
                line=before.count("\n") + 1,
                language=language,
                text=body,
                output=after["text"] if after is not None and has_output else None,
                file=saved and saved[1],
                in_own_terminal=OWN_TERMINAL.search(before) is not None,
            )
        )
    return found


LANGUAGES: Final = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def matches(expected: str, actual: str) -> bool:
    """Return whether the texts are equal line by line.

    White space at line ends does not count, and `...` is anything. An id that an emulator made, and a time of today,
    are as good as any other.
    """
    pattern = "".join(
        f"(?:{re.escape(part)}|{_VARIES})" if _VARYING.fullmatch(part) else re.escape(part).replace(r"\.\.\.", ".*")
        for part in re.split(f"({_VARYING.pattern})", _trimmed(expected))
    )
    return re.fullmatch(pattern, _VARYING.sub(_without_variation, _trimmed(actual)), re.DOTALL) is not None


_VARIES: Final = "\x04varies"
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_VARYING: Final = re.compile(
    rf"(?:task|run|job)_[0-9a-f]{{16}}|[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}"
    rf"|{_DATE.pattern}[ T]\d\d:\d\d:\d\d(?:\.\d+)?|(?<![\d:])\d\d:\d\d:\d\d(?:\.\d+)?(?![\d:])"
)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _without_variation(found: re.Match[str]) -> str:
    date = _DATE.match(found[0])
    is_old = date is not None and abs(datetime.now(UTC).date() - datetime.fromisoformat(date[0]).date()).days > 1
    return found[0] if is_old else _VARIES


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Shell:
    """A shell in a process of its own, into which commands are typed; everything that it started ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=environment, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def type(self, command: str) -> str:
        """Type a command, and return what it prints until it ends."""
        # The next command finds the exit code of this one in `$?`.
        self._write(f"{{ {command}\n}} </dev/null; code=$?; printf '%s\\n' '{_END}'; (exit $code)\n")
        printed = self._read(lambda text: text.endswith(f"{_END}\n")).removesuffix(f"{_END}\n")
        return _NOTICE.sub("", printed)

    def begin(self, command: str, expected: str) -> str:
        """Type a command that does not end, and return what it prints until that matches `expected`."""
        self._write(f"{command} </dev/null\n")
        return self._read(lambda text: matches(expected, text))

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def _read(self, is_enough: Callable[[str], bool]) -> str:
        """Read until there is enough, the shell ends or the time is up."""
        assert self._process.stdout is not None
        text, deadline_s = b"", time.monotonic() + TIME_LIMIT_S
        while not is_enough(text.decode(errors="replace")):
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline_s - time.monotonic()))
            part = os.read(self._process.stdout.fileno(), 65536) if readable else b""
            if not part:
                break
            text += part
        return text.decode(errors="replace")


_END: Final = "\x04 the command has ended"
_NOTICE: Final = re.compile(r"^bash: line \d+: +\d+ Killed.*\n", re.MULTILINE)


class Reader:
    """Someone who does in `folder` what pages say, from top to bottom."""

    def __init__(self, folder: Path, replace: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._replace = {**{port: str(free_port()) for port in PORTS}, **(replace or {})}
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("LIFECYCLE_", "BROWSER_USE_"))}
        path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
        self._environment = {**kept, "PATH": path, "HOME": str(folder), "COLUMNS": "120", "PYTHONUNBUFFERED": "1"}
        self._shells = ExitStack()

    def __enter__(self) -> Self:
        self._shell = self._new_shell()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shells.close()

    def read(self, example: Example) -> None:
        """Do what a block says, and compare what is printed. Raises AssertionError with the line of the page."""
        if example.file is not None:
            file = self._folder / example.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self._replaced(example.text), encoding="utf-8")
        elif example.language == "python":
            self._run(example)
        elif example.language == "console":
            self._type(example)
        elif example.language == "yaml":
            yaml.safe_load(example.text)
        elif example.language == "json":
            json.loads(example.text)

    def _run(self, example: Example) -> None:
        program = [sys.executable, "-W", "error", "-c", self._replaced(example.text)]
        done = subprocess.run(
            program, cwd=self._folder, env=self._environment, check=False, capture_output=True, text=True,
            timeout=TIME_LIMIT_S,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), f"line {example.line}: {done.stderr}"
        if example.output is not None:
            self._compare(example.line, example.output, done.stdout)

    def _type(self, example: Example) -> None:
        shell = self._new_shell() if example.in_own_terminal else self._shell
        commands = re.split(r"^\$ ", example.text, flags=re.MULTILINE)[1:]
        assert commands, f"line {example.line}: there is no command"
        for number, text in enumerate(commands):
            command, expected = _command(text)
            command = self._replaced(command)
            command = command.replace("lifecycle serve", f"lifecycle serve --port {self._replace['8787']}")
            runs_on = example.in_own_terminal and number == len(commands) - 1
            printed = shell.begin(command, self._replaced(expected)) if runs_on else shell.type(command)
            self._compare(example.line, expected, printed, command)

    def _compare(self, line: int, expected: str, printed: str, command: str = "") -> None:
        expected = self._replaced(expected)
        assert matches(expected, printed), f"line {line}: {command}\n--- printed:\n{printed}\n--- expected:\n{expected}"

    def _new_shell(self) -> Shell:
        return self._shells.enter_context(Shell(self._folder, self._environment))

    def _replaced(self, text: str) -> str:
        for old, new in self._replace.items():
            text = text.replace(old, new)
        return text


def _command(text: str) -> tuple[str, str]:
    """Split a command from its output."""
    lines = text.splitlines(keepends=True)
    rest = [index for index, line in enumerate(lines) if index and not line.startswith("> ")]
    end = rest[0] if rest else len(lines)
    return "".join([lines[0], *(line.removeprefix("> ") for line in lines[1:end])]).rstrip("\n"), "".join(lines[end:])
