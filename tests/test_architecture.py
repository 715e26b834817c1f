"""Imports go one way: every import of both packages is read and compared with the tables below; and rules for tests."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from functools import cache

import pytest

from tests.support.packages import MODULES, ROOT, belongs

# A module imports only what stands left of it, and what that imports. `x.*` is a package with its modules.
# Files that are not there yet may be named; a file that is not named is an error.
ONE_WAY = {
    "lifecycle": """
        errors <- table <- graph <- conformance <- declaration <- partial <- validation
        validation <- documents <- findings <- lifecycle
        lifecycle <- catalog.*
        catalog.* <- journal <- reducers, journal_arguments <- memory_creates <- memory
        process_bound <- memory
        journal <- effects, proof <- command
        effects <- create, following
        lifecycle <- proof
        lifecycle <- scope <- journal
        lifecycle <- testing
        declaration <- diagram.* <- lifecycle
        validation <- digest <- lifecycle
        lifecycle <- compatibility
    """,
    "lifecycle_adapters": """
        http.authentication <- http.webhook_binding <- http.binding, services.browser_use
        http.http_errors <- http.binding, services.browser_use <- services.v1, services.v2, services.v3, services.v4
        http.call, http.webhook_binding <- http.stream_binding <- http.binding
        http.transport_failures <- http.event_stream <- http.limits, http.driver, http.response_meaning
        webhooks.* <- watch.*
        http.webhook_binding, http.responses <- services.a2a_updates, services.mcp_updates
        services.mcp_updates <- services.mcp_extension
        argument_checks, http.authentication <- services.mcp_tools <- services
        http.binding, services.a2a_updates <- services.a2a
        http.binding <- services.a2a, services.json_rpc <- services.a2a_jsonrpc, services.mcp, services.mcp_extension
        services.a2a <- services.a2a_jsonrpc
        services.a2a_jsonrpc, services.mcp, services.mcp_extension <- services.registry, services.profiles
        services.a2a, services.v1, services.v2, services.v3, services.v4 <- services.registry <- services
        services.registry, http.further_calls, http.keys <- http.configured_client <- http.client
        argument_checks <- procedures.arguments, procedures.timing
        telemetry, procedures.call_errors, procedures.signal_errors <- procedures.governed_task
        procedures.signal_errors <- http.keys, http.paginator, http.response_meaning
        telemetry <- procedures.arguments <- http.task_procedures, http.creates
        procedures.timing <- procedures.interpreter <- procedures.running, procedures.governed_task
        procedures.governed_task, procedures.task_summary <- procedures.governed_creates
        procedures.arguments, procedures.governed_creates, procedures.running <- procedures.recovery
        procedures.arguments, procedures.governed_task, procedures.running <- procedures.governed_handles
        procedures.command_methods, procedures.twins <- procedures.governed_handles
        procedures.recovery, procedures.twins <- procedures.recovery_methods
        procedures.governed_creates, procedures.governed_handles, procedures.recovery_methods <- objects.*
        procedures.call_errors <- http.http_errors
        http.binding, procedures.interpreter <- http.http_call <- http.handshakes, http.sending, http.driver
        http.http_call, procedures.task_summary <- http.paginator
        http.http_call, procedures.governed_task <- http.task_procedures
        procedures.governed_creates, http.task_procedures, http.paginator <- http.creates
        http.creates <- http.further_calls <- http.task_handles <- http.client
        procedures.running <- http.driver
        procedures.governed_handles <- http.task_handles
        procedures.recovery_methods <- http.client
        http.sending <- http.driver
        foreign_text <- http.responses, objects.*, drift.fetching
        argument_checks <- http.requests, watch.*, journal.*, machine, webhooks.*, arrays
        http.requests <- http.base_url
        http.http_errors, http.requests <- http.responses <- http.response_meaning <- http.binding
        argument_checks <- http.declared <- http.retired <- http.binding
        http.base_url, http.declared <- http.authentication <- http.call, emulator.faults
        http.authentication <- http.header_values <- http.call, emulator.calls, services.mcp_extension_emulation
        http.call <- http.binding_mistakes, http.parameters, http.response_meaning <- http.binding
        http.handshake <- http.binding_mistakes
        http.declared, http.responses <- http.envelope <- http.response_meaning
        http.call <- http.handshake <- http.response_meaning
        http.handshake <- http.handshakes <- http.sending, http.driver
        http.misspelt_options, http.responses <- http.call
        argument_checks <- logs.*, procedures.command_methods
        http.http_errors, http.transport_failures <- http.limits <- http.connections <- http.driver
        http.proxies <- http.connections, http.sending
        http.limits, http.redaction <- http.sending
        http.redaction <- http.responses, http.paginator
        http.binding <- http.keys <- http.sending
        http.driver <- http.task_handles <- http.client
        http.task_procedures <- http.task_handles
        http.client, services <- http <- watch.* <- dbos <- cli.*
        argument_checks <- emulator.control_models <- emulator.faults
        argument_checks, http.binding <- emulator.calls, emulator.script <- emulator.call_log, emulator.task_store
        emulator.routing <- emulator.calls, emulator.fault_middleware, emulator.service
        emulator.call_log, emulator.shapes <- emulator.faults <- emulator.fault_middleware, emulator.pushed_messages
        emulator.task_store <- emulator.profile, emulator.documents, emulator.fault_middleware, emulator.webhook_sender
        http.responses <- emulator.shapes <- emulator.documents <- emulator.service
        emulator.calls, emulator.routing, emulator.shapes <- emulator.service_routes
        emulator.profile <- emulator.service_routes <- emulator.service
        emulator.calls, http.envelope, http.responses <- emulator.emulated_envelope <- emulator.service
        emulator.profile, http.binding <- emulator.pushed_messages <- emulator.webhook_sender
        emulator.call_log, emulator.profile <- emulator.service, emulator.webhook_sender <- emulator.control
        emulator.routing, emulator.service <- emulator.control <- emulator.application <- emulator.server <- emulator
        emulator.fault_middleware, emulator.same_origin, services.registry <- emulator.application
        emulator <- cli.*
        emulator.shapes, services.v1, services.v2, services.v3, services.v4 <- services.v2_shapes
        services.vocabulary <- services.v2_shapes <- services.v3_shapes, services.v4_shapes
        services.assumptions, services.v2_shapes, emulator.profile, emulator.documents <- services.v1_emulation
        services.assumptions, services.v2_shapes, emulator.profile, emulator.documents <- services.v2_emulation
        services.assumptions, services.v3_shapes, emulator.profile, emulator.documents <- services.v3_emulation
        services.assumptions, services.v4_shapes, emulator.profile, emulator.documents <- services.v4_session_emulation
        services.v4_session_emulation <- services.v4_emulation
        emulator.shapes, emulator.task_store, services.browser_use <- services.browser_use_webhooks
        services.browser_use_webhooks <- services.v1_emulation, services.v2_emulation
        services.browser_use_webhooks <- services.v3_emulation, services.v4_emulation
        services.v1_emulation, services.v2_emulation, services.v3_emulation, services.v4_emulation <- services.profiles
        emulator.profile, emulator.shapes, services.a2a <- services.a2a_emulation <- services.profiles
        services.a2a_emulation, services.json_rpc <- services.a2a_jsonrpc_emulation <- services.profiles
        emulator.profile, emulator.shapes, services.json_rpc <- services.mcp_emulation <- services.profiles
        services.mcp_emulation <- services.mcp_extension_emulation
        emulator.profile, emulator.shapes, services.json_rpc <- services.mcp_extension_emulation <- services.profiles
        services.profiles <- emulator.application
        telemetry <- http.sending, journal.*
        argument_checks <- render <- logs.* <- cli.*
        argument_checks <- connection_strings
        connection_strings, private_files <- journal.*, logs.* <- cli.*
        connection_strings <- drift.loading, procedures.arguments
        spreadsheets <- logs.*, cli.*
        drift.drift_errors <- drift.document <- drift.schemas, drift.located
        drift.differences, drift.declared_calls <- drift.located
        drift.located <- drift.request_differences, drift.response_differences <- drift.comparison <- drift
        argument_checks <- drift.document
        http.binding <- drift.declared_calls
        drift.schemas <- drift.request_differences, drift.response_differences <- drift.drafting <- drift
        drift.document, http.responses <- drift.loading <- drift <- cli.*
        drift.drift_errors, http.limits, http.responses, http.transport_failures <- drift.fetching <- drift.loading
        services.registry, services.browser_use, http.webhook_binding <- webhooks.*
        webhooks.*, http.binding, http.webhook_binding <- emulator.webhook_sender
        arrays, journal.*, webhooks.*, machine <- cli.*
    """,
}

# What a built-in service does in the emulator, and nothing else imports.
PROFILES = [
    "lifecycle_adapters.services.a2a_emulation",
    "lifecycle_adapters.services.a2a_jsonrpc_emulation",
    "lifecycle_adapters.services.mcp_emulation",
    "lifecycle_adapters.services.mcp_extension_emulation",
    "lifecycle_adapters.services.browser_use_webhooks",
    *(f"lifecycle_adapters.services.v{version}_emulation" for version in (1, 2, 3, 4)),
    "lifecycle_adapters.services.v4_session_emulation",
    *(f"lifecycle_adapters.services.v{version}_shapes" for version in (2, 3, 4)),
]

# Who imports what is no part of Python: an optional dependency belongs to the files that are named for it.
OWNERS = {
    "pydantic": ["lifecycle.lifecycle", "lifecycle.declaration", "lifecycle.partial", "lifecycle_adapters"],
    "pydantic_core": ["lifecycle.declaration", "lifecycle.lifecycle", "lifecycle_adapters"],
    # Type variables with defaults, and typed dicts whose keys pydantic reads, on Python 3.11.
    "typing_extensions": [
        "lifecycle_adapters.emulator",
        "lifecycle_adapters.http.client",
        "lifecycle_adapters.http.configured_client",
        "lifecycle_adapters.procedures.governed_handles",
        "lifecycle_adapters.procedures.recovery_methods",
        "lifecycle_adapters.http.task_handles",
        "lifecycle_adapters.objects.object_client",
        *PROFILES,
    ],
    "yaml": ["lifecycle.documents"],
    "hypothesis": ["lifecycle.testing"],
    "transitions": ["lifecycle_adapters.machine"],
    # In the emulator for its webhooks: it is the client of their receivers.
    "httpx2": [
        *(
            f"lifecycle_adapters.http.{name}"
            for name in ("client", "connections", "driver", "keys", "limits", "sending")
        ),
        "lifecycle_adapters.drift.fetching",
        "lifecycle_adapters.emulator",
    ],
    "referencing": ["lifecycle_adapters.drift.document"],
    "tenacity": ["lifecycle_adapters.http.client", "lifecycle_adapters.http.driver", "lifecycle_adapters.procedures"],
    "fastapi": ["lifecycle_adapters.emulator", *PROFILES],
    "starlette": ["lifecycle_adapters.emulator"],
    "uvicorn": ["lifecycle_adapters.emulator"],
    "sqlalchemy": ["lifecycle_adapters.journal"],
    "aiolimiter": ["lifecycle_adapters.watch"],
    "dbos": ["lifecycle_adapters.dbos"],
    "opentelemetry": ["lifecycle_adapters.telemetry"],
    "duckdb": ["lifecycle_adapters.logs.duckdb_session"],
    "numpy": ["lifecycle_adapters.arrays", "lifecycle_adapters.logs"],
    "backports": ["lifecycle_adapters.logs.text.blocks"],
    "psycopg": ["lifecycle_adapters.connection_strings", "lifecycle_adapters.logs.postgres"],
    "pyspark": ["lifecycle_adapters.logs.spark"],
    "py4j": ["lifecycle_adapters.logs.spark"],  # by which Python calls Spark; its errors come through
    "typer": ["lifecycle_adapters.cli"],
    "rich": ["lifecycle_adapters.cli"],
}

# The part of the standard library that neither tells the time nor touches the world, with two exceptions.
PURE = {
    "__future__", "abc", "collections", "contextlib", "dataclasses", "datetime", "difflib", "enum", "functools",
    "itertools", "json", "math", "re", "types", "typing", "unicodedata", "weakref",
}  # fmt: skip
EXCEPTIONS = {
    "lifecycle": {"importlib"},  # what commands need is imported when it is first used
    "lifecycle.digest": {"hashlib"},
    "lifecycle.lifecycle": {"pathlib"},  # from_file reads one
    "lifecycle.memory": {"threading"},  # the lock of the journal in memory
    "lifecycle.memory_creates": {"threading"},
    "lifecycle.scope": {"hashlib", "urllib"},  # to quote and to shorten texts
}
TYPE_ONLY = {  # of the class whose rules and responses they hold; no code of theirs needs it when it runs
    ("lifecycle_adapters.http.binding_mistakes", "lifecycle_adapters.http.binding"),
    ("lifecycle_adapters.http.parameters", "lifecycle_adapters.http.binding"),
    ("lifecycle_adapters.http.response_meaning", "lifecycle_adapters.http.binding"),
}
IMPURE_CALLS = {"open", "print", "input", "eval", "exec", "__import__", "now", "utcnow", "today", "cwd", "home"}

CORE = [name for name in MODULES if belongs(name, "lifecycle")]


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imports(part: ast.AST) -> Iterator[str]:
    """The full names of all imported modules, wherever in `part` the import stands."""
    for node in ast.walk(part):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + str(node.module or "")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in MODULES else origin


def foreign(part: ast.AST) -> set[str]:
    """The packages imported that are neither ours nor Python's."""
    pythons = sys.stdlib_module_names | {"compression"}  # the latter since Python 3.14
    return {name.partition(".")[0] for name in imports(part)} - {*ONE_WAY} - pythons


