"""Benchmarks against the tools that one would use instead. `make bench` prints one table; README.md explains it.

Each module but `measure`, `servers` and `table` is a subject: its `rows` measures and returns rows of the table. Never
a test: a time is a property of a machine too, so a missed target is printed and fails nothing.
"""
