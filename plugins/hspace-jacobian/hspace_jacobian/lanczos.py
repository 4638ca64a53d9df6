"""Block Golub-Kahan-Lanczos with full two-sided reorthogonalisation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hspace.errors import HspaceError
from hspace_jacobian.orthonormal import mix, orthonormal, split
from hspace_jacobian.products import Products


@dataclass(frozen=True)
class Ritz:
    """Approximate singular triplets in the coordinates of a Krylov basis, largest first; all float64 on the CPU.

    sigma (d,), left (d, rows of U), right (d, rows of V with known image), residual (d,) = ‖Jᵀu - sigma v‖;
    J v = sigma u holds exactly.
    """

    sigma: Tensor
    left: Tensor
    right: Tensor
    residual: Tensor


class Krylov:
    """Orthonormal rows U, V and a small B with JᵀU = B V, and J V' = B'ᵀ U for the first `known` rows V' of V.

    Every step pushes the rows of V whose image is unknown through J, and what that adds to U back through Jᵀ. Where
    nothing new appears, a random block is tried: if J maps that into U as well, the span is complete.

    Source: Golub, Luk and Overton, A Block Lanczos Method for Computing the Singular Values and Corresponding
    Singular Vectors of a Matrix, ACM TOMS 7(2), 1981; in exact arithmetic B is their band matrix.

    Raises HspaceError where the products are not adjoint to each other.
    """

    def __init__(self, products: Products, block: int, generator: torch.Generator, start: Tensor | None = None) -> None:
        m, n = products.shape
        self.products, self.block, self.generator = products, block, generator
        self.U = products.z.new_empty(0, m)
        self.V = products.z.new_empty(0, n) if start is None else start
        self.B = torch.zeros(0, len(self.V), dtype=torch.float64)
        self.known = 0
        self.complete = False  # U and V hold all of J
        self.scale = 0.0  # largest ‖J v‖ or ‖Jᵀu‖ seen: a lower bound on sigma_1

    def step(self) -> None:
        """Apply J to the rows of V whose image is unknown, then Jᵀ to the rows that this adds to U."""
        if self.known == len(self.V):
            self.add(random_rows(self.block, self.V, self.generator))
            probing = True
        else:
            probing = self.known == 0
        fresh = slice(self.known, len(self.V))
        W = self.products.jvp(self.V[fresh])
        _, R, U = split(W, self.U, self._floor(W))
        if len(U):
            Z = self.products.vjp(U)
            C, S, V = split(Z, self.V, self._floor(Z))
            self._check_adjoint(C[:, fresh], R.mT)
            self.B = _append(self.B, C, S)
            self.U, self.V = torch.cat([self.U, U]), torch.cat([self.V, V])
        self.known = fresh.stop
        self._settle(exhausted=probing and not len(U))

    def add(self, rows: Tensor) -> None:
        """Let the next step explore what the rows (b, n) add to V as well."""
        X = orthonormal(rows, self.V)
        self.V = torch.cat([self.V, X])
        self.B = torch.nn.functional.pad(self.B, (0, len(X)))  # JᵀU lies in the old V

    def ritz(self) -> Ritz:
        """The singular triplets of the known part of B, with the residual that the rest of B leaves."""
        P, sigma, Qh = torch.linalg.svd(self.B[:, : self.known], full_matrices=False)
        residual = (P.mT @ self.B[:, self.known :]).norm(dim=1)
        return Ritz(sigma, P.mT, Qh, residual)

    def vectors(self, ritz: Ritz, k: int) -> tuple[Tensor, Tensor]:
        """(U (k, m), V (k, n)): the leading k Ritz vectors themselves."""
        return mix(ritz.left[:k], self.U), mix(ritz.right[:k], self.V[: self.known])

    def _settle(self, *, exhausted: bool) -> None:
        m, n = self.products.shape
        if len(self.U) == m:
            self.known = len(self.V)  # B already says where J maps the remaining rows
        self.complete = exhausted or len(self.U) == m or self.known == n

    def _floor(self, W: Tensor) -> float:
        self.scale = max(self.scale, float(W.norm(dim=1).max()))
        return null_level(self.scale, W.dtype)

    def _check_adjoint(self, from_vjp: Tensor, from_jvp: Tensor) -> None:
        gap = float((from_vjp - from_jvp).norm())
        if gap > 10 * torch.finfo(self.V.dtype).eps ** 0.5 * self.scale:
            raise HspaceError(
                f"<J v, u> and <v, Jᵀu> differ by {gap:.1e} where |J| >= {self.scale:.1e}: f mixes the rows of its "
                "batch (batch norm?) or is random (dropout?). Pass a deterministic f with independent rows."
            )


def dense(products: Products, generator: torch.Generator) -> Krylov:
    """The complete Krylov basis of a small J, from one product per row or column, whichever are fewer."""
    m, n = products.shape
    krylov = Krylov(products, 1, generator)
    eye = torch.eye(min(m, n), dtype=products.z.dtype, device=products.z.device)
    if m <= n:
        Z = products.vjp(eye)
        _, krylov.B, krylov.V = split(Z, krylov.V, krylov._floor(Z))
        krylov.U = eye
    else:
        W = products.jvp(eye)
        _, R, krylov.U = split(W, krylov.U, krylov._floor(W))
        krylov.B, krylov.V = R.mT, eye
    krylov.known, krylov.complete = len(krylov.V), True
    return krylov


def random_rows(count: int, Q: Tensor, generator: torch.Generator) -> Tensor:
    """Up to `count` random orthonormal rows orthogonal to those of Q (q, n)."""
    free = Q.shape[1] - len(Q)
    W = torch.randn(min(count, free), Q.shape[1], generator=generator, dtype=Q.dtype, device=generator.device)
    return orthonormal(W.to(Q.device), Q)


def null_level(scale: float, dtype: torch.dtype) -> float:
    """The size below which a singular value cannot be told from rounding, for |J| of about `scale`."""
    return 10 * torch.finfo(dtype).eps * scale


def _append(B: Tensor, C: Tensor, S: Tensor) -> Tensor:
    above = torch.nn.functional.pad(B, (0, S.shape[1]))
    return torch.cat([above, torch.cat([C, S], dim=1)])