# --- the direction -----------------------------------------------------------------------------


@cache
def direction(top: str) -> dict[str, set[str]]:
    """For each entry of one table all entries that it may import."""
    allowed: dict[str, set[str]] = {}
    for line in ONE_WAY[top].strip().splitlines():
        left: set[str] = set()
        for group in line.split("<-"):
            names = {f"{top}.{name.strip()}" for name in group.split(",")}
            for name in names:
                allowed.setdefault(name, set()).update(left)
            left |= names
    for _ in allowed:  # what those may import in turn
        allowed = {name: left.union(*(allowed[each] for each in left)) for name, left in allowed.items()}
    return allowed


def entry_of(module: str) -> str:
    entries = direction(module.partition(".")[0])
    found = [each for each in entries if module == each or (each[-2:] == ".*" and belongs(module, each[:-2]))]
    assert len(found) == 1, f"{module} has no place in the table of this test"
    return found[0]


def may_import(module: str, other: str) -> bool:
    if module == "lifecycle":  # the facade
        return other.startswith("lifecycle.") and other != "lifecycle.testing"
    if belongs(module, "lifecycle_adapters") and belongs(other, "lifecycle"):
        return other != "lifecycle.testing"
    if other in ONE_WAY or not belongs(other, module.partition(".")[0]):
        return False
    mine, theirs = entry_of(module), entry_of(other)
    return mine == theirs or theirs in direction(module.partition(".")[0])[mine]


