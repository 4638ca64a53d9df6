"""Distillation: a direction's head replaced by what it answers on average."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone, Direction, Head
from hspace.errors import UsageError
from hspace.meta import HeadRef, Provenance
from hspace_heads.effect import Loss, Run, effect_loss
from hspace_heads.options import one_of
from hspace_heads.recording import Recording
from hspace_heads.table import build

Form = Literal["per-timestep", "global"]
FINDER = "distill"
Stage = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class Distilled:
    """The direction of head `table`, not yet stored, and what it lost."""

    direction: Direction
    loss: Loss


def distill(
    backbone: Backbone,
    direction: Direction,
    x_T: Tensor,
    held_out: Tensor,
    form: str,
    *,
    name: str | None = None,
    strength: float | None = None,
    steps: int = 40,
    batch: int = 8,
    data: str | None = None,
    stage: Stage | None = None,
) -> Distilled:
    """A direction whose delta_h is the head's mean over the edited trajectories of x_T (n, C, H, W).

    `per-timestep` keeps a mean for each timestep of sampling in the direction's window, `global` the mean of these.
    The pictures are edited at `strength`, the direction's own if not given; what is averaged is delta_h at strength
    1. What the table loses against the head is measured on the latents `held_out` (m, C, H, W) and stored. Works for
    any head, and for one component of a basis. Raises UsageError when no timestep of sampling is in the window, or
    the strength is 0, and what `Direction.head` raises.
    Source: Kwon et al., Asyrp, which calls the forms delta_h_t^mean and delta_h^global.
    """
    one_of("distill", "form", form, Form)
    meta = direction.meta
    run = Run(meta, meta.strength.default if strength is None else strength, steps, batch)
    if run.strength == 0:
        raise UsageError(f"{direction.id!r} was to be distilled at strength 0, where it does nothing; give --strength")
    stage = stage or (lambda _: lambda done, total: None)
    head = direction.head(backbone)
    means = mean_shifts(backbone, head, x_T, run, stage("averaging"))
    rows = list(means.values())
    if form == "global":
        means = {0.0: torch.stack(rows).mean(dim=0)}
    weights = {"vectors": torch.stack(list(means.values()))[None].float()}
    table = build(meta.backbone.h_shape, None, timesteps=list(means))
    table.load_state_dict(weights)
    table = table.to(next(backbone.parameters(), x_T)).requires_grad_(False)
    loss = effect_loss(backbone, head, table, held_out, run, stage("measuring"))
    protocol = f"against {direction.id}, {loss.n} other pictures, strength {run.strength:g}, {steps} steps, no boosting"
    described = meta.model_copy(
        update={
            "id": new_id(direction, form, name),
            "head": HeadRef(name="table", config={"timesteps": list(means)}),
            "metrics": loss.measurements(protocol),
            "provenance": _provenance(direction, form, run, len(x_T), data),
            "weights": None,
        }
    )
    return Distilled(replace(direction, meta=described, weights=weights, component=None), loss)


@torch.no_grad()
def mean_shifts(
    backbone: Backbone, head: Head, x_T: Tensor, run: Run, callback: Callable[[int, int], None]
) -> dict[float, Tensor]:
    """The head's mean delta_h (Ch, Hh, Wh), float64, at each timestep of sampling that it edits.

    Raises UsageError when there is none.
    """
    recording, done = Recording(head), 0
    for part in run.batches(x_T):
        run.edited(backbone, recording, part)
        done += len(part)
        callback(done, len(x_T))
    if not recording.sums:
        raise UsageError(f"sampling in {run.steps} steps visits no timestep from t_edit = {run.meta.t_edit} up")
    return recording.means()


def new_id(direction: Direction, form: str, name: str | None) -> str:
    """What the direction's distilled form is called: `name`, or as the direction with the form behind."""
    backbone, _, rest = direction.meta.id.rpartition("/")
    component = "" if direction.component is None else f"-{direction.component}"
    return f"{backbone}/{name or rest.rpartition('.')[0] + component + '-' + form}.{FINDER}"


def _provenance(direction: Direction, form: str, run: Run, n: int, data: str | None) -> Provenance:
    weights, old = direction.meta.weights, direction.meta.provenance
    return Provenance(
        finder=FINDER,
        config={"form": form, "samples": n, "strength": run.strength, "steps": run.steps},
        data=data,
        source=direction.id,
        source_sha256=None if weights is None else weights.sha256,
        licence=old.licence,
    )
