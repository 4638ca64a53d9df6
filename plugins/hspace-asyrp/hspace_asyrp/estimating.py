"""What a training will cost, from a few real steps of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from hspace import Backbone, Encoder, Head, Task
from hspace.cost import EDITED, PLAIN, Counted, Estimate, Passes, Speed, Stage, seconds_of, speed
from hspace.loading import load_encoder
from hspace.sampling import latents
from hspace.schedule import generation
from hspace_asyrp.effect import MOST_STEPS
from hspace_asyrp.making import EFFECTS, HELD_OUT
from hspace_asyrp.measured import PICTURES, curves_before, measure
from hspace_asyrp.natural import SEED, Natural, looked_at, population_before
from hspace_asyrp.preparing import networks_of, training_of
from hspace_asyrp.processes import Processes
from hspace_asyrp.window import Window
from hspace_asyrp.windowing import distance_of, needs_curves, said_of, window_of
from hspace_clip.texts import prompt_cosine

if TYPE_CHECKING:
    from hspace_asyrp.finder import AsyrpFinder

COARSE = 8
"""In how many steps the few tried pictures are walked: a curve's course hardly depends on it."""


@dataclass(frozen=True)
class Pace:
    """How fast a network is, and in how many seconds an encoder sees a picture."""

    network: Speed
    look: float

    @classmethod
    def of(cls, backbone: Backbone, encoder: Encoder, few: Task) -> Pace:
        """The pace on this machine, by the few latents of a task."""
        return cls(speed(backbone), _seconds_of_a_look(backbone, encoder, few))

    def seconds(self, passes: Passes, looks: int) -> float:
        """How long it takes to make passes without a graph, and to see that many pictures."""
        return self.network.seconds(passes) + looks * self.look


def estimate(finder: AsyrpFinder, backbone: Backbone, task: Task) -> Estimate:
    """What the window asks for and is not known, the walk of the pictures, the training, and the measuring afterwards.

    The window is the one asked for, or that of what was measured before, or that of a coarse look at a few latents.
    Of several processes the passes are those of all, and the seconds are those that each is at work.
    """
    N, T = len(task.x_T), len(backbone.alphas_cumprod)
    x_T = latents(backbone, max(2, finder.plan.batch), task.seed)
    few = replace(task, x_T=x_T, x_0=None, steps=COARSE, progress=None)
    own = _few_of_population(finder, backbone, task)
    window, looks = _window(finder, backbone, task, few, own)
    timesteps = window.timesteps(generation("asyrp", task.steps, T))
    edited = len(timesteps)
    head, _ = finder.start(backbone, timesteps, task.seed)
    plain = Pace.of(backbone, task.encoder, few)
    stages = [_looked_at(task, looks, plain)] if looks else []
    stages.append(_unedited(finder, backbone, task, few, edited, plain))
    stages.append(_training(finder, backbone, few, head, N, edited, own))
    stages.append(_measuring(task, T, edited, plain))
    return Estimate(tuple(stages), _more_bytes(finder, backbone, few, N, task.steps, window))


def _few_of_population(finder: AsyrpFinder, backbone: Backbone, task: Task) -> Natural | None:
    """What a few of the backbone's own pictures say of the prompts, in coarse steps; None for another loss."""
    if finder.plan.fidelity != "natural":
        return None
    x_T = latents(backbone, min(PICTURES, finder.population), SEED)
    processes = Processes.joined(x_T.device)
    return said_of(looked_at(backbone, task.encoder, x_T, COARSE, processes=processes), task)


def _window(finder: AsyrpFinder, backbone: Backbone, task: Task, few: Task, own: Natural | None) -> tuple[Window, int]:
    """The window, and how many latents have to be walked for it or for t_boost, which is not looked for."""
    t_edit, curves = Processes.joined(few.x_T.device).from_main(_by_curves(finder, backbone, task, few), few.x_T.device)
    looks = min(len(task.x_T), PICTURES) if curves else 0
    if own is None:
        return window_of(replace(finder, t_edit=t_edit, t_boost=0), backbone, task, None), looks
    known = population_before(backbone, task.encoder, finder.population, task.steps)
    timesteps = [t for t, _ in generation("asyrp", task.steps, len(backbone.alphas_cumprod))]
    natural = own.at(timesteps) if known is None else said_of(known, task)
    window = window_of(replace(finder, t_boost=0), backbone, task, natural)
    return window, looks + (finder.population if known is None else 0)


