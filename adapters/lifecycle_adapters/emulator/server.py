"""The emulator as a server on 127.0.0.1, in a thread of this process or in the foreground.

It listens on the loopback interface only, because its control calls need no key.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Self, TypeVar

import uvicorn

from lifecycle import Lifecycle
from lifecycle.errors import AdapterError
from lifecycle_adapters.argument_checks import require, require_function, require_number
from lifecycle_adapters.emulator.application import EmulatorApp, create_app
from lifecycle_adapters.emulator.control import Control
from lifecycle_adapters.emulator.profile import Profile
from lifecycle_adapters.emulator.pushed_messages import Webhook
from lifecycle_adapters.http.binding import HttpBinding

HOST = "127.0.0.1"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 1
"""Seconds that running calls may delay the server's shutdown."""

T = TypeVar("T")


class EmulatorNotRunning(AdapterError):
    """The emulator was not started, could not be started, or was stopped."""


class Emulator(Control):
    """An emulator in a thread of this process; start it with `with`, with `start` and `stop`, or with `serve`.

        with Emulator(PRINTER, pace_s=0.05) as emulator:
            client = Client(PRINTER, base_url=emulator.base_url, api_key="any")

    Every method can be called from any thread; those that act on the running emulator raise EmulatorNotRunning if there
    is none.

    Args:
        apis: the services to emulate, by their names or bindings; none for all built-in ones. The service of the
            sessions that tasks run in is added.
        pace_s: seconds that a task stays in each state before its script's next event, 0 or more.
        manual: if true, tasks run no script and change by commands and control calls only.
        lifecycles: the lifecycle of each service's tasks, by the service's name: `{"printer": MINIMAL}`; default: its
            own.
        profiles: the behaviour of a service beyond its binding, by its name; built-in ones have their own.
        api_key: the only valid key; if omitted, every key that is not empty is valid.
        webhook: receiver of status changes; if omitted, no webhook is sent.
        port: the port to listen on, 0 to 65535; 0 chooses a free one.
    Raises:
        UnknownName: `apis`, `lifecycles` or `profiles` names an unknown service.
        TypeError: a service is neither a name nor a binding, or another argument has the wrong type.
        ValueError: the key is empty or no header can carry it, the port is out of range, the pace is negative or not
            finite, a lifecycle has a state or a command that its service does not have, two services have a name or a
            call in common, or a binding has a `state_of` and no profile whose `statuses` cover each state.
    """

    def __init__(
        self,
        *apis: str | HttpBinding[Any, Any],
        pace_s: float = 1.0,
        manual: bool = False,
        lifecycles: Mapping[str, Lifecycle[Any, Any]] | None = None,
        profiles: Mapping[str, Profile] | None = None,
        api_key: str | None = None,
        webhook: Webhook | None = None,
        port: int = 0,
    ) -> None:
        require_number(port, "port", kind=int, at_least=0, at_most=65_535)
        self._app = create_app(
            *apis,
            pace_s=pace_s,
            manual=manual,
            lifecycles=lifecycles,
            profiles=profiles,
            api_key=api_key,
            webhook=webhook,
        )
        super().__init__(self._app.control.parts)
        self._port = port
        self._running: _Running | None = None

    def start(self) -> Self:
        """Start the server and return once it accepts requests.

        Raises:
            OSError: the port is in use.
            EmulatorNotRunning: the server is already running, or did not start within 30 s.
        """
        if self._running is not None:
            raise EmulatorNotRunning("the emulator is running already")
        self._running = _Running(self._app, self._port)
        return self

    def stop(self) -> None:
        """Stop the server and its thread. Its tasks are kept for the next start."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def serve(self, on_start: Callable[[str], None] | None = None) -> None:
        """Run the server until Ctrl-C interrupts this thread, or another one calls `stop`; then stop it and return.

        Args:
            on_start: called with the base URL once the server accepts requests.
        Raises:
            OSError: the port is in use.
            TypeError: `on_start` cannot be called.
            EmulatorNotRunning: the server is already running, or did not start within 30 s.
        """
        require_function(on_start, "on_start", "the base URL")
        with suppress(KeyboardInterrupt), self:
            running = self._server()
            if on_start is not None:
                on_start(self.base_url)
            running.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """The server's URL, `http://127.0.0.1:PORT`, without a trailing slash.

        Raises EmulatorNotRunning if the emulator is not running.
        """
        return f"http://{HOST}:{self._server().port}"

    def api_url(self, api: str) -> str:
        """Return the URL of one API: the server's with the API's base path.

        Raises:
            UnknownName: the emulator has no API with this name.
            TypeError: `api` is not text.
            EmulatorNotRunning: the emulator is not running.
        """
        return self.base_url + self.parts.calls.binding(api).base_path

    def _server(self) -> _Running:
        if self._running is None:
            raise EmulatorNotRunning("the emulator is not running; start it with `with` or `start()`")
        return self._running

    def carry_out(self, call: Callable[[], T]) -> T:
        """Call a function in the server's event loop, and return its result.

        Raises EmulatorNotRunning if the emulator is not running, TypeError if `call` cannot be called.
        """
        require(call, Callable, "call must be a function without parameters")
        return self._server().call(call)


class _Running:
    """A uvicorn server in a thread, whose event loop owns the task store."""

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
            raise EmulatorNotRunning(f"the emulator did not start within {START_TIMEOUT_S} s")

    def call(self, function: Callable[[], T]) -> T:
        """Call a function in the server's event loop and return its result."""
        # Not a coroutine: if a signal interrupted this method before the loop had it, Python would warn of it.
        called: Future[T] = Future()

        def run() -> None:
            try:
                called.set_result(function())
            except BaseException as error:  # noqa: BLE001 (it is raised below, in the thread that called)
                called.set_exception(error)

        assert self._loop is not None, "the loop exists once the server has started"
        self._loop.call_soon_threadsafe(run)
        return called.result()

    def wait(self) -> None:
        """Wait until the server has stopped."""
        while self._thread.is_alive():
            self._thread.join(1.0)  # on Windows, Ctrl-C does not interrupt a wait without a limit

    def stop(self) -> None:
        """Stop the server and its thread."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._is_up.set)
        await self._server.serve(sockets=[self._socket])


def _listen(port: int) -> socket.socket:
    # asyncio disables Nagle's algorithm only if the socket names its protocol; otherwise each response takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        error.filename = f"{HOST}:{port}"  # the system's error does not name what is in use
        raise
    return listening


class _Server(uvicorn.Server):
    """A uvicorn server that shuts down at once even if a fault delays a call."""

    def __init__(self, app: EmulatorApp) -> None:
        super().__init__(_config(app))
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.middleware.release()
        self._app.control.parts.webhooks.end_streams()
        await super().shutdown(sockets)


def _config(app: EmulatorApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,  # leave the user's logging configuration unchanged
        log_level="warning",
        proxy_headers=False,
        access_log=False,  # the call log holds more, and one log line per call halves the speed
        lifespan="on",
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
