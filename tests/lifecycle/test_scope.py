"""Lifecycles of one scope: everything of their base but the name, and unequal names for unequal scopes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle import V1, DefinitionError
from lifecycle.scope import base_name, scope_in, scoped
from lifecycle.validation import LONGEST_NAME

SCOPES = st.lists(
    st.text(max_size=30).filter(lambda text: text.isascii()) | st.text("aé/[]:%", max_size=60), max_size=4
)


def test_a_scoped_lifecycle_differs_in_its_name_only() -> None:
    web = scoped(V1, ("acme", "web"))
    assert scoped(web, ("acme", "web")) is web, "it is of this scope already"

    assert web.name == "v1[acme/web]"
    assert web.replace(name="v1") == V1
    assert base_name(web.name) == "v1"


@given(SCOPES, SCOPES)
def test_unequal_scopes_have_unequal_names(one: list[str], other: list[str]) -> None:
    first, second = scoped(V1, ["x", *one]).name, scoped(V1, ["x", *other]).name

    assert (first == second) is (one == other)
    assert len(first) <= LONGEST_NAME
    assert base_name(first) == "v1"


@pytest.mark.parametrize("name", ["v1", "", "a]", "[a", "a[b", "a[b]c"])
def test_other_names_are_their_own_base(name: str) -> None:
    assert base_name(name) == name


def test_a_name_must_leave_room_for_the_scope() -> None:
    with pytest.raises(DefinitionError, match="name"):
        scoped(V1.replace(name="n" * 99), ("acme",))


@pytest.mark.parametrize("scope", [("acme", "web"), ("a/b", "c"), ("[x]:", ""), ("ü",)])
def test_scope_is_read_from_a_name(scope: tuple[str, ...]) -> None:
    assert scope_in(scoped(V1, scope).name) == scope


def test_scope_of_a_plain_or_hashed_name_is_none() -> None:
    assert scope_in(V1.name) is None
    assert scope_in(scoped(V1, ("x" * 200,)).name) is None
