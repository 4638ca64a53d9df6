"""Training a head along the edited trajectory, or at once at many timesteps of the unedited one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hspace import Backbone, Encoder, Head
from hspace.sampling import ddim_step, predict_x0
from hspace.schedule import alpha_at
from hspace_asyrp.identity import Identity
from hspace_asyrp.loss import Goal, Terms, asyrp_loss, natural_loss, official_loss
from hspace_asyrp.precision import Precision
from hspace_asyrp.processes import Processes
from hspace_asyrp.unedited import Unedited

Fidelity = Literal["natural", "paper", "official"]
Trajectory = Literal["edited", "unedited"]
MOMENTUM = 0.5
LONGEST = 4e-3
"""The most that one gradient may move delta_h, as a share of h; momentum makes a step at most twice as long."""


@dataclass(frozen=True)
class Plan:
    """How a head is trained: how often each picture is seen, how many at once, and how the optimizer walks.

    `fidelity` "natural" asks of P_t the change that goes with the prompt in the backbone's own pictures, and "paper"
    any change along the prompts, against P_t of the unedited trajectory. They walk with Adam, or, natural and `by_sgd`,
    with SGD whose steps are measured by h, and the rate falls along a half cosine. "official" does what the released
    code does: x_0 as the reference, -log((1 + cos) / 2), and SGD, whose rate is multiplied by `decay` every
    `decay_every` epochs.
    `trajectory` is where x_t comes from: the paper walks a batch along the edited one; on the unedited one, which is
    known, a batch is of pictures at any timesteps.
    """

    epochs: int = 4
    batch: int = 4
    rate: float = 2e-3
    seed: int = 0
    terms: Terms = field(default_factory=Terms)
    fidelity: Fidelity = "natural"
    precision: Precision = "auto"
    trajectory: Trajectory = "edited"
    decay: float = 0.9
    decay_every: int = 20
    by_sgd: bool = False

    def order(self, n: int, epoch: int) -> list[Tensor]:
        """The batches of an epoch: all n pictures, shuffled by the seed and the epoch alone."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if self.fidelity == "official":
            return list(torch.arange(n).split(self.batch))  # type: ignore[no-untyped-call]
        return list(torch.randperm(n, generator=generator).split(self.batch))  # type: ignore[no-untyped-call]

    def optimizer(self, head: Head) -> torch.optim.Optimizer:
        """What walks the head's weights."""
        if self.fidelity == "official":
            return torch.optim.SGD(head.parameters(), lr=self.rate)
        if self.measured:
            return torch.optim.SGD(head.parameters(), lr=self.rate, momentum=MOMENTUM)
        return torch.optim.Adam(head.parameters(), lr=self.rate)

    @property
    def measured(self) -> bool:
        """Whether a step of the optimizer is measured by h."""
        return self.by_sgd and self.fidelity == "natural"

    def rate_at(self, done: int, total: int) -> float:
        """The learning rate when `done` of `total` passes over a batch are behind it."""
        if self.fidelity == "official":
            return self.rate * self.decay ** (done * self.epochs // total // self.decay_every)
        return self.rate * 0.5 * (1 + math.cos(math.pi * done / total))


class Training:
    """A head in training on a frozen backbone; `passes` are walks of one batch through the window.

    On the unedited trajectory there is no walk: a pass is a batch of places, which are pictures at timesteps.

    Pass i depends on the weights, the optimizer and i alone, so that a run can stop between two passes and go on.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: Encoder,
        head: Head,
        x_T: Tensor,
        window: Unedited,
        goal: Goal,
        plan: Plan,
        processes: Processes = Processes(),  # noqa: B008 - it is frozen
        identity: Identity | None = None,
    ) -> None:
        self.backbone, self.encoder, self.head = backbone, encoder, head.train().requires_grad_(True)
        self.x_T, self.window, self.goal, self.plan = x_T, window, goal, plan
        self.processes, self.identity = processes, identity
        self.optimizer = plan.optimizer(self.head)
        self.places = len(window.timesteps) if plan.trajectory == "unedited" else 1
        self.batches = [batch for epoch in range(plan.epochs) for batch in plan.order(self.places * len(x_T), epoch)]
        self.asked = self.change = torch.zeros(0)
        if plan.fidelity == "natural":
            assert goal.natural is not None
            self.asked, self.change = goal.natural.asked(window.final), goal.natural.within(window.timesteps)
        self.h_square = torch.ones(())

    @property
    def passes(self) -> int:
        """How many passes the whole training has."""
        return len(self.batches)

    def run_pass(self, index: int) -> float:
        """The mean loss of a batch on its way through the window; the head learns at every timestep.

        Each of the processes walks its share of the batch, and all learn from the mean.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(index, self.passes)
        batch, share = self.processes.share(self.batches[index])
        losses = [self._learn(loss * share, share) for loss in self._losses(batch, self.head)]
        return sum(losses) / len(losses)

    @torch.no_grad()
    def loss_of(self, head: Head) -> float:
        """The mean loss of the first batch with a head that learns nothing from it: what a start is worth."""
        batch, share = self.processes.share(self.batches[0])
        losses = [float(self.processes.sum(loss * share)) for loss in self._losses(batch, head)]
        return sum(losses) / len(losses)

    def _learn(self, loss: Tensor, share: float) -> float:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.sum_gradients(self.head)
        if self.plan.measured:
            self._measure(float(self.processes.sum(self.h_square * share)))
        self.optimizer.step()
        return float(self.processes.sum(loss.detach()))

    def _measure(self, h_square: float) -> None:
        """Turns the gradient by delta_h into one by delta_h / |h|, on the same scale as delta_h, and bounds the step.

        The same rate then suits every backbone and timestep.
        """
        for parameter in self.head.parameters():
            if parameter.grad is not None:
                parameter.grad *= h_square
        torch.nn.utils.clip_grad_norm_(self.head.parameters(), LONGEST * math.sqrt(h_square) / self.plan.rate)

    def _losses(self, batch: Tensor, head: Head) -> Iterator[Tensor]:
        """The losses of a pass; the head may learn from each before the next is asked for."""
        return (self._walk if self.plan.trajectory == "edited" else self._scattered)(batch, head)

    def _walk(self, batch: Tensor, head: Head) -> Iterator[Tensor]:
        """A timestep costs an encoder pass, a decoder pass without a graph, and a decoder pass with one."""
        x_t = self.x_T[batch]
        for step, (t, t_next) in enumerate(self.window.pairs):
            a_t, a_next = alpha_at(self.backbone.alphas_cumprod, t), alpha_at(self.backbone.alphas_cumprod, t_next)
            with torch.no_grad():
                state = self.backbone.encode_h(x_t, torch.full((len(x_t),), float(t), device=x_t.device))
                eps = self.backbone.decode_h(state)
            self.h_square = state.h.float().square().sum(dim=(1, 2, 3)).mean()
            eps_edit = self.backbone.decode_h(state, head(state))
            yield self._loss(predict_x0(x_t, eps_edit, a_t), step, batch)
            x_t = ddim_step(x_t, eps, a_t, a_next, eps_edit=eps_edit.detach())

    def _scattered(self, places: Tensor, head: Head) -> Iterator[Tensor]:
        """A place costs an encoder pass and a decoder pass with a graph: x_t is known without the step before it."""
        assert self.window.x_t is not None
        steps, batch = places // len(self.x_T), places % len(self.x_T)
        x_t = self.window.x_t[steps, batch]
        t = torch.tensor(self.window.timesteps, dtype=torch.float32)[steps].to(x_t.device)
        a_t = self.backbone.alphas_cumprod[t.long().cpu()].to(x_t).reshape(-1, 1, 1, 1)
        with torch.no_grad():
            state = self.backbone.encode_h(x_t, t)
        self.h_square = state.h.float().square().sum(dim=(1, 2, 3)).mean()
        eps_edit = self.backbone.decode_h(state, head(state))
        P_t = (x_t - (1 - a_t).sqrt() * eps_edit) / a_t.sqrt()
        yield self._loss(P_t, steps, batch)

    def _loss(self, P_t: Tensor, step: int | Tensor, batch: Tensor) -> Tensor:
        image = self.backbone.x0_to_image(P_t)
        pixels = (image - self.window.P_t[step, batch]).abs().mean(dim=(1, 2, 3))
        seen, goal, terms = self.encoder.images(image), self.goal, self.plan.terms
        if self.plan.fidelity == "official":
            loss = official_loss(seen, self.window.final[batch], pixels, goal, terms)
        elif self.plan.fidelity == "paper":
            loss = asyrp_loss(seen, self.window.embeddings[step, batch], pixels, goal, terms)
        else:
            change = seen - self.window.embeddings[step, batch]
            loss = natural_loss(change, self.asked[batch][:, None] * self.change[step], pixels, goal, terms)
        if self.identity is not None:
            loss = loss + self.plan.terms.identity * self.identity.loss(image, step, batch)
        return loss.mean()
