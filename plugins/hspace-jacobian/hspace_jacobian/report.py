"""From a finished search to the triplets and what is known about them."""

import time

from torch import Tensor

from hspace_jacobian import bounds
from hspace_jacobian.lanczos import Krylov, Ritz, null_level
from hspace_jacobian.products import MapProducts
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.search import Outcome
from hspace_jacobian.signs import oriented


def report(krylov: Krylov, outcome: Outcome, k: int, reference: Tensor | None, started: float) -> JacobianSVD:
    """The k leading triplets of the basis, or as many as are not zero, with their bounds.

    `reference` (r, *codomain) fixes signs; `started` is the time.perf_counter() at which the call began.
    """
    products, z = krylov.products, krylov.products.z
    assert isinstance(products, MapProducts)
    ritz = krylov.ritz()
    nonzero = int((ritz.sigma > null_level(krylov)).sum())
    k = min(k, nonzero)
    sigma, residual = ritz.sigma[:k], ritz.residual[:k]
    sigma_next = _sigma_next(ritz, k, krylov.complete, outcome.sigma_next)
    gap = bounds.gaps(sigma, sigma_next)
    U, V = krylov.vectors(ritz, k)
    cluster = bounds.clusters(sigma, residual)
    U, V = oriented(U, V, cluster, None if reference is None else reference.flatten(1))
    return JacobianSVD(
        U=U.reshape(k, *products.codomain),
        S=sigma.to(z),
        V=V.reshape(k, *z.shape[1:]),
        residual=residual.to(z),
        rel_residual=(residual / sigma).to(z),
        gap=gap.to(z),
        angle_bound=bounds.angle_bounds(residual, gap).to(z),
        cluster=cluster.to(z.device),
        tail=ritz.sigma[k:].to(z),
        energy_fraction=_energy(krylov, sigma, V),
        converged=outcome.converged,
        reason=outcome.reason if k or not krylov.complete else "J is zero",
        sigma_next=sigma_next,
        verified=outcome.verified,
        rank=nonzero if krylov.complete else None,
        counts=vars(products.counts).copy(),
        engine=products.engine,
        engine_note=products.note,
        precision=products.precision,
        seconds=time.perf_counter() - started,
    )


def _sigma_next(ritz: Ritz, k: int, complete: bool, from_check: float | None) -> float | None:
    known = [float(sigma) for sigma in ritz.sigma[k : k + 1]]
    if from_check is not None:
        known.append(from_check)
    return max(known, default=0.0 if complete else None)


def _energy(krylov: Krylov, sigma: Tensor, V: Tensor) -> float:
    if krylov.complete:
        return bounds.energy_fraction(sigma, float(krylov.M.square().sum()))
    overlaps = (V @ krylov.probes.mT).double().cpu()
    return bounds.energy_fraction(sigma, bounds.frobenius(sigma, overlaps, krylov.images, krylov.V.n))
