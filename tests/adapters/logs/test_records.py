"""The reading of each value of a log: every type, every form of a time, everything that cannot be read."""

from __future__ import annotations

import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lifecycle import Event, Lifecycle, Origin, State, Transition
from lifecycle_adapters.logs.columns import Columns, RejectReason, TimeForm, require_columns
from lifecycle_adapters.logs.duckdb_session import DuckDbSession, literal
from lifecycle_adapters.logs.log_errors import MissingColumn, UnusableLog, WrongPattern
from lifecycle_adapters.logs.rules import Rules
from lifecycle_adapters.logs.time_patterns import require_pattern
from tests.adapters.logs.logs import AT, AT_US, RULES, at, microseconds, read
from tests.support.profiles import examples

FIRST_US, LAST_US = (microseconds(moment.replace(tzinfo=UTC)) for moment in (datetime.min, datetime.max))  # noqa: DTZ901


@pytest.fixture(scope="module")
def bench() -> Iterator[DuckDbSession]:
    with DuckDbSession(threads=1) as bench:
        yield bench


# --- times of a type of their own --------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "us"),
    [
        ("TIMESTAMP '2026-01-15 10:30:00.123456'", AT_US + 123_456),
        ("TIMESTAMP_S '2026-01-15 10:30:00'", AT_US),
        ("TIMESTAMP_MS '2026-01-15 10:30:00.123'", AT_US + 123_000),
        ("TIMESTAMP_NS '2026-01-15 10:30:00.123456789'", AT_US + 123_456),
        ("TIMESTAMPTZ '2026-01-15 12:30:00.5+02:00'", AT_US + 500_000),
        ("TIMESTAMPTZ_NS '2026-01-15 12:30:00.5+02:00'", AT_US + 500_000),
        ("DATE '2026-01-15'", AT_US - 37_800_000_000),
        ("TIMESTAMP '1969-12-31 23:59:59.999999'", -1),
        ("TIMESTAMP_NS '1969-12-31 23:59:59.999999999'", -1),
        ("TIMESTAMP_NS '1969-12-31 23:59:59.999999'", -1),
        ("TIMESTAMP '0001-01-01 00:00:00'", FIRST_US),
        ("TIMESTAMP '9999-12-31 23:59:59.999999'", LAST_US),
    ],
)
def test_timestamps_are_read_unchanged(bench: DuckDbSession, value: str, us: int) -> None:
    for time in (None, TimeForm.SECONDS):  # which is about numbers and texts
        [record] = at(bench, value, time=time)
        assert (record.at_us, record.form, record.fault, record.detail) == (us, TimeForm.TIMESTAMP, None, None)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("TIMESTAMP '10000-01-01'", "10000-01-01 00:00:00"),
        ("TIMESTAMP '0001-01-01' - INTERVAL 1 SECOND", "0001-12-31 (BC) 23:59:59"),
        ("TIMESTAMP 'infinity'", "infinity"),
        ("TIMESTAMPTZ '-infinity'", "-infinity"),
        ("TIMESTAMP_NS 'infinity'", "infinity"),
        ("TIMESTAMP_S '290000-01-01 00:00:00'", "290000-01-01 00:00:00"),
        ("DATE '5000000-12-31'", "5000000-12-31"),
    ],
)
def test_a_timestamp_outside_of_the_years_that_count_is_a_fault(bench: DuckDbSession, value: str, detail: str) -> None:
    [record] = at(bench, value)
    assert (record.fault, record.detail) == (RejectReason.TIME_OUT_OF_RANGE, detail)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("TIME '10:30:00'", "10:30:00"), ("true", "true"), ("INTERVAL 1 DAY", "1 day"), ("[1]", "[1]"),
        ("{'a': 1}", "{'a': 1}"), ("'2026'::BLOB", "2026"), ("uuid_nil", None),
    ],
)  # fmt: skip
def test_value_of_another_type_is_a_bad_time(bench: DuckDbSession, value: str, detail: str | None) -> None:
    if detail is None:
        value = detail = "00000000-0000-0000-0000-000000000000"
        value = f"'{value}'::UUID"
    [record] = at(bench, value)
    assert (record.fault, record.form, record.detail) == (RejectReason.BAD_TIME, None, detail)


@pytest.mark.parametrize(
    "value", ["NULL", "NULL::TIMESTAMP", "NULL::DOUBLE", "NULL::BIGINT", "NULL::VARCHAR", "''", "NULL::JSON",
              "'null'::JSON", "'\"\"'::JSON", "NULL::DECIMAL(18, 3)", "NULL::BLOB"],
)  # fmt: skip
def test_missing_time_has_its_own_fault(bench: DuckDbSession, value: str) -> None:
    assert at(bench, value)[0].fault == RejectReason.NO_TIME


# --- times as texts ----------------------------------------------------------------------------


