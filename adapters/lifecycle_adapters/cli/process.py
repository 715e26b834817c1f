"""The process of the command line: its streams, its environment, and its end if no command handles an error."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import TextIO

from lifecycle.errors import MissingExtra
from lifecycle_adapters.cli.extras import require_extras

_MOST_DIGITS = 4  # of a terminal's width


def run() -> None:
    """Run the command line of this process and end it."""
    if sys.stderr is None:  # Python has no stream for what was closed when the process began
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 (until the process ends)
    if sys.stdout is None:  # a create's id would be lost, and the next file or connection would be opened in its place
        sys.exit(_one_line("the standard output is closed; to discard it, redirect it to /dev/null"))
    sys.stdout, sys.stderr = _buffered(sys.stdout), _buffered(sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show an arrow must not end in a traceback.
            stream.reconfigure(errors="backslashreplace")
    for name in ("COLUMNS", "TERMINAL_WIDTH"):  # read by Rich and by Typer
        width = os.environ.get(name, "")
        if not (width.isdecimal() and len(width) <= _MOST_DIGITS and int(width)):
            os.environ.pop(name, None)  # no terminal is that wide
    try:
        require_extras(sys.argv[1:])
        from lifecycle_adapters.cli.app import app

        app()
    except MissingExtra as error:
        sys.exit(_one_line(str(error)))
    except SystemExit as error:  # from a text that Typer prints: help, a version, a usage error
        if isinstance(error.__context__, BrokenPipeError):  # Click and Rich exit with 1, which stands for findings
            sys.exit(141)
        raise
    except OSError as error:  # likewise
        from lifecycle_adapters.cli.output import os_error_text

        sys.exit(_one_line(os_error_text(error)))
    finally:
        _discard_unwritten()


def _buffered(stream: TextIO) -> TextIO:
    """Return the stream with a buffer, which writes all of a text or raises an error.

    With PYTHONUNBUFFERED there is none, and the rest of a write that is cut short would be lost without a word.
    """
    if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    return open(stream.fileno(), "w", buffering=1, encoding=stream.encoding, closefd=False)


def _discard_unwritten() -> None:
    """Discard the output that cannot be written, and was reported: Python would try again, and exit with 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _one_line(message: str) -> int:
    with suppress(OSError):  # the standard error may be what cannot be written
        sys.stderr.write(f"lifecycle: {message}\n")
        sys.stderr.flush()
    return 2
