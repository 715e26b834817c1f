"""The Python API, from the docstrings of what each public module exports."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from functools import cache
from importlib import import_module
from itertools import groupby
from typing import Any, get_type_hints

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import PycodeError
from sphinx.ext.autodoc import mock
from sphinx.pycode import ModuleAnalyzer

from from_code.docstrings import linked_names, restructured
from from_code.markdown import code, prose, table
from from_code.public_names import Public, everything, public_modules, public_names, summary, value_text

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
    "Classes": ("members:", "undoc-members:", f"inherited-members: {_FOREIGN}"),
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
    value: Any = public.value
    if public.is_lifecycle:
        text = [value.citation, "", "Its states and transitions are in :doc:`/reference/lifecycles`."]
    else:
        text = restructured(value_text(public).splitlines())
    return _rst(
        f".. py:data:: {public.name}", (f"module: {public.module}", f"type: {type(public.value).__name__}"), text
    )


def _rst(directive: str, options: Sequence[str], text: Iterable[str] = ()) -> str:
    """Return a directive of reStructuredText with its options and its text."""
    lines = [directive, *(f"   :{each}" for each in options), "", *(f"   {line}" for line in text)]
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n\n"


def packages() -> str:
    """Return a table of the public modules, and their pages for the site's navigation."""
    rows = ((f"[{code(each)}]({each}.md)", prose(summary(import_module(each)))) for each in public_modules())
    entries = "".join(f"{each.removeprefix('lifecycle_adapters.')} <{each}>\n" for each in public_modules())
    return table(("module", "purpose"), rows) + f"```{{toctree}}\n:hidden:\n\n{entries}```\n"


def load(app: Sphinx) -> None:
    """Import every public module, with a mock for what need not be installed to read docstrings."""
    with mock(app.config.autodoc_mock_imports):
        for module in public_modules():
            import_module(module)


def without_overloads(app: Sphinx) -> None:
    """Show the one signature that a function has when it runs, instead of those that a type checker reads."""
    for module in {each.value.__module__ for each in everything() if each.kind != "Values"}:
        analyzer = ModuleAnalyzer.for_module(module)
        with suppress(PycodeError):  # a module with syntax that Sphinx cannot read, as autodoc will find too
            analyzer.analyze()
            analyzer.overloads.clear()


def without_constraints(app: Sphinx) -> None:
    """Take from fields what pydantic alone reads: `Annotated[str, Strict()]` becomes `str`."""
    for kind in (each.value for each in everything() if each.kind == "Classes"):
        if "Annotated[" not in str(get_type_hints(kind, include_extras=True)):
            continue
        plain = get_type_hints(kind)
        kind.__annotations__ = {name: plain[name] for name in inspect.get_annotations(kind)}
        signature = inspect.signature(kind)
        parameters = signature.parameters.values()
        kind.__signature__ = signature.replace(
            parameters=[each.replace(annotation=plain.get(each.name, each.annotation)) for each in parameters]
        )
        kind.__init__.__annotations__ = {
            name: plain.get(name, hint) for name, hint in kind.__init__.__annotations__.items()
        }


def skip(app: Sphinx, what: str, name: str, obj: Any, is_skipped: bool, options: Any) -> bool | None:
    """Leave out what a class inherits from a dependency, which documents it."""
    defined_in = str(getattr(obj, "__module__", ""))
    is_foreign = inspect.isroutine(obj) and not defined_in.startswith("lifecycle")
    return True if is_foreign or name.startswith("model_") else None


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement) -> Any:
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
