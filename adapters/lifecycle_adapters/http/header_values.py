"""Texts that no header can carry unchanged, as MCP encodes them. Pure.

Source: MCP specification, revision 2026-07-28, Streamable HTTP ("Value Encoding").
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode

from lifecycle_adapters.http.authentication import is_header_value

_BEGIN, _END = "=?base64?", "?="


def encoded(text: str) -> str:
    """Return a text as a header carries it: itself, or Base64 of its UTF-8 if it is not plain, or looks encoded."""
    if is_header_value(text) and not (text.startswith(_BEGIN) and text.endswith(_END)):
        return text
    return f"{_BEGIN}{b64encode(text.encode()).decode()}{_END}"


def decoded(value: str) -> str | None:
    """Return the text that a header carries, None if it is encoded wrongly."""
    inner = value[len(_BEGIN) : -len(_END)]
    if value != f"{_BEGIN}{inner}{_END}":
        return value
    try:
        return b64decode(inner, validate=True).decode()
    except (binascii.Error, ValueError):  # a ValueError: not ASCII, or not UTF-8
        return None
