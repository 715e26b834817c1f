"""The demo `lifecycle demo` as a program to read: python examples/demo.py

It starts an emulator of the service in this process, and drives tasks of v1 and v3 over real HTTP.
"""

from lifecycle import IllegalTransition
from lifecycle_adapters.emulator import Emulator
from lifecycle_adapters.http import Client, Timing


def main() -> None:
    """Drive three tasks, and print what happens."""
    with Emulator(manual=True) as service:

        def client(api: str) -> Client:
            return Client(api, base_url=service.base_url, api_key="any", timing=Timing(poll_s=0.1))

        with client("v1") as v1, client("v3") as v3:
            print("A task is paused, resumed and stopped.")
            task = v1.create("Buy milk")
            service.fire(task.id, "start")
            print(" ", task.pause().state, task.resume().state, task.stop().state)

            print("An illegal command is refused, and no request is sent.")
            calls = len(service.calls())
            try:
                task.resume()
            except IllegalTransition as error:
                print(" ", error.reason, "- requests:", len(service.calls()) - calls)

            print("The response to a stop is lost. The stop took effect, and is sent once.")
            task = v1.create("Buy bread")
            service.fault("drop_after", command="stop")
            print(" ", task.stop().state, "- stops:", stops(service, task.id))

            print("The service is overloaded. The stop waits as asked, and is sent again.")
            task = v1.create("Buy eggs")
            service.fault("status", command="stop", status_code=429, headers={"Retry-After": "0"})
            print(" ", task.stop().state, "- stops:", stops(service, task.id))

            print("A session runs a task. It is idle before and after, and only the latter ends the wait.")
            session = v3.create(keepAlive=True)
            service.fire(session.id, "ready")
            session.dispatch("Compare prices")
            result = session.wait(on_progress=lambda seen: seen.poll == 2 and service.fire(session.id, "complete"))
            print(" ", result.state, "-", result.output)

            print("The history of the first task is checked, with one row too many.")
            for finding in v1.lifecycle.check(["created", "running", "paused", "running", "stopped", "running"]):
                print(" ", finding.message)


def stops(service: Emulator, task_id: str) -> int:
    """Return how many stops of a task have arrived at the service."""
    return sum(call.command == "stop" for call in service.calls() if call.task == task_id)


if __name__ == "__main__":
    main()
