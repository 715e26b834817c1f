"""A remote task as Celery tasks: created once, polled repeatedly, and stopped even if a worker dies."""

import os
import time
from functools import cache

from celery import Celery

from lifecycle import CommandAbandoned, CommandInFlight, CommandUncertain, IllegalTransition, TaskEndedFirst
from lifecycle_adapters.http import Client, NoResponse, NotConnected, ServerError
from lifecycle_adapters.journal import SqlJournal

app = Celery("jobs")  # CELERY_BROKER_URL names the broker
app.conf.update(
    task_acks_late=True,  # keep a message until its work is done ...
    task_reject_on_worker_lost=True,  # ... and deliver it to another worker if this one is killed
    worker_prefetch_multiplier=1,  # no worker hoards messages that others could work on
)
POLL_EVERY_S = 2
NO_RESPONSE = (NoResponse, NotConnected, ServerError)


@cache
def client() -> Client:
    """Return the client of this worker process, created after the fork: processes must not share connections."""
    journal = SqlJournal(os.environ.get("JOURNAL_URL", "sqlite:///journal.db"), lease_s=60)
    return Client("v2", base_url=os.environ.get("LIFECYCLE_BASE_URL"), journal=journal)


@app.task(acks_late=False, reject_on_worker_lost=False)  # a second delivery could create a second task
def create(text: str, limit_s: float = 3600) -> str:
    """Create a task, and follow it."""
    task = client().create(text)
    follow.delay(task.id, time.time() + limit_s)
    return task.id


@app.task(bind=True, max_retries=None, autoretry_for=NO_RESPONSE, retry_backoff=True)
def follow(self, task_id: str, until_s: float) -> str:
    """Poll once, then retry later: no worker waits for a task."""
    task = client().task(task_id)
    state = task.status()
    if task.lifecycle.is_final(state):
        return state
    if time.time() > until_s:
        return self.replace(stop.si(task_id, "its time was up"))
    raise self.retry(countdown=POLL_EVERY_S)


@app.task(
    bind=True, max_retries=20, autoretry_for=(*NO_RESPONSE, CommandInFlight, CommandUncertain), retry_backoff=True
)
def stop(self, task_id: str, reason: str, key: str | None = None) -> str:
    """Stop it. Celery's id for this call survives retries and dead workers, so that it can be the key."""
    task = client().task(task_id)
    key = key or self.request.id
    try:
        return task.stop(idempotency_key=key, reason=reason).state
    except (IllegalTransition, TaskEndedFirst):  # the task was over before
        return task.status()
    except CommandAbandoned:  # the stop was never sent, or another one took its place: this is a new command
        raise self.retry(kwargs={"key": f"{key}+"}, countdown=POLL_EVERY_S) from None
