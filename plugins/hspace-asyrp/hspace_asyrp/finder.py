"""The finder `asyrp`: a direction from one prompt to another, as a head that is trained on a frozen backbone."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, get_args

import torch
from torch import Tensor

from hspace import Backbone, Direction, Finder, Head, Task
from hspace.building import build_head
from hspace.errors import UsageError
from hspace.fingerprint import probe
from hspace.loading import load_direction, load_encoder
from hspace.meta import Measurement, Provenance, Scope, Strength
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.sampling import latents
from hspace.schedule import generation
from hspace.settings import require_known
from hspace_asyrp.effect import STEPS, Bench, Effect
from hspace_asyrp.identity import Identity
from hspace_asyrp.inert import InertError
from hspace_asyrp.loss import Goal, Terms
from hspace_asyrp.precision import BackboneInBf16, EncoderInBf16, Precision, in_bf16
from hspace_asyrp.processes import Processes
from hspace_asyrp.running import run
from hspace_asyrp.scrambled import Scrambled
from hspace_asyrp.trackers import require_tracker
from hspace_asyrp.training import Fidelity, Plan, Training, Trajectory
from hspace_asyrp.transfer import transferred
from hspace_asyrp.unedited import Unedited, pictures, unedited
from hspace_asyrp.window import t_edit_from_share
from hspace_clip.texts import prompt_vector, text_direction

FINDER = "asyrp"
HELD_OUT = 8
HELD_OUT_SEED = 2**32
"""Far from the seeds that people choose, so that the held-out latents are not among the trained ones."""
SCRAMBLES = 4
WIDTHS = 2.0
"""The full effect of a prompt, in standard deviations of the backbone's own pictures along the text direction."""
RANGE = (1.0, 1.5, 2.0, 3.0)
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
    l1: float = 0.0,
    identity: float = 0.0,
    identity_encoder: str | None = None,
    fidelity: Fidelity = "paper",
    precision: Precision = "auto",
    trajectory: Trajectory = "edited",
    decay: float | None = None,
    decay_every: int | None = None,
    init: str | None = None,
    tracker: str | None = None,
    head_config: Mapping[str, Any] | None = None,
) -> AsyrpFinder:
    """The finder; `head_config` holds the settings of the head.

    `clip`, `recon`, `effect`, `l1` and `identity` weigh the loss; `identity` is that of `identity_encoder`. `t_edit` is
    estimated where it is not given; `fidelity` "official" does what the released code does; `precision` is that of the
    networks in training, "auto" bf16 on a GPU; `init` is a direction whose head to start from; `tracker` is told of the
    losses. Raises UsageError for a value out of its range or a tracker that is not installed, NotFoundError for a
    direction that is not there.
    """
    require_known(list(head_config or {}), "heads", head, plugins().find("heads", head).load())
    _one_of("fidelity", fidelity, Fidelity)
    _one_of("precision", precision, Precision)
    _one_of("trajectory", trajectory, Trajectory)
    if (fidelity, trajectory) == ("official", "unedited"):
        raise UsageError("fidelity=official walks along the edited trajectory; leave trajectory=unedited away")
    rate = rate if rate is not None else (0.5 if fidelity == "official" else 2e-3)
    if fidelity == "paper" and (decay, decay_every) != (None, None):
        raise UsageError("decay and decay_every are those of fidelity=official; the paper's rate falls along a cosine")
    decay, decay_every = 0.9 if decay is None else decay, 20 if decay_every is None else decay_every
    positive = {"epochs": epochs, "batch": batch, "rate": rate, "decay": decay, "decay_every": decay_every}
    for name, number in positive.items():
        if not number > 0:
            raise UsageError(f"{name} must be more than 0; {number} was given")
    if (identity != 0) != (identity_encoder is not None):
        raise UsageError("identity, a weight, and identity_encoder, a name from 'hspace list-encoders', go together")
    terms = Terms(clip, recon, 0.0 if fidelity == "official" else effect, l1, identity)
    plan = Plan(
        epochs=epochs, batch=batch, rate=rate, terms=terms, fidelity=fidelity, precision=precision,
        trajectory=trajectory, decay=decay, decay_every=decay_every,
    )  # fmt: skip
    if tracker is not None:
        require_tracker(tracker)
    start = load_direction(init) if init else None
    return AsyrpFinder(plan, head, dict(head_config or {}), t_edit, t_boost, start, identity_encoder, tracker)


