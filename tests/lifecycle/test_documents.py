"""Declarations as JSON and YAML: there and back, what a file may be, and the schema that editors use."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from lifecycle import V1, V1_FULL, Declaration, DefinitionError, Lifecycle, MissingExtra, Rule, V1Event, V1State
from lifecycle.documents import read_json, read_yaml

Declared = Lifecycle[str, str]

# --- there and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("indent", [None, 0, 2, 8])
def test_json_round_trip_restores_the_lifecycle(declared: Declared, indent: int | None) -> None:
    again = Lifecycle.from_json(declared.to_json(indent=indent))

    assert again == declared
    assert hash(again) == hash(declared)
    assert again.to_json() == declared.to_json()


@pytest.mark.parametrize(
    ("indent", "error"), [("x", TypeError), (True, TypeError), (1.0, TypeError), (-1, ValueError), (101, ValueError)]
)
def test_invalid_indent_is_refused(indent: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="indent must be"):
        V1.to_json(indent=indent)


def test_yaml_round_trip_restores_the_lifecycle(declared: Declared) -> None:
    assert Lifecycle.from_yaml(declared.to_yaml()) == declared
    assert Lifecycle.from_yaml(declared.to_json()) == declared  # JSON is YAML


@pytest.mark.parametrize(
    "text",
    ["", " ", "no", "2020-01-01", "# x", "a: b", "'\"", "\r\n", "a\x85b", "a\u2028b", "\ufeff", "\u202e", "\U000e0001"],
)
def test_documents_keep_any_text(text: str) -> None:
    lifecycle = V1.replace(citation=text)

    assert Lifecycle.from_yaml(lifecycle.to_yaml()) == lifecycle
    assert Lifecycle.from_json(lifecycle.to_json()) == lifecycle


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x7f", "\x85", "\U000e0001"])
def test_invisible_characters_are_escaped_in_documents(hidden: str) -> None:
    lifecycle = V1.replace(citation=f"Grüße{hidden}")

    assert hidden not in lifecycle.to_json() + lifecycle.to_yaml()
    assert "Grüße" in lifecycle.to_json()


def test_documents_are_written_for_people() -> None:
    assert V1.to_json().startswith('{\n  "name": "v1",\n  "extended_by": "v1-full",\n')
    assert "\n" not in V1.to_json(indent=None)
    written = V1.replace(citation="Schöne\xa0Grüße").to_yaml()

    assert written.startswith("name: v1\nextended_by: v1-full\ncitation: Schöne\xa0Grüße\nstates:\n- name: running\n")


def test_a_lifecycle_read_back_replays_equally(declared: Declared) -> None:
    again = Lifecycle.from_json(declared.to_json())

    assert again.covering_paths() == declared.covering_paths()
    for path in declared.covering_paths():
        assert again.replay(path) == declared.replay(path)


def test_documents_leave_out_defaults() -> None:
    document = json.loads(V1.to_json())

    assert document["states"][0] == {
        "name": "running",
        "meaning": "the browser automation executes",
        "initial": True,
    }
    assert document["transitions"][0] == {"source": "running", "event": "pause", "target": "paused"}
    assert "aliases" not in document
    assert yaml.safe_load(V1.to_yaml()) == document


# --- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["v1.yaml", "v1.yml", "v1.YAML", "v1.json", "v1", "v1.txt"])
@pytest.mark.parametrize("as_text", [False, True])
def test_from_file_reads_by_suffix(tmp_path: Path, name: str, as_text: bool) -> None:
    path = tmp_path / name
    path.write_text(V1.to_yaml() if "y" in name.lower() else V1.to_json(), encoding="utf-8")

    assert Lifecycle.from_file(str(path) if as_text else path) == V1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["v1.json", "v1.yaml"])
def test_from_file_reads_crlf_and_any_unicode_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    path = tmp_path / name
    text = V1.to_yaml() if name.endswith("yaml") else V1.to_json()
    path.write_bytes(text.replace("\n", "\r\n").encode(encoding))

    assert Lifecycle.from_file(path) == V1


def test_a_file_that_cannot_be_read_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lifecycle.from_file(tmp_path / "nowhere.json")
    with pytest.raises(OSError, match="is a device, which may never end"):
        Lifecycle.from_file(os.devnull)
    with pytest.raises(IsADirectoryError):
        Lifecycle.from_file(tmp_path)


@pytest.mark.parametrize(("name", "text"), [("1.csv", "a,b"), ("a.yaml", "a: [b"), ("a.json", "[1]"), ("b.json", "{}")])
def test_file_that_declares_no_name_is_named_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    with pytest.raises(DefinitionError, match=f"^(lifecycle|document) '{name}' is not sound") as raised:
        Lifecycle.from_file(name)
    assert raised.value.name == name


# --- bad YAML ----------------------------------------------------------------------------------

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("a: [b", "bad_document", "not YAML: while parsing a flow sequence"),
        ("a:\n\t- b", "bad_document", "found character '\\t' that cannot start any token"),
        ("a: 1\n---\nb: 2", "bad_document", "expected a single document"),
        ("name: !!python/object:os.system x", "bad_document", "could not determine a constructor"),
        ("? [a, b]\n: c", "bad_document", "found unhashable key"),
        ("", "bad_value", "should be a mapping of its fields, not None"),
        ("name: no", "bad_value", "should be a valid string, not no"),
        ("name: 2020-01-01", "bad_value", "should be a valid string, not a date"),
        ("&a {name: *a}", "bad_value", "should be a valid string, not a dict"),
        ("1: 2", "bad_value", "Keys should be strings, not 1"),
        (BOMB + "name: *j", "bad_value", "should be a valid string, not a list"),
    ],
)
def test_malformed_yaml_raises_definition_error(text: str | bytes, code: str, message: str) -> None:
    with pytest.raises(DefinitionError) as info:
        Lifecycle.from_yaml(text)

    assert info.value.name == "?"
    assert any(finding.code == code and message in finding.message for finding in info.value.findings)
    assert len(str(info.value)) < 2_000


def test_a_hostile_document_is_refused_with_a_short_message() -> None:
    megabyte = "x" * 1_000_000
    document = {**json.loads(V1.to_json()), "name": megabyte, "extended_by": 7, megabyte: megabyte}

    with pytest.raises(DefinitionError) as info:
        Lifecycle.from_json(json.dumps(document))

    assert [finding.code for finding in info.value.findings] == ["bad_value", "bad_value", "bad_name"]
    assert len(str(info.value)) < 1_000


def test_yaml_needs_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "v1.yaml"
    path.write_text(V1.to_yaml(), encoding="utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)  # what an absent package looks like to `import`

    for ask in (V1.to_yaml, lambda: Lifecycle.from_yaml(""), lambda: Lifecycle.from_file(path)):
        with pytest.raises(
            MissingExtra, match=r"^reading and writing YAML needs an extra: pip install 'task-li"
        ) as info:
            ask()
        assert info.value.extras == ("yaml",)
    assert Lifecycle.from_json(V1.to_json()) == V1


# --- keys that are written twice, and lines ------------------------------------------------------

JOB = """\
name: job
citation: a test
states:
  - name: waiting
    initial: true
  - {name: done,
     final: true}
