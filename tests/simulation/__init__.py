"""A deterministic simulation of the pure protocol: many tasks, several workers, and every kind of failure.

    storage.py      journals on simulated time, which outlive their workers
    invariants.py   the invariants of every schedule, and the witness that checks them
    scheduler.py    the seeded choice of the next step and of its outcome

A seed determines a schedule. `python -m tests.simulation SEED` prints it step by step, up to the first violated
invariant. `python -m tests.simulation SEED URL` runs it on the durable journal in a new database.
"""
