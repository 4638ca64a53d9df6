"""Block Golub-Kahan-Lanczos with full two-sided reorthogonalisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor
from torch.nn.functional import pad

from hspace.errors import HspaceError
from hspace_jacobian.basis import Basis, orthonormal, random_rows, split
from hspace_jacobian.choice import tolerance
from hspace_jacobian.products import Products


@dataclass(frozen=True)
class Ritz:
    """Approximate singular triplets in the coordinates of a Krylov basis, largest first; all float64 on the CPU.

    sigma (d,), left (d, rows of U), right (d, rows of V). After a pull J v = sigma u holds exactly and
    residual (d,) = ‖Jᵀu - sigma v‖; after a push it is the other way round.
    """

    sigma: Tensor
    left: Tensor
    right: Tensor
    residual: Tensor


class Krylov:
    """Orthonormal rows U (p, m) and V (q, n), and the small M = U J Vᵀ (p, q).

    Of the rows of V the first `pushed` have their image in U, J v = Mᵀu; of those of U the first `pulled` have theirs
    in V, Jᵀu = M v. A push applies J to the rows of V that are new and adds to U what is new in that; a pull does the
    same with Jᵀ. Where nothing new appears, a random block is tried: if J maps that into U as well, the span is
    complete.

    Source: Golub, Luk and Overton, A Block Lanczos Method for Computing the Singular Values and Corresponding
    Singular Vectors of a Matrix, ACM TOMS 7(2), 1981; in exact arithmetic M is their band matrix.

    Raises HspaceError where the products are not adjoint to each other.
    """

    def __init__(self, products: Products, block: int, generator: torch.Generator, start: Tensor | None = None) -> None:
        m, n = products.shape
        self.products, self.block, self.generator = products, block, generator
        self.U, self.V = Basis(products.z, m), Basis(products.z, n)
        self.M = torch.zeros(0, 0, dtype=torch.float64)
        self.pushed = self.pulled = self.steps = 0
        self.complete = False  # U and V hold all of J
        self.scale = 0.0  # largest ‖J v‖ or ‖Jᵀu‖ seen: a lower bound on sigma_1
        self.probes = products.z.new_empty(0, n)  # random rows that the search began from, to estimate ‖J‖_F² with
        self.images = torch.zeros(0, dtype=torch.float64)  # ‖J v‖² of those
        self.tested = (0, inf)  # the step of the last test and what it said
        self._probing = False
        if start is not None:
            self.add(start)

    def step(self) -> None:
        """A push and a pull."""
        self.push()
        self.pull()

    def push(self) -> None:
        """Apply J to the rows of V whose image is unknown, W = Mᵀ U + R X, and add X to U."""
        self._probing = self.pushed == len(self.V)
        if self._probing:
            self.add(random_rows(self.block, self.V, self.generator))
        fresh = slice(self.pushed, len(self.V))
        W = self.products.jvp(self.V.rows(fresh.start, fresh.stop))
        if not self.pushed and self._probing:
            self.probes, self.images = self.V.rows().clone(), W.double().square().sum(dim=1).cpu()
        C, R, X = split(W, self.U, self._floor(W))
        self.M[self.pulled :, fresh] = C[:, self.pulled :].mT
        self.M = pad(self.M, (0, 0, 0, len(X)))  # the images of older rows lie in the old U
        self.M[len(self.U) :, fresh] = R.mT
        self.U.append(X)
        self.pushed = fresh.stop

    def pull(self) -> None:
        """Apply Jᵀ to the rows of U whose image is unknown, Z = M V + S Y, and add Y to V."""
        fresh = slice(self.pulled, len(self.U))
        if len(self.U) > self.pulled:
            Z = self.products.vjp(self.U.rows(fresh.start, fresh.stop))
            C, S, Y = split(Z, self.V, self._floor(Z))
            self._check_adjoint(C, self.M[fresh])
            self.M[fresh] = C
            self.M = pad(self.M, (0, len(Y)))
            self.M[fresh, len(self.V) :] = S
            self.V.append(Y)
        self.pulled = fresh.stop
        self.steps += 1
        self._settle(exhausted=self._probing and fresh.start == fresh.stop)

    def add(self, rows: Tensor) -> None:
        """Let the next push explore what the rows (b, n) add to V as well."""
        X = orthonormal(rows, self.V)
        self.V.append(X)
        self.M = pad(self.M, (0, len(X)))  # the images of U lie in the old V

    def ritz(self) -> Ritz:
        """The singular triplets of the known part of M, with the residual that the rest of M leaves."""
        known, rows, columns = slice(None), self.pulled, self.pushed
        if self.pulled == len(self.U):
            P, sigma, Qh = torch.linalg.svd(self.M[known, :columns], full_matrices=False)
            left, right, rest = P.mT, pad(Qh, (0, len(self.V) - columns)), P.mT @ self.M[:, columns:]
        else:
            P, sigma, Qh = torch.linalg.svd(self.M[:rows, known], full_matrices=False)
            left, right, rest = pad(P.mT, (0, len(self.U) - rows)), Qh, Qh @ self.M[rows:].mT
        return Ritz(sigma, left, right, rest.norm(dim=1))

    def vectors(self, ritz: Ritz, k: int) -> tuple[Tensor, Tensor]:
        """(U (k, m), V (k, n)): the leading k Ritz vectors themselves."""
        return self.U.mix(ritz.left[:k]), self.V.mix(ritz.right[:k])

    def restart(self, keep: int) -> None:
        """Shrink to the leading `keep` Ritz vectors, after a pull; what is known about J stays true.

        Source: thick restart, Wu and Simon, SIAM J. Matrix Anal. Appl. 22(2), 2000.
        """
        ritz = self.ritz()
        P, Q = ritz.left[:keep], ritz.right[:keep]
        waiting = torch.eye(len(self.V), dtype=torch.float64)[self.pushed :]
        self.M = torch.cat([torch.diag(ritz.sigma[:keep]), P @ self.M[:, self.pushed :]], dim=1)
        self.U.compress(P)
        self.V.compress(torch.cat([Q, waiting]))
        self.pushed = self.pulled = keep

    def _settle(self, *, exhausted: bool) -> None:
        m, n = self.products.shape
        if len(self.U) == m:
            self.pushed = len(self.V)  # M already says where J maps the remaining rows
        self.complete = exhausted or len(self.U) == m or self.pushed == n

    def _floor(self, W: Tensor) -> float:
        self.scale = max(self.scale, float(W.norm(dim=1).max()))
        return 10 * torch.finfo(W.dtype).eps * self.scale

    def _check_adjoint(self, from_vjp: Tensor, from_jvp: Tensor) -> None:
        gap = float((from_vjp - from_jvp).norm())
        if gap > tolerance(self.products.eps) * self.scale:
            raise HspaceError(
                f"<J v, u> and <v, Jᵀu> differ by {gap:.1e} where |J| >= {self.scale:.1e}: f mixes the rows of its "
                "batch (batch norm?) or is random (dropout?). Pass a deterministic f with independent rows."
            )


def dense(products: Products, generator: torch.Generator) -> Krylov:
    """The complete Krylov basis of a small J, from one product per row or column, whichever are fewer."""
    m, n = products.shape
    krylov = Krylov(products, 1, generator)
    eye = torch.eye(min(m, n), dtype=products.z.dtype, device=products.z.device)
    one, other = (krylov.U, krylov.V) if m <= n else (krylov.V, krylov.U)
    images = products.vjp(eye) if m <= n else products.jvp(eye)
    _, M, rows = split(images, other, krylov._floor(images))
    one.append(eye)
    other.append(rows)
    krylov.M = M if m <= n else M.mT
    krylov.pushed, krylov.pulled, krylov.complete = len(krylov.V), len(krylov.U), True
    return krylov


def null_level(krylov: Krylov) -> float:
    """The size below which a singular value cannot be told from rounding."""
    eps = krylov.products.eps
    return (10 * eps if eps < 1e-4 else eps) * krylov.scale
