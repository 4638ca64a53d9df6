import pytest
import torch
from unets import noise, unet

from hspace import Guided, SplitUNet
from hspace.errors import UsageError
from hspace.schedule import alphas_cumprod
from hspace.testing import PlantedBackbone

T_ = torch.tensor([3.0, 700.0])


def halves() -> tuple[SplitUNet, SplitUNet]:
    backbone = SplitUNet(unet("classes"), alphas_cumprod())
    return backbone.bind(label=1), backbone.bind(label=4)


@torch.no_grad()
def test_eps_is_the_guided_sum() -> None:
    x_t, (conditional, unconditional) = noise(2, 3, 8, 8), halves()
    eps_c, eps_u = conditional(x_t, T_), unconditional(x_t, T_)
    assert torch.equal(Guided(conditional, unconditional, 7.5)(x_t, T_), eps_u + 7.5 * (eps_c - eps_u))


@torch.no_grad()
def test_scale_0_is_the_unconditional_one() -> None:
    x_t, (conditional, unconditional) = noise(2, 3, 8, 8), halves()
    assert torch.equal(Guided(conditional, unconditional, 0)(x_t, T_), unconditional(x_t, T_))


@torch.no_grad()
def test_a_shift_enters_the_conditional_half_alone() -> None:
    x_t, (conditional, unconditional) = noise(2, 3, 8, 8), halves()
    state = Guided(conditional, unconditional, 2.0).encode_h(x_t, T_)
    own = conditional.encode_h(x_t, T_)
    assert torch.equal(state.h, own.h)
    shift = noise(*state.h.shape, seed=1)
    eps_u = unconditional(x_t, T_)
    expected = eps_u + 2.0 * (conditional.decode_h(own, shift) - eps_u)
    assert torch.equal(Guided(conditional, unconditional, 2.0).decode_h(state, shift), expected)


def test_it_has_the_schedule_card_and_pictures_of_the_conditional_one() -> None:
    conditional, unconditional = PlantedBackbone(), PlantedBackbone(seed=1)
    guided = Guided(conditional, unconditional, 2.0)
    assert guided.card is conditional.card
    assert torch.equal(guided.alphas_cumprod, conditional.alphas_cumprod)
    image = noise(1, 3, 8, 8)
    assert torch.equal(guided.x0_to_image(guided.image_to_x0(image)), image)


def test_an_unconditional_backbone_refuses_a_condition() -> None:
    with pytest.raises(UsageError, match=r"PlantedBackbone takes no condition; bind\(\) was given prompt"):
        PlantedBackbone().bind(prompt="a face")
    assert PlantedBackbone().bind().card is not None
