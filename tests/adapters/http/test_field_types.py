"""What a binding is declared of: an argument of the wrong type is refused at once, by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any

import pytest

from lifecycle.catalog import V1Event
from lifecycle_adapters.http import Authentication, Call, Client, HttpBinding, KeyVariable, ListCall, Proof, register
from lifecycle_adapters.http.v1 import V1
from lifecycle_adapters.http.v2 import V2

DECLARED: list[Any] = [
    Authentication("X-Key", "desk "),
    KeyVariable("PRINTER_KEY", "https://printer.example"),
    Call(method="POST", path="/jobs/{id}", body={}),
    V1.listing,
    Proof(binding=V1, id_field="id", event="stop"),
    V2,
]
# fmt: off
MAY_BE_NONE: dict[Any, set[str]] = {
    Call: {"body", "status_field"},
    ListCall: {"next_field"},
    HttpBinding: {"authentication", "session", "output_field", "cost_field", "created_field", "task_field",
                  "key_variable"},
}
# fmt: on
FIELDS = [
    pytest.param(declared, field.name, id=f"{type(declared).__name__}.{field.name}")
    for declared in DECLARED
    for field in fields(declared)
]


@pytest.mark.parametrize(("declared", "name"), FIELDS)
def test_field_of_the_wrong_type_is_refused_by_name(declared: Any, name: str) -> None:
    may_be_none = name in MAY_BE_NONE.get(type(declared), ())
    for given in (3.5, b"text", object(), str, *([] if may_be_none else [None])):
        with pytest.raises(TypeError, match=rf"^[^`]+: `{name}` must be .*, not "):
            replace(declared, **{name: given})
    if may_be_none:
        replace(declared, **{name: None})


@pytest.mark.parametrize(("declared", "name"), FIELDS)
def test_text_is_refused_where_something_else_is_declared(declared: Any, name: str) -> None:
    if isinstance(getattr(declared, name), str) or (name.endswith("_field") and name in MAY_BE_NONE[type(declared)]):
        return
    with pytest.raises(TypeError, match=rf"`{name}` must be .*, not 'too many sessions' \(str\)"):
        replace(declared, **{name: "too many sessions"})


SEVERAL = [
    (partial(replace, Call(method="POST", path="/jobs", body={})), "required_fields"),
    (partial(replace, Call(method="POST", path="/jobs", body={})), "optional_fields"),
    (partial(replace, V2), "limits_tasks"),
]


@pytest.mark.parametrize(("declare", "name"), SEVERAL)
def test_several_names_are_no_text_and_hold_texts(declare: Callable[..., Any], name: str) -> None:
    for given in ("task", "", ("task", 7), (None,), {"task": "x"}, (each for each in ("task",))):
        with pytest.raises(TypeError, match=f"`{name}` must be several .*, in a tuple such as"):
            declare(**{name: given})
    with pytest.raises(ValueError, match=f"`{name}` has an empty"):
        declare(**{name: ("task", "")})
    for right in ((), ("task",), ["task", "label"], frozenset({"task"})):
        assert getattr(declare(**{name: right}), name) == right


MAPPINGS: list[tuple[Any, str, Any]] = [
    (DECLARED[2], "query", 7),
    (DECLARED[2], "body", None),
    (DECLARED[2], "body", {"nested": "x"}),
    (V1, "commands", "/stop"),
    (V1, "commands", None),
    (V1, "proofs", "x"),
    (V1, "proofs", V1),
]


@pytest.mark.parametrize(("declared", "name", "value"), MAPPINGS)
def test_mapping_is_checked_key_by_key_and_value_by_value(declared: Any, name: str, value: Any) -> None:
    for given in ({V1Event.STOP: value}, {7: "x"}, [("a", "b")]):
        with pytest.raises(TypeError, match=f"`{name}` must be a mapping of "):
            replace(declared, **{name: given})


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"name": None}, "binding None: `name` must be text such as 'printer', not None (NoneType)"),
        (
            {"authentication": "X-Key"},
            "`authentication` must be an Authentication, such as Authentication('X-API-Key')",
        ),
        ({"key_variable": "PRINTER_KEY"}, "`key_variable` must be a KeyVariable, such as KeyVariable('PRINTER_KEY', "),
        ({"lifecycle": "v1"}, "`lifecycle` must be a Lifecycle, such as lifecycle.get('v1'), not 'v1' (str)"),
        ({"listing": V1.create}, "`listing` must be a ListCall, such as ListCall(call=..., "),
        ({"session": "x"}, "`session` must be the HttpBinding of the sessions, or None, not 'x' (str)"),
        ({"base_url": 7}, "`base_url` must be text such as 'https://host', not 7 (int)"),
    ],
)
def test_message_shows_what_is_right(changes: dict[str, Any], wanted: str) -> None:
    with pytest.raises(TypeError, match=re.escape(wanted)):
        replace(V1, **changes)


def test_binding_and_page_parameter_have_names() -> None:
    with pytest.raises(ValueError, match="binding '': `name` must not be empty"):
        replace(V1, name="")
    with pytest.raises(ValueError, match="list call: `page_parameter` must be printable text such as 'page', not ''"):
        replace(V1.listing, page_parameter="")


@pytest.mark.parametrize("given", ["x", None, 7, HttpBinding, V1.create])
def test_only_a_binding_is_registered_or_given_to_a_client(given: Any) -> None:
    with pytest.raises(TypeError, match="`binding` must be an HttpBinding, such as"):
        register(given)
    if not isinstance(given, str):
        with pytest.raises(TypeError, match="the service must be a name, such as 'v2', or an HttpBinding"):
            Client(given, api_key="any")