RECOGNISED = [
    (AT, AT_US, TimeForm.ISO),
    ("2026-01-15t10:30:00z", AT_US, TimeForm.ISO),
    ("2026-01-15 10:30:00Z", AT_US, TimeForm.ISO),
    ("2026-01-15T10:30Z", AT_US, TimeForm.ISO),
    ("2026-01-15T12:30:00.123456789+02:00", AT_US + 123_456, TimeForm.ISO),
    ("2026-01-15T12:30:00,5+0200", AT_US + 500_000, TimeForm.ISO),
    ("2026-01-15 05:30:00-05", AT_US, TimeForm.ISO),
    ("2026-01-15T10:00:00-00:30", AT_US, TimeForm.ISO),
    ("2026-01-16T10:29:00+23:59", AT_US, TimeForm.ISO),
    ("2026-01-15T10:30:00", AT_US, TimeForm.ISO_NAIVE),
    ("2026-01-15 10:30", AT_US, TimeForm.ISO_NAIVE),
    ("2026-01-15", AT_US - 37_800_000_000, TimeForm.ISO_NAIVE),
    ("2024-02-29", microseconds(datetime(2024, 2, 29, tzinfo=UTC)), TimeForm.ISO_NAIVE),
    ("1969-12-31T23:59:59.9999999Z", -1, TimeForm.ISO),
    ("0001-01-01T00:00:00Z", FIRST_US, TimeForm.ISO),
    ("9999-12-31T23:59:59.999999Z", LAST_US, TimeForm.ISO),
    ("2026-01-15T10:30:00." + "9" * 1_000 + "Z", AT_US + 999_999, TimeForm.ISO),
    ("1768473000", AT_US, TimeForm.SECONDS),
    ("1768473000.123456", AT_US + 123_456, TimeForm.SECONDS),
    ("1768473000.1234569999", AT_US + 123_456, TimeForm.SECONDS),
    ("+1768473000.", AT_US, TimeForm.SECONDS),
    ("1.768473e9", AT_US, TimeForm.SECONDS),
    ("1768473000123", AT_US + 123_000, TimeForm.MILLISECONDS),
    ("1768473000123.4569", AT_US + 123_456, TimeForm.MILLISECONDS),
    ("-0.5", -500_000, TimeForm.SECONDS),
    ("-100000000000", -100_000_000_000_000, TimeForm.MILLISECONDS),
    ("99999999999.9999999", 99_999_999_999_999_999, TimeForm.SECONDS),
    ("0", 0, TimeForm.SECONDS),
]


@pytest.mark.parametrize("kind", ["VARCHAR", f"ENUM({', '.join(literal(text) for text, _, _ in RECOGNISED)})"])
def test_time_texts_are_recognised(bench: DuckDbSession, kind: str) -> None:
    found = at(bench, *(f"{literal(text)}::{kind}" for text, _, _ in RECOGNISED))
    for record, (text, us, form) in zip(found, RECOGNISED, strict=True):
        assert (record.at_us, record.form, record.fault) == (us, form, None), text


def test_time_texts_in_json_are_recognised(bench: DuckDbSession) -> None:
    found = at(bench, *(f"to_json({literal(text)})" for text, _, _ in RECOGNISED))
    assert [(record.at_us, record.form, record.fault) for record in found] == [
        (us, form, None) for _, us, form in RECOGNISED
    ]


NOT_RECOGNISED = [
    "infinity", "-infinity", "epoch", "nan", "NaN", "now", "today", "2026-1-1", "2026/01/15", "15.01.2026",
    "2026-01-15T10:30:00 UTC", "2026-01-15 10:30:00 Europe/Berlin", " 2026-01-15", "2026-01-15T10:30:00Z ",
    "2026-01-15T10:30:00Z\n", "2026-01-15T10", "2026-01-15Z", "20260115T103000Z", "2026-W03-4", "2026-015",
    "2026-02-30", "2025-02-29", "2026-13-01", "2026-01-00", "2026-01-15T24:00:00", "2026-01-15T25:00:00",
    "2026-01-15T10:60:00", "2026-12-31T23:59:60Z", "2026-01-15T10:30:00+25:00", "2026-01-15T10:30:00+02:60",
    "2026-01-15T10:30:00.Z", "2026-01-15 (BC)", "12026-01-15", "1_000", "0x10", "1e", "--5", ".5", "1,5", "١٢٣",
    "' OR 1=1 --", "'); DROP TABLE raw; --",
]  # fmt: skip


def test_text_other_than_iso_or_a_number_is_a_fault(bench: DuckDbSession) -> None:
    found = at(bench, *map(literal, NOT_RECOGNISED), "'12' || chr(0)")
    assert {record.fault for record in found} == {RejectReason.BAD_TIME}
    assert [record.detail for record in found] == [*NOT_RECOGNISED, "12\0"]