events:
  - {name: go, origin: remote}
transitions:
  - {source: waiting, event: go, target: done}
"""


def findings_of(read: Callable[[str], object], text: str) -> list[str]:
    with pytest.raises(DefinitionError) as info:
        read(text)
    return [str(finding) for finding in info.value.findings]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: job", "name: other\nname: job", "name (line 2)"),
        ("name: job", '"name": other\nname: job', "name (line 2)"),
        ("final: true}", "final: true, final: false, final: true}", "states[1].final (line 7)"),
        ("target: done}", "target: done}\ntransitions: []", "transitions (line 12)"),
    ],
)
def test_yaml_key_written_twice_is_a_finding_with_its_line(old: str, new: str, expected: str) -> None:
    assert f"duplicate_key: {expected}: is written twice; the first one would be ignored" in findings_of(
        Lifecycle.from_yaml, JOB.replace(old, new)
    )


def test_key_of_a_merged_mapping_may_be_written_again() -> None:
    text = JOB.replace("name: waiting", "&a\n    name: waiting").replace(
        "{name: done,", "{<<: *a, name: done, initial: false,"
    )

    assert Lifecycle.from_yaml(text) == Lifecycle.from_yaml(JOB)


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("path", [("name",), ("states", 1, "name"), ("transitions",), ("invariants", 0, "events")])
def test_json_key_written_twice_is_a_finding_with_its_line(indent: int | None, path: tuple[str | int, ...]) -> None:
    *there, key = path
    document = json.loads(V1.to_json())
    parent: Any = document
    for part in there:
        parent = parent[part]
    parent["marked"] = parent[str(key)]
    text = json.dumps(document, indent=indent)
    line = text[: text.index('"marked"')].count("\n") + 1

    (finding,) = findings_of(Lifecycle.from_json, text.replace('"marked"', json.dumps(key)))

    assert finding.startswith("duplicate_key: ")
    assert f"(line {line}): is written twice" in finding


def paths_of(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every text in a document."""
    if isinstance(value, str):
        yield path
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items += cast("dict[str, Any]", value).items()
    if isinstance(value, list):
        items += enumerate(cast("list[str]", value))
    for key, item in items:
        yield from paths_of(item, (*path, key))


