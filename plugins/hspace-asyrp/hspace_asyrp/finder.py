"""The finder `asyrp`: a direction from one prompt to another, as a head that is trained on a frozen backbone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace import Backbone, Direction, Head, Task
from hspace.building import build_head
from hspace.cost import Estimate, EstimatingFinder
from hspace.errors import UsageError
from hspace.fingerprint import probe
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace.plugins import plugins
from hspace.sampling import latents
from hspace.schedule import generation
from hspace.settings import require_known
from hspace_asyrp.distance import Distance, perceptual_distance
from hspace_asyrp.effect import ROUNDS, STEPS, Bench, Effect
from hspace_asyrp.estimating import estimate
from hspace_asyrp.inert import InertError
from hspace_asyrp.loss import Goal, Terms
from hspace_asyrp.measured import curves_of
from hspace_asyrp.running import run
from hspace_asyrp.scrambled import Scrambled
from hspace_asyrp.training import Fidelity, Plan, Training
from hspace_asyrp.unedited import unedited
from hspace_asyrp.window import Window
from hspace_clip.texts import prompt_cosine, text_direction

FINDER = "asyrp"
HELD_OUT = 8
HELD_OUT_SEED = 2**32
"""Far from the seeds that people choose, so that the held-out latents are not among the trained ones."""
SCRAMBLES = 4
WIDTHS = 2.0
"""The full effect of a prompt, in standard deviations of the backbone's own pictures along the text direction."""
RANGE = (1.0, 1.5, 2.0, 3.0)
EFFECTS = ROUNDS + 1 + SCRAMBLES + 2 * len(RANGE)
"""How often the effect of a head on the held-out pictures is measured, in all."""
LEAST = 0.1
"""The share of the full effect, at the largest strength looked at, below which an edit is none."""
FAR = 0.5
"""How far across the direction an edit may move a picture, as a share of the way to another picture."""


def build(
    head: str = "delta-block",
    t_edit: int | None = None,
    t_boost: int | None = None,
    epochs: int = 4,
    batch: int = 4,
    rate: float | None = None,
    clip: float = 0.8,
    recon: float = 3.0,
    effect: float = 1.0,
    fidelity: Fidelity = "paper",
    lpips: Path | None = None,
    head_config: Mapping[str, Any] | None = None,
) -> AsyrpFinder:
    """The finder; `head_config` holds the settings of the head.

    `clip`, `recon` and `effect` weigh the loss; `t_edit` and `t_boost` are estimated where they are not given, by LPIPS
    where `lpips` names its weights (a file, or a folder), and t_boost 0 is none; `fidelity` "official" does what the
    released code does. Raises UsageError for a value out of its range.
    """
    require_known(list(head_config or {}), "heads", head, plugins().find("heads", head).load())
    if fidelity not in ("paper", "official"):
        raise UsageError(f"fidelity must be paper or official; {fidelity!r} was given")
    rate = rate if rate is not None else (0.5 if fidelity == "official" else 2e-3)
    for name, value in (("epochs", epochs), ("batch", batch), ("rate", rate)):
        if not value > 0:
            raise UsageError(f"{name} must be more than 0; {value} was given")
    terms = Terms(clip, recon, 0.0 if fidelity == "official" else effect)
    plan = Plan(epochs=epochs, batch=batch, rate=rate, terms=terms, fidelity=fidelity)
    return AsyrpFinder(plan, head, dict(head_config or {}), t_edit, t_boost, lpips)


