"""A service of one's own, declared in one file: the commands work on it as on the built-in ones."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.adapters.cli.commands import call, call_json
from tests.adapters.http.scripted import Reply, ScriptedServer, Seen
from tests.support.packages import ROOT

KEY = "a-desk-key-that-is-long"
FILE = str(ROOT / "examples" / "services" / "print-job.yaml")


class Printer:
    """The printer of the file. Its jobs stay where they are unless they are cancelled."""

    def __init__(self) -> None:
        self.jobs: dict[str, str] = {}

    def __call__(self, seen: Seen) -> Reply:
        if seen.headers.get("x-key") != KEY:
            return Reply(status=401, body={"error": "whose desk is this?"})
        match [seen.method, *seen.path.strip("/").split("/")]:
            case ["POST", "jobs"] if seen.json.keys() == {"text"}:
                number = str(len(self.jobs) + 1)
                self.jobs[number] = "waiting"
                return self.view(number)
            case ["GET", "jobs"]:
                return Reply(body={"jobs": [] if "page=2" in seen.query else [*map(self.document, self.jobs)]})
            case ["GET", "jobs", number] if number in self.jobs:
                return self.view(number)
            case ["DELETE", "jobs", number] if number in self.jobs:
                self.jobs[number] = "cancelled"
                return self.view(number)
            case _:
                return Reply(status=404, body={"error": "no such job"})

    def document(self, number: str) -> dict[str, str]:
        return {"id": number, "status": self.jobs[number]}

    def view(self, number: str) -> Reply:
        return Reply(body=self.document(number))


@pytest.fixture
def server() -> Generator[ScriptedServer]:
    with ScriptedServer(Printer()).running() as running:
        yield running


def test_every_command_works_on_a_service_that_a_file_declares(server: ScriptedServer, tmp_path: Path) -> None:
    env = {"PRINTER_KEY": KEY, "LIFECYCLE_BASE_URL": server.base_url, "LIFECYCLE_JOURNAL": str(tmp_path / "j.db")}
    created = call("create", "--api", FILE, "my letter", env=env)
    assert (created.exit_code, created.stdout) == (0, "1\n")
    assert server.seen[-1].json == {"text": "my letter"}
    assert call("status", "--api", FILE, "1", env=env).stdout == "waiting\n"
    assert call("send", "--api", FILE, "1", "cancel", env=env).stdout == "cancelled\n"
    assert call("wait", "--api", FILE, "1", env=env).stdout == "cancelled\n"
    assert '"cancelled"' in call("watch", "--api", FILE, "1", "--json", env=env).stdout
    assert call("recover", "--api", FILE, env=env).exit_code == 0
    assert [call for call in server.calls if not call.startswith("GET")] == ["POST /jobs", "DELETE /jobs/1"]
    assert call_json("tasks", env=env)["tasks"][0]["lifecycle"] == "print-job"
    assert call("history", "--lifecycle", "print-job", "1", env=env).exit_code == 0


def test_lifecycle_of_a_services_file_is_named_like_others(server: ScriptedServer) -> None:
    env = {"PRINTER_KEY": KEY, "LIFECYCLE_BASE_URL": server.base_url}
    call("create", "--api", FILE, "my letter", env=env)

    for command in ("status 1", "send 1 cancel", "watch 1"):
        named = call(*command.split(), "--api", FILE, "--lifecycle", "print-job", env=env)
        misspelt = call(*command.split(), "--api", FILE, "--lifecycle", "print-jobs", env=env)
        assert named.exit_code == 0
        assert (misspelt.exit_code, misspelt.stdout) == (2, "")
        assert "unknown lifecycle 'print-jobs'; did you mean 'print-job'?" in misspelt.stderr


def test_served_lifecycle_of_a_services_file_is_named_like_others() -> None:
    serve = ("serve", "--api", FILE, "--lifecycle")

    assert "unknown lifecycle 'v9'" in call(*serve, "printer=print-job", "--lifecycle", "v1=v9").stderr
    assert "did you mean 'print-job'?" in call(*serve, "printer=print-jobs").stderr


def test_a_parameter_of_the_paths_is_an_option(server: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    text = (ROOT / "examples" / "services" / "print-job.yaml").read_text()
    file.write_text(text.replace('base_path: ""', 'base_path: "/{desk}"\nparameters: [desk]'))
    answer = server.script

    def at_the_front_desk(seen: Seen) -> Reply:
        return answer(replace(seen, path=seen.path.removeprefix("/front")))

    server.script = at_the_front_desk
    env = {"PRINTER_KEY": KEY, "LIFECYCLE_BASE_URL": server.base_url, "LIFECYCLE_JOURNAL": str(tmp_path / "j.db")}
    given = ("--api", str(file), "--parameter", "desk=front")
    assert call("create", *given, "my letter", env=env).stdout == "1\n"
    assert call("status", *given, "1", env=env).stdout == "waiting\n"
    assert call("send", *given, "1", "cancel", env=env).stdout == "cancelled\n"
    assert call("wait", *given, "1", env=env).stdout == "cancelled\n"
    assert '"cancelled"' in call("watch", *given, "1", "--json", env=env).stdout
    assert call("recover", *given, env=env).exit_code == 0
    assert {seen.path.split("/")[1] for seen in server.seen} == {"front"}
    assert call_json("tasks", env=env)["tasks"][0]["lifecycle"] == "print-job[front]"
    assert call("journal", "check", "--declaration", str(file), env=env).exit_code == 0
    for name in ("print-job[front]", "print-job"):
        assert [task["task_id"] for task in call_json("tasks", "--lifecycle", name, env=env)["tasks"]] == ["1"]
        assert call("history", "1", "--lifecycle", name, env=env).exit_code == 0
    [log] = {call("journal", "export", name, env=env).stdout for name in ("print-job[front]", "print-job", str(file))}
    assert '"cancelled"' in log
    assert call("journal", "forget", "1", "--lifecycle", "print-job", env=env).stdout == "1\n"

    lacking = call("status", "--api", str(file), "1", env=env)
    assert (lacking.exit_code, "'desk' is missing" in lacking.stderr) == (2, True)
    odd = call("status", "--api", str(file), "--parameter", "desk", "1", env=env)
    assert (odd.exit_code, "a parameter is NAME=TEXT, not 'desk'" in odd.stderr) == (2, True)


def test_a_line_says_that_the_real_service_is_retired(server: ScriptedServer, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    text = (ROOT / "examples" / "services" / "print-job.yaml").read_text()
    file.write_text(
        text.replace("http://printer.invalid", server.base_url)
        + '\nretired: {since: "2026-08", instead: the printer upstairs}\n'
    )
    said = call("create", "--api", str(file), "my letter", env={"PRINTER_KEY": KEY})
    assert said.stdout == "1\n"
    sentence = "'printer' has been retired since 2026-08; use the printer upstairs instead"
    assert said.stderr.splitlines()[0] == f"warning: {sentence}"
    assert said.stderr.count("retired") == 1
    elsewhere = server.base_url.replace("127.0.0.1", "localhost")
    assert (
        "retired"
        not in call("status", "--api", str(file), "1", "--base-url", elsewhere, env={"PRINTER_KEY": KEY}).stderr
    )


def test_illegal_command_is_not_sent(server: ScriptedServer) -> None:
    env = {"PRINTER_KEY": KEY, "LIFECYCLE_BASE_URL": server.base_url}
    server.script.jobs["7"] = "printed"  # type: ignore[attr-defined]
    refused = call("send", "--api", FILE, "7", "cancel", env=env)
    assert refused.exit_code == 1
    assert "'cancel' is not allowed in 'printed'" in refused.stderr
    assert not server.commands


def test_a_lifecycle_is_taken_from_the_file_of_its_service(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("task_id,at,status\n1,2026-01-01T00:00:00Z,waiting\n1,2026-01-01T00:01:00Z,cancelled\n")
    assert call("check", FILE, str(log)).exit_code == 0
    assert "cancelled" in call("show", FILE).stdout


@pytest.mark.parametrize("command", [("show",), ("check", "log.csv"), ("drift", "api.json")])
def test_misspelt_lifecycle_of_a_service_is_named(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(Path(FILE).read_text().replace("\nlifecycle:", "\nlifecycel:"))

    result = call(command[0], str(file), *command[1:])

    assert result.exit_code == 2
    assert "there is no such field; did you mean 'lifecycle'?" in result.stderr
    assert "states" not in result.stderr


def test_key_of_its_own_variable_goes_to_its_own_server_alone(server: ScriptedServer) -> None:
    refused = call("status", "--api", FILE, "1", "--base-url", "http://elsewhere.invalid", env={"PRINTER_KEY": KEY})
    assert refused.exit_code == 2
    assert "the one in PRINTER_KEY is for http://printer.invalid" in refused.stderr


def test_unknown_service_error_proposes_a_file() -> None:
    refused = call("status", "--api", "printr", "1")
    assert refused.exit_code == 2
    assert "for a service of your own, give the file that declares it, such as ./mine.yaml" in refused.stderr


@pytest.mark.parametrize("text", ["x: 3", "lifecycle: {}", "[]"])
def test_file_that_is_not_sound_is_refused_with_its_findings(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    refused = call("status", "--api", str(path), "1")
    assert refused.exit_code == 2
    assert "is not sound" in refused.stderr
    assert "Traceback" not in refused.stderr
