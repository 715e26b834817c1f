"""A lifecycle's rules for recorded histories, over small integers, for engines that know only numbers.

Every row of a log has the code of its status's word, 0..n-1 in the order of `Rules.words`; a status
that the channel does not know has none. A *move* is what an engine counts: the word before, the word,
and whether an earlier row was final. There are as many moves as words squared, so all of them are
judged beforehand, by `Lifecycle.check_step` and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lifecycle import Channel, Deviation, FindingCode, Lifecycle, Severity
from lifecycle.conformance import Mode

START = -1
"""The code of what is before the first row."""

MODES: Mapping[str, str] = {
    "exact": "every change was recorded",
    "sampled": "tasks were polled, several changes may lie between two rows",
}
"""What a log is taken for in each mode."""


MOST_STATUSES = 500
"""The most words of a channel: the moves are the square of them, and all are judged before the log is read."""


@dataclass(frozen=True, slots=True)
class DirectlyFollows:
    """From one row of a task to its next: codes of words, `previous` START at the first; `ended` counts all before."""

    previous: int
    word: int
    ended: bool


class Rules:
    """What `check` says of every move, in one mode and one channel.

    Args:
        lifecycle: whose rules.
        mode: "exact" when every change was recorded, "sampled" when it was polled.
        channel: whose words the statuses are.
        ignore_case: "RUNNING" is the word "running"; engines then compare words in lower case.
    Raises:
        UnknownName: the lifecycle has no such channel.
        ValueError: `mode` is neither; two words are the same but for their case and `ignore_case` is given; or the
            channel has more than `MOST_STATUSES` words.
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
        self.words: tuple[str, ...] = tuple(str(word) for word in meanings)
        """Every word of the channel; a word's code is its place here."""
        if len(self.words) > MOST_STATUSES:
            raise ValueError(
                f"{self.lifecycle.name!r} has {len(self.words)} statuses; logs are checked against at most"
                f" {MOST_STATUSES}, because every pair of them is judged"
            )
        if ignore_case and len(set(map(str.lower, self.words))) < len(self.words):
            raise ValueError(
                f"the letter case of channel {str(channel)!r} matters: two of its words differ in nothing else"
            )
        self.states: tuple[str, ...] = tuple(str(state) for state in meanings.values())
        """The state of each word."""
        self.final_codes: tuple[int, ...] = tuple(i for i, state in enumerate(self.states) if state in final)
        self.remarks: dict[DirectlyFollows, Deviation[str]] = self._judge_all()
        """What is remarked of each move; a move that is as it should be is not there."""

    def _judge_all(self) -> dict[DirectlyFollows, Deviation[str]]:
        self.lifecycle.check_step(None, None, mode=self.mode)  # refuses a mode that is none
        judged = ((move, self.remark(move)) for move in self._moves())
        return {move: remark for move, remark in judged if remark is not None}

    def _moves(self) -> Iterator[DirectlyFollows]:
        codes = range(len(self.words))
        yield from (DirectlyFollows(START, word, ended=False) for word in codes)
        for previous in codes:
            for word in codes:
                yield from (DirectlyFollows(previous, word, ended) for ended in (False, True))

    def all_keys(self) -> set[int]:
        """Return the key of every move."""
        return {self.key(move) for move in self._moves()}

    def remark(self, move: DirectlyFollows) -> Deviation[str] | None:
        """Return what `check` says of a move."""
        return self.lifecycle.check_step(
            self.state_before(move), self.states[move.word], ended=move.ended, mode=self.mode
        )

    def remark_on_unknown(self, previous: int, *, ended: bool) -> Deviation[str]:
        """Return what `check` says of a status that the channel does not know."""
        remark = self.lifecycle.check_step(self.state_of(previous), None, ended=ended, mode=self.mode)
        assert remark is not None
        return remark

    def state_before(self, move: DirectlyFollows) -> str | None:
        """Return the state before a move, None at the start."""
        return self.state_of(move.previous)

    def state_of(self, code: int) -> str | None:
        """Return the state of a word by its code, None for START."""
        return None if code == START else self.states[code]

    def listed(self, *, information: bool) -> list[DirectlyFollows]:
        """Return the moves whose rows are listed one by one: the findings, and with `information` every remark."""
        return [move for move, remark in self.remarks.items() if information or remark.severity is Severity.FINDING]

    def repeats(self) -> list[DirectlyFollows]:
        """Return the moves that stay in their state."""
        return [move for move, remark in self.remarks.items() if remark.code is FindingCode.DUPLICATE]

    def key(self, move: DirectlyFollows) -> int:
        """Return a number of its own for a move, as queries.py computes it in SQL."""
        return ((move.previous + 1) * len(self.words) + move.word) * 2 + move.ended
