"""Values that no request can carry are refused when a binding is declared, before a request or a key is used."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle_adapters.http import Call, ListCall
from lifecycle_adapters.services.v1 import V1
from tests.support.listing import listing_of

CONTROLS = [*map(chr, range(32)), *map(chr, range(127, 160)), "\u2028", "\u202e", "\ud800"]

# Each text of a declaration that becomes a part of a URL.
IN_URLS: list[tuple[str, Callable[[str], object]]] = [
    ("path", lambda text: Call(method="GET", path=f"/j{text}")),
    ("path", lambda text: Call(method="GET", path=f"/{text}/j")),
    ("query", lambda text: Call(method="GET", path="/j", query={f"a{text}": "1"})),
    ("page_parameter", lambda text: replace(listing_of(V1), page_parameter=f"page{text}")),
    ("base_path", lambda text: replace(V1, base_path=f"/api{text}/v1")),
]


@pytest.mark.parametrize(("name", "declare"), IN_URLS)
def test_character_that_is_not_printable_is_refused_in_a_url(name: str, declare: Callable[[str], object]) -> None:
    for text in CONTROLS:
        with pytest.raises(ValueError, match=re.escape(f"{name}: must ")) as raised:
            declare(text)
        assert all(line.isprintable() for line in str(raised.value).split("\n"))
    declare("\N{LATIN SMALL LETTER E WITH ACUTE}")  # an HTTP client sends it percent-encoded


@pytest.mark.parametrize("part", ["?page=1", "#top", " ", "{", "}"])
def test_base_path_is_a_path_alone(part: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"without '?', '#', space and single braces, not '/api{part}'")):
        replace(V1, base_path=f"/api{part}")


def test_base_path_names_no_task() -> None:
    with pytest.raises(ValueError, match=r"base_path: .*'{id}'"):
        replace(V1, base_path="/api/{id}")


@pytest.mark.parametrize("name", ["query", "body"])
def test_lone_surrogate_is_refused_in_a_query_and_a_body(name: str) -> None:
    wrong: list[dict[str, str]] = [{"a": "x\ud800"}, {"\udfff": "x"}]
    for given_ in wrong:
        with pytest.raises(ValueError, match=f"{name}: must "):
            Call(method="POST", path="/j", **{"body": {}, name: given_})  # type: ignore[arg-type]


def test_query_parameter_has_a_name() -> None:
    with pytest.raises(ValueError, match="query: must name its parameters by printable text, such as 'task_id', not"):
        Call(method="GET", path="/j", query={"": "x"})


_any_text = st.text(st.characters(codec=None), max_size=6)


@given(path=_any_text, query=st.dictionaries(_any_text, _any_text, max_size=2), page=_any_text, base_path=_any_text)
def test_every_accepted_declaration_can_be_sent(path: str, query: dict[str, str], page: str, base_path: str) -> None:
    call: dict[str, Any] = {"method": "POST", "path": f"/{path}", "query": query, "body": query}
    try:
        binding = replace(
            V1,
            base_path=f"/{base_path}",
            create=Call(**call),
            listing=ListCall(call=Call(**call), items_field="tasks", page_parameter=page),
        )
    except ValueError:
        return
    request = binding.create_request({})
    sent = httpx2.Request(
        request.method,
        binding.base_url + request.path,
        params={**request.query, str(listing_of(binding).page_parameter): "1"},
        json=request.body,
    )
    assert sent.url.path == unquote(request.path)
