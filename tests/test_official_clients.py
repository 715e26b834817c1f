"""The official clients of OpenAI and Anthropic, unchanged but for their base URL, against the emulator of our files.

They read what the emulator returns with their own models, which know nothing of this project. The tests import them by
name: only `make test-all` installs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client
from tests.support.examples import EXAMPLES

pytestmark = pytest.mark.heavy

KEY = "a-key"
BATCH = {"input_file_id": "file-1", "endpoint": "/v1/responses", "completion_window": "24h"}
REQUEST = {"custom_id": "a", "params": {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}}


def client_of(package: str, kind: str, emulator: Emulator, path: str) -> Any:
    """Return a client of the SDK that does not repeat requests: what the emulator returns is to be seen."""
    return getattr(import_module(package), kind)(api_key=KEY, base_url=emulator.base_url + path, max_retries=0)


@pytest.fixture
def openai() -> Iterator[tuple[Any, Emulator]]:
    with (
        Emulator(EXAMPLES["openai-batch"], EXAMPLES["openai-response"], manual=True, api_key=KEY) as emulator,
        client_of("openai", "OpenAI", emulator, "/v1") as client,
    ):
        yield client, emulator


@pytest.fixture
def anthropic() -> Iterator[tuple[Any, Emulator]]:
    with (
        Emulator(EXAMPLES["anthropic-batch"], manual=True, api_key=KEY) as emulator,
        client_of("anthropic", "Anthropic", emulator, "") as client,
    ):
        yield client, emulator


def test_openai_batches_run_against_the_emulator(openai: tuple[Any, Emulator]) -> None:
    client, emulator = openai
    made = [client.batches.create(**BATCH) for _ in range(3)]
    assert {each.status for each in made} == {"validating"}
    assert [each.input_file_id for each in made] == ["file-1"] * 3
    emulator.fire(made[0].id, "begin")
    assert client.batches.retrieve(made[0].id).status == "in_progress"
    assert client.batches.cancel(made[0].id).status == "cancelling"
    emulator.fire(made[0].id, "end_cancelled")
    assert client.batches.retrieve(made[0].id).status == "cancelled"
    assert [each.id for each in client.batches.list()] == [each.id for each in reversed(made)]
    with pytest.raises(import_module("openai").NotFoundError):
        client.batches.retrieve("batch_nobody_made")
    with pytest.raises(import_module("openai").ConflictError):
        client.batches.cancel(made[0].id)


def test_openai_responses_in_the_background(openai: tuple[Any, Emulator]) -> None:
    client, emulator = openai
    made = client.responses.create(model="m", input="a haiku", background=True)
    assert made.status == "queued"
    emulator.fire(made.id, "begin")
    assert client.responses.retrieve(made.id).status == "in_progress"
    assert client.responses.cancel(made.id).status == "cancelled"


def test_anthropic_batches_run_against_the_emulator(anthropic: tuple[Any, Emulator]) -> None:
    client, emulator = anthropic
    batches = client.messages.batches
    made = [batches.create(requests=[REQUEST]) for _ in range(3)]
    assert {each.processing_status for each in made} == {"in_progress"}
    assert made[0].created_at.tzinfo is not None
    assert batches.cancel(made[0].id).processing_status == "canceling"
    emulator.fire(made[0].id, "end")
    assert batches.retrieve(made[0].id).processing_status == "ended"
    assert [each.id for each in batches.list()] == [each.id for each in reversed(made)]
    with pytest.raises(import_module("anthropic").NotFoundError):
        batches.retrieve("msgbatch_nobody_made")


def test_a_wrong_key_is_refused() -> None:
    with (
        Emulator(EXAMPLES["openai-batch"], api_key="another") as emulator,
        client_of("openai", "OpenAI", emulator, "/v1") as client,
        pytest.raises(import_module("openai").AuthenticationError),
    ):
        client.batches.create(**BATCH)


def test_lists_of_many_pages_have_each_task_once(openai: tuple[Any, Emulator]) -> None:
    client, emulator = openai
    made = [client.batches.create(**BATCH).id for _ in range(45)]
    assert [each.id for each in client.batches.list()] == made[::-1]
    with Client(EXAMPLES["openai-batch"], api_key=KEY, base_url=emulator.base_url) as own:
        assert [each.id for each in own.list()] == made[::-1]
