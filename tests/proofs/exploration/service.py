"""The adversarial service and network: every possible outcome of a request, and every spontaneous event.

This module does not know the procedure. A `Happening` holds the client's response and the true effect; oracle.py judges
what it means for a command.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from lifecycle import Origin, effects
from lifecycle.effects import Accepted, Denied, Lost, NotSent, Refused, Response, Throttled
from tests.lifecycle.drivers import UNKNOWN_WORD, Declared, Mishap
from tests.proofs.exploration.canonical import EPOCH_AT

# --- responses --------------------------------------------------------------------------------------

LOST = Lost(Mishap("no response"))
REFUSED = Refused(Mishap("400"))
DENIED = Denied(Mishap("401"))
THROTTLED = Throttled(Mishap("429"))
NOT_SENT = NotSent(Mishap("connection refused"))
_MISSING: Any = getattr(effects, "Missing", Denied)
MISSING: Response = _MISSING(Mishap("404"))
SAID_NO: tuple[Response, ...] = (REFUSED, DENIED, MISSING, THROTTLED, NOT_SENT)
"""Responses that prove to a client that this request had no effect."""

_TURNED_AWAY = (
    ("a gateway refuses it (400)", REFUSED),
    ("a gateway answers 401", DENIED),
    ("a gateway answers 404", MISSING),
    ("it is throttled (429)", THROTTLED),
    ("no connection is made", NOT_SENT),
)

# --- the truth --------------------------------------------------------------------------------------

NOT_OVER, ENDING, OVER = 0, 1, 2


class Flying(NamedTuple):
    """A request that may still reach the task. `kind` is late, copy (of one that was doubled) or accepted."""

    command: int
    attempt: int
    kind: str


class Service(NamedTuple):
    """The true state: the task's, its companion's (v2: the session's), and the requests in transit.

    `seen` are the states that the task had since the last response to a read, oldest first; the last is its present
    state. A stale read returns one of the others.
    """

    state: str
    companion: int = NOT_OVER
    flying: tuple[Flying, ...] = ()
    seen: tuple[str, ...] = ()


class Cost(NamedTuple):
    """The cost of an event, by kind and in total."""

    surprises: int = 0
    moves: int = 0
    others: int = 0
    crashes: int = 0
    lapses: int = 0
    total: int = 0

    def plus(self, other: Cost) -> Cost:
        """Return the sum."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Cost) -> Cost:
        """Return the difference."""
        return Cost(*(a - b for a, b in zip(self, other, strict=True)))

    def is_within(self, budget: Cost) -> bool:
        """Return whether a budget allows this cost."""
        if self is FREE:
            return True
        a, b, c, d, e, f = self
        most_a, most_b, most_c, most_d, most_e, most_f = budget
        return a <= most_a and b <= most_b and c <= most_c and d <= most_d and e <= most_e and f <= most_f


FREE = Cost()
SURPRISE = Cost(surprises=1, total=1)
_MOVE = Cost(moves=1, total=1)
_OTHER = Cost(others=1, total=1)
CRASH = Cost(crashes=1, total=1)
LAPSE = Cost(lapses=1, total=1)


@dataclass(frozen=True, slots=True)
class Happening:
    """One possible event, with its description and the true state after it.

    `response` is the client's response, None if it receives none. `applied` is the request that the service applied.
    `by_other`: an actor outside the journal caused it. `refused_copy`: the client receives the refusal of one copy of a
    doubled request, and another copy is or may be applied.
    """

    description: str
    after: Service
    cost: Cost = FREE
    response: Response | None = None
    applied: Flying | None = None
    by_other: bool = False
    refused_copy: bool = False
    is_stale: bool = False


@dataclass(frozen=True)
class Network:
    """One service behind its network. `with_companion` are the commands that also end the task's companion."""

    lifecycle: Declared
    with_companion: frozenset[str] = frozenset()
    has_unknown_statuses: bool = False

    @property
    def first_companion(self) -> int:
        """The initial state of the companion; it counts as over if there is none."""
        return NOT_OVER if self.with_companion else OVER

    # --- a request -----------------------------------------------------------------------------

    def send(self, now: Service, command: str, sent: Flying) -> Iterator[Happening]:
        """Yield every possible outcome of a request."""
        if self.lifecycle.target(now.state, command) is None:
            yield from self._refuse(now)
        else:
            yield from self._accept(now, command, sent)
        for description, response in _TURNED_AWAY:
            if response is not REFUSED or self.lifecycle.target(now.state, command) is not None:
                yield Happening(description, now, SURPRISE, response)
        yield Happening("it is lost on the way", now, SURPRISE, LOST)
        yield Happening("it is late, and its response will be lost", _fly(now, sent, "late"), SURPRISE, LOST)
        yield Happening(
            "it is doubled: a gateway refuses one copy, the other is late",
            _fly(now, sent, "copy"),
            SURPRISE,
            REFUSED,
            refused_copy=True,
        )

    def send_well(self, now: Service, command: str, sent: Flying) -> Iterator[Happening]:
        """Yield the outcomes of a request without failures."""
        if self.lifecycle.target(now.state, command) is None:
            yield from self._refuse(now)
        else:
            after, how, _ = next(self._applied(now, command))
            yield Happening(f"the service applies it ({how}) and answers", after, FREE, _says(after.state), sent)

    def _refuse(self, now: Service) -> Iterator[Happening]:
        yield Happening(f"the service refuses it in {now.state!s} (400)", now, response=REFUSED)
        yield Happening(
            f"the service ignores it in {now.state!s} and answers 200 with the view unchanged",
            now,
            response=_says(now.state),
        )
        yield Happening(
            f"the service ignores it in {now.state!s} and answers 200 without a status", now, SURPRISE, _says(None)
        )

    def _accept(self, now: Service, command: str, sent: Flying) -> Iterator[Happening]:
        for after, how, cost in self._applied(now, command):
            applies, more = f"the service applies it ({how})", cost.plus(SURPRISE)
            yield Happening(f"{applies} and answers", after, cost, _says(after.state), sent)
            yield Happening(f"{applies} and answers 200 without a status", after, more, _says(None), sent)
            yield Happening(f"{applies}; the response is lost", after, more, LOST, sent)
            yield Happening(
                f"{applies} and answers; the network has doubled it, and the copy is late",
                _fly(after, sent, "copy"),
                more,
                _says(after.state),
                sent,
            )
            if self.lifecycle.target(after.state, command) is None:
                yield Happening(
                    f"{applies}; the network has doubled it, the copy is refused (400), and that is what comes back",
                    after,
                    more,
                    REFUSED,
                    sent,
                    refused_copy=True,
                )
        yield Happening(
            f"the service accepts it (200, still {now.state!s}), to be done later",
            _fly(now, sent, "accepted"),
            SURPRISE,
            _says(now.state),
        )

    def _applied(self, now: Service, command: str) -> Iterator[tuple[Service, str, Cost]]:
        """Yield the effects of a command, with descriptions and costs; the companion may end later."""
        target = self.lifecycle.step(now.state, command)
        moved = _move(now, target)
        how = f"{now.state!s} -> {target!s}"
        if command not in self.with_companion or now.companion == OVER:
            yield moved, how, FREE
            return
        yield moved._replace(companion=OVER), how, FREE
        yield moved._replace(companion=ENDING), f"{how}, its companion to follow", SURPRISE

    # --- a read --------------------------------------------------------------------------------

    def read(self, now: Service) -> Iterator[Happening]:
        """Yield every possible response to a read."""
        yield from self.read_well(now)
        for index, state in enumerate(now.seen[:-1]):
            yield Happening(
                f"the read is stale and answers {state!s}",
                now._replace(seen=now.seen[index:]),
                SURPRISE,
                _says(state),
                is_stale=True,
            )
        yield Happening("the read is lost", now, SURPRISE, LOST)
        yield Happening("the read is answered 401", now, SURPRISE, DENIED)
        yield Happening("the read is answered 404", now, SURPRISE, MISSING)
        if self.has_unknown_statuses:
            yield Happening("the read returns an unknown status", now, SURPRISE, _says(UNKNOWN_WORD))

    def read_well(self, now: Service) -> Iterator[Happening]:
        """Yield the responses to a read without failures."""
        yield Happening(f"the read answers {now.state!s}", now._replace(seen=(now.state,)), response=_says(now.state))

    # --- spontaneous events ------------------------------------------------------------------------

    def arrivals(self, now: Service, commands: tuple[str, ...]) -> Iterator[Happening]:
        """Yield the arrival of each request in transit. `commands` are the commands by number."""
        for index, late in enumerate(now.flying):
            if late in now.flying[:index]:
                continue
            before = now._replace(flying=now.flying[:index] + now.flying[index + 1 :])
            command = commands[late.command]
            name = _name_of(late, command)
            if self.lifecycle.target(now.state, command) is None:
                yield Happening(f"{name} reaches the task, which refuses it in {now.state!s}", before)
                continue
            for after, how, cost in self._applied(before, command):
                yield Happening(f"{name} reaches the task, and is applied ({how})", after, cost, applied=late)

    def companion_ends(self, now: Service) -> Iterator[Happening]:
        """Yield the end of the companion, if it is to end."""
        if now.companion == ENDING:
            yield Happening("the companion is over", now._replace(companion=OVER))

    def moves(self, now: Service) -> Iterator[Happening]:
        """Yield each remote event of the task, and each command of an actor outside the journal."""
        for event in self.lifecycle.allowed(now.state, origin=Origin.REMOTE):
            target = self.lifecycle.step(now.state, event)
            yield Happening(
                f"the task moves by itself: {event!s} ({now.state!s} -> {target!s})", _move(now, target), _MOVE
            )
        for command in self.lifecycle.allowed(now.state, origin=Origin.CALLER):
            for after, how, cost in self._applied(now, command):
                yield Happening(f"another actor sends {command!s} ({how})", after, cost.plus(_OTHER), by_other=True)


def _says(status: str | None) -> Accepted:
    return Accepted(status, EPOCH_AT)


def _move(now: Service, state: str) -> Service:
    seen = now.seen if now.seen and now.seen[-1] == state else (*now.seen, state)
    return now._replace(state=state, seen=seen)


def _fly(now: Service, sent: Flying, kind: str) -> Service:
    return now._replace(flying=tuple(sorted((*now.flying, sent._replace(kind=kind)))))


def _name_of(late: Flying, command: str) -> str:
    number = f"{command!s} number {late.attempt}"
    match late.kind:
        case "copy":
            return f"the copy of {number}"
        case "accepted":
            return f"{number}, accepted earlier,"
        case _:
            return f"{number}, which was late,"
