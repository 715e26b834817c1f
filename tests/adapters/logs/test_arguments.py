"""Wrong arguments of a checked log and of sources are refused by name, and none of them becomes SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lifecycle import V1
from lifecycle_adapters.logs import CheckedLog, EngineFailed, Frame, check_logs
from lifecycle_adapters.logs.page import page
from lifecycle_adapters.logs.postgres import PostgresTable

ROWS = {"task_id": ["a", "a", ""], "at": ["2026-01-01"] * 3, "status": ["stopped", "running", "running"]}


@pytest.fixture(scope="module")
def log() -> Iterator[CheckedLog]:
    with check_logs(V1, Frame(ROWS), threads=1) as checked:
        yield checked


def errors_of(log: CheckedLog, most: Any) -> Iterator[str]:
    for read in (log.findings, log.rejects):
        with pytest.raises((TypeError, ValueError)) as error:
            read(most=most)  # and not only when it is read
        yield str(error.value)


@pytest.mark.parametrize("most", ["1 OFFSET 1", "(select 1)", "1; select 5", 1.5, True, [1], b"1"])
def test_most_must_be_a_whole_number(log: CheckedLog, most: Any) -> None:
    assert all(error.startswith(f"most must be a whole number, not {most!r}") for error in errors_of(log, most))


@pytest.mark.parametrize("most", [-1, 2**63, 10**400])
def test_most_must_be_in_range(log: CheckedLog, most: int) -> None:
    assert all(error.startswith("most must be ") for error in errors_of(log, most))


@pytest.mark.parametrize(("most", "number"), [(0, 0), (1, 1), (2**63 - 1, 2), (None, 2)])
def test_most_limits_the_returned_rows(log: CheckedLog, most: int | None, number: int) -> None:
    assert len([*log.findings(most=most)]) == number
    assert len([*log.rejects(most=most)]) == min(number, 1)


def test_reading_a_closed_log_raises_engine_failed() -> None:
    with check_logs(V1, Frame(ROWS), threads=1) as closed:
        begun = closed.findings()
        next(begun)
    calls: list[Callable[[], object]] = [
        lambda: [*begun], lambda: [*closed.findings()], lambda: [*closed.rejects()],
        lambda: closed.write_findings("f.csv"), lambda: closed.write_rejects("r.csv"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(EngineFailed, match=r"^the log was closed; "):
            call()
    assert closed.report.rows == 3


@pytest.mark.parametrize("findings", [5, None, "x", ["x"]])
def test_page_refuses_other_findings(log: CheckedLog, findings: Any) -> None:
    with pytest.raises(TypeError, match="findings must be LogFindings"):
        page(log.report, V1, findings)


@pytest.mark.parametrize("wrong", [None, 5, b"postgresql://u:secret@h/d", ["postgresql://u:secret@h/d"]])
def test_the_url_and_the_table_of_a_database_are_texts(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^url must be text, not of type ") as error:
        PostgresTable(wrong, "t")
    assert "secret" not in str(error.value)
    with pytest.raises(TypeError, match=r"^table must be the name of a table, not "):
        PostgresTable("postgresql://h/d", wrong)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("postgresql://u:p@h:notaport/d", "a port is a whole number"),
        ("postgresql://h1:1,[::1]:x/d", "a port is a whole number"),
        ("postgresql://u:p@[::1]:5432/d?foo=1", "what follows . must be options of libpq"),
        ("postgresql://u:p@ss@h:notaport/d", "percent-encode '@', ':' and '/' in its user and password"),
    ],
)
def test_error_names_what_is_wrong_with_a_url(url: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause):
        PostgresTable(url, "t")
