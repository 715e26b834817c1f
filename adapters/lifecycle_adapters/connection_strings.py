"""Which texts lead to PostgreSQL, so that none of them is taken for a file whose name holds a password.

The keywords are those of PostgreSQL's manual, section 34.1.2 (Parameter Key Words).
"""

from __future__ import annotations

import re

from lifecycle.errors import MissingExtra

NOT_A_URL = "that is no URL of a database; in its user and password, '@', ':' and '/' are percent-encoded"

_NOT_A_DSN = (
    "that is no connection string that libpq can read; say it as postgresql://user:password@host/database"
    " (the path of a file that looks like one begins with ./)"
)
_SCHEMES = ("postgresql", "postgres")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DSN = re.compile(
    r"\s*(?:host|hostaddr|port|dbname|user|passfile|service|sslmode|options)\s*=|(?:.*\s)?(?:ssl)?password\s*=",
    re.IGNORECASE | re.DOTALL,
)


def is_url(text: str) -> bool:
    """Whether a text is meant to be a URL, of whatever."""
    return "://" in text and not is_dsn(text)


def is_dsn(text: str) -> bool:
    """Whether a text is meant to be a connection string of libpq: `host=... password=...`."""
    return _SCHEME.match(text) is None and _DSN.match(text) is not None


def is_postgres(text: str) -> bool:
    """Whether a text leads to PostgreSQL: its URL, with or without a driver's name, or libpq's connection string."""
    return is_dsn(text) or (is_url(text) and text.partition("://")[0].partition("+")[0] in _SCHEMES)


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