@dataclass(frozen=True)
class AsyrpFinder(Finder):
    """Trains a head so that the pictures it edits move from one prompt to the other.

    Source: Kwon et al., Diffusion Models Already Have a Semantic Latent Space (arXiv:2210.10960).
    """

    plan: Plan
    head: str
    head_config: dict[str, Any] = field(default_factory=dict)
    t_edit: int | None = None
    t_boost: int | None = None
    init: Direction | None = None
    identity_encoder: str | None = None
    tracker: str | None = None

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction, of several processes from the main one. Raises InertError when it does nothing.

        That is when it does no more than an untrained head of its size.
        """
        assert task.prompts is not None
        source, target = task.prompts
        report = task.progress or (lambda done, total: None)
        delta_T = text_direction(task.encoder, source, target).to(task.x_T)
        cosine = _cosine(task, source, target)
        pairs = generation("asyrp", task.steps, len(backbone.alphas_cumprod))
        processes = Processes.joined(task.x_T.device)
        bf16 = in_bf16(self.plan.precision, task.x_T.device)
        network, encoder = (BackboneInBf16(backbone), EncoderInBf16(task.encoder)) if bf16 else (backbone, task.encoder)
        keep_x_t = self.plan.trajectory == "unedited"
        whole = unedited(
            network, encoder, task.x_T, pairs, self.plan.batch, lambda done, total: None, processes, keep_x_t
        )
        t_edit = self._t_edit(whole, cosine)
        goal = Goal(delta_T, WIDTHS * whole.spread(delta_T), cosine)
        window = whole.above(t_edit)
        if self.plan.fidelity == "official" and task.x_0 is not None:
            window = replace(window, final=pictures(network, encoder, task.x_0, self.plan.batch))
        head, config = self._start(backbone, window.timesteps, task.seed)
        plan = replace(self.plan, seed=task.seed)
        identity = self._identity(window, bf16)
        training = Training(network, encoder, head, task.x_T, window, goal, plan, processes, identity)
        run(training, task, self._describe(), report, self._saving(training, backbone), self.tracker)
        if not is_main():
            return
        head.eval().requires_grad_(False)
        held_out = latents(backbone, HELD_OUT, HELD_OUT_SEED + task.seed)
        bench = Bench(backbone, task.encoder, delta_T, held_out, t_edit, task.steps)
        yield self._direction(backbone, task, head, config, bench, goal)

    def _direction(
        self, backbone: Backbone, task: Task, head: Head, config: dict[str, Any], bench: Bench, goal: Goal
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
            t_boost=self.t_boost,
            strength=Strength(default=1.0, min=least, max=most),
            scope=Scope(kind="global"),
            prompts=task.prompts,
            metrics=_metrics(reached, noise, goal),
            provenance=Provenance(finder=FINDER, config=self._describe(), data=_data(task)),
        )

    def _safe(self, bench: Bench, head: Head, scale: float, sign: int, far: float) -> float:
        """The largest strength of a sign, of those looked at, that leaves pictures nearer to themselves than to others.

        1 where none does.
        """
        safe = [s for s in RANGE if float(bench.effect(head, sign * s * scale).across.mean()) <= far]
        return sign * max(safe, default=RANGE[0])

    def _t_edit(self, whole: Unedited, cosine: float) -> int:
        if self.t_edit is None:
            return t_edit_from_share(whole.timesteps, whole.distances().tolist(), cosine)
        if not 0 <= self.t_edit <= max(whole.timesteps):
            raise UsageError(f"t_edit must be from 0 to {max(whole.timesteps)}; {self.t_edit} was given")
        return self.t_edit

    def _start(self, backbone: Backbone, timesteps: list[int], seed: int) -> tuple[Head, dict[str, Any]]:
        """The head to train and its config: what was asked for, and the window and the seed where it takes them."""
        takes = inspect.signature(plugins().find("heads", self.head).load()).parameters
        offered = {"timesteps": sorted(timesteps), "seed": seed}
        offered = {name: value for name, value in offered.items() if name in takes}
        if self.init is not None:
            return transferred(self.init, backbone, self.head, self.head_config, offered)
        config = {**offered, **self.head_config}
        return build_head(backbone, self.head, config, None), config

    def _identity(self, window: Unedited, bf16: bool) -> Identity | None:
        if self.identity_encoder is None:
            return None
        encoder = load_encoder(self.identity_encoder, device=window.P_t.device)
        return Identity(EncoderInBf16(encoder) if bf16 else encoder, window.P_t, self.plan.batch)

    def _saving(self, training: Training, backbone: Backbone) -> dict[str, Any]:
        """What the start from another direction is worth: the loss of the first batch with it, and without."""
        if self.init is None:
            return {}
        seed, timesteps = training.plan.seed, training.window.timesteps
        fresh, _ = replace(self, init=None)._start(backbone, timesteps, seed)
        return {
            "loss": training.loss_of(training.head),
            "loss_without_init": training.loss_of(fresh),
            "init": self.init.id,
        }

    def _describe(self) -> dict[str, Any]:
        plan = asdict(self.plan)
        del plan["seed"]
        told = {"head": self.head, **self.head_config, "t_edit": self.t_edit}
        more = {"init": self.init and self.init.id, "identity_encoder": self.identity_encoder}
        return {**plan.pop("terms"), **plan, **told, **{name: value for name, value in more.items() if value}}


def _one_of(name: str, value: str, known: Any) -> None:
    if value not in get_args(known):
        raise UsageError(f"{name} must be {' or '.join(get_args(known))}; {value!r} was given")


def _cosine(task: Task, source: str, target: str) -> float:
    vectors = [prompt_vector(task.encoder, prompt, ("{}",)) for prompt in (source, target)]
    return float(torch.nn.functional.cosine_similarity(vectors[0], vectors[1], dim=0))


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


def _data(task: Task) -> str:
    n = len(task.x_T)
    return f"{n} pictures" if task.image_sha256 else f"{n} latents of seed {task.seed}"
