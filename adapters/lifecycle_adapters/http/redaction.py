r"""Hides an API key in whatever a server says: it may repeat the key, in a refusal, a status, an id or a header.

A response is redacted as it arrives, before anything else sees it. JSON can write each character of the key in
several ways (`\/`, `\u002f`), and a URL too (`%2F`): all of them are found.
"""

from __future__ import annotations

import json
import re

from pydantic import SecretStr

HIDDEN = "[the API key]"
_SHORTEST_SECRET = 8  # characters; a shorter key is a word that messages may contain for other reasons


class Redactor:
    """Hides one key. A key of fewer than 8 characters is not hidden."""

    def __init__(self, api_key: SecretStr) -> None:
        self._api_key = api_key
        self._pattern: re.Pattern[bytes] | None = None
        if len(api_key.get_secret_value()) >= _SHORTEST_SECRET:
            # A NUL stands between the characters of a text in UTF-16 that is not known to be such.
            self._pattern = re.compile(rb"\0{0,3}".join(map(_spelled, api_key.get_secret_value())))

    def content(self, content: bytes) -> bytes:
        """Return what was received without the key; what looks like UTF-16 or UTF-32 becomes UTF-8."""
        if self._pattern is not None and b"\0" in content:
            content = content.decode(json.detect_encoding(content), "replace").encode("utf-8", "replace")
        return self._replaced(content)

    def text(self, text: str) -> str:
        """Return a text without the key."""
        return self._replaced(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _replaced(self, content: bytes) -> bytes:
        if self._pattern is None:
            return content
        key = self._api_key.get_secret_value().encode()
        # Most responses hold neither the key nor an escape, and the search for its spellings is slow.
        may_hold = key in content or any(escape in content for escape in _ESCAPES)
        return self._pattern.sub(HIDDEN.encode(), content) if may_hold else content


_ESCAPES = (b"\\", b"%", b"\0")


def _spelled(character: str) -> bytes:
    """A pattern of the ways to write a character: each begins with a literal, for speed, and matches a bounded text."""
    plain, code = re.escape(character).encode(), f"{ord(character):02x}".encode()
    return rb"(?:%b|\\\\{0,7}(?:%b|u00(?i:%b))|%%(?i:%b))" % (plain, plain, code, code)
