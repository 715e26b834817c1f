"""PostgreSQL, where the log is a table of it: its rows are read and counted there, and only answers come here.

All happens in one transaction that sees one moment of the table and writes nothing but temporary tables. They
are gone with the connection, which is closed with the workbench. How the server sorts is its own affair: give
it more memory by the URL, as in `?options=-c%20work_mem%3D256MB`.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    import psycopg as _psycopg
except ImportError:
    raise MissingExtra("postgres", needed_by="a log in PostgreSQL") from None

from lifecycle_adapters.logs.postgres.postgres_table import PostgresTable

__all__ = ["PostgresTable"]

del _psycopg
