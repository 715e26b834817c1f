"""A lifecycle's rules for recorded histories, as small integers for the engines.

A known status has a code: its place in `Rules.statuses`, from 0. An engine counts *pairs*: the status before,
the status, and whether an earlier row was final. Every pair is judged once, when it is first needed, by
`Lifecycle.check_step` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from lifecycle import Channel, Deviation, FindingCode, Lifecycle, Severity
from lifecycle.conformance import Mode

START = -1
"""The code of the start, before the first row."""

MODES: Mapping[str, str] = {
    "exact": "every change was recorded",
    "sampled": "tasks were polled, several changes may lie between two rows",
}
"""The assumption of each mode about a log."""

MOST_STATUSES = 500
"""The most statuses of a channel: there are twice as many pairs as the square of them, and all are judged."""


@dataclass(frozen=True, slots=True)
class DirectlyFollows:
    """A pair of rows of one task: the codes of the statuses of one row and of the next.

    `previous` is START at a task's first row. `ended` is whether any row before was final.
    """

    previous: int
    code: int
    ended: bool


class Rules:
    """The deviations that `check` reports about every pair, in one mode and one channel.

    Args:
        lifecycle: the lifecycle whose rules apply.
        mode: "exact" if every change was recorded, "sampled" if tasks were polled.
        channel: the channel that reported the statuses.
        ignore_case: "RUNNING" is the status "running"; engines then compare statuses in lower case.
    Raises:
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither; two statuses differ in letter case only and `ignore_case` is given; or the
            channel has more than `MOST_STATUSES` statuses.
    """

    def __init__(
        self,
        lifecycle: Lifecycle[Any, Any],
        *,
        mode: Mode = "exact",
        channel: str = Channel.API,
        ignore_case: bool = False,
    ) -> None:
        self.lifecycle: Lifecycle[str, str] = lifecycle
        self.mode: Mode = mode
        self.channel = channel
        self.ignore_case = ignore_case
        meanings = self.lifecycle.statuses(channel=channel)
        final = {str(state) for state in self.lifecycle.final_states}
        self.statuses: tuple[str, ...] = tuple(map(str, meanings))
        """Every status of the channel; a status's code is its place here."""
        if len(self.statuses) > MOST_STATUSES:
            raise ValueError(
                f"{self.lifecycle.name!r} has {len(self.statuses)} statuses; logs are checked against at most"
                f" {MOST_STATUSES}, because every pair of them is judged"
            )
        if ignore_case and len(set(map(str.lower, self.statuses))) < len(self.statuses):
            raise ValueError(
                f"the letter case of channel {str(channel)!r} matters: two of its statuses differ in it only"
            )
        self.states: tuple[str, ...] = tuple(str(state) for state in meanings.values())
        """The state of each status."""
        self.final_codes: tuple[int, ...] = tuple(i for i, state in enumerate(self.states) if state in final)
        lifecycle.check_step(None, None, mode=mode)  # raises ValueError unless it is a mode

    @cached_property
    def pairs(self) -> tuple[DirectlyFollows, ...]:
        """Return every possible pair of rows, as codes: about 2n² of them for n statuses."""
        codes = range(len(self.statuses))
        starts = (DirectlyFollows(START, code, ended=False) for code in codes)
        others = (DirectlyFollows(*pair) for pair in product(codes, codes, (False, True)))
        return (*starts, *others)

    @cached_property
    def keys(self) -> frozenset[int]:
        """Return the key of every pair."""
        return frozenset(map(self.key, self.pairs))

    @cached_property
    def deviations(self) -> dict[DirectlyFollows, Deviation[str]]:
        """Return the deviation that `check` reports about each pair; pairs without one are left out."""
        judged = ((pair, self.deviation(pair)) for pair in self.pairs)
        return {pair: deviation for pair, deviation in judged if deviation is not None}

    def deviation(self, pair: DirectlyFollows) -> Deviation[str] | None:
        """Return the deviation that `check` reports about a pair, None if it conforms."""
        state = self.states[pair.code]
        return self.lifecycle.check_step(self.state_of(pair.previous), state, ended=pair.ended, mode=self.mode)

    def deviation_of_unknown(self, previous: int, *, ended: bool) -> Deviation[str]:
        """Return the deviation that `check` reports about a status that the channel does not know."""
        deviation = self.lifecycle.check_step(self.state_of(previous), None, ended=ended, mode=self.mode)
        assert deviation is not None
        return deviation

    def reported(self, previous: int, code: int | None, *, ended: bool) -> Deviation[str]:
        """Return the deviation of a row that is a finding; `code` is None if its status is unknown."""
        if code is None:
            return self.deviation_of_unknown(previous, ended=ended)
        return self.deviations[DirectlyFollows(previous, code, ended)]

    def state_of(self, code: int) -> str | None:
        """Return the state of a status by its code, None for START."""
        return None if code == START else self.states[code]

    def listed(self, *, notes: bool) -> list[DirectlyFollows]:
        """Return the pairs whose rows are listed one by one: errors, and notes if wanted."""
        return [pair for pair, each in self.deviations.items() if notes or each.severity is Severity.ERROR]

    def repeats(self) -> list[DirectlyFollows]:
        """Return the pairs that stay in their state."""
        return [pair for pair, deviation in self.deviations.items() if deviation.code is FindingCode.DUPLICATE]

    def key(self, pair: DirectlyFollows) -> int:
        """Return a unique number for a pair; queries.py computes it in SQL."""
        return ((pair.previous + 1) * len(self.statuses) + pair.code) * 2 + pair.ended
