"""The result of a comparison: differences, each with its kind and its place in the document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class DifferenceKind(StrEnum):
    """The kind of a difference: `new` is only in the document, `missing` only in the declaration, `required` unsent."""

    STATUS_NEW = "status_new"
    STATUS_MISSING = "status_missing"
    STATUS_UNLISTED = "status_unlisted"
    VALUE_NEW = "value_new"
    VALUE_MISSING = "value_missing"
    PATH_MISSING = "path_missing"
    METHOD_MISSING = "method_missing"
    PARAMETER_NEW = "parameter_new"
    PARAMETER_MISSING = "parameter_missing"
    PARAMETER_REQUIRED = "parameter_required"
    BODY_NEW = "body_new"
    BODY_MISSING = "body_missing"
    BODY_REQUIRED = "body_required"
    FIELD_MISSING = "field_missing"
    FIELD_REQUIRED = "field_required"
    CODE_MISSING = "code_missing"


@dataclass(frozen=True, slots=True)
class DocumentDifference:
    """One difference.

    `place` is the JSON pointer of the part of the document that differs, such as
    "#/components/schemas/TaskStatus/enum/4"; if the document lacks a part, it is the parent of that part. `calls` are
    the names of the calls concerned: create, status, details, list, or a command's name.
    """

    kind: DifferenceKind
    message: str
    place: str
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing a lifecycle and its binding with a document.

    `document` is the file or URL of the document, `title` the title and version that it gives itself. `not_compared`
    holds a sentence for each part that could not be compared, with the reason.
    """

    lifecycle: str
    service: str
    document: str
    title: str
    differences: tuple[DocumentDifference, ...]
    not_compared: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        """Return whether there is no difference."""
        return not self.differences

    @property
    def summary(self) -> str:
        """Return the result as one line."""
        number = len(self.differences)
        result = "the same" if self.is_same else f"{number} difference{'' if number == 1 else 's'}"
        return f"{self.lifecycle} and {self.document}: {result}"

    def to_data(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        return {**asdict(self), "same": self.is_same}

    def to_markdown(self) -> str:
        """Return the comparison as Markdown, for a comment on a pull request. Foreign text in it is escaped."""
        lines = [f"### Lifecycle drift: {_escaped(self.summary)}", ""]
        if self.differences:
            lines += ["| difference | what differs | place | calls |", "| --- | --- | --- | --- |"]
            lines += (
                "| " + " | ".join(map(_escaped, (each.kind, each.message, each.place, ", ".join(each.calls)))) + " |"
                for each in self.differences
            )
            lines.append("")
        if self.not_compared:
            lines += ["Not compared:", "", *(f"- {_escaped(each)}" for each in self.not_compared), ""]
        return "\n".join(lines)


def _escaped(text: str) -> str:
    """Return text that Markdown shows unchanged on one line, so that it makes no link, mention, HTML or column."""
    line = "".join(each if each.isprintable() else " " for each in text)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace("@", "&#64;").replace("://", ":&#47;&#47;")
    return "".join(f"\\{each}" if each in "\\`*_[]|#~!" else each for each in line)