@pytest.mark.parametrize("format_", ["json", "json of one line", "yaml"])
def test_line_of_every_part_agrees_with_a_text_search(format_: str) -> None:
    document = json.loads(V1_FULL.to_json())
    marks = {path: f"<{number}>" for number, path in enumerate(paths_of(document))}
    for path, mark in marks.items():
        parent: Any = document
        for part in path[:-1]:
            parent = parent[part]
        parent[path[-1]] = mark

    if format_ == "yaml":
        text = yaml.safe_dump(document, sort_keys=False)
        read = read_yaml(text)
    else:
        text = json.dumps(document, indent=2 if format_ == "json" else None)
        read = read_json(text)

    assert read.value == document
    for path, mark in marks.items():
        assert read.line_of(path) == text[: text.index(mark)].count("\n") + 1
        assert read.line_of((*path, "inside", 7)) == read.line_of(path)  # the nearest part around it


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: waiting", "nmae: waiting", "bad_value: states[0].name (line 4): is missing"),
        ("initial: true", "initial: 1", "bad_value: states[0].initial (line 5): should be true or false, not 1"),
        (
            "initial: true",
            "initial: 'yes'",
            "bad_value: states[0].initial (line 5): should be true or false, not 'yes'",
        ),
        ("initial: true", "initial: yes", "bad_value: states[0].initial (line 5): should be true or false, not yes"),
        ("final: true", "final: ON", "bad_value: states[1].final (line 7): should be true or false, not ON"),
        ("final: true", "final: !!bool no", "bad_value: states[1].final (line 7): should be true or false, not no"),
        ("final: true", "final: 'true'", "bad_value: states[1].final (line 7): should be true or false, not 'true'"),
        (
            "target: done",
            "target: dun",
            "unknown_name: transitions[0] (line 11): state 'dun' is not",
        ),
        (
            "source: waiting",
            "source: [waiting, wating]",
            "unknown_name: transitions[0].source[1] (line 11): state 'wating' is not",
        ),
        ("initial: true", "initial: false", "no_initial_state: states (line 3): one state must be initial"),
        ("name: go", "name: gone", "unused_event: event 'gone' (line 9): no row uses it"),
        (
            "  - {name: go",
            "  - {name: go, origin: caller}\n  - {name: go",
            "duplicate_name: event 'go' (line 10): is declared 2",
        ),
    ],
)
def test_findings_of_a_text_name_the_line(old: str, new: str, expected: str) -> None:
    listed = findings_of(Lifecycle.from_yaml, JOB.replace(old, new))

    assert any(line.startswith(expected) for line in listed), listed
    assert all("(line " in line for line in listed)


