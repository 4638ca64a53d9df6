"""The loss: its values where they are known, and a gradient that stays finite where nothing changed."""

import math
from collections.abc import Callable

import pytest
import torch

from hspace_asyrp.loss import SOFT, Goal, Terms, asyrp_loss, direction_cosine, identity_loss, official_loss

DELTA_T = torch.tensor([1.0, 0.0, 0.0])
GOAL = Goal(DELTA_T, full=0.5, cosine=0.9)
REFERENCE = torch.tensor([[0.0, 1.0, 0.0]])
NO_PIXELS = torch.zeros(1)


def moved(along: float, across: float = 0.0) -> torch.Tensor:
    return REFERENCE + torch.tensor([[along, 0.0, across]])


def test_a_full_edit_along_the_text_costs_nothing() -> None:
    loss = asyrp_loss(moved(0.5), REFERENCE, NO_PIXELS, GOAL, Terms())
    assert float(loss) == pytest.approx(0, abs=2 * SOFT**2)


def test_an_invisible_edit_in_the_right_direction_is_not_cheap() -> None:
    tiny = float(asyrp_loss(moved(0.05), REFERENCE, NO_PIXELS, GOAL, Terms(clip=1.0, effect=1.0)))
    assert tiny == pytest.approx(0.9, abs=0.03)


def test_the_cosine_is_that_of_the_change() -> None:
    cosine = direction_cosine(moved(0.3, 0.4) - REFERENCE, DELTA_T)
    assert float(cosine) == pytest.approx(0.6, abs=1e-3)


def test_changed_pixels_cost_their_weight_times_the_cosine_of_the_prompts() -> None:
    with_pixels = asyrp_loss(moved(0.5), REFERENCE, torch.tensor([0.1]), GOAL, Terms())
    without = asyrp_loss(moved(0.5), REFERENCE, NO_PIXELS, GOAL, Terms())
    assert float(with_pixels - without) == pytest.approx(3 * 0.9 * 0.1)


@pytest.mark.parametrize("criterion", [asyrp_loss, official_loss])
def test_l1_costs_changed_pixels_whatever_the_prompts_are(criterion: Callable[..., torch.Tensor]) -> None:
    pixels, with_l1 = torch.tensor([0.1]), Terms(l1=2.0)
    more = criterion(moved(0.5), REFERENCE, pixels, GOAL, with_l1) - criterion(
        moved(0.5), REFERENCE, pixels, GOAL, Terms()
    )
    assert float(more) == pytest.approx(2 * 0.1)


def test_identity_is_lost_with_the_angle_between_the_embeddings() -> None:
    one, other = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert identity_loss(one, other).tolist() == pytest.approx([0.0, 0.4])


def test_the_gradient_is_finite_and_along_the_text_where_nothing_changed() -> None:
    edited = REFERENCE.clone().requires_grad_()
    asyrp_loss(edited, REFERENCE, NO_PIXELS, GOAL, Terms(clip=1.0, effect=0.0)).sum().backward()
    assert edited.grad is not None
    torch.testing.assert_close(edited.grad, -DELTA_T[None] / SOFT)


@pytest.mark.parametrize(
    ("along", "across", "expected"), [(1, 0, 0.0), (0, 1, math.log(2)), (0.6, 0.8, -math.log(0.8))]
)
def test_the_official_loss_is_the_released_codes(along: float, across: float, expected: float) -> None:
    loss = official_loss(moved(along, across), REFERENCE, NO_PIXELS, GOAL, Terms(clip=1.0))
    assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_every_picture_has_its_own_loss() -> None:
    edited, reference = torch.cat([moved(0.5), moved(0.0, 0.3)]), REFERENCE.repeat(2, 1)
    together = asyrp_loss(edited, reference, torch.zeros(2), GOAL, Terms())
    alone = [float(asyrp_loss(one[None], REFERENCE, NO_PIXELS, GOAL, Terms())) for one in edited]
    assert together.tolist() == pytest.approx(alone)
