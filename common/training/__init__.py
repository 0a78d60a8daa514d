"""The training loop, and what it needs: batches, a clock, a log, signals, the run's folder."""
