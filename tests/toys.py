"""Stand-ins whose behaviour can be read off."""

from collections.abc import Callable

import torch
from torch import Tensor
from unets import noise

from hspace import Backbone, Head, State
from hspace.direction import Direction
from hspace.meta import Scope, Strength
from hspace.testing import PlantedBackbone


class Constant(Head):
    """The same shift for every state."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, state: State) -> Tensor:
        return self.shift.expand_as(state.h).to(state.h.dtype)


def bright(device: str) -> Callable[[Tensor], Tensor]:
    """A segmenter: 1 where a picture is bright, else 0."""
    return lambda images: (images.mean(dim=1) > 0).long()


class Counting(Backbone):
    """Another backbone, with the timesteps of its encoder passes and of its decoder passes."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner = inner
        self.encoded: list[int] = []
        self.decoded: list[int] = []
        self.edited: list[int] = []

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        self.encoded.append(int(t[0]))
        return self.inner.encode_h(x_t, t)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        (self.decoded if delta_h is None else self.edited).append(int(state.t[0]))
        return self.inner.decode_h(state, delta_h)


def toy() -> PlantedBackbone:
    """A planted backbone in double precision, small."""
    return PlantedBackbone((3, 4, 4), (8, 4, 4), dtype=torch.float64)


def basis(backbone: Backbone, components: int = 1, what: str = "left", **meta: object) -> Direction:
    """A direction on the backbone whose vectors are random, as a `table`."""
    from hspace.fingerprint import probe

    shape = probe(backbone).h_shape
    weights = {"vectors": noise(components, 1, *shape, seed=7)}
    described = {
        "steps": 40,
        "t_edit": 0,
        "strength": Strength(min=-1, max=1),
        "scope": Scope(kind="global"),
        **meta,
    }
    config = {"components": components} if components > 1 else {}
    return Direction.bind(backbone, what=what, finder="test", head="table", config=config, weights=weights, **described)