def test_a_text_outside_of_the_years_that_count_is_a_fault(bench: DuckDbSession) -> None:
    texts = [
        "0000-12-31T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "253402300800000", "1e300",
        "9" * 1_000, "-62135596800001",
    ]  # fmt: skip
    found = at(bench, *map(literal, texts))
    assert [record.fault for record in found] == [RejectReason.TIME_OUT_OF_RANGE] * len(texts)


# --- times as numbers --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "us", "form"),
    [
        ("1768473000::INTEGER", AT_US, TimeForm.SECONDS),
        ("1768473000::UINTEGER", AT_US, TimeForm.SECONDS),
        ("1768473000::BIGINT", AT_US, TimeForm.SECONDS),
        ("1768473000123::BIGINT", AT_US + 123_000, TimeForm.MILLISECONDS),
        ("1768473000123::UBIGINT", AT_US + 123_000, TimeForm.MILLISECONDS),
        ("1768473000123::HUGEINT", AT_US + 123_000, TimeForm.MILLISECONDS),
        ("5::TINYINT", 5_000_000, TimeForm.SECONDS),
        ("99999999999::BIGINT", 99_999_999_999_000_000, TimeForm.SECONDS),
        ("100000000000::BIGINT", 100_000_000_000_000, TimeForm.MILLISECONDS),
        ("-100000000000::BIGINT", -100_000_000_000_000, TimeForm.MILLISECONDS),
        ("1768473000.123456::DOUBLE", AT_US + 123_456, TimeForm.SECONDS),
        ("1768473000123.456::DOUBLE", AT_US + 123_456, TimeForm.MILLISECONDS),
        ("0.5::FLOAT", 500_000, TimeForm.SECONDS),
        ("1768473000.123456::DECIMAL(18, 6)", AT_US + 123_456, TimeForm.SECONDS),
        ("1768473000.123456789::DECIMAL(38, 9)", AT_US + 123_456, TimeForm.SECONDS),
        ("'1768473000.5'::JSON", AT_US + 500_000, TimeForm.SECONDS),
        ("' 1768473000123 '::JSON", AT_US + 123_000, TimeForm.MILLISECONDS),
    ],
)
def test_time_numbers_are_recognised(bench: DuckDbSession, value: str, us: int, form: TimeForm) -> None:
    [record] = at(bench, value)
    assert (record.at_us, record.form, record.fault) == (us, form, None)


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("'nan'::DOUBLE", RejectReason.BAD_TIME),
        ("'infinity'::FLOAT", RejectReason.BAD_TIME),
        ("'true'::JSON", RejectReason.BAD_TIME),
        ("'{\"a\": 1}'::JSON", RejectReason.BAD_TIME),
        ("'[1]'::JSON", RejectReason.BAD_TIME),
        ("1e300::DOUBLE", RejectReason.TIME_OUT_OF_RANGE),
        ("9223372036854775807::BIGINT", RejectReason.TIME_OUT_OF_RANGE),
        ("(-9223372036854775808)::BIGINT", RejectReason.TIME_OUT_OF_RANGE),
        ("170141183460469231731687303715884105727::HUGEINT", RejectReason.TIME_OUT_OF_RANGE),
        ("253402300800000::BIGINT", RejectReason.TIME_OUT_OF_RANGE),
    ],
)
def test_invalid_time_number_is_a_fault(bench: DuckDbSession, value: str, fault: RejectReason) -> None:
    assert at(bench, value)[0].fault == fault


@pytest.mark.parametrize(
    ("value", "time", "us"),
    [
        ("'1768473000'", TimeForm.MILLISECONDS, 1_768_473_000_000),
        ("1768473000::BIGINT", TimeForm.MILLISECONDS, 1_768_473_000_000),
        ("1768473000.5::DOUBLE", TimeForm.MILLISECONDS, 1_768_473_000_500),
        ("'100000000000'", TimeForm.SECONDS, 100_000_000_000_000_000),
        ("100000000000::BIGINT", TimeForm.SECONDS, 100_000_000_000_000_000),
        ("'2026-01-15T10:30:00'", TimeForm.ISO, AT_US),
        ("'2026-01-15T10:30:00Z'", TimeForm.ISO_NAIVE, AT_US),
        ("'2026-01-15T10:30:00Z'", TimeForm.SECONDS, None),
        ("'2026-01-15'", TimeForm.TIMESTAMP, None),
        ("'1768473000'", TimeForm.ISO, None),
        ("1768473000::BIGINT", TimeForm.ISO_NAIVE, None),
        ("1768473000::DOUBLE", TimeForm.TIMESTAMP, None),
    ],
)
def test_named_time_form_excludes_the_others(bench: DuckDbSession, value: str, time: TimeForm, us: int | None) -> None:
    [record] = at(bench, value, time=time)
    assert (record.at_us, record.fault) == (us, RejectReason.BAD_TIME if us is None else None)


