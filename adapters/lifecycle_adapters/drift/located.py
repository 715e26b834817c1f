"""A declared call with its operation in the document, and the differences found so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lifecycle_adapters.drift.declared_calls import DeclaredCall
from lifecycle_adapters.drift.differences import DifferenceKind, DocumentDifference
from lifecycle_adapters.drift.document import DocumentedOperation, Part


@dataclass(frozen=True, slots=True, eq=False)
class LocatedCall:
    """A call of the binding, and its operation in the document."""

    declared: DeclaredCall
    operation: DocumentedOperation

    @property
    def name(self) -> str:
        """Return the name of the command, or the role of the call."""
        return self.declared.name


class Differences:
    """The differences found so far: one for each kind, place and message, with all calls concerned."""

    def __init__(self) -> None:
        self._found: dict[tuple[DifferenceKind, str, str], DocumentDifference] = {}
        self._left_out: dict[str, None] = {}

    def add(self, name: str, kind: DifferenceKind, message: str, place: str) -> None:
        """Add a difference of the call of that name."""
        known = self._found.get((kind, message, place))
        calls = () if known is None else known.calls
        if known is None:
            known = DocumentDifference(kind, message, place, ())
        self._found[kind, message, place] = replace(known, calls=tuple(dict.fromkeys((*calls, str(name)))))

    def leave_out(self, sentence: str) -> None:
        """Add a sentence about a part that could not be compared."""
        self._left_out[sentence] = None

    @property
    def found(self) -> tuple[DocumentDifference, ...]:
        """Return the differences in the order in which they were found."""
        return tuple(self._found.values())

    @property
    def left_out(self) -> tuple[str, ...]:
        """Return the sentences about the parts that could not be compared."""
        return tuple(self._left_out)


def json_schema(body: Part) -> Part | None:
    """Return the schema of a body or a response in JSON, None if it has none; an empty one if it is not described."""
    for kind, media in body.children_of("content").items():
        essence = kind.partition(";")[0].strip().lower()
        if essence in ("application/json", "*/*", "application/*") or essence.endswith("+json"):
            return media.child("schema") or Part(media.document, {}, media.place)
    return None