def test_imports_go_one_way() -> None:
    for module in MODULES:
        ours = {name for name in imports(tree(module)) if name.startswith(".") or name.partition(".")[0] in ONE_WAY}

        assert ours <= set(MODULES), f"{module} imports what is not there"
        assert {(module, name) for name in ours if not may_import(module, name)} <= TYPE_ONLY


def test_type_only_imports_are_not_executed() -> None:
    for module, other in TYPE_ONLY:
        guarded = [each for each in tree(module).body if isinstance(each, ast.If)]
        elsewhere = [each for each in tree(module).body if not isinstance(each, ast.If)]

        assert other in {name for each in guarded for name in imports(each)}
        assert other not in {name for each in elsewhere for name in imports(each)}


def test_the_import_table_has_no_cycles() -> None:
    for top in ONE_WAY:
        assert all(entry not in allowed for entry, allowed in direction(top).items())


@pytest.mark.parametrize("top", ONE_WAY)
def test_a_module_name_exists_once_in_a_package(top: str) -> None:
    inner = [module.rpartition(".")[2] for module in MODULES if belongs(module, top) and module != top]

    assert [name for name, times in Counter(inner).items() if times > 1 and name != "__main__"] == []


def test_a_class_name_exists_once() -> None:
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)

    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


# --- what is foreign ---------------------------------------------------------------------------


