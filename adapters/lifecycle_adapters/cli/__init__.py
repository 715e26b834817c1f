"""The command line `lifecycle`: it parses, calls and prints, and has no logic of its own.

`main` alone stands here and imports the rest, so that Ctrl-C ends the command quietly even while Python imports it.
process.py sets up the process, signals.py lets signals end a command in order.

app.py lists the commands. declarations.py and show.py hold the commands for lifecycles, drift_command.py the one that
compares a lifecycle with an OpenAPI document, log_commands.py those for logs, task_commands.py and watch_command.py
those that talk to a service, journal_commands.py those for a journal, serve_command.py and demo.py those that run the
emulator.

output.py prints text, has the exit codes and maps errors to them; json_documents.py builds JSON for programs. names.py
resolves and completes names; times.py and assignments.py parse option values; usage.py words usage errors. extras.py
lists the extras that a command needs beyond `cli`; they are imported when the command runs. log_options.py declares the
options of the commands for logs, log_run.py runs them, findings.py and report_printer.py print their results,
progress.py draws their progress bar.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and end it."""
    try:
        from lifecycle_adapters.cli.process import run

        run()
    except KeyboardInterrupt:  # before a command runs that handles it
        sys.exit(130)
