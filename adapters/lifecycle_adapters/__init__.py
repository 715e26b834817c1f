"""Everything that touches the world: HTTP, an emulator, pictures, machines, the command line.

Each adapter is imported by its own name and needs the extra of that name; this package
re-exports nothing, so that importing one adapter never asks for another's dependencies.
"""

from __future__ import annotations

import logging

# Log records carry facts beside a short text, so a program that has not configured logging prints none of them.
logging.getLogger("lifecycle_adapters").addHandler(logging.NullHandler())
