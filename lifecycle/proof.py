"""The proofs of one command, and the meaning of the task's end for it; both follow from the declaration alone.

- The target proves a command that is proved by state. A state past the target proves it only if the task cannot have
  reached that state without this command.
- A service may report other states than the target after a command that it accepted: these prove the command if the
  service's response was usable, or if the task cannot have reached the state without it.
- At a final or reopenable state that is not the target and refuses the command, the task is over. The command did not
  take effect (`ended_first`) if nothing can have arrived, or if that state cannot be reached from the target or those
  others at all. Otherwise it cannot be known (`moot`). A state that accepts the command (a re-run) may be the one
  before it.
- A state refuses the command for good if no state that can follow it accepts the command. If it cannot be reached from
  the target or those others either, the command did not take effect before it, and cannot after it, wherever its
  request is now. That is so whenever the task was in that state, even if the report of it is late.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from lifecycle.lifecycle import Lifecycle
from lifecycle.table import E, S


@dataclass(frozen=True, kw_only=True)
class CommandProof(Generic[S, E]):
    """The proofs of `command`. `by_read` is true if the service's binding names a read that proves it.

    `names_version` is true if its request names the version of the task that was read (If-Match).
    `may_report` are the states that the service may report instead of the target once the command took effect.
    In all methods `source` is the state in which the command was judged, None if that is not known.
    """

    lifecycle: Lifecycle[S, E]
    command: E
    by_read: bool
    names_version: bool = False
    may_report: frozenset[S] = frozenset()

    @property
    def by_state(self) -> bool:
        """Return whether being at the target proves the command."""
        return self.lifecycle.event(self.command).proved_by_state

    @property
    def by_response(self) -> bool:
        """Return whether only a usable response proves the command: neither a state nor a read does (a dispatch)."""
        return not (self.by_state or self.by_read)

    @property
    def needs_no_state(self) -> bool:
        """Return whether it is an emergency stop: an idempotent command that every state but the final ones accepts.

        A command that only the response proves does not count: it would be done with the task's state unknown. Neither
        does one that names the version of the task, which only a read returns.
        """
        if self.by_response or self.names_version or not self.lifecycle.event(self.command).idempotent:
            return False
        return self.lifecycle.is_terminating(self.command) and self.lifecycle.accepted_until_final(self.command)

    def is_target(self, state: S, source: S | None) -> bool:
        """Return whether the command leads to `state` from its source; from any state if that is not known."""
        if source is None:
            return state in self.lifecycle.targets(self.command)
        return state == self._target(source)

    def is_past_target(self, state: S, source: S | None) -> bool:
        """Return whether remote events lead from the target to `state`, which is unreachable without the command."""
        if source is None or state not in self.lifecycle.reachable_by_remote(self._target(source)):
            return False
        return state not in self.lifecycle.reachable_without(source, self.command)

    def is_other_outcome(self, state: S, source: S | None, *, was_accepted: bool) -> bool:
        """Return whether `state` is one that the service may report instead, and the command brought the task there.

        An accepted command is assumed to have done so; one that may not have arrived only if nothing else can have.
        """
        if state not in self.may_report:
            return False
        return was_accepted or (
            source is not None and state not in self.lifecycle.reachable_without(source, self.command)
        )

    def is_over_elsewhere(self, state: S, source: S | None) -> bool:
        """Return whether the task is over in `state`, which is not the target and does not accept the command."""
        accepts = self.lifecycle.target(state, self.command) is not None
        return self.lifecycle.is_over(state) and not accepts and not self.is_target(state, source)

    def is_contradicted(self, state: S, source: S | None) -> bool:
        """Return whether the task is over in `state`, and the command with remote events cannot have led it there."""
        targets = self.lifecycle.targets(self.command) if source is None else (self._target(source),)
        is_led = any(state in self.lifecycle.reachable_by_remote(each) for each in (*targets, *self.may_report))
        return self.is_over_elsewhere(state, source) and state not in self.may_report and not is_led

    def is_refused_for_good(self, state: S) -> bool:
        """Return whether a task that was ever in `state` shows that the command neither took effect nor ever will."""
        is_accepted_later = any(
            self.lifecycle.target(each, self.command) is not None for each in self.lifecycle.reachable(state)
        )
        return not (is_accepted_later or self.may_have_led_to(state))

    def may_have_led_to(self, state: S) -> bool:
        """Return whether the task can be in `state` after the command took effect, from any source."""
        outcomes = (*self.lifecycle.targets(self.command), *self.may_report)
        return any(state in self.lifecycle.reachable(outcome) for outcome in outcomes)

    def _target(self, source: S) -> S:
        # A command that was redundant when it was recorded has the task's state at that time as its target.
        return self.lifecycle.target(source, self.command) or source