def test_every_row_is_recognised_by_itself(bench: DuckDbSession) -> None:
    texts = [AT, "2026-01-15 10:30", "1768473000", "1768473000000", "never"]
    rows = [{"task_id": "'t'", "at": literal(text), "status": "'running'"} for text in texts]
    found = [(record.form, record.fault) for record in read(bench, Columns(), rows)]
    forms = TimeForm.ISO, TimeForm.ISO_NAIVE, TimeForm.SECONDS, TimeForm.MILLISECONDS
    assert found == [*((form, None) for form in forms), (None, RejectReason.BAD_TIME)]


_zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_moments = st.datetimes(timezones=st.none() | _zones)


@settings(max_examples=examples(20))
@given(st.lists(st.tuples(_moments, st.sampled_from("T t"), st.booleans(), st.integers(0, 3)), min_size=1, max_size=50))
def test_iso_texts_come_back_exactly(bench: DuckDbSession, written: list[tuple[datetime, str, bool, int]]) -> None:
    def text(moment: datetime, separator: str, has_comma: bool, more: int) -> str:
        whole = moment.replace(tzinfo=None).isoformat(separator, "microseconds") + "7" * more
        offset = moment.isoformat()[-6:] if moment.tzinfo else ""
        return (whole.replace(".", ",") if has_comma else whole) + offset

    rows = [{"task_id": "'t'", "at": literal(text(*each)), "status": "'running'"} for each in written]
    for record, (moment, *_) in zip(read(bench, Columns(), rows), written, strict=True):
        us = microseconds(moment)
        if FIRST_US <= us <= LAST_US:
            form = TimeForm.ISO if moment.tzinfo else TimeForm.ISO_NAIVE
            assert (record.at_us, record.form, record.fault) == (us, form, None)
        else:
            assert record.fault == RejectReason.TIME_OUT_OF_RANGE


@settings(max_examples=examples(20))
@given(st.lists(st.datetimes(), min_size=1, max_size=50))
def test_numbers_come_back_exactly(bench: DuckDbSession, moments: list[datetime]) -> None:
    for time, digits in ((TimeForm.SECONDS, 6), (TimeForm.MILLISECONDS, 3)):
        numbers = [Decimal(microseconds(moment)).scaleb(-digits) for moment in moments]
        for kind in ("VARCHAR", "JSON", "DECIMAL(38, 6)"):
            rows = [{"task_id": "'t'", "at": f"'{number:f}'::{kind}", "status": "'x'"} for number in numbers]
            found = [record.at_us for record in read(bench, Columns(time=time), rows)]
            assert found == [microseconds(moment) for moment in moments], (time, kind)


@settings(max_examples=examples(20))
@given(st.lists(st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), min_size=1, max_size=50))  # noqa: DTZ001
def test_floats_come_back_to_the_microsecond(bench: DuckDbSession, moments: list[datetime]) -> None:
    for time, factor in ((TimeForm.SECONDS, 10**6), (TimeForm.MILLISECONDS, 10**3)):
        rows = [
            {"task_id": "'t'", "at": f"'{microseconds(moment) / factor!r}'::DOUBLE", "status": "'x'"}
            for moment in moments
        ]
        found = [record.at_us for record in read(bench, Columns(time=time), rows)]
        assert found == [microseconds(moment) for moment in moments]


# --- ids ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "task"),
    [
        ("'a'", "a"), ("' a '", " a "), ("'A'", "A"), ("'a'::ENUM('a', 'b')", "a"), ("'\"a\"'::JSON", "a"),
        ("'07'", "07"), ("7", "7"), ("7::UTINYINT", "7"), ("(-7)::HUGEINT", "-7"), ("7::DECIMAL(38, 0)", "7"),
        ("'7'::JSON", "7"), ("'\"7\"'::JSON", "7"), ("'123456789012345678901234567890'::JSON",
                                                    "123456789012345678901234567890"),
        ("'11111111-2222-3333-4444-555555555555'::UUID", "11111111-2222-3333-4444-555555555555"),
        ("'a' || chr(0) || 'b'", "a\0b"), ("'''; DROP TABLE raw; --'", "'; DROP TABLE raw; --"),
        ("'\"a\\u0000\\n\\u00e9\"'::JSON", "a\0\né"),
    ],
)  # fmt: skip
def test_ids_are_texts(bench: DuckDbSession, value: str, task: str) -> None:
    [record] = read(bench, Columns(), [{"task_id": value, "at": literal(AT), "status": "'running'"}])
    assert (record.task, record.fault) == (task, None)


