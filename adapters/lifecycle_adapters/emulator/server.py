"""The emulator as a server on 127.0.0.1: in a thread of this process, or as the process itself.

It listens on the loopback interface alone, since its control calls ask for no key.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeVar

import uvicorn

from lifecycle import Lifecycle
from lifecycle.errors import AdapterError, UnknownName
from lifecycle_adapters.emulator.application import EmulatorApp, create_app
from lifecycle_adapters.emulator.call_log import RecordedCall
from lifecycle_adapters.emulator.calls import BINDINGS
from lifecycle_adapters.emulator.control import TaskView
from lifecycle_adapters.emulator.faults import CallFault, FaultKind, fault_kind
from lifecycle_adapters.emulator.webhook_sender import SentWebhook, Webhook, WebhookFault, WebhookFaultKind

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 1
"""How long calls that are still being answered may hold up the end."""

T = TypeVar("T")


class EmulatorNotRunning(AdapterError):
    """The emulator has not been started, or could not be, or has been stopped."""


class Emulator:
    """An emulator in a thread of this process; start it with `with`, or with `start` and `stop`.

        with Emulator(pace_s=0.05) as emulator:
            client = Client("v2", base_url=emulator.base_url, api_key="any")

    The arguments are those of `create_app`; `port` 0 takes a free one. Every method can be called from
    any thread.
    """

    def __init__(
        self,
        *,
        pace_s: float = 1.0,
        manual: bool = False,
        lifecycles: Mapping[str, Lifecycle[Any, Any]] | None = None,
        api_key: str | None = None,
        webhook: Webhook | None = None,
        port: int = 0,
    ) -> None:
        self._app = create_app(pace_s=pace_s, manual=manual, lifecycles=lifecycles, api_key=api_key, webhook=webhook)
        self._port = port
        self._running: _Running | None = None

    def start(self) -> Self:
        """Start the server, and return when it answers.

        Raises:
            OSError: the port is taken.
            EmulatorNotRunning: it is running already, or does not come up.
        """
        if self._running is not None:
            raise EmulatorNotRunning("the emulator is running already")
        self._running = _Running(self._app, self._port)
        return self

    def stop(self) -> None:
        """Stop the server, and return when it is gone. What it knew is still there if it is started again."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Where it is: `http://127.0.0.1:PORT`, without a slash at the end. Raises EmulatorNotRunning."""
        return f"http://{HOST}:{self._server().port}"

    def api_url(self, api: str) -> str:
        """Return where one API is: `http://127.0.0.1:PORT/api/v2`.

        Raises:
            UnknownName: not an API of the emulator.
            EmulatorNotRunning: it is not running.
        """
        binding = next((binding for binding in BINDINGS if binding.name == api), None)
        if binding is None:
            raise UnknownName("api", api, known=[binding.name for binding in BINDINGS], where="emulator")
        return self.base_url + binding.base_path

    def tasks(self, api: str | None = None) -> list[TaskView]:
        """Return the tasks, runs and sessions as they are now, the newest first; of one API if given."""
        return self._ask(lambda: self._app.control.tasks(api))

    def task(self, task_id: str) -> TaskView:
        """Return one task as it is now. Raises UnknownTask."""
        return self._ask(lambda: self._app.control.task(task_id))

    def fire(self, task_id: str, event: str) -> TaskView:
        """Let a remote event happen to a task now, and return the task.

        Raises:
            UnknownTask: no such task.
            UnknownName: its lifecycle does not declare the event.
            IllegalTransition: its state refuses it.
            ValueError: the event is a command, which is for the API.
        """
        return self._ask(lambda: self._app.control.fire(task_id, event))

    def set_script(self, task_id: str, *events: str) -> TaskView:
        """Say which remote events a task takes by itself from here, in order. Raises as `fire`, never illegal."""
        return self._ask(lambda: self._app.control.set_script(task_id, list(events)))

    def fault(self, kind: FaultKind | str, **fields: Any) -> None:
        """Arm a fault; `fields` are those of `CallFault`.

        Raises:
            UnknownName: no such kind.
            ValueError: (pydantic's) a field that is wrong, or a command or method that no call has.
        """
        fault = CallFault(kind=fault_kind(FaultKind, kind), **fields)
        self._ask(lambda: self._app.control.faults.arm(fault))

    def faults(self) -> list[CallFault]:
        """Return the faults that are still armed."""
        return self._ask(self._app.control.faults.armed)

    def clear_faults(self) -> None:
        """Disarm every fault."""
        self._ask(self._app.control.faults.clear)

    def calls(self) -> list[RecordedCall]:
        """Return every call seen so far, oldest first; control calls are not among them."""
        return self._ask(lambda: list(self._app.control.call_log))

    def set_webhook(self, url: str, *, secret: str, **fields: Any) -> None:
        """Send every change of a task's status there from now on, a ping first; `fields` are those of `Webhook`.

        Raises:
            ValueError: (pydantic's) no URL, or an empty secret.
        """
        webhook = Webhook.model_validate({"url": url, "secret": secret, **fields})
        self._ask(lambda: self._app.control.webhooks.set(webhook))

    def clear_webhook(self) -> None:
        """Send no more webhooks."""
        self._ask(lambda: self._app.control.webhooks.set(None))

    def webhook_fault(self, kind: WebhookFaultKind | str, **fields: Any) -> None:
        """Arm a mishap; `fields` are those of `WebhookFault`.

        Raises:
            UnknownName: no such kind.
            ValueError: (pydantic's) a field that is wrong, or a status that no webhook tells.
        """
        fault = WebhookFault(kind=fault_kind(WebhookFaultKind, kind), **fields)
        self._ask(lambda: self._app.control.webhooks.faults.arm(fault))

    def webhooks(self) -> list[SentWebhook]:
        """Return every webhook so far with its attempts, oldest first."""
        return self._ask(lambda: list(self._app.control.webhooks.messages()))

    def advance(self, seconds: float) -> None:
        """Put the clock forward: whatever would have happened in that time happens now."""
        self._ask(lambda: self._app.control.advance(seconds))

    def reset(self) -> None:
        """Forget every task, fault, call and webhook."""
        self._ask(self._app.control.reset)

    def _server(self) -> _Running:
        if self._running is None:
            raise EmulatorNotRunning("the emulator is not running; start it with `with` or `start()`")
        return self._running

    def _ask(self, question: Callable[[], T]) -> T:
        return self._server().ask(question)


