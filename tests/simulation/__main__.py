"""Print one schedule: `python -m tests.simulation SEED`, or `SEED URL` for a journal in a new database."""

from __future__ import annotations

import sys
from functools import partial

from tests.simulation.scheduler import Parts, Simulation
from tests.simulation.storage import Sql

seed, *urls = sys.argv[1:]
Simulation(int(seed), Parts(keep=partial(Sql, url=urls[0])) if urls else Parts(), log=print).run()
