"""How a database comes to have the journal's tables, version by version; run by Alembic."""
