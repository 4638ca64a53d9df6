"""What residuals and a spectrum say about the accuracy of singular vectors."""

from math import pi

import torch
from torch import Tensor


def gaps(sigma: Tensor, sigma_next: float | None) -> Tensor:
    """(k,) distance of each sigma (k,) to the other singular values, to `sigma_next`, and to zero.

    Zero counts because [[0, J], [Jᵀ, 0]] has the eigenvalue 0 wherever J is not square, and -sigma always.
    """
    rest = sigma.new_tensor([0.0] if sigma_next is None else [0.0, sigma_next])
    apart = (sigma[:, None] - torch.cat([sigma, rest])).abs()
    apart.fill_diagonal_(torch.inf)
    return apart.min(dim=1).values


def angle_bounds(residual: Tensor, gap: Tensor) -> Tensor:
    """(k,) largest angle in radians between a computed and an exact singular vector: sin(angle) <= residual / gap.

    With w = (v, u) / sqrt(2) and H = [[0, J], [Jᵀ, 0]] the residual of w is residual / sqrt(2), and an angle of v
    or u alone is seen in w shrunk by at most sqrt(2) in its sine. The gap is taken between computed values, which
    are exact to second order in the residuals.

    Source: Davis and Kahan, The Rotation of Eigenvectors by a Perturbation III, SIAM J. Numer. Anal. 7(1), 1970,
    the sin(theta) theorem, for one vector.
    """
    sine = torch.where(residual < gap, residual / gap.clamp_min(torch.finfo(gap.dtype).tiny), 1.0)
    return torch.where(sine < 1, sine.asin(), pi / 2)


def clusters(sigma: Tensor, residual: Tensor) -> Tensor:
    """(k,) labels 0, 1, ... that change where neighbours differ by more than twice the largest residual."""
    if not len(sigma):
        return torch.zeros(0, dtype=torch.int64)
    apart = sigma[:-1] - sigma[1:] > 2 * residual.max()
    return torch.cat([torch.zeros(1, dtype=torch.int64), apart.cumsum(0)])


def energy_fraction(sigma: Tensor, total: float) -> float:
    """The share of sigma (k,) in ‖J‖_F² = total."""
    captured = float(sigma.square().sum())
    return min(1.0, captured / total) if captured else float("nan")


def frobenius(sigma: Tensor, overlaps: Tensor, images: Tensor, n: int) -> float:
    """An estimate of ‖J‖_F² for J (m, n): the k triplets, and beyond them n times what random unit rows keep of J.

    `images` (p,) are ‖J v‖² of p random unit rows v, `overlaps` (k, p) their products with the right singular vectors
    of sigma (k,). NaN where there are no such rows.

    Source: the estimator of Hutchinson with the leading part deflated (Meyer et al., Hutch++, arXiv:2010.09649).
    """
    within = (sigma[:, None] * overlaps).square().sum(dim=0)
    return float(sigma.square().sum()) + n * float((images - within).mean().clamp_min(0))
