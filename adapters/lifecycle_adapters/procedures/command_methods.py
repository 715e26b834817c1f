"""The commands of the built-in services as methods, each for the handles of the services that have it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from lifecycle.catalog import (
    A2AEvent,
    MCPEvent,
    V1Event,
    V2Event,
    V2In2025Event,
    V2SessionEvent,
    V3Event,
    V4Event,
    V4MessageEvent,
)
from lifecycle_adapters.argument_checks import require

C = TypeVar("C", bound=str)
R = TypeVar("R")


class CommandMethods(ABC, Generic[C, R]):
    """Every command of the catalog as a method, so that completion and type checkers see it.

    `C` is the type of the service's events: a type checker rejects a command that the service does not have. If the
    service is not known before the program runs, `C` is `str` and all methods are accepted; one whose service has no
    such command raises UnknownName. Each method calls `send` with its name, and raises what `send` raises, and
    TypeError for an argument of another type.
    """

    @abstractmethod
    def send(
        self,
        command: C,
        /,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        origin: str = "caller",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> R:
        """Send a command; `fields` go into the body of its request."""

    def pause(
        self: CommandMethods[V1Event, R] | CommandMethods[V2In2025Event, R] | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """Halt a running task (v1, v2-2025)."""
        return self._send("pause", idempotency_key, reason, wait_for_in_flight_s)

    def resume(
        self: CommandMethods[V1Event, R] | CommandMethods[V2In2025Event, R] | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """Continue a paused task (v1, v2-2025)."""
        return self._send("resume", idempotency_key, reason, wait_for_in_flight_s)

    def stop(
        self: CommandMethods[V1Event, R]
        | CommandMethods[V2Event, R]
        | CommandMethods[V2In2025Event, R]
        | CommandMethods[V2SessionEvent, R]
        | CommandMethods[V3Event, R]
        | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """End a task or session for good (v1, v2, v2-2025, v2-session, v3)."""
        return self._send("stop", idempotency_key, reason, wait_for_in_flight_s)

    def stop_task_and_session(
        self: CommandMethods[V2Event, R] | CommandMethods[V2In2025Event, R] | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """End a task and the session it runs in (v2, v2-2025)."""
        return self._send("stop_task_and_session", idempotency_key, reason, wait_for_in_flight_s)

    def dispatch(
        self: CommandMethods[V3Event, R] | CommandMethods[str, R],
        task: str,
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> R:
        """Give an idle session a task (v3), as text; `fields` are further fields of the request."""
        require(task, str, "task must be text")
        return self._send("dispatch", idempotency_key, reason, wait_for_in_flight_s, task=task, **fields)

    def stop_task(
        self: CommandMethods[V3Event, R] | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """End the task and keep the session (v3)."""
        return self._send("stop_task", idempotency_key, reason, wait_for_in_flight_s)

    def cancel(
        self: CommandMethods[V4Event, R]
        | CommandMethods[V4MessageEvent, R]
        | CommandMethods[A2AEvent, R]
        | CommandMethods[MCPEvent, R]
        | CommandMethods[str, R],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
    ) -> R:
        """End a run for good, remove a pending message, or ask for the end of a task (v4, v4-message, a2a, mcp)."""
        return self._send("cancel", idempotency_key, reason, wait_for_in_flight_s)

    def answer(
        self: CommandMethods[A2AEvent, R] | CommandMethods[str, R],
        parts: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        reason: str = "",
        wait_for_in_flight_s: float = 0.0,
        **fields: Any,
    ) -> R:
        """Send an agent what it asks for (a2a); `parts`, a list of mappings, and `fields` are those of a message."""
        wanted = "parts must be a list of mappings, such as [{'text': 'To Lisbon'}]"
        require(parts, list | tuple, wanted)
        for part in parts:
            require(part, Mapping, wanted)
        return self._send("answer", idempotency_key, reason, wait_for_in_flight_s, parts=parts, **fields)

    def _send(
        self,
        command: Any,  # plain text, which the lifecycle takes for its member
        idempotency_key: str | None,
        reason: str,
        wait_for_in_flight_s: float,
        **fields: Any,
    ) -> R:
        return self.send(
            command,
            idempotency_key=idempotency_key,
            reason=reason,
            wait_for_in_flight_s=wait_for_in_flight_s,
            **fields,
        )