class _Running:
    """A uvicorn server in a thread, with an event loop of its own that owns the world."""

    def __init__(self, app: EmulatorApp, port: int) -> None:
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(app)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"emulator-{self.port}", daemon=True)
        self._thread.start()
        if not self._is_up.wait(START_TIMEOUT_S):
            self.stop()
            raise EmulatorNotRunning(f"the emulator did not come up within {START_TIMEOUT_S} s")

    def ask(self, question: Callable[[], T]) -> T:
        """Ask a question in the thread that owns the world."""

        async def answer() -> T:
            return question()

        assert self._loop is not None, "the loop is there once the server is up"
        return asyncio.run_coroutine_threadsafe(answer(), self._loop).result()

    def stop(self) -> None:
        """End the server and its thread."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._is_up.set)
        await self._server.serve(sockets=[self._socket])


def serve(
    *,
    port: int = 8787,
    pace_s: float = 1.0,
    manual: bool = False,
    lifecycles: Mapping[str, Lifecycle[Any, Any]] | None = None,
    api_key: str | None = None,
    webhook: Webhook | None = None,
    on_start: Callable[[str], None] | None = None,
) -> None:
    """Run the emulator on 127.0.0.1 until the process is interrupted (Ctrl-C), then return.

    Args:
        port: 0 takes a free one.
        on_start: told the base URL once the port is taken.
        pace_s, manual, lifecycles, api_key, webhook: as for `create_app`.
    Raises:
        OSError: the port is taken.
    """
    app = create_app(pace_s=pace_s, manual=manual, lifecycles=lifecycles, api_key=api_key, webhook=webhook)
    with _listen(port) as listening:
        if on_start is not None:
            on_start(f"http://{HOST}:{listening.getsockname()[1]}")
        with suppress(KeyboardInterrupt):  # uvicorn has ended in good order, and passes it on
            _Server(app).run(sockets=[listening])


def _listen(port: int) -> socket.socket:
    # With the protocol named, asyncio switches Nagle's algorithm off; without, each answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening


class _Server(uvicorn.Server):
    """uvicorn, which ends at once also where a fault delays a call."""

    def __init__(self, app: EmulatorApp) -> None:
        super().__init__(_config(app))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.middleware.release()
        await super().shutdown(sockets)


def _config(app: EmulatorApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # the user's own logging stays as it is
        log_level="warning",
        proxy_headers=False,
        access_log=False,  # the emulator's own record says more, and a log line a call halves its speed
        lifespan="on",
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
