"""Mean and variance of rows that need not fit in memory."""

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]


class Welford:
    """Running mean and variance of rows [n, C], merged batch by batch in float64 (Chan et al. 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Rows = np.zeros(1)
        self.squares: Rows = np.zeros(1)

    def add(self, rows: Rows) -> None:
        """Add a batch of rows."""
        count, mean = len(rows), rows.mean(0)
        total, difference = self.count + count, mean - self.mean
        self.squares = self.squares + ((rows - mean) ** 2).sum(0) + difference**2 * self.count * count / total
        self.mean = self.mean + difference * count / total
        self.count = total

    @property
    def std(self) -> Rows:
        """Population standard deviation."""
        return np.sqrt(self.squares / self.count)
