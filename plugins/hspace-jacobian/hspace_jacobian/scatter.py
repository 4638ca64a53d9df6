"""Principal components of rows that are seen a batch at a time."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor

ROUNDING = 1e-6
"""What is smaller than this, of what it is a part of, is the rounding of networks in single precision."""
KEEP = 256
"""How many rows are kept of what was seen; up to twice as many are held until they are condensed."""


class Scatter:
    """The scatter sum (row - mean)(row - mean)' of rows (n, m), in float64, without a matrix of m x m.

    It is kept as a factor F (r, m) with F'F = scatter, r <= 2 KEEP: exact until so many rows were seen, and after that
    without what is beyond the KEEP leading directions; `dropped` is the part of the trace `total` that this cost.
    Source: the incremental SVD with a moving mean of Ross et al., IJCV 77, 2008.
    """

    def __init__(self, keep: int = KEEP) -> None:
        self.keep = keep
        self.n = self.groups = 0
        self.total = self.dropped = 0.0
        self._mean = torch.zeros(0, dtype=torch.float64)
        self._factor = torch.zeros(0, 0, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Adds rows (b, m), about the mean of all that were added."""
        rows = rows.detach().double().cpu()
        b, mean = len(rows), rows.mean(dim=0)
        own = rows - mean
        if self.n:
            apart = mean - self._mean
            own = torch.cat([own, sqrt(self.n * b / (self.n + b)) * apart[None]])
            mean = self._mean + b / (self.n + b) * apart
        self._mean, self.n, self.groups = mean, self.n + b, 1
        self._append(own)

    def join(self, other: Scatter) -> None:
        """Adds the scatter of other rows, which stay about their own mean; nothing can be added to it afterwards."""
        self.n, self.groups = self.n + other.n, self.groups + other.groups
        self.dropped += other.dropped
        self.total += other.dropped
        self._append(other._factor)

    def components(self, k: int) -> tuple[Tensor, Tensor]:
        """(unit components (k', m), the standard deviations (k',) along them), largest first, k' <= k not null.

        A standard deviation is sqrt(scatter / (n - 1)), with one degree of freedom less for each mean.
        """
        _, S, Vh = torch.linalg.svd(self._factor, full_matrices=False)
        k = min(k, int((ROUNDING * S[:1] < S).sum()))
        return Vh[:k], S[:k] / sqrt(self.n - self.groups)

    @property
    def variance(self) -> float:
        """The sum of the variances of all coordinates."""
        return self.total / (self.n - self.groups)

    def _append(self, rows: Tensor) -> None:
        self.total += float(rows.square().sum())
        self._factor = torch.cat([self._factor.reshape(-1, rows.shape[1]), rows])
        if len(self._factor) > 2 * self.keep:
            _, S, Vh = torch.linalg.svd(self._factor, full_matrices=False)
            self.dropped += float(S[self.keep :].square().sum())
            self._factor = S[: self.keep, None] * Vh[: self.keep]
