"""Every response of the emulated v2, v3 and v4 against the official OpenAPI document of the version, by date.

The judge is a JSON Schema validator, which knows nothing of this project. The schemas are made stricter: a field that
they do not name is a difference, and so is an error whose text is not the schema's. v1 has no such document.

Every call of the emulator is driven in every state, and into each of its errors. So the differences listed here are all
that there are: another one fails the test, and so does one that no longer occurs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import httpx2
import jsonschema_rs
import pytest

from lifecycle.catalog import V2, V3
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http.binding import HttpBinding
from lifecycle_adapters.services import v2_emulation, v4_emulation
from lifecycle_adapters.services.assumptions import V4_LONGEST_QUEUE
from lifecycle_adapters.services.profiles import PROFILES
from lifecycle_adapters.services.registry import BUILT_IN
from tests.adapters.drift.made import dated
from tests.adapters.emulator.requests import BY_NAME, CREATED_WITH, bring_to, command, connect, create, send_call
from tests.support.listing import listing_of

# The lifecycles with which the emulator is as old as the document; without one, it is as new as the newest.
DATED: dict[str, dict[str, Any]] = {
    "v2-2026-02-21": {"v2": V2},
    "v2-2026-08-06": {},
    "v3-2026-02-25": {"v3": V3},
    "v3-2026-08-06": {},
    "v4-2026-07-26": {},
}

NO_KEY = ("No document describes a call without a valid key.", ["* 401 is not documented"])
FILES = "It concerns files, and none are emulated."
NO_ZDR = "No emulated project has Zero Data Retention."
V2_LOGS = ("The URL of a log is always made.", ["GET /tasks/{task_id}/logs 500 never"])
V2_LIST = (
    "Here the document names one error of a list instead of the list in `detail`, which it names elsewhere.",
    [
        f"{call} 422 {what}"
        for call in ("POST /tasks", "PATCH /tasks/{task_id}", "POST /sessions", "PATCH /sessions/{session_id}")
        for what in ("detail is unknown", "loc is missing", "msg is missing", "type is missing")
    ],
)
V3_ERRORS = (
    "The document names no error but 422: what an unknown id and a busy session lead to is an assumption.",
    [
        "GET /sessions/{session_id} 404 is not documented",
        "POST /sessions 400 is not documented",
        "POST /sessions/{session_id}/stop 404 is not documented",
        "DELETE /sessions/{session_id} 404 is not documented",
        "GET /sessions/{session_id}/messages 404 is not documented",
    ],
)

# By document, each difference under its reason. `*` stands for every emulated call, of codes that are never returned
# for every documented one.
DIFFERENCES: dict[str, list[tuple[str, list[str]]]] = {
    "v2-2026-02-21": [
        NO_KEY,
        V2_LOGS,
        V2_LIST,
        (
            "The emulator has this later call all the same.",
            [f"POST /sessions/{{session_id}}/purge {code} is not documented" for code in (403, 404, 422)],
        ),
        (
            "The fields of v2 are those of 2026-08-06.",
            [
                "GET /sessions 200 items[].recordingUrl is unknown",
                "GET /sessions/{session_id} 200 recordingUrl is unknown",
                "PATCH /sessions/{session_id} 200 recordingUrl is unknown",
                "POST /sessions 201 recordingUrl is unknown",
                "GET /tasks/{task_id} 200 steps[].duration is unknown",
                "PATCH /tasks/{task_id} 200 steps[].duration is unknown",
            ],
        ),
    ],
    "v2-2026-08-06": [
        NO_KEY,
        V2_LOGS,
        V2_LIST,
        (NO_ZDR, ["POST /sessions/{session_id}/purge 204 never"]),
    ],
    "v3-2026-02-25": [
        NO_KEY,
        V3_ERRORS,
        (FILES, ["GET /sessions/{session_id}/files is not emulated"]),
        (
            "The emulator has these later calls all the same.",
            [
                "DELETE /sessions/{session_id} 204 is not documented",
                "DELETE /sessions/{session_id} 422 is not documented",
                "GET /sessions/{session_id}/messages 200 is not documented",
                "GET /sessions/{session_id}/messages 422 is not documented",
            ],
        ),
    ],
    "v3-2026-08-06": [
        NO_KEY,
        V3_ERRORS,
    ],
    "v4-2026-07-26": [
        NO_KEY,
        (
            "The official Python SDK 3.12.1, which is newer, reads these fields, and sends these calls.",
            [
                "POST /runs 200 skippedVaultItems is unknown",
                "POST /runs 402 is not documented",
                "DELETE /sessions/{session_id}/queue/{message_id} 200 mode is unknown",
                "GET /sessions/{session_id}/queue 200 queue[].mode is unknown",
                "POST /sessions/{session_id}/queue 200 mode is unknown",
                *(
                    f"{fields}.{field} is unknown".replace(" .", " ")
                    for fields in ("GET /runs 200 runs[]", "GET /runs/{run_id} 200 ", "POST /runs/{run_id}/cancel 200 ")
                    for field in ("modelParams", "output", "outputSchema")
                ),
                *(
                    f"{call} {code} is not documented"
                    for call, done in (
                        ("GET /sessions/{session_id}/queue/{message_id}", 200),
                        ("GET /sessions/{session_id}/cost", 200),
                        ("PATCH /sessions/{session_id}/cost-cap", 200),
                        ("DELETE /sessions/{session_id}", 204),
                        ("PATCH /sessions/{session_id}", 200),
                        ("GET /sessions/{session_id}/share", 200),
                        ("POST /sessions/{session_id}/share", 200),
                        ("PUT /sessions/{session_id}/share", 200),
                    )
                    for code in (done, 404, 422)
                ),
            ],
        ),
        (
            NO_ZDR,
            [
                "POST /sessions/{session_id}/purge 204 never",
                *(
                    f"{call} 403 never"
                    for call in (
                        "GET /runs",
                        "POST /runs",
                        "GET /runs/{run_id}",
                        "GET /runs/{run_id}/attachments",
                        "GET /runs/{run_id}/events",
                        "GET /runs/{run_id}/status",
                        "POST /runs/{run_id}/cancel",
                        "GET /sessions",
                        "GET /sessions/{session_id}",
                        "GET /sessions/{session_id}/queue",
                        "POST /sessions/{session_id}/queue",
                        "DELETE /sessions/{session_id}/queue/{message_id}",
                    )
                ),
            ],
        ),
        ("No emulated worker is out of reach: a test injects it.", ["POST /runs/{run_id}/cancel 502 never"]),
    ],
}

NOWHERE = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
# Valid bodies of calls that have an id in their path.
BODIES: dict[str, Any] = {
    "PATCH": {"action": "stop"},
    "PATCH /api/v4/sessions/{session_id}": {"title": "Milk"},  # another one than v2's
    "PUT /sessions/{session_id}/share": {"isActive": False},
    "PATCH /sessions/{session_id}/cost-cap": {"maxCostUsd": 2},
    "POST /sessions/{session_id}/queue": {"text": "Buy bread"},
}
SUBJECTS = ("/tasks", "/sessions", "/runs")
# Services with limits that every create exceeds, by their base paths.
EXCEEDED = {
    "/api/v2": [("v2", v2_emulation.limited(0)), ("v2", v2_emulation.limited(credit_usd=0))],
    "/api/v4": [("v4", v4_emulation.limited(0))],
}


class Document:
    """An official document, and the emulated calls of its version."""

    def __init__(self, name: str, emulated: Any) -> None:
        self.base_path = f"/api/{name.partition('-')[0]}"
        self.contents = _closed(dated(name))
        self.calls = {
            f"{method.upper()} {path.removeprefix(self.base_path)}": call
            for path, item in emulated["paths"].items()
            if path.startswith(f"{self.base_path}/")
            for method, call in item.items()
        }

    def responses(self, call: str) -> dict[str, Any]:
        """Return the documented responses of a call by status code; none if the call is not documented."""
        method, path = call.split()
        found: dict[str, Any] = self.contents["paths"].get(path, {}).get(method.lower(), {}).get("responses", {})
        return found

    def call_of(self, response: httpx2.Response) -> str:
        """Return the emulated call that this is the response of."""
        request = response.request
        [call] = [
            each
            for each in self.calls
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), f"{request.method} {self._path(request)}")
        ]
        return call

    def body_of(self, call: str) -> Any:
        """Return a valid body of a call that has an id in its path."""
        method, path = call.split()
        return next((BODIES[key] for key in (f"{method} {self.base_path}{path}", call, method) if key in BODIES), None)

    def _path(self, request: httpx2.Request) -> str:
        return request.url.path.removeprefix(self.base_path)

    def differences(self, responses: Sequence[httpx2.Response]) -> Iterator[str]:
        """Yield each difference; the same one may be yielded several times."""
        answered = {(self.call_of(each), str(each.status_code)) for each in responses}
        for path, item in self.contents["paths"].items():
            for call in (f"{method.upper()} {path}" for method in item if path.startswith(SUBJECTS)):
                if call in self.calls:
                    yield from (f"{call} {code} never" for code in self.responses(call) if (call, code) not in answered)
                else:
                    yield f"{call} is not emulated"
        for response in responses:
            call, code = self.call_of(response), str(response.status_code)
            documented = self.responses(call).get(code)
            if documented is None:
                yield f"{call} {code} is not documented"
            elif "content" in documented:
                schema = documented["content"]["application/json"]["schema"]
                for place in _violations(self.contents["components"], schema, response.json()):
                    yield f"{call} {code} {place}"


def _closed(part: Any) -> Any:
    """Return a part of a document in which objects have no other fields, and errors no other texts, than are named."""
    if isinstance(part, list):
        return [_closed(each) for each in cast("Any", part)]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(each) for key, each in cast("dict[str, Any]", part).items()}
    if isinstance(closed.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
        if "default" in closed["properties"].get("detail", {}):
            closed["properties"]["detail"]["const"] = closed["properties"]["detail"]["default"]
    return closed


def _violations(components: Any, schema: Any, value: Any) -> Iterator[str]:
    """Yield where a value violates a schema, and how: `steps[].duration is unknown`."""
    validator = jsonschema_rs.Draft202012Validator({**schema, "components": components}, validate_formats=True)
    for error in validator.iter_errors(value):
        place = "".join("[]" if isinstance(each, int) else f".{each}" for each in error.instance_path)
        match error.kind:
            case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected):
                yield from (f"{place}.{name} is unknown".removeprefix(".") for name in unexpected)
            case jsonschema_rs.ValidationErrorKind.Required(name):
                yield f"{place}.{name} is missing".removeprefix(".")
            case kind:
                yield f"{place} violates {kind.name}".removeprefix(".")


# --- driving the emulator ---


def drive(document: Document, emulator: Emulator, http: httpx2.Client, lifecycles: dict[str, Any]) -> None:
    """Send every call in every state, and every call that fails."""
    for binding in BUILT_IN:
        if binding.base_path == document.base_path:
            drive_states(document, emulator, http, binding, lifecycles.get(binding.name, binding.lifecycle))
    for name, call in document.calls.items():
        method, path = name.split()
        url = document.base_path + path
        for unknown in ({}, {parameter["name"]: nowhere(parameter) for parameter in call.get("parameters", ())}):
            known = dict.fromkeys(re.findall(r"\{(\w+)\}", url), "no id")
            http.request(method, url.format_map({**known, **unknown}), json=document.body_of(name))
        if "requestBody" in call:
            http.request(method, url, content=b"{", headers={"content-type": "application/json"})
        for parameter in call.get("parameters", ()):
            if parameter["in"] == "query":
                http.request(method, url, params={parameter["name"]: "?"})
        http.request(method, url, headers={"X-Browser-Use-API-Key": ""})
    drive_errors(document.base_path, emulator, http)


def nowhere(parameter: Any) -> str:
    """Return the id of nothing, of the type of the parameter."""
    return "999999" if parameter["schema"].get("type") == "integer" else NOWHERE


def drive_states(
    document: Document, emulator: Emulator, http: httpx2.Client, binding: HttpBinding[Any, Any], lifecycle: Any
) -> None:
    for state in lifecycle.states:
        events = lifecycle.path(lifecycle.initial, state.name)
        ids = ids_of(http, binding, bring_to(emulator, http, binding, events))
        for name in document.calls:
            method, path = name.split()
            if "{" in path and ids.keys() >= set(re.findall(r"\{(\w+)\}", path)):
                # another call than a read may change the task
                used = ids if method == "GET" else ids_of(http, binding, bring_to(emulator, http, binding, events))
                http.request(method, document.base_path + path.format_map(used), json=document.body_of(name))
        for name in binding.commands:
            command(http, binding, name, bring_to(emulator, http, binding, events))
    send_call(http, binding, listing_of(binding).call)


def ids_of(http: httpx2.Client, binding: HttpBinding[Any, Any], task_id: str) -> dict[str, str]:
    """Return the ids of a task and of its session, by their names in paths."""
    view = send_call(http, binding, binding.details, task_id).json()
    return {"session_id": str(view.get("sessionId")), PROFILES[binding.name].parameter: task_id}


def drive_errors(base_path: str, emulator: Emulator, http: httpx2.Client) -> None:
    """Send the calls that are refused for what they contain, or for the state of another task."""
    if base_path == "/api/v2":
        session = create(http, BY_NAME["v2-session"], keepAlive=True)
        for method in ("POST", "GET"):
            http.request(method, f"{base_path}/sessions/{session}/public-share")
        task = {"task": "Buy milk", "sessionId": session}
        for _ in range(2):  # the second finds the session busy
            http.post(f"{base_path}/tasks", json=task)
        http.patch(f"{base_path}/sessions/{session}", json={"action": "stop"})
        http.post(f"{base_path}/tasks", json=task)
        http.post(f"{base_path}/tasks", json={**task, "sessionId": NOWHERE})
        http.post(f"{base_path}/sessions", json={"profileId": NOWHERE})
    elif base_path == "/api/v4":
        run = http.post(f"{base_path}/runs", json={"task": "Buy milk"}).json()
        http.post(f"{base_path}/runs", json={"task": "Buy milk", "sessionId": run["sessionId"]})
        http.post(f"{base_path}/runs", json={"task": "Buy milk", "sessionId": NOWHERE})
        http.post(f"{base_path}/runs", json={"task": "Buy milk", "workspaceId": NOWHERE})
        other = http.post(f"{base_path}/runs", json={"task": "Buy milk"}).json()
        pairing = {"sessionId": run["sessionId"], "workspaceId": other["workspaceId"]}
        http.post(f"{base_path}/runs", json={"task": "Buy milk", **pairing})
        http.post(f"{base_path}/sessions/{run['sessionId']}/share")
        http.put(f"{base_path}/sessions/{run['sessionId']}/share", json={"isActive": False})
        for _ in range(V4_LONGEST_QUEUE + 1):
            http.post(f"{base_path}/sessions/{run['sessionId']}/queue", json={"text": "Buy bread"})


def recorded(name: str) -> tuple[Document, list[httpx2.Response]]:
    """Drive an emulator as old as a document; return the document and the responses."""
    responses: list[httpx2.Response] = []
    record: dict[str, Any] = {"event_hooks": {"response": [httpx2.Response.read, responses.append]}}
    lifecycles = DATED[name]
    with Emulator(manual=True, lifecycles=lifecycles) as emulator, connect(emulator) as http:
        document = Document(name, http.get("/openapi.json").json())
        with connect(emulator, **record) as recording:
            drive(document, emulator, recording, lifecycles)
    for api, profiles in EXCEEDED.get(document.base_path, ()):
        with (
            Emulator(api, manual=True, lifecycles=lifecycles, profiles=profiles) as emulator,
            connect(emulator, **record) as recording,
        ):
            for binding in (BY_NAME[name] for name in profiles):
                send_call(recording, binding, binding.create, **CREATED_WITH[binding.name])
    return document, responses


# --- the test ---


@pytest.mark.heavy
@pytest.mark.parametrize("name", DATED)
def test_responses_differ_from_the_official_document_only_as_listed(name: str) -> None:
    document, responses = recorded(name)
    listed = [
        difference.replace("*", call)
        for _, differences in DIFFERENCES[name]
        for difference in differences
        for call in (document.calls if difference.startswith("*") else [""])
        if not call or document.responses(call) or not difference.endswith("never")
    ]

    found = set(document.differences(responses))

    assert sorted(found) == sorted(listed)
