"""An offline server that emulates services: any binding makes one, from its calls and its lifecycle alone.

    with Emulator(PRINTER, pace_s=0.05) as emulator:
        client = Client(PRINTER, base_url=emulator.base_url, api_key="any")

task_store.py holds the tasks and applies their transitions; script.py chooses the remote events that a task takes by
itself; calls.py identifies requests; service.py responds, with the documents that documents.py derives from the binding
and those of a profile (profile.py), in its envelope (emulated_envelope.py); fault_middleware.py records the calls and
injects faults; webhook_sender.py pushes status changes (pushed_messages.py); control.py serves the control calls for
tests; server.py runs the server. The profiles of the built-in services are in services/.

The emulator keeps everything in memory and writes nothing to disk. It needs the extra `emulator`.
"""

from __future__ import annotations

from lifecycle.errors import MissingExtra

try:
    import fastapi as _fastapi
    import httpx2 as _httpx2
    import uvicorn as _uvicorn
except ImportError as error:
    raise MissingExtra("emulator", needed_by="lifecycle_adapters.emulator") from error

from lifecycle_adapters.emulator.application import EmulatorApp, create_app
from lifecycle_adapters.emulator.call_log import RecordedCall
from lifecycle_adapters.emulator.calls import PREFIX
from lifecycle_adapters.emulator.control import NOTICE, TaskView
from lifecycle_adapters.emulator.fault_middleware import ConnectionDropped
from lifecycle_adapters.emulator.faults import CallFault, FaultKind
from lifecycle_adapters.emulator.profile import (
    Happens,
    Keeps,
    NewTask,
    Operation,
    Outcome,
    OwnCall,
    Profile,
    Refusal,
    Starts,
    Subscription,
    Tasks,
    TaskUpdate,
    Vanishes,
    View,
    field_error,
    new_uuid,
)
from lifecycle_adapters.emulator.pushed_messages import Attempt, SentWebhook, Webhook, WebhookFault, WebhookFaultKind
from lifecycle_adapters.emulator.server import Emulator, EmulatorNotRunning
from lifecycle_adapters.emulator.task_store import UnknownTask

__all__ = [
    "NOTICE",
    "PREFIX",
    "Attempt",
    "CallFault",
    "ConnectionDropped",
    "Emulator",
    "EmulatorApp",
    "EmulatorNotRunning",
    "FaultKind",
    "Happens",
    "Keeps",
    "NewTask",
    "Operation",
    "Outcome",
    "OwnCall",
    "Profile",
    "RecordedCall",
    "Refusal",
    "SentWebhook",
    "Starts",
    "Subscription",
    "TaskUpdate",
    "TaskView",
    "Tasks",
    "UnknownTask",
    "Vanishes",
    "View",
    "Webhook",
    "WebhookFault",
    "WebhookFaultKind",
    "create_app",
    "field_error",
    "new_uuid",
]

del _fastapi, _httpx2, _uvicorn
