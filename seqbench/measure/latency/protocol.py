"""The constants of the latency protocol (docs/measuring.md). Importing it imports no torch."""

from __future__ import annotations

#: Target duration of a block: short, so that blocks interleave closely, but long compared with the
#: resolution of the clock.
BLOCK_SECONDS = 0.01

MIN_CALLS, MAX_CALLS = 3, 200

#: With lengths as in the data, a block has whole cycles of calls with different sequences: all that
#: the test split has, or this many that represent them. More would make blocks of slow models long.
MAX_CYCLE = 16

#: The same for training steps, which take longer.
MAX_TRAINING_CYCLE = 8

#: Warm-up continues until the medians of two successive groups of ten calls agree to within this
#: fraction, up to this multiple of the minimum time.
STEADY, MAX_WARM_UP = 0.05, 5

MIN_WARM_UP_CALLS = 10

#: Pause after a block with several threads, which spin for a moment and would disturb the next one.
SETTLE_SECONDS = 0.005

#: Minimum number of rounds per process, however short the budget.
MIN_ROUNDS = 3

#: Precision is checked only after this many processes per case.
MIN_PROCESSES = 5

#: Fraction of the time budget for throughput windows, at the largest batch size.
WINDOW_FRACTION = 0.2
