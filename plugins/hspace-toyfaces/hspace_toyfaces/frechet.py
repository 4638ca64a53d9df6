"""The Frechet distance between two sets of features."""

from __future__ import annotations

import torch
from torch import Tensor

from hspace.errors import UsageError


def frechet_distance(features: Tensor, others: Tensor) -> float:
    """|m_1 - m_2|^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)) of the Gaussians fitted to features (N, D) and others (M, D).

    Computed in float64. The number depends on N and M: give the value that N fresh real pictures reach beside it.
    Source: Dowson and Landau 1982; Heusel et al. 2017. Raises UsageError for less than two rows, or
    different D.
    """
    if min(len(features), len(others)) < 2 or features.shape[1] != others.shape[1]:
        raise UsageError(
            f"the Frechet distance compares two sets of at least 2 rows with equally many columns; "
            f"{tuple(features.shape)} and {tuple(others.shape)} were given"
        )
    features, others = features.double(), others.double()
    cov, cov_others = _covariance(features), _covariance(others)
    gap = (features.mean(0) - others.mean(0)).square().sum()
    root = matrix_root(cov)
    cross = torch.linalg.eigvalsh(root @ cov_others @ root).clamp(min=0).sqrt().sum()
    return float(gap + cov.trace() + cov_others.trace() - 2 * cross)


def matrix_root(covariance: Tensor) -> Tensor:
    """The symmetric square root (D, D) of a covariance (D, D), by its eigenvectors; rounding below 0 counts as 0.

    tr (C_1 C_2)^(1/2) equals tr (R C_2 R)^(1/2) with R this root of C_1, and R C_2 R is symmetric.
    """
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def _covariance(features: Tensor) -> Tensor:
    return features.T.cov().reshape(features.shape[1], features.shape[1])
