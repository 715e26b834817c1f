"""A binding read from JSON and YAML, with its lifecycle in it: the same binding as in Python, findings with lines."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from lifecycle import DefinitionError, Lifecycle
from lifecycle_adapters.http import HttpBinding
from lifecycle_adapters.services import service
from tests.adapters.http.test_own_service import DECLARATION, wire_of

PRINTER = """\
name: printer
base_url: http://printer.example
base_path: ""
authentication: {header: X-Desk, prefix: "desk "}
create: {method: POST, path: /jobs, body: {queue: default}, required_fields: [text], status_field: now}
status: {method: GET, path: "/jobs/{id}/now", status_field: ""}
details: {method: GET, path: "/jobs/{id}", query: {all: "yes"}, status_field: now}
listing:
  call: {method: GET, path: /jobs, query: {all: "yes"}}
  items_field: jobs
  pages: cursors
  page_parameter: from
  next_field: next
commands:
  hold: {method: POST, path: "/jobs/{id}/hold", body: {}}
  release: {method: DELETE, path: "/jobs/{id}/hold"}
  tear: {method: PUT, path: "/jobs/{id}", body: {now: torn}, required_fields: [why], status_field: now}
id_field: number
output_field: sheets
cost_field: price
lifecycle:
"""
TEXT = PRINTER + "".join(f"  {line}\n" for line in yaml.safe_dump(DECLARATION, sort_keys=False).splitlines())
IN_PYTHON = wire_of(Lifecycle.from_json(json.dumps(DECLARATION)))


def test_binding_in_a_file_equals_the_one_in_python(tmp_path: Path) -> None:
    assert HttpBinding.from_yaml(TEXT) == HttpBinding.from_json(json.dumps(yaml.safe_load(TEXT))) == IN_PYTHON
    for name, text in (("a.yaml", TEXT), ("a.YML", TEXT), ("a.json", json.dumps(yaml.safe_load(TEXT)))):
        (tmp_path / name).write_text(text)
        assert HttpBinding.from_file(tmp_path / name) == IN_PYTHON


@pytest.mark.parametrize("parameters", ["", "parameters: [desk]\n"])
def test_scope_is_left_out_of_a_file(parameters: str) -> None:
    """It is the texts for the parameters; a name in its place would become a part of the lifecycle's name."""
    text = TEXT.replace("path: /jobs", 'path: "/{desk}/jobs"') if parameters else TEXT
    HttpBinding.from_yaml(parameters + text)
    with pytest.raises(DefinitionError, match=r"scope \(line 1\): must be left out"):
        HttpBinding.from_yaml("scope: [desk]\n" + parameters + text)


