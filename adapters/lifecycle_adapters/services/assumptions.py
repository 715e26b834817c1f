"""Assumptions: behaviour of the emulated v1 to v4 that no document of Browser Use Cloud describes.

They are listed in one place so that they can be checked against the service and corrected.

Illegal commands
    v1 returns 400 with a `detail`; for a stop of a stopped task the detail is the text of a public report
    (browser-use/browser-use#1641). v2, v3 and v4 return 200 with the view unchanged: their documents name no
    other code, and v4's document says so for a run that is over.
Unknown ids
    v1's three control calls return 404, as its status call does. v3's document names only 200 and 422; its calls
    return 404 with `Session not found`, v4's calls 404 with `Run not found`, its creates also with `Session not
    found` and `Workspace not found`, its queue's with `Session not found` and `Message not found`. There are no
    profiles, so that every profile is unknown to v2's Create Session;
    v4 has the workspaces of its runs alone.
Keys
    A missing or wrong key returns 401 with `{"detail": "Not authenticated"}` and a `WWW-Authenticate` header, as
    FastAPI does, because the service's validation errors have FastAPI's form. Every key that is not empty is valid
    unless one is set.
Sessions
    A v2 session that was created for one task, or with `keepAlive: false`, closes by itself one step of its script
    after its last task. All runs of a v4 session are in one workspace; Create Run returns the documented 400 ("bad
    session/workspace pairing") if another one is given. A v4 session's shared link is `V4_SHARE_URL`; nobody views it,
    and an update of one that does not exist returns 404. A v3 session without a task goes from created to idle, one
    with a task to running. A v3 dispatch to a session that is not idle returns 400. A v3 session drops the output of
    its last task when it receives another. A v3 dispatch may change `keepAlive`.
Queues of v4's sessions
    A queue is full with `V4_LONGEST_QUEUE` pending messages. A session that becomes idle takes the oldest message, one
    that interrupts before the others; a message to an idle session is claimed at once. A claimed message is
    `dispatching`; one step of its script later it is consumed, and its run is created, with the session's workspace and
    the model of its latest run. Until then the session is not idle: Create Run returns 409. `runId` is the run that a
    message became. Nothing supersedes a message or makes it fail but a control call.
Events and messages
    A v4 run has an event for each state that it has entered, `run.completed` for completed; the Python SDK 3.12.1 names
    those of the three ends. A v3 session has a message for each task that it was given, and one when that is done. A
    deleted session is not found any more, nor are its tasks, runs and messages. A cost cap has no effect.
Fields
    Booleans, whole numbers and dates are accepted only as the documents declare them; the service may be more
    lenient (`"yes"` for true).
Lists
    The lists of v2 and v3 are newest first, as v1's and v4's are documented to be. v1's `limit` above its maximum
    returns 422. v4's is at least 1. A v4 cursor is a run's id; one that belongs to no run returns an empty page.
Time
    Time stamps end in `Z`, as in the documents' examples, although the documents' text calls some of them naive.
Webhooks
    Every change of status is sent under the webhook channel's name of the state, or under the API's name if the
    channel has none, even if the documents list fewer names. The creation of a task is sent only if the channel
    has its own name for the initial state (v1's `initializing`). v2's sessions send nothing. v1's tasks have
    one id and send it as both ids. v4 sends no `agent.task.status_update`: only `session.status.update` is documented
    for it. A run's result is the `output` of that. The ping is signed like other messages. No document says how often
    and when a message is sent again.
Money
    A finished task costs `PRICE_USD` (documents.py of the emulator) in total and uses no proxy.
"""

from __future__ import annotations

V1_STOPPED_ALREADY = "Agent session already stopped"
V3_SESSION_NOT_FOUND = "Session not found"
V3_NOT_IDLE = "Session is not idle: {state}"
V4_RUN_NOT_FOUND = "Run not found"
V4_MESSAGE_NOT_FOUND = "Message not found"
V4_SESSION_NOT_FOUND = "Session not found"
V4_WORKSPACE_NOT_FOUND = "Workspace not found"
V4_NEVER_SHARED = "Share not found"
V4_SHARE_URL = "https://cloud.browser-use.com/share/{token}"
V4_LONGEST_QUEUE = 20
