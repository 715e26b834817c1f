"""Differences between the requests of a binding and of a document: parameters, bodies, and unused operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from lifecycle_adapters.drift.declared_calls import UNKNOWN, Role, leaves
from lifecycle_adapters.drift.differences import DifferenceKind
from lifecycle_adapters.drift.document import DocumentedOperation, Part, shown_value
from lifecycle_adapters.drift.located import Differences, LocatedCall, json_schema
from lifecycle_adapters.drift.schemas import Alternative, Schemas, is_in, list_place, listed

_NOT_DESCRIBED = ("accept", "content-type", "authorization")  # such parameters are ignored, according to OpenAPI


class Requests:
    """Compares requests, and adds the differences to `differences`. Every method can raise UnusableDocument."""

    def __init__(self, schemas: Schemas, differences: Differences, headers: Sequence[str]) -> None:
        self._schemas = schemas
        self._differences = differences
        self._headers = {name.casefold() for name in headers}

    # --- parameters ---

    def parameters(self, found: LocatedCall) -> None:
        """Compare the sent parameters with the documented and the required ones."""
        operation, query = found.operation, found.declared.query
        for (where, name), parameter in operation.parameters.items():
            if parameter.is_true("required") and not self._is_sent(found, where, name):
                what = f"{operation} requires {name!r} in the {where}"
                self._differences.add(found.name, DifferenceKind.PARAMETER_REQUIRED, what, parameter.place)
        for name, value in query.items():
            documented = operation.parameters.get(("query", name))
            if documented is None:
                what = f"{operation} has no {name!r} in the query"
                self._differences.add(found.name, DifferenceKind.PARAMETER_MISSING, what, operation.part.place)
            else:
                self._value(found, f"the parameter {name!r}", value, _schemas_of(documented))

    def _is_sent(self, found: LocatedCall, where: str, name: str) -> bool:
        if where == "header":
            call = found.declared.call
            sent = {*self._headers, *map(str.casefold, (*call.headers, *call.field_headers)), *_NOT_DESCRIBED}
            return name.casefold() in sent
        return where == "path" or (where == "query" and name in found.declared.query)

    def _value(self, found: LocatedCall, what: str, value: Any, schemas: Sequence[Part]) -> None:
        """Compare a sent value with the listed values."""
        alternatives = self._schemas.alternatives(schemas)
        values = listed(alternatives)
        if value is not UNKNOWN and values is not None and not is_in(value, values):
            text = f"{what} of {found.operation} does not list {shown_value(value)}"
            self._differences.add(found.name, DifferenceKind.VALUE_MISSING, text, list_place(alternatives, values))

    # --- bodies ---

    def body(self, found: LocatedCall) -> None:
        """Compare the sent body with the documented one."""
        operation, sent, body = found.operation, found.declared.body, _body_of(found.operation)
        schema = None if body is None else json_schema(body)
        if sent is None:
            if body is not None and body.is_true("required"):
                what = f"{operation} requires a body"
                self._differences.add(found.name, DifferenceKind.BODY_REQUIRED, what, body.place)
        elif body is None or schema is None:
            what = f"{operation} takes {'no body' if body is None else 'a body, but not JSON'}"
            self._differences.add(found.name, DifferenceKind.BODY_MISSING, what, (body or operation.part).place)
        else:
            self._object(found, [schema], sent, ())
            self._optional_fields(found, schema)

    def _object(
        self, found: LocatedCall, schemas: Sequence[Part], sent: Mapping[str, Any], path: Sequence[str]
    ) -> None:
        """Compare a sent object with the alternative of its schema that fits best."""
        alternatives = self._schemas.alternatives(schemas)
        if not alternatives:
            return
        best = min(alternatives, key=lambda each: self._misfits(each, sent))
        for name in _unknown(best, sent):
            what = f"the body of {found.operation} has no field {'.'.join((*path, name))!r}"
            self._differences.add(found.name, DifferenceKind.FIELD_MISSING, what, best.place)
        for name in _lacking(best, sent):
            what = f"the body of {found.operation} requires the field {'.'.join((*path, name))!r}"
            self._differences.add(found.name, DifferenceKind.FIELD_REQUIRED, what, best.required[name])
        for name, value in sent.items():
            inner = best.fields.get(name) or best.others
            if inner and isinstance(value, dict):
                self._object(found, inner, cast("dict[str, Any]", value), (*path, name))
            elif inner:
                self._value(found, f"the field {'.'.join((*path, name))!r}", value, inner)

    def _misfits(self, alternative: Alternative, sent: Mapping[str, Any]) -> int:
        unlisted = 0
        for name, value in sent.items():
            inner = alternative.fields.get(name)
            values = listed(self._schemas.alternatives(inner)) if inner else None
            unlisted += value is not UNKNOWN and values is not None and not is_in(value, values)
        return unlisted + len(_unknown(alternative, sent)) + len(_lacking(alternative, sent))

    def _optional_fields(self, found: LocatedCall, schema: Part) -> None:
        call = found.declared.call
        inside = call.fields_path.split(".") if call.fields_path else []
        for name in call.optional_fields:
            alternatives, may_be_there = self._schemas.at([schema], [*inside, name])
            if not (alternatives or may_be_there):
                what = f"the body of {found.operation} has no field {'.'.join((*inside, name))!r}"
                self._differences.add(found.name, DifferenceKind.FIELD_MISSING, what, schema.followed().place)

    # --- what no command sends ---

    def variants(self, group: Sequence[LocatedCall]) -> None:
        """Compare everything that an operation accepts with what its calls send, if a command is among them."""
        commands = [each for each in group if each.declared.role is Role.COMMAND]
        for command in commands:
            self._new_parameters(command, group)
            self._new_body(command, group)

    def _new_parameters(self, command: LocatedCall, group: Sequence[LocatedCall]) -> None:
        operation = command.operation
        for (where, name), parameter in operation.parameters.items():
            sent = [each.declared.query[name] for each in group if name in each.declared.query]
            if where == "query" and sent:
                alternatives = self._schemas.alternatives(_schemas_of(parameter))
                self._new_values(
                    command, f"the parameter {name!r}", sent, alternatives, is_optional=len(sent) < len(group)
                )
            elif where == "query" and not parameter.is_true("required"):  # that is one difference already
                what = f"{operation} takes {name!r} in the query, which no call sends"
                self._differences.add(command.name, DifferenceKind.PARAMETER_NEW, what, parameter.place)

    def _new_body(self, command: LocatedCall, group: Sequence[LocatedCall]) -> None:
        body = _body_of(command.operation)
        if body is None:
            return
        schema, bodies = json_schema(body), [each.declared.body for each in group]
        if all(each is None for each in bodies):
            if not body.is_true("required"):  # that is one difference already
                what = f"{command.operation} takes a body, which no call sends{self._fields_of(schema)}"
                self._differences.add(command.name, DifferenceKind.BODY_NEW, what, body.place)
        elif schema is not None:
            sent = [leaf for each in bodies for leaf in leaves(each or {})]
            for path in dict.fromkeys(path for path, _ in sent):
                values = [value for each, value in sent if each == path]
                alternatives, _ = self._schemas.at([schema], path)
                what = f"the field {'.'.join(path)!r}"
                self._new_values(command, what, values, alternatives, is_optional=len(values) < len(group))

    def _new_values(
        self,
        command: LocatedCall,
        what: str,
        sent: Sequence[Any],
        alternatives: Sequence[Alternative],
        *,
        is_optional: bool,
    ) -> None:
        """Add each listed value that is not sent; the default counts as sent if a call leaves the value out."""
        if UNKNOWN in sent:
            return
        known = [*sent, *(value for each in alternatives if is_optional for value in each.defaults)]
        for value, place in listed(alternatives) or ():
            if value not in known:
                text = f"{what} of {command.operation} lists {shown_value(value)}, which no call sends"
                self._differences.add(command.name, DifferenceKind.VALUE_NEW, text, place)

    def _fields_of(self, schema: Part | None) -> str:
        """Return the fields of a body, with the values that are listed for them, as the end of a sentence."""
        if schema is None:
            return ""
        found: list[str] = []
        for name in dict.fromkeys(name for each in self._schemas.alternatives([schema]) for name in each.fields):
            values = listed(self._schemas.at([schema], [name])[0])
            found.append(name if values is None else f"{name} ({', '.join(shown_value(value) for value, _ in values)})")
        return f": {', '.join(found)}" if found else ""


def _unknown(alternative: Alternative, sent: Mapping[str, Any]) -> list[str]:
    """Return the sent fields that an alternative does not have."""
    if alternative.others or alternative.is_open:
        return []
    return [name for name in sent if name not in alternative.fields]


def _lacking(alternative: Alternative, sent: Mapping[str, Any]) -> list[str]:
    """Return the fields that an alternative requires in a request but that are not sent."""
    return [name for name in alternative.required if name not in sent and not _is_read_only(alternative, name)]


def _is_read_only(alternative: Alternative, name: str) -> bool:
    return any(each.followed().is_true("readOnly") for each in alternative.fields.get(name, ()))


def _body_of(operation: DocumentedOperation) -> Part | None:
    found = operation.part.child("requestBody")
    return None if found is None else found.followed()


def _schemas_of(parameter: Part) -> list[Part]:
    return [parameter.child("schema") or Part(parameter.document, {}, parameter.place)]
