"""The signals of a running process: log records, from the calls in the source, and spans and metrics."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from operator import attrgetter

from from_code.markdown import code, docstring_table, prose, table
from from_code.public_names import module_files, tree
from lifecycle_adapters import telemetry as source

_LEVELS = {"debug", "info", "warning", "error", "exception"}


def telemetry(kind: str) -> str:
    """Return a table of the spans or of the metrics."""
    rows = docstring_table(inspect.getdoc(source) or "", f"\n    {kind}  ")
    return table((kind, "attributes"), ((_names(name), _names(attributes)) for name, attributes in rows))


def _names(text: str) -> str:
    return re.sub(r"[\w.{}/ ]*[\w}]", lambda match: code(match[0].strip()), text) if "." in text else prose(text)


def log_records() -> str:
    """Return a section for each logger, with its messages, their levels and their fields."""
    return "".join(
        f"### {logger}\n\n{table(('message', 'level', 'fields'), (each.cells for each in group))}"
        for logger, group in groupby(sorted({*_records()}), key=attrgetter("logger"))
    )


@dataclass(frozen=True, order=True)
class _Record:
    logger: str
    level: str
    message: str
    fields: tuple[str, ...]

    @property
    def cells(self) -> tuple[str, str, str]:
        return prose(self.message), self.level, ", ".join(map(code, self.fields))


@cache
def _records() -> tuple[_Record, ...]:
    return tuple(record for module in module_files() for record in _records_of(module))


def _records_of(module: str) -> Iterator[_Record]:
    loggers = dict(_loggers(module))
    functions = [node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                logger = loggers.get(ast.unparse(call.func.value))
                if logger is not None and call.func.attr in _LEVELS:
                    extra = [
                        key
                        for each in call.keywords
                        if each.arg == "extra"
                        for key in _keys(each.value, function, module)
                    ]
                    level = "error" if call.func.attr == "exception" else call.func.attr
                    yield _Record(logger, level, ast.literal_eval(call.args[0]), tuple(extra))


def _loggers(module: str) -> Iterator[tuple[str, str]]:
    """Yield the variable and the name of each logger of a module."""
    for node in tree(module).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and "getLogger" in ast.unparse(node.value):
            (name,) = node.value.args
            yield ast.unparse(node.targets[0]), module if isinstance(name, ast.Name) else ast.literal_eval(name)


def _keys(value: ast.expr, function: ast.AST, module: str) -> Iterator[str]:
    """Yield the keys of the dictionary that an expression makes: a literal, a variable, or what a function returns."""
    match value:
        case ast.Dict(keys=keys, values=values):
            for key, part in zip(keys, values, strict=True):
                yield from [ast.literal_eval(key)] if key is not None else _keys(part, function, module)
        case ast.Name(id=name):
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                    yield from _keys(node.value, function, module)
        case ast.Call(func=ast.Attribute(attr=name)):
            for node in ast.walk(tree(module)):
                if isinstance(node, ast.FunctionDef) and node.name == name:
                    yield from (
                        key
                        for each in ast.walk(node)
                        if isinstance(each, ast.Return) and each.value is not None
                        for key in _keys(each.value, node, module)
                    )
        case _:
            raise ValueError(f"{module}: what keys does {ast.unparse(value)} have?")
