"""Which texts lead to PostgreSQL, so that none of them is taken for a file whose name holds a password.

The keywords are those of PostgreSQL's manual, section 34.1.2 (Parameter Key Words).
"""

from __future__ import annotations

import difflib
import re

from lifecycle.errors import MissingExtra

NOT_A_URL = "that is no URL of a database; in its user and password, '@', ':' and '/' are percent-encoded"

_NOT_A_DSN = (
    "that is no connection string that libpq can read; say it as postgresql://user:password@host/database"
    " (the path of a file that looks like one begins with ./)"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A URL with a typing error: its scheme without the two slashes, or user:password@ with no scheme at all.
_POSTGRES = re.compile(r"\s*postgres(?:ql)?(?:\+\w*)?\s*[:/]", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"[^/\\\s]+:[^/\\\s]*@")
_KEYWORDS = ("host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "sslmode", "sslpassword",
             "options")  # fmt: skip
_KEYWORD = re.compile(r"(?:^|\s)([A-Za-z_]+)\s*=")


def is_url(text: str) -> bool:
    """Return whether a text is meant to be a URL, of whatever, also if it is mistyped: nothing of it is then shown."""
    mistyped = _POSTGRES.match(text) or _WITH_PASSWORD.match(text)
    return ("://" in text or mistyped is not None) and not is_dsn(text)


def is_dsn(text: str) -> bool:
    """Return whether a text is meant to be a connection string of libpq (`host=... password=...`), also if mistyped."""
    return _SCHEME.match(text) is None and any(
        difflib.get_close_matches(name[1].lower(), _KEYWORDS, n=1, cutoff=0.8) for name in _KEYWORD.finditer(text)
    )


def is_postgres(text: str) -> bool:
    """Return whether a text leads to PostgreSQL: by a URL, with or without a driver's name, or libpq's string."""
    return is_dsn(text) or (is_url(text) and _POSTGRES.match(text) is not None)


def parameters(text: str) -> dict[str, str]:
    """Return what a connection string of libpq says, by its keywords.

    Raises:
        ValueError: it cannot be read; the message shows no part of it.
        MissingExtra: there is no psycopg.
    """
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ImportError:
        raise MissingExtra("postgres", needed_by="a connection to PostgreSQL") from None
    try:
        return {name: str(value) for name, value in conninfo_to_dict(text).items()}
    except ProgrammingError:
        raise ValueError(_NOT_A_DSN) from None
