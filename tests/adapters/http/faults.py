"""Faults to ask of the emulator, as data that Hypothesis draws and a failure shows."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lifecycle_adapters.services import service

Fault = dict[str, Any]  # the arguments of `Emulator.fault`

FAULTS: list[Fault] = [
    *({"kind": "status", "status_code": code} for code in (302, 400, 401, 403, 404, 408, 422, 500, 503)),
    {"kind": "status", "status_code": 429, "headers": {"Retry-After": "0"}},
    {"kind": "status", "status_code": 429, "headers": {"Retry-After": "600"}},
    {"kind": "status", "status_code": 200, "body": "<html>"},
    {"kind": "fail_after", "status_code": 400},
    {"kind": "fail_after", "status_code": 500},
    {"kind": "drop_before"},
    {"kind": "drop_after"},
    {"kind": "delay", "seconds": 0.005},
    {"kind": "delay_after", "seconds": 0.005},
]


ONCE, AGAIN, ALWAYS = 1, 2, 20  # how often it goes wrong; the last is more than any client tries


def reads(api: str) -> Fault:
    """Return what matches the reads of a service, and no command."""
    return {"method": "GET"} if service(api).status.method == "GET" else {"call": "status"}


def faults(api: str) -> st.SearchStrategy[Fault]:
    """Draw a fault for calls of one kind: any call, any read, or one command."""
    commands = [{"command": str(command)} for command in service(api).commands]
    waits_for = st.sampled_from([{}, reads(api), *commands])
    parts = st.tuples(st.sampled_from(FAULTS), waits_for, st.sampled_from((ONCE, AGAIN, ALWAYS)))
    return parts.map(lambda drawn: {**drawn[0], **drawn[1], "times": drawn[2]})
