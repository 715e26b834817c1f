"""Schemas: the values and fields that a schema lists, in each of its alternatives, with the place of each.

An alternative is one choice from each `anyOf` and `oneOf`, merged with all of `allOf` and the targets of references.
Other restrictions (`not`, `if`, patterns, ranges) are not read. Source: JSON Schema 2020-12, and
the "Schema Object" of OpenAPI 3.0.3 and 3.1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lifecycle_adapters.drift.document import Part, json_object

Values = tuple[tuple[Any, str], ...]
"""Listed values, each with its place."""

MOST_ALTERNATIVES = 1_000
DEEPEST = 100
MOST_STEPS = 200_000
"""The most schemas that one comparison reads: a short document can expand to billions."""


@dataclass(frozen=True, slots=True, eq=False)
class Alternative:
    """One alternative of a schema.

    `fields` are the schemas of each documented field, all of which apply. `required` are the places that require a
    field. `values` are the listed values and their places, None if any value is allowed. `items` are the schemas of a
    list's items, `others` those of further fields. `is_open` is whether an object's fields are not documented.
    """

    place: str
    fields: Mapping[str, tuple[Part, ...]] = field(default_factory=dict[str, tuple[Part, ...]])
    required: Mapping[str, str] = field(default_factory=dict[str, str])
    values: Values | None = None
    items: tuple[Part, ...] = ()
    others: tuple[Part, ...] = ()
    defaults: tuple[Any, ...] = ()
    is_null: bool = False
    is_object: bool = True

    @property
    def is_open(self) -> bool:
        """Return whether it is an object without documented fields."""
        return self.is_object and not (self.fields or self.others or self.values)

    @property
    def is_descriptive(self) -> bool:
        """Return whether it lists values or fields."""
        return self.values is not None or bool(self.fields)

    def merged(self, other: Alternative) -> Alternative:
        """Return the alternative that satisfies both."""
        fields = dict(self.fields)
        for name, schemas in other.fields.items():
            fields[name] = (*fields.get(name, ()), *schemas)
        values = self.values if other.values is None else other.values
        if self.values is not None and other.values is not None:
            allowed = [value for value, _ in other.values]
            values = tuple(each for each in self.values if each[0] in allowed)
        return Alternative(
            place=other.place if other.is_descriptive and not self.is_descriptive else self.place,
            fields=fields,
            required={**self.required, **other.required},
            values=values,
            items=(*self.items, *other.items),
            others=(*self.others, *other.others),
            defaults=(*self.defaults, *other.defaults),
            is_null=self.is_null or other.is_null,
            is_object=self.is_object and other.is_object,
        )


class Schemas:
    """Reads the schemas of one document, within a number of steps. Every method can raise UnusableDocument."""

    def __init__(self) -> None:
        self._steps = 0

    def alternatives(self, schemas: Sequence[Part]) -> list[Alternative]:
        """Return the alternatives, without null, of schemas that all apply."""
        return [
            each for each in self._merged([self._of(schema, ()) for schema in schemas], schemas[0]) if not each.is_null
        ]

    def listed_in(self, schema: Part) -> tuple[list[Alternative], Values]:
        """Return a schema's alternatives and the values that they list.

        Raises:
            UnusableDocument: they list none; the message names the field of the schema that does.
        """
        alternatives = self.alternatives([schema])
        if (values := listed(alternatives)) is not None:
            return alternatives, values
        fields = [each for one in alternatives for each in one.fields.values() if listed(self.alternatives(each))]
        hint = f", as {fields[0][0].place} does" if fields else ""
        raise schema.unusable(f"the schema of the status must list its values, in `enum` or `const`{hint}")

    def at(self, schemas: Sequence[Part], path: Iterable[str]) -> tuple[list[Alternative], bool]:
        """Return the alternatives at the path of a field, and whether the field may exist undocumented."""
        found, may_be_there = self.alternatives(schemas), False
        for name in path:
            inner: list[Alternative] = []
            for each in found:
                if schemas := each.fields.get(name) or each.others:
                    inner += self.alternatives(schemas)
                may_be_there = may_be_there or each.is_open
            found = inner
        return found, may_be_there

    def _of(self, schema: Part, inside: tuple[str, ...]) -> list[Alternative]:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise schema.unusable(f"its schemas are too large: more than {MOST_STEPS:,} steps to read what is compared")
        if schema.place in inside:
            raise schema.unusable("the schema contains itself outside of its fields")
        if len(inside) > DEEPEST:
            raise schema.unusable(f"the schema is nested more than {DEEPEST} deep")
        inside = (*inside, schema.place)
        if schema.value is True:
            return [Alternative(schema.place)]
        if schema.value is False:
            return []
        reference = schema.reference()
        referred = [] if reference is None else [self._of(schema.document.referred(reference, schema), inside)]
        if referred and not schema.document.refers_with_siblings:
            return referred[0]
        keywords = schema.children()
        parts = [[_own(schema, keywords)], *referred]
        if "allOf" in keywords:
            parts += [self._of(each, inside) for each in keywords["allOf"].elements()]
        for keyword in ("anyOf", "oneOf"):
            if keyword in keywords:
                parts.append([each for one in keywords[keyword].elements() for each in self._of(one, inside)])
        return self._merged(parts, schema)

    def _merged(self, parts: Sequence[Sequence[Alternative]], schema: Part) -> list[Alternative]:
        found = list(parts[0])
        for more in parts[1:]:
            if len(found) * len(more) > MOST_ALTERNATIVES:
                raise schema.unusable(f"the schema has more than {MOST_ALTERNATIVES:,} alternatives")
            found = [one.merged(other) for one, other in product(found, more)]
        return found


def _own(schema: Part, keywords: Mapping[str, Part]) -> Alternative:
    """Return the alternative of a schema alone, without its references and the schemas in it."""
    types = _types(keywords)
    values = _values(keywords)
    fields, others = schema.children_of("properties"), keywords.get("additionalProperties")
    are_described = others is not None and bool(json_object(others.value))
    return Alternative(
        place=schema.place,
        fields={name: (each,) for name, each in fields.items()},
        required={str(each.value): each.place for each in schema.elements_of("required")},
        values=None if values is None else tuple(each for each in values if each[0] is not None),
        items=(keywords["items"],) if "items" in keywords else (),
        others=(others,) if others is not None and are_described else (),
        defaults=(keywords["default"].value,) if "default" in keywords else (),
        is_null=types == ["null"] or (bool(values) and all(value is None for value, _ in values or ())),
        is_object=not types or "object" in types,
    )


def _types(keywords: Mapping[str, Part]) -> list[Any]:
    found = keywords.get("type")
    if found is None:
        return []
    return [found.value] if isinstance(found.value, str) else [each.value for each in found.elements()]


def _values(keywords: Mapping[str, Part]) -> list[tuple[Any, str]] | None:
    if "const" in keywords:
        return [(keywords["const"].value, keywords["const"].place)]
    if "enum" in keywords:
        return [(each.value, each.place) for each in keywords["enum"].elements()]
    return None


# --- listed values ---


def listed(alternatives: Sequence[Alternative]) -> Values | None:
    """Return the values that alternatives list, each once; None if none of them lists any."""
    found: Values = ()
    for each in alternatives:
        found += tuple(one for one in each.values or () if not is_in(one[0], found))
    return found or None


def list_place(alternatives: Sequence[Alternative], values: Values) -> str:
    """Return the place of a list of values; of the first schema that has one if there are several lists."""
    lists = {place.rpartition("/")[0] for _, place in values}
    return lists.pop() if len(lists) == 1 else alternatives[0].place


def is_in(value: Any, values: Values) -> bool:
    """Return whether a value is listed."""
    return value in [each for each, _ in values]
