"""Forms of documents: each describes the same printer, or differs in one detail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lifecycle_adapters.drift import OpenApiDocument, UnusableDocument
from lifecycle_adapters.http import Call, HttpBinding
from tests.adapters.drift.made import PRINTER, at, compared_service, found, json_of, printer

ALL = ["waiting", "printing", "printed", "cancelled"]
STATUS = "#/components/schemas/Status"
READS = ("status", "details")
RESPONSE = ("responses", "200", "content", "application/json", "schema")


def test_the_small_document_is_the_same() -> None:
    comparison = compared_service(printer())
    assert comparison.is_same
    assert comparison.not_compared == ()
    assert (comparison.lifecycle, comparison.service, comparison.title) == ("print-job", "printer", "Printer 7")


# --- statuses --------------------------------------------------------------------------------------

# fmt: off
SPELLED: list[Any] = [
    {"enum": ALL},
    {"anyOf": [{"type": "string", "enum": ALL}, {"type": "null"}]},
    {"oneOf": [{"const": each} for each in ALL]},
    {"anyOf": [{"enum": ALL[:2]}, {"enum": ALL[1:]}]},
    {"type": ["string", "null"], "enum": [*ALL, None]},
    {"allOf": [{"type": "string"}, {"enum": ALL}]},
    {"allOf": [{"enum": [*ALL, "jammed"]}, {"enum": [*ALL, "burning"]}]},
    {"$ref": "#/components/schemas/Job/properties/copy"},
    {"enum": ["waiting"], "oneOf": [{"enum": ["waiting"]}], "x": 1},  # see below: this one lacks three
]
# fmt: on


@pytest.mark.parametrize("status", SPELLED[:-1], ids=str)
def test_listed_statuses_are_found_however_they_are_spelled(status: Any) -> None:
    contents = printer(status)
    at(contents, "components", "schemas", "Job", "properties")["copy"] = {"enum": ALL}
    assert found(compared_service(contents)) == []


def test_each_status_that_is_not_listed_is_one_difference() -> None:
    differences = compared_service(printer(SPELLED[-1])).differences
    assert [each.message.partition(",")[0] for each in differences] == ["'printing'", "'printed'", "'cancelled'"]
    assert {(each.kind, each.place) for each in differences} == {("status_missing", f"{STATUS}/enum")}


@pytest.mark.parametrize(
    ("status", "place"),
    [
        ({"enum": [*ALL, "jammed"]}, f"{STATUS}/enum/4"),
        ({"anyOf": [{"enum": ALL}, {"const": "jammed"}]}, f"{STATUS}/anyOf/1/const"),
        ({"allOf": [{"enum": [*ALL, "jammed"]}]}, f"{STATUS}/allOf/0/enum/4"),
        ({"oneOf": [{"enum": ALL}, {"$ref": "#/components/schemas/Job/properties/a~1b"}]},
         "#/components/schemas/Job/properties/a~1b/enum/0"),
    ],
)  # fmt: skip
def test_new_status_is_found_at_its_place(status: Any, place: str) -> None:
    contents = printer(status)
    at(contents, "components", "schemas", "Job", "properties")["a/b"] = {"enum": ["jammed"]}
    assert found(compared_service(contents)) == [("status_new", place, ("create", *READS))]


def test_reference_in_openapi_3_0_hides_its_siblings() -> None:
    contents = printer()
    at(contents, "components", "schemas", "Job", "properties", "status")["enum"] = ["waiting"]
    assert {each.kind for each in compared_service(contents).differences} == {"status_missing"}
    assert found(compared_service({**contents, "openapi": "3.0.3"})) == []


def test_nullable_of_openapi_3_0_adds_no_status() -> None:
    contents = printer({"type": "string", "nullable": True, "enum": [*ALL, None]})
    assert found(compared_service({**contents, "openapi": "3.0.3"})) == []


def test_a_create_may_return_one_of_a_few_statuses() -> None:
    contents = printer()
    created: Any = {"type": "object", "properties": {"id": {}, "status": {"const": "waiting"}}}
    at(contents, "paths", "/jobs", "post", "responses")["200"] = {"description": "", **json_of(created)}
    assert found(compared_service(contents)) == []
    created["properties"]["status"] = {"const": "begun"}
    [(kind, place, calls)] = found(compared_service(contents))
    assert (kind, place.endswith("/properties/status/const"), calls) == ("status_new", True, ("create",))


@pytest.mark.parametrize("status", [{"type": "string"}, {}, {"type": "string", "description": "one of four"}])
def test_statuses_that_are_not_listed_are_a_difference(status: Any) -> None:
    assert found(compared_service(printer(status))) == [
        ("status_unlisted", "#/components/schemas/Job/properties/status", READS)
    ]


def test_a_response_without_a_schema_lists_no_statuses() -> None:
    contents = printer()
    at(contents, "paths", "/jobs/{job-id}", "get", "responses")["200"] = {"description": "", **json_of({})}
    comparison = compared_service(contents)
    assert [each.kind for each in comparison.differences] == ["status_unlisted"]
    assert len(comparison.not_compared) == 1
    assert comparison.not_compared[0].startswith("'status' in the response of GET /jobs/{job-id}")


def test_statuses_that_another_read_lists_are_said_to_be_not_compared() -> None:
    contents = printer()
    brief = {"type": "object", "properties": {"id": {}, "status": {"type": "string"}}}
    contents["paths"]["/jobs/{job-id}/brief"] = {"get": {"responses": {"200": {"description": "", **json_of(brief)}}}}
    binding = replace(PRINTER, status=replace(PRINTER.status, path="/jobs/{id}/brief"))
    comparison = compared_service(contents, binding)
    assert comparison.is_same
    assert "GET /jobs/{job-id}/brief: its values are not listed" in comparison.not_compared[0]


def test_the_schema_of_the_status_can_be_named() -> None:
    contents = printer({"type": "string"})
    contents["components"]["schemas"]["JobStatus"] = {"enum": [*ALL, "jammed"]}
    comparison = compared_service(contents, status_schema="#/components/schemas/JobStatus")
    assert comparison == compared_service(contents, status_schema="JobStatus")
    assert found(comparison) == [("status_new", "#/components/schemas/JobStatus/enum/4", ("status",))]
    with pytest.raises(UnusableDocument, match="Status: the schema of the status must list its values"):
        compared_service(contents, status_schema="#/components/schemas/Status")
    with pytest.raises(UnusableDocument, match="refers to '#/components/schemas/Stats', which is not in the document"):
        compared_service(contents, status_schema="#/components/schemas/Stats")
    with pytest.raises(UnusableDocument, match=r"has no schema 'JobStats'; did you mean 'JobStatus'\?"):
        compared_service(contents, status_schema="JobStats")
    del contents["components"]
    with pytest.raises(UnusableDocument, match=r"has no schema 'JobStatus'$"):
        OpenApiDocument(contents).schema("JobStatus")


def test_a_status_that_a_code_means_need_not_be_listed() -> None:
    contents = printer({"enum": ALL[:3]})
    at(contents, "paths", "/jobs/{job-id}", "get", "responses")["404"] = {"description": "it was cancelled"}
    gone = {404: "cancelled"}
    binding = replace(
        PRINTER, status=replace(PRINTER.status, statuses=gone), details=replace(PRINTER.details, statuses=gone)
    )
    assert found(compared_service(contents, binding)) == []
    del contents["paths"]["/jobs/{job-id}"]["get"]["responses"]["404"]
    place = "#/paths/~1jobs~1{job-id}/get/responses"
    assert found(compared_service(contents, binding)) == [("code_missing", place, READS)]
    for code in ("4XX", "default"):
        at(contents, "paths", "/jobs/{job-id}", "get")["responses"][code] = {"description": "it failed"}
        assert found(compared_service(contents, binding)) == []
        del contents["paths"]["/jobs/{job-id}"]["get"]["responses"][code]


def test_statuses_that_a_function_makes_are_not_compared() -> None:
    binding = replace(PRINTER, state_of=str)
    comparison = compared_service(printer({"enum": ["1"]}), binding)
    assert comparison.is_same
    assert comparison.not_compared == ("the statuses: a function of the binding makes them (`state_of`)",)


# --- paths -----------------------------------------------------------------------------------------

SERVED = replace(PRINTER, base_path="/print/v2")


@pytest.mark.parametrize(
    "servers",
    [
        [{"url": "https://printer.invalid/print/v2"}],
        [{"url": "/print/v2/"}],
        [{"url": "print/v2"}],
        [{"url": "https://{host}/print/{v}", "variables": {"host": {"default": "a"}, "v": {"default": "v2"}}}],
        [{"url": "https://elsewhere.invalid"}, {"url": "https://printer.invalid/print/v2"}],
        [],
    ],
)  # fmt: skip
def test_the_base_path_is_that_of_a_server(servers: Any) -> None:
    assert found(compared_service(printer(servers=servers), SERVED)) == []


def test_a_document_without_servers_may_have_the_base_path_in_its_paths() -> None:
    contents = printer()
    contents["paths"] = {f"/print/v2{path}": item for path, item in contents["paths"].items()}
    assert found(compared_service(contents, SERVED)) == []


def test_servers_of_a_path_replace_those_of_the_document() -> None:
    contents = printer(servers=[{"url": "/print/v2"}])
    contents["paths"]["/jobs"]["servers"] = [{"url": "/other"}]
    assert found(compared_service(contents, SERVED)) == [("path_missing", "#/paths", ("create", "list"))]


def test_a_path_item_can_be_a_reference() -> None:
    contents = printer()
    contents["x-items"] = {"job": contents["paths"]["/jobs/{job-id}"]}
    contents["paths"]["/jobs/{job-id}"] = {"$ref": "#/x-items/job"}
    assert found(compared_service(contents)) == []


def test_a_literal_path_is_taken_before_a_placeholder() -> None:
    listing = replace(PRINTER.listing, call=Call(method="GET", path="/jobs/all")) if PRINTER.listing else None
    binding = replace(PRINTER, listing=listing)
    contents = printer()
    by_placeholder = {each.kind for each in compared_service(contents, binding).differences}
    assert by_placeholder == {"parameter_missing", "field_missing"}  # it is /jobs/{job-id}, which returns one job
    contents["paths"] = {**contents["paths"], "/jobs/all": contents["paths"]["/jobs"]}
    assert found(compared_service(contents, binding)) == []


# --- requests --------------------------------------------------------------------------------------

CANCEL = "#/paths/~1jobs~1{job-id}/delete"
FIRST = f"{CANCEL}/parameters/0"


def sending(**call: Any) -> HttpBinding[Any, Any]:
    """The printer, with another cancel."""
    return replace(PRINTER, commands={"cancel": replace(PRINTER.commands["cancel"], **call)})


def taking(*parameters: Any, **body: Any) -> Any:
    """The document, with another operation for a cancel."""
    contents = printer()
    at(contents, "paths", "/jobs/{job-id}", "delete").update(
        {"parameters": list(parameters), **({"requestBody": body} if body else {})}
    )
    return contents


def in_query(name: str, **more: Any) -> Any:
    return {"name": name, "in": "query", **more}


# fmt: off
REQUESTS: list[tuple[HttpBinding[Any, Any], Any, list[tuple[str, str]]]] = [
    (PRINTER, taking(in_query("force")), [("parameter_new", f"{CANCEL}/parameters/0")]),
    (PRINTER, taking(in_query("force", required=True)), [("parameter_required", FIRST)]),
    (PRINTER, taking({"name": "X-Desk", "in": "header", "required": True}), [("parameter_required", FIRST)]),
    (PRINTER, taking({"name": "X-Desk", "in": "header"}), []),
    (PRINTER, taking({"name": "X-Key", "in": "header", "required": True}), []),  # which carries the key
    (PRINTER, taking({"name": "Accept", "in": "header", "required": True}), []),
    (PRINTER, taking({"name": "x-key", "in": "cookie", "required": True}), [("parameter_required", FIRST)]),
    (sending(headers={"X-Desk": "7"}), taking({"name": "x-desk", "in": "header", "required": True}), []),
    (sending(field_headers={"X-Desk": "desk"}, body={}),
     taking({"name": "x-desk", "in": "header", "required": True}, **json_of({})), []),
    (sending(query={"force": "yes"}), taking(in_query("force")), []),
    (sending(query={"force": "yes"}), taking(), [("parameter_missing", CANCEL)]),
    (sending(query={"force": "yes"}), taking(in_query("force", schema={"enum": ["yes", "no"]})),
     [("value_new", f"{CANCEL}/parameters/0/schema/enum/1")]),
    (sending(query={"force": "yes"}), taking(in_query("force", schema={"enum": ["1"]})),
     [("value_missing", f"{CANCEL}/parameters/0/schema/enum"), ("value_new", f"{CANCEL}/parameters/0/schema/enum/0")]),
    (sending(query={"job": "{id}"}), taking(in_query("job", schema={"enum": ["1"]})), []),
    (PRINTER, taking(content={"application/json": {"schema": {}}}), [("body_new", f"{CANCEL}/requestBody")]),
    (PRINTER, taking(content={}, required=True), [("body_required", f"{CANCEL}/requestBody")]),
    (sending(body={"why": "x"}), taking(content={"text/plain": {}}), [("body_missing", f"{CANCEL}/requestBody")]),
    (sending(body={"why": "x"}), taking(content={"application/json; charset=utf-8": {}}), []),
    (sending(body={"why": "x"}), taking(content={"application/vnd.printer+json": {}}), []),
    (sending(body={"why": "x"}), taking(**json_of({"properties": {"reason": {}}})),
     [("field_missing", f"{CANCEL}/requestBody/content/application~1json/schema")]),
    (sending(body={"why": "x"}), taking(**json_of({"additionalProperties": {"enum": ["x"]}})), []),
    (sending(body={"why": "x"}), taking(**json_of({"additionalProperties": {"enum": ["y"]}})),
     [("value_missing", f"{CANCEL}/requestBody/content/application~1json/schema/additionalProperties/enum"),
      ("value_new", f"{CANCEL}/requestBody/content/application~1json/schema/additionalProperties/enum/0")]),
    (sending(body={"a": {"b": "x"}}),
     taking(**json_of({"properties": {"a": {"properties": {"b": {"const": "x"}}, "required": ["b", "c"]}}})),
     [("field_required", f"{CANCEL}/requestBody/content/application~1json/schema/properties/a/required/1")]),
    (sending(body={"why": "x"}),
     taking(**json_of({"properties": {"why": {}, "at": {"readOnly": True}}, "required": ["at"]})), []),
    # of several alternatives the one that fits best is compared
    (sending(body={"kind": "stop"}),
     taking(**json_of({"oneOf": [
         {"properties": {"kind": {"const": "pause"}, "for": {}}, "required": ["kind", "for"]},
         {"properties": {"kind": {"const": "stop"}}, "required": ["kind"]},
         {"type": "null"}]})),
     [("value_new", f"{CANCEL}/requestBody/content/application~1json/schema/oneOf/0/properties/kind/const")]),
    (sending(body={}, required_fields=("why",), optional_fields=("label",)),
     taking(**json_of({"properties": {"why": {}, "label": {}}, "required": ["why"]})), []),
    (sending(body={}, optional_fields=("label",)), taking(**json_of({"properties": {"why": {}}})),
     [("field_missing", f"{CANCEL}/requestBody/content/application~1json/schema")]),
    (sending(body={"params": {"id": "{id}"}}, fields_path="params", required_fields=("why",)),
     taking(**json_of({"properties": {"params": {"properties": {"id": {}}, "required": ["id"]}}})),
     [("field_missing", f"{CANCEL}/requestBody/content/application~1json/schema/properties/params")]),
]
# fmt: on


@pytest.mark.parametrize(("binding", "contents", "differences"), REQUESTS)
def test_bodies_and_parameters_of_commands_are_compared(
    binding: HttpBinding[Any, Any], contents: Any, differences: list[tuple[str, str]]
) -> None:
    comparison = compared_service(contents, binding)
    assert [(each.kind, each.place) for each in comparison.differences] == differences
    assert {each.calls for each in comparison.differences} <= {("cancel",)}


def test_an_operation_replaces_the_parameters_of_its_path() -> None:
    contents = taking(in_query("force", required=False))
    contents["paths"]["/jobs/{job-id}"]["parameters"].append(in_query("force", required=True))
    assert [each.kind for each in compared_service(contents).differences if "cancel" in each.calls] == ["parameter_new"]


def test_parameters_bodies_and_responses_can_be_references() -> None:
    contents = printer()
    create, read = contents["paths"]["/jobs"]["post"], contents["paths"]["/jobs"]["get"]
    contents["components"].update(
        requestBodies={"New": create["requestBody"]},
        responses={"Job": create["responses"]["200"]},
        parameters={"Page": read["parameters"][0]},
    )
    create["requestBody"] = {"$ref": "#/components/requestBodies/New"}
    create["responses"]["200"] = {"$ref": "#/components/responses/Job"}
    read["parameters"] = [{"$ref": "#/components/parameters/Page"}]
    assert found(compared_service(contents)) == []


# --- responses -------------------------------------------------------------------------------------


def test_the_new_id_may_be_in_a_header() -> None:
    binding = replace(PRINTER, create=replace(PRINTER.create, id_header="Location", status_field=None))
    contents = printer()
    create = contents["paths"]["/jobs"]["post"]
    create["responses"] = {"201": {"description": "", "headers": {"location": {}}}}
    assert found(compared_service(contents, binding)) == []
    del create["responses"]["201"]["headers"]
    assert found(compared_service(contents, binding)) == [
        ("field_missing", "#/paths/~1jobs/post/responses", ("create",))
    ]
    create["responses"]["201"] |= json_of({"properties": {"id": {}}})
    assert found(compared_service(contents, binding)) == []


def test_a_field_is_read_from_every_response_of_success() -> None:
    contents = printer()
    responses = contents["paths"]["/jobs/{job-id}"]["get"]["responses"]
    responses["203"] = {"description": "from elsewhere", **json_of({"properties": {"state": {}}})}
    responses["204"] = {"description": "nothing new"}
    place = "#/paths/~1jobs~1{job-id}/get/responses/203/content/application~1json/schema"
    assert found(compared_service(contents)) == [("field_missing", place, READS)]


def test_a_response_without_json_has_no_field() -> None:
    contents = printer()
    contents["paths"]["/jobs"]["post"]["responses"] = {"201": {"description": "made"}}
    comparison = compared_service(contents)
    assert found(comparison) == [("field_missing", "#/paths/~1jobs/post/responses", ("create",))]
    assert comparison.differences[0].message.endswith("has no response of JSON, from which 'status', 'id' is read")


def test_default_response_counts_as_success_if_it_is_the_only_one() -> None:
    contents = printer()
    responses = contents["paths"]["/jobs/{job-id}"]["get"]["responses"]
    responses["default"] = responses.pop("200")
    assert found(compared_service(contents)) == []


def test_fields_can_be_in_what_all_of_several_schemas_say() -> None:
    contents = printer()
    schemas = contents["components"]["schemas"]
    schemas["Named"] = {"properties": {"id": {"type": "string"}}}
    schemas["Job"] = {"allOf": [{"$ref": "#/components/schemas/Named"}, schemas["Job"]]}
    del schemas["Job"]["allOf"][1]["properties"]["id"]
    assert found(compared_service(contents)) == []


# --- malformed and hostile documents ---------------------------------------------------------------


def test_recursive_schema_is_accepted() -> None:
    contents = printer()
    contents["components"]["schemas"]["Job"]["properties"]["copies"] = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/Job"},
    }
    assert found(compared_service(contents)) == []


def many(number: int, keyword: str, each: Any) -> Any:
    """A status that needs exponentially many steps to read."""
    contents = printer({"$ref": "#/components/schemas/S0"})
    schemas = contents["components"]["schemas"]
    for index in range(number):
        schemas[f"S{index}"] = {keyword: [{"$ref": f"#/components/schemas/S{index + 1}"}] * 2}
    schemas[f"S{number}"] = each
    return contents


# fmt: off
MALFORMED: list[tuple[Any, str]] = [
    ([], "is not an OpenAPI document: 'openapi' must name version 3.0 or 3.1"),
    ({"swagger": "2.0"}, "is Swagger 2.0, which must be converted"),
    ({"openapi": 3.1, "paths": {}}, "is not an OpenAPI document"),
    ({"openapi": "4.0.0", "paths": {}}, "is OpenAPI 4.0.0, not 3.0 or 3.1"),
    ({"openapi": "3.1.0"}, "#: has no 'paths'"),
    ({"openapi": "3.1.0", "paths": []}, "#/paths: must be an object, not a list"),
    ({"openapi": "3.1.0", "paths": {}}, "describes another API: it has no paths"),
    ({"openapi": "3.1.0", "paths": {"/jobs": None}}, "#/paths/~1jobs: must be an object, not null"),
    ({"openapi": "3.1.0", "paths": {"/jobs": {"post": {}}}}, "#/paths/~1jobs/post: has no 'responses'"),
    (printer(servers=[{}]), "#/servers/0: must have 'url', a text"),
    (printer(servers=[{"url": "https://[/"}]), "#/servers/0: its URL is malformed"),
    (printer(servers={}), "#/servers: must be a list, not an object"),
    (printer({"$ref": "#/components/schemas/Gone"}), "refers to '#/components/schemas/Gone', which is not in the doc"),
    (printer({"$ref": "#/openapi/0/x"}), "refers to '#/openapi/0/x', which is not in the document"),
    (printer({"$ref": "#anchor"}), "refers to '#anchor', which is not in the document"),
    (printer({"$ref": "other.yaml#/Status"}), "refers to 'other.yaml#/Status', outside of the document; bundle it"),
    (printer({"$ref": 7}), "Status: '\\$ref' must be a text, not a number"),
    (printer({"$ref": STATUS}), "Status: the schema contains itself"),
    (printer({"anyOf": [{"$ref": STATUS}]}), "Status: the schema contains itself"),
    (printer({"enum": "waiting"}), "Status/enum: must be a list, not a text"),
    (printer("waiting"), "Status: must be an object, not a text"),
    (printer({"anyOf": {}}), "Status/anyOf: must be a list, not an object"),
    (printer({"type": 7}), "Status/type: must be a list, not a number"),
    (many(40, "anyOf", {"enum": ALL}), "the schema has more than 1,000 alternatives"),
    (printer({"allOf": [{"anyOf": [{}] * 40}] * 2}), "the schema has more than 1,000 alternatives"),
]
# fmt: on
TOO_LARGE = many(40, "allOf", {"enum": ALL}), "its schemas are too large: more than 200,000 steps"


@pytest.mark.parametrize(("contents", "message"), [*MALFORMED, pytest.param(*TOO_LARGE, marks=pytest.mark.heavy)])
def test_a_malformed_document_is_a_clear_error(contents: Any, message: str) -> None:
    with pytest.raises(UnusableDocument, match=f"^api.json.*{message}"):
        compared_service(contents)


def test_a_long_chain_of_references_is_a_clear_error() -> None:
    contents = printer({"$ref": "#/components/schemas/S0"})
    for index in range(3_000):
        contents["components"]["schemas"][f"S{index}"] = {"$ref": f"#/components/schemas/S{index + 1}"}
    with pytest.raises(UnusableDocument, match="the schema is nested more than 100 deep"):
        compared_service(contents)


def test_a_deep_schema_is_a_short_error() -> None:
    deep: dict[str, Any] = {}
    for _ in range(120):
        deep = {"allOf": [deep]}
    with pytest.raises(UnusableDocument, match="more than 100 deep") as raised:
        compared_service(printer(deep))
    assert len(str(raised.value)) < 400


@pytest.mark.parametrize(
    ("value", "shown"), [(True, "true"), (1.5, "1.5"), ({"a": False}, '{"a": false}'), ("a'b", '"a\'b"')]
)
def test_values_are_shown_as_json(value: Any, shown: str) -> None:
    differences = compared_service(printer({"enum": [*ALL, value]})).differences
    assert {each.message for each in differences} == {f"{shown} is not a status of 'print-job'"}


def test_cyclic_references_between_responses_are_a_clear_error() -> None:
    contents = printer()
    contents["components"]["responses"] = {"A": {"$ref": "#/components/responses/A"}}
    contents["paths"]["/jobs"]["post"]["responses"] = {"200": {"$ref": "#/components/responses/A"}}
    with pytest.raises(UnusableDocument, match="the reference '#/components/responses/A' leads to itself"):
        compared_service(contents)


def test_uncompared_parts_may_be_malformed() -> None:
    contents = printer()
    contents["paths"] |= {"/pages": 7, "x-groups": []}
    contents["components"]["schemas"]["Page"] = {"$ref": "#/gone"}
    with pytest.raises(UnusableDocument, match="#/paths/~1pages"):  # a path that is none may be the one that is sought
        compared_service(contents)
    del contents["paths"]["/pages"]
    assert found(compared_service(contents)) == []


def test_a_document_can_be_made_without_a_source() -> None:
    assert OpenApiDocument(printer()).source == "?"