@pytest.mark.parametrize("given", ["", "base_path: ''\n"])
def test_lifecycle_in_place_of_a_binding_is_the_one_finding(given: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        HttpBinding.from_yaml(given + yaml.safe_dump(DECLARATION))
    [finding] = raised.value.findings
    assert finding.message == "declares a lifecycle; a service has one in its field `lifecycle`, beside its calls"


@pytest.mark.parametrize("name", ["v1", "v2", "v2-session", "v3", "v4", "v4-message"])
def test_every_binding_survives_json(name: str) -> None:
    binding = service(name)
    adapter: TypeAdapter[Any] = TypeAdapter(HttpBinding[Any, Any])
    read = HttpBinding.from_json(adapter.dump_json(binding))
    assert read.lifecycle.to_json() == binding.lifecycle.to_json()
    assert adapter.dump_json(read) == adapter.dump_json(binding)


WRONG = [
    ("method: DELETE", "method: DELET", "commands.release.method", 16, "must be one of GET, POST"),
    ("id_field: number", "id_field: 7", "id_field", 18, "to YAML a bare 7 is not text; write it in quotes"),
    ("id_field: number", "id_fild: number", "id_fild", 18, "there is no such field; did you mean 'id_field'?"),
    ("header: X-Desk", "header: Host", "authentication.header", 4, "is for HTTP itself"),
    ("required_fields: [text]", "required_fields: text", "create.required_fields", 5, "should be a list"),
    ("  release: {", "  relaese: {", "commands.relaese", 16, "did you mean 'release'?"),
    ("name: held", "name: hold_", "lifecycle.transitions[0]", None, "'held' is not declared"),
    ('base_path: ""', "base_path: api", "base_path", 3, "must be empty, or begin with '/'"),
    ("hold: {method: POST, path:", "hold: {method: POST, pth:", "commands.hold.pth", 15, "did you mean 'path'?"),
    ("    initial: true", "    inital: true", "lifecycle.states[0].inital", 26, "did you mean 'initial'?"),
]


@pytest.mark.parametrize(("right", "wrong", "where", "line", "said"), WRONG)
def test_finding_has_its_place_and_line(right: str, wrong: str, where: str, line: int | None, said: str) -> None:
    with pytest.raises(DefinitionError, match=r"^binding 'printer' is not sound") as raised:
        HttpBinding.from_yaml(TEXT.replace(right, wrong, 1))
    found = next(each for each in raised.value.findings if each.where == where)
    assert said in found.message
    assert found.line == line if line is not None else found.line is not None and found.line > 20


def test_findings_of_all_parts_are_reported_together() -> None:
    text = TEXT
    for right, wrong, *_ in (WRONG[0], WRONG[1], WRONG[3]):
        text = text.replace(right, wrong, 1)
    with pytest.raises(DefinitionError) as raised:
        HttpBinding.from_yaml(text)
    assert [each.where for each in raised.value.findings] == [
        "authentication.header",
        "commands.release.method",
        "id_field",
    ]


def test_any_two_findings_that_do_not_depend_on_each_other_are_reported_together() -> None:
    for first, second in combinations(WRONG, 2):
        both = {first[2], second[2]}
        are_one_field = first[0] == second[0]
        # Which names are commands is known only if the lifecycle and the mapping of the calls are sound.
        depends = "commands.relaese" in both and any(
            each.startswith(("lifecycle", "commands")) for each in both - {"commands.relaese"}
        )
        if not (are_one_field or depends):
            assert both <= places_in(TEXT.replace(*first[:2], 1).replace(*second[:2], 1))


def places_in(text: str) -> set[str]:
    with pytest.raises(DefinitionError) as raised:
        HttpBinding.from_yaml(text)
    return {each.where for each in raised.value.findings}


def test_call_has_all_its_findings_if_one_of_its_fields_has_a_wrong_type() -> None:
    document = yaml.safe_load(TEXT)
    wrong: dict[str, Any] = {"method": "DELET", "statuses": 7, "path": "x", "boddy": {}}
    document |= {"create": wrong, "commands": {**document["commands"], "release": wrong}}
    assert places_in(json.dumps(document)) == {
        f"{each}.{field}" for each in ("create", "commands.release") for field in wrong
    }


def test_broken_field_makes_no_finding_about_another_one() -> None:
    document = json.loads(TypeAdapter(HttpBinding[Any, Any]).dump_json(service("v3")))
    broken = [(field, {**document, field: value}) for field in document for value in (7, {"x": 7})]
    broken += [(field, {each: document[each] for each in document if each != field}) for field in ("create", "status")]
    broken += [("status", {**document, "status": {**document["status"], field: 7}}) for field in document["status"]]
    for field, wrong in broken:
        with pytest.raises(DefinitionError) as raised:
            HttpBinding.from_json(json.dumps(wrong))
        assert {each.path[0] for each in raised.value.findings} == {field}


@pytest.mark.parametrize("text", ["", "[]", "7", "null", "name: x", "{", '"text"'])
def test_document_other_than_a_binding_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        HttpBinding.from_yaml(text)


def test_key_that_is_written_twice_is_a_finding() -> None:
    with pytest.raises(DefinitionError, match=r"duplicate_key: base_url \(line 3\): is written twice"):
        HttpBinding.from_yaml(TEXT.replace("base_path:", "base_url: http://other.example\nbase_path:", 1))


def test_schema_accepts_the_file_and_names_every_field() -> None:
    schema = HttpBinding.json_schema()
    document = yaml.safe_load(TEXT)
    assert document.keys() < schema["properties"].keys()
    assert set(schema["required"]) <= document.keys()
    assert HttpBinding.from_json(json.dumps({"$schema": "x", **document})) == IN_PYTHON
    assert schema["properties"]["base_url"]["description"] == "text such as 'https://host'"
    assert "Raises" not in json.dumps(schema)
