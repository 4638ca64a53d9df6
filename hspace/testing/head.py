"""What every head must hold."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from hspace.backbone import State
from hspace.building import build_head
from hspace.direction import Direction
from hspace.head import Head
from hspace.meta import Scope, Strength
from hspace.plugins import plugins
from hspace.testing.backbone import entry_module
from hspace.testing.imports import heavy_imports
from hspace.testing.planted import PlantedBackbone

ROWS = 3

_toy = cache(PlantedBackbone)  # it is frozen, and seconds go into making one for each of many configurations
_heavy_imports = cache(heavy_imports)


class HeadContract:
    """Subclass it and set `head`, and `config` where the head's `build` needs one (or several classes, one each)."""

    head: str
    config: Mapping[str, Any] = {}
    h_shape: tuple[int, int, int] = (32, 4, 4)
    batch_tolerance: float = 1e-5
    """The largest difference between a row alone and in a batch."""

    @pytest.fixture
    def toy(self) -> PlantedBackbone:
        """A backbone with an h of `h_shape`."""
        return _toy(h_shape=self.h_shape)

    @pytest.fixture
    def state(self, toy: PlantedBackbone) -> State:
        """The toy's state on three pictures at three timesteps."""
        x_t = torch.randn(ROWS, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        return toy.encode_h(x_t, torch.tensor([10.0, 400.5, 999.0]))

    @pytest.fixture
    def built(self, toy: PlantedBackbone) -> Head:
        """The head under test, its weights moved away from wherever they start."""
        head = build_head(toy, self.head, self.config, None)
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for weight in head.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=generator))
        return head

    @torch.no_grad()
    def test_its_shift_has_the_shape_of_h(self, built: Head, state: State) -> None:
        assert built(state).shape == state.h.shape
        assert built(_rows(state, slice(0, 1))).shape == (1, *self.h_shape)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
    @torch.no_grad()
    def test_its_shift_keeps_dtype_and_device(self, built: Head, state: State, dtype: torch.dtype) -> None:
        assert state.temb is not None
        cast = State(state.x_t.to(dtype), state.t, state.h.to(dtype), state.temb.to(dtype))
        delta_h = built.to(dtype)(cast)
        assert (delta_h.dtype, delta_h.device) == (dtype, state.h.device)
        assert bool(delta_h.isfinite().all())

    @torch.no_grad()
    def test_each_row_of_a_batch_is_on_its_own(self, built: Head, state: State) -> None:
        together = built(state)
        for row in range(ROWS):
            alone = built(_rows(state, slice(row, row + 1)))
            assert float((alone[0] - together[row]).abs().max()) <= self.batch_tolerance

    @torch.no_grad()
    def test_the_same_state_gets_the_same_shift_and_is_left_alone(self, built: Head, state: State) -> None:
        h = state.h.clone()
        assert torch.equal(built(state), built(state))
        assert torch.equal(state.h, h)

    def test_the_gradient_reaches_its_weights(self, built: Head, state: State) -> None:
        if not list(built.parameters()):
            pytest.skip("it has no weights")
        built.requires_grad_()
        weights = dict(built.named_parameters())
        total = built(state).square().sum()
        gradients = dict(
            zip(weights, torch.autograd.grad(total, list(weights.values()), allow_unused=True), strict=True)
        )
        assert [name for name, gradient in gradients.items() if gradient is None or not gradient.isfinite().all()] == []
        assert any(bool((gradient != 0).any()) for gradient in gradients.values() if gradient is not None)

    @torch.no_grad()
    def test_its_weights_return_from_a_saved_direction(
        self, built: Head, toy: PlantedBackbone, state: State, tmp_path: Path
    ) -> None:
        direction = Direction.bind(
            toy,
            what="planted",
            finder="contract",
            head=self.head,
            config=self.config,
            weights=built.state_dict(),
            steps=40,
            t_edit=500,
            strength=Strength(min=-1, max=1),
            scope=Scope(kind="global"),
        )
        direction.save(tmp_path)
        loaded = Direction.load(tmp_path)
        if loaded.meta.components > 1:
            loaded = loaded.pick(self.config.get("component", 0))
        assert torch.equal(loaded.head(toy)(state), built(state))

    def test_listing_it_imports_nothing_heavy(self) -> None:
        assert _heavy_imports(entry_module(plugins().find("heads", self.head).plugin)) == []


def _rows(state: State, rows: slice) -> State:
    temb = None if state.temb is None else state.temb[rows]
    return State(state.x_t[rows], state.t[rows], state.h[rows], temb)