FLOAT_ID = "a float; an id is a text or an integer"


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("NULL", None), ("''", None), ("NULL::BIGINT", None), ("'null'::JSON", "null"), ("'\"\"'::JSON", '""'),
        ("1.0::DOUBLE", f"1.0 ({FLOAT_ID})"), ("'nan'::FLOAT", f"nan ({FLOAT_ID})"), ("NULL::DOUBLE", None),
        ("1.5::DECIMAL(9, 1)", "1.5"), ("'1.5'::JSON", "1.5"), ("'1e3'::JSON", "1e3"),
        ("true", "true"), ("'true'::JSON", "true"), ("DATE '2026-01-15'", "2026-01-15"), ("[1, 2]", "[1, 2]"),
        ("{'a': 1}", "{'a': 1}"), ("'{\"a\": 1}'::JSON", '{"a": 1}'),
    ],
)  # fmt: skip
def test_invalid_id_is_a_fault(bench: DuckDbSession, value: str, detail: str | None) -> None:
    [record] = read(bench, Columns(), [{"task_id": value, "at": literal(AT), "status": "'running'"}])
    assert (record.task, record.fault, record.detail) == (None, RejectReason.NO_TASK, detail)


# --- statuses and sequences --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "status", "word"),
    [
        ("'running'", "running", RULES.statuses.index("running")), ("'Running'", "Running", None),
        ("'running'::ENUM('running')", "running", RULES.statuses.index("running")),
        ("'\"running\"'::JSON", "running", RULES.statuses.index("running")), ("'running '", "running ", None),
        ("'running' || chr(0)", "running\0", None), ("'=1+1'", "=1+1", None),
        ("'''; DROP TABLE raw; --'", "'; DROP TABLE raw; --", None),
    ],
)  # fmt: skip
def test_statuses_are_compared_as_they_are(bench: DuckDbSession, value: str, status: str, word: int | None) -> None:
    [record] = read(bench, Columns(), [{"task_id": "'t'", "at": literal(AT), "status": value}])
    assert (record.status, record.status_code, record.fault) == (status, word, None)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        ("NULL", None), ("''", None), ("7", "7"), ("true", "true"), ("'7'::JSON", "7"), ("'null'::JSON", "null"),
        ("'\"\"'::JSON", '""'), ("['running']", "[running]"), ("'running'::BLOB", "running"),
    ],
)  # fmt: skip
def test_invalid_status_is_a_fault(bench: DuckDbSession, value: str, detail: str | None) -> None:
    [record] = read(bench, Columns(), [{"task_id": "'t'", "at": literal(AT), "status": value}])
    assert (record.status, record.status_code, record.fault, record.detail) == (
        None,
        None,
        RejectReason.NO_STATUS,
        detail,
    )


@pytest.mark.parametrize(
    ("value", "sequence"),
    [
        ("7", 7), ("(-7)::TINYINT", -7), ("7::DECIMAL(38, 0)", 7), ("'007'", 7), ("'7'::JSON", 7), ("'\"7\"'::JSON", 7),
        ("'-9223372036854775808'", -(2**63)), ("9223372036854775807::HUGEINT", 2**63 - 1), ("7::UBIGINT", 7),
        ("9223372036854775808::HUGEINT", None), ("'9223372036854775808'", None), ("7.0::DOUBLE", None),
        ("7.0::DECIMAL(3, 1)", None), ("'7.0'", None), ("' 7'", None), ("'1_000'", None), ("'1e3'", None), ("''", None),
        ("NULL", None), ("true", None), ("'7.5'::JSON", None), ("DATE '2026-01-15'", None),
    ],
)  # fmt: skip
def test_sequences_are_whole_numbers_of_64_bits(bench: DuckDbSession, value: str, sequence: int | None) -> None:
    row = {"task_id": "'t'", "at": literal(AT), "status": "'running'", "nr": value}
    [record] = read(bench, Columns(sequence="nr"), [row])
    assert (record.sequence, record.fault) == (sequence, None if sequence is not None else RejectReason.NO_SEQUENCE)


# --- rows as a whole ---------------------------------------------------------------------------


def test_a_float_sequence_is_reported(bench: DuckDbSession) -> None:
    row = {"task_id": "'t'", "at": literal(AT), "status": "'running'", "nr": "1.0::DOUBLE"}
    [record] = read(bench, Columns(sequence="nr"), [row])
    assert (record.fault, record.detail) == (RejectReason.NO_SEQUENCE, "1.0 (a float; a sequence is an integer)")


def test_a_log_may_have_a_status_alone(bench: DuckDbSession) -> None:
    [record] = read(bench, Columns(task=None, at=None, status="word"), [{"word": "'running'"}])
    assert (record.task, record.at_us, record.sequence, record.form, record.fault) == ("", 0, 0, None, None)


def test_first_of_several_faults_is_reported(bench: DuckDbSession) -> None:
    names = "task_id", "status", "at", "nr"
    faults = [RejectReason.NO_TASK, RejectReason.NO_STATUS, RejectReason.BAD_TIME, RejectReason.NO_SEQUENCE, None]
    good = {"task_id": "'t'", "status": "'x'", "at": literal(AT), "nr": "'1'"}
    bad = {"task_id": "''", "status": "''", "at": "'never'", "nr": "'many'"}
    rows = [{name: (good if i < first else bad)[name] for i, name in enumerate(names)} for first in range(5)]
    found = read(bench, Columns(sequence="nr"), rows)
    assert [record.fault for record in found] == faults
    assert [record.detail for record in found] == [None, None, "never", "many", None]


