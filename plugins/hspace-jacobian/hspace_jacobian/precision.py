"""In which precision to search, and how to finish in a better one."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from hspace_jacobian.lanczos import Krylov
from hspace_jacobian.products import MapProducts
from hspace_jacobian.search import Outcome, Search
from hspace_jacobian.state import State

Precision = Literal["exact", "mixed", "draft"]
LOW_TOL = 1e-2  # what products in half precision can still tell apart
MORE = 10  # vectors beyond k that a finish starts from


def search_in(
    precision: Precision,
    products: MapProducts,
    search: Search,
    block: int,
    generator: torch.Generator,
    state: State | None,
    *,
    verify: bool,
) -> tuple[Krylov, Outcome]:
    """The finished search, and how it ended.

    "exact" searches in the precision of the vectors; "draft" with products in half precision, which neither the
    residuals nor a check can see, so that it is never verified; "mixed" takes what a draft finds, and a few more, as
    the start of an exact search. Both go to a residual of LOW_TOL at best, which is an error of sigma of about its
    square. `state` is gone on from where it holds the search.
    """
    if precision != "exact":
        search = replace(search, tol=max(search.tol, LOW_TOL))
    if precision == "draft":
        return _draft(products, search, block, generator, state)
    krylov = state.read(products) if state and (precision == "exact" or state.holds(products)) else None
    if krylov is None and precision == "mixed":
        krylov = _finish(products, search, _draft(products, search, block, generator, state)[0])
    elif krylov is None:
        krylov = Krylov(products, block, generator)
    return krylov, search.run(krylov, verify=verify)


def _draft(
    products: MapProducts, search: Search, block: int, generator: torch.Generator, state: State | None
) -> tuple[Krylov, Outcome]:
    low = products.lowered(products.half)
    krylov = (state.read(low) if state else None) or Krylov(low, block, generator)
    return krylov, search.run(krylov, verify=False)


def _finish(products: MapProducts, search: Search, draft: Krylov) -> Krylov:
    """An exact search from the leading vectors of a draft, tested after every half of a step."""
    start = draft.vectors(draft.ritz(), search.k + MORE)[1]
    krylov = Krylov(products, draft.block, draft.generator, start)
    krylov.probes, krylov.images = draft.probes, draft.images
    krylov.step()
    while not krylov.complete:
        krylov.push()
        if search.test(krylov) <= 1:
            break
        krylov.pull()
        if search.test(krylov) <= 1:
            break
    return krylov
