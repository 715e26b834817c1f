r"""Redaction of API keys in responses: a server may repeat the key in a refusal, a status, an id or a header.

A response is redacted as it arrives, before any other code sees it. JSON can write each character of the key in
several ways (`\/`, `\u002f`), a URL too (`%2F`, `%252F`), and HTML (`&#47;`, `&#x2F;`, `&sol;`, `&amp;sol;`): all of
them are found. So is the key in base64, also as a part of a longer text and with line breaks, and what a key in base64
stands for: the `user:password` of Basic authentication.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from html.entities import html5

from pydantic import SecretStr

HIDDEN = "[the API key]"
_SHORTEST_SECRET = 8  # characters; a shorter key is a word that messages may contain for other reasons


_MOST_KEYS = 32  # a function may give a new key for each request


class Redactor:
    """Hides the keys that it knows: the last 32 that were added. A key of fewer than 8 characters is not hidden.

    Safe to share between threads.
    """

    def __init__(self) -> None:
        # The oldest first. No lock: the child of a fork could find it held. Each step is one operation on the dict.
        self._keys: dict[SecretStr, _Key] = {}
        self._last: SecretStr | None = None

    def add(self, api_key: SecretStr) -> None:
        """Hide this key from now on, and forget the oldest one beyond the limit."""
        if api_key is self._last or api_key == self._last:
            return
        known = self._keys.get(api_key) or _Key(api_key)
        self._keys.pop(api_key, None)
        self._keys[api_key] = known
        self._last = api_key
        for oldest in list(self._keys)[:-_MOST_KEYS]:
            self._keys.pop(oldest, None)

    def content(self, content: bytes) -> bytes:
        """Return the received bytes without the keys; text that looks like UTF-16 or UTF-32 becomes UTF-8."""
        if b"\0" in content and any(each.is_secret for each in list(self._keys.values())):
            content = content.decode(json.detect_encoding(content), "replace").encode("utf-8", "replace")
        return self._replaced(content)

    def text(self, text: str) -> str:
        """Return a text without the keys."""
        return self._replaced(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def holds_a_key(self, text: str) -> bool:
        """Return whether a text has a key in it, also one of fewer than 8 characters."""
        return any(key.get_secret_value() in text for key in list(self._keys)) or self.text(text) != text

    def _replaced(self, content: bytes) -> bytes:
        has_escapes = b"\\" in content or b"%" in content or b"&" in content or b"\0" in content
        for key in list(self._keys.values()):
            content = key.replaced(content, has_escapes=has_escapes)
        return content


class _Key:
    """One key, and the pattern that finds it, which is compiled when it is needed."""

    def __init__(self, secret: SecretStr) -> None:
        self._secret = secret
        self._pattern: re.Pattern[bytes] | None = None
        self.is_secret = len(secret.get_secret_value()) >= _SHORTEST_SECRET
        forms = _other_forms(secret.get_secret_value().encode()) if self.is_secret else ()
        self._other_forms = [(each, _BREAKS.sub(b"", each.translate(None, _SPACES))) for each in forms]

    def replaced(self, content: bytes, *, has_escapes: bool) -> bytes:
        unbroken = content.replace(b"\\/", b"/")
        if has_escapes or b"<" in content or b"=\r" in content or b"=\n" in content:
            unbroken = _BREAKS.sub(b"", unbroken)
        unbroken = unbroken.translate(None, _SPACES)
        for form, its_unbroken in self._other_forms:
            if its_unbroken in unbroken:
                characters = [re.escape(form[at : at + 1]).replace(b"/", rb"\\?/") for at in range(len(form))]
                spelled = (b"(?:%b){0,12}" % _BREAKS.pattern).join(characters)
                pattern = rb"[\w+/-]{0,2}%b[\w+/-]{0,2}={0,2}" % spelled
                content = re.sub(pattern, HIDDEN.encode(), content)
        # Most responses hold neither the key nor an escape, and the search for its spellings is slow.
        if not self.is_secret or not (has_escapes or self._secret.get_secret_value().encode() in content):
            return content
        if self._pattern is None:
            # UTF-16 text that was not recognised has a NUL between its characters.
            self._pattern = re.compile(rb"\0{0,3}".join(map(_spelled, self._secret.get_secret_value())))
        return self._pattern.sub(HIDDEN.encode(), content)


# The line breaks of base64 as mail has it, with what may follow them in a header, and what JSON, URLs and HTML make of
# them.
_SPACES = b" \t\r\n"
_BREAKS = re.compile(
    rb"=?(?:\s|\\{1,8}(?:[rnt]|u00(?i:0[9ad]|20))|%(?:25){0,3}(?i:0[9ad]|20)|&#(?i:0{0,7}1[03]|x0{0,7}[ad]);|<br ?/?>)"
)


def _other_forms(key: bytes) -> tuple[bytes, ...]:
    """Return what a text contains that has the key in base64 or hexadecimal, or that a key in base64 stands for."""
    encoded = {key.hex().encode(), key.hex().upper().encode()}
    for before in range(3):  # the bytes before the key in a group of three, which become four characters
        text = b64encode(bytes(before) + key)
        encoded.add(text[-(-before * 8 // 6) : (before + len(key)) * 8 // 6])  # those that the key alone decides
    urlsafe = {each.replace(b"+", b"-").replace(b"/", b"_") for each in encoded}
    return tuple(sorted(encoded | urlsafe)) + _credentials(key)


def _credentials(key: bytes) -> tuple[bytes, ...]:
    """Return the user with the password, and the password, of a key of Basic authentication."""
    try:
        text = b64decode(key, validate=True).decode()
    except ValueError:
        return ()
    user, colon, password = text.partition(":")
    if not (user and colon and text.isprintable() and len(password) >= _SHORTEST_SECRET):
        return ()
    return text.encode(), password.encode()


def _spelled(character: str) -> bytes:
    """Return a pattern of the spellings of a character; each begins with a literal, for speed, and is bounded."""
    plain, code = re.escape(character).encode(), f"{ord(character):02x}".encode()
    names = b"|".join([rb"#0{0,7}%d" % ord(character), rb"#[xX]0{0,7}(?i:%b)" % code, *_names_of(character)])
    in_url, in_html = rb"%%(?:25){0,3}(?i:%b)" % code, rb"(?:amp;){0,3}(?:%b);?" % names
    in_json = rb"\\\\{0,7}(?:%b|u00(?i:%b)|(?:&|u0026)%b)" % (plain, code, in_html)
    return rb"(?:%b|%b|%b|&%b)" % (plain, in_json, in_url, in_html)


def _names_of(character: str) -> list[bytes]:
    """Return the names of a character in HTML, such as `quot` and `QUOT`."""
    return [name[:-1].encode() for name, value in html5.items() if value == character and name.endswith(";")]