def test_a_long_value_is_shortened(bench: DuckDbSession) -> None:
    for length, detail in ((80, "x" * 80), (81, "x" * 77 + "..."), (1_000_000, "x" * 77 + "...")):
        assert at(bench, f"repeat('x', {length})")[0].detail == detail


def test_a_status_of_ten_megabytes_is_a_status(bench: DuckDbSession) -> None:
    [record] = read(bench, Columns(), [{"task_id": "'t'", "at": literal(AT), "status": "repeat('x', 10_000_000)"}])
    assert record.status == "x" * 10_000_000
    assert record.fault is None


def test_columns_may_have_any_names(bench: DuckDbSession) -> None:
    columns = Columns(task='"; DROP TABLE raw; --', at="given_at", status="fault", sequence="task")
    row = {
        columns.task or "": "'t'",
        "given_at": literal(AT),
        "fault": "'running'",
        "task": "3",
        "status": "1",
        "place": "2",
    }
    [record] = read(bench, columns, [row])
    assert (record.task, record.at_us, record.status, record.sequence) == ("t", AT_US, "running", 3)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"task": "at"}, "task and at are the same column, 'at'"),
        ({"task": "status", "at": None}, "task and status are the same column, 'status'"),
        ({"sequence": "at"}, "at and sequence are the same column, 'at'"),
        ({"task": "x", "at": "x", "status": "x", "sequence": "x"}, "task and at and status and sequence are the same"),
    ],
)
def test_each_part_has_a_column_of_its_own(given: dict[str, Any], parts: str) -> None:
    with pytest.raises(ValueError, match=parts):
        Columns(**given)


# --- what columns there are --------------------------------------------------------------------


def test_missing_column_is_reported_with_the_existing_ones() -> None:
    require_columns(["task_id", "at", "status"], Columns())
    assert missing(["id", "At", "status"], Columns(task="id")) == (
        "there is no column 'at', only 'id', 'At', 'status'; was 'At' meant?"
    )
    assert missing([], Columns()) == "there is no column 'task_id', and no other column either"
    assert missing(["x"], Columns(task=None, at=None, sequence="nr", status="x")) == (
        "there is no column 'nr', only 'x'"
    )


def missing(names: list[str], columns: Columns) -> str:
    with pytest.raises(MissingColumn) as raised:
        require_columns(names, columns)
    assert raised.value.name in columns.named()
    assert raised.value.known == tuple(names)
    return str(raised.value)


def test_a_message_names_the_log_if_it_has_a_name() -> None:
    with pytest.raises(MissingColumn, match=r"^log: there is no column 'at', only 'task_id', 'status'$"):
        require_columns(["task_id", "status"], Columns(), of="log")


def test_a_message_does_not_name_thousands_of_columns() -> None:
    assert len(missing([f"{i:03}" + "x" * 1_000 for i in range(5_000)], Columns())) < 2_000


def test_a_duplicate_column_is_reported() -> None:
    with pytest.raises(UnusableLog, match=r"^the column 'at' occurs 2 times$"):
        require_columns(["task_id", "at", "status", "at"], Columns())


def test_ignore_case_is_refused_if_statuses_differ_only_in_case() -> None:
    lifecycle: Lifecycle[str, str] = Lifecycle(
        name="twins",
        citation="a test",
        states=(State("on", initial=True), State("ON", final=True)),
        events=(Event("go", Origin.REMOTE),),
        transitions=(Transition("on", "go", "ON"),),
    )
    with pytest.raises(ValueError, match="the letter case of channel 'api' matters"):
        Rules(lifecycle, ignore_case=True)
    assert Rules(lifecycle).statuses == ("on", "ON")


# --- times that only DuckDB reads, and only if they are named -------------------------------------


# --- times that are read only if they are named ---------------------------------------------------


