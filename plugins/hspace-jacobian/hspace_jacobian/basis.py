"""Orthonormal rows that grow, and what a block of rows looks like in them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

PANEL = 64
COLUMNS = 1 << 16


class Basis:
    """Rows (d, n) on one device and in one precision, in panels of PANEL rows, so that growing copies nothing."""

    def __init__(self, like: Tensor, n: int) -> None:
        self._like, self.n = like, n
        self._panels: list[Tensor] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, rows: Tensor) -> None:
        """Adds rows (b, n) at the end."""
        while len(rows):
            used = self._count % PANEL
            if not used:
                self._panels.append(self._like.new_empty(PANEL, self.n))
            part, rows = rows[: PANEL - used], rows[PANEL - used :]
            self._panels[-1][used : used + len(part)] = part
            self._count += len(part)

    def rows(self, start: int = 0, stop: int | None = None) -> Tensor:
        """The rows from `start` to `stop`, (stop - start, n)."""
        stop = self._count if stop is None else stop
        if start == stop:
            return self._like.new_empty(0, self.n)
        first, last = start // PANEL, (stop - 1) // PANEL
        rows = torch.cat(self._panels[first : last + 1]) if last > first else self._panels[first]
        return rows[start - first * PANEL : stop - first * PANEL]

    def overlaps(self, W: Tensor) -> Tensor:
        """W Qᵀ (b, d), for rows W (b, n)."""
        if not self._count:
            return W.new_empty(len(W), 0)
        return torch.cat([W @ panel.mT for _, panel in self._filled()], dim=1)

    def without(self, W: Tensor, C: Tensor) -> Tensor:
        """W - C Q (b, n), for coefficients C (b, d)."""
        for start, panel in self._filled():
            W = torch.addmm(W, C[:, start : start + len(panel)], panel, alpha=-1)
        return W

    def mix(self, P: Tensor) -> Tensor:
        """P Q (p, n), for a small matrix P (p, q) that reads the first q <= d rows."""
        P = P.to(self._like)
        out = self._like.new_zeros(len(P), self.n)
        for start, panel in self._filled():
            part = P[:, start : start + len(panel)]
            out.addmm_(part, panel[: part.shape[1]])
        return out

    def compress(self, P: Tensor) -> None:
        """Q <- P Q, for orthonormal rows P (p, d), in place and without a second basis."""
        P = P.to(self._like)
        for start in range(0, self.n, COLUMNS):
            columns = slice(start, start + COLUMNS)
            mixed = P @ torch.cat([panel[:, columns] for _, panel in self._filled()])
            for panel, part in zip(self._panels, torch.split(mixed, PANEL), strict=False):
                panel[: len(part), columns] = part
        self._count = len(P)
        del self._panels[-(-self._count // PANEL) :]

    def _filled(self) -> Iterator[tuple[int, Tensor]]:
        for index, panel in enumerate(self._panels):
            yield index * PANEL, panel[: self._count - index * PANEL]


def split(W: Tensor, Q: Basis, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """(C, R, X) with W = C Q + R X, where the rows of X are orthonormal and orthogonal to those of Q.

    W (b, n) is in the working precision, C (b, q) and R (b, r) in float64 on the CPU. Directions in which W leaves
    Q by no more than `floor` are dropped, so r <= b.

    Source: reorthogonalized block classical Gram-Schmidt, arXiv:1108.4209 (two passes reach rounding level).
    """
    C = torch.zeros(len(W), len(Q), dtype=torch.float64)
    R = torch.eye(len(W), dtype=torch.float64)
    X = W
    for _ in range(2):
        E = Q.overlaps(X)
        L, X = _lq(Q.without(X, E))
        C = C + R @ _small(E)
        R, X = _drop(R @ L, X, floor)
    return C, R, X


def orthonormal(W: Tensor, Q: Basis) -> Tensor:
    """Orthonormal rows that span what the rows of W (b, n) add to those of Q."""
    return split(W, Q, 10 * torch.finfo(W.dtype).eps * _largest_row(W))[2]


def random_rows(count: int, Q: Basis, generator: torch.Generator) -> Tensor:
    """Up to `count` random orthonormal rows orthogonal to those of Q."""
    like = Q.rows(0, 0)
    size = (min(count, Q.n - len(Q)), Q.n)
    W = torch.randn(size, generator=generator, dtype=like.dtype, device=generator.device)
    return orthonormal(W.to(like.device), Q)


def _lq(X: Tensor) -> tuple[Tensor, Tensor]:
    Q, R = torch.linalg.qr(X.mT)
    return _small(R.mT), Q.mT


def _drop(R: Tensor, X: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    P, s, Yh = torch.linalg.svd(R, full_matrices=False)
    kept = s > floor
    if bool(kept.all()):
        return R, X
    return P[:, kept] * s[kept], Yh[kept].to(X) @ X


def _small(A: Tensor) -> Tensor:
    return A.to("cpu", torch.float64)


def _largest_row(W: Tensor) -> float:
    return float(W.norm(dim=1).max()) if W.numel() else 0.0
