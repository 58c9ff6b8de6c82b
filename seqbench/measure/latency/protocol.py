"""The constants of the latency protocol (docs/measuring.md). Importing this costs no torch."""

from __future__ import annotations

#: A block should last this long: short enough for many turns, long against the clock.
BLOCK_SECONDS = 0.01

LEAST_CALLS, MOST_CALLS = 3, 200

#: Warm-up goes on until the medians of two successive tens agree this well, or for so many times
#: the least time.
STEADY, MOST_WARM_UP = 0.05, 5

LEAST_WARM_UP_CALLS = 10

#: Threads that a block has used still spin for a moment, and would disturb the next block.
SETTLE_SECONDS = 0.005

#: However short the budget, each process takes part in so many rounds.
LEAST_ROUNDS = 3

#: So many processes of each case there are before precision is looked at.
LEAST_PROCESSES = 5

#: Share of the time budget that goes into windows for throughput, at the largest batch.
WINDOW_SHARE = 0.2
