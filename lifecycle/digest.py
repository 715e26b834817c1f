"""The digest of a declaration: equal for declarations that mean the same, whatever their prose and their order.

Part of the digest: names of states and events; which state is initial, which are final, reopenable, settled and
interrupted; each event's origin, and of commands whether they are proved by their state and idempotent; the rows; the
aliases. Not part of it: the lifecycle's own name, meanings, citations and `extended_by`, which are for people; the
order, which is presentation; the invariants, which are properties of the rows.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from lifecycle.declaration import Declaration
from lifecycle.table import Origin
from lifecycle.validation import transition_system

_FORMAT = 1  # of the hashed text: with another one, every digest is another


def digest_of(declaration: Declaration[Any, Any]) -> str:
    """Return the digest of a sound declaration: 64 hexadecimal digits of SHA-256."""
    rows = transition_system(declaration)
    states = [
        [
            state,
            state == rows.initial,
            *(state in each for each in (rows.final, rows.over, rows.settled, rows.interrupted)),
        ]
        for state in rows.states
    ]
    events = [
        [event.name, event.origin, event.proved_by_state, event.idempotent]
        if event.origin is Origin.CALLER
        else [event.name, event.origin]
        for event in declaration.events
    ]
    transitions = [[*row, target] for row, target in rows.transitions.items()]
    aliases = [[each.channel, each.status, each.state] for each in declaration.aliases]
    content = [_FORMAT, sorted(states), sorted(events), sorted(transitions), sorted(aliases)]
    return sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
