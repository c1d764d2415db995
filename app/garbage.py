"""When the garbage collector runs: seldom, since a connection that goes leaves it nothing.

A full pass looks at every object of every connection, 70 of them each: at 10,000 connections it
stops the loop for 0.4 s (measured, benchmarks/README.md), and by default a storm of
reconnections brings on several. Here connections are freed by counting references alone, which
`tests/test_garbage.py` proves; so a full pass has next to nothing to find, and may wait.

What it trades: a reference cycle among old objects, should a library make one for each client,
is freed only after tens of millions of further allocations.
"""

from __future__ import annotations

import gc

# Allocations less deallocations that bring on a pass over the young: 10,000 objects, some 5 ms.
YOUNG = 10_000
# Passes over the young that bring on one over the middle-aged, and of those that bring on a full.
MIDDLE, FULL = 5, 1_000


def calm() -> None:
    """Leave what was made at start-up out of all passes, and make full ones rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, FULL)
