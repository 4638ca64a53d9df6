from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unets import noise, unet

from hspace import ReplayBackbone
from hspace.errors import UsageError
from hspace.schedule import alphas_cumprod

T_ = torch.tensor([3.0, 700.0])


class Foreign(nn.Module):
    """A U-Net by hand: one level, an encoder block that runs twice, a time embedding, skips by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Linear(1, 4)
        self.enter = nn.Conv2d(3, 4, 3, padding=1)
        self.down = nn.Conv2d(4, 4, 3, padding=1)
        self.middle = nn.Conv2d(4, 4, 3, padding=1)
        self.leave = nn.Conv2d(12, 6, 3, padding=1)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        first = self.enter(x_t) + self.time(t[:, None])[:, :, None, None]
        second = self.down(first).relu()
        third = self.down(second).relu()
        prediction: Tensor = self.leave(torch.cat([self.middle(third), second, third], dim=1))
        return prediction


def foreign() -> Foreign:
    torch.manual_seed(0)
    return Foreign()


def plain(model: nn.Module, x_t: Tensor, t: Tensor) -> Tensor:
    prediction: Tensor = model(x_t, t)
    return prediction


def by_hand(model: nn.Module, **more: Any) -> ReplayBackbone:
    return ReplayBackbone(model, alphas_cumprod(), plain, ["time", "enter", "down"], "middle", temb="time", **more)


def diffusers_encoder(model: Any) -> list[str]:
    return ["time_embedding", "conv_in", *(f"down_blocks.{level}" for level in range(len(model.down_blocks)))]


@torch.no_grad()
def holds_its_models_forward(backbone: ReplayBackbone, x_t: Tensor, whole: Callable[[], Tensor]) -> None:
    expected = whole()
    state = backbone.encode_h(x_t, T_)
    assert torch.equal(backbone.decode_h(state), expected)
    assert torch.equal(backbone.decode_h(state, torch.zeros_like(state.h)), expected)
    assert not torch.equal(backbone.decode_h(state, noise(*state.h.shape, seed=1)), expected)
    assert torch.equal(backbone.decode_h(state), expected)
    assert torch.equal(whole(), expected)


def test_a_foreign_u_net_is_its_own_forward_bit_for_bit() -> None:
    model, x_t = foreign(), noise(2, 3, 8, 8)
    holds_its_models_forward(by_hand(model), x_t, lambda: model(x_t, T_)[:, :3])


@pytest.mark.parametrize("name", ["plain", "attention"])
def test_diffusers_u_net_is_its_own_forward_bit_for_bit(name: str) -> None:
    model, x_t = unet(name), noise(2, 3, 8, 8)
    backbone = ReplayBackbone(
        model, alphas_cumprod(), lambda model, x_t, t: model(x_t, t).sample, diffusers_encoder(model), "mid_block"
    )
    holds_its_models_forward(backbone, x_t, lambda: model(x_t, T_).sample)


def test_a_text_conditional_u_net_is_its_own_forward_bit_for_bit() -> None:
    from diffusers import UNet2DConditionModel

    torch.manual_seed(0)
    model = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        in_channels=4,
        out_channels=4,
    ).eval()

    def call(model: nn.Module, x_t: Tensor, t: Tensor, *, encoder_hidden_states: Tensor) -> Tensor:
        prediction: Tensor = model(x_t, t, encoder_hidden_states).sample
        return prediction

    text, x_t = noise(2, 5, 8, seed=3), noise(2, 4, 8, 8)
    conditions = ["encoder_hidden_states"]
    backbone = ReplayBackbone(
        model, alphas_cumprod(), call, diffusers_encoder(model), "mid_block", conditions=conditions
    ).bind(encoder_hidden_states=text)
    holds_its_models_forward(backbone, x_t, lambda: model(x_t, T_, text).sample)


@torch.no_grad()
def test_h_and_temb_are_the_outputs_of_the_named_modules() -> None:
    model, x_t = foreign(), noise(2, 3, 8, 8)
    state = by_hand(model).encode_h(x_t, T_)
    first = model.enter(x_t) + model.time(T_[:, None])[:, :, None, None]
    assert state.temb is not None
    assert torch.equal(state.temb, model.time(T_[:, None]))
    assert torch.equal(state.h, model.middle(model.down(model.down(first).relu()).relu()))


def test_the_gradient_of_eps_reaches_the_shift() -> None:
    backbone = by_hand(foreign())
    state = backbone.encode_h(noise(2, 3, 8, 8), T_)
    shift = torch.zeros_like(state.h, requires_grad=True)
    (gradient,) = torch.autograd.grad(backbone.decode_h(state, shift).square().sum(), shift)
    assert gradient.abs().sum() > 0


class InPlace(Foreign):
    """The same, writing into what its encoder and its middle block returned."""

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        first = self.enter(x_t).add_(self.time(t[:, None])[:, :, None, None])
        second = self.down(first).relu_().mul_(2)
        h = self.middle(self.down(second).tanh_()).add_(1)
        prediction: Tensor = self.leave(torch.cat([h, second, first], dim=1))
        return prediction


def test_a_model_that_works_in_place_is_its_own_forward_bit_for_bit() -> None:
    torch.manual_seed(0)
    model, x_t = InPlace(), noise(2, 3, 8, 8)
    holds_its_models_forward(by_hand(model), x_t, lambda: model(x_t, T_)[:, :3])


def untouched(model: nn.Module) -> bool:
    return not any(module._forward_hooks or "forward" in vars(module) for module in model.modules())


@torch.no_grad()
def test_the_model_is_left_as_it_was() -> None:
    model = foreign()
    by_hand(model)(noise(2, 3, 8, 8), T_)
    assert untouched(model)


@torch.no_grad()
def test_the_model_is_left_as_it_was_after_an_error() -> None:
    model, x_t = foreign(), noise(2, 3, 8, 8)
    backbone = by_hand(model)
    state = backbone.encode_h(x_t, T_)
    with pytest.raises(RuntimeError, match="size"):
        backbone.decode_h(state, noise(2, 4, 3, 3))
    with pytest.raises(RuntimeError, match="channels"):
        backbone.encode_h(noise(2, 5, 8, 8), T_)
    assert untouched(model)
    assert torch.equal(backbone.decode_h(state), model(x_t, T_)[:, :3])


@torch.no_grad()
def test_a_forward_that_someone_else_patched_stays_patched(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x_t = foreign(), noise(2, 3, 8, 8)
    own = model.enter.forward
    patched = lambda image: own(image) + 1  # noqa: E731
    monkeypatch.setattr(model.enter, "forward", patched)
    expected = model(x_t, T_)[:, :3]
    assert torch.equal(by_hand(model)(x_t, T_), expected)
    assert vars(model.enter)["forward"] is patched


def test_a_module_that_is_not_there_is_named() -> None:
    backbone = ReplayBackbone(foreign(), alphas_cumprod(), plain, ["enter", "nowhere"], "middle")
    with pytest.raises(AttributeError, match="nowhere"):
        backbone.encode_h(noise(2, 3, 8, 8), T_)


def test_a_forward_that_never_reaches_its_middle_block_is_refused() -> None:
    backbone = ReplayBackbone(foreign(), alphas_cumprod(), lambda model, x_t, _: model.enter(x_t), ["enter"], "middle")
    with pytest.raises(UsageError, match="never reached its middle block 'middle'"):
        backbone.encode_h(noise(2, 3, 8, 8), T_)


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(UsageError, match=r"takes no condition; bind\(\) was given label"):
        by_hand(foreign()).bind(label=1)
    with pytest.raises(UsageError, match=r"takes label; bind\(\) was given prompt"):
        by_hand(foreign(), conditions=["label"]).bind(label=1, prompt="a face")


def test_binding_leaves_the_backbone_unbound() -> None:
    backbone = by_hand(foreign(), conditions=["label"])
    assert backbone.bind(label=1).condition == {"label": 1}
    assert backbone.condition == {}
