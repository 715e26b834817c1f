"""The place of a service's key in a request, and the environment variable that holds it. Pure: keys.py reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from lifecycle.declaration import Path, StrictText
from lifecycle_adapters.http.base_url import server
from lifecycle_adapters.http.declared import Declared, Mistake

HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
JSON_TYPE = re.compile(r"application/(?:[A-Za-z0-9.-]+\+)?json")  # RFC 6838, 4.2.8: such as merge-patch+json
# Headers by which HTTP describes or routes the message, or that concern one connection alone (RFC 9110, 7.6.1 and
# 11.7): clients and proxies act on them, or remove them.
# fmt: off
OF_HTTP_ITSELF = frozenset({
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade",
})
# fmt: on


def wrong_server(name: str, url: str, base_path: str) -> Iterator[Mistake]:
    """Yield the mistakes in the URL of a server, as those of the field with this name."""
    try:
        server(url, base_path, name="it")
    except ValueError as error:
        yield (name,), str(error)


def is_header_value(text: str) -> bool:
    """Return whether a header can carry a text unchanged."""
    return text.isascii() and text.isprintable() and text == text.strip()


def is_visible(text: str) -> bool:
    """Return whether a text is visible ASCII alone, 0x21 to 0x7E, and not empty."""
    return text.isascii() and text.isprintable() and text != "" and " " not in text


def wrong_headers(where: Path, headers: Mapping[str, str], *, has_body: bool = False) -> Iterator[Mistake]:
    """Yield the mistakes in headers, by their names and values; a Content-Type may be any type of JSON."""
    folded = [name.casefold() for name in headers]
    for name, value in headers.items():
        if folded.count(name.casefold()) > 1:
            yield (*where, name), f"{name!r} occurs in another letter case, too"
        is_type = has_body and name.casefold() == "content-type" and JSON_TYPE.fullmatch(value) is not None
        if not HEADER_NAME.fullmatch(name) or (name.casefold() in OF_HTTP_ITSELF and not is_type):
            yield (*where, name), f"{name!r} cannot be the name of a header, or is one of HTTP's own"
        if not is_header_value(value):
            yield (*where, name), f"no header can carry {value!r}"


def fault_of_key(api_key: Any) -> Exception | None:
    """Return the error of a key that no header can carry; None if one can. No part of the key is in its message."""
    if not isinstance(api_key, str):
        return TypeError(f"api_key must be text, not {type(api_key).__name__}")
    if not api_key:
        return ValueError("the API key is empty")
    if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
        return ValueError("the API key has characters that a header cannot carry")
    return None


@dataclass(frozen=True, slots=True)
class Authentication(Declared):
    """The place of the key in a request: `header: prefix + key`.

    Raises:
        DefinitionError: a field is of another type, no request can have such a header, or it is one of HTTP itself,
            such as Content-Length.
    """

    header: Annotated[StrictText, Field(description="the name of a header, as text such as 'X-API-Key'")]
    prefix: Annotated[StrictText, Field(description="text such as 'Bearer '")] = ""

    def __post_init__(self) -> None:
        self._examine("authentication", str(self.header))

    def _mistakes(self) -> Iterator[Mistake]:
        if not HEADER_NAME.fullmatch(self.header):
            yield ("header",), f"{self.header!r} cannot be a header's name: give one like 'X-API-Key'"
        if self.header.casefold() in OF_HTTP_ITSELF:
            yield ("header",), f"{self.header!r} is for HTTP itself, and no key can be sent in it: give 'X-API-Key'"
        if not (self.prefix.isascii() and self.prefix.isprintable()) or self.prefix.startswith(" "):
            yield ("prefix",), f"no header can carry {self.prefix!r}: give one like 'Bearer '"

    def headers(self, api_key: str) -> dict[str, str]:
        """Return the header that carries the key.

        Raises:
            TypeError: the key is not text.
            ValueError: it is empty, or has characters that no header can carry, such as the end of a line.
        """
        fault = fault_of_key(api_key)
        if fault is not None:
            raise fault
        return {self.header: f"{self.prefix}{api_key}"}


@dataclass(frozen=True, slots=True)
class KeyVariable(Declared):
    """The environment variable that holds a service's key, and the server, such as "https://host", that it is for.

    Raises:
        DefinitionError: a field is of another type, no environment variable can have that name, or the server is no
            URL that a binding can have.
    """

    name: Annotated[StrictText, Field(description="the name of an environment variable, as text such as 'PRINTER_KEY'")]
    server: Annotated[StrictText, Field(description="text such as 'https://host'")]

    def __post_init__(self) -> None:
        self._examine("key variable", str(self.name))

    def _mistakes(self) -> Iterator[Mistake]:
        if not (self.name and self.name.isprintable() and {"=", " "}.isdisjoint(self.name)):
            yield ("name",), f"must be the name of an environment variable, such as 'PRINTER_KEY', not {self.name!r}"
        yield from wrong_server("server", self.server, "")
