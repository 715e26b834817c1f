"""Receive webhooks with FastAPI, and show what they reported: uvicorn receiver:app"""

import os
import sys
from uuid import UUID

from fastapi import FastAPI, HTTPException
from starlette.routing import Route

from lifecycle_adapters.journal import SqlJournal
from lifecycle_adapters.services import service
from lifecycle_adapters.webhooks import Webhooks

V2 = service("v2")
SECRET = os.environ.get("WEBHOOK_SECRET") or sys.exit("set WEBHOOK_SECRET to the webhook's secret")
journal = SqlJournal(os.environ.get("JOURNAL_URL", "journal.db"))

app = FastAPI()
app.router.routes.append(Route("/webhooks", Webhooks(V2, secret=SECRET, journal=journal)))


@app.get("/tasks/{task_id}")
def task(task_id: UUID) -> dict[str, object]:
    """Return the state of a task, as far as webhooks have reported it."""
    recorded = journal.task(V2.lifecycle, str(task_id)).load()
    if recorded.state is None:
        raise HTTPException(404, "no webhook has reported this task")
    return {"state": recorded.state, "over": V2.lifecycle.is_final(recorded.state)}
