"""Differences between the responses that a binding reads and those of a document: codes, fields, statuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lifecycle.lifecycle import Lifecycle
from lifecycle_adapters.drift.declared_calls import Role
from lifecycle_adapters.drift.differences import DifferenceKind
from lifecycle_adapters.drift.document import DocumentedOperation, Part, shown_value
from lifecycle_adapters.drift.located import Differences, LocatedCall, json_schema
from lifecycle_adapters.drift.schemas import Alternative, Schemas, Values, list_place, listed


class Responses:
    """Compares responses, and adds the differences to `differences`. Every method can raise UnusableDocument."""

    def __init__(self, schemas: Schemas, differences: Differences, lifecycle: Lifecycle[Any, Any]) -> None:
        self._schemas = schemas
        self._differences = differences
        self._lifecycle = lifecycle

    # --- codes and fields ---

    def codes(self, found: LocatedCall) -> None:
        """Compare the codes to which the binding gives a meaning with the documented ones."""
        operation, responses = found.operation, _responses(found.operation)
        documented = responses.children().keys()
        if not _successes(operation):
            what = f"{operation} has no successful response"
            self._differences.add(found.name, DifferenceKind.CODE_MISSING, what, responses.place)
        for code in (*found.declared.call.statuses, *found.declared.call.busy):
            if documented.isdisjoint({str(code), f"{code // 100}XX", "default"}):
                what = f"{operation} has no response {code}"
                self._differences.add(found.name, DifferenceKind.CODE_MISSING, what, responses.place)

    def fields(self, found: LocatedCall, *, items_field: str | None, new_id: str) -> None:
        """Compare the fields that are read with those of every documented successful response.

        Args:
            found: the call.
            items_field: the path of the list in the response, None if the call is not a list.
            new_id: the path of the new task's id in the response to a create.
        """
        operation, declared, schemas = found.operation, found.declared, response_schemas(found.operation)
        if declared.fields and not schemas and _successes(operation):
            fields = ", ".join(repr(each or "the whole body") for each in declared.fields)
            what = f"{operation} has no response of JSON, from which {fields} is read"
            self._differences.add(found.name, DifferenceKind.FIELD_MISSING, what, _responses(operation).place)
        for schema in schemas:
            for path in declared.fields:
                self._field(found, [schema], path, "the response")
            for each in [] if items_field is None else self._schemas.at([schema], _names(items_field))[0]:
                for path in declared.item_fields if each.items else ():
                    self._field(found, each.items, path, "an item in the response")
        header = declared.call.id_header
        if header is not None and not self._has_id(operation, header, new_id):
            what = f"the response of {operation} has neither the header {header!r} nor the field {new_id!r}"
            self._differences.add(found.name, DifferenceKind.FIELD_MISSING, what, _responses(operation).place)

    def _field(self, found: LocatedCall, schemas: Sequence[Part], path: str, what: str) -> None:
        alternatives, may_be_there = self._schemas.at(schemas, _names(path))
        place, text = schemas[0].followed().place, f"{what} of {found.operation}"
        if not alternatives and may_be_there:
            self._differences.leave_out(f"{path!r} in {text}: its fields are not documented ({place})")
        elif not alternatives:
            self._differences.add(found.name, DifferenceKind.FIELD_MISSING, f"{text} has no field {path!r}", place)

    def _has_id(self, operation: DocumentedOperation, header: str, path: str) -> bool:
        headers = {name.casefold() for each in _successes(operation) for name in each.children_of("headers")}
        fields = (self._schemas.at([each], _names(path))[0] for each in response_schemas(operation))
        return header.casefold() in headers or any(fields)

    # --- statuses ---

    def statuses(self, located: Sequence[LocatedCall]) -> None:
        """Compare the statuses that the responses list with the declared ones.

        A read must list all of them; the response to a create or a command may list a few of them.
        """
        unlisted: list[tuple[LocatedCall, str]] = []
        are_listed = False
        for found in located:
            call = found.declared.call
            if call.status_field is None:
                continue
            schemas, names = response_schemas(found.operation), _names(call.status_field)
            alternatives = [one for schema in schemas for one in self._schemas.at([schema], names)[0]]
            values = listed(alternatives)
            if values is not None:
                self._new_statuses(found.name, values)
            if found.declared.reads_status and values is not None:
                are_listed = True
                self._missing_statuses(found.name, alternatives, values, call.statuses.values())
            elif found.declared.reads_status and schemas:
                unlisted.append((found, (alternatives[0] if alternatives else schemas[0].followed()).place))
        for found, place in unlisted:
            if are_listed:
                what = f"the status in the response of {found.operation}: its values are not listed ({place})"
                self._differences.leave_out(what)
            else:
                what = "the values of the status are not listed"
                self._differences.add(found.name, DifferenceKind.STATUS_UNLISTED, what, place)

    def statuses_of(self, schema: Part, elsewhere: Iterable[str]) -> None:
        """Compare the statuses that one schema lists with the declared ones, of which it may lack those in `elsewhere`.

        Raises:
            UnusableDocument: the schema lists no values.
        """
        alternatives, values = self._schemas.listed_in(schema)
        self._new_statuses(Role.STATUS, values)
        self._missing_statuses(Role.STATUS, alternatives, values, elsewhere)

    def _new_statuses(self, name: str, values: Values) -> None:
        for value, place in values:
            if self._lifecycle.state_of(value) is None:
                what = f"{shown_value(value)} is not a status of {self._lifecycle.name!r}"
                self._differences.add(name, DifferenceKind.STATUS_NEW, what, place)

    def _missing_statuses(
        self, name: str, alternatives: Sequence[Alternative], values: Values, elsewhere: Iterable[str]
    ) -> None:
        seen = {self._lifecycle.state_of(status) for status in (*elsewhere, *(value for value, _ in values))}
        for state in self._lifecycle.states:
            if state.name not in seen:
                what = f"{str(state.name)!r}, which {self._lifecycle.name!r} declares, is not listed"
                place = list_place(alternatives, values)
                self._differences.add(name, DifferenceKind.STATUS_MISSING, what, place)


def _responses(operation: DocumentedOperation) -> Part:
    found = operation.part.child("responses")
    if found is None:
        raise operation.part.unusable("has no 'responses'")
    return found


def _successes(operation: DocumentedOperation) -> list[Part]:
    """Return the successful responses; the default response if no other is documented."""
    documented = _responses(operation).children()
    codes = [code for code in documented if code.startswith("2")] or [code for code in documented if code == "default"]
    return [documented[code].followed() for code in codes]


def response_schemas(operation: DocumentedOperation) -> list[Part]:
    """Return the schema of each successful JSON response."""
    return [schema for each in _successes(operation) if (schema := json_schema(each)) is not None]


def _names(path: str) -> list[str]:
    return path.split(".") if path else []
