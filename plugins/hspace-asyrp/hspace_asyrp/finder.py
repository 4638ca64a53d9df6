"""The finder `asyrp`: a direction from one prompt to another, as a head that is trained on a frozen backbone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hspace import Backbone, Direction, Head, Task
from hspace.building import build_head
from hspace.cost import Estimate, EstimatingFinder
from hspace.errors import UsageError
from hspace.loading import load_direction
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.schedule import generation
from hspace.settings import require_known
from hspace_asyrp.estimating import estimate
from hspace_asyrp.making import made
from hspace_asyrp.planning import planned, weights
from hspace_asyrp.precision import Precision
from hspace_asyrp.preparing import training_of
from hspace_asyrp.running import run
from hspace_asyrp.trackers import require_tracker
from hspace_asyrp.training import Fidelity, Plan, Trajectory
from hspace_asyrp.transfer import saving, transferred
from hspace_asyrp.windowing import natural_of, window_of


def build(
    head: str = "table",
    t_edit: int | None = None,
    t_boost: int | None = None,
    t_start: int | None = None,
    epochs: int | None = None,
    batch: int = 4,
    rate: float | None = None,
    match: float | None = None,
    clip: float | None = None,
    recon: float | None = None,
    effect: float | None = None,
    l1: float = 0.0,
    identity: float = 0.0,
    identity_encoder: str | None = None,
    population: int = 96,
    fidelity: Fidelity = "natural",
    precision: Precision = "auto",
    trajectory: Trajectory = "edited",
    decay: float | None = None,
    decay_every: int | None = None,
    lpips: Path | None = None,
    init: str | None = None,
    tracker: str | None = None,
    head_config: Mapping[str, Any] | None = None,
) -> AsyrpFinder:
    """The finder; `head_config` holds the settings of the head.

    `match`, `clip`, `recon`, `effect`, `l1` and `identity` weigh the loss, `identity` that of `identity_encoder`.
    `t_edit`, `t_start` and `t_boost` are estimated where they are not given, t_boost by LPIPS where `lpips` names its
    weights (a file, or a folder), and 0 is none. `fidelity` "natural" learns from `population` pictures of the
    backbone's own what goes with the prompt and when, "paper" is as written, and "official" as released;
    `precision` is that of the networks in training, "auto" bf16 on a GPU; `init` is a direction whose head to start
    from; `tracker` is told of the losses. Raises UsageError for a value out of its range or a tracker that is not
    installed, NotFoundError for a direction that is not there.
    """
    require_known(list(head_config or {}), "heads", head, plugins().find("heads", head).load())
    if (identity != 0) != (identity_encoder is not None):
        raise UsageError("identity, a weight, and identity_encoder, a name from 'hspace list-encoders', go together")
    if population < 2:
        raise UsageError(f"population must be at least 2, to tell what varies; {population} was given")
    terms = weights(fidelity, l1, identity, match=match, clip=clip, recon=recon, effect=effect)
    plan = planned(
        terms, epochs=epochs, batch=batch, rate=rate, by_sgd=head == "table", fidelity=fidelity, precision=precision,
        trajectory=trajectory, decay=decay, decay_every=decay_every,
    )  # fmt: skip
    if tracker is not None:
        require_tracker(tracker)
    start = load_direction(init) if init else None
    return AsyrpFinder(
        plan, head, dict(head_config or {}), t_edit, t_boost, t_start, population, lpips, start, identity_encoder,
        tracker,
    )  # fmt: skip


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
    t_start: int | None = None
    population: int = 96
    lpips: Path | None = None
    init: Direction | None = None
    identity_encoder: str | None = None
    tracker: str | None = None

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction, of several processes from the main one.

        Raises InertError when it does no more than an untrained head of its size.
        """
        report = task.progress or (lambda done, total: None)
        known = natural_of(self, backbone, task)
        window = window_of(self, backbone, task, known)
        timesteps = window.timesteps(generation("asyrp", task.steps, len(backbone.alphas_cumprod)))
        head, config = self.start(backbone, timesteps, task.seed)
        training = training_of(self, backbone, task, window, head, known)
        fresh = replace(self, init=None).start(backbone, timesteps, task.seed)[0] if self.init else None
        run(training, task, self._describe(), report, saving(self.init, training, fresh), self.tracker)
        if is_main():
            head = training.head.eval().requires_grad_(False)
            yield made(backbone, task, head, (self.head, config), window, training.goal, self._describe())

    def estimate(self, backbone: Backbone, task: Task) -> Estimate:
        """What `find` would cost: the walk of the pictures, the training, and the measuring afterwards."""
        return estimate(self, backbone, task)

    def start(self, backbone: Backbone, timesteps: list[int], seed: int) -> tuple[Head, dict[str, Any]]:
        """The head to train in a window of those timesteps, and its config.

        That is what was asked for, and the window and the seed where it takes them, or the head of `init`.
        """
        takes = inspect.signature(plugins().find("heads", self.head).load()).parameters
        offered = {"timesteps": sorted(timesteps), "seed": seed}
        offered = {name: value for name, value in offered.items() if name in takes}
        if self.init is not None:
            return transferred(self.init, backbone, self.head, self.head_config, offered)
        config = {**offered, **self.head_config}
        return build_head(backbone, self.head, config, None), config

    def _describe(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        del plan["seed"]
        told = {"head": self.head, **self.head_config, "t_edit": self.t_edit, "t_boost": self.t_boost}
        told |= {"t_start": self.t_start, "population": self.population} if self.plan.fidelity == "natural" else {}
        more = {"init": self.init and self.init.id, "identity_encoder": self.identity_encoder}
        return {**plan.pop("terms"), **plan, **told, **{name: value for name, value in more.items() if value}}
