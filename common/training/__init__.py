"""What a training loop needs beside the loop: batches, a clock, a log, signals, and the run's folder."""
