"""Orthonormal rows, and what a block of rows looks like in them."""

import torch
from torch import Tensor


def split(W: Tensor, Q: Tensor, floor: float) -> tuple[Tensor, Tensor, Tensor]:
    """(C, R, X) with W = C Q + R X, where the rows of X are orthonormal and orthogonal to those of Q.

    W (b, n) and Q (q, n) are in the working precision, C (b, q) and R (b, r) in float64 on the CPU. Directions in
    which W leaves Q by no more than `floor` are dropped, so r <= b.

    Source: reorthogonalized block classical Gram-Schmidt, arXiv:1108.4209 (two passes reach rounding level).
    """
    C = torch.zeros(len(W), len(Q), dtype=torch.float64)
    R = torch.eye(len(W), dtype=torch.float64)
    X = W
    for _ in range(2):
        E = X @ Q.mT
        L, X = _lq(X - E @ Q)
        C = C + R @ _small(E)
        R, X = _drop(R @ L, X, floor)
    return C, R, X


def orthonormal(W: Tensor, Q: Tensor) -> Tensor:
    """Orthonormal rows that span what the rows of W (b, n) add to those of Q (q, n)."""
    return split(W, Q, 10 * torch.finfo(W.dtype).eps * _largest_row(W))[2]


def mix(P: Tensor, rows: Tensor) -> Tensor:
    """P @ rows (p, n), for a small float64 P (p, q) and rows (q, n) in the working precision."""
    return P.to(rows) @ rows


def _lq(X: Tensor) -> tuple[Tensor, Tensor]:
    Q, R = torch.linalg.qr(X.mT)
    return _small(R.mT), Q.mT


def _drop(R: Tensor, X: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    P, s, Yh = torch.linalg.svd(R, full_matrices=False)
    kept = s > floor
    return P[:, kept] * s[kept], mix(Yh[kept], X)


def _small(A: Tensor) -> Tensor:
    return A.to("cpu", torch.float64)


def _largest_row(W: Tensor) -> float:
    return float(W.norm(dim=1).max()) if W.numel() else 0.0
