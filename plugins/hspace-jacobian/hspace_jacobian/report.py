"""From a finished search to the triplets and what is known about them."""

import time

from torch import Tensor

from hspace_jacobian import bounds
from hspace_jacobian.lanczos import Krylov, Ritz, null_level
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.search import Outcome
from hspace_jacobian.signs import signs


def report(krylov: Krylov, outcome: Outcome, k: int, reference: Tensor | None, started: float) -> JacobianSVD:
    """The k leading triplets of the basis, or as many as are not zero, with their bounds.

    `reference` (r, *codomain) fixes signs; `started` is the time.perf_counter() at which the call began.
    """
    products, z = krylov.products, krylov.products.z
    ritz = krylov.ritz()
    nonzero = int((ritz.sigma > null_level(krylov.scale, z.dtype)).sum())
    k = min(k, nonzero)
    sigma, residual = ritz.sigma[:k], ritz.residual[:k]
    sigma_next = _sigma_next(ritz, k, krylov.complete, outcome.sigma_next)
    gap = bounds.gaps(sigma, sigma_next)
    U, V = krylov.vectors(ritz, k)
    sign = signs(U, None if reference is None else reference.flatten(1))[:, None]
    return JacobianSVD(
        U=(sign * U).reshape(k, *products.codomain),
        S=sigma.to(z),
        V=(sign * V).reshape(k, *z.shape[1:]),
        residual=residual.to(z),
        rel_residual=(residual / sigma).to(z),
        gap=gap.to(z),
        angle_bound=bounds.angle_bounds(residual, gap).to(z),
        cluster=bounds.clusters(sigma, residual).to(z.device),
        tail=ritz.sigma[k:].to(z),
        energy_fraction=_energy(krylov, ritz, k),
        converged=outcome.converged,
        reason=outcome.reason if k or not krylov.complete else "J is zero",
        sigma_next=sigma_next,
        verified=outcome.verified,
        rank=nonzero if krylov.complete else None,
        counts=vars(products.counts).copy(),
        engine=products.engine,
        precision=str(z.dtype).removeprefix("torch."),
        seconds=time.perf_counter() - started,
    )


def _sigma_next(ritz: Ritz, k: int, complete: bool, from_check: float | None) -> float | None:
    known = [float(sigma) for sigma in ritz.sigma[k : k + 1]]
    if from_check is not None:
        known.append(from_check)
    return max(known, default=0.0 if complete else None)


def _energy(krylov: Krylov, ritz: Ritz, k: int) -> float:
    sigma, right, n = ritz.sigma[:k], ritz.right[:k], krylov.products.shape[1]
    return bounds.energy_fraction(sigma, krylov.B, right, krylov.block, n, exact=krylov.complete)
