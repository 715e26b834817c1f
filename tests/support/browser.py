"""A real headless Chromium for tests of pages; it records a page's log, requests and errors.

The browser is the machine's own, the one that $CHROMIUM names or that is on the PATH: nothing is downloaded.
Playwright drives it and is imported only here; `make test-all` installs it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Dialog, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

# No sandbox, because CI runs as root in a container; none of the requests that a browser makes by itself.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class NoBrowser(Exception):
    """This machine has no browser; the message names a remedy."""


@dataclass
class Visit:
    """An open page, with its log, requests and errors since it was opened."""

    page: Page
    requests: list[str] = field(default_factory=list[str])
    console: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])
    dialogs: list[str] = field(default_factory=list[str])

    def refuse(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def ask(self, script: str) -> Any:
        """Evaluate an expression of JavaScript in the page."""
        return self.page.evaluate(script)


class Chromium:
    """The browser; each visit has a fresh profile and no network."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextmanager
    def visit(self, path: Path, *, scheme: Literal["light", "dark"] = "light", width: int = 1200) -> Generator[Visit]:
        """Open a file, wait until it is loaded, and close it afterwards."""
        context = self._browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True)
        page = context.new_page()
        visit = Visit(page)
        page.on("request", lambda request: visit.requests.append(request.url))
        page.on("console", lambda message: visit.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: visit.errors.append(str(error)))
        page.on("dialog", visit.refuse)
        page.goto(path.as_uri())
        yield visit
        context.close()


@contextmanager
def chromium() -> Generator[Chromium]:
    """Start the browser, and stop it afterwards.

    Raises:
        NoBrowser: none is installed.
    """
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise NoBrowser(f"none of {', '.join(NAMES)} is on the PATH, and $CHROMIUM names none")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        try:
            yield Chromium(browser)
        finally:
            browser.close()
