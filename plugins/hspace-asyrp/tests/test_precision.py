"""Training in bf16: the networks alone run in it, and the head comes out much the same."""

import pytest
import torch
from torch import Tensor

from hspace import Backbone, State, load_backbone
from hspace.errors import UsageError
from hspace.sampling import latents
from hspace_asyrp.finder import build
from hspace_asyrp.precision import BackboneInBf16, in_bf16

from .colours import Colours, found

pytestmark = pytest.mark.usefixtures("hspace_home")


class Watched(Backbone):
    """A backbone; it notes whether its halves were run under autocast."""

    def __init__(self, inner: Backbone) -> None:
        super().__init__(inner.alphas_cumprod, inner.card)
        self.inner, self.autocast = inner, set[bool]()

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        self.autocast.add(torch.is_autocast_enabled("cpu"))
        return self.inner.encode_h(x_t, t)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        self.autocast.add(torch.is_autocast_enabled("cpu"))
        return self.inner.decode_h(state, delta_h)


def test_both_halves_run_in_bf16_and_what_they_give_is_float32() -> None:
    inner = load_backbone("ddpmpp-random-tiny")
    watched = Watched(inner)
    network, x_t, t = BackboneInBf16(watched), latents(inner, 2, 0), torch.full((2,), 500.0)
    with torch.no_grad():
        state = network.encode_h(x_t, t)
        eps, exact = network.decode_h(state, torch.ones_like(state.h)), inner(x_t, t)
        again = network.decode_h(state)
    assert watched.autocast == {True}
    assert {one.dtype for one in (state.h, state.temb, eps)} == {torch.float32}  # type: ignore[union-attr]
    assert 0 < float((again - exact).norm() / exact.norm()) < 0.02
    assert float((eps - again).abs().max()) > 0


def test_the_gradient_reaches_delta_h_through_bf16() -> None:
    inner = load_backbone("ddpmpp-random-tiny")
    gradients = []
    for network in (inner, BackboneInBf16(inner)):
        state = network.encode_h(latents(inner, 2, 0), torch.full((2,), 500.0))
        delta_h = torch.zeros_like(state.h, requires_grad=True)
        network.decode_h(state, delta_h).square().sum().backward()
        assert delta_h.grad is not None
        gradients.append(delta_h.grad.flatten())
    assert float(torch.nn.functional.cosine_similarity(*gradients, dim=0)) > 0.99


def test_a_head_trained_in_bf16_does_what_one_trained_in_float32_does(colours: Colours) -> None:
    effects = {}
    for precision in ("fp32", "bf16"):
        _, direction = found(colours, fidelity="official", rate=0.5, precision=precision)
        effects[precision] = {one.name: one.value for one in direction.meta.metrics}["effect"]
        assert direction.meta.provenance.config["precision"] == precision
        assert all(weight.dtype == torch.float32 for weight in direction.weights.values())
    assert effects["bf16"] == pytest.approx(effects["fp32"], rel=0.1)
    assert effects["bf16"] != effects["fp32"]


def test_auto_is_float32_on_the_cpu() -> None:
    cpu = torch.device("cpu")
    assert [in_bf16(one, cpu) for one in ("auto", "fp32", "bf16")] == [False, False, True]


def test_another_precision_is_told() -> None:
    with pytest.raises(UsageError, match="precision must be auto or fp32 or bf16; 'fp16' was given"):
        build(precision="fp16")  # type: ignore[arg-type]
