"""One sign for every singular vector."""

import torch
from torch import Tensor

TIE = 1e-3  # entries this close in size count as equal, so that rounding does not choose between them


def signs(U: Tensor, reference: Tensor | None = None) -> Tensor:
    """(k,) of +1 and -1 that make <u_i, reference_i> positive, or else the largest entry of u_i in size.

    U is (k, m), reference (r, m). Ties go to the lowest index, and so do rows beyond the reference or orthogonal to
    theirs to the entry rule.
    """
    size = U.abs()
    first = (size >= (1 - TIE) * size.amax(dim=1, keepdim=True)).int().argmax(dim=1, keepdim=True)
    sign = U.gather(1, first).squeeze(1).sign()
    if reference is not None:
        k = min(len(U), len(reference))
        toward = (U[:k] * reference[:k].to(U)).sum(dim=1).sign()
        sign[:k] = torch.where(toward == 0, sign[:k], toward)
    return sign
