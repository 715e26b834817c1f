"""The checks of the arguments of clients and handles."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from lifecycle.errors import shortened
from lifecycle.journal import Journal, RequestContext
from lifecycle.memory import MemoryJournal
from lifecycle_adapters import telemetry
from lifecycle_adapters.argument_checks import WrongValue, require, require_boolean, require_number
from lifecycle_adapters.connection_strings import may_contain_password

OnUnknown = Literal["raise", "continue"]


def request_context(idempotency_key: str | None, origin: str, reason: str) -> RequestContext:
    """Return the facts that the journal records with a request.

    Raises:
        TypeError: an argument is not text.
        ValueError: the key is empty.
    """
    require(idempotency_key, str | None, "idempotency_key must be text")
    require(origin, str, "origin must be text")
    require(reason, str, "reason must be text")
    if idempotency_key == "":
        what = "idempotency_key must not be empty: give each intent its own text, or None for no key"
        raise WrongValue(what, "idempotency_key")
    return RequestContext(idempotency_key, origin, reason)


def with_a_key(context: RequestContext) -> RequestContext:
    """Return a context that has an idempotency key, a new one if the caller gave none."""
    return context if context.idempotency_key is not None else replace(context, idempotency_key=str(uuid4()))


def seconds(given: float | None, name: str) -> float | None:
    """Return a duration argument in seconds. Raises TypeError if it is not a number, ValueError if NaN or negative."""
    if given is not None:
        require_number(given, name, at_least=0)
    return given


def longest_wait_s(wait: bool) -> float:
    """Return how long to wait for another worker's command: not at all, or without end.

    Raises TypeError if it is not a Boolean.
    """
    require_boolean(wait, "wait")
    return float("inf") if wait else 0.0


def worker_names(dead: Collection[str]) -> frozenset[str]:
    """Return the names of workers. Raises TypeError for one name, or if it is not a collection of texts."""
    if isinstance(dead, str):
        raise TypeError(f"dead is a collection of names, such as {{{dead!r}}}, not one name")
    given: Any = dead
    if isinstance(given, bytes | bytearray) or not isinstance(given, Iterable):
        raise TypeError(f"dead must be a collection of names, such as {{'worker-1'}}, not {shortened(given)}")
    names = list(dead)
    for each in names:
        require(each, str, "dead must hold names of workers, which are texts")
    return frozenset(names)


def usable_journal(journal: Journal | None) -> Journal:
    """Return the journal, one in memory if it is None. Raises TypeError if it is not a journal."""
    given: Any = journal
    if given is not None and not isinstance(given, Journal):
        file = str(given) if isinstance(given, str | Path) else "j.db"
        made = "SqlJournal(...)" if may_contain_password(file) else f"SqlJournal({file!r})"
        raise TypeError(f"journal must be a journal, such as {made}, not {type(given).__name__}")
    return journal or MemoryJournal(on_report=telemetry.count_report)


def create_name(create_id: str) -> str:
    """Return the id of a create. Raises TypeError if it is not text."""
    require(create_id, str, "create_id must be text, as `recover` names it")
    return create_id


def raises_on_unknown(on_unknown: OnUnknown) -> bool:
    """Return whether an unknown status ends a wait. Raises ValueError unless given 'raise' or 'continue'."""
    if on_unknown not in ("raise", "continue"):
        raise ValueError(f"on_unknown must be 'raise' or 'continue', not {on_unknown!r}")
    return on_unknown == "raise"
