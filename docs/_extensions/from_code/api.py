"""The Python API, from the docstrings of what each public module exports."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cache
from importlib import import_module
from itertools import groupby
from typing import Any

from docutils import nodes
from from_code.docstrings import linked_names, restructured
from from_code.markdown import code, prose, table
from from_code.public_names import Public, everything, public_modules, public_names, summary, value_text
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from lifecycle import Lifecycle

_ORDER = ["Functions", "Classes", "Enumerations", "Values", "Exceptions", "Warnings"]
_DIRECTIVES = {
    "Functions": "autofunction",
    "Classes": "autoclass",
    "Enumerations": "autoclass",
    "Exceptions": "autoexception",
    "Warnings": "autoexception",
}
# What the standard library and pydantic give a class is documented there.
_FOREIGN = "object, Exception, BaseException, BaseModel, Enum, StrEnum, str, int, tuple, dict"
_OPTIONS = {
    "Functions": (),
    "Classes": ("members:", "undoc-members:", f"inherited-members: {_FOREIGN}", "show-inheritance:"),
    "Enumerations": ("members:", "undoc-members:", "member-order: bysource"),
    "Exceptions": ("show-inheritance:",),
    "Warnings": ("show-inheritance:",),
}


def reference(module: str) -> str:
    """Return the reference of one module: its docstring, then its names by kind."""
    names = sorted(public_names(module), key=lambda each: _ORDER.index(each.kind))
    parts = [_rst(f".. automodule:: {module}", ())]
    for kind, group in groupby(names, key=lambda each: each.kind):
        parts.append(f"## {kind}\n\n")
        parts.extend(_entry(each) for each in group)
    return "".join(parts)


def _entry(public: Public) -> str:
    if public.kind != "Values":
        return _rst(f".. {_DIRECTIVES[public.kind]}:: {public.full_name}", _OPTIONS[public.kind])
    if isinstance(public.value, Lifecycle):
        text = [public.value.citation, "", "Its states and transitions are in :doc:`/reference/lifecycles`."]
    else:
        text = restructured(value_text(public).splitlines())
    return _rst(f".. py:data:: {public.full_name}", (f"type: {type(public.value).__name__}",), text)


def _rst(directive: str, options: Sequence[str], text: Iterable[str] = ()) -> str:
    """Return a directive of reStructuredText with its options and its text."""
    lines = [directive, *(f"   :{each}" for each in options), "", *(f"   {line}" for line in text)]
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n\n"


def packages() -> str:
    """Return a table of the public modules, and their pages for the site's navigation."""
    rows = ((f"[{code(each)}]({each}.md)", prose(summary(import_module(each)))) for each in public_modules())
    entries = "".join(f"{each.removeprefix('lifecycle_adapters.')} <{each}>\n" for each in public_modules())
    return table(("module", "purpose"), rows) + f"```{{toctree}}\n:hidden:\n\n{entries}```\n"


def skip(app: Sphinx, what: str, name: str, obj: Any, is_skipped: bool, options: Any) -> bool | None:  # noqa: ARG001
    """Leave out what a class inherits from a dependency, which documents it."""
    defined_in = str(getattr(obj, "__module__", ""))
    is_foreign = inspect.isroutine(obj) and not defined_in.startswith("lifecycle")
    return True if is_foreign or name.startswith("model_") else None


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:  # noqa: ARG001
    """Return a link to a public name that is referred to by the module which defines it, or by the bare name."""
    if node.get("refdomain") != "py":
        return None
    target = defined_names().get(node["reftarget"]) or linked_names().get(node["reftarget"])
    if target is None or target == node["reftarget"]:
        return None
    domain = env.domains.python_domain
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", target, node, content)


@cache
def defined_names() -> dict[str, str]:
    """Return the full public name of each class and function, by the name that its module gives it."""
    return {
        f"{public.value.__module__}.{public.value.__qualname__}": public.full_name
        for public in everything()
        if public.kind != "Values" and not isinstance(public.value, Enum)
    }
