"""Assumptions: behaviour of the emulated v1 to v4 that no document of Browser Use Cloud describes.

They are listed in one place so that they can be checked against the service and corrected.

Illegal commands
    v1 returns 400 with a `detail`; for a stop of a stopped task the detail is the text of a public report
    (browser-use/browser-use#1641). v2 and v3 return 200 with the view unchanged: their documents name no other code.
Unknown ids
    v1's three control calls return 404, as its status call does. v3's document names only 200 and 422; its calls
    return 404 with `Session not found`. v4's document names the code 404, but no texts. There are no profiles, so that
    every profile is unknown; v4 has the workspaces of its runs alone.
Keys
    A missing or wrong key returns 401 with `{"detail": "Not authenticated"}` and a `WWW-Authenticate` header, as
    FastAPI does, because the service's validation errors have FastAPI's form. Every key that is not empty is valid
    unless one is set.
Sessions
    A v2 session that closes after its task does so one step of its script later. All runs of a v4 session are in one
    workspace; Create Run returns the documented 400 ("bad session/workspace pairing") if another one is given. A
    shared link is `SHARE_URL`, and nobody views it. A v2 link that was deleted is not opened again: the next one is
    new. An update of a v4 link that does not exist returns 404 with v2's text. A v3 session with a task goes from
    created to running, without idle between them. A v3 dispatch to a session that is not idle returns 400. A v3
    session drops the output of its last task when it receives another. A v3 dispatch may change `keepAlive`.
Queues of v4's sessions
    A queue is full with `V4_LONGEST_QUEUE` pending messages. An idle session takes the oldest message, of those that
    interrupt if there are any. A claimed message is `dispatching`; one step of its script later it is consumed, and
    its run is created, with the session's workspace and the model of its latest run. Until then the session is not
    idle: Create Run returns 409. `runId` is the run that a message became. Nothing supersedes a message or makes it
    fail but a control call. The header `X-V4-Queue-Deduplicate` of the Python SDK 3.12.1 has no effect.
Events and messages
    A v4 run has an event for each state that it has entered, `run.running` for running; the Python SDK 3.12.1 names
    only those that end a run. A v3 session has a message for each task that it was given, and one when that is done. A
    deleted v3 or v4 session is not found any more, nor are its runs and messages.
Files
    There are none: all `attachedFileIds` of a v4 run are its `missingFileIds`, and it has no attachments. The log of a
    v2 task is at `LOG_URL`, where there is nothing.
Fields
    Booleans, whole numbers and dates are accepted only as the documents declare them; the service may be more
    lenient (`"yes"` for true).
Lists
    The lists of v2 and v3 are newest first, as v1's and v4's are documented to be. v1's `limit` above its maximum
    returns 422. That of v4's runs is at least 1. A v4 cursor is a run's id, of sessions that of the latest run; one
    that belongs to no run returns an empty page.
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
    A finished task costs `PRICE_USD` (documents.py of the emulator) in total and uses no proxy. Nothing is limited
    unless the profiles are those that `limited` returns, for v2 and for v4. What counts are all finished tasks,
    whatever the month; a message becomes a run all the same. The text of v4's 402 is `V4_SPEND_LIMIT`. A session's
    budget (`maxCostUsd`, v4's cost cap) has no effect: v3's document says that the task is stopped, but not which
    status then follows; v4's does not say what happens.
Errors that only a fault causes
    v4's 502 and 503 after a cancel (the control plane is out of reach, or busy: an emulated one never is, so that an
    interrupt is always delivered) and 429 for a rate, which depends on a plan that no document describes.
"""

from __future__ import annotations

V1_STOPPED_ALREADY = "Agent session already stopped"
V3_SESSION_NOT_FOUND = "Session not found"
V3_NOT_IDLE = "Session is not idle: {state}"
V4_RUN_NOT_FOUND = "Run not found"
V4_MESSAGE_NOT_FOUND = "Message not found"
V4_SESSION_NOT_FOUND = "Session not found"
V4_WORKSPACE_NOT_FOUND = "Workspace not found"
V4_PROFILE_NOT_FOUND = "Profile not found"
V4_NEVER_SHARED = "Public share not found"
V4_SPEND_LIMIT = "The API key has reached its monthly spend limit."
V4_LONGEST_QUEUE = 20
LOG_URL = "https://cloud.browser-use.com/logs/{id}.txt"
SHARE_URL = "https://cloud.browser-use.com/share/{token}"
