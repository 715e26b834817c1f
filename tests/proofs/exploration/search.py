"""The search for stories that break a rule: breadth first, so that the first one of a kind is a shortest one."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.proofs.exploration.moments import Line, Moment
from tests.proofs.exploration.oracle import Finding, Unknowable, Violation
from tests.proofs.exploration.service import FREE, Cost
from tests.proofs.exploration.subject import Bounds, Program, Subject
from tests.proofs.exploration.successors import Successors


@dataclass
class Story:
    """The steps that lead to a finding, and the command of the finding."""

    finding: Violation | Unknowable
    about: str
    title: str
    start: str
    lines: list[Line]


@dataclass
class Explored:
    """The result: the number of states, the count of each unknowable, and a shortest story of each finding.

    Violations of one kind are distinguished by their subjects.
    """

    states: int = 0
    steps: int = 0
    unknowables: Counter[Unknowable] = field(default_factory=Counter[Unknowable])
    stories: dict[Finding, Story] = field(default_factory=dict[Finding, Story])

    @property
    def violations(self) -> list[Story]:
        """A shortest story of each violation, the shortest first."""
        return self._stories_of(Violation)

    @property
    def unknowable_stories(self) -> list[Story]:
        """A shortest story of each unknowable, the shortest first."""
        return self._stories_of(Unknowable)

    def _stories_of(self, kind: type[Violation | Unknowable]) -> list[Story]:
        found = [story for story in self.stories.values() if isinstance(story.finding, kind)]
        return sorted(found, key=lambda story: len(story.lines))

    def add(self, other: Explored) -> None:
        """Add the findings of another exploration."""
        self.states += other.states
        self.steps += other.steps
        self.unknowables += other.unknowables
        for key, story in other.stories.items():
            known = self.stories.get(key)
            if known is None or len(story.lines) < len(known.lines):
                self.stories[key] = story


@contextmanager
def _undisturbed() -> Generator[None]:
    """Disable garbage collection and coverage measurement during millions of small steps.

    There is no garbage in cycles. Coverage would take three times as long as the exploration itself, and the
    procedure is covered by its own tests.
    """
    was_enabled, tracer = gc.isenabled(), sys.gettrace()
    gc.disable()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
        if was_enabled:
            gc.enable()


class Exploration:
    """All stories of one command, given by worker A, while worker B does something, or (None) nothing.

    Args:
        subject: the procedure and the journal.
        first: what worker A does.
        second: what worker B does.
        bounds: how much may happen.
    """

    def __init__(self, subject: Subject, first: Program, second: Program | None, bounds: Bounds) -> None:
        self.title = f"{subject.lifecycle.name}: worker A {first}" + (f", worker B {second}" if second else "")
        self._bounds = bounds
        self._successors = Successors(subject, first, second, bounds)
        self._explored = Explored()
        self._seen: dict[Moment, list[Cost]] = {}
        self._came_from: list[tuple[int, Line | str]] = []  # each state's predecessor, and what led from there

    def run(self, *, stops_at: Violation | None = None) -> Explored:
        """Explore all stories, or up to the first one that breaks the rule `stops_at`.

        Raises:
            MemoryError: there are more states than the bounds allow.
        """
        with _undisturbed():
            self._run(stops_at)
        self._explored.states = len(self._came_from)
        return self._explored

    def _run(self, stops_at: Violation | None) -> None:
        explored, budget = self._explored, self._bounds.budget()
        layer: list[tuple[Moment, Cost, int]] = []
        for start, moment in self._successors.first():
            self._is_new(moment, budget)
            layer.append((moment, budget, len(self._came_from)))
            self._came_from.append((-1, start))
        while layer:
            following: list[tuple[Moment, Cost, int]] = []
            for moment, budget, place in layer:
                for line, after, cost, findings in self._successors.of(moment, budget):
                    explored.steps += 1
                    if findings:
                        self._note(findings, place, line)
                        if any(finding is stops_at for finding, _ in findings):
                            return
                    left = budget if cost is FREE else budget.minus(cost)
                    if self._is_new(after if left.surprises and left.total else after.certain(), left):
                        following.append((after, left, len(self._came_from)))
                        self._came_from.append((place, line))
            if len(self._came_from) > self._bounds.states:
                raise MemoryError(f"{self.title}: more than {self._bounds.states} states")
            layer = following

    def _is_new(self, moment: Moment, left: Cost) -> bool:
        """Store a moment; return whether it was not reached before with at least the same budget of every kind."""
        known = self._seen.get(moment)
        if known is None:
            self._seen[moment] = [left]
            return True
        if any(each == left or left.is_within(each) for each in known):
            return False
        known.append(left)
        return True

    def _note(self, findings: tuple[Finding, ...], place: int, last: Line) -> None:
        """Count and keep the findings."""
        for finding, about in findings:
            key: Finding = (finding, about)
            if isinstance(finding, Unknowable):
                self._explored.unknowables[finding] += 1
                key = (finding, "")
            if key not in self._explored.stories:
                start, lines = self._lines(place, last)
                self._explored.stories[key] = Story(finding, about, self.title, start, lines)

    def _lines(self, place: int, last: Line) -> tuple[str, list[Line]]:
        lines = [last]
        while True:
            place, line = self._came_from[place]
            if isinstance(line, str):
                return line, lines[::-1]
            lines.append(line)
