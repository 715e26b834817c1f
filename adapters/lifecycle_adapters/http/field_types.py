"""The check of a declaration's fields against a table of types, when the declaration is made.

Pure. This file holds the mechanism; binding.py holds the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from lifecycle_adapters.argument_checks import require

SEVERAL: Any = (tuple, list, set, frozenset)  # a text has items, too, but each is a letter


@dataclass(frozen=True, slots=True)
class Expected:
    """What a field must be: `kind`, as for `isinstance`, and `wanted`, the same in words with an example.

    `each` is the type of a collection's items, or of a mapping's values; a mapping's keys must be text.
    """

    kind: Any
    wanted: str
    each: Any = object


def require_types(declared: object, where: str, fields: Mapping[str, Expected]) -> None:
    """Raise TypeError, which names the field and shows what is right, unless each field is what it must be."""
    for name, expected in fields.items():
        given: Any = getattr(declared, name)
        wanted = f"{where}: `{name}` must be {expected.wanted}"
        require(given, expected.kind, wanted)
        if isinstance(given, Mapping):
            for key, value in cast("Any", given).items():
                require(key, str, wanted)
                require(value, expected.each, wanted)
        elif isinstance(given, SEVERAL):
            for item in given:
                require(item, expected.each, wanted)
