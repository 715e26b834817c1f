"""Checks of what a journal is given, in one place, so that every journal refuses it with the same error.

Each is checked before anything is read or recorded. Settings that only one kind of journal has are checked there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lifecycle.errors import described
from lifecycle.journal import Delivery, Report, Server, TaskReport, check_name, check_time
from lifecycle.lifecycle import Lifecycle

LONGEST_LEASE_S = 365 * 24 * 3600.0


def require_worker(given: Any) -> None:
    """Raise TypeError unless a worker's name is a text, ValueError if it is empty."""
    _require(given, str, "worker must be text")
    if not given:
        raise ValueError("worker must not be empty")


def require_lifecycle(given: Any, name: str = "lifecycle") -> None:
    """Raise TypeError unless `given` is a Lifecycle; a name in the catalog is not one."""
    _require(given, Lifecycle, f"{name} must be a Lifecycle, such as lifecycle.get('v1')")


def require_lifecycle_at(lifecycle: Any, server: Any) -> None:
    """Raise TypeError unless `lifecycle` is a Lifecycle, and `server` a Server or None."""
    require_lifecycle(lifecycle)
    if server is not None:
        require_server(server)


def require_task(lifecycle: Any, task_id: Any, server: Any = None) -> None:
    """Raise an error unless these name a task.

    Raises:
        TypeError: `lifecycle` is not a Lifecycle, the id is not a text, or the server not a Server.
        ValueError: no journal accepts the id (`lifecycle.journal.name_fault`).
    """
    require_lifecycle_at(lifecycle, server)
    _require(task_id, str, "task_id must be a text")
    check_name("task id", task_id)


def require_server(given: Any) -> None:
    """Raise TypeError unless `given` is a Server."""
    if not isinstance(given, Server):  # a text may be a URL with a password
        what = f"server must be a Server, such as Server('https://host', ('v1',)), not {type(given).__name__}"
        raise TypeError(what)


def checked_reports(reports: Any) -> list[TaskReport]:
    """Return the reports.

    Raises:
        TypeError: they cannot be iterated over; or one is not a TaskReport, or a part of it is of another type.
        ValueError: no journal accepts the id of a task (`lifecycle.journal.name_fault`).
        UnknownName: a lifecycle does not declare the channel of its report.
    """
    _require(reports, Iterable, "reports must be a list or another iterable")
    given = list(reports)
    for each in given:
        _require(each, TaskReport, "each of the reports must be a TaskReport(lifecycle, task_id, report)")
        require_lifecycle(each.lifecycle, "the lifecycle of a TaskReport")
        _require(each.task_id, str, "the task_id of a TaskReport must be a text")
        _require(each.report, Report, "the report of a TaskReport must be a Report")
        if each.server is not None:
            require_server(each.server)
        check_name("task id", each.task_id)
        each.lifecycle.state_of(each.report.status, channel=each.report.channel)
    return given


def require_delivery(given: Any) -> None:
    """Raise an error unless every journal accepts a delivery.

    Raises:
        TypeError: it is not a Delivery, its id is not a text, or `sent_at` is not a datetime.
        ValueError: no journal accepts the id, or `sent_at` (`lifecycle.journal.name_fault`, `check_time`).
    """
    _require(given, Delivery, "delivery must be a Delivery")
    _require(given.id, str, "the id of a Delivery must be a text")
    check_name("delivery's id", given.id)
    check_time("sent_at", given.sent_at)


def _require(given: Any, kind: Any, wanted: str) -> None:
    if not isinstance(given, kind):
        raise TypeError(f"{wanted}, not {described(given)}")
