"""Toy faces as a source of images with known attributes and captions."""

from __future__ import annotations

import random
from collections.abc import Mapping
from hashlib import sha256

import torch
from torch import Tensor

from .attributes import Attributes, check_skew, from_matrix, parse_skew, sample_attributes, to_matrix
from .captions import caption
from .renderer import render

BLOCK = 256


class ToyFaces:
    """An endless row of faces that a seed fixes: face i is the same face in whatever batch it is asked for.

    Attributes are drawn in blocks of 256 faces, each block from a generator of its own that the seed and the
    block's number make; so a face can be reached without drawing those before it. `skew` is as for
    `sample_attributes`. Raises ValueError for a size below 1, and for a skew as that does.
    """

    def __init__(self, size: int = 64, seed: int = 0, skew: Mapping[str, float] | None = None) -> None:
        if size < 1:
            raise ValueError(f"faces were asked for at size {size}; a picture has at least 1 pixel a side.")
        check_skew(skew or {})
        self.size, self.seed, self.skew = size, seed, skew

    def images(self, n: int, start: int = 0) -> Tensor:
        """The faces from number `start` on: (n, 3, size, size) in [-1, 1]; raises as `attributes` does."""
        return render(self.attributes(n, start), self.size)

    def attributes(self, n: int, start: int = 0) -> Attributes:
        """Their attributes: name -> (n,) float32 in [-1, 1]. Raises ValueError if n or start is negative."""
        if n < 0 or start < 0:
            raise ValueError(f"{n} faces from number {start} were asked for; neither may be negative.")
        first, last = start // BLOCK, max(start, start + n - 1) // BLOCK
        rows = torch.cat([self._block(number) for number in range(first, last + 1)])
        return from_matrix(rows[start - first * BLOCK :][:n])

    def captions(self, n: int, start: int = 0) -> list[str]:
        """Their captions, as fixed by the seed as the faces are; raises as `attributes` does."""
        faces = self.attributes(n, start)
        return [caption(faces, index, random.Random(f"{self.seed}/{start + index}")) for index in range(n)]

    def _block(self, number: int) -> Tensor:
        digest = sha256(f"{self.seed}/{number}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=True))
        return to_matrix(sample_attributes(BLOCK, generator, skew=self.skew))


def build(size: int = 64, seed: int = 0, skew: str = "") -> ToyFaces:
    """The faces of a seed, `size` pixels a side; `skew` as in "skin=0.03": 3 % of them have dark skin.

    Raises ValueError where that has another form.
    """
    return ToyFaces(size, seed, parse_skew(skew.split(",") if skew else []))
