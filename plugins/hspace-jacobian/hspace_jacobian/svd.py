"""The leading singular triplets of a network's Jacobian, matrix-free."""

import time
from typing import Literal

import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace_jacobian.lanczos import Krylov, dense
from hspace_jacobian.products import AutogradProducts, Map
from hspace_jacobian.report import report
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.search import Callback, Outcome, Search

DENSE = 6  # J is written out where min(m, n) <= DENSE * k: fewer products than a search


def topk_jacobian_svd(
    f: Map,
    z: Tensor,
    k: int,
    *,
    tol: float = 1e-3,
    generator: torch.Generator | None = None,
    block: int | None = None,
    chunk: int | None = None,
    reference: Tensor | None = None,
    verify: Literal["auto", "off"] = "auto",
    max_products: int | None = None,
    callback: Callback | None = None,
) -> JacobianSVD:
    """The k leading singular triplets of J = df/dz at z, each with its residual, checked against missed ones.

    `f` maps any batch (B, *domain) to (B, *codomain), row by row; z is one point (1, *domain), float32 or float64.
    The search ends when ‖Jᵀu - sigma v‖ <= tol * sigma for all k (the error of sigma is then of order tol²), and
    J v = sigma u to rounding. With verify="auto" a second, deflated search then looks for triplets that the first
    could not see, and resumes it if there are any. J of rank below k gives that many triplets, with `rank` set.

    `block` vectors start the search and `chunk` go through the network at once (both 5 on a CPU, 16 elsewhere);
    block=1 takes the fewest products, and sees a repeated singular value through the check alone. `max_products`
    caps jvp + vjp before the check. `reference` (r, *codomain) fixes signs as in `signs.signs`. `callback` gets
    every Ritz approximation that is tested. The same seed gives the same bytes on the same device; without a
    generator the seed is 0.

    Source: Golub, Luk and Overton, ACM TOMS 7(2), 1981 (the method); Park et al., arXiv 2307.12868 (these triplets
    of x_t -> h as editing directions).

    Raises UsageError where k is not in 1..min(m, n), tol is below what the precision can certify, z has another
    precision or f cuts the gradient; HspaceError where z, f(z) or a product is not finite, or f mixes its rows.
    """
    started = time.perf_counter()
    generator = generator or torch.Generator().manual_seed(0)
    products = AutogradProducts(f, z, chunk)
    _check(k, tol, block, verify, products)
    if min(products.shape) <= DENSE * k:
        krylov = dense(products, generator)
        outcome = Outcome(True, "J is small and was written out", verified=True)
    else:
        krylov = Krylov(products, min(block or products.chunk, min(products.shape)), generator)
        outcome = Search(k, tol, max_products, callback).run(krylov, verify=verify == "auto")
    return report(krylov, outcome, k, reference, started)


def _check(k: int, tol: float, block: int | None, verify: str, products: AutogradProducts) -> None:
    m, n = products.shape
    if not 1 <= k <= min(m, n):
        raise UsageError(f"k={k}, but J is {m} x {n} and has {min(m, n)} singular values; ask for 1 to {min(m, n)}")
    finest = 10 * torch.finfo(products.z.dtype).eps
    if not tol >= finest:
        raise UsageError(f"tol={tol:g} is below {finest:.1g}, what {products.z.dtype} can certify; use float64")
    if block is not None and block < 1:
        raise UsageError(f"block={block}; a search starts from at least 1 vector, and should from 2")
    if verify not in ("auto", "off"):
        raise UsageError(f"verify must be 'auto' or 'off'; {verify!r} was given")
