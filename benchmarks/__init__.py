"""Benchmarks against the tools that one would use instead. `make bench` prints one table; README.md explains it.

Each module but `measure`, `servers` and `table` is a subject: its function `rows` measures and returns rows
of the table. None is a test: a time also depends on the machine, so a missed target is printed, and nothing fails.
"""