def test_a_text_that_is_too_long_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    text = "#" * 5_000_001
    (tmp_path / "job.yaml").write_text(text)

    reads: tuple[Callable[[], object], ...] = (
        lambda: Lifecycle.from_yaml(text),
        lambda: Lifecycle.from_json(text.encode()),
        lambda: Lifecycle.from_file(tmp_path / "job.yaml"),
    )
    for read in reads:
        with pytest.raises(DefinitionError, match="it is longer than 5,000,000 characters or bytes"):
            read()


def test_byte_order_mark_before_json_is_ignored() -> None:
    text = "\ufeff" + V1.to_json()

    assert Lifecycle.from_json(text) == Lifecycle.from_json(text.encode()) == Lifecycle.from_json(V1.to_json())


LONG = "7" * 5_000


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("name: job\ncitation: 2026-13-45\n", 2, "month must be in 1..12"),
        (f"name: job\ncitation: {LONG}\n", 2, "5000 digits"),
        ("name: job\ncitation: !!bool maybe\n", 2, "'maybe' is not a tag:yaml.org,2002:bool"),
        ("name: job\nstates:\n- !!timestamp soon\n", 3, "'soon' is not a tag:yaml.org,2002:timestamp"),
        ("name: job\ncitation: \x00\n", 2, "special characters are not allowed"),
        ("name: job\ncitation: ü\n".encode("latin-1"), 2, "'utf-8' codec can't decode byte 0xfc"),
        (codecs.BOM_UTF8 + b"name: job\ncitation: \xff\n", 2, "invalid start byte"),
        (codecs.BOM_UTF16_LE + "name: job\n".encode("utf-16-le") + b"\x00\xd8", 2, "codec can't decode"),
        ("name: job\nstates:\n  " + "[" * 1_000, 3, "it is nested too deeply"),
    ],
)
def test_yaml_that_cannot_be_read_is_a_finding_with_its_line(text: str | bytes, line: int, message: str) -> None:
    with pytest.raises(DefinitionError) as info:
        Lifecycle.from_yaml(text)

    (finding,) = info.value.findings
    assert (info.value.name, finding.code, finding.line) == ("?", "bad_document", line)
    assert message in finding.message
    assert len(str(info.value)) < 2_000


@pytest.mark.parametrize(
    ("text", "code", "line", "message"),
    [
        ('{"name": "job",\n"citation": "ü"}'.encode("latin-1"), "bad_document", 2, "can't decode byte 0xfc"),
        (codecs.BOM_UTF8 + b'{"name":\n"\xff"}', "bad_document", 2, "invalid start byte"),
        ('{"name": "job",\n"citation": ' + LONG + "}", "bad_value", 2, "not an integer of 5,000 digits"),
        ('{"a": [{"]": "\\"}"}],\n"b":\n' + "[" * 200_000 + ' "', "bad_document", 3, "it is nested too deeply"),
        ('{"name": "job",\n"citation": job}', "bad_document", 2, "Expecting value"),
    ],
)
def test_json_that_cannot_be_read_is_a_finding_with_its_line(
    text: str | bytes, code: str, line: int, message: str
) -> None:
    with pytest.raises(DefinitionError) as info:
        Lifecycle.from_json(text)

    first = next(each for each in info.value.findings if message in each.message)
    assert (first.code, first.line) == (code, line)


@pytest.mark.parametrize("word", ["true", "True", "TRUE"])
def test_truth_values_are_case_insensitive(word: str) -> None:
    assert Lifecycle.from_yaml(JOB.replace("initial: true", f"initial: {word}")).initial == "waiting"


@pytest.mark.parametrize("word", ["on", "off", "no", "yes", "null", "1", "1.0", "2026-01-01"])
def test_the_message_about_bare_yaml_values_asks_for_quotes(word: str) -> None:
    listed = findings_of(Lifecycle.from_yaml, JOB.replace("waiting", word))

    assert len(listed) == 2
    for line in listed:
        assert f": to YAML a bare {word} is not text; write it in quotes" in line
    assert Lifecycle.from_yaml(JOB.replace("waiting", f"'{word}'")).initial == word


