"""Arguments that cannot work are refused by an error that names the argument and the value."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lifecycle import Event, Lifecycle, Origin, Severity, State, Transition
from lifecycle.catalog import V1
from lifecycle.conformance import Mode
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.argument_checks import require_number
from lifecycle_adapters.arrays import CodedLifecycle
from lifecycle_adapters.emulator import Emulator, NewTask, Profile, TaskUpdate
from lifecycle_adapters.http import BROWSER_USE, Authentication, Client, Timing
from lifecycle_adapters.journal import NotAJournal, SqlJournal
from lifecycle_adapters.logs import Columns, Files, check_logs
from lifecycle_adapters.logs.postgres import PostgresTable
from lifecycle_adapters.machine import bind, bind_async
from lifecycle_adapters.services import argument_headers
from lifecycle_adapters.services.v1 import V1 as BUILT_IN
from lifecycle_adapters.watch import OverdueAfter, Pace, StopAfter, StopAtCost, StopPausedAfter, Throttle
from lifecycle_adapters.webhooks import Webhooks, sign

# Each place where a number is an argument, with the argument's name.
PLACES: list[tuple[str, Callable[[Any], object]]] = [
    ("poll_s", lambda given: Timing(poll_s=given)),
    ("working_s", lambda given: Pace(working_s=given)),
    ("growth", lambda given: Pace(growth=given)),
    ("jitter", lambda given: Pace(jitter=given)),
    ("rate_per_s", Throttle),
    ("seconds", StopAfter),
    ("seconds", StopPausedAfter),
    ("seconds", partial(OverdueAfter, "running")),
    ("usd", StopAtCost),
]


@pytest.mark.parametrize(("name", "make"), PLACES, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("given", ["3", None, True, [3], Fraction(1, 2), 3j])
def test_non_number_is_refused_with_the_argument_name(name: str, make: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} must be a number, not ") as raised:
        make(given)
    assert repr(given) in str(raised.value)


@pytest.mark.parametrize(("name", "make"), PLACES, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.parametrize("given", [float("nan"), -1, pytest.param(10**400, id="huge")])
def test_number_out_of_range_is_refused_with_the_argument_name(
    name: str, make: Callable[[Any], object], given: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be "):
        make(given)


def test_range_error_names_the_bounds() -> None:
    with pytest.raises(ValueError, match="x must be more than 1 and at most 5, not 1"):
        require_number(1, "x", more_than=1, at_most=5)
    with pytest.raises(ValueError, match="x must be positive, not 0"):
        require_number(0, "x", more_than=0)
    with pytest.raises(ValueError, match="x must be at least 2, not 1"):
        require_number(1, "x", at_least=2)
    with pytest.raises(ValueError, match="x must be at least 0 and less than 1, not 1"):
        require_number(1, "x", at_least=0, less_than=1)
    with pytest.raises(ValueError, match="x must be a number, not nan"):
        require_number(float("nan"), "x")
    require_number(1.5, "x", more_than=1, at_least=1, at_most=2)


def test_decimal_is_refused_as_a_duration() -> None:
    with pytest.raises(TypeError, match="poll_s must be a number, not Decimal"):
        Timing(poll_s=cast("Any", Decimal(1)))


def test_a_limit_of_costs_may_be_a_decimal() -> None:
    assert StopAtCost(Decimal("1.5")).usd == Decimal("1.5")
    with pytest.raises(ValueError, match="usd must be positive"):
        StopAtCost(Decimal("NaN"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Webhooks("v1", secret="a secret", journal=MemoryJournal(), max_body_bytes=cast("Any", 1.5)),
        lambda: Emulator(port=cast("Any", 1.5)),
    ],
)
def test_counts_must_be_whole_numbers(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match=r" must be a whole number, not 1.5 \(float\)"):
        make()


# --- names and objects ---------------------------------------------------------------------------

# A name of the catalog is not accepted in place of a lifecycle.
LIFECYCLES: list[Callable[[Any], object]] = [
    CodedLifecycle,
    lambda given: bind(given, SimpleNamespace()),
    lambda given: bind_async(given, SimpleNamespace()),
    lambda given: Webhooks("v1", secret="a secret", journal=MemoryJournal(), lifecycle=given),
    lambda given: check_logs(given, Files("log.csv")),
    lambda given: Client("v1", api_key="a key", lifecycle=given),
    lambda given: Emulator(lifecycles={"v1": given}),
]


@pytest.mark.parametrize("take", LIFECYCLES)
@pytest.mark.parametrize("given", ["v1", 3, Lifecycle])
def test_non_lifecycle_is_refused_with_the_argument_name(take: Callable[[Any], object], given: Any) -> None:
    with pytest.raises(TypeError, match=r"lifecycle must be a Lifecycle, such as lifecycle.get\('v1'\), not "):
        take(given)


SECRET = "sk-that-nobody-may-see"
URL = f"postgresql://me:{SECRET}@127.0.0.1:1/x"
WITH_SECRETS: dict[str, Callable[[Any], object]] = {
    "headers of a delivery": lambda given: receiver().receive(b"{}", given),
    "a value of a header": lambda given: receiver().receive(b"{}", {"X-Browser-Use-Signature": given}),
    "the name of a header": lambda given: receiver().receive(b"{}", {given: "x"} if given.__hash__ else given),
    "headers of a response": lambda given: BUILT_IN.parse_response(
        BUILT_IN.status,
        BUILT_IN.status.request("", task_id="t"),
        status_code=200,
        headers=given,
        content=b"{}",
        as_of=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    "the emulator's webhook": lambda given: Emulator("v1", webhook=given),
    "the key of a request": BUILT_IN.request_headers,
    "the key of a header": lambda given: Authentication("X-Key").headers(given),
    "the key of a client": lambda given: Client("v1", api_key=given),
    "the secret of webhooks": lambda given: Webhooks("v1", secret=given, journal=MemoryJournal()),
    "a journal's URL": SqlJournal,
    "a client's journal": lambda given: Client("v1", api_key="any", journal=given),
    "a table's URL": lambda given: PostgresTable(given, "x"),
    "the server of a record": lambda given: MemoryJournal().task(V1, "t", server=given),
}


def receiver() -> Webhooks:
    return Webhooks("v1", secret="a secret", journal=MemoryJournal())


@pytest.mark.parametrize("secret", [SECRET, URL])
@pytest.mark.parametrize("take", WITH_SECRETS.values(), ids=WITH_SECRETS)
def test_secret_of_another_type_is_not_shown(take: Callable[[Any], object], secret: str) -> None:
    raw = secret.encode()
    errors: list[Exception] = []
    for given in (raw, bytearray(raw), [raw], [secret, 5], [(raw, raw)], (5, secret), {"url": URL, "secret": secret}):
        try:
            take(given)
        except (TypeError, ValueError) as error:
            errors.append(error)
    assert len(errors) >= 3
    assert [error for error in errors if SECRET in str(error)] == []


@pytest.mark.parametrize("key", [f"{SECRET}\n", f"{SECRET} x", f"\u20ac{SECRET}", ""])
def test_key_that_no_header_can_carry_is_refused_and_not_shown(key: str) -> None:
    for take in (BUILT_IN.request_headers, Authentication("X-Key").headers):
        with pytest.raises(ValueError, match="the API key") as raised:
            take(key)
        assert SECRET not in str(raised.value)


@pytest.mark.parametrize("separator", [";", ",", "&", "; "])
def test_connection_string_of_another_driver_is_refused_and_not_shown(separator: str) -> None:
    given = separator.join(("host=127.0.0.1", "port=1", "user=me", f"password={SECRET}"))
    for take in (SqlJournal, partial(PostgresTable, table="x")):
        with pytest.raises(ValueError, match=r"not a (connection string|valid database URL)") as raised:
            take(given)
        assert SECRET not in str(raised.value)


async def awaited(*_: object) -> None:
    """It would never run."""


class Awaited:
    async def __call__(self, *_: object) -> None:
        """It would never run."""


CALLBACKS: tuple[Callable[[Any], object], ...] = (
    lambda given: Webhooks("v4", secret="a secret", journal=MemoryJournal(), on_report=given),
    lambda given: Webhooks("v4", secret="a secret", journal=MemoryJournal(), on_session=given),
    lambda given: Emulator("v1").serve(on_start=given),
    lambda given: check_logs(V1, Files("x.csv"), progress=given),
    lambda given: Client("v1", api_key="any").task("t").wait(on_progress=given),
)


@pytest.mark.parametrize("callback", [awaited, Awaited(), partial(awaited, 1)])
@pytest.mark.parametrize("take", CALLBACKS)
def test_callback_that_would_have_to_be_awaited_is_refused(take: Callable[[Any], object], callback: object) -> None:
    with pytest.raises(TypeError, match="is called, and not awaited"):
        take(callback)


@pytest.mark.parametrize(
    ("take", "wrong"),
    [
        (
            lambda: Webhooks("v1", secret="a secret", journal=cast("Any", "j.db")),
            "journal must be a journal, such as",
        ),
        (
            lambda: Webhooks("v1", secret="a secret", journal=MemoryJournal(), on_report=cast("Any", 3)),
            "on_report must be called with reports",
        ),
        (
            lambda: Webhooks("v1", secret="a secret", journal=MemoryJournal()).receive(cast("Any", "{}"), {}),
            "body must be the bytes of the request, before any parsing, not",
        ),
        (
            lambda: Webhooks("v1", secret="a secret", journal=MemoryJournal()).receive(b"{}", cast("Any", 3)),
            "headers must be a mapping of names to texts, not int",
        ),
        (lambda: StopPausedAfter(3, states="paused"), "states must be a list or another iterable, not the text"),
        (lambda: CodedLifecycle(V1).encode_states(cast("Any", "paused")), "states must be a list or another iterable"),
        (lambda: CodedLifecycle(V1).encode_events(cast("Any", "pause")), "events must be a list or another iterable"),
        (lambda: CodedLifecycle(V1).encode_statuses("paused"), "statuses must be a list or another iterable"),
        (lambda: Columns(status=cast("Any", None)), "status must be the name of a column, not None"),
        (lambda: Columns(task=cast("Any", 3)), "task must be a text or None, not 3"),
        (lambda: check_logs(V1, Files("log.csv"), columns=cast("Any", "at")), r"columns must be Columns\(...\), not"),
        (lambda: check_logs(V1, Files("log.csv"), memory=cast("Any", 3)), "memory must be a text, such as '800MB'"),
        (lambda: check_logs(V1, Files("log.csv"), threads=cast("Any", "2")), "threads must be a whole number, not '2'"),
        (lambda: Emulator(lifecycles=cast("Any", "v1")), "lifecycles must be a mapping of services to lifecycles"),
        (lambda: Emulator(port=cast("Any", "80")), "port must be a whole number, not '80'"),
        (lambda: Emulator(pace_s=cast("Any", None)), "pace_s must be a number, not None"),
        (lambda: Emulator(lifecycles=cast("Any", "")), "lifecycles must be a mapping of services to lifecycles"),
        (lambda: Emulator(profiles=cast("Any", [])), "profiles must be a mapping of services to profiles"),
        (lambda: Profile(id_in_create=cast("Any", "no")), "id_in_create must be True or False, not 'no'"),
        (lambda: Profile(page_size=cast("Any", "5")), "page_size must be a whole number, not '5'"),
        (lambda: Profile(not_found=cast("Any", 404)), "not_found must be text, not 404"),
        (lambda: Profile(new_id=cast("Any", "7")), "new_id must be a function, not '7'"),
        (lambda: Profile(waits=cast("Any", True)), "waits must be a function or None, not True"),
        (lambda: Profile(streaming=cast("Any", ["/stream"])), "streaming must be a mapping, not "),
        (lambda: Profile(commanded=cast("Any", "stop")), "commanded must be a function, or several by command, not"),
        (lambda: NewTask(given={}, after_children=cast("Any", "no")), "after_children must be True or False, not 'no'"),
        (lambda: NewTask(given={}, script=cast("Any", "start")), "events must be several names, in a list such as"),
        (lambda: NewTask(given=cast("Any", None)), "given must be a mapping of the fields that views show, not None"),
        (lambda: TaskUpdate(script=cast("Any", "start")), "events must be several names, in a list such as"),
        (lambda: Emulator(pace_s=cast("Any", "1")), "pace_s must be a number, not '1'"),
        (
            lambda: sign(b"{}", BROWSER_USE, secret="a secret", sent_at=cast("Any", "now")),
            "sent_at must be a datetime, not 'now'",
        ),
        (lambda: Lifecycle.from_yaml(cast("Any", None)), "read from a text or bytes, not from None; use from_file"),
        (lambda: Lifecycle.from_json(cast("Any", 3)), "read from a text or bytes, not from 3; use from_file"),
    ],
)
def test_argument_of_another_type_is_refused_with_the_argument_name(take: Callable[[], object], wrong: str) -> None:
    with pytest.raises(TypeError, match=wrong):
        take()


def chain_of(count: int) -> Lifecycle[str, str]:
    """A lifecycle of so many states, one after the other."""
    names = [f"s{number}" for number in range(count)]
    return Lifecycle(
        name="chain",
        citation="this test",
        states=[State(name, initial=name == names[0], final=name == names[-1]) for name in names],
        events=[Event("go", Origin.REMOTE)],
        transitions=[Transition(source, "go", target) for source, target in pairwise(names)],
    )


@pytest.mark.parametrize("mode", ["exact", "sampled"])
def test_logs_of_a_lifecycle_of_many_states_are_judged_as_by_check(tmp_path: Path, mode: Mode) -> None:
    chain = chain_of(120)
    statuses = ["s0", "s1", "s5", "s3", "s119", "s7", "strange", "s8"]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"status": each}) + "\n" for each in statuses))

    with check_logs(chain, Files(log), mode=mode, columns=Columns(task=None, at=None)) as checked:
        found = [(finding.row, finding.code) for finding in checked.findings()]

    expected = [(f.index + 1, f.code) for f in chain.check(statuses, mode=mode) if f.severity is Severity.ERROR]
    assert found == expected


@pytest.mark.parametrize(
    ("take", "wrong"),
    [
        (lambda: Files("log.csv", format=cast("Any", "cvs")), "unknown format 'cvs'; did you mean 'csv'?"),
        (lambda: Columns(time=cast("Any", "millisecond")), "unknown form of times 'millisecond'; did you mean"),
        (lambda: check_logs(V1, Files("log.csv"), memory="lots"), "memory must be a number and a unit of"),
        (lambda: check_logs(V1, Files("log.csv"), memory="-1GB"), "memory must be a number and a unit of"),
        (lambda: check_logs(V1, Files("log.csv"), threads=0), "threads must be at least 1 and at most 1000, not 0"),
        (lambda: check_logs(chain_of(501), Files("log.csv")), "has 501 statuses; logs are checked against at most 500"),
        (lambda: Emulator(port=70_000), "port must be at least 0 and at most 65535, not 70000"),
        (lambda: SqlJournal("x" * 5_000), "no file can have this path"),
        (lambda: SqlJournal("a\0b"), "no file can have this path"),
        (lambda: SqlJournal("/"), "no file can have this path: it names no file"),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_once(take: Callable[[], object], wrong: str) -> None:
    with pytest.raises((ValueError, NotAJournal)) as raised:
        take()
    assert wrong in str(raised.value)


ASKED_OF_THE_EMULATOR: list[tuple[Callable[[Emulator], object], str]] = [
    (lambda emulator: emulator.tasks("v33"), "unknown service 'v33'; did you mean 'v3'?"),
    (
        lambda emulator: emulator.fault("status", stats_code=3),
        "unknown field 'stats_code'; did you mean 'status_code'",
    ),
    (lambda emulator: emulator.fault("status", body=object()), "body must be a text, or another value of JSON, not"),
    (
        lambda emulator: emulator.fault("status", status_code="abc"),
        "status_code must be a status code, 200 to 599, not 'abc'",
    ),
    (
        lambda emulator: emulator.set_webhook("abc", secret="a secret"),
        "url must be a URL that begins with http:// or https://",
    ),
    (lambda emulator: emulator.webhook_fault("late", second=3), "unknown field 'second'; did you mean 'seconds'?"),
]


@pytest.mark.parametrize(("ask", "wrong"), ASKED_OF_THE_EMULATOR)
def test_emulator_names_the_wrong_argument(ask: Callable[[Emulator], object], wrong: str) -> None:
    with Emulator() as emulator, pytest.raises(ValueError) as raised:  # noqa: PT011 (compared below, literally)
        ask(emulator)
    message = str(raised.value)
    assert wrong in message
    assert "pydantic" not in message
    assert "a secret" not in message


def test_a_policy_of_a_final_state_is_refused() -> None:
    with pytest.raises(ValueError, match="'stopped' is final"):
        StopPausedAfter(3, states=["stopped"]).require_declared(V1)


class WithoutRepr:
    """An object that no message can show: its repr raises, as that of a very deep dict does."""

    def __repr__(self) -> str:
        raise RecursionError


SHOWN: list[tuple[str, Callable[[Any], object]]] = [
    ("poll_s", lambda given: Timing(poll_s=given)),
    ("labels", lambda given: Client("v4", api_key="any").create("x", labels=given)),
    ("dead", lambda given: Client("v4", api_key="any").recover(dead=given)),
    ("on_report", lambda given: Webhooks("v1", secret="s", journal=MemoryJournal(), on_report=given)),
    ("attribute", lambda given: bind(V1, SimpleNamespace(), attribute=given)),
    ("indent", lambda given: V1.to_json(indent=given)),
    ("from_file", Lifecycle.from_json),
    ("a", lambda given: argument_headers({"inputSchema": {"properties": {"a": {"x-mcp-header": given}}}})),
]


@pytest.mark.parametrize(("name", "take"), SHOWN, ids=lambda each: each if isinstance(each, str) else "")
def test_argument_without_a_repr_is_refused_with_its_name(name: str, take: Callable[[Any], object]) -> None:
    with pytest.raises((TypeError, ValueError), match=name):
        take(WithoutRepr())
