"""The loop: what a pass costs, on either trajectory, and where the two agree."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hspace import Backbone, State
from hspace.building import build_head
from hspace.errors import UsageError
from hspace.sampling import latents
from hspace.schedule import generation
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build
from hspace_asyrp.identity import Identity
from hspace_asyrp.loss import Goal, Terms
from hspace_asyrp.natural import looked_at, natural
from hspace_asyrp.planning import weights
from hspace_asyrp.training import LONGEST, MOMENTUM, Plan, Training, Trajectory
from hspace_asyrp.unedited import unedited

from .colours import STEPS, Colours, found

pytestmark = pytest.mark.usefixtures("hspace_home")
N = 6


class Counting(Backbone):
    """The planted backbone; it counts the pictures that each half sees, and the graphs that are kept."""

    def __init__(self) -> None:
        inner = PlantedBackbone()
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.encoded, self.decoded, self.with_graph = inner, 0, 0, 0

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        self.encoded += len(x_t)
        return self.inner.encode_h(x_t, t)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        eps = self.inner.decode_h(state, delta_h)
        self.decoded += len(eps)
        self.with_graph += len(eps) if eps.requires_grad else 0
        return eps


def training(backbone: Backbone, encoder: Colours, trajectory: Trajectory, **plan: int) -> Training:
    pairs, x_T = generation("asyrp", STEPS, 1000), latents(backbone, N, 0)
    window = unedited(backbone, encoder, x_T, pairs, 3, lambda done, total: None, keep_x_t=True).within(500)
    head = build_head(backbone, "table", {"timesteps": sorted(window.timesteps)}, None)
    goal = Goal(torch.tensor([1.0, 0.0, 0.0, 0.0]), 0.1, 0.9)
    return Training(
        backbone, encoder, head, x_T, window, goal, Plan(epochs=1, fidelity="paper", trajectory=trajectory, **plan)
    )


@pytest.mark.parametrize(("trajectory", "decoded"), [("edited", 2), ("unedited", 1)])
def test_what_a_picture_at_a_timestep_costs(colours: Colours, trajectory: Trajectory, decoded: int) -> None:
    backbone = Counting()
    one = training(backbone, colours, trajectory, batch=4)
    backbone.encoded = backbone.decoded = colours.seen = 0
    for index in range(one.passes):
        one.run_pass(index)
    seen = N * len(one.window.timesteps)
    assert (backbone.encoded, backbone.decoded, backbone.with_graph) == (seen, decoded * seen, seen)
    assert colours.seen == seen


def test_the_unedited_trajectories_cost_one_call_a_picture_and_step(colours: Colours) -> None:
    backbone = Counting()
    unedited(backbone, colours, latents(backbone, N, 0), generation("asyrp", STEPS, 1000), 3, lambda done, total: None)
    assert (backbone.encoded, backbone.decoded, backbone.with_graph) == (N * STEPS, N * STEPS, 0)


def test_an_epoch_on_the_unedited_trajectory_has_every_picture_at_every_timestep_once(colours: Colours) -> None:
    one = training(PlantedBackbone(), colours, "unedited", batch=5)
    places = torch.cat(one.batches)
    assert sorted(places.tolist()) == list(range(N * len(one.window.timesteps)))
    assert len({int(place) // N for place in one.batches[0]}) > 1


def test_a_head_that_does_nothing_has_the_same_loss_on_both_trajectories(colours: Colours) -> None:
    """Where nothing is edited the two trajectories are one."""
    walked = training(PlantedBackbone(), colours, "edited", batch=N, rate=0)
    scattered = training(PlantedBackbone(), colours, "unedited", batch=1000, rate=0)
    assert scattered.run_pass(0) == pytest.approx(walked.run_pass(0), abs=5e-4)


def test_the_unedited_trajectory_finds_red_too(colours: Colours) -> None:
    _, direction = found(colours, trajectory="unedited")
    figures = {one.name: one.value for one in direction.meta.metrics}
    assert figures["effect"] == pytest.approx(figures["full_effect"], rel=0.05)
    assert direction.meta.provenance.config["trajectory"] == "unedited"


def test_identity_pulls_back_what_its_encoder_sees(colours: Colours) -> None:
    """Here it sees the same colours as the loss, so that it works against the whole edit."""
    one = training(PlantedBackbone(), colours, "edited", batch=N)
    held = Training(
        one.backbone, colours, one.head, one.x_T, one.window, one.goal, replace(one.plan, terms=Terms(identity=2.0)),
        identity=Identity(colours, one.window.P_t, 4),
    )  # fmt: skip
    assert held.loss_of(one.head) == pytest.approx(one.loss_of(one.head), abs=1e-5)
    torch.nn.init.normal_(one.head.vectors, std=0.01)
    changed = one.window.P_t[0] + 0.3
    away = 1 - (colours.images(changed) * colours.images(one.window.P_t[0])).sum(dim=1)
    assert held.identity is not None
    torch.testing.assert_close(held.identity.loss(changed, 0, torch.arange(N)), away)
    assert held.loss_of(one.head) > one.loss_of(one.head)


class Stretched(Backbone):
    """The planted backbone in another unit of h, `unit` times as large."""

    def __init__(self, unit: float) -> None:
        inner = PlantedBackbone()
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.unit = inner, unit

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        state = self.inner.encode_h(x_t, t)
        return replace(state, h=self.unit * state.h)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        whole = state.h if delta_h is None else state.h + delta_h
        return self.inner.decode_h(replace(state, h=whole / self.unit))


def measured(encoder: Colours, backbone: Backbone, epochs: int = 2, rate: float = 2.5e-4) -> Training:
    """A natural training of a table whose steps are measured by h, above t = 500."""
    pairs, x_T = generation("asyrp", STEPS, 1000), latents(PlantedBackbone(), N, 0)
    window = unedited(backbone, encoder, x_T, pairs, 3, lambda done, total: None).within(500)
    head = build_head(backbone, "table", {"timesteps": sorted(window.timesteps)}, None)
    delta_T = torch.tensor([1.0, 0.0, 0.0, 0.0])
    known = natural(looked_at(backbone, encoder, x_T, STEPS), delta_T)
    terms = weights("natural", 0.0, 0.0, match=None, recon=None)
    plan = Plan(epochs=epochs, batch=3, rate=rate, terms=terms, by_sgd=True)
    return Training(backbone, encoder, head, x_T, window, Goal(delta_T, known.full, 0.7, known), plan)


@pytest.mark.parametrize("unit", [2.0**-4, 2.0**5])
def test_the_learnt_delta_h_has_the_unit_of_h(colours: Colours, unit: float) -> None:
    """A power of two rounds nothing: at no edit the gradient of the pixels is the sign of what is rounded."""
    learnt = []
    for backbone in (PlantedBackbone(), Stretched(unit)):
        one = measured(colours, backbone)
        for index in range(one.passes):
            one.run_pass(index)
        learnt.append(one.head.vectors.detach())
    assert float(learnt[0].abs().max()) > 0
    torch.testing.assert_close(learnt[1], unit * learnt[0], rtol=1e-3, atol=1e-4 * unit * float(learnt[0].abs().max()))


@pytest.mark.parametrize("rate", [1e-9, 2.5e-4])
def test_no_gradient_moves_delta_h_further_than_its_share_of_h(colours: Colours, rate: float) -> None:
    """The momentum adds to it what is left of the steps before: at most as much again."""
    one = measured(colours, PlantedBackbone(), rate=rate)
    moved = []
    step = one.optimizer.step

    def measuring() -> None:
        before = one.head.vectors.detach().clone()
        step()
        moved.append(float((one.head.vectors.detach() - before).norm()) / float(one.h_square) ** 0.5)

    one.optimizer.step = measuring  # type: ignore[method-assign, assignment]
    for index in range(one.passes):
        one.run_pass(index)
    assert 0 < moved[0] <= LONGEST * 1.001
    assert max(moved) <= LONGEST / (1 - MOMENTUM) * 1.001
    assert (moved[0] > LONGEST * 0.999) is (rate == 2.5e-4)


@pytest.mark.parametrize("settings", [{"identity": 0.5}, {"identity_encoder": "toyclip"}])
def test_identity_has_a_weight_and_an_encoder(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="identity, a weight, and identity_encoder"):
        build(**settings)


def test_the_released_code_knows_no_other_trajectory() -> None:
    with pytest.raises(UsageError, match="fidelity=official walks along the edited trajectory"):
        build(fidelity="official", trajectory="unedited")
