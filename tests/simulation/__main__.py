"""Print one schedule, step by step: `python -m tests.simulation SEED`."""

from __future__ import annotations

import sys
from functools import partial

from tests.simulation.scheduler import Simulation

Simulation(int(sys.argv[1]), tell=partial(print, flush=True)).run()
