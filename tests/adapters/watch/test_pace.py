"""The polling intervals of tasks, and the rate limit of a throttle."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from lifecycle import CATALOG, Lifecycle
from lifecycle.effects import Accepted, Lost, Missing, NotSent, Response, Throttled
from lifecycle_adapters.http import NoResponse, RateLimited
from lifecycle_adapters.watch import Pace, StopPausedAfter, Throttle
from lifecycle_adapters.watch.pace import resting_states
from tests.adapters.watch.worlds import EVEN, Service, clock, run, tasks_of, timetable, watching

SERVED = Accepted("running", as_of=None)  # type: ignore[arg-type]


def limited_error() -> RateLimited:
    return RateLimited(method="GET", path="/", status_code=429, detail="slow down")


def limited(retry_after_s: float | None) -> Response:
    return Throttled(limited_error(), retry_after_s)


def gaps(times_s: list[float]) -> list[float]:
    return [round(later - earlier, 2) for earlier, later in itertools.pairwise(times_s)]


# --- intervals ----------------------------------------------------------------------------------


def test_a_task_rests_in_states_that_wait_for_the_caller() -> None:
    resting = {name: {str(state) for state in resting_states(each)} for name, each in CATALOG.items()}

    assert {name: states for name, states in resting.items() if states} == {
        "v1": {"paused"},
        "v1-full": {"paused"},
        "v2-2025": {"paused"},
        "v3": {"idle"},
        "v3-full": {"idle"},
        "a2a": {"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"},
        "mcp": {"input_required"},
        "mcp-extension": {"input_required"},
    }


def test_in_a_cycle_of_commands_the_initial_state_does_not_rest() -> None:
    rows = [("a", "halt", "b"), ("b", "go", "a"), ("b", "end", "c")]
    declared = Lifecycle.from_json(
        '{"name": "l", "citation": "c", "states": [{"name": "a", "initial": true}, {"name": "b"},'
        ' {"name": "c", "final": true}], "events": [{"name": "halt", "origin": "caller"},'
        ' {"name": "go", "origin": "caller"}, {"name": "end", "origin": "remote"}], "transitions": ['
        + ", ".join(f'{{"source": "{s}", "event": "{e}", "target": "{t}"}}' for s, e, t in rows)
        + "]}"
    )

    assert resting_states(declared) == {"b"}


def test_intervals_grow_while_nothing_changes_and_are_short_again_after_a_change() -> None:
    pace = Pace(working_s=1, resting_s=4, longest_s=8, growth=2, jitter=0)

    async def everything() -> list[float]:
        service = Service({"a": "created"})
        timetable(service, {20: {"a": "running"}, 30: {"a": "paused"}, 60: {"a": "finished"}})
        async with watching(service.client(), pace=pace) as watched:
            watched.add("a")
            await watched.finished()
        return service.times_s()

    assert gaps(run(everything())) == [1, 2, 4, 8, 8, 1, 2, 4, 4, 8, 8, 8, 8]


def test_tasks_that_are_added_together_are_spread_and_drift_apart() -> None:
    async def everything() -> list[float]:
        service = Service({f"t{number}": "running" for number in range(100)})
        async with watching(service.client(), pace=replace(EVEN, jitter=0.2)) as watched:
            watched.add(*service.words)
            await asyncio.sleep(10.5)
        return service.times_s()

    times_s = run(everything())
    in_each_s = [sum(second <= each < second + 1 for each in times_s) for second in range(10)]
    assert max(sum(at <= each < at + 0.1 for each in times_s) for at in (0, 0.3, 0.6)) <= 11
    assert 60 < min(in_each_s) <= max(in_each_s) < 140


@pytest.mark.parametrize(
    "wrong",
    [{"working_s": 0}, {"longest_s": -1}, {"resting_s": 1e10}, {"growth": 0.9}, {"jitter": 1}, {"concurrency": 0}],
)
def test_a_pace_that_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Pace(**wrong)


def test_task_is_read_when_its_limit_is_reached() -> None:
    async def everything() -> list[float]:
        service = Service({"a": "paused"})
        pace = replace(EVEN, resting_s=1000, longest_s=1000)
        async with watching(service.client(), pace=pace, policies=[StopPausedAfter(70)], clock=clock()) as watched:
            watched.add("a")
            await watched.finished()
        return service.times_s("/a/")

    first, second, *_ = run(everything())
    assert first == 0.0
    assert second == pytest.approx(70, abs=1)


# --- the throttle -------------------------------------------------------------------------------


async def requests(throttle: Throttle, number: int) -> list[float]:
    """Return the times at which `number` simultaneous requests were allowed."""

    async def one() -> float:
        await throttle.acquire()
        return asyncio.get_running_loop().time()

    return sorted(await asyncio.gather(*(one() for _ in range(number))))


def test_requests_stay_below_the_rate() -> None:
    async def everything() -> list[float]:
        return await requests(Throttle(rate_per_s=50), 500)

    times_s = run(everything())
    assert 9 < times_s[-1] < 10.1
    assert max(sum(at <= each < at + 1 for each in times_s) for at in times_s) <= 56


def test_429_pauses_all_tasks_and_halves_the_rate_once() -> None:
    async def everything() -> tuple[float, list[float]]:
        throttle = Throttle(rate_per_s=100)
        for _ in range(8):
            throttle.observe(limited(30.0))
        return throttle.rate_per_s, await requests(throttle, 100)

    rate_per_s, times_s = run(everything())
    assert rate_per_s == 50
    assert times_s[0] >= 30
    assert 1.8 < times_s[-1] - times_s[0] < 2.1


def test_repeated_429s_without_retry_after_lengthen_the_pause() -> None:
    async def everything() -> list[float]:
        throttle, closed_s = Throttle(), list[float]()
        for _ in range(6):
            throttle.observe(limited(None))
            begun_s = asyncio.get_running_loop().time()
            closed_s += [(await requests(throttle, 1))[0] - begun_s]
        assert throttle.rate_per_s == pytest.approx(10 / 2**6)
        return closed_s

    closed_s = run(everything())
    assert min(closed_s) >= 0.5
    assert sum(closed_s[3:]) > sum(closed_s[:3])


def test_repeated_429s_with_retry_after_pause_until_that_time() -> None:
    async def everything() -> list[float]:
        throttle, closed_s = Throttle(rate_per_s=60), list[float]()
        for _ in range(9):
            throttle.observe(limited(1.0))
            begun_s = asyncio.get_running_loop().time()
            closed_s += [(await requests(throttle, 1))[0] - begun_s]
        return closed_s

    assert all(1 <= each < 1.1 for each in run(everything()))


def test_rate_recovers_slowly_up_to_its_maximum() -> None:
    async def everything() -> list[float]:
        throttle, rates = Throttle(rate_per_s=60), list[float]()
        throttle.observe(limited(1.0))
        for _ in range(45):
            await asyncio.sleep(1)
            throttle.observe(SERVED)
            throttle.observe(SERVED)
            rates.append(throttle.rate_per_s)
        return rates

    rates = run(everything())
    assert rates[0] == 30
    assert all(0 <= later - earlier <= 1 for earlier, later in itertools.pairwise(rates))
    assert rates[-1] == 60


@pytest.mark.parametrize("retry_after_s", [1e300, 3.2e7, float("inf"), 301.0])
def test_retry_after_pauses_the_throttle_for_at_most_five_minutes(retry_after_s: float) -> None:
    async def everything() -> list[float]:
        throttle = Throttle()
        throttle.observe(limited(retry_after_s))
        return await requests(throttle, 1)

    assert 300 <= run(everything())[0] < 301


@pytest.mark.parametrize("retry_after_s", [1e300, 3.2e7, float("inf"), 61.0])
def test_429_of_a_second_task_extends_the_pause(retry_after_s: float) -> None:
    async def everything() -> list[float]:
        throttle, opened_s = Throttle(), list[float]()
        for task_id in ("a", "a", "b"):
            begun_s = asyncio.get_running_loop().time()
            throttle.observe(limited(retry_after_s), task_id)
            opened_s.append((await requests(throttle, 1))[0] - begun_s)
        return opened_s

    first_s, same_s, other_s = run(everything())
    assert 60 <= first_s < 61
    assert 60 <= same_s < 61
    assert min(retry_after_s, 300) <= other_s < 301


@pytest.mark.parametrize("retry_after_s", [float("nan"), -5.0, 0.0])
def test_unusable_retry_after_is_treated_as_missing(retry_after_s: float) -> None:
    async def everything() -> list[float]:
        throttle = Throttle()
        throttle.observe(limited(retry_after_s))
        return await requests(throttle, 1)

    assert 0.5 <= run(everything())[0] <= 1.0


@pytest.mark.parametrize(
    "answer",
    [
        Throttled(limited_error(), 100.0, limits_rate=False),
        Lost(NoResponse("time-out", method="GET", path="/"), 100.0),
        Lost(NoResponse("time-out", method="GET", path="/")),
        NotSent(NoResponse("refused", method="GET", path="/"), 100.0),
        Missing(NoResponse("none", method="GET", path="/"), 100.0),
    ],
)
def test_only_a_429_about_the_rate_pauses_the_throttle(answer: Response) -> None:
    async def everything() -> list[float]:
        throttle = Throttle(rate_per_s=1000)
        for number in range(20):
            throttle.observe(answer)
            throttle.observe(answer, f"t{number}")
        assert throttle.rate_per_s == 1000
        return await requests(throttle, 10)

    assert run(everything())[-1] < 1


def test_429s_of_a_single_task_pause_the_throttle_once() -> None:
    async def everything() -> list[float]:
        throttle, closed_s = Throttle(rate_per_s=1000), list[float]()
        for _ in range(4):
            begun_s = asyncio.get_running_loop().time()
            throttle.of("bad").observe(limited(60.0))
            closed_s.append((await requests(throttle, 1))[0] - begun_s)
            for number in range(5):
                throttle.of(f"good {number}").observe(SERVED)
        return closed_s

    first_s, *later_s = run(everything())
    assert first_s >= 60
    assert max(later_s) < 1


def test_429s_of_different_tasks_each_pause_the_throttle() -> None:
    async def everything() -> list[float]:
        throttle, closed_s = Throttle(rate_per_s=1000), list[float]()
        for number in range(4):
            begun_s = asyncio.get_running_loop().time()
            throttle.observe(limited(60.0), f"t{number % 2}")
            closed_s.append((await requests(throttle, 1))[0] - begun_s)
            throttle.observe(SERVED, f"t{(number + 1) % 2}")
        return closed_s

    assert min(run(everything())) >= 60


@pytest.mark.parametrize("rate_per_s", [0, -1, float("inf"), float("nan")])
def test_invalid_rate_is_refused(rate_per_s: float) -> None:
    with pytest.raises(ValueError, match="rate_per_s"):
        Throttle(rate_per_s)


def test_a_429_is_obeyed_by_all_tasks_and_nothing_is_lost() -> None:
    async def everything() -> list[float]:
        service = Service({f"t{number}": "running" for number in range(50)})
        loop = asyncio.get_running_loop()
        throttled = iter([True])
        service.plan = lambda _: (
            httpx2.Response(429, headers={"Retry-After": "20"}) if loop.time() > 5 and next(throttled, False) else None
        )
        timetable(service, {40: dict.fromkeys(service.words, "finished")})
        async with watching(service.client(), throttle=Throttle(1000)) as watched:
            watched.add(*service.words)
            ends = [event async for event in watched.changes()][50:]
            assert len(set(tasks_of(ends))) == 50
        return service.times_s()

    times_s = run(everything())
    assert max(gaps(times_s)) >= 20
    assert not any(5.1 < each < 25 for each in times_s)


def test_429s_of_a_single_task_do_not_stop_other_reads() -> None:
    async def everything() -> tuple[int, int]:
        service = Service({f"t{number}": "running" for number in range(10)})
        service.plan = lambda request: (
            httpx2.Response(429, headers={"Retry-After": "31536000"}) if "/t0/" in request.url.path else None
        )
        pace = replace(EVEN, working_s=10.0)
        async with watching(service.client(), throttle=Throttle(1000), pace=pace) as watched:
            watched.add(*service.words)
            await asyncio.sleep(2000)
        return len(service.times_s("/t0/")), len(service.times_s("/t5/"))

    bad, good = run(everything())
    assert bad < 20
    assert good > 150
