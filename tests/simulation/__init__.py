"""The pure protocol under a seeded scheduler: many tasks, several workers, and everything that can go wrong.

    storage.py      what is kept while workers die: journals on simulated time
    promises.py     what must hold of every schedule, each under its name
    scheduler.py    who does what next, and what becomes of it

A seed is a schedule. `python -m tests.simulation SEED` prints it step by step, up to the promise
that it breaks, if it breaks any; with the URL of a new database after it, on the durable journal.
"""
