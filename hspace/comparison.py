"""How far apart bases are: principal angles between what they span, beside those of random subspaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import prod

import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace.backbone import Backbone, State
from hspace.direction import Direction
from hspace.errors import HspaceError, UsageError
from hspace.sampling import latents, sample
from hspace.schedule import generation
from hspace.sheets import parts

LATENTS = 2
"""Over how many latents the shifts of a head that reads the state are averaged."""
DRAWS = 32
TIMES = 8
"""How many of a head's timesteps are compared where nobody says which; more make no table that one can read."""
DEPENDENT = 1e-6
"""The singular value, as a share of the largest, from which unit shifts count as one more dimension."""


@dataclass(frozen=True)
class Subspace:
    """What the components of a direction span in h at one timestep: orthonormal rows U (k, Ch * Hh * Wh), float64."""

    name: str
    h_shape: tuple[int, ...]
    U: Tensor


@dataclass(frozen=True)
class Random:
    """The distances of random subspaces of the same dimensions: mean and standard deviation over `draws` pairs."""

    geodesic: float
    geodesic_sd: float
    chordal: float
    chordal_sd: float
    draws: int


@dataclass(frozen=True)
class Distance:
    """Two subspaces' principal angles in radians, rising, as many as the smaller has dimensions; and what is expected.

    0 where one lies in the other, pi/2 in every angle where they are orthogonal.
    """

    angles: tuple[float, ...]
    random: Random

    @property
    def geodesic(self) -> float:
        """D_geo = |theta|_2, the length of the shortest path between them on the Grassmannian."""
        return float(torch.tensor(self.angles, dtype=torch.float64).norm())

    @property
    def chordal(self) -> float:
        """|sin theta|_2."""
        return float(torch.tensor(self.angles, dtype=torch.float64).sin().norm())

    @property
    def share(self) -> float | None:
        """D_geo in units of that of random subspaces: 0 the same, about 1 unrelated; None where all are the same."""
        return self.geodesic / self.random.geodesic if self.random.geodesic else None


@dataclass(frozen=True)
class Comparison:
    """Subspaces, and the distance of each pair (i, j), i < j."""

    subspaces: tuple[Subspace, ...]
    distances: Mapping[tuple[int, int], Distance]


def compare(subspaces: Sequence[Subspace], *, draws: int = DRAWS, seed: int = 0) -> Comparison:
    """The distances of all pairs of subspaces, beside those of random ones, which the seed fixes.

    Raises UsageError for fewer than two subspaces, fewer than two draws, or subspaces of different h.
    """
    if len(subspaces) < 2:
        raise UsageError(
            f"a comparison is between two subspaces or more; {len(subspaces)} given. "
            f"Name another direction, or several timesteps with --at."
        )
    if draws < 2:
        raise UsageError(f"draws must be at least 2, to have a spread; {draws} was given")
    for one in subspaces[1:]:
        if one.h_shape != subspaces[0].h_shape:
            raise UsageError(
                f"angles are between shifts of one h: {subspaces[0].name} has {_shape(subspaces[0])}, "
                f"{one.name} {_shape(one)}. Compare directions of backbones with one shape of h."
            )
    distances = {}
    for i, j in combinations(range(len(subspaces)), 2):
        U, V = subspaces[i].U, subspaces[j].U
        few, many = sorted((len(U), len(V)))
        angles = tuple(principal_angles(U, V).tolist())
        distances[i, j] = Distance(angles, random_distances(few, many, prod(subspaces[i].h_shape), draws, seed))
    return Comparison(tuple(subspaces), distances)


def principal_angles(U: Tensor, V: Tensor) -> Tensor:
    """The principal angles between the spans of orthonormal rows U (k, n) and V (l, n): (min(k, l),), rising, radians.

    theta = arccos svd(U V'), which resolves angles down to about 1e-8 in float64.
    Source: Björck and Golub, *Numerical Methods for Computing Angles Between Linear Subspaces*, 1973, theorem 1.
    """
    cosines: Tensor = torch.linalg.svdvals(U @ V.mT)
    return cosines.clamp(max=1).arccos()


