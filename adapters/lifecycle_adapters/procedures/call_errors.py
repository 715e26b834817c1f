"""The errors of procedures that do not depend on what carries out the calls."""

from __future__ import annotations

from lifecycle.errors import AdapterError, WaitTimedOut, plain_id, shortened


class CallError(AdapterError):
    """A call of the service without a usable result: an HttpError, or an ObjectError of a service without HTTP.

    `.may_pass` is whether the same call may succeed later: it was not refused. `.state` is the state that the task was
    waited for, if only its details could not be read; otherwise None.
    """

    may_pass: bool = True
    state: str | None = None


class DetailsTimedOut(WaitTimedOut):
    """A task is at rest in `.state`, but the time was up before its details were read; `.why` is the error."""

    def __init__(self, *, lifecycle: str, task: str, until: str, state: str, why: str) -> None:
        super().__init__(lifecycle=lifecycle, task=task, until=until, state=state, why=why)
        unread = f"it is {shortened(state)}, but its details were not read in time: {why}"
        self.args = (f"{lifecycle} task {plain_id(task)}: {unread}",)
