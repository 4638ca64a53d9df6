"""One sign for every singular vector, and one basis for every cluster of them."""

from __future__ import annotations

import torch
from torch import Tensor

TIE = 1e-3  # entries this close in size count as equal, so that rounding does not choose between them


def oriented(U: Tensor, V: Tensor, cluster: Tensor, reference: Tensor | None) -> tuple[Tensor, Tensor]:
    """(U (k, m), V (k, n)) with signs that do not depend on how they were found.

    With a `reference` (r, m), <u_i, reference_i> is positive; where triplets share a `cluster` (k,) and have a
    reference each, only their span is determined, and they are turned within it to be as near to the reference as
    they can (orthogonal Procrustes). Else, and where u is orthogonal to its reference, the largest entry of u_i in
    size is positive; ties go to the lowest index.
    """
    turn = torch.diag(largest_positive(U))
    if reference is not None:
        overlap = reference.to(U) @ U.mT  # (r, k)
        for label in range(int(cluster[-1]) + 1 if len(cluster) else 0):
            (members,) = torch.nonzero(cluster == label, as_tuple=True)
            if int(members[-1]) < len(reference):
                _turn_toward(turn, overlap, members.to(U.device))
            else:
                for member in members[members < len(reference)].to(U.device):
                    _turn_toward(turn, overlap, member[None])
    return turn @ U, turn @ V


def _turn_toward(turn: Tensor, overlap: Tensor, members: Tensor) -> None:
    among = overlap[members[:, None], members]
    if float(among.norm()) > 0:
        P, _, Qh = torch.linalg.svd(among)
        turn[members[:, None], members] = P @ Qh


def largest_positive(U: Tensor) -> Tensor:
    """(k,) of +1 and -1 that make the largest entry of each row of U (k, m) positive."""
    size = U.abs()
    first = (size >= (1 - TIE) * size.amax(dim=1, keepdim=True)).int().argmax(dim=1, keepdim=True)
    return U.gather(1, first).squeeze(1).sign()
