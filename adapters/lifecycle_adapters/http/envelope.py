"""The object around the bodies of a service that has one path for all calls, as JSON-RPC has.

Pure: response_meaning.py opens it, the emulator puts it around its documents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

from pydantic import Field

from lifecycle.declaration import StrictText
from lifecycle_adapters.http.declared import Declared, FieldPath, Mistake, wrong_path
from lifecycle_adapters.http.responses import value_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope(Declared):
    """The object around the result of each call.

    A response in an envelope may be a stream of server-sent events. Of its messages, the first one that has a result or
    an error and repeats the request's fields is the response; the client then closes a stream that is still open.

    Attributes:
        result_field: where a 2xx response has the result, which may be null.
        repeated_fields: the fields of a request's body that its response repeats, such as "id". A response with
            another value in one of them is invalid, because it responds to another request. A request that has all of
            them, unlike a notification of JSON-RPC, must get a response.

    Raises:
        DefinitionError: a field is of another type, or `result_field` is not a path.
    """

    result_field: FieldPath
    repeated_fields: Annotated[
        tuple[StrictText, ...], Field(description="several names, in a tuple such as ('jsonrpc', 'id')")
    ] = ()

    def __post_init__(self) -> None:
        self._examine("envelope", str(self.result_field))

    def _mistakes(self) -> Iterator[Mistake]:
        yield from wrong_path(("result_field",), self.result_field)

    def is_awaited(self, body: Mapping[str, Any] | None) -> bool:
        """Return whether a request with this body gets a response, which repeats its fields: no notification does."""
        return bool(self.repeated_fields) and set(self.repeated_fields) <= (body or {}).keys()

    def is_response(self, document: Any, body: Mapping[str, Any] | None, *, has_error: bool) -> bool:
        """Return whether a document responds to the request with this body.

        Args:
            document: the document, with its envelope.
            body: the body of the request.
            has_error: whether the document has an error. It may then lack the repeated fields or have null in them,
                because the service may not have been able to read the request.
        """
        if not isinstance(document, dict):
            return False
        fields = cast("dict[str, Any]", document)
        parent, _, name = self.result_field.rpartition(".")
        found = value_at(fields, parent)
        if not has_error and not (isinstance(found, dict) and name in found):
            return False
        repeated = {name: value for name, value in (body or {}).items() if name in self.repeated_fields}
        return all(
            fields.get(name) == value or (has_error and fields.get(name) is None) for name, value in repeated.items()
        )
