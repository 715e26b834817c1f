"""The comparison of a lifecycle and its binding with an OpenAPI document. Pure: loading.py reads documents.

What is compared, for every call of the binding that the lifecycle needs:

1. The path, including the base path, and the method. If the document has none of the paths, it describes another API.
2. Parameters in the query: each one sent is documented, each required one is sent (in headers, too), and a command's
   operation has no others. Each value that the binding sends is listed.
3. The body: each field sent is documented, each required one is sent; a command's operation takes no body if no call
   sends one. If commands differ in the value of a field, the document lists the values that the calls send; the
   field's default counts as sent if a call leaves the field out.
4. Response codes: one of them is a success, and those to which the binding gives a meaning are documented.
5. Fields of responses: each field that the binding reads is documented in every successful response.
6. Status values: the values listed for the status field are the statuses that the lifecycle declares.

Events, sessions without a lifecycle and further calls are not compared: no state follows from them.

Optional parameters and fields of creates and reads, and other response codes, are not differences: callers may send
any fields, and other codes have their general meaning. request_differences.py compares 2 and 3,
response_differences.py 4 to 6.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lifecycle.errors import UnknownName
from lifecycle.lifecycle import Lifecycle
from lifecycle.table import require_iterable
from lifecycle_adapters.argument_checks import require, require_lifecycle
from lifecycle_adapters.drift.declared_calls import Role, declared_calls
from lifecycle_adapters.drift.differences import Comparison, DifferenceKind
from lifecycle_adapters.drift.document import OpenApiDocument, PathItem, likeness
from lifecycle_adapters.drift.drift_errors import OtherApi
from lifecycle_adapters.drift.located import Differences, LocatedCall
from lifecycle_adapters.drift.request_differences import Requests
from lifecycle_adapters.drift.response_differences import Responses
from lifecycle_adapters.drift.schemas import Schemas
from lifecycle_adapters.http.binding import HttpBinding


def compare(
    lifecycle: Lifecycle[Any, Any],
    binding: HttpBinding[Any, Any],
    document: OpenApiDocument,
    *,
    status_schema: str | None = None,
    ignore: Iterable[str] = (),
) -> Comparison:
    """Compare a lifecycle and its binding with a document.

    Args:
        lifecycle: its statuses and commands are compared; the binding's other commands are not.
        binding: the service whose calls are compared; parameters in its paths need not be filled in.
        document: the OpenAPI document of the service.
        status_schema: the schema that lists the statuses, as a JSON pointer or by its name, such as
            "#/components/schemas/TaskStatus" or "TaskStatus"; if omitted, it follows from the responses.
        ignore: kinds of differences that are only counted, such as "parameter_new".
    Raises:
        UnknownName: `ignore` names an unknown kind.
        OtherApi: the document has none of the binding's paths.
        UnusableDocument: a part that is compared is malformed or missing, or the schema of the status lists no values.
        ValueError: the lifecycle has a command for which the binding has no call.
        TypeError: an argument has a wrong type.
    """
    require_lifecycle(lifecycle)
    require(binding, HttpBinding, "binding must be an HttpBinding, such as service('v1')")
    require(document, OpenApiDocument, "document must be an OpenApiDocument, such as load('openapi.json')")
    require(status_schema, str | None, "status_schema must be text such as 'TaskStatus'")
    binding.governed_by(lifecycle)
    ignored = {_kind(each) for each in require_iterable(ignore, "ignore")}
    schemas, differences = Schemas(), Differences()
    located = _located(lifecycle, binding, document, differences)
    key = [] if binding.authentication is None else [binding.authentication.header]
    requests = Requests(schemas, differences, [*binding.headers, *key])
    responses = Responses(schemas, differences, lifecycle)
    of_operations: dict[str, list[LocatedCall]] = {}
    for each in located:
        requests.parameters(each)
        requests.body(each)
        responses.codes(each)
        listing = binding.listing if each.declared.role is Role.LIST else None
        items_field = None if listing is None else listing.items_field
        responses.fields(each, items_field=items_field, new_id=binding.create.id_field or binding.id_field)
        of_operations.setdefault(each.operation.part.place, []).append(each)
    for group in of_operations.values():
        requests.variants(group)
    if status_schema is not None:
        responses.statuses_of(document.schema(status_schema), binding.status.statuses.values())
    elif binding.state_of is not None:
        differences.leave_out("the statuses: a function of the binding makes them (`state_of`)")
    else:
        responses.statuses(located)
    for kind in sorted(ignored):
        number = sum(each.kind is kind for each in differences.found)
        differences.leave_out(f"{kind}, which is ignored: {number}")
    return Comparison(
        lifecycle=lifecycle.name,
        service=binding.name,
        document=document.source,
        title=document.title,
        differences=tuple(each for each in differences.found if each.kind not in ignored),
        not_compared=differences.left_out,
    )


def _kind(name: str) -> DifferenceKind:
    try:
        return DifferenceKind(name)
    except ValueError:
        raise UnknownName("kind of difference", name, known=DifferenceKind, where="drift") from None


def _located(
    lifecycle: Lifecycle[Any, Any], binding: HttpBinding[Any, Any], document: OpenApiDocument, differences: Differences
) -> list[LocatedCall]:
    """Return the calls whose operation the document has; the others are differences. Raises OtherApi."""
    items = list(document.path_items(binding.base_path))
    found: list[LocatedCall] = []
    is_other_api = True
    for declared in declared_calls(lifecycle, binding):
        item, path = _item_of(declared.path, items)
        if item is None:
            what = f"there is no path {declared.path}"
            differences.add(declared.name, DifferenceKind.PATH_MISSING, what, "#/paths")
            continue
        is_other_api = False
        operation = item.operation(declared.call.method, path)
        if operation is None:
            what = f"{path} has no {declared.call.method}"
            differences.add(declared.name, DifferenceKind.METHOD_MISSING, what, item.part.place)
        else:
            found.append(LocatedCall(declared, operation))
    if is_other_api:
        theirs = [each.paths[0][:80] for each in items]  # the others may have the binding's base path
        what = f"has {', '.join(theirs[:3])}{' ...' if len(theirs) > 3 else ''}" if theirs else "has no paths"
        mine = f"{binding.name!r}, such as {binding.base_path}{binding.create.path}"
        raise OtherApi(f"{document.source}: describes another API: it {what}, and none of the paths of {mine}")
    return found


def _item_of(path: str, items: Sequence[PathItem]) -> tuple[PathItem | None, str]:
    """Return the documented path item that matches a path of the binding most literally, and its documented path."""
    best, item, documented = -1, None, ""
    for each in items:
        for whole in each.paths:
            literal = likeness(path, whole)
            if literal is not None and literal > best:
                best, item, documented = literal, each, whole
    return item, documented
