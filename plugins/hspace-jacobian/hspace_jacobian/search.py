"""When to test a Lanczos search, when to restart it, when to stop, and when to resume it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from hspace.errors import UsageError
from hspace_jacobian.certificate import certify
from hspace_jacobian.lanczos import Krylov, Ritz

Callback = Callable[[Ritz], None]
Keep = Callable[[Krylov], None]
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
        every = max(1, self.k // (4 * krylov.block))  # the small SVD is not free
        while not krylov.complete:
            over = self._over_budget(krylov)
            due = krylov.pushed >= enough and krylov.steps % every == 0
            if (over or due) and self.passes(krylov):
                return Outcome(True, f"residuals are at most {self.tol:g} of sigma")
            if over:
                return Outcome(False, f"max_products={self.max_products} was reached")
            self._make_room(krylov)
            krylov.step()
        return Outcome(True, "J is exhausted: its span is complete", verified=True)

    def passes(self, krylov: Krylov) -> bool:
        """Whether k triplets and their guards are converged."""
        ritz = krylov.ritz()
        if self.callback is not None:
            self.callback(ritz)
        if self.keep is not None:
            self.keep(krylov)
        count = self.k + ceil(krylov.block / 2)
        small = ritz.residual[:count] <= self.tol * ritz.sigma[:count]
        return len(small) == count and bool(small.all())

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