def test_a_dependency_is_imported_only_by_its_own_files() -> None:
    strangers = {
        (module, name)
        for module in MODULES
        for name in foreign(tree(module))
        if not any(belongs(module, owner) for owner in OWNERS.get(name, []))
    }

    assert strangers == set()


@pytest.mark.parametrize("module", CORE)
def test_the_core_is_pure(module: str) -> None:
    standard = {name.partition(".")[0] for name in imports(tree(module))} & sys.stdlib_module_names
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
    }

    assert standard - PURE - EXCEPTIONS.get(module, set()) == set()
    assert called & IMPURE_CALLS == set()


class WithoutFunctions(ast.NodeTransformer):
    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Drop it."""


@pytest.mark.parametrize("module", [name for name in CORE if name != "lifecycle.testing"])
def test_the_core_imports_an_extra_only_on_demand(module: str) -> None:
    at_import = WithoutFunctions().visit(deepcopy(tree(module)))

    assert foreign(at_import) <= {"pydantic", "pydantic_core"}  # the latter comes with the former


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_core_loads_only_pydantic() -> None:
    program = "import json, sys; old = {*sys.modules}; import lifecycle; print(json.dumps([*{*sys.modules} - old]))"
    public = {name.partition(".")[0] for name in json.loads(run(program)) if not name.startswith("_")}

    with_pydantic = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
    assert public - sys.stdlib_module_names - {"lifecycle"} <= with_pydantic


ADAPTERS = [name for name in MODULES if belongs(name, "lifecycle_adapters") and name.count(".") == 1]


def test_without_its_extra_an_adapter_names_the_command_that_installs_it() -> None:
    """Whatever it exports is there, or its absence is a MissingExtra; never a bare ImportError."""
    optional = sorted({*OWNERS} - {"pydantic", "pydantic_core", "typing_extensions"})
    run(f"""
