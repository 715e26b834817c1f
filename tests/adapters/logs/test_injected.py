"""Exactly what the generator of logs injected is found in them; it knows from the table alone what that is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loggen import DEFECTS, Defect, Injected, generate
from lifecycle import V1_FULL, V2_FULL, V3_FULL, V4, Event, FindingCode, Lifecycle, Origin, State, Transition
from lifecycle_adapters.logs.check import check_logs
from lifecycle_adapters.logs.columns import RejectReason
from lifecycle_adapters.logs.files import Files

# Two branches that cannot reach each other, as no lifecycle of the catalog has them: here a row can be impossible.
BRANCHING: Lifecycle[str, str] = Lifecycle(
    name="branching",
    citation="made up for this test",
    states=(
        State("new", "asked for", initial=True),
        State("left", "on one branch"),
        State("right", "on the other"),
        State("over", "ended", final=True),
    ),
    events=tuple(Event(name, Origin.REMOTE, "goes on") for name in ("to_left", "to_right", "end")),
    transitions=(
        Transition("new", "to_left", "left"),
        Transition("new", "to_right", "right"),
        Transition("left", "end", "over"),
        Transition("right", "end", "over"),
    ),
)
RATES = dict.fromkeys(DEFECTS, 0.01)
LIFECYCLES = (V1_FULL, V2_FULL, V3_FULL, V4, BRANCHING)


def assert_exactly(injected: list[Injected], path: Path, lifecycle: Lifecycle[Any, Any], *, rows: int) -> None:
    faults = [(each.row, each.defect) for each in injected if isinstance(each.defect, RejectReason)]
    findings = [(each.row, each.task, each.defect) for each in injected if isinstance(each.defect, FindingCode)]

    with check_logs(lifecycle, Files(str(path)), notes=True) as checked:
        assert [(each.row, each.task, each.code) for each in checked.findings()] == findings
        assert [(each.row, each.reason) for each in checked.rejects()] == faults

        report = checked.report
        assert report.rows == rows
        assert report.findings == Counter(code for *_, code in findings)
        assert report.unreadable == Counter(fault for _, fault in faults)
        assert report.bad_rows == sum(code is not FindingCode.DUPLICATE for *_, code in findings)
        assert report.is_clean == (report.bad_rows == 0)


@pytest.mark.parametrize(
    ("seed", "lifecycle"), list(enumerate(LIFECYCLES)), ids=lambda value: str(getattr(value, "name", value))
)
def test_exactly_the_injected_defects_are_found(seed: int, lifecycle: Lifecycle[Any, Any], tmp_path: Path) -> None:
    injected = generate(tmp_path / "log.parquet", events=20_000, seed=seed, lifecycle=lifecycle, rates=RATES)

    possible = {*DEFECTS} if lifecycle is BRANCHING else {*DEFECTS} - {FindingCode.IMPOSSIBLE}
    assert {each.defect for each in injected} == possible
    assert_exactly(injected, tmp_path / "log.parquet", lifecycle, rows=20_000)


def test_lawful_log_has_no_findings(tmp_path: Path) -> None:
    assert generate(tmp_path / "log.parquet", events=20_000, rates={}) == []
    assert_exactly([], tmp_path / "log.parquet", V1_FULL, rows=20_000)


def test_polled_log_allows_late_starts_and_notes_gaps(tmp_path: Path) -> None:
    injected = generate(tmp_path / "log.parquet", events=20_000, seed=7, rates=RATES)
    found = [
        each for each in injected if isinstance(each.defect, FindingCode) and each.defect != FindingCode.WRONG_START
    ]
    harmless = {FindingCode.DUPLICATE, FindingCode.GAP}

    with check_logs(V1_FULL, Files(str(tmp_path / "log.parquet")), mode="sampled") as checked:
        expected = [(each.row, each.task, each.defect) for each in found if each.defect not in harmless]
        assert [(each.row, each.task, each.code) for each in checked.findings()] == expected
        assert checked.report.findings == Counter(each.defect for each in found)


def test_the_same_seed_makes_the_same_log(tmp_path: Path) -> None:
    first, again, other = (
        (generate(tmp_path / name, events=2_000, seed=seed, rates=RATES), (tmp_path / name).read_bytes())
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )

    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_a_defect_has_its_own_rate(tmp_path: Path) -> None:
    rates: dict[Defect, float] = {FindingCode.DUPLICATE: 0.5, FindingCode.GAP: 0.0}
    injected = generate(tmp_path / "log.parquet", events=4_000, rates=rates)

    assert {each.defect for each in injected} == {FindingCode.DUPLICATE}
    assert len(injected) > 200


@pytest.mark.parametrize("rates", [{FindingCode.GAP: -0.1}, {FindingCode.GAP: 0.6, FindingCode.DUPLICATE: 0.6}])
def test_defect_rates_of_more_than_one_in_total_are_refused(rates: dict[Defect, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 1 together"):
        generate(tmp_path / "log.parquet", events=10, rates=rates)


@pytest.mark.heavy
def test_exactly_the_injected_defects_are_found_among_three_million_rows(tmp_path: Path) -> None:
    injected = generate(tmp_path / "log.parquet", events=3_000_000, seed=11, rates=dict.fromkeys(DEFECTS, 0.001))

    assert_exactly(injected, tmp_path / "log.parquet", V1_FULL, rows=3_000_000)
