"""A check against missed triplets, which residuals cannot see."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hspace_jacobian.basis import Basis, random_rows
from hspace_jacobian.lanczos import Krylov
from hspace_jacobian.products import Counts, Products

MARGIN = 1e-3  # a singular value this much above sigma_k was missed; also how well the check knows sigma_{k+1}
STEPS = 15


@dataclass(frozen=True)
class Certificate:
    """What a fresh random start finds outside the triplets: `sigma_next`, a lower bound on the largest singular
    value left, and `missed` (c, n), the right Ritz vectors that belong among the triplets."""

    sigma_next: float
    missed: Tensor


class Deflated:
    """Products with (1 - UᵀU) J (1 - VᵀV), for orthonormal rows U (k, m) and V (k, n)."""

    def __init__(self, products: Products, U: Tensor, V: Tensor) -> None:
        self._products, self.U, self.V = products, U, V
        self.counts: Counts = products.counts
        self.z: Tensor = products.z
        self.codomain: torch.Size = products.codomain

    @property
    def eps(self) -> float:
        """The relative precision of a product."""
        return self._products.eps

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n), as before deflation."""
        return self._products.shape

    def jvp(self, V: Tensor) -> Tensor:
        """The rows of V (b, n) through the deflated J, (b, m)."""
        return _without(self._products.jvp(_without(V, self.V)), self.U)

    def vjp(self, U: Tensor) -> Tensor:
        """The rows of U (b, m) through its transpose, (b, n)."""
        return _without(self._products.vjp(_without(U, self.U)), self.V)


def certify(products: Products, U: Tensor, V: Tensor, sigma_k: float, generator: torch.Generator) -> Certificate:
    """The outcome of a short two-row Lanczos run on J deflated by the triplets (U (k, m), V (k, n)).

    Takes at most 2 * STEPS products per side. A singular value above sigma_k is overlooked only if it is less than
    about MARGIN above, or if two random rows happen to be orthogonal to its vector.
    """
    outside = Basis(V, V.shape[1])
    outside.append(V)
    krylov = Krylov(Deflated(products, U, V), 2, generator, start=random_rows(2, outside, generator))
    top, previous = 0.0, -1.0
    for _ in range(STEPS):
        krylov.step()
        ritz = krylov.ritz()
        top = float(ritz.sigma[0]) if len(ritz.sigma) else 0.0
        if krylov.complete or top - previous <= MARGIN * top:
            break
        previous = top
    found = int((ritz.sigma > sigma_k * (1 + MARGIN)).sum())
    return Certificate(top, krylov.vectors(ritz, found)[1])


def _without(W: Tensor, Q: Tensor) -> Tensor:
    return W - (W @ Q.mT) @ Q
