"""Recognition of database URLs and connection strings, so that none is used as a file name with a password in it.

The keywords are those of PostgreSQL's manual, section 34.1.2 (Parameter Key Words).
"""

from __future__ import annotations

import difflib
import re
from contextlib import suppress

from lifecycle.errors import MissingExtra
from lifecycle_adapters.argument_checks import is_text

NOT_A_URL = "not a valid database URL; percent-encode '@', ':' and '/' in its user and password"

NO_PLACE = "not a valid database URL: a port is a whole number, one for all hosts or one for each; options are libpq's"

_NOT_A_DSN = (
    "not a connection string that libpq can read; write it as postgresql://user:password@host/database"
    " (or, for a file whose name looks like one, begin the path with ./)"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A URL with a typing error: its scheme without the two slashes, or user:password@ with one slash or no scheme at all.
_POSTGRES = re.compile(r"\s*postgres(?:ql)?(?:\+\w*)?\s*[:/]", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:/)?[^/\\\s]+:[^/\\\s]*@")
_SECRET_OF_URL = re.compile(r"(?<=:/)(/?(?:[^\s'\":/@]*:)?)[^\s'\"]*@")
_SECRET_WITHOUT_SCHEME = re.compile(r"(?<![^\s'\"(=])([^\s'\"(=:/@]+:)(?!/)\S*@")
# A text in quotes that a message has cut off before its "@": with "..." at its end, or without the closing quote.
_SECRET_CUT = re.compile(
    r"(?<=['\"])((?:[A-Za-z][A-Za-z0-9+.-]*:/{1,2})?[^\s'\":/@]+:)(?:[^\s'\"]*\.\.\.|[^\s'\"]{40,}(?=\s|$))"
)
_KEYWORDS = ("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "sslmode", "sslpassword",
             "options")  # fmt: skip
_KEYWORD = re.compile(r"(?:^|[\s;,&])([A-Za-z_]+)\s*=")  # libpq separates by spaces, other drivers by the others


def is_url(text: str) -> bool:
    """Return whether a text is meant to be a URL of any kind, also if it is mistyped; it may contain a password."""
    return (may_contain_password(text) or _POSTGRES.match(text) is not None) and not is_dsn(text)


def may_contain_password(text: str) -> bool:
    """Return whether a text is a URL, or a mistyped one with `user:password@`."""
    return "://" in text or _WITH_PASSWORD.match(text) is not None


def without_passwords(text: str) -> str:
    """Return a message without the passwords of the URLs in it, and without a user that has none: it may be a key.

    `user:password@host` counts as a URL, too, and so does what may be the beginning of one that was cut off.
    """
    whole = _SECRET_WITHOUT_SCHEME.sub(r"\1***@", _SECRET_OF_URL.sub(r"\1***@", text))
    return _SECRET_CUT.sub(r"\1***", whole)


def is_dsn(text: str) -> bool:
    """Return whether a text is meant to be a connection string of libpq (`host=... password=...`), also if mistyped."""
    return _SCHEME.match(text) is None and any(
        difflib.get_close_matches(name[1].lower(), _KEYWORDS, n=1, cutoff=0.8) for name in _KEYWORD.finditer(text)
    )


def is_postgres(text: str) -> bool:
    """Return whether a text is a URL of PostgreSQL, with or without a driver, or a connection string of libpq."""
    return is_dsn(text) or (is_url(text) and _POSTGRES.match(text) is not None)


def parameters(text: str) -> dict[str, str]:
    """Parse a connection string of libpq into its keywords and values.

    Raises:
        ValueError: it cannot be parsed; the message contains no part of it.
        MissingExtra: psycopg is not installed.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise MissingExtra("postgres", needed_by="a connection to PostgreSQL") from None
    given: dict[str, str] | None = None
    if is_sendable(text):
        with suppress(ProgrammingError):  # its message may contain a part of the password
            given = {name: str(value) for name, value in conninfo_to_dict(text).items()}
    # After `host=` without a value libpq reads the next keyword as the host, and messages show hosts.
    if given is None or any(is_dsn(value) for name, value in given.items() if name not in _MAY_LOOK_LIKE_ONE):
        raise ValueError(_NOT_A_DSN)
    if given.get("port", "").strip(",0123456789"):
        raise ValueError(NO_PLACE)
    return given


_MAY_LOOK_LIKE_ONE = ("password", "sslpassword", "options")


def fault_of_url(url: str) -> str:
    """Return why libpq cannot read a URL of PostgreSQL; the message shows no part of it."""
    place, _, options = url.partition("://")[2].rpartition("@")[2].partition("?")
    if url.count("@") > 1:  # the password may have one, and then nothing else is certain
        return NOT_A_URL
    hosts = re.sub(r"\[[^\]]*\]", "", place.partition("/")[0]).split(",")
    if any(port.strip("0123456789") for _, _, port in (host.partition(":") for host in hosts)):
        return NO_PLACE
    if options:
        return "not a valid database URL: what follows ? must be options of libpq, such as ?sslmode=require"
    return NOT_A_URL


def is_sendable(text: str) -> bool:
    """Return whether libpq accepts a text: it has no null byte and no surrogate."""
    return is_text(text) and "\0" not in text
