"""`python -m lifecycle_adapters.cli` is the command `lifecycle`."""

from __future__ import annotations

from lifecycle_adapters.cli import main

main()
