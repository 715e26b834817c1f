"""Calls of the command line in this process, as the installed script, or on a terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import sysconfig
import termios
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer.testing
from typer.main import get_command
from typer.testing import CliRunner, Result

from lifecycle_adapters.cli.app import app

SCRIPT = str(Path(sysconfig.get_path("scripts")) / "lifecycle")
KEY = "bu_secret_7f3a"

# Otherwise each call would build all commands again, which takes longer than most calls do.
setattr(typer.testing, "_get_command", cache(get_command))  # noqa: B010

# Nothing of this machine's terminal or account reaches a test, and no test can reach the real service.
_ABSENT = (
    "BROWSER_USE_API_KEY",
    "LIFECYCLE_BASE_URL",
    "LIFECYCLE_JOURNAL",
    "LIFECYCLE_WORKER",
    "LIFECYCLE_WEBHOOK_SECRET",
    "NO_COLOR",
    "FORCE_COLOR",
    "COLUMNS",
    "GITHUB_ACTIONS",
)


def call(*arguments: str, typed: str | bytes = "", env: Mapping[str, str] | None = None) -> Result:
    """Run a command in this process; `typed` is its standard input, which is not a terminal."""
    environment = {**dict.fromkeys(_ABSENT), **(env or {})}
    result = CliRunner().invoke(app, list(arguments), input=typed, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def call_json(*arguments: str, typed: str | bytes = "", env: Mapping[str, str] | None = None) -> Any:
    """Run a command and return what it printed for programs."""
    return json.loads(call(*arguments, "--json", typed=typed, env=env).stdout)


def script(*arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the installed script as a process of its own."""
    return subprocess.run(
        [SCRIPT, *arguments],
        capture_output="stdout" not in options,
        text=True,
        check=False,
        timeout=60,
        env=environment(env),
        **options,
    )


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process: this one's without what would change its behaviour."""
    kept = {name: value for name, value in os.environ.items() if name not in _ABSENT}
    return {**kept, **(more or {})}


def python(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60, env=environment()
    )


# Reads programs, and runs each in a process that is forked from this one and ends as any other does.
_FORKING = """
import json, os, sys
folder, loaded, programs = json.load(sys.stdin)
exec(loaded)
for number, program in enumerate(programs):
    if (child := os.fork()) == 0:
        for name, stream in (("out", 1), ("err", 2)):
            if (file := f"{folder}/{name}-{number}") and os.path.exists(file):
                os.dup2(os.open(file, os.O_WRONLY), stream)
        exec(program)
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), file=open(f"{folder}/code-{number}", "w"))
"""


def forks(
    programs: Sequence[str], *, loaded: str, env: Mapping[str, str] | None = None, **options: Any
) -> list[subprocess.CompletedProcess[str]]:
    """Run each program in a process of its own, forked from one that ran the program `loaded`: importing takes longer.

    What the options do not redirect (`stdout`, `stderr`) is captured.
    """
    captured = [name for name, option in (("out", "stdout"), ("err", "stderr")) if option not in options]
    with TemporaryDirectory() as folder:
        for name, number in product(captured, range(len(programs))):
            Path(folder, f"{name}-{number}").touch()
        subprocess.run(
            [sys.executable, "-c", _FORKING],
            input=json.dumps([folder, loaded, programs]),
            text=True,
            check=True,
            timeout=60,
            env=environment(env),
            **options,
        )

        def read(name: str, number: int) -> str:
            return Path(folder, f"{name}-{number}").read_text(encoding="utf-8") if name in captured else ""

        return [
            subprocess.CompletedProcess(
                program, int(Path(folder, f"code-{number}").read_text()), read("out", number), read("err", number)
            )
            for number, program in enumerate(programs)
        ]


def scripts(
    *commands: str, env: Mapping[str, str] | None = None, **options: Any
) -> dict[str, subprocess.CompletedProcess[str]]:
    """Run each command of this text in a process of its own; see `forks`."""
    programs = [
        f"""
sys.argv = ["lifecycle", *{command.split()!r}]
main()"""
        for command in commands
    ]
    loaded = "from lifecycle_adapters.cli import app, main, process"
    return dict(zip(commands, forks(programs, loaded=loaded, env=env, **options), strict=True))


class Screen:
    """A command on a pseudo-terminal, and everything that it has shown so far."""

    def __init__(self, arguments: tuple[str, ...], env: dict[str, str]) -> None:
        self._leader, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [SCRIPT, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            env=environment({"TERM": "xterm-256color", **env}),
        )
        os.close(terminal)
        self.shown = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._leader, 65_536):
                self.shown += data.decode()
        except OSError:  # how Linux says that the other side is closed
            pass

    def wait_for(self, text: str) -> None:
        end_s = time.monotonic() + 90  # longer than a request that gets lost on a busy machine, and is repeated
        while text not in self.shown:
            assert time.monotonic() < end_s, f"{text!r} did not come: {self.shown}"
            time.sleep(0.02)

    def type(self, text: str | bytes) -> None:
        os.write(self._leader, text if isinstance(text, bytes) else text.encode())

    def echoes(self) -> bool:
        *_, local, _, _, _ = termios.tcgetattr(self._leader)
        return bool(local & termios.ECHO)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> int:
        code = self.process.wait(timeout=90)
        self._reader.join()
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        os.close(self._leader)


@contextmanager
def terminal(*arguments: str, env: dict[str, str] | None = None) -> Generator[Screen]:
    screen = Screen(arguments, env or {})
    try:
        yield screen
    finally:
        screen.close()
