"""`fidelity=official` against the released code's training, in our own words on a backbone with a closed form."""

from dataclasses import replace
from math import sqrt

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hspace.building import build_head
from hspace.errors import UsageError
from hspace.sampling import latents
from hspace.schedule import generation
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build
from hspace_asyrp.loss import Goal, Terms
from hspace_asyrp.training import Plan, Training
from hspace_asyrp.unedited import pictures, unedited

from .colours import STEPS, Colours, task

pytestmark = pytest.mark.usefixtures("hspace_home")
PLAN = Plan(epochs=3, batch=1, rate=0.01, fidelity="official", decay=0.5, decay_every=2, terms=Terms(1.0, 3.0, 0.0))
GOAL = Goal(normalize(torch.tensor([1.0, 0.2, 0.0, 0.0]), dim=0), full=0.1, cosine=0.9)
N, T_EDIT = 3, 500


def by_hand(
    backbone: PlantedBackbone, encoder: Colours, x_T: Tensor, x_0: Tensor, start: dict[int, Tensor]
) -> dict[int, Tensor]:
    """delta_h by timestep, from a start: for each picture, and each t from noise to t_edit, one step of plain SGD.

    Here eps(x, t) = sqrt(1 - a) x, so that both trajectories can be written down.
    """
    alphas = backbone.alphas_cumprod.tolist()
    pairs = [(t, t_next) for t, t_next in generation("asyrp", STEPS, 1000) if t >= T_EDIT]
    delta_h = dict(start)
    for epoch in range(PLAN.epochs):
        rate = 0.01 * (0.5 if epoch >= 2 else 1.0)
        for i in range(N):
            walked = source = x_T[i : i + 1]
            for t, t_next in pairs:
                a, b = alphas[t], alphas[t_next]
                learnt = delta_h[t].clone().requires_grad_()
                shift = sqrt(1 - a) * (backbone.W @ learnt).reshape(walked.shape)
                P_edit = (walked - sqrt(1 - a) * (sqrt(1 - a) * walked + shift)) / sqrt(a)
                P_source = source * sqrt(a)
                change = encoder.images(P_edit) - encoder.images(x_0[i : i + 1])  # the picture itself, not P_source
                cosine = (change * GOAL.delta_T).sum() / change.norm()
                loss = -((1 + cosine) / 2).log() + 3.0 * 0.9 * (P_edit - P_source).abs().mean()
                (gradient,) = torch.autograd.grad(loss, learnt)
                delta_h[t] = delta_h[t] - rate * gradient
                walked = sqrt(b) * P_edit.detach() + sqrt(1 - b) * sqrt(1 - a) * walked
                source = sqrt(b) * P_source + sqrt(1 - b) * sqrt(1 - a) * source
    return delta_h


def test_it_is_the_released_training(colours: Colours) -> None:
    backbone = PlantedBackbone()
    x_T, x_0 = latents(backbone, N, 0), latents(backbone, N, 7) / 3
    pairs = generation("asyrp", STEPS, 1000)
    window = unedited(backbone, colours, x_T, pairs, 1, lambda done, total: None).within(T_EDIT)
    window = replace(window, final=pictures(backbone, colours, x_0, 1))
    head = build_head(backbone, "table", {"timesteps": sorted(window.timesteps)}, None)
    torch.manual_seed(0)
    torch.nn.init.normal_(head.vectors, std=0.02)  # at 0 the sign of a change of 0 would be that of rounding
    timesteps = sorted(window.timesteps)
    start = dict(zip(timesteps, head.vectors.detach().clone().reshape(len(timesteps), -1), strict=True))
    training = Training(backbone, colours, head, x_T, window, GOAL, PLAN)
    for index in range(training.passes):
        training.run_pass(index)
    expected = by_hand(backbone, colours, x_T, x_0, start)
    learnt = torch.stack([expected[t] - start[t] for t in timesteps])
    found = head.vectors.detach().reshape(learnt.shape) - torch.stack([start[t] for t in timesteps])
    assert float((found - learnt).norm() / learnt.norm()) < 1e-3


def test_a_batch_is_compared_picture_by_picture(colours: Colours) -> None:
    """The released code compares all of a batch with its last picture."""
    backbone = PlantedBackbone()
    x_T, pairs = latents(backbone, N, 0), generation("asyrp", STEPS, 1000)
    window = unedited(backbone, colours, x_T, pairs, N, lambda done, total: None).within(T_EDIT)
    head = build_head(backbone, "table", {"timesteps": sorted(window.timesteps)}, None)
    losses = {
        batch: [
            Training(backbone, colours, head, x_T, window, GOAL, replace(PLAN, batch=batch, rate=1e-12)).run_pass(index)
            for index in range(-(-N // batch))
        ]
        for batch in (1, N)
    }
    assert losses[N][0] == pytest.approx(sum(losses[1]) / N, rel=1e-4)


@pytest.mark.parametrize(("fidelity", "same"), [("official", False), ("paper", True)])
def test_the_pictures_themselves_are_the_reference_of_the_released_code(
    colours: Colours, fidelity: str, same: bool
) -> None:
    backbone, heads = PlantedBackbone(), []
    for shade in (0.0, 0.05):
        x_0 = torch.tensor([0.0, 0.0, shade]).reshape(1, 3, 1, 1).expand(8, 3, 8, 8)
        finder = build(head="table", t_edit=400, epochs=6, rate=0.02, fidelity=fidelity)
        heads.append(next(finder.find(backbone, replace(task(colours, backbone), x_0=x_0))).weights["vectors"])
    assert torch.equal(*heads) is same


def test_the_rate_falls_in_steps() -> None:
    rates = [PLAN.rate_at(done, 9) for done in range(9)]
    assert rates == pytest.approx([0.01] * 6 + [0.005] * 3)


def test_the_papers_rate_has_no_steps() -> None:
    with pytest.raises(UsageError, match="decay and decay_every are those of fidelity=official"):
        build(decay=0.5)