@cache
def random_distances(few: int, many: int, n: int, draws: int = DRAWS, seed: int = 0) -> Random:
    """The distances of pairs of random subspaces of few <= many dimensions in n, over `draws` pairs of the seed.

    A random subspace looks the same from every other, so the first one of each pair is that of the first axes.
    """
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(draws):
        V = torch.linalg.qr(torch.randn(n, many, dtype=torch.float64, generator=generator)).Q
        theta = torch.linalg.svdvals(V[:few]).clamp(max=1).arccos()
        found.append([theta.norm(), theta.sin().norm()])
    geodesic, chordal = torch.tensor(found, dtype=torch.float64).unbind(1)
    return Random(float(geodesic.mean()), float(geodesic.std()), float(chordal.mean()), float(chordal.std()), draws)


@torch.no_grad()
def spans(direction: Direction, backbone: Backbone, at: Sequence[int] = (), *, seed: int = 0) -> list[Subspace]:
    """What the direction's components, or the one that was picked, span: a subspace for each timestep.

    The timesteps are `at`, or else those that its head has rows for (of many, TIMES from the first to the last), or
    else the lower end of its window; each means the step of its sampling that is nearest. A head that reads the state
    is asked along the sampling of a few latents of the seed, and its answers are averaged.
    Raises UsageError for a timestep outside the schedule, RefusedError when the backbone is not the direction's,
    HspaceError where it does not shift h.
    """
    T = len(backbone.alphas_cumprod)
    heads = [one.head(backbone) for one in parts([direction])]
    asked = tuple(at) or _some(direction.meta.timesteps) or (direction.meta.t_edit,)
    for t in asked:
        if not 0 <= t < T:
            raise UsageError(f"a timestep to compare at is from 0 to {T - 1}; {t:g} was given")
    sampled = [t for t, _ in generation("asyrp", direction.meta.steps, T)]
    steps = [min(sampled, key=lambda step: abs(step - t)) for t in asked]
    visited = _Visited(backbone, steps)
    sample(visited, latents(backbone, LATENTS, seed), steps=direction.meta.steps)
    found = []
    for t, step in zip(asked, steps, strict=True):
        shifts = torch.stack([head(visited.states[step]).mean(dim=0) for head in heads])
        name = direction.id if len(asked) == 1 else f"{direction.id} t={t:g}"
        found.append(Subspace(name, tuple(shifts.shape[1:]), _orthonormal(shifts.flatten(1), name, t)))
    return found


class _Visited(Backbone):
    """Another backbone, with its states at some timesteps."""

    def __init__(self, inner: Backbone, times: Sequence[int]) -> None:
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.times = inner, set(times)
        self.states: dict[int, State] = {}

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        state = self.inner.encode_h(x_t, t)
        if int(t[0]) in self.times:
            self.states[int(t[0])] = state
        return state

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        return self.inner.decode_h(state, delta_h)


def _some(times: tuple[float, ...]) -> tuple[float, ...]:
    """At most TIMES of them, evenly spread, the first and the last among them."""
    if len(times) <= TIMES:
        return times
    return tuple(times[round(index * (len(times) - 1) / (TIMES - 1))] for index in range(TIMES))


def _orthonormal(shifts: Tensor, name: str, t: float) -> Tensor:
    """Orthonormal rows that span the shifts (k, n), whatever their lengths; fewer than k where they are dependent."""
    _, S, Vh = torch.linalg.svd(normalize(shifts.double().cpu(), dim=1), full_matrices=False)
    if not float(S[0]):
        raise HspaceError(f"{name} does not shift h at t={t:g}, so it spans nothing; name another timestep with --at")
    independent: Tensor = Vh[S / S[0] > DEPENDENT]
    return independent


def _shape(one: Subspace) -> str:
    return "x".join(map(str, one.h_shape))
