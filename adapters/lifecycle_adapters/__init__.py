"""Everything that touches the world: HTTP, an emulator, pictures, machines, the command line.

Each adapter is imported by its own name and needs the extra of that name; this package
re-exports nothing, so that importing one adapter never asks for another's dependencies.
"""

from __future__ import annotations

import logging

# What is logged has its facts beside the text, and says little on a terminal: it is for those who set logging up.
logging.getLogger("lifecycle_adapters").addHandler(logging.NullHandler())
