"""The journal's tables, from their SQLAlchemy metadata: a picture, and the columns of each."""

from __future__ import annotations

import inspect
from html import escape

from sqlalchemy import Column, Dialect, Index, Table
from sqlalchemy.dialects import postgresql, sqlite

from from_code.markdown import code, docstring_table, html, prose, table
from from_code.pictures import figure
from lifecycle.diagram import Colour
from lifecycle_adapters.journal import schema
from lifecycle_adapters.render import dot_to_svg

_TABLES = [schema.schema_version, *schema.metadata.sorted_tables]
_SQLITE: Dialect = sqlite.dialect()
_POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def journal_tables() -> str:
    """Return a picture of the tables and their foreign keys, then a section for each."""
    picture = html(figure(dot_to_svg(_dot(), title="The journal", dark={}), "The tables of the journal"))
    purposes = dict(docstring_table(inspect.getdoc(schema) or "", "reads and writes them."))
    return picture + "".join(_section(each, purposes[each.name]) for each in _TABLES)


def _section(each: Table, purpose: str) -> str:
    columns = ((code(column.name), *_types(column), _rules(column)) for column in each.columns)
    indexes = ((code(index.name), ", ".join(code(column.name) for column in index.columns)) for index in _indexes(each))
    return (
        f"## {each.name}\n\n{prose(purpose[0].upper() + purpose[1:])}.\n\n"
        + table(("column", "SQLite", "PostgreSQL", ""), columns)
        + (table(("index", "columns"), indexes) if _indexes(each) else "")
    )


def _indexes(each: Table) -> list[Index]:
    return sorted(each.indexes, key=lambda index: str(index.name))


def _types(column: Column[object]) -> tuple[str, str]:
    return code(column.type.compile(_SQLITE)), code(column.type.compile(_POSTGRESQL))


def _rules(column: Column[object]) -> str:
    foreign = "".join(f"references {code(key.target_fullname)}" for key in column.foreign_keys)
    rules = ("primary key" if column.primary_key else "may be null" if column.nullable else "", foreign)
    return ", ".join(filter(None, rules))


def _dot() -> str:
    """Return the picture in DOT: a box for each table, an arrow for each foreign key."""
    boxes = "".join(f"  {each.name} [label=<{_box(each)}>]\n" for each in _TABLES)
    arrows = "".join(
        f"  {each.name}:{column.name}:e -> {key.column.table.name}:{key.column.name}:w\n"
        for each in _TABLES
        for column in each.columns
        for key in column.foreign_keys
    )
    return (
        f'digraph journal {{\n  graph [rankdir=LR, bgcolor="{Colour.PAPER}", ranksep=0.9]\n'
        f'  node [shape=plain, fontname="Helvetica", fontsize=12, fontcolor="{Colour.INK}"]\n'
        f'  edge [color="{Colour.CALLER}", penwidth=1.6]\n{boxes}{arrows}}}\n'
    )


def _box(each: Table) -> str:
    rows = "".join(f'<tr><td align="left" port="{column.name}">{_bold(column)}</td></tr>' for column in each.columns)
    head = f'<tr><td bgcolor="{Colour.FINAL_FILL}"><b>&#160; {escape(each.name)} &#160;</b></td></tr>'
    return (
        f'<table border="0" cellborder="1" cellspacing="0" cellpadding="4" color="{Colour.BORDER}">{head}{rows}</table>'
    )


def _bold(column: Column[object]) -> str:
    return f"<b>{escape(column.name)}</b>" if column.primary_key or column.foreign_keys else escape(column.name)