def _by_curves(finder: AsyrpFinder, backbone: Backbone, task: Task, few: Task) -> tuple[int, bool]:
    """t_edit, and whether curves have to be measured; t_edit is 0 where they are asked for t_boost alone."""
    assert task.prompts is not None
    if not needs_curves(finder):
        return finder.t_edit or 0, False
    distance = distance_of(finder, task)
    known = curves_before(backbone, distance, task.x_T, task.steps)
    if finder.t_edit is not None or finder.plan.fidelity == "natural":
        return finder.t_edit or 0, known is None
    timesteps = [t for t, _ in generation("asyrp", task.steps, len(backbone.alphas_cumprod))]
    curves = known or measure(backbone, distance, few.x_T, COARSE).at(timesteps)
    return curves.t_edit(prompt_cosine(task.encoder, *task.prompts)), known is None


def _looked_at(task: Task, latents: int, pace: Pace) -> Stage:
    passes = PLAIN * (latents * task.steps)
    return Stage("window", passes, pace.seconds(passes, looks=2 * passes.encoder))


def _unedited(finder: AsyrpFinder, backbone: Backbone, task: Task, few: Task, edited: int, plain: Pace) -> Stage:
    """The walk of all pictures, and what the encoders say of them on their way."""
    N, pairs = len(task.x_T), generation("asyrp", task.steps, len(backbone.alphas_cumprod))
    network, encoder = networks_of(finder, backbone, task.encoder, few)
    pace = plain if network is backbone else Pace.of(network, encoder, few)
    passes = PLAIN * (N * len(pairs))
    seconds = pace.seconds(passes, looks=N * (len(pairs) + 1))
    if finder.identity_encoder is not None:
        _, sees = networks_of(finder, backbone, load_encoder(finder.identity_encoder, device=few.x_T.device), few)
        seconds += N * edited * _seconds_of_a_look(network, sees, few)
    return Stage("unedited", passes, seconds / Processes.joined(few.x_T.device).count)


def _training(
    finder: AsyrpFinder, backbone: Backbone, few: Task, head: Head, pictures: int, timesteps: int, own: Natural | None
) -> Stage:
    """The training, by a pass of the few; the first pass of all is for warming up.

    A place is a picture at a timestep. A start from another direction is compared with an untrained head's on the
    first batch.
    """
    counted = Counted(backbone)
    training = training_of(finder, counted, few, Window(0, None), head, own)
    training.run_pass(0)
    counted.passes = Passes()
    seconds = seconds_of(lambda: training.run_pass(0), few.x_T.device, times=1)
    seen, walked = counted.passes, len(training.window.timesteps) // training.places
    places, tried = finder.plan.epochs * pictures * timesteps, len(training.batches[0]) * walked
    each = Passes(1, seen.decoder // seen.encoder, 0)
    passes = each * places + Passes(decoder_with_graph=places)
    if finder.init is None:
        return Stage("training", passes, seconds * places / tried)
    at_once = 1 if training.places > 1 else timesteps
    compared = 2 * min(finder.plan.batch, pictures * timesteps // at_once) * at_once
    return Stage("training", passes + each * compared, seconds * (places + compared) / tried)


def _measuring(task: Task, T: int, inside: int, pace: Pace) -> Stage:
    """The held-out pictures, drawn as they are once, and with each of the heads that are compared."""
    steps = min(task.steps, MOST_STEPS)
    sampled, inside = generation("asyrp", steps, T), math.ceil(inside * steps / task.steps)
    one = EDITED * (HELD_OUT * inside) + PLAIN * (HELD_OUT * (len(sampled) - inside))
    passes = PLAIN * (HELD_OUT * len(sampled)) + one * EFFECTS
    return Stage("measuring", passes, pace.seconds(passes, looks=HELD_OUT * (EFFECTS + 1)))


@torch.no_grad()
def _seconds_of_a_look(backbone: Backbone, encoder: Encoder, few: Task) -> float:
    """The seconds it takes to see one picture: x_0 decoded where it is a latent, and encoded."""
    encoder.images(backbone.x0_to_image(few.x_T))
    looked = seconds_of(lambda: encoder.images(backbone.x0_to_image(few.x_T)), few.x_T.device)
    return looked / len(few.x_T)


def _more_bytes(finder: AsyrpFinder, backbone: Backbone, few: Task, N: int, steps: int, window: Window) -> int:
    """What all pictures take beyond the few: P_t and an embedding for every step of each, and x_t where it is kept."""
    picture = backbone.x0_to_image(few.x_T[:1])
    numbers: int = picture[0].numel() + few.encoder.images(picture)[0].numel()
    if finder.plan.trajectory == "unedited" or window.t_start is not None:
        numbers += few.x_T[0].numel()
    # Parts and their concatenation are held at once.
    return 2 * numbers * picture.element_size() * max(0, N * steps - len(few.x_T) * few.steps)
