"""A log in a table of PostgreSQL: the server reads and counts its rows, and only results come here.

One transaction does everything. It sees one snapshot of the table and writes temporary tables only, which are dropped
with the connection; that is closed with the DuckDB session. To give the server more memory for sorting, use the URL:
`?options=-c%20work_mem%3D256MB`.
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