@dataclass(frozen=True)
class AsyrpFinder(EstimatingFinder):
    """Trains a head so that the pictures it edits move from one prompt to the other.

    Source: Kwon et al., Diffusion Models Already Have a Semantic Latent Space (arXiv:2210.10960).
    """

    plan: Plan
    head: str
    head_config: dict[str, Any] = field(default_factory=dict)
    t_edit: int | None = None
    t_boost: int | None = None
    lpips: Path | None = None

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction. Raises InertError when it does no more than an untrained head of its size."""
        report = task.progress or (lambda done, total: None)
        window = self.window(backbone, task)
        training, config = self.training(backbone, task, window.t_edit)
        run(training, task, self._describe(), report)
        head = training.head.eval().requires_grad_(False)
        held_out = latents(backbone, HELD_OUT, HELD_OUT_SEED + task.seed)
        bench = Bench(backbone, task.encoder, training.goal.delta_T, held_out, window.t_edit, task.steps)
        yield self._direction(backbone, task, head, config, bench, training.goal, window.t_boost)

    def estimate(self, backbone: Backbone, task: Task) -> Estimate:
        """What `find` would cost: the walk of the pictures, the training, and the measuring afterwards."""
        return estimate(self, backbone, task, HELD_OUT, EFFECTS)

    def training(self, backbone: Backbone, task: Task, t_edit: int) -> tuple[Training, dict[str, Any]]:
        """The training that a task means, before its first pass, and what its head is built with."""
        assert task.prompts is not None
        delta_T = text_direction(task.encoder, *task.prompts).to(task.x_T)
        pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
        whole = unedited(backbone, task.encoder, task.x_T, pairs, self.plan.batch, lambda done, total: None)
        goal = Goal(delta_T, WIDTHS * whole.spread(delta_T), prompt_cosine(task.encoder, *task.prompts))
        window = whole.above(t_edit)
        config = self._head_config(window.timesteps, task.seed)
        head = build_head(backbone, self.head, config, None)
        plan = replace(self.plan, seed=task.seed)
        return Training(backbone, task.encoder, head, task.x_T, window, goal, plan), config

    def _direction(
        self,
        backbone: Backbone,
        task: Task,
        head: Head,
        config: dict[str, Any],
        bench: Bench,
        goal: Goal,
        t_boost: int | None,
    ) -> Direction:
        assert task.prompts is not None
        scale = bench.strength_for(head, goal.full)
        reached = bench.effect(head, scale)
        channels = probe(backbone).h_shape[0]
        noise = bench.noise([Scrambled(head, channels, seed) for seed in range(SCRAMBLES)], scale)
        if reached.mean <= max(noise, LEAST * goal.full):
            raise InertError(
                f"the head learnt nothing that shows: it moves unseen pictures by {reached.mean:.3g} towards "
                f"{task.prompts[1]!r}, where the full effect is {goal.full:.3g}; untrained heads of its size reach "
                f"{noise:.3g}. Train longer (--set epochs=), on more pictures (--samples), in a longer window "
                f"(--set t_edit=), or with another encoder."
            )
        far = FAR * _apart(bench.plain)
        most, least = (self._safe(bench, head, scale, sign, far) for sign in (1, -1))
        return Direction.bind(
            backbone,
            what=_slug(task.prompts[1]),
            finder=FINDER,
            head=self.head,
            config=config,
            scale=scale,
            weights=head.state_dict(),
            steps=task.steps,
            t_edit=bench.t_edit,
            t_boost=t_boost,
            strength=Strength(default=1.0, min=least, max=most),
            scope=Scope(kind="global"),
            prompts=task.prompts,
            metrics=_metrics(reached, noise, goal),
            provenance=Provenance(finder=FINDER, config=self._describe(), data=task.data or f"{len(task.x_T)} latents"),
        )

    def _safe(self, bench: Bench, head: Head, scale: float, sign: int, far: float) -> float:
        """The largest strength of a sign, of those looked at, that leaves pictures nearer to themselves than to others.

        1 where none does.
        """
        safe = [s for s in RANGE if float(bench.effect(head, sign * s * scale).across.mean()) <= far]
        return sign * max(safe, default=RANGE[0])

    def window(self, backbone: Backbone, task: Task) -> Window:
        """The window of a task: what was asked for, and the rest by the backbone's own curves."""
        assert task.prompts is not None
        top = generation("asyrp", task.steps, len(backbone.alphas_cumprod))[0][0]
        for name, value in (("t_edit", self.t_edit), ("t_boost", self.t_boost)):
            if value is not None and not 0 <= value <= top:
                raise UsageError(f"{name} must be from 0 to {top}; {value} was given")
        if self.t_edit is not None and self.t_boost is not None:
            return Window(self.t_edit, self.t_boost or None)
        curves = curves_of(backbone, self.distance(task), task.x_T, task.steps, batch=self.plan.batch)
        t_edit = curves.t_edit(prompt_cosine(task.encoder, *task.prompts)) if self.t_edit is None else self.t_edit
        return Window(t_edit, curves.t_boost() if self.t_boost is None else self.t_boost or None)

    def distance(self, task: Task) -> Distance:
        """What the curves are measured with."""
        return perceptual_distance(task.encoder, [self.lpips] if self.lpips else [], task.x_T.device)

    def _head_config(self, timesteps: list[int], seed: int) -> dict[str, Any]:
        """What the head is built with: what was asked for, and the window and the seed where it takes them."""
        takes = inspect.signature(plugins().find("heads", self.head).load()).parameters
        offered = {"timesteps": sorted(timesteps), "seed": seed}
        return {**{name: value for name, value in offered.items() if name in takes}, **self.head_config}

    def _describe(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        del plan["seed"]
        return {
            **plan.pop("terms"),
            **plan,
            "head": self.head,
            **self.head_config,
            "t_edit": self.t_edit,
            "t_boost": self.t_boost,
        }


def _apart(vectors: Tensor) -> float:
    """The mean distance between two different vectors of (N, D)."""
    return float(torch.pdist(vectors.cpu()).mean())


def _metrics(reached: Effect, noise: float, goal: Goal) -> tuple[Measurement, ...]:
    protocol = f"change of the embedding along the text direction, unseen latents, {STEPS} steps, strength 1"
    figures = {
        "effect": (reached.mean, protocol),
        "full_effect": (goal.full, f"{WIDTHS:g} standard deviations of the training pictures along the text direction"),
        "effect_of_scrambled_heads": (noise, f"the largest of {SCRAMBLES}, as the effect"),
        "effect_across": (float(reached.across.mean()), "change across the text direction, as the effect"),
    }
    return tuple(
        Measurement(name=name, value=value, n=len(reached.along), protocol=told)
        for name, (value, told) in figures.items()
    )


def _slug(prompt: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", prompt.lower()).strip("-") or "direction"
