"""The directions that many local bases have in common, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Weights = Literal["sigma", "equal"]


@dataclass(frozen=True)
class MeanBasis:
    """The leading directions (k, m) of a mean metric, the square roots (k,) of what it is along them, and the share
    (k,) of its trace that each has; all float64, on the CPU, largest first."""

    directions: Tensor
    sigma: Tensor
    share: Tensor


def mean_basis(shifts: Sequence[Tensor], sigmas: Sequence[Tensor], weights: Weights) -> MeanBasis:
    """The mean of N local metrics U S^2 U', each of unit shifts U (k_n, ...) with sigma S (k_n,).

    With weights="equal" it is that of their projectors U U', the extrinsic mean of the subspaces: a direction's value
    is then its mean squared cosine with them, from 0 to 1. All directions that are not null come back, in the
    coordinates of h. Closed form: the left singular vectors of [U_1 S_1 ... U_N S_N] / sqrt(N).
    """
    columns = torch.cat(
        [
            U.flatten(1).double().cpu() * (S.double().cpu()[:, None] if weights == "sigma" else 1)
            for U, S in zip(shifts, sigmas, strict=True)
        ]
    )  # (N k, m): the transpose of the matrix in the paper's order
    _, sigma, directions = torch.linalg.svd(columns / len(shifts) ** 0.5, full_matrices=False)
    present = sigma > len(columns) * torch.finfo(sigma.dtype).eps * sigma[0]
    return MeanBasis(directions[present], sigma[present], (sigma.square() / sigma.square().sum())[present])
