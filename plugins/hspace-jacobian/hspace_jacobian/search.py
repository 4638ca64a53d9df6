"""When to test a Lanczos search, when to restart it, when to stop, and when to resume it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log

from hspace.errors import UsageError
from hspace_jacobian.certificate import certify
from hspace_jacobian.lanczos import Krylov, Ritz

Callback = Callable[[Ritz], None]
Keep = Callable[[Krylov], None]
CAUTION = 0.6  # the part of the way that is gone without a test; residuals fall ever faster
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
    """The search for k triplets to a relative residual of `tol`, in at most `max_products` products before checks.

    `rows` is how many basis vectors of each side may be kept; `callback` sees every test, `keep` the basis at it.
    """

    k: int
    tol: float
    max_products: int | None = None
    rows: int | None = None
    callback: Callback | None = None
    keep: Keep | None = None

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
            krylov.step()
            outcome = self.converge(krylov)
        return Outcome(outcome.converged, f"the check still found missed triplets after {REPAIRS} repairs")

    def converge(self, krylov: Krylov) -> Outcome:
        """Grow the basis until the k triplets and a few guards below them pass `tol`."""
        enough = min(self.k + 2 * krylov.block, self.rows or self.k + 2 * krylov.block)
        due = krylov.steps  # at once: the search may be resumed, for a larger k or a smaller tol
        while not krylov.complete:
            over = self._over_budget(krylov)
            if over or (krylov.pushed >= enough and krylov.steps >= due):
                before, krylov.tested = krylov.tested, (krylov.steps, self.test(krylov))
                if krylov.tested[1] <= 1:
                    return Outcome(True, f"residuals are at most {self.tol:g} of sigma")
                due = krylov.steps + self._pause(before, krylov.tested)
            if over:
                return Outcome(False, f"max_products={self.max_products} was reached")
            self._make_room(krylov)
            krylov.step()
        return Outcome(True, "J is exhausted: its span is complete", verified=True)

    def test(self, krylov: Krylov) -> float:
        """The largest relative residual among k triplets and their guards, in units of `tol`."""
        if self.keep is not None:
            self.keep(krylov)
        ritz = krylov.ritz()
        if self.callback is not None:
            self.callback(ritz)
        count = self.k + ceil(krylov.block / 2)
        if len(ritz.sigma) < count or not float(ritz.sigma[count - 1]) > 0:
            return inf
        return float((ritz.residual / ritz.sigma)[:count].max()) / self.tol

    def _pause(self, before: tuple[int, float], now: tuple[int, float]) -> int:
        """How many steps to go before the next test: the small SVD is not free, and residuals fall by a steady rate."""
        steps, fall = now[0] - before[0], log(before[1] / now[1]) if isfinite(before[1]) else 0.0
        if steps <= 0 or fall <= 0 or not isfinite(now[1]):
            return 1
        predicted = log(now[1]) * steps / fall
        return max(1, min(floor(CAUTION * predicted), now[0] // 8))

    def _make_room(self, krylov: Krylov) -> None:
        if self.rows is None:
            return
        new = len(krylov.V) - krylov.pushed or krylov.block
        if len(krylov.V) + new > self.rows:
            krylov.restart((self.k + ceil(krylov.block / 2) + self.rows - 2 * new) // 2)

    def _over_budget(self, krylov: Krylov) -> bool:
        counts = krylov.products.counts
        return self.max_products is not None and counts.jvp + counts.vjp >= self.max_products


def rows_within(memory: int, reserved: int, row: int, k: int, block: int) -> int:
    """How many basis vectors of each side fit into `memory` bytes beside `reserved` ones, `row` bytes a pair.

    Raises UsageError where a search for k triplets needs more.
    """
    rows, least = (memory - reserved) // row, k + 6 * block
    if rows < least:
        raise UsageError(
            f"memory={memory} bytes is too little: the network takes {reserved} and k={k} needs {least} pairs of "
            f"vectors of {row}. Give at least {reserved + least * row}, or ask for fewer triplets or a smaller chunk."
        )
    return rows
