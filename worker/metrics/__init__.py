"""What can be counted and how it is served: `declared` has every metric, `docs/metrics.md` says how to read them."""

from worker.metrics import sharing

# Before the first metric is made: each decides then whether it counts in memory or in a file its siblings share.
sharing.begin()
