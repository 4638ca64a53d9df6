"""The leading singular triplets of a network's Jacobian, matrix-free."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from hspace.errors import UsageError
from hspace_jacobian.choice import HALF, EngineName
from hspace_jacobian.engines import Map
from hspace_jacobian.lanczos import dense
from hspace_jacobian.precision import Precision, search_in
from hspace_jacobian.products import MapProducts
from hspace_jacobian.report import report
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.search import Callback, Outcome, Search, rows_within
from hspace_jacobian.state import State

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
    engine: EngineName = "auto",
    precision: Precision = "exact",
    reference: Tensor | None = None,
    verify: Literal["auto", "off"] = "auto",
    max_products: int | None = None,
    memory: int | None = None,
    state: Path | str | None = None,
    label: str = "",
    callback: Callback | None = None,
) -> JacobianSVD:
    """The k leading singular triplets of J = df/dz at z, each with its residual, checked against missed ones.

    `f` maps any batch (B, *domain) to (B, *codomain), row by row; z is one point (1, *domain), float32 or float64.
    The search ends when ‖Jᵀu - sigma v‖ <= tol * sigma for all k (the error of sigma is then of order tol²), and
    J v = sigma u to rounding. With verify="auto" a second, deflated search then looks for triplets that the first
    could not see, and resumes it if there are any. J of rank below k gives that many triplets, with `rank` set.

    `engine` carries the vectors: "replay" records one evaluation as a graph of linear maps, "jvp" and "double_vjp" are
    torch's own modes, and "auto" is the first of them that works here and agrees with reverse mode. `precision`
    "draft" computes products in bfloat16 (or in z's own half precision), "mixed" searches like that and finishes in
    float32, both to a tol of at best 1e-2, so that sigma is good to 2e-2 and 1e-4; in half precision z is refused
    otherwise. `block` vectors start the search (2 for k <= 8, else 4 on a
    CPU, 16 elsewhere), and up to `chunk` go through the network at once.

    `max_products` caps jvp + vjp before the check. `memory` is how many bytes the network's derivative and the basis
    may take together; the search restarts from its best vectors where they would not fit. `state` is a file that the
    search is written to at every test, and goes on from where it is there: bit for bit with the same arguments, or to
    a larger k or a smaller tol. `label` is kept in it and compared.

    `reference` (r, *codomain) fixes signs as in `signs.oriented`. `callback` gets every Ritz approximation that is
    tested. The same seed gives the same bytes on the same device; without a generator the seed is 0.

    Source: Golub, Luk and Overton, ACM TOMS 7(2), 1981 (the method); Park et al., arXiv 2307.12868 (these triplets
    of x_t -> h as editing directions).

    Raises UsageError where k is not in 1..min(m, n), an option is out of its range or f cuts the gradient;
    RefusedError where `state` belongs to another search; HspaceError where z, f(z) or a product is not finite, or f
    mixes its rows.
    """
    started = time.perf_counter()
    generator = generator or torch.Generator().manual_seed(0)
    _check_options(z, block, verify, engine, precision)
    products = MapProducts(f, z, chunk, engine)
    _check(k, tol, precision, z, products)
    if min(products.shape) <= DENSE * k and state is None:
        krylov = dense(products, generator)
        outcome = Outcome(True, "J is small and was written out", verified=True)
        return report(krylov, outcome, k, reference, started)
    block = min(block or default_block(k, z), min(products.shape))
    rows = None if memory is None else rows_within(memory, products.bytes, products.row_bytes, k, block)
    kept = None if state is None else State(Path(state), label)
    search = Search(k, tol, max_products, rows, callback, None if kept is None else kept.keep)
    krylov, outcome = search_in(precision, products, search, block, generator, kept, verify=verify == "auto")
    if kept is not None:
        kept.write(krylov)
    return report(krylov, outcome, k, reference, started)


def default_block(k: int, z: Tensor) -> int:
    """How many vectors start a search: few miss copies of a singular value, many find each later."""
    if z.device.type != "cpu":
        return 16
    return 2 if k <= 8 else 4


def _check(k: int, tol: float, precision: str, z: Tensor, products: MapProducts) -> None:
    m, n = products.shape
    if not 1 <= k <= min(m, n):
        raise UsageError(f"k={k}, but J is {m} x {n} and has {min(m, n)} singular values; ask for 1 to {min(m, n)}")
    finest = 10 * torch.finfo(products.z.dtype).eps
    if not tol >= finest:
        raise UsageError(f"tol={tol:g} is below {finest:.1g}, what {products.z.dtype} can certify; use float64")
    if z.dtype in HALF and products.engine != "replay" and precision == "mixed":
        raise UsageError(
            f"z is {z.dtype}, and only the engine 'replay' can finish in float32 ({products.note}); cast f and z"
        )


def _check_options(z: Tensor, block: int | None, verify: str, engine: str, precision: str) -> None:
    if z.dtype in HALF and precision == "exact":
        raise UsageError(
            f"z is {z.dtype}; the singular vectors need float32 or float64. Cast f and z, or ask for precision='mixed' "
            "or 'draft'."
        )
    if block is not None and block < 1:
        raise UsageError(f"block={block}; a search starts from at least 1 vector, and should from 2")
    for name, value, values in (
        ("verify", verify, ("auto", "off")),
        ("engine", engine, get_args(EngineName)),
        ("precision", precision, get_args(Precision)),
    ):
        if value not in values:
            raise UsageError(f"{name} must be one of {', '.join(values)}; {value!r} was given")
