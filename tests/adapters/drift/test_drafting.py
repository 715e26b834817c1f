"""The draft of a service file: what it takes from a document, what it leaves to people, how it becomes a service."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lifecycle import DefinitionError, Lifecycle
from lifecycle_adapters.drift import OpenApiDocument, UnusableDocument, service_draft
from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service
from tests.adapters.drift.made import PRINTER, compared_service, dated, json_of, printer


def draft(contents: Any, schema: str = "Status") -> str:
    return service_draft(OpenApiDocument(contents, source="api.json"), schema)


def fields(contents: Any, schema: str = "Status") -> Any:
    return yaml.safe_load(draft(contents, schema))


FILLED = {
    "base_url: TODO  # such as https://host: the document names no server": "base_url: http://printer.invalid",
    "authentication: TODO  # such as {header: X-Key}, or null if the service asks for no key": "authentication: null",
    "{name: waiting}": "{name: waiting, initial: true}",
    "{name: printed}": "{name: printed, final: true}",
    "{name: cancelled}": "{name: cancelled, final: true}",
    "    # Add what the service does by itself, such as {name: start, origin: remote}.\n": (
        "    - {name: begin, origin: remote}\n    - {name: finish, origin: remote}\n"
    ),
    "event: delete, target: TODO": "event: delete, target: cancelled",
    "    - {source: TODO, event: TODO, target: TODO}\n": (
        "    - {source: waiting, event: begin, target: printing}\n"
        "    - {source: printing, event: finish, target: printed}\n"
    ),
}  # fmt: skip


def filled_in(contents: Any = None, *, but: str = "") -> str:
    """Return the draft of the printer, or of another document of it, with every TODO filled in but one."""
    text = draft(printer() if contents is None else contents)
    for todo, filled in FILLED.items():
        assert text.count(todo) == 1
        text = text if todo == but else text.replace(todo, filled)
    return text


def test_a_draft_whose_todos_are_filled_in_is_the_service() -> None:
    made = HttpBinding.from_yaml(filled_in())

    assert compared_service(printer(), made).is_same
    for name in ("create", "status", "details", "listing", "id_field", "task_field"):
        assert getattr(made, name) == getattr(PRINTER, name)
    assert made.commands["delete"] == PRINTER.commands["cancel"]
    assert made.lifecycle.digest == renamed_printer().digest


def test_slashes_at_the_ends_of_paths_are_kept() -> None:
    """A Django server redirects a GET without its slash, and refuses any other request."""
    contents, slashed = printer(), printer()
    slashed["paths"] = {f"{path}/": item for path, item in slashed["paths"].items()}
    made, expected = fields(slashed), fields(contents)

    for part in (made["create"], made["status"], made["details"], made["listing"]["call"], *made["commands"].values()):
        assert part["path"].endswith("/")
        part["path"] = part["path"].rstrip("/")
    assert made == expected
    assert compared_service(slashed, HttpBinding.from_yaml(filled_in(slashed))).is_same


def test_verb_behind_a_colon_may_be_a_command() -> None:
    contents = printer()
    contents["paths"]["/jobs/{job-id}:hold"] = {"post": {"responses": {"204": {"description": "held"}}}}

    assert fields(contents)["commands"]["hold"] == {"method": "POST", "path": "/jobs/{id}:hold"}


def test_read_of_the_status_alone_is_the_read_of_a_task_without_a_status() -> None:
    contents = printer()
    task = contents["paths"]["/jobs/{job-id}"]
    contents["paths"]["/jobs/{job-id}/status"] = {"get": task["get"]}
    task["get"] = {"responses": {"200": {"description": "", **json_of({"type": "object"})}}}
    made = fields(contents)

    read = {"method": "GET", "path": "/jobs/{id}/status", "status_field": "status"}
    assert (made["status"], made["details"]) == (read, read)
    assert made["create"] == fields(printer())["create"]
    assert made["commands"] == fields(printer())["commands"]


@pytest.mark.parametrize(("taken", "placeholder"), [(["TODO"], "TODO_2"), (["TODO_2", "TODO", "todo"], "TODO_3")])
def test_a_status_may_have_the_name_of_the_placeholder(taken: list[str], placeholder: str) -> None:
    text = draft(printer({"enum": ["waiting", *taken]}))
    assert text.splitlines()[0].endswith(f"replace or remove every {placeholder}.")
    with pytest.raises(DefinitionError) as unfinished:
        HttpBinding.from_yaml(text.replace("base_url: " + placeholder, "base_url: http://printer.invalid"))
    assert f"state '{placeholder}' is not declared" in str(unfinished.value)


def renamed_printer() -> Lifecycle[str, str]:
    """Return the lifecycle of the printer whose command has the name that the draft gives it."""
    return Lifecycle.from_json(PRINTER.lifecycle.to_json().replace('"cancel"', '"delete"'))


def test_unfilled_draft_reports_what_to_fill_in() -> None:
    with pytest.raises(DefinitionError) as raised:
        HttpBinding.from_yaml(draft(printer()))

    lines = [str(each) for each in raised.value.findings]
    assert len([each for each in lines if "state 'TODO' is not declared" in each]) == 3
    assert any("one state must be initial" in each for each in lines)
    for todo in FILLED:
        if "TODO" in todo:
            with pytest.raises(DefinitionError, match=r"'TODO'|'begin' is not declared|base_url|authentication"):
                HttpBinding.from_yaml(filled_in(but=todo))


DATED = {
    "v2-2026-02-21 TaskStatus": ("v2", set[str](), set[str]()),
    "v2-2026-08-06 TaskStatus": ("v2", set[str](), set[str]()),
    "v2-2026-08-06 SessionStatus": (
        "v2-session",
        {"delete", "purge", "public_share", "public_share_delete"},
        set[str](),
    ),
    # A dispatch is a POST on the path of all sessions, as a create is.
    "v3-2026-08-06 BuAgentSessionStatus": ("v3", {"delete", "stop_session"}, {"dispatch"}),
    "v4-2026-07-26 #/components/schemas/RunSummary/properties/status": ("v4", set[str](), set[str]()),
}
"""For each document and schema: the service, what is not a command of it, and which command is not recognised."""


@pytest.mark.parametrize("named", DATED)
def test_the_calls_of_a_real_document_are_those_of_its_service(named: str) -> None:
    document, schema = named.split()
    name, no_commands, not_recognised = DATED[named]
    built_in = service(name)
    made = fields(dated(document), schema)

    assert (made["base_url"], made["base_path"]) == (built_in.base_url, built_in.base_path)
    assert built_in.authentication is not None
    assert made["authentication"] == {"header": built_in.authentication.header}
    assert made["id_field"] == built_in.id_field
    for role in ("create", "status", "details"):
        call = getattr(built_in, role)
        assert (made[role]["method"], made[role]["path"]) == (call.method, call.path)
    assert built_in.listing is not None
    assert made["listing"]["call"] == {"method": "GET", "path": built_in.listing.call.path}
    for part in ("items_field", "page_parameter", "next_field"):
        assert made["listing"].get(part) == getattr(built_in.listing, part)
    commands = {str(each): call for each, call in built_in.commands.items() if each not in not_recognised}
    assert {*made["commands"]} - no_commands == {*commands}
    for command, call in commands.items():
        drawn = made["commands"][command]
        assert (drawn["method"], drawn["path"]) == (call.method, call.path)
    listed = {each["name"] for each in made["lifecycle"]["states"]}
    assert listed <= {str(each.name) for each in built_in.lifecycle.states}
    assert len(listed) >= len(built_in.lifecycle.states) - 1  # `failed` is newer than one of the documents


STRANGE = ["on", "null", "~", "a: b", "# x", "é", "\U0001f600", "*", "'", '"', "- x", "{id}", "TODO", "1", " ", "\x85"]


def test_any_text_is_kept_and_cannot_end_its_line() -> None:
    contents = printer({"type": "string", "enum": STRANGE})
    contents["info"]["title"] = "evil\nname: other"
    made = fields(contents)

    assert [each["name"] for each in made["lifecycle"]["states"]] == STRANGE
    assert made["name"] == "evil-name-other-7"


def test_draft_has_the_authentication_and_the_base_url() -> None:
    contents = printer(servers=[{"url": "https://{region}.host/x"}, {"url": "https://host.invalid/api/v1/"}])
    contents["components"]["securitySchemes"] = {"q": {"type": "apiKey", "in": "query", "name": "key"}}
    made = fields(contents)
    assert (made["base_url"], made["base_path"], made["authentication"]) == ("https://host.invalid", "/api/v1", "TODO")
    contents["components"]["securitySchemes"]["b"] = {"type": "http", "scheme": "bearer"}
    contents["servers"] = [{"url": "https://{region}.host/x", "variables": {"region": {"default": "eu"}}}]
    assert fields(contents)["base_url"] == "https://eu.host"
    contents["servers"] = [{"url": "https://user:hunter2@host.invalid:8443/api"}]
    assert fields(contents)["base_url"] == "https://host.invalid:8443"
    contents["servers"] = [{"url": "/api"}]
    made = fields(contents)
    assert (made["base_url"], made["base_path"]) == ("TODO", "/api")
    assert made["authentication"] == {"header": "Authorization", "prefix": "Bearer "}


def of_owner() -> Any:
    """Return the document of a service whose jobs belong to an owner, and that names and lists them otherwise."""
    contents = printer()
    schemas, paths = contents["components"]["schemas"], contents["paths"]
    schemas["Job"] = {"properties": {"jobId": {}, "state": {"properties": {"value": schemas["Status"]}}}}
    jobs, job = paths.pop("/jobs"), paths.pop("/jobs/{job-id}")
    jobs["get"] = {
        "parameters": [{"name": "offset", "in": "query"}, {"name": "page", "in": "header"}],
        "responses": {"200": json_of({"type": "array", "items": {"$ref": "#/components/schemas/Job"}})},
    }
    action = {"properties": {"n": {"type": "integer"}, "do": {"enum": ["hold", "Let go", 7]}}, "required": ["do"]}
    job["put"] = {"requestBody": json_of(action), "responses": {"200": {}}}
    job["delete"] = {"responses": {"200": {}}}
    paths |= {
        "/{owner}/jobs": jobs,
        "/{owner}/jobs/{job-id}": job,
        "/{owner}/jobs/{job-id}/urgent": {"post": job["put"], "delete": job["delete"]},
        "/{owner}/jobs/{job-id}/pages/{page}": {"delete": job["delete"]},
        "/others/{id}": {"get": {"responses": {"200": json_of({"properties": {"state": {"enum": ["x"]}}})}}},
    }
    return contents


def test_other_names_and_lists_are_recognised() -> None:
    made = fields(of_owner())

    assert made["parameters"] == ["owner"]
    assert made["id_field"] == "jobId"
    assert made["details"] == {"method": "GET", "path": "/{owner}/jobs/{id}", "status_field": "state.value"}
    assert made["listing"] == {
        "call": {"method": "GET", "path": "/{owner}/jobs"},
        "items_field": "",
        "pages": "offsets",
        "page_parameter": "offset",
    }
    path = "/{owner}/jobs/{id}"
    assert made["commands"] == {
        "hold": {"method": "PUT", "path": path, "body": {"do": "hold"}},
        "let_go": {"method": "PUT", "path": path, "body": {"do": "Let go"}},
        "delete": {"method": "DELETE", "path": path},
        "urgent_hold": {"method": "POST", "path": f"{path}/urgent", "body": {"do": "hold"}},
        "urgent_let_go": {"method": "POST", "path": f"{path}/urgent", "body": {"do": "Let go"}},
        "urgent": {"method": "DELETE", "path": f"{path}/urgent"},
    }


@pytest.mark.parametrize("around", [[], ["job"], ["data", "job"], ["body", "data", "job"]])
def test_status_and_id_are_found_in_objects(around: list[str]) -> None:
    contents = printer()
    job: Any = {"$ref": "#/components/schemas/Job"}
    for name in reversed(around):
        job = {"properties": {"id": {"type": "string"}, name: job}}
    for operation in (contents["paths"]["/jobs"]["post"], contents["paths"]["/jobs/{job-id}"]["get"]):
        (response,) = operation["responses"].values()
        response.update(json_of(job))
    made = fields(contents)

    assert made["status"]["status_field"] == made["create"]["status_field"] == ".".join([*around, "status"])
    assert made["id_field"] == ".".join([*around, "id"])


def test_status_that_is_too_deep_is_an_error_that_says_so() -> None:
    contents = printer()
    job: Any = {"$ref": "#/components/schemas/Job"}
    for name in ("d", "c", "b", "a"):
        job = {"properties": {name: job}}
    contents["paths"]["/jobs/{job-id}"]["get"]["responses"] = {"200": {"description": "", **json_of(job)}}

    with pytest.raises(UnusableDocument, match="in its response, 4 levels deep or less"):
        draft(contents)


@pytest.mark.heavy
def test_schema_that_contains_itself_is_read_in_bounded_time() -> None:
    contents = printer()
    names = [f"field{number}" for number in range(100)]
    itself: Any = {"properties": {each: {"$ref": "#/components/schemas/Itself"} for each in names}}
    contents["components"]["schemas"]["Itself"] = itself
    contents["paths"]["/its/{id}"] = {"get": {"responses": {"200": {"description": "", **json_of(itself)}}}}

    assert fields(contents)["details"]["path"] == "/jobs/{id}"


def test_unrecognised_parts_are_left_as_todo() -> None:
    contents = printer()
    del contents["paths"]["/jobs"]["post"], contents["paths"]["/jobs/{job-id}"]["delete"]
    del contents["components"]["schemas"]["Job"]["properties"]["id"]
    contents["paths"]["/jobs"]["get"]["parameters"] = []
    contents["info"] = {}
    text = draft(contents)
    made = yaml.safe_load(text)

    assert (made["create"], made["id_field"], made["commands"]) == ("TODO", None, {})
    assert "the call that creates a task" in text
    assert "id_field: null  # TODO: the field that holds a task's id" in text
    assert made["listing"]["pages"] == "TODO"
    assert made["name"] == "api-json"
    del contents["paths"]["/jobs"]["get"]
    assert "listing" not in fields(contents)


def test_each_todo_of_a_draft_is_a_finding_at_once() -> None:
    bare = printer()
    del bare["paths"]["/jobs"]["post"], bare["paths"]["/jobs/{job-id}"]["delete"]
    del bare["components"]["schemas"]["Job"]["properties"]["id"]
    bare["components"].pop("securitySchemes", None)
    bare["paths"]["/jobs"]["get"]["parameters"] = []
    for contents in (printer(), bare):
        text = draft(contents)
        with pytest.raises(DefinitionError) as raised:
            HttpBinding.from_yaml(text)
        _, *lines = text.splitlines()
        todos = {number for number, line in enumerate(lines, 2) if "TODO" in line}
        assert todos <= {each.line for each in raised.value.findings}
    assert {"create", "id_field", "authentication", "listing.pages"} <= {each.where for each in raised.value.findings}


def test_a_create_without_fields_and_a_response_without_a_list() -> None:
    contents = printer()
    del contents["paths"]["/jobs"]["post"]["requestBody"]
    contents["paths"]["/jobs"]["get"]["responses"]["200"] = json_of({"properties": {"count": {"type": "integer"}}})
    made = fields(contents)

    assert made["create"] == {"method": "POST", "path": "/jobs", "status_field": "status"}
    assert (made["task_field"], "listing" in made) == (None, False)


UNUSABLE: dict[str, tuple[str, str]] = {
    "no such schema": ("Stat", r"has no schema 'Stat'; did you mean 'Status'\?"),
    "a schema without values": (
        "Job",
        "list its values, in `enum` or `const`, as #/components/schemas/Job/properties/status does",
    ),
    "a schema of numbers": ("Number", "the schema of the status must list texts"),
    "a schema that no call reads": ("Other", "no GET of one thing, such as /tasks/{id}, has a field of"),
}


@pytest.mark.parametrize("why", UNUSABLE)
def test_a_status_that_no_call_reads_is_an_error(why: str) -> None:
    contents = printer()
    contents["components"]["schemas"] |= {"Other": {"enum": ["x", "y"]}, "Number": {"enum": [1, 2]}}
    schema, message = UNUSABLE[why]
    with pytest.raises(UnusableDocument, match=message):
        draft(contents, schema)


def test_draft_uses_the_resource_that_has_the_named_schema() -> None:
    contents = printer()
    values = {"type": "string", "enum": ["waiting", "printing", "printed", "cancelled"]}
    contents["components"]["schemas"]["Tray"] = {"properties": {"id": {}, "status": values}}
    response = {"200": {"description": "", **json_of({"$ref": "#/components/schemas/Tray"})}}
    contents["paths"] = {"/trays/{id}": {"get": {"responses": response}}, **contents["paths"]}

    assert fields(contents)["details"]["path"] == "/jobs/{id}"
    assert fields(contents, "#/components/schemas/Tray/properties/status")["details"]["path"] == "/trays/{id}"
