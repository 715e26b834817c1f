"""The emulator as an agent that A2A's conformance kit can test: `python -m tests.support.a2a_kit_agent PORT`.

The kit (a2aproject/a2a-tck on GitHub, branch 1.0-dev) finds an agent by its card, and says by the id of a message what
the agent is to do with it: scenarios/*.feature there. CONTRIBUTING.md says how to run it.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lifecycle_adapters.emulator import Emulator, NewTask, Profile, Refusal, TaskUpdate, View
from lifecycle_adapters.services.profiles import PROFILES

PACE_S = 0.1
PROTOCOLS = {"a2a": "HTTP+JSON", "a2a-jsonrpc": "JSONRPC"}
FILE = {"filename": "output.txt", "mediaType": "text/plain"}

# By the beginnings of a message's id; the longer ones first.
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "tck-input-required": ("ask",),
    "tck-reject-task": ("reject",),
    "tck-stream": ("work", "complete"),
    "test-resubscribe": ("work",),
}
ARTIFACTS: Mapping[str, dict[str, Any]] = {
    "tck-artifact-text": {"text": "Generated text content"},
    "tck-artifact-file-url": {"url": "https://example.com/output.txt", **FILE},
    "tck-artifact-file": {"raw": "dGNr", **FILE},
    "tck-artifact-data": {"data": {"key": "value", "count": 42}},
}
MESSAGE = {"messageId": "reply", "role": "ROLE_AGENT", "parts": [{"text": "Direct message response"}]}


def found(table: Mapping[str, Any], message_id: str) -> Any:
    """Return the entry of the first beginning of an id, None if it has none of them."""
    return next((entry for start, entry in table.items() if message_id.startswith(start)), None)


def kit_profile(profile: Profile) -> Profile:
    """Return the profile of an agent that does what the kit's messages say."""
    has_model = profile.operations["create"].body is not None
    make, created, details = profile.new, profile.created, profile.details
    commanded: Any = profile.commanded
    assert make is not None
    assert created is not None
    assert details is not None

    def new(body: Any, tasks: Any, parameters: Mapping[str, str]) -> NewTask | Refusal:
        plan = make(body, tasks, parameters)
        assert isinstance(plan, NewTask)
        message_id = plan.given["messageId"]
        if message_id.startswith("tck-message-response"):
            return Refusal(200, {"message": MESSAGE})
        return replace(plan, script=found(SCRIPTS, message_id) or ("complete",))

    def changed(command: str, _: Any, body: Any) -> TaskUpdate:
        if command != "answer":
            return TaskUpdate()
        message = body.message.model_dump() if has_model else body["params"]["message"]
        return TaskUpdate(script=found(SCRIPTS, message["messageId"]) or ("complete",))

    def shown(view: View) -> View:
        def show(task: Any, clock: Any) -> Any:
            document = view(task, clock)
            part = found(ARTIFACTS, task.given["messageId"])
            for artifact in document.get("task", document).get("artifacts", ()):
                artifact["parts"] = [part or {"text": "Hello from TCK"}]
            return document

        return show

    return replace(
        profile,
        new=new,
        changed=changed,
        created=shown(created),
        status=shown(details),
        details=shown(details),
        commanded={command: shown(view) for command, view in commanded.items()},
    )


def card(urls: Mapping[str, str]) -> dict[str, Any]:
    """Return the card of an agent that has these URLs, by the names of services."""
    return {
        "name": "emulator",
        "description": "An emulated agent.",
        "version": "1",
        "supportedInterfaces": [
            {"url": url, "protocolBinding": PROTOCOLS[api], "protocolVersion": "1.0"} for api, url in urls.items()
        ],
        "capabilities": {"streaming": True, "pushNotifications": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "work", "name": "work", "description": "Works.", "tags": ["work"]}],
    }


@contextmanager
def emulated() -> Generator[dict[str, str]]:
    """Run an emulator of each service, and yield their URLs."""
    profiles = {api: kit_profile(PROFILES[api]) for api in PROTOCOLS}
    http, rpc = (Emulator(api, pace_s=PACE_S, profiles={api: profile}) for api, profile in profiles.items())
    with http, rpc:
        yield dict(zip(PROTOCOLS, (http.base_url, rpc.base_url), strict=True))


def main(port: int) -> None:
    """Serve the card on a port of this machine, and the agent on two others, until the process ends."""
    headers = {"Cache-Control": "max-age=3600", "ETag": '"1"', "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT"}
    with emulated() as urls:

        async def show(_: Request) -> JSONResponse:
            return JSONResponse(card(urls), headers=headers)

        app = Starlette(routes=[Route("/.well-known/agent-card.json", show)])
        uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
