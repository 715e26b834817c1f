"""A retired service: a client of the real one warns, a client of another server does not."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lifecycle import DefinitionError
from lifecycle_adapters.http import AsyncClient, Client, HttpBinding, Retired, RetiredServiceWarning
from lifecycle_adapters.services import service, services
from tests.adapters.http.both import KEY

pytestmark = pytest.mark.filterwarnings("error")
SAID = "'v1' has been retired since 2026-08; use v4 instead"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize("base_url", [None, "https://api.browser-use.com", "https://api.browser-use.com/api/v1/"])
def test_client_of_a_retired_service_warns_at_its_construction(kind: Any, base_url: str | None) -> None:
    with pytest.warns(RetiredServiceWarning) as caught:
        kind("v1", api_key=KEY, base_url=base_url)
    [warning] = caught
    assert (str(warning.message), warning.filename) == (SAID, __file__)


def test_a_client_of_another_server_or_service_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Client("v1", api_key=KEY, base_url="http://127.0.0.1:1").close()
        for name in services():
            if service(name).retired is None:
                key = None if service(name).authentication is None else KEY
                parameters = dict.fromkeys(service(name).parameters, "any")
                Client(service(name), api_key=key, parameters=parameters).close()


def test_python_shows_the_warning_by_default(tmp_path: Path) -> None:
    """Also if another module than the program itself makes the client, where deprecations are not shown."""
    text = 'from lifecycle_adapters.http import Client\nClient("v1", api_key="any")'
    (tmp_path / "helper.py").write_text(text)
    run = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import helper"]
    shown = subprocess.run(run, capture_output=True, text=True, check=True)
    assert f"helper.py:2: RetiredServiceWarning: {SAID}" in shown.stderr


@pytest.mark.parametrize("since", ["2024-02-29", "2026-08"])
def test_own_service_may_be_retired(since: str) -> None:
    binding: HttpBinding[Any, Any] = replace(service("v4"), name="mine", retired=Retired(since, "another"))
    with pytest.warns(RetiredServiceWarning, match=f"'mine' has been retired since {since}; use another instead"):
        Client(binding, api_key=KEY)


@pytest.mark.parametrize(
    "since", ["", "August", "2026", "2026-13", "2026-02-30", "2026-8", "20260831", "2026-08-31T00"]
)
def test_invalid_retirement_date_is_a_finding(since: str) -> None:
    with pytest.raises(DefinitionError, match="since: must be a day or a month"):
        Retired(since, "v4")


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        ({"since": "2026-08", "instead": ""}, "instead: must name the service to use instead"),
        ({"since": "2026-08", "instead": 4}, "instead: must be what to use instead, as text such as 'v4', not 4"),
        ({"since": 2026, "instead": "v4"}, "since: must be a day or a month, as text"),
    ],
)
def test_invalid_retirement_field_is_a_finding(given: Any, finding: str) -> None:
    with pytest.raises(DefinitionError) as info:
        Retired(**given)
    assert finding in str(info.value)
