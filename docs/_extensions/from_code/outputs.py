"""The files of the site that are not pages: the JSON Schemas, and llms.txt, the API in brief for coding agents."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from from_code.public_names import Public, public_modules, public_names, summary, value_text
from from_code.schemas import SCHEMAS

_HEAD = Path(__file__).parents[2] / "_templates" / "llms.txt"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the files into a site that was built."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir, "schemas")
    folder.mkdir(exist_ok=True)
    for name, schema in SCHEMAS.items():
        (folder / f"{name}.json").write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")
    Path(app.outdir, "llms.txt").write_text(llms_text(), encoding="utf-8")


def llms_text() -> str:
    """Return the head, then each public module with its names: signature and first sentence."""
    return _HEAD.read_text(encoding="utf-8") + "".join(_module(each) for each in public_modules())


def _module(module: str) -> str:
    lines = "".join(line for each in public_names(module) for line in _lines(each))
    return f"\n## {module}\n\n{summary(import_module(module))}\n\n{lines}"


def _lines(public: Public) -> Iterator[str]:
    if public.kind == "Values":
        text = public.value.citation if public.is_lifecycle else " ".join(value_text(public).split())
        yield _line(0, f"{public.name}: {type(public.value).__name__}", text)
        return
    if public.kind == "Enumerations":
        members = ", ".join(str(each.value) for each in public.value)
        yield _line(0, public.name, f"{summary(public.value)} One of: {members}.".lstrip())
        return
    yield _line(0, f"{public.name}{_signature(public.value)}", summary(public.value))
    if public.kind == "Classes":
        for name, member in inspect.getmembers(public.value):
            if not name.startswith(("_", "model_")) and _is_ours(member):
                signature = "" if isinstance(member, property) else _signature(member)
                awaited = "await " if inspect.iscoroutinefunction(member) else ""
                yield _line(1, f"{awaited}.{name}{signature}", summary(member))


def _is_ours(member: Any) -> bool:
    """Return whether a member is a method or a property that this project documents."""
    function = member.fget if isinstance(member, property) else member
    return inspect.isroutine(function) and str(getattr(function, "__module__", "")).startswith("lifecycle")


def _line(depth: int, name: str, text: str) -> str:
    return f"{'  ' * depth}- `{name}`{': ' if text else ''}{text}\n"


def _signature(value: Any) -> str:
    """Return the parameters without their types, which the reference has."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name != "self"
    ]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<[^<>]*>", "...", text)
