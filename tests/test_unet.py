from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from diffusers import UNet2DModel
from torch import Tensor
from unets import CONFIGS, noise, unet

from hspace import SplitUNet
from hspace.errors import UsageError
from hspace.schedule import alphas_cumprod, interpolate

T_ = torch.tensor([3.0, 700.25])
CLASSES = {"classes": torch.tensor([1, 4]), "timestep-classes": torch.tensor([10, 20])}


def split(name: str, **arguments: Any) -> SplitUNet:
    backbone = SplitUNet(unet(name), alphas_cumprod(), **arguments)
    return backbone.bind(label=CLASSES[name]) if name in CLASSES else backbone


def own(name: str, x_t: Tensor, t: Tensor) -> Tensor:
    labels = CLASSES.get(name)
    sample: Tensor = unet(name)(x_t, t, class_labels=labels).sample
    return sample


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_both_halves_are_the_models_own_forward_bit_for_bit(name: str) -> None:
    x_t, backbone = noise(2, 3, 8, 8), split(name)
    expected = own(name, x_t, T_)[:, :3]
    state = backbone.encode_h(x_t, T_)
    assert torch.equal(backbone.decode_h(state), expected)
    assert not torch.equal(backbone.decode_h(state, noise(*state.h.shape, seed=1)), expected)
    assert torch.equal(backbone.decode_h(state), expected)


@torch.no_grad()
@pytest.mark.parametrize("name", ["plain", "attention"])
def test_both_halves_are_the_models_own_forward_in_half_precision(name: str) -> None:
    half = UNet2DModel.from_config(unet(name).config).to(torch.bfloat16)
    x_t = noise(2, 3, 8, 8).to(torch.bfloat16)
    assert torch.equal(SplitUNet(half, alphas_cumprod())(x_t, T_), half(x_t, T_).sample)


@torch.no_grad()
@pytest.mark.parametrize("name", ["plain", "no-middle"])
def test_h_is_what_the_middle_block_returns(name: str) -> None:
    x_t, seen = noise(2, 3, 8, 8), []
    last = unet(name).mid_block or unet(name).down_blocks[-1]
    hook = last.register_forward_hook(lambda _, __, output: seen.append(output))
    try:
        own(name, x_t, T_)
    finally:
        hook.remove()
    h = seen[0] if isinstance(seen[0], Tensor) else seen[0][0]
    assert torch.equal(split(name).encode_h(x_t, T_).h, h)


@torch.no_grad()
def test_a_learned_variance_is_dropped() -> None:
    assert own("learned-variance", noise(2, 3, 8, 8), T_).shape[1] == 6
    assert split("learned-variance")(noise(2, 3, 8, 8), T_).shape == (2, 3, 8, 8)


@torch.no_grad()
def test_a_v_prediction_becomes_the_eps_of_its_definition() -> None:
    x_t = noise(2, 3, 8, 8)
    v = own("plain", x_t, T_).double()
    a = interpolate(alphas_cumprod(), T_).reshape(-1, 1, 1, 1)
    eps = split("plain", prediction_type="v_prediction")(x_t, T_).double()
    x_0 = (x_t.double() - (1 - a).sqrt() * eps) / a.sqrt()
    recovered = a.sqrt() * eps - (1 - a).sqrt() * x_0  # v = sqrt(a) eps - sqrt(1 - a) x_0
    scale = 1 / a.sqrt()  # x_0 magnifies the rounding of a single-precision eps
    assert float(((recovered - v) / scale).abs().max()) < 1e-6


def test_another_prediction_type_is_refused() -> None:
    with pytest.raises(UsageError, match="must be 'epsilon' or 'v_prediction'; 'sample' was given"):
        SplitUNet(unet("plain"), alphas_cumprod(), prediction_type="sample")


@torch.no_grad()
def test_one_label_serves_all_pictures() -> None:
    backbone, x_t = SplitUNet(unet("classes"), alphas_cumprod()), noise(2, 3, 8, 8)
    expected = unet("classes")(x_t, T_, class_labels=torch.tensor([3, 3])).sample
    assert torch.equal(backbone.bind(label=3)(x_t, T_), expected)


@torch.no_grad()
def test_binding_leaves_the_backbone_unbound() -> None:
    backbone = SplitUNet(unet("classes"), alphas_cumprod())
    assert backbone.bind(label=3).label is not None
    with pytest.raises(UsageError, match=r"class-conditional; say which class: --bind label=N"):
        backbone(noise(2, 3, 8, 8), T_)


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    with pytest.raises(UsageError, match=f"label must be from 0 to 4; {label} was given"):
        SplitUNet(unet("classes"), alphas_cumprod()).bind(label=label)


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(UsageError, match=r"takes label; bind\(\) was given prompt"):
        SplitUNet(unet("classes"), alphas_cumprod()).bind(prompt="a face")
    with pytest.raises(UsageError, match=r"takes no condition; bind\(\) was given label"):
        SplitUNet(unet("plain"), alphas_cumprod()).bind(label=1)


@torch.no_grad()
def test_two_threads_at_once_get_the_bits_that_one_gets() -> None:
    backbone = split("attention")
    latents = [noise(2, 3, 8, 8, seed=seed) for seed in range(16)]
    alone = [backbone(x_t, T_) for x_t in latents]

    def run(x_t: Tensor) -> Tensor:
        with torch.no_grad():
            return backbone.decode_h(backbone.encode_h(x_t, T_))

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(run, latents))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("name", ["plain", "attention", "scale-shift", "skip-fourier"])
def test_gradients_flow_through_both_halves(name: str) -> None:
    backbone = split(name)
    x_t = noise(2, 3, 8, 8).requires_grad_()
    state = backbone.encode_h(x_t, T_)
    shift = torch.zeros_like(state.h, requires_grad=True)
    to_x_t, to_shift = torch.autograd.grad(backbone.decode_h(state, shift).square().sum(), (x_t, shift))
    assert to_x_t.abs().sum() > 0
    assert to_shift.abs().sum() > 0


def test_the_gradient_of_a_half_is_its_finite_difference() -> None:
    double = UNet2DModel.from_config(unet("plain").config).double()
    double.load_state_dict(unet("plain").state_dict())
    backbone = SplitUNet(double, alphas_cumprod())
    state = backbone.encode_h(noise(2, 3, 8, 8, dtype=torch.float64), T_)
    shift, along = torch.zeros_like(state.h, requires_grad=True), noise(*state.h.shape, seed=2, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(backbone.decode_h(state, shift).square().sum(), shift)
    with torch.no_grad():
        up, down = (backbone.decode_h(state, sign * 1e-5 * along).square().sum() for sign in (1, -1))
    assert float((gradient * along).sum()) == pytest.approx(float((up - down) / 2e-5), rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
def test_each_half_compiles_to_the_same_numbers() -> None:
    backbone, x_t = split("attention"), noise(2, 3, 8, 8)
    with torch.no_grad():
        eager = backbone.encode_h(x_t, T_)
        compiled = torch.compile(backbone.encode_h, fullgraph=True)(x_t, T_)
        torch.testing.assert_close(compiled.h, eager.h)
        shift = noise(*eager.h.shape, seed=1)
        eps = torch.compile(backbone.decode_h, fullgraph=True)(eager, shift)
        torch.testing.assert_close(eps, backbone.decode_h(eager, shift))
