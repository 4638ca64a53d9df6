"""The window of a task: what a finder was asked for, and the rest from what the backbone's own pictures say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hspace import Backbone, Task
from hspace.errors import UsageError
from hspace.schedule import generation
from hspace_asyrp.distance import Distance, perceptual_distance
from hspace_asyrp.measured import curves_of
from hspace_asyrp.natural import Natural, Population, natural, population_of
from hspace_asyrp.processes import Processes
from hspace_asyrp.window import Window
from hspace_clip.texts import prompt_cosine, text_direction

if TYPE_CHECKING:
    from hspace_asyrp.finder import AsyrpFinder


def natural_of(finder: AsyrpFinder, backbone: Backbone, task: Task) -> Natural | None:
    """What the backbone's own pictures say of the prompts; None for a loss that does not ask them."""
    if finder.plan.fidelity != "natural":
        return None
    own = population_of(
        backbone, task.encoder, finder.population, task.steps,
        callback=task.progress or (lambda done, total: None), processes=Processes.joined(task.x_T.device),
    )  # fmt: skip
    return said_of(own, task)


def said_of(own: Population, task: Task) -> Natural:
    """What a population says of the prompts of a task."""
    assert task.prompts is not None
    return natural(own, text_direction(task.encoder, *task.prompts).to(task.x_T))


def window_of(finder: AsyrpFinder, backbone: Backbone, task: Task, known: Natural | None) -> Window:
    """The window of a task: what was asked for, and the rest by `known`, or by the backbone's own curves.

    Of several processes the main one measures curves, and all have its window. Raises UsageError where what was asked
    for is no timestep, or leaves no step.
    """
    pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
    for name, value in (("t_edit", finder.t_edit), ("t_boost", finder.t_boost), ("t_start", finder.t_start)):
        if value is not None and not 0 <= value <= pairs[0][0]:
            raise UsageError(f"{name} must be from 0 to {pairs[0][0]}; {value} was given")
    t_edit, t_boost, t_start = finder.t_edit, finder.t_boost, finder.t_start
    if known is not None:
        settled, begun = known.window()
        t_edit, t_start = settled if t_edit is None else t_edit, begun if t_start is None else t_start
    if needs_curves(finder):
        t_edit, t_boost = _by_curves(finder, backbone, task, t_edit)
    window = Window(t_edit or 0, t_boost or None, t_start)
    if not window.timesteps(pairs):
        raise UsageError(
            f"no step of {task.steps} is at {t_edit} <= t <= {t_start}; set t_edit and t_start further apart (--set), "
            f"or take more steps"
        )
    return window


def needs_curves(finder: AsyrpFinder) -> bool:
    """Whether something of the window is for the curves to say: all that is not asked for, or of natural t_boost."""
    if finder.plan.fidelity == "natural":
        return finder.lpips is not None and finder.t_boost is None
    return finder.t_edit is None or finder.t_boost is None


def distance_of(finder: AsyrpFinder, task: Task) -> Distance:
    """What the curves are measured with."""
    return perceptual_distance(task.encoder, [finder.lpips] if finder.lpips else [], task.x_T.device)


def _by_curves(finder: AsyrpFinder, backbone: Backbone, task: Task, t_edit: int | None) -> tuple[int, int]:
    """t_edit and t_boost, 0 for none, with those that were not asked for by the curves of the main process."""
    assert task.prompts is not None
    processes, measured = Processes.joined(task.x_T.device), (0, 0)
    if processes.index == 0:
        curves = curves_of(backbone, distance_of(finder, task), task.x_T, task.steps, batch=finder.plan.batch)
        t_edit = curves.t_edit(prompt_cosine(task.encoder, *task.prompts)) if t_edit is None else t_edit
        measured = t_edit, (curves.t_boost() or 0) if finder.t_boost is None else finder.t_boost
    t_edit, t_boost = processes.from_main(measured, task.x_T.device)
    return t_edit, t_boost
