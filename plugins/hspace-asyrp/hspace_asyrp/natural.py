"""What a backbone's own pictures say of a prompt: how far to go, and when.

Along the unedited trajectories of many latents, the score of a picture is its embedding along the text direction. The
slope of P_t's embedding on the finished picture's score is the change that goes with the prompt by nature at t: it is
nothing while the attribute is undecided, and whole once it is settled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hspace import Backbone, Encoder
from hspace.errors import HspaceError, NotFoundError, RefusedError
from hspace.fingerprint import identity
from hspace.sampling import latents
from hspace.schedule import generation
from hspace.storage import cache_folder, read_tensors, write_tensors
from hspace_asyrp.processes import Processes
from hspace_asyrp.unedited import unedited

SEED = 2**33
"""Of the latents whose pictures are looked at; far from those that people choose, and from the held-out ones."""
GOAL = 0.9
"""An edited picture should score as the one that leaves this share of the backbone's own below it."""
BEGUN, SETTLED = 0.25, 0.9
"""The shares of the score between which an attribute is decided."""
FLAT = 1e-6
"""A standard deviation of the scores that is rounding."""
SMOOTH = 1.5
"""The width, in steps, over which neighbouring timesteps' slopes are averaged."""


@dataclass(frozen=True)
class Population:
    """What an encoder says of a backbone's own pictures on their way.

    `timesteps` (S,) falling, `embeddings` (S, N, D) of the predicted pictures P_t, `final` (N, D) of the finished.
    """

    timesteps: tuple[int, ...]
    embeddings: Tensor
    final: Tensor


@dataclass(frozen=True)
class Natural:
    """A prompt among a backbone's own pictures.

    `change` (S, D) is the slope of P_t's embedding on the finished picture's score, `share` (S,) the part of it along
    the text direction, `goal` the score to reach, and `full` the mean by which pictures fall short of it.
    """

    timesteps: tuple[int, ...]
    change: Tensor
    share: Tensor
    goal: float
    full: float
    delta_T: Tensor

    def asked(self, final: Tensor) -> Tensor:
        """How far the scores of finished pictures, by their embeddings (N, D), fall short of the goal: (N,)."""
        return (self.goal - final @ self.delta_T).clamp(min=0)

    def window(self) -> tuple[int, int]:
        """(t_edit, t_start): while the attribute is decided, its share rises from a quarter to nine tenths."""
        reached = [next((i for i, one in enumerate(self.share) if one >= share), -1) for share in (BEGUN, SETTLED)]
        start, end = self.timesteps[reached[0]], self.timesteps[reached[1]]
        return end, max(start, end)

    def at(self, timesteps: Sequence[int]) -> Natural:
        """The same at other timesteps, by straight lines between its own."""
        known, rows = np.array(self.timesteps[::-1]), self.change.cpu().numpy()[::-1]
        change = np.stack([np.interp(timesteps, known, column) for column in rows.T], axis=1)
        slope = torch.from_numpy(change).to(self.change)
        return replace(self, timesteps=tuple(timesteps), change=slope, share=slope @ self.delta_T)

    def within(self, timesteps: list[int]) -> Tensor:
        """The change (S', D) at some of the timesteps."""
        return self.change[[self.timesteps.index(t) for t in timesteps]]


def natural(population: Population, delta_T: Tensor) -> Natural:
    """What the pictures say of the text direction delta_T (D,).

    Raises HspaceError where they all score the same.
    """
    score = population.final @ delta_T
    if float(score.std()) <= FLAT:
        raise HspaceError(
            f"the backbone's own {len(score)} pictures are all alike along these prompts, so they do not say what goes "
            f"with them; name another encoder (--encoder), or ask for the paper's loss (--set fidelity=paper)"
        )
    centred, varies = score - score.mean(), (score - score.mean()).square().sum()
    embeddings = population.embeddings - population.embeddings.mean(dim=1, keepdim=True)
    slope = _smooth(torch.einsum("n,snd->sd", centred, embeddings) / varies)
    goal = float(score.quantile(GOAL))
    full = float((goal - score).clamp(min=0).mean())
    return Natural(population.timesteps, slope, slope @ delta_T, goal, full, delta_T)


def _smooth(rows: Tensor) -> Tensor:
    """The rows (S, D), each the mean of its neighbours under a Gaussian."""
    step = torch.arange(len(rows), device=rows.device)
    weights = torch.exp(-((step[:, None] - step).div(SMOOTH) ** 2) / 2)
    return (weights / weights.sum(dim=1, keepdim=True)) @ rows


def population_of(
    backbone: Backbone,
    encoder: Encoder,
    n: int,
    steps: int,
    *,
    batch: int = 8,
    callback: Callable[[int, int], None] = lambda done, total: None,
    processes: Processes = Processes(),  # noqa: B008 - it is frozen
) -> Population:
    """The backbone's own pictures of n latents, from the cache where they were looked at before.

    They depend on no prompt: the next one costs nothing.
    """
    x_T = latents(backbone, n, SEED)
    known = population_before(backbone, encoder, n, steps)
    everywhere = int(processes.sum(torch.tensor(int(known is not None), device=x_T.device))) == processes.count
    if known is not None and everywhere:
        return known
    own = looked_at(backbone, encoder, x_T, steps, batch=batch, callback=callback, processes=processes)
    if processes.index == 0:
        with suppress(HspaceError):  # a cache that cannot be written costs time alone
            kept = {"embeddings": own.embeddings, "final": own.final}
            write_tensors(_path(backbone, encoder, n, steps), kept)
    return own


def looked_at(
    backbone: Backbone,
    encoder: Encoder,
    x_T: Tensor,
    steps: int,
    *,
    batch: int = 8,
    callback: Callable[[int, int], None] = lambda done, total: None,
    processes: Processes = Processes(),  # noqa: B008 - it is frozen
) -> Population:
    """What an encoder says of the pictures of x_T (N, C, H, W): a network pass a latent and step, and nothing kept."""
    pairs = generation("asyrp", steps, len(backbone.alphas_cumprod))
    parts, finals = [], []
    for some in torch.split(x_T, batch):
        walked = unedited(backbone, encoder, some, pairs, batch, lambda done, total: None, processes)
        parts.append(walked.embeddings)  # not P_t: nobody reads them, and they are most of the memory
        finals.append(walked.final)
        callback(sum(map(len, finals)), len(x_T))
    return Population(tuple(t for t, _ in pairs), torch.cat(parts, dim=1), torch.cat(finals))


def population_before(backbone: Backbone, encoder: Encoder, n: int, steps: int) -> Population | None:
    """The population that `population_of` kept; None where there is none, or its file is damaged."""
    kept: dict[str, Tensor] = {}
    with suppress(NotFoundError, RefusedError):
        kept = read_tensors(_path(backbone, encoder, n, steps))
    if set(kept) != {"embeddings", "final"}:
        return None
    place = next(backbone.parameters(), kept["final"]).device
    timesteps = tuple(t for t, _ in generation("asyrp", steps, len(backbone.alphas_cumprod)))
    return Population(timesteps, kept["embeddings"].to(place), kept["final"].to(place))


def _path(backbone: Backbone, encoder: Encoder, n: int, steps: int) -> Path:
    told = [identity(backbone), encoder.digest, n, steps, SEED]
    return cache_folder() / "population" / f"{sha256(json.dumps(told).encode()).hexdigest()}.safetensors"
