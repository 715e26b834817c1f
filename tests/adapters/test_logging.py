"""Log records of the adapters: a constant message, its facts as data, and no secret in either."""

from __future__ import annotations

import ast
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lifecycle import LifecycleError
from lifecycle.journal import Delivery, TaskReport
from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import BROWSER_USE, Client
from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.webhooks import Webhooks, sign
from tests.adapters.http.both import QUICK, AnyClient, BlockingClient
from tests.adapters.http.conftest import NO_CERTIFICATES
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen

ADAPTERS = Path(__file__).parents[2] / "adapters" / "lifecycle_adapters"
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
TAKEN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}

# --- in the sources -------------------------------------------------------------------------------


def loggers(module: ast.Module) -> dict[str, str]:
    """Return the names of a module's loggers, and the argument of `getLogger` for each."""
    made = [node for node in ast.walk(module) if isinstance(node, ast.Assign) and "getLogger" in ast.unparse(node)]
    return {ast.unparse(node.targets[0]): ast.unparse(node.value) for node in made}


def log_calls() -> Iterator[Any]:
    """Yield every call of a logger, with the function around it."""
    for path in sorted(ADAPTERS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "logging" not in text:
            continue
        module = ast.parse(text)
        names = {f"{name}.{level}" for name in {*loggers(module), "logging"} for level in LEVELS}
        functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        for function in functions:
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and ast.unparse(node.func) in names:
                    yield pytest.param(node, function, id=f"{path.relative_to(ADAPTERS)}:{node.lineno}")


@pytest.mark.parametrize("path", [each for each in ADAPTERS.rglob("*.py") if "getLogger" in each.read_text()], ids=str)
def test_a_logger_is_named_for_its_adapter(path: Path) -> None:
    adapter = ".".join(["lifecycle_adapters", *path.relative_to(ADAPTERS).with_suffix("").parts][:2])
    given = set(loggers(ast.parse(path.read_text(encoding="utf-8"))).values())

    assert given <= {f"logging.getLogger('{adapter}')", "logging.getLogger(__name__)"}


@pytest.mark.parametrize(("call", "function"), [*log_calls()])
def test_a_message_is_constant_and_its_facts_are_data(call: ast.Call, function: ast.FunctionDef) -> None:
    (text,) = call.args
    written = [key for node in ast.walk(function) if isinstance(node, ast.Dict) for key in node.keys]
    facts = {ast.literal_eval(key) for key in written if key is not None}

    assert isinstance(text, ast.Constant)
    assert "%" not in str(text.value)
    assert {each.arg for each in call.keywords} <= {"extra", "exc_info"}
    assert facts & TAKEN == set(), "logging refuses to overwrite them"


# --- at run time ----------------------------------------------------------------------------------

KEY = "bu_distinctive-key-71d3"
SECRET = "whsec_distinctive-secret-5b09"
PASSWORD = "distinctive-password-c2e8"
PING = b'{"type": "test", "timestamp": "2026-01-01T00:00:00Z", "payload": {"test": "ok"}}'


def echo(seen: Seen) -> Reply:
    """Return an unusable response that repeats the whole request."""
    said = {"detail": f"{seen.headers} {seen.body!r}"}
    status = {"GET": 200, "PUT": 409, "POST": 503}[seen.method]
    return Reply(status=status, body="running" if seen.method == "GET" else said, headers={"X-Echo": str(seen.headers)})


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """The records of all loggers of the adapters, as a handler receives them."""
    kept: list[logging.LogRecord] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    handler, logger = Keeping(), logging.getLogger("lifecycle_adapters")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.setLevel(level)
    logger.removeHandler(handler)


def synchronous(base_url: str, **settings: Any) -> AnyClient:
    return Client("v1", api_key=KEY, base_url=base_url, timing=QUICK, **settings)


def asynchronous(base_url: str, **settings: Any) -> AnyClient:
    verify = {"verify": NO_CERTIFICATES}
    return BlockingClient("v1", http_settings=verify, api_key=KEY, base_url=base_url, timing=QUICK, **settings)


@pytest.mark.parametrize("open_client", [synchronous, asynchronous])
def test_no_record_holds_a_key(
    records: list[logging.LogRecord], open_client: Callable[..., AnyClient], tmp_path: Path
) -> None:
    with (
        ScriptedServer(echo).running() as server,
        SqlJournal(tmp_path / "journal.db") as journal,
        open_client(server.base_url, journal=journal) as client,
    ):
        for act in (client.task("t").pause, client.task("t").stop, client.recover, lambda: client.create("x")):
            with suppress(LifecycleError):
                act()
        server.hang_up()
    with open_client("http://127.0.0.1:1") as client, pytest.raises(LifecycleError):
        client.task("t").status()

    logged = [vars(each) for each in records]
    assert {(each["method"], each["response"]) for each in logged} >= {
        ("GET", "Accepted"), ("PUT", "Refused"), ("POST", "Lost"), ("GET", "NotSent"),
    }  # fmt: skip
    assert KEY not in str(logged)


def test_no_record_holds_a_secret_of_webhooks(records: list[logging.LogRecord]) -> None:
    webhooks = Webhooks("v1", secret=SECRET, journal=MemoryJournal())
    now = datetime.now(UTC)
    for body in (PING, b"{}", SECRET.encode()):
        for headers in (
            sign(PING, BROWSER_USE, secret=SECRET, sent_at=now),
            {str(BROWSER_USE.timestamp_header): "1", BROWSER_USE.header: SECRET},
        ):
            webhooks.receive(body, headers)

    logged = [vars(each) for each in records]
    assert {each["levelname"] for each in logged} == {"INFO", "WARNING"}
    assert SECRET not in str(logged)


class Gone(MemoryJournal):
    """A journal that raises the given error on every call."""

    def __init__(self, why: LifecycleError) -> None:
        super().__init__()
        self.why = why

    def receive(self, delivery: Delivery, reports: Sequence[TaskReport] = ()) -> NoReturn:  # noqa: ARG002 (as declared)
        raise self.why


def test_no_record_holds_a_password_of_the_journal(records: list[logging.LogRecord]) -> None:
    with pytest.raises(LifecycleError) as raised:
        SqlJournal(f"postgresql://someone:{PASSWORD}@127.0.0.1:1/none")
    webhooks = Webhooks("v1", secret=SECRET, journal=Gone(raised.value))

    webhooks.receive(PING, sign(PING, BROWSER_USE, secret=SECRET, sent_at=datetime.now(UTC)))

    (logged,) = [vars(each) for each in records if each.levelname == "ERROR"]
    assert "someone" in logged["error"]
    assert PASSWORD not in str(logged)
