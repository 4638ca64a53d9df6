"""The training that a task means: its networks, the unedited pictures in the window, and where to go."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hspace import Backbone, Encoder, Head, Task
from hspace.loading import load_encoder
from hspace.schedule import generation
from hspace_asyrp.identity import Identity
from hspace_asyrp.loss import WIDTHS, Goal
from hspace_asyrp.natural import Natural
from hspace_asyrp.precision import BackboneInBf16, EncoderInBf16, in_bf16
from hspace_asyrp.processes import Processes
from hspace_asyrp.training import Training
from hspace_asyrp.unedited import pictures, unedited
from hspace_asyrp.window import Window
from hspace_clip.texts import prompt_cosine, text_direction

if TYPE_CHECKING:
    from hspace_asyrp.finder import AsyrpFinder


def training_of(
    finder: AsyrpFinder, backbone: Backbone, task: Task, window: Window, head: Head, known: Natural | None
) -> Training:
    """The training of a head that a task means, before its first pass; `known` is for a loss that asks for it."""
    assert task.prompts is not None
    delta_T = text_direction(task.encoder, *task.prompts).to(task.x_T)
    network, encoder = networks_of(finder, backbone, task.encoder, task)
    processes = Processes.joined(task.x_T.device)
    pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
    keep_x_t = finder.plan.trajectory == "unedited" or window.t_start is not None
    whole = unedited(network, encoder, task.x_T, pairs, finder.plan.batch, lambda done, n: None, processes, keep_x_t)
    full = known.full if known else WIDTHS * whole.spread(delta_T)
    goal = Goal(delta_T, full, prompt_cosine(task.encoder, *task.prompts), known)
    part = whole.within(window.t_edit, window.t_start)
    if finder.plan.fidelity == "official" and task.x_0 is not None:
        part = replace(part, final=pictures(network, encoder, task.x_0, finder.plan.batch))
    identity = None
    if finder.identity_encoder is not None:
        _, sees = networks_of(finder, backbone, load_encoder(finder.identity_encoder, device=task.x_T.device), task)
        identity = Identity(sees, part.P_t, finder.plan.batch)
    plan = replace(finder.plan, seed=task.seed)
    x_T = task.x_T if part.x_t is None else part.x_t[0]
    return Training(network, encoder, head, x_T, part, goal, plan, processes, identity)


def networks_of(finder: AsyrpFinder, backbone: Backbone, encoder: Encoder, task: Task) -> tuple[Backbone, Encoder]:
    """The two as the training runs them: in bf16, or as they are."""
    if not in_bf16(finder.plan.precision, task.x_T.device):
        return backbone, encoder
    return BackboneInBf16(backbone), EncoderInBf16(encoder)
