"""Work on many samples, a batch at a time."""
import numpy as np
from tqdm import tqdm


def batches_of(num, batch_size):
    """The indices 0 to num - 1 in batches, a list of arrays."""
    return [np.arange(start, min(start + batch_size, num)) for start in range(0, num, batch_size)]


def in_batches(work, num, batch_size, title):
    """Call work(indices) -> (len(indices), ...) on 0 to num - 1 in batches; returns one array (num, ...)."""
    bar = tqdm(batches_of(num, batch_size), desc=title, unit="batch", leave=False, disable=None)  # not in a log file
    return np.concatenate([work(indices) for indices in bar])
