"""`python -m adapters.cli` is the command `lifecycle`."""

from __future__ import annotations

from adapters.cli import main

main()
