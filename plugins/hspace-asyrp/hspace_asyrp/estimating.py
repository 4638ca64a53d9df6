"""What a training will cost, from a few real steps of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from hspace import Backbone, Task
from hspace.cost import EDITED, PLAIN, Counted, Estimate, Passes, Stage, seconds_of, speed
from hspace.sampling import latents
from hspace.schedule import generation
from hspace_asyrp.effect import STEPS
from hspace_asyrp.measured import PICTURES, curves_before, measure
from hspace_clip.texts import prompt_cosine

if TYPE_CHECKING:
    from hspace_asyrp.finder import AsyrpFinder

COARSE = 8
"""In how many steps the few tried pictures are walked: a curve's course hardly depends on it."""


def estimate(finder: AsyrpFinder, backbone: Backbone, task: Task, held_out: int, effects: int) -> Estimate:
    """The walk of the pictures, the training and the measuring: `effects` times the effect on `held_out` pictures.

    The window is the one asked for, or that of curves measured before, or that of a coarse curve of a few latents.
    """
    T, N = len(backbone.alphas_cumprod), len(task.x_T)
    pairs = generation("asyrp", task.steps, T)
    few = replace(
        task, x_T=latents(backbone, max(2, finder.plan.batch), task.seed), x_0=None, steps=COARSE, progress=None
    )
    t_edit, curves = _window(finder, backbone, task, few)
    fast = speed(backbone)
    looks = _seconds_of_a_look(backbone, few)
    stages = []
    if curves:
        n = min(N, PICTURES)
        passes = PLAIN * (n * len(pairs))
        stages.append(Stage("curves", passes, fast.seconds(passes) + 2 * looks * n * len(pairs)))
    walked = PLAIN * (N * len(pairs))
    stages.append(Stage("unedited", walked, fast.seconds(walked) + looks * N * (len(pairs) + 1)))
    stages.append(_training(finder, backbone, few, t_edit, N, sum(t >= t_edit for t, _ in pairs)))
    sampled = generation("asyrp", STEPS, T)
    plain = PLAIN * (held_out * len(sampled))
    inside = sum(t >= t_edit for t, _ in sampled)
    one = EDITED * (held_out * inside) + PLAIN * (held_out * (len(sampled) - inside))
    measured = plain + one * effects
    stages.append(Stage("measuring", measured, fast.seconds(measured) + looks * held_out * (effects + 1)))
    return Estimate(tuple(stages), _more_bytes(backbone, few, N, len(pairs)))


def _window(finder: AsyrpFinder, backbone: Backbone, task: Task, few: Task) -> tuple[int, bool]:
    """t_edit, and whether curves have to be measured for it or for t_boost."""
    assert task.prompts is not None
    if finder.t_edit is not None and finder.t_boost is not None:
        return finder.t_edit, False
    distance = finder.distance(task)
    known = curves_before(backbone, distance, task.x_T, task.steps)
    if finder.t_edit is not None:
        return finder.t_edit, known is None
    timesteps = [t for t, _ in generation("asyrp", task.steps, len(backbone.alphas_cumprod))]
    curves = known or measure(backbone, distance, few.x_T, COARSE).at(timesteps)
    return curves.t_edit(prompt_cosine(task.encoder, *task.prompts)), known is None


def _training(finder: AsyrpFinder, backbone: Backbone, few: Task, t_edit: int, pictures: int, timesteps: int) -> Stage:
    """The training, by a pass of the few through a coarse window; the first pass of all is for warming up."""
    counted = Counted(backbone)
    training, _ = finder.training(counted, few, t_edit)
    training.run_pass(0)
    counted.passes = Passes()
    seconds = seconds_of(lambda: training.run_pass(0), few.x_T.device, times=1)
    tried = len(training.batches[0]) * len(training.window.timesteps)
    times = finder.plan.epochs * pictures * timesteps
    seen = counted.passes
    passes = Passes(
        seen.encoder * times // tried, seen.decoder * times // tried, seen.decoder_with_graph * times // tried
    )
    return Stage("training", passes, seconds * times / tried)


@torch.no_grad()
def _seconds_of_a_look(backbone: Backbone, few: Task) -> float:
    """The seconds it takes to see one picture: x_0 decoded where it is a latent, and encoded."""
    few.encoder.images(backbone.x0_to_image(few.x_T))
    looked = seconds_of(lambda: few.encoder.images(backbone.x0_to_image(few.x_T)), few.x_T.device)
    return looked / len(few.x_T)


def _more_bytes(backbone: Backbone, few: Task, N: int, steps: int) -> int:
    """What all pictures take beyond the few: P_t and an embedding for every step of each."""
    picture = backbone.x0_to_image(few.x_T[:1])
    numbers: int = picture[0].numel() + few.encoder.images(picture)[0].numel()
    # Parts and their concatenation are held at once.
    return 2 * numbers * picture.element_size() * max(0, N * steps - len(few.x_T) * few.steps)
