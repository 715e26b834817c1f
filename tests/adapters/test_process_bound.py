"""Objects that belong to a process raise an error when they are copied or pickled."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lifecycle.memory import MemoryJournal
from lifecycle_adapters.http import AsyncClient, Client
from lifecycle_adapters.journal import SqlJournal

WAYS: dict[str, Callable[[Any], object]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {each}": partial(pickle.dumps, protocol=each) for each in range(pickle.HIGHEST_PROTOCOL + 1)},
}


def client(**settings: Any) -> Client[Any, Any]:
    return Client("v1", api_key="bu_a-key-that-nobody-may-see", base_url="http://s.test", **settings)


def async_client() -> AsyncClient[Any, Any]:
    return AsyncClient("v1", api_key="bu_a-key-that-nobody-may-see", base_url="http://s.test")


MADE: dict[str, tuple[Callable[[], Any], str]] = {
    "Client": (client, "make another client where it is needed"),
    "AsyncClient": (async_client, "make another client where it is needed"),
    "Task": (lambda: client().task("t"), "pass its `id`, and open a handle there by `client.task(id)`"),
    "AsyncTask": (lambda: async_client().task("t"), "pass its `id`, and open a handle there by `client.task(id)`"),
    "MemoryJournal": (MemoryJournal, "a journal that processes share is `lifecycle_adapters.journal.SqlJournal`"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", MADE)
def test_object_of_a_process_is_neither_copied_nor_pickled(name: str, way: Callable[[Any], object]) -> None:
    make, instead = MADE[name]
    with pytest.raises(TypeError) as info:
        way(make())
    assert str(info.value) == f"{name} can be neither copied nor pickled: it belongs to its process; {instead}"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_durable_journal_is_neither_copied_nor_pickled(way: Callable[[Any], object], tmp_path: Path) -> None:
    with SqlJournal(tmp_path / "journal.db") as journal:
        with pytest.raises(TypeError, match=r"SqlJournal can be neither copied nor pickled: .* with the same URL"):
            way(journal)
        with pytest.raises(TypeError, match="Client can be neither copied nor pickled"):
            way(client(journal=journal))
