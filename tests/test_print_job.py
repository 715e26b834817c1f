"""The print job of the examples against a service that knows nothing of this project: a small program with FastAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Query
from pydantic import BaseModel

from lifecycle import CommandRefused, IllegalTransition
from lifecycle_adapters.http import Client, Timing
from tests.adapters.cli.commands import call
from tests.support.examples import EXAMPLES, FOLDER
from tests.support.serving import served

KEY = "the-key-of-the-printer"
FILE = str(FOLDER / "print-job.yaml")


class Job(BaseModel):
    """A document to print."""

    text: str


class Printer:
    """A printer: its jobs, and what it does about them by itself."""

    def __init__(self) -> None:
        self.jobs: dict[int, str] = {}
        self.is_stuck = False  # it then refuses to cancel

    def finish(self) -> None:
        """Print everything that waits or is being printed."""
        self.jobs = {
            job: "printed" if status in ("waiting", "printing") else status for job, status in self.jobs.items()
        }


def printing_service(printer: Printer) -> FastAPI:
    def authenticated(x_key: Annotated[str, Header()] = "") -> None:
        if x_key != KEY:
            raise HTTPException(401, "whose printer is this?")

    app = FastAPI(dependencies=[Depends(authenticated)])

    def view(job: int) -> dict[str, Any]:
        if job not in printer.jobs:
            raise HTTPException(404, "no such job")
        return {"id": job, "status": printer.jobs[job]}

    @app.post("/jobs", status_code=201)
    def create(body: Job) -> dict[str, Any]:
        job = len(printer.jobs) + 1
        printer.jobs[job] = "waiting"
        return {**view(job), "text": body.text}

    @app.get("/jobs")
    def jobs(page: Annotated[int, Query(ge=1)] = 1) -> dict[str, Any]:
        return {"jobs": [view(job) for job in list(printer.jobs)[(page - 1) * 3 : page * 3]]}

    @app.get("/jobs/{job}")
    def read(job: int) -> dict[str, Any]:
        return view(job)

    @app.delete("/jobs/{job}", status_code=204)
    def cancel(job: int) -> None:
        if view(job)["status"] not in ("waiting", "printing") or printer.is_stuck:
            raise HTTPException(409, "it cannot be cancelled now")
        printer.jobs[job] = "cancelled"

    return app


@pytest.fixture
def printer() -> Printer:
    return Printer()


@pytest.fixture
def url(printer: Printer) -> Iterator[str]:
    with served(printing_service(printer)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client[str, str]]:
    timing = Timing(poll_s=0.01, longest_poll_s=0.02, settle_timeout_s=0.2, longest_retry_s=0.01)
    with Client(EXAMPLES["print-job"], api_key=KEY, base_url=url, timing=timing) as client:
        yield client


def test_job_is_printed(client: Client[str, str], printer: Printer) -> None:
    job = client.create("a letter")
    assert (job.id, job.status()) == ("1", "waiting")
    printer.finish()
    assert job.wait().state == "printed"
    with pytest.raises(IllegalTransition, match="'cancel' is not allowed in 'printed'; 'printed' is final"):
        job.send("cancel")


def test_job_is_cancelled(client: Client[str, str], printer: Printer) -> None:
    job = client.create("a letter")
    assert job.send("cancel").state == "cancelled"
    assert job.send("cancel").sent is False
    assert printer.jobs == {1: "cancelled"}


def test_refusal_of_a_stuck_printer(client: Client[str, str], printer: Printer) -> None:
    job = client.create("a letter")
    printer.is_stuck = True
    with pytest.raises(
        CommandRefused, match=r"'cancel' was refused in 'waiting': .*HTTP 409: it cannot be cancelled now"
    ):
        job.send("cancel")


def test_jobs_are_listed_over_several_pages(client: Client[str, str]) -> None:
    made = [client.create(f"letter {number}").id for number in range(7)]
    assert [each.id for each in client.list()] == made


def test_print_job_works_from_the_command_line(url: str, printer: Printer) -> None:
    env = {"LIFECYCLE_BASE_URL": url, "PRINTER_KEY": KEY}
    made = call("create", "--api", FILE, "a letter", env=env).stdout.strip()
    assert made == "1"
    assert call("status", "--api", FILE, made, env=env).stdout == "waiting\n"
    assert call("send", "--api", FILE, made, "cancel", env=env).exit_code == 0
    assert printer.jobs == {1: "cancelled"}
    assert call("wait", "--api", FILE, made, env=env).stdout == "cancelled\n"
