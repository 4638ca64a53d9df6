"""The editing window: from which timestep up a change of h should act, and below which noise makes up for detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hspace.schedule import Pair

THRESHOLD, BOOST = 0.33, 1.2
"""The published thresholds on LPIPS (AlexNet): of P_t and x_0 at a cosine of 1, and of x_t and x_0."""
CELEBA_TOTAL = 1.167
"""The largest distance of P_t on the curve published for CelebA-HQ."""
SHARE = THRESHOLD / CELEBA_TOTAL
"""The threshold of P_t as a share of the whole distance, for distances that are not LPIPS."""


@dataclass(frozen=True)
class Window:
    """h is shifted at t_edit <= t <= t_start, and steps below t_boost are stochastic; None for none.

    Without t_start h is shifted from the first step on.
    """

    t_edit: int
    t_boost: int | None
    t_start: int | None = None

    def timesteps(self, pairs: Sequence[Pair]) -> list[int]:
        """The timesteps of sampling that are in it, falling."""
        return [t for t, _ in pairs if t >= self.t_edit and (self.t_start is None or t <= self.t_start)]


@dataclass(frozen=True)
class Curves:
    """How far from the finished picture x_0 pictures are on their way, by timestep: means over pictures.

    `P_t` holds the distances of the predicted picture, `x_t` those of the noisy one. `distance` says which distance it
    is, and `lpips` whether the published thresholds are meant for it.
    """

    timesteps: tuple[int, ...]
    P_t: tuple[float, ...]
    x_t: tuple[float, ...]
    distance: str
    lpips: bool
    pictures: int

    def t_edit(self, cosine: float) -> int:
        """Where P_t reaches the threshold for two prompts of that cosine."""
        rule = t_edit_from_lpips if self.lpips else t_edit_from_share
        return rule(self.timesteps, self.P_t, cosine)

    def t_boost(self) -> int | None:
        """Where x_t reaches its threshold by LPIPS; None where it never does, and for another distance.

        A share of another distance is no substitute: LPIPS sees fine noise early, embeddings see it late. On the toy
        faces it would boost below t = 486, which takes a picture 0.4 of the way to another one.
        """
        return t_boost_from_lpips(self.timesteps, self.x_t) if self.lpips else None

    def at(self, timesteps: Sequence[int]) -> Curves:
        """The curves at other timesteps, by straight lines between their own."""
        rising = np.argsort(self.timesteps)
        known = np.array(self.timesteps)[rising]
        P_t, x_t = (tuple(np.interp(timesteps, known, np.array(row)[rising]).tolist()) for row in (self.P_t, self.x_t))
        return replace(self, timesteps=tuple(timesteps), P_t=P_t, x_t=x_t)

    def thresholds(self, cosine: float) -> tuple[float, float | None]:
        """The distances of P_t and of x_t that the rules look for."""
        return (THRESHOLD * cosine, BOOST) if self.lpips else (SHARE * cosine * max(self.P_t), None)


def t_edit_from_lpips(timesteps: Sequence[int], distances: Sequence[float], cosine: float) -> int:
    """The lowest timestep at which LPIPS(P_t, x_0) reaches 0.33 cos, with the cosine of the two prompts.

    The further apart the prompts, the lower the cosine, and the longer the window. Where the curve never gets so far
    it is the last timestep. Source: Kwon et al., Asyrp, as the released code computes it.
    """
    return _first_or_last(timesteps, distances, THRESHOLD * cosine)


def t_edit_from_share(timesteps: Sequence[int], distances: Sequence[float], cosine: float) -> int:
    """The same rule for any distance: where it reaches that share of the largest."""
    return _first_or_last(timesteps, distances, SHARE * cosine * max(distances))


def t_boost_from_lpips(timesteps: Sequence[int], distances: Sequence[float], threshold: float = BOOST) -> int | None:
    """The lowest timestep at which LPIPS(x_t, x_0) reaches the threshold, below which quality boosting acts.

    None where it never does. Source: Kwon et al., Asyrp.
    """
    return _first(timesteps, distances, threshold)


def _first(timesteps: Sequence[int], distances: Sequence[float], threshold: float) -> int | None:
    rising = sorted(zip(timesteps, distances, strict=True))
    return next((t for t, distance in rising if distance >= threshold), None)


def _first_or_last(timesteps: Sequence[int], distances: Sequence[float], threshold: float) -> int:
    first = _first(timesteps, distances, threshold)
    return max(timesteps) if first is None else first