@pytest.mark.parametrize(("form", "size"), [(TimeForm.MICROSECONDS, 1), (TimeForm.NANOSECONDS, 1_000)])
@pytest.mark.parametrize("value", ["{}::BIGINT", "'{}'", "'{}'::JSON", "'{}.0'", "{}::DECIMAL(20,0)"])
def test_microseconds_and_nanoseconds_are_cut_off(bench: DuckDbSession, form: TimeForm, size: int, value: str) -> None:
    numbers = [AT_US * size, AT_US * size + size - 1, 1_999, 1, 0, -1, -999, -1_000, -1_001]
    found = at(bench, *(value.format(number) for number in numbers), time=form)
    assert [record.at_us for record in found] == [number // size for number in numbers]
    assert {record.form for record in found} == {form}


def test_numbers_in_another_unit_are_out_of_range(bench: DuckDbSession) -> None:
    for form, size in ((None, 1), (TimeForm.MICROSECONDS, 1_000)):
        [record] = at(bench, f"{AT_US * size}::BIGINT", time=form)
        assert record.fault == RejectReason.TIME_OUT_OF_RANGE


@pytest.mark.parametrize(
    ("pattern", "text", "moment"),
    [
        ("%d.%m.%Y %H:%M", "15.01.2026 10:30", AT_US),
        ("%d.%m.%Y %H:%M %z", "15.01.2026 12:30 +0200", AT_US),
        ("%m/%d/%y %I:%M %p", "01/15/26 10:30 AM", AT_US),
        ("it's %Y", "it's 1970", 0),
        ("%d.%m.%Y", "2026-01-15", None),
        ("%d.%m.%Y", "31.02.2026", None),
        ("%d.%m.%Y", "", None),
    ],
)
def test_times_are_read_by_their_pattern(bench: DuckDbSession, pattern: str, text: str, moment: int | None) -> None:
    row = {"task_id": "'t'", "at": literal(text), "status": "'running'"}
    [record] = read(bench, Columns(pattern=pattern), [row])
    assert record.at_us == moment
    assert record.form == (None if moment is None else TimeForm.PATTERN)
    assert record.fault == (None if moment is not None else RejectReason.BAD_TIME if text else RejectReason.NO_TIME)


PATTERNS = [
    "%d.%m.%Y %H:%M", "%Y-%m-%d", "%Y%m%d%H%M%S", "%d %b %Y %I:%M %p", "%A, %d %B %Y", "%a %d/%m/%y", "%j.%Y",
    "%Y-%m-%dT%H:%M:%S.%f", "(%H|%M)+ 100%%",
]  # fmt: skip
WORDS = ["epoch", "Epoch", "EPOCH", "infinity", "-infinity", "Infinity", "-INFINITY", "inf", "now", "today", "NaT"]


@st.composite
def nearly_times(draw: st.DrawFn, pattern: str) -> str:
    """A time by the pattern with a character too many, too few or another; or a word that DuckDB takes for a time."""
    if draw(st.booleans()):
        space = st.sampled_from(["", " ", "\t", "\n"])
        return draw(space) + draw(st.sampled_from(WORDS)) + draw(space)
    text = draw(st.datetimes(datetime(1000, 1, 1))).strftime(pattern)  # noqa: DTZ001
    where = draw(st.integers(0, len(text)))
    other = draw(st.sampled_from(["", *" \t0159.:-/aAZ"]))
    return f"{text[:where]}{other}{text[where + draw(st.integers(0, 2)) :]}"


@settings(max_examples=examples(30))
@given(st.data())
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_reads_no_text_that_strptime_refuses(bench: DuckDbSession, pattern: str, data: st.DataObject) -> None:
    texts = data.draw(st.lists(nearly_times(pattern), min_size=1, max_size=50))
    rows = [{"task_id": "'t'", "at": literal(text), "status": "'running'"} for text in texts]
    for text, record in zip(texts, read(bench, Columns(pattern=pattern), rows), strict=True):
        try:
            moment = datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            # To strptime, too, the year 0 is a ValueError.
            assert record.fault in (RejectReason.BAD_TIME, RejectReason.NO_TIME, RejectReason.TIME_OUT_OF_RANGE), text
        else:
            assert record.fault == RejectReason.BAD_TIME or record.at_us == microseconds(moment), text


@given(st.lists(st.datetimes(datetime(1000, 1, 1)), min_size=1))  # noqa: DTZ001
@settings(max_examples=examples(20))
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_reads_what_it_writes(bench: DuckDbSession, pattern: str, moments: list[datetime]) -> None:
    texts = [moment.strftime(pattern) for moment in moments]
    rows = [{"task_id": "'t'", "at": literal(text), "status": "'running'"} for text in texts]
    found = read(bench, Columns(pattern=pattern), rows)
    assert [each.at_us for each in found] == [
        microseconds(datetime.strptime(text, pattern).replace(tzinfo=UTC)) for text in texts
    ]


READ = set("aAbBdfHIjmMpSuwyYzZ%")
REFUSED = set("cxXGVUW")
DIRECTIVES = [f"{sign}{letter}" for letter in string.printable for sign in ("", "-")]


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_a_directive_is_read_or_refused_by_its_name(directive: str) -> None:
    pattern = f"%{directive} %p" if directive == "I" else f"%I %{directive}" if directive == "p" else f"%{directive}"
    if directive in READ - {"Z", "%"}:
        require_pattern(pattern)
        return
    with pytest.raises(WrongPattern) as raised:
        require_pattern(pattern)
    if directive not in READ | REFUSED:
        with pytest.raises(ValueError, match=r"bad directive|does not match"):
            datetime.strptime("", pattern)  # noqa: DTZ007
        assert f"%{directive[0]}" in str(raised.value) or directive.isspace()


WHOLE = {
    "Y": "%Y", "y": "%y", "m": "%Y %m", "b": "%Y %b", "B": "%B %Y", "j": "%Y %j", "I": "%Y-%m-%d %I %p", "p": "%p %I",
    "d": "%d", "%": "%Y%%",
}  # fmt: skip
ZONES = [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(minutes=30)), timezone(timedelta(0, 7201))]


