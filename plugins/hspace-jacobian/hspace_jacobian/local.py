"""A local basis: the leading singular vectors of a map around one x_t, as shifts of h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from hspace.errors import HspaceError, UsageError
from hspace.storage import sha256
from hspace_jacobian.lanczos import Ritz
from hspace_jacobian.maps import JacobianMap, MapName, Pool, outside
from hspace_jacobian.result import JacobianSVD
from hspace_jacobian.svd import topk_jacobian_svd

REACTS = {
    "encoder": "h does not react to x_t",
    "decoder": "eps does not react to h",
    "x0": "P_t does not react to h",
    "pmp": "P_t does not react to x_t",
}


@dataclass(frozen=True)
class Look:
    """What is differentiated and how exactly: the options of `build_map` and `topk_jacobian_svd`.

    `null` leading directions of the rest of the picture are projected out where pmp has a mask.
    """

    map: MapName
    mask: Path | None
    pool: Pool
    null: int
    tol: float
    block: int | None
    chunk: int | None

    def check(self) -> None:
        """Raises UsageError for a negative `null`, and for a mask where there is no picture to mask."""
        if self.null < 0:
            raise UsageError(f"null must be 0 or more; {self.null} was given")
        if self.mask is not None and self.map == "encoder":
            raise UsageError("the map 'encoder' has no picture to mask; decoder, x0 and pmp have one")

    def described(self) -> dict[str, object]:
        """What of it decides the directions, for their provenance."""
        told: dict[str, object] = {"map": self.map, "tol": self.tol}
        if self.pool != "none":
            told["pool"] = self.pool
        if self.mask is not None:
            told |= {"mask": self.mask.name, "mask_sha256": sha256(self.mask)}
            told |= {"null": self.null} if self.map == "pmp" else {}
        return told


@dataclass(frozen=True)
class Local:
    """What was found around one latent: unit shifts of h (k, Ch, Hh, Wh), and what is known of each."""

    shifts: Tensor
    svd: JacobianSVD
    outside: Tensor | None


def local_basis(
    map: JacobianMap, k: int, look: Look, seed: int, t: int, callback: Callable[[int], None] | None = None
) -> Local:
    """The k leading triplets of the map at timestep t; `callback` gets how many have converged.

    Raises HspaceError where the map does not react to its input.
    """

    def report(ritz: Ritz) -> None:
        if callback is not None:
            callback(int((ritz.residual <= look.tol * ritz.sigma)[:k].sum()))

    def svd_of(map: JacobianMap, k: int, callback: Callable[[Ritz], None] | None) -> JacobianSVD:
        generator = torch.Generator().manual_seed(seed)
        return topk_jacobian_svd(
            map.f, map.z, k, tol=look.tol, generator=generator, block=look.block, chunk=look.chunk, callback=callback
        )

    svd = svd_of(map, k, report)
    if not len(svd.S):
        raise HspaceError(f"{REACTS[map.name]} at t={t}: the Jacobian of the map {map.name!r} is zero")
    left = None
    if map.complement is not None and look.null:
        V, left = outside(svd.V, svd_of(map.complement, look.null, None).V)
        svd = replace(svd, V=V)
    return Local(map.to_h(svd), svd, left)
