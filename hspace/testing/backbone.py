"""What every backbone must hold."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.backbone import Backbone, State
from hspace.errors import UsageError
from hspace.fingerprint import x_shape
from hspace.loading import load_backbone
from hspace.plugins import plugins
from hspace.store import weights_status
from hspace.testing.imports import heavy_imports


@cache
def _load(card: str) -> Backbone:
    return load_backbone(card)


def require_weights(card: str) -> None:
    """Skips the running test where a backbone's weights are neither bundled nor cached."""
    status = weights_status(plugins().find("backbones", card))
    if status in ("download", "bring-your-own"):
        pytest.skip(f"the weights of {card} are not at hand ({status})")


def entry_module(plugin: str) -> str:
    """The entry module, or file, of the plugin of that name."""
    return next(report.origin for report in plugins().reports() if report.name == plugin)


class BackboneContract:
    """Subclass it and set `card`. `condition` is what `bind` is given where a backbone cannot run without."""

    card: str
    condition: Mapping[str, Any] = {}
    image_tolerance: float = 0.0
    """The largest |image - x0_to_image(image_to_x0(image))|: 0 for pixels, measured for a lossy latent."""
    batch_tolerance: float = 1e-5
    """The largest difference, relative to the largest value, between a row alone and in a batch."""

    @pytest.fixture
    def backbone(self) -> Backbone:
        """The backbone under test, loaded once for all tests of its card; skips where its weights are not at hand."""
        require_weights(self.card)
        return _load(self.card).bind(**self.condition)

    @pytest.fixture
    def x_t(self, backbone: Backbone) -> Tensor:
        """Two noisy pictures."""
        return _noise(2, x_shape(backbone), seed=1).to(next(backbone.parameters()))

    @pytest.fixture
    def t(self, backbone: Backbone, x_t: Tensor) -> Tensor:
        """A timestep for each picture."""
        T = len(backbone.alphas_cumprod)
        return torch.tensor([T // 4, T // 2], dtype=torch.float32, device=x_t.device)

    @pytest.fixture
    def state(self, backbone: Backbone, x_t: Tensor, t: Tensor) -> State:
        """The backbone's state on both pictures."""
        with torch.no_grad():
            return backbone.encode_h(x_t, t)

    def test_the_shapes_are_those_of_its_facts(self, backbone: Backbone, state: State, t: Tensor) -> None:
        assert backbone.card is not None
        facts = backbone.card.facts
        assert tuple(state.h.shape[1:]) == tuple(facts["h_shape"])
        with torch.no_grad():
            assert tuple(backbone.decode_h(state).shape[1:]) == tuple(facts["x_shape"])
        assert state.temb is None or state.temb.shape[0] == len(t)

    def test_its_card_tells_where_h_is_and_whose_it_is(self, backbone: Backbone) -> None:
        assert backbone.card is not None
        assert {name for name in ("h_site", "licence", "source") if not backbone.card.facts.get(name)} == set()

    def test_its_schedule_is_float64_and_strictly_decreasing_in_0_to_1(self, backbone: Backbone) -> None:
        alphas = backbone.alphas_cumprod
        assert alphas.dtype == torch.float64
        assert bool((alphas.diff() < 0).all())
        assert float(alphas[-1]) > 0
        assert float(alphas[0]) < 1

    @torch.no_grad()
    def test_its_two_halves_are_its_forward_before_and_after_an_edit(
        self, backbone: Backbone, x_t: Tensor, t: Tensor
    ) -> None:
        whole = backbone(x_t, t)
        state = backbone.encode_h(x_t, t)
        assert torch.equal(backbone.decode_h(state), whole)
        backbone.decode_h(state, _shift(state))
        assert torch.equal(backbone.decode_h(state), whole)
        assert torch.equal(backbone(x_t, t), whole)

    @torch.no_grad()
    def test_a_zero_shift_of_h_changes_nothing(self, backbone: Backbone, state: State) -> None:
        assert torch.equal(backbone.decode_h(state, torch.zeros_like(state.h)), backbone.decode_h(state))

    @torch.no_grad()
    def test_a_shift_of_h_changes_eps(self, backbone: Backbone, state: State) -> None:
        eps, eps_edit = backbone.decode_h(state), backbone.decode_h(state, _shift(state))
        assert bool(eps_edit.isfinite().all())
        assert bool((eps_edit != eps).flatten(1).any(dim=1).all())

    @torch.no_grad()
    def test_an_edited_state_can_be_decoded_twice(self, backbone: Backbone, state: State) -> None:
        shift = _shift(state)
        assert torch.equal(backbone.decode_h(state, shift), backbone.decode_h(state, shift))

    def test_the_gradient_of_eps_reaches_the_shift(self, backbone: Backbone, x_t: Tensor, t: Tensor) -> None:
        state = backbone.encode_h(x_t, t)
        shift = torch.zeros_like(state.h, requires_grad=True)
        (gradient,) = torch.autograd.grad(backbone.decode_h(state, shift).square().sum(), shift)
        assert bool(gradient.isfinite().all())
        assert bool((gradient != 0).flatten(1).any(dim=1).all())

    def test_the_gradient_of_h_reaches_x_t(self, backbone: Backbone, x_t: Tensor, t: Tensor) -> None:
        x_t.requires_grad_()
        (gradient,) = torch.autograd.grad(backbone.encode_h(x_t, t).h.square().sum(), x_t)
        assert bool((gradient != 0).flatten(1).any(dim=1).all())

    @torch.no_grad()
    def test_each_row_of_a_batch_is_on_its_own(self, backbone: Backbone, x_t: Tensor, t: Tensor, state: State) -> None:
        shift = _shift(state)
        eps = backbone.decode_h(state, shift)
        for row in range(len(x_t)):
            alone = backbone.encode_h(x_t[row : row + 1], t[row : row + 1])
            assert _apart(alone.h[0], state.h[row]) <= self.batch_tolerance
            eps_alone = backbone.decode_h(alone, shift[row : row + 1])
            assert _apart(eps_alone[0], eps[row]) <= self.batch_tolerance

    @torch.no_grad()
    def test_an_edit_leaves_its_weights_alone(self, backbone: Backbone, state: State) -> None:
        before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
        backbone.decode_h(state, _shift(state))
        after = backbone.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in before.items())

    def test_it_comes_frozen_and_in_eval_mode(self, backbone: Backbone) -> None:
        assert not any(parameter.requires_grad for parameter in backbone.parameters())
        assert not any(module.training for module in backbone.modules())

    @torch.no_grad()
    def test_an_image_returns_from_x_0(self, backbone: Backbone) -> None:
        weight = next(backbone.parameters())
        image_shape = backbone.x0_to_image(torch.zeros(1, *x_shape(backbone)).to(weight)).shape[1:]
        image = (_noise(2, tuple(image_shape), seed=2) / 3).clamp(-1, 1).to(weight)
        x_0 = backbone.image_to_x0(image)
        assert tuple(x_0.shape[1:]) == x_shape(backbone)
        assert float((backbone.x0_to_image(x_0) - image).abs().max()) <= self.image_tolerance

    def test_bind_refuses_a_condition_it_does_not_know(self, backbone: Backbone) -> None:
        with pytest.raises(UsageError, match="no_such_condition"):
            backbone.bind(no_such_condition=1)

    def test_listing_it_imports_nothing_heavy(self) -> None:
        assert heavy_imports(entry_module(plugins().find("backbones", self.card).plugin)) == []


def _noise(rows: int, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(rows, *shape, generator=torch.Generator().manual_seed(seed))


def _shift(state: State) -> Tensor:
    return _noise(len(state.h), tuple(state.h.shape[1:]), seed=3).to(state.h) * state.h.std()


def _apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())