# --- the schema --------------------------------------------------------------------------------


KINDS: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """Return the errors of `value`, by the part of JSON Schema that the emitted schema uses."""
    if "$ref" in schema:
        return complaints(value, root["$defs"][schema["$ref"].removeprefix("#/$defs/")], root, where)
    if "anyOf" in schema:
        tried = [complaints(value, each, root, where) for each in schema["anyOf"]]
        return [] if [] in tried else [each for one in tried for each in one]
    if not isinstance(value, KINDS[schema["type"]]):
        return [f"{where} is no {schema['type']}"]
    if value not in schema.get("enum", [schema.get("const", value)]):
        return [f"{where} is none of {schema.get('enum', schema.get('const'))}"]
    if schema["type"] == "array":
        return [
            each for i, item in enumerate(value) for each in complaints(item, schema["items"], root, f"{where}[{i}]")
        ]
    if schema["type"] != "object":
        return []
    assert schema["additionalProperties"] is False
    found = [f"{where}.{name} is missing" for name in schema["required"] if name not in value]
    for name, item in value.items():
        inner = schema["properties"].get(name)
        found += complaints(item, inner, root, f"{where}.{name}") if inner else [f"{where}.{name} is not known"]
    return found


def test_file_may_have_a_schema_key(declared: Declared) -> None:
    document = {"$schema": "lifecycle.schema.json", **json.loads(declared.to_json())}

    assert Lifecycle.from_json(json.dumps(document)) == declared
    assert complaints(document, (schema := Lifecycle.json_schema()), schema) == []


def test_the_schema_accepts_written_declarations(declared: Declared) -> None:
    schema = Lifecycle.json_schema()

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert complaints(json.loads(declared.to_json()), schema, schema) == []


def test_the_schema_rejects_what_reading_rejects() -> None:
    schema = Lifecycle.json_schema()
    document = json.loads(V1.to_json())
    document["states"][0]["inital"] = True
    document["events"][0]["origin"] = "nobody"
    document["events"][1]["proved_by_state"] = "yes"
    del document["transitions"][0]["target"]
    document["invariants"][0]["rule"] = "sometimes"

    assert complaints(document, schema, schema) == [
        "$.states[0].inital is not known",
        "$.events[0].origin is none of ['caller', 'remote']",
        "$.events[1].proved_by_state is no boolean",
        "$.transitions[0].target is missing",
        f"$.invariants[0].rule is none of {[str(rule) for rule in Rule]}",
    ]
    with pytest.raises(DefinitionError):
        Lifecycle.from_declaration(document)


def test_the_schema_of_known_types_lists_their_names() -> None:
    schema = Lifecycle.json_schema(states=V1State, events=V1Event)
    document = json.loads(V1.to_json())

    assert complaints(document, schema, schema) == []
    document["transitions"][0]["target"] = "payused"
    (complaint,) = complaints(document, schema, schema)
    assert complaint.startswith("$.transitions[0].target is none of ['created', 'running', 'paused',")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("*", []),
        (["running", "paused"], []),
        ("running", []),
        (["running", "payused"], ["$.transitions[0].source[1] is none of ['created', 'running', 'paused',"]),
        (7, ["$.transitions[0].source is no string"]),
    ],
)
def test_the_schema_knows_rows_of_several_sources(source: object, expected: list[str]) -> None:
    schema = Lifecycle.json_schema(states=V1State, events=V1Event)
    document = json.loads(V1.to_json())
    document["transitions"][0]["source"] = source

    found = complaints(document, schema, schema)

    assert bool(found) == bool(expected)
    assert all(any(line.startswith(each) for line in found) for each in expected), found


def test_every_field_of_the_schema_is_read() -> None:
    """A schema that allows fields which reading refuses, or lacks some, would mislead an editor."""
    assert set(Lifecycle.json_schema()["properties"]) == {*Declaration.model_fields, "$schema"}
