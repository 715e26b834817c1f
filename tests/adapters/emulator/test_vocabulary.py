"""The names of models and countries in the emulator, compared with the dated documents that list them."""

from __future__ import annotations

from importlib import import_module

import pytest

from lifecycle_adapters.services.vocabulary import COUNTRIES, FIRST_V3_MODELS, V2_LLMS, V3_MODELS, V4_MODELS
from tests.adapters.drift.made import dated


@pytest.mark.parametrize(
    ("document", "schema", "words"),
    [
        ("v2-2026-08-06", "SupportedLLMs", V2_LLMS),
        ("v2-2026-08-06", "ProxyCountryCode", COUNTRIES),
        ("v3-2026-02-25", "BuModel", FIRST_V3_MODELS),
        ("v3-2026-02-25", "ProxyCountryCode", COUNTRIES),
        ("v3-2026-08-06", "BuModel", V3_MODELS),
        ("v3-2026-08-06", "ProxyCountryCode", COUNTRIES),
        ("v4-2026-07-26", "ProxyCountryCode", sorted((*COUNTRIES, "ci"))),
    ],
)
def test_the_lists_are_those_of_the_documents(document: str, schema: str, words: list[str]) -> None:
    assert dated(document)["components"]["schemas"][schema]["enum"] == words


@pytest.mark.heavy
def test_the_models_of_v4_are_those_of_the_newest_sdk() -> None:
    """The Python SDK 3.12.1 of October 2026 has more than the specification of 2026-07-26."""
    documented = dated("v4-2026-07-26")["components"]["schemas"]["RunCreateRequest"]["properties"]["model"]["enum"]
    models = import_module("browser_use_sdk.generated.v4.models").Model
    assert [each.value for each in models] == V4_MODELS
    assert set(documented) < set(V4_MODELS)
