"""Drift: how a declared lifecycle and its binding differ from an OpenAPI document of their service.

    comparison = compare(lifecycle.get("v2"), service("v2"), load("openapi.json"))
    assert comparison.is_same, comparison.to_markdown()

loading.py and fetching.py read a document. The rest is pure: comparison.py, with request_differences.py and
response_differences.py, compares the calls of a binding (declared_calls.py) with the operations (document.py) and
schemas (schemas.py) of the document. differences.py holds the result. drafting.py makes the draft of a service file
from a document.
"""

from lifecycle_adapters.drift.comparison import compare
from lifecycle_adapters.drift.differences import Comparison, DifferenceKind, DocumentDifference
from lifecycle_adapters.drift.document import OpenApiDocument
from lifecycle_adapters.drift.drafting import service_draft
from lifecycle_adapters.drift.drift_errors import OtherApi, UnusableDocument
from lifecycle_adapters.drift.loading import load

__all__ = [
    "Comparison",
    "DifferenceKind",
    "DocumentDifference",
    "OpenApiDocument",
    "OtherApi",
    "UnusableDocument",
    "compare",
    "load",
    "service_draft",
]
