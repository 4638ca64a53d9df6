"""When to stop a Lanczos search, and when to resume it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from hspace_jacobian.certificate import certify
from hspace_jacobian.lanczos import Krylov, Ritz

Callback = Callable[[Ritz], None]
REPAIRS = 10  # rounds of adding missed triplets; one round finds two copies of a repeated singular value


@dataclass(frozen=True)
class Outcome:
    """How a search ended; `sigma_next` is the check's lower bound on the largest singular value left out."""

    converged: bool
    reason: str
    verified: bool = False
    sigma_next: float | None = None


@dataclass(frozen=True)
class Search:
    """The search for k triplets to a relative residual of `tol`, in at most `max_products` products before checks."""

    k: int
    tol: float
    max_products: int | None = None
    callback: Callback | None = None

    def run(self, krylov: Krylov, *, verify: bool) -> Outcome:
        """Grow the basis until the triplets converge; with `verify`, until a fresh start misses none of them."""
        outcome = self.converge(krylov)
        for _ in range(REPAIRS):
            if not verify or not outcome.converged or krylov.complete:
                return outcome
            ritz = krylov.ritz()
            U, V = krylov.vectors(ritz, self.k)
            check = certify(krylov.products, U, V, float(ritz.sigma[self.k - 1]), krylov.generator)
            if not len(check.missed):
                return Outcome(True, outcome.reason, True, check.sigma_next)
            krylov.add(check.missed)
            outcome = self.converge(krylov)
        return Outcome(outcome.converged, f"the check still found missed triplets after {REPAIRS} repairs")

    def converge(self, krylov: Krylov) -> Outcome:
        """Grow the basis by at least one step, until the k triplets and a few guards below them pass `tol`."""
        enough = self.k + 2 * krylov.block
        every = max(1, self.k // (4 * krylov.block))  # the small SVD is not free
        steps = 0
        while True:
            krylov.step()
            steps += 1
            if krylov.complete:
                return Outcome(True, "J is exhausted: its span is complete", verified=True)
            over = self._over_budget(krylov)
            if over or (krylov.known >= enough and steps % every == 0):
                ritz = krylov.ritz()
                if self.callback is not None:
                    self.callback(ritz)
                if self._passes(ritz, self.k + ceil(krylov.block / 2)):
                    return Outcome(True, f"residuals are at most {self.tol:g} of sigma")
            if over:
                return Outcome(False, f"max_products={self.max_products} was reached")

    def _passes(self, ritz: Ritz, count: int) -> bool:
        small = ritz.residual[:count] <= self.tol * ritz.sigma[:count]
        return len(small) == count and bool(small.all())

    def _over_budget(self, krylov: Krylov) -> bool:
        counts = krylov.products.counts
        return self.max_products is not None and counts.jvp + counts.vjp >= self.max_products