import importlib, sys
sys.modules.update(dict.fromkeys({optional!r}))  # what an absent package looks like to `import`
from lifecycle import MissingExtra
def look(name):
    module = importlib.import_module(name)
    for name in getattr(module, "__all__", ()):
        try:
            getattr(module, name)
        except MissingExtra as error:
            assert "pip install" in str(error)
for name in {["lifecycle.testing", *ADAPTERS]!r}:
    try:
        look(name)
    except MissingExtra as error:
        assert "pip install" in str(error)
""")


def is_dataclass_with_slots(made: ast.ClassDef) -> bool:
    return any(
        isinstance(each, ast.Call)
        and ast.unparse(each.func) == "dataclass"
        and any(option.arg == "slots" and ast.unparse(option.value) == "True" for option in each.keywords)
        for each in made.decorator_list
    )


@pytest.mark.parametrize("module", MODULES)
def test_a_dataclass_with_slots_names_the_class_that_it_calls(module: str) -> None:
    """`slots` makes another class of it, and `super()` without arguments raises TypeError there."""
    made = [each for each in ast.walk(tree(module)) if isinstance(each, ast.ClassDef) and is_dataclass_with_slots(each)]
    calls = [ast.unparse(each) for one in made for each in ast.walk(one) if isinstance(each, ast.Call)]

    assert "super()" not in calls


# --- the tests ---------------------------------------------------------------------------------

OUR_ROOTS = {*ONE_WAY, "tests"}
TEST_FILES = sorted({*(ROOT / "tests").rglob("*.py")} - {ROOT / "tests" / "typing" / "rejected.py"})  # it never runs
REPLACING = {"setattr", "delattr", "setitem", "delitem"}  # of Python and of pytest's MonkeyPatch
MOCKING = {"patch", "mock", "unittest"}  # names through which unittest.mock replaces parts


def imported_roots(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """The package from which each imported name comes."""
    found: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {each.asname or each.name.partition(".")[0]: each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {each.asname or each.name: str(node.module).partition(".")[0] for each in node.names}
    return found


def root_of(target: ast.expr) -> str | None:
    """The name with which an expression such as `name.part[0].part` begins; None for any other one."""
    while isinstance(target, ast.Attribute | ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else None


def must_fail(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What stands in a block of `pytest.raises`: an attempt that is refused replaces nothing."""
    for node in nodes:
        if isinstance(node, ast.With) and any("pytest.raises(" in ast.unparse(each) for each in node.items):
            yield from ast.walk(node)


def replaced(nodes: Iterable[ast.AST]) -> Iterator[ast.expr]:
    """What `setattr` and the like change."""
    for node in nodes:
        if isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Attribute | ast.Name):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            if name in REPLACING and not ast.unparse(node.func).startswith("operator."):
                yield node.args[0]


def is_foreign(target: ast.expr, roots: Mapping[str, str]) -> bool:
    if isinstance(target, ast.Constant):
        return str(target.value).partition(".")[0] not in OUR_ROOTS
    return roots.get(root_of(target) or "", "tests") not in OUR_ROOTS


def parts_of_ours(text: str) -> Iterator[str]:
    """The parts of our modules, and of what cannot be seen to be another's, that the program `text` replaces."""
    nodes = [*ast.walk(ast.parse(text))]
    roots, refused = imported_roots(nodes), {id(node) for node in must_fail(nodes)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute | ast.Subscript)]
    stored = [node for node in attributes if not isinstance(node.ctx, ast.Load) and root_of(node) in roots]
    for node in (*replaced(nodes), *stored):
        if id(node) not in refused and not is_foreign(node, roots):
            yield f"line {node.lineno}: {ast.unparse(node)}"
    yield from (name for name in MOCKING if roots.get(name) == "unittest")
    if re.search(r"ignore\[[^]]*method-assign", text):
        yield "a method of an instance"


def test_no_test_replaces_a_part_of_ours() -> None:
    """It could pass although the program, which has the real part, fails. A part of another package may be replaced."""
    found = {str(path.relative_to(ROOT)): [*parts_of_ours(path.read_text(encoding="utf-8"))] for path in TEST_FILES}

    assert {path: parts for path, parts in found.items() if parts} == {}
