"""Errors about an OpenAPI document as a whole. How it differs from a binding is a result, not an error."""

from __future__ import annotations

from lifecycle.errors import AdapterError


class UnusableDocument(AdapterError):
    """A document cannot be compared: it cannot be read, is not OpenAPI 3.0 or 3.1, is too large, or is malformed."""


class OtherApi(UnusableDocument):
    """A document has none of the binding's paths: it describes another API."""
