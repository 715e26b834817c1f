"""What the emulator does where no document says what the service does. Every entry is an assumption.

Kept together so that they can be checked against the service, and corrected in one place.

Illegal commands
    v1 answers 400 with a `detail`, and for a stop of a stopped task with the text of a public report
    (browser-use/browser-use#1641). v2, v3 and v4 answer 200 with the view unchanged: their
    documents know no other code, and v4's says so for a run that is over.
Unknown ids
    v1's three control calls answer 404 as its status call does. v3's calls, whose document knows only
    200 and 422, answer 404 with `Session not found`, v4's with `Run not found`.
Keys
    401 with `{"detail": "Not authenticated"}` and a `WWW-Authenticate` header, as FastAPI answers, whose
    style the service's validation errors have. Any key that is not empty is good unless one is set.
Sessions
    A v2 session that was made for one task stays active after it; one made with `keepAlive: false` closes
    by itself after its last task. A v3 session without a task goes from created to idle, with one to
    running. A v3 dispatch to a session that is not idle answers 400. A v3 session forgets the output of
    its last task when it is given another. A v3 dispatch may change `keepAlive`. v4 runs of one session
    may overlap.
Fields
    Booleans, whole numbers and dates are taken as the documents declare them; the service may be more
    lenient (`"yes"` for true).
Lists
    The newest first. v1's `limit` is 1 to 100, v4's 1 to 100 with 20 if omitted. After a v4 cursor that
    belongs to no run comes nothing.
Time
    Time stamps end in `Z`, as the examples of the documents do, also where the text calls them naive.
Webhooks
    Every change of status is sent in the webhooks' word for the state, and where they have none in the
    API's, also where the documents name fewer words; the creation of a task only where it has a word of its
    own (v1's `initializing`). Nothing is sent of v2's sessions. v1's tasks and v3's sessions, which have but
    one id, send it as both ids. v4's runs send the same event. The ping is signed like the rest. How
    often and when a message is sent again, no document says.
Money
    A finished piece of work costs `PRICE_USD` in all and used no proxy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lifecycle.lifecycle import Lifecycle
from lifecycle.table import VerdictKind
from lifecycle_adapters.http.binding import Authentication

NOT_AUTHENTICATED = "Not authenticated"
V1_STOPPED_ALREADY = "Agent session already stopped"
V3_SESSION_NOT_FOUND = "Session not found"
V3_NOT_IDLE = "Session is not idle: {state}"
V4_RUN_NOT_FOUND = "Run not found"
V4_SESSION_NOT_FOUND = "Session not found"
V1_LARGEST_PAGE = 100
V4_LARGEST_PAGE = 100
V4_PAGE = 20
PRICE_USD = "0.0120"
NO_COST_USD = "0"


def challenge(authentication: Authentication) -> Mapping[str, str]:
    """Return the header that goes with a 401."""
    return {"WWW-Authenticate": authentication.prefix.strip() or "APIKey"}


def v1_refusal(lifecycle: Lifecycle[Any, Any], state: str, command: str) -> str:
    """Return v1's `detail` for a command that its task's state refuses."""
    verdict = lifecycle.judge(state, command)
    if verdict.kind is VerdictKind.REDUNDANT and lifecycle.is_terminating(command):
        return V1_STOPPED_ALREADY
    return verdict.reason
