"""The finder `asyrp`: a direction from one prompt to another, as a head that is trained on a frozen backbone."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from hspace import Backbone, Direction, Encoder, Head, Task
from hspace.building import build_head
from hspace.cost import Estimate, EstimatingFinder
from hspace.errors import UsageError
from hspace.loading import load_direction, load_encoder
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.schedule import generation
from hspace.settings import require_known
from hspace_asyrp.distance import Distance, perceptual_distance
from hspace_asyrp.estimating import estimate
from hspace_asyrp.identity import Identity
from hspace_asyrp.loss import WIDTHS, Goal
from hspace_asyrp.making import made
from hspace_asyrp.measured import curves_of
from hspace_asyrp.natural import Natural, natural, population_of
from hspace_asyrp.planning import planned, weights
from hspace_asyrp.precision import BackboneInBf16, EncoderInBf16, Precision, in_bf16
from hspace_asyrp.processes import Processes
from hspace_asyrp.running import run
from hspace_asyrp.trackers import require_tracker
from hspace_asyrp.training import Fidelity, Plan, Training, Trajectory
from hspace_asyrp.transfer import saving, transferred
from hspace_asyrp.unedited import pictures, unedited
from hspace_asyrp.window import Window
from hspace_clip.texts import prompt_cosine, text_direction


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
        window = self.window(backbone, task)
        timesteps = window.timesteps(generation("asyrp", task.steps, len(backbone.alphas_cumprod)))
        head, config = self.start(backbone, timesteps, task.seed)
        training = self.training(backbone, task, window, head)
        fresh = replace(self, init=None).start(backbone, timesteps, task.seed)[0] if self.init else None
        run(training, task, self._describe(), report, saving(self.init, training, fresh), self.tracker)
        if is_main():
            head = training.head.eval().requires_grad_(False)
            yield made(backbone, task, head, (self.head, config), window, training.goal, self._describe())

    def estimate(self, backbone: Backbone, task: Task) -> Estimate:
        """What `find` would cost: the walk of the pictures, the training, and the measuring afterwards."""
        return estimate(self, backbone, task)

    def window(self, backbone: Backbone, task: Task) -> Window:
        """The window of a task: what was asked for, and the rest by the backbone's own curves.

        Of several processes the main one measures, and all have its window. Raises UsageError where what was asked for
        is no timestep.
        """
        top = generation("asyrp", task.steps, len(backbone.alphas_cumprod))[0][0]
        for name, value in (("t_edit", self.t_edit), ("t_boost", self.t_boost), ("t_start", self.t_start)):
            if value is not None and not 0 <= value <= top:
                raise UsageError(f"{name} must be from 0 to {top}; {value} was given")
        window = self._window(backbone, task)
        if not window.timesteps(generation("asyrp", task.steps, len(backbone.alphas_cumprod))):
            raise UsageError(f"no step is at {window.t_edit} <= t <= {window.t_start}; widen the window, or take more")
        return window

    def _window(self, backbone: Backbone, task: Task) -> Window:
        if self.plan.fidelity == "natural":
            t_edit, t_start = self.natural(backbone, task).window()
            t_start = t_start if self.t_start is None else self.t_start
            t_boost = self._measured(backbone, task)[1] if self.lpips and self.t_boost is None else self.t_boost
            return Window(t_edit if self.t_edit is None else self.t_edit, t_boost or None, t_start)
        if self.t_edit is not None and self.t_boost is not None:
            return Window(self.t_edit, self.t_boost or None, self.t_start)
        processes = Processes.joined(task.x_T.device)
        measured = self._measured(backbone, task) if processes.index == 0 else (0, 0)
        t_edit, t_boost = processes.from_main(measured, task.x_T.device)
        return Window(t_edit, t_boost or None, self.t_start)

    def natural(self, backbone: Backbone, task: Task) -> Natural:
        """What the backbone's own pictures say of the prompts."""
        assert task.prompts is not None
        progress = task.progress or (lambda done, total: None)
        own = population_of(
            backbone, task.encoder, self.population, task.steps, callback=progress,
            processes=Processes.joined(task.x_T.device),
        )  # fmt: skip
        return natural(own, text_direction(task.encoder, *task.prompts).to(task.x_T))

    def _measured(self, backbone: Backbone, task: Task) -> tuple[int, int]:
        """t_edit and t_boost, 0 for none, with those that were not asked for by the curves."""
        assert task.prompts is not None
        curves = curves_of(backbone, self.distance(task), task.x_T, task.steps, batch=self.plan.batch)
        t_edit = curves.t_edit(prompt_cosine(task.encoder, *task.prompts)) if self.t_edit is None else self.t_edit
        return t_edit, (curves.t_boost() or 0) if self.t_boost is None else self.t_boost

    def distance(self, task: Task) -> Distance:
        """What the curves are measured with."""
        return perceptual_distance(task.encoder, [self.lpips] if self.lpips else [], task.x_T.device)

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

    def training(self, backbone: Backbone, task: Task, window: Window, head: Head) -> Training:
        """The training of a head that a task means, before its first pass."""
        assert task.prompts is not None
        delta_T = text_direction(task.encoder, *task.prompts).to(task.x_T)
        network, encoder = self.networks(backbone, task.encoder, task)
        processes = Processes.joined(task.x_T.device)
        pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
        keep_x_t = self.plan.trajectory == "unedited" or window.t_start is not None
        whole = unedited(network, encoder, task.x_T, pairs, self.plan.batch, lambda done, n: None, processes, keep_x_t)
        known = self.natural(backbone, task) if self.plan.fidelity == "natural" else None
        full = known.full if known else WIDTHS * whole.spread(delta_T)
        goal = Goal(delta_T, full, prompt_cosine(task.encoder, *task.prompts), known)
        part = whole.within(window.t_edit, window.t_start)
        if self.plan.fidelity == "official" and task.x_0 is not None:
            part = replace(part, final=pictures(network, encoder, task.x_0, self.plan.batch))
        identity = None
        if self.identity_encoder is not None:
            _, sees = self.networks(backbone, load_encoder(self.identity_encoder, device=task.x_T.device), task)
            identity = Identity(sees, part.P_t, self.plan.batch)
        plan = replace(self.plan, seed=task.seed)
        x_T = task.x_T if part.x_t is None else part.x_t[0]
        return Training(network, encoder, head, x_T, part, goal, plan, processes, identity)

    def networks(self, backbone: Backbone, encoder: Encoder, task: Task) -> tuple[Backbone, Encoder]:
        """The two as the training runs them: in bf16, or as they are."""
        if not in_bf16(self.plan.precision, task.x_T.device):
            return backbone, encoder
        return BackboneInBf16(backbone), EncoderInBf16(encoder)

    def _describe(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        del plan["seed"]
        told = {"head": self.head, **self.head_config, "t_edit": self.t_edit, "t_boost": self.t_boost}
        told |= {"t_start": self.t_start, "population": self.population} if self.plan.fidelity == "natural" else {}
        more = {"init": self.init and self.init.id, "identity_encoder": self.identity_encoder}
        return {**plan.pop("terms"), **plan, **told, **{name: value for name, value in more.items() if value}}
