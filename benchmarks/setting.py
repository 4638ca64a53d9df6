"""What the benchmarks of Asyrp's training share: one prompt on one backbone, and heads compared at the same drift."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hspace import Backbone, Encoder, Head, load_backbone
from hspace.loading import load_encoder
from hspace.sampling import latents
from hspace.schedule import generation
from hspace_asyrp.effect import Bench
from hspace_asyrp.finder import build
from hspace_asyrp.loss import WIDTHS, Goal
from hspace_asyrp.making import FAR, HELD_OUT_SEED
from hspace_asyrp.natural import Natural, natural, population_of
from hspace_asyrp.training import Training
from hspace_asyrp.unedited import Unedited, unedited
from hspace_asyrp.window import Window
from hspace_clip.texts import prompt_cosine, text_direction

PROMPTS = ("a face", "a face with dark skin")
BATCH = 4
WEAKEST, STRONGEST = 1 / 64, 64.0
"""Between which strengths a head is looked at; a short training leaves it small, and drift is what is matched."""


@dataclass(frozen=True)
class Size:
    """How large a benchmark is: the backbone, its steps, and how many latents are trained on and held out."""

    backbone: str = "ddpmpp-toyfaces-32"
    encoder: str = "toyclip"
    steps: int = 40
    latents: int = 12
    epochs: int = 2
    held_out: int = 6
    held_out_steps: int = 10
    population: int = 96


TINY = Size("ddpmpp-random-tiny", steps=4, latents=2, epochs=1, held_out=2, held_out_steps=4, population=4)
"""For a smoke test: it shows that a script runs, and nothing else."""


class Setting:
    """A prompt on a backbone, and the window in which its attribute is decided; `bench` holds the held-out latents."""

    def __init__(self, size: Size) -> None:
        self.size = size
        self.backbone: Backbone = load_backbone(size.backbone)
        self.encoder: Encoder = load_encoder(size.encoder)
        self.delta_T = text_direction(self.encoder, *PROMPTS)
        self.cosine = prompt_cosine(self.encoder, *PROMPTS)
        self.pairs = generation("asyrp", size.steps, len(self.backbone.alphas_cumprod))
        population = population_of(self.backbone, self.encoder, size.population, size.steps)
        self.natural: Natural = natural(population, self.delta_T)
        t_edit, t_start = self.natural.window()
        self.window = Window(t_edit, None, t_start)
        held_out = latents(self.backbone, size.held_out, HELD_OUT_SEED)
        self.bench = self._bench(held_out)
        self.far = FAR * float(torch.pdist(self.bench.plain).mean())

    def _bench(self, held_out: Tensor) -> Bench:
        """The bench in the benchmark's own number of steps; the step rule makes effects much the same in more."""
        steps, found = self.size.held_out_steps, self.size.steps
        bench = Bench(self.backbone, self.encoder, self.delta_T, held_out, self.window, steps)
        bench.steps_found = found
        return bench

    def walked(self, n: int, seed: int) -> Unedited:
        """The unedited trajectories of n latents of a seed, whole."""
        x_T = latents(self.backbone, n, seed)
        return unedited(self.backbone, self.encoder, x_T, self.pairs, BATCH, lambda done, n: None, keep_x_t=True)

    def training(self, whole: Unedited, window: Window, *, seed: int = 0, **settings: Any) -> tuple[Training, Head]:
        """The training that `asyrp` with those settings means, on trajectories walked before, and the head it trains.

        The window is given, so that losses and heads differ in nothing else.
        """
        finder = build(**settings)
        part = whole.within(window.t_edit, window.t_start)
        head, _ = finder.start(self.backbone, part.timesteps, seed)
        by_nature = finder.plan.fidelity == "natural"
        full = self.natural.full if by_nature else WIDTHS * whole.spread(self.delta_T)
        goal = Goal(self.delta_T, full, self.cosine, self.natural if by_nature else None)
        assert part.x_t is not None
        plan = replace(finder.plan, seed=seed)
        return Training(self.backbone, self.encoder, head, part.x_t[0], part, goal, plan), head

    def matched(self, head: Head, window: Window | None = None, looks: int = 3) -> dict[str, float]:
        """What a head does at the strength at which its pictures drift across the direction as far as they may.

        `effect` is the share of the full effect, `across` the drift, `ratio` the change along over that across. The
        strength is found in proportion, in so many looks; the one nearest to the drift allowed counts.
        """
        bench = self.bench
        bench.window = window or self.window
        strength, seen = 1.0, []
        for _ in range(looks):
            effect = bench.effect(head, strength)
            across = float(effect.across.mean())
            seen.append((abs(across - self.far), strength, effect.mean, across))
            strength = min(max(strength * self.far / max(across, 1e-9), WEAKEST), STRONGEST)
        _, strength, along, across = min(seen)
        told = {"effect": along / self.natural.full, "across": across, "ratio": along / across, "strength": strength}
        return {name: round(value, 4) for name, value in told.items()}
