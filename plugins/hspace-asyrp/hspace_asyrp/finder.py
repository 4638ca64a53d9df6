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
from hspace_asyrp.loss import WIDTHS, Goal, Terms
from hspace_asyrp.making import made
from hspace_asyrp.measured import curves_of
from hspace_asyrp.planning import planned
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
    head: str = "delta-block",
    t_edit: int | None = None,
    t_boost: int | None = None,
    epochs: int = 4,
    batch: int = 4,
    rate: float | None = None,
    clip: float = 0.8,
    recon: float = 3.0,
    effect: float = 1.0,
    l1: float = 0.0,
    identity: float = 0.0,
    identity_encoder: str | None = None,
    fidelity: Fidelity = "paper",
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

    `clip`, `recon`, `effect`, `l1` and `identity` weigh the loss; `identity` is that of `identity_encoder`. `t_edit`
    and `t_boost` are estimated where they are not given, by LPIPS where `lpips` names its weights (a file, or a
    folder), and t_boost 0 is none; `fidelity` "official" does what the released code does; `precision` is that of the
    networks in training, "auto" bf16 on a GPU; `init` is a direction whose head to start from; `tracker` is told of the
    losses. Raises UsageError for a value out of its range or a tracker that is not installed, NotFoundError for a
    direction that is not there.
    """
    require_known(list(head_config or {}), "heads", head, plugins().find("heads", head).load())
    if (identity != 0) != (identity_encoder is not None):
        raise UsageError("identity, a weight, and identity_encoder, a name from 'hspace list-encoders', go together")
    plan = planned(
        Terms(clip, recon, 0.0 if fidelity == "official" else effect, l1, identity), epochs=epochs, batch=batch,
        rate=rate, fidelity=fidelity, precision=precision, trajectory=trajectory, decay=decay, decay_every=decay_every,
    )  # fmt: skip
    if tracker is not None:
        require_tracker(tracker)
    start = load_direction(init) if init else None
    return AsyrpFinder(plan, head, dict(head_config or {}), t_edit, t_boost, lpips, start, identity_encoder, tracker)


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
    init: Direction | None = None
    identity_encoder: str | None = None
    tracker: str | None = None

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction, of several processes from the main one.

        Raises InertError when it does no more than an untrained head of its size.
        """
        report = task.progress or (lambda done, total: None)
        window = self.window(backbone, task)
        timesteps = [t for t, _ in generation("asyrp", task.steps, len(backbone.alphas_cumprod)) if t >= window.t_edit]
        head, config = self.start(backbone, timesteps, task.seed)
        training = self.training(backbone, task, window.t_edit, head)
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
        for name, value in (("t_edit", self.t_edit), ("t_boost", self.t_boost)):
            if value is not None and not 0 <= value <= top:
                raise UsageError(f"{name} must be from 0 to {top}; {value} was given")
        if self.t_edit is not None and self.t_boost is not None:
            return Window(self.t_edit, self.t_boost or None)
        processes = Processes.joined(task.x_T.device)
        measured = self._measured(backbone, task) if processes.index == 0 else (0, 0)
        t_edit, t_boost = processes.from_main(measured, task.x_T.device)
        return Window(t_edit, t_boost or None)

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

    def training(self, backbone: Backbone, task: Task, t_edit: int, head: Head) -> Training:
        """The training of a head that a task means, before its first pass."""
        assert task.prompts is not None
        delta_T = text_direction(task.encoder, *task.prompts).to(task.x_T)
        network, encoder = self.networks(backbone, task.encoder, task)
        processes = Processes.joined(task.x_T.device)
        pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
        keep_x_t = self.plan.trajectory == "unedited"
        whole = unedited(network, encoder, task.x_T, pairs, self.plan.batch, lambda done, n: None, processes, keep_x_t)
        goal = Goal(delta_T, WIDTHS * whole.spread(delta_T), prompt_cosine(task.encoder, *task.prompts))
        window = whole.above(t_edit)
        if self.plan.fidelity == "official" and task.x_0 is not None:
            window = replace(window, final=pictures(network, encoder, task.x_0, self.plan.batch))
        identity = None
        if self.identity_encoder is not None:
            _, sees = self.networks(backbone, load_encoder(self.identity_encoder, device=task.x_T.device), task)
            identity = Identity(sees, window.P_t, self.plan.batch)
        plan = replace(self.plan, seed=task.seed)
        return Training(network, encoder, head, task.x_T, window, goal, plan, processes, identity)

    def networks(self, backbone: Backbone, encoder: Encoder, task: Task) -> tuple[Backbone, Encoder]:
        """The two as the training runs them: in bf16, or as they are."""
        if not in_bf16(self.plan.precision, task.x_T.device):
            return backbone, encoder
        return BackboneInBf16(backbone), EncoderInBf16(encoder)

    def _describe(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        del plan["seed"]
        told = {"head": self.head, **self.head_config, "t_edit": self.t_edit, "t_boost": self.t_boost}
        more = {"init": self.init and self.init.id, "identity_encoder": self.identity_encoder}
        return {**plan.pop("terms"), **plan, **told, **{name: value for name, value in more.items() if value}}
