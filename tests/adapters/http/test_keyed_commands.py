"""A command that is not idempotent, with an idempotency key: it is sent again, and the service does it once."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from lifecycle import CommandUncertain
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, HttpBinding
from tests.adapters.http.both import QUICK
from tests.adapters.http.conftest import Connect

SERVICE = """
name: meter
base_url: http://meter.invalid
base_path: ""
authentication: {header: X-Key}
create: {method: POST, path: /meters, body: {}, headers: {Idempotency-Key: "{idempotency_key}"}}
status: {method: GET, path: "/meters/{id}", status_field: state}
details: {method: GET, path: "/meters/{id}", status_field: state}
listing: {call: {method: GET, path: /meters}, items_field: meters, pages: one}
task_field: null
commands:
  tick: {method: POST, path: "/meters/{id}/tick", body: {}, headers: {Idempotency-Key: "once-{idempotency_key}"}}
  tock: {method: POST, path: "/meters/{id}/tock", body: {meta: {once: ["{idempotency_key}"]}}}
  hum: {method: POST, path: "/meters/{id}/hum"}
lifecycle:
  name: meter
  citation: the meter's manual
  states: [{name: "on", initial: true}, {name: "off", final: true}]
  events:
    - {name: tick, origin: caller, idempotent: false, proved_by_state: false}
    - {name: tock, origin: caller, idempotent: false, proved_by_state: false}
    - {name: hum, origin: caller, idempotent: false, proved_by_state: false}
    - {name: end, origin: remote}
  transitions:
    - {source: "on", event: tick, target: "on"}
    - {source: "on", event: tock, target: "on"}
    - {source: "on", event: hum, target: "on"}
    - {source: "on", event: end, target: "off"}
"""
BINDING = HttpBinding.from_yaml(SERVICE)


def done(emulator: Emulator, task_id: str) -> list[str]:
    """Return the events that a task took."""
    return [each.event for each in emulator.task(task_id).transitions]


@pytest.mark.parametrize("command", ["tick", "tock"])
@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "fail_after", "status"])
def test_command_with_a_key_whose_response_is_lost_takes_effect_once(
    connect: Connect, command: str, fault: str
) -> None:
    with Emulator(BINDING, manual=True) as emulator:
        meter = connect(BINDING, emulator.base_url).create()
        emulator.fault(fault, command=command)
        assert meter.send(command).sent
        assert done(emulator, meter.id) == [command]
        assert [call.command for call in emulator.calls() if call.command] == [command] * 2
        assert meter.send(command).sent
        assert done(emulator, meter.id) == [command] * 2, "another command has another key"


def test_command_without_a_key_stays_uncertain(connect: Connect) -> None:
    with Emulator(BINDING, manual=True) as emulator:
        meter = connect(BINDING, emulator.base_url).create()
        emulator.fault("drop_after", command="hum")
        with pytest.raises(CommandUncertain, match="sending it twice is not the same as once"):
            meter.send("hum")
        assert done(emulator, meter.id) == ["hum"]


def test_command_with_a_key_is_recovered(connect: Connect) -> None:
    with Emulator(BINDING, manual=True) as emulator:
        meter = connect(BINDING, emulator.base_url).create()
        emulator.fault("fail_after", command="tick", times=QUICK.attempts + 1)
        with pytest.raises(CommandUncertain):
            meter.send("tick")
        recovered = meter.recover()
        assert recovered is not None
        assert recovered.sent
        assert done(emulator, meter.id) == ["tick"]


def test_create_with_a_key_whose_response_is_lost_makes_one_task() -> None:
    with (
        Emulator(BINDING, manual=True) as emulator,
        Client(BINDING, api_key="any", base_url=emulator.base_url, timing=QUICK) as client,
    ):
        emulator.fault("drop_after", method="POST")
        meter = client.create()
        assert [each.id for each in client.list()] == [meter.id]
        assert [each.id for each in emulator.tasks()] == [meter.id]


def test_emulator_remembers_successes_alone_and_until_it_is_reset() -> None:
    with Emulator(BINDING, manual=True) as emulator, httpx2.Client(base_url=emulator.base_url) as http:
        http.headers |= {"X-Key": "any", "Idempotency-Key": "once-1"}

        def send(path: str, **more: Any) -> tuple[int, Any]:
            sent = http.post(path, **more)
            return sent.status_code, sent.json()

        assert send("/meters/x/tick", json={})[0] == 404
        code, made = send("/meters", json={})
        assert (code, send("/meters", json={})) == (201, (201, made))
        one, other = (
            f"/meters/{made['id']}",
            f"/meters/{http.post('/meters', headers={'Idempotency-Key': '2'}).json()['id']}",
        )
        assert send(f"{one}/tick", json={}) == send(f"{one}/tick", json={})
        assert done(emulator, made["id"]) == ["tick"]
        assert send(f"{other}/tick", json={})[0] == 200
        assert done(emulator, other.rpartition("/")[2]) == ["tick"], (
            "the same key means another intent for another task"
        )
        emulator.fire(made["id"], "end")
        assert send(f"{one}/tick", json={})[0] == 200, "its first response is repeated"
        assert http.post(f"{one}/tick", headers={"Idempotency-Key": "once-3"}, json={}).status_code == 409
        unfit: list[dict[str, Any]] = [{}, {"meta": []}, {"meta": {"once": []}}, {"meta": {"once": "1"}}]
        for body in unfit:
            assert http.post(f"{other}/tock", json=body).status_code == 422
        emulator.reset()
        assert send("/meters", json={})[1]["id"] != made["id"]