@settings(max_examples=examples(10))
@given(
    moments=st.lists(
        st.datetimes(datetime(1000, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from(ZONES)),  # noqa: DTZ001
        min_size=1,
    )
)
@pytest.mark.parametrize("directive", sorted(READ))
def test_a_directive_means_what_it_means_to_python(
    bench: DuckDbSession, directive: str, moments: list[datetime]
) -> None:
    pattern = WHOLE.get(directive, f"%Y-%m-%d %{directive}")
    for moment in moments:
        if directive == "z" and moment.utcoffset() == timedelta(0, 7201):
            pattern_of_text = f"%Y-%m-%d {str(moment)[-9:]}"
        else:
            pattern_of_text = pattern
        text = (moment.astimezone(UTC) if directive == "Z" else moment).strftime(pattern_of_text)
        expected = datetime.strptime(text, pattern)  # noqa: DTZ007
        row = {"task_id": "'t'", "at": literal(text), "status": "'running'"}
        [record] = read(bench, Columns(pattern=pattern), [row])
        assert record.at_us == microseconds(expected if expected.tzinfo else expected.replace(tzinfo=UTC)), text


@pytest.mark.parametrize(("pattern", "text"), [("%Y-%m-%dT%H:%M%z", "2026-01-15T10:30Z"), ("Z%%z %z%Y", "Z%z Z2026")])
def test_z_is_read_as_utc_by_an_offset_directive(bench: DuckDbSession, pattern: str, text: str) -> None:
    texts = (text, text.replace("Z", "z"))
    rows = [{"task_id": "'t'", "at": literal(each), "status": "'running'"} for each in texts]

    of_utc, other = read(bench, Columns(pattern=pattern), rows)

    assert of_utc.at_us == microseconds(datetime.strptime(text, pattern))  # noqa: DTZ007
    assert other.fault == RejectReason.BAD_TIME


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("%Z", "it has no directive of a day or a time of day"),
        ("at", "it has no directive of a day or a time of day"),
        ("%H:%M %p", "%I and %p need each other"),
        ("%I:%M", "%I and %p need each other"),
        ("%H:%I %p", "%H and %I both say the hour"),
        ("%Y %y", "%Y and %y both say the year"),
        ("%d %d", "%d occurs 2 times"),
        ("%d %j", "%d and %j both say the day"),
        ("%Y %", "% is not a supported directive"),
        ("%-d", "%-d is not a supported directive"),
        ("%x", "%x depends on the language of a machine"),
        ("%G-%V-%u", "%G counts weeks"),
    ],
)
def test_pattern_that_says_too_little_or_too_much_is_refused(pattern: str, reason: str) -> None:
    with pytest.raises(WrongPattern, match=f" is not a pattern of times: {reason}"):
        Columns(pattern=pattern)


@pytest.mark.parametrize("offset", ["+24", "-67", "+99:99", "+01:60", "+1", "01", "+01:"])
def test_offset_of_more_than_a_day_is_a_bad_time(bench: DuckDbSession, offset: str) -> None:
    row = {"task_id": "'t'", "at": literal(f"2026-01-15 {offset}"), "status": "'running'"}
    [record] = read(bench, Columns(pattern="%Y-%m-%d %z"), [row])
    assert record.fault == RejectReason.BAD_TIME


@pytest.mark.parametrize("pattern", ["\ud800", "%Y \udfff"])
def test_pattern_that_is_not_utf8_is_refused(pattern: str) -> None:
    with pytest.raises(WrongPattern, match="is not a pattern of times: it is not UTF-8") as raised:
        require_pattern(pattern)
    assert raised.value.pattern == pattern


@pytest.mark.parametrize(("time", "pattern"), [(TimeForm.PATTERN, None), (TimeForm.ISO, "%d.%m.%Y")])
def test_pattern_and_form_that_contradict_each_other_are_refused(time: TimeForm, pattern: str | None) -> None:
    with pytest.raises(ValueError, match="needs `time` to be PATTERN or omitted"):
        Columns(time=time, pattern=pattern)


@pytest.mark.parametrize("columns", [Columns(time=TimeForm.NANOSECONDS), Columns(pattern="%d.%m.%Y")])
def test_an_engine_without_such_times_raises(columns: Columns) -> None:
    form = "by a pattern" if columns.pattern else "in nanoseconds"
    with pytest.raises(UnusableLog, match=f"^Spark does not read times {form}: give the log as files or frames$"):
        columns.require_usual_times("Spark")
    Columns().require_usual_times("Spark")
