"""Lifecycles of one scope: tasks whose ids are unique only within a repository, a namespace or a project.

A journal identifies a task by its lifecycle's name and its id. Therefore the lifecycle of a scope has its own name,
such as `workflow-run[acme/web]`, and all other parts of its base. `base_name` finds the base by the name alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote, unquote

from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, S
from lifecycle.validation import LONGEST_NAME


def scoped(lifecycle: Lifecycle[S, E], scope: Sequence[str]) -> Lifecycle[S, E]:
    """Return the lifecycle of a scope, such as `("acme", "web")`; different scopes have different names.

    A lifecycle that is of this scope already is returned as it is.

    Raises:
        DefinitionError: the lifecycle's own name is so long that there is no room for the scope.
    """
    if lifecycle.name == _name(base_name(lifecycle.name), scope):
        return lifecycle
    return lifecycle.replace(name=_name(lifecycle.name, scope))


def _name(base: str, scope: Sequence[str]) -> str:
    # Quoted, no text has a slash, so that ("a/b", "c") is not ("a", "b/c"); nor a colon, as the digest has.
    text = "/".join(quote(each, safe="") for each in scope)
    name = f"{base}[{text}]"
    return name if len(name) <= LONGEST_NAME else f"{base}[sha256:{sha256(text.encode()).hexdigest()[:32]}]"


def base_name(name: str) -> str:
    """Return the name of the base, if the name is that of a lifecycle of a scope; the name itself otherwise."""
    base, bracket, _ = name.rpartition("[")
    return base if bracket and name.endswith("]") else name


def scope_in(name: str) -> tuple[str, ...] | None:
    """Return the scope of a lifecycle by its name; None if the name has none, or has only the digest of a long one."""
    base, text = base_name(name), name[len(base_name(name)) + 1 : -1]
    return None if base == name or ":" in text else tuple(map(unquote, text.split("/")))
