"""How long a soak lasts, and from which seed: `KEYTURN_SOAK=600s KEYTURN_SOAK_SEED=7 pytest -m soak`."""

import os
import time

from durationpy import from_str

SOAK_S = from_str(os.environ.get("KEYTURN_SOAK", "30s")).total_seconds()
SEED = int(os.environ.get("KEYTURN_SOAK_SEED", 0)) or time.time_ns() % 1_000_000
ROOM_S = 240
"""For everything that is not the attack itself, on a busy machine."""
