"""What several tests need."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.testing import hspace_home as hspace_home

torch.set_num_threads(1)

N, SIDE = 8, 32


@pytest.fixture(autouse=True)
def _named_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `metric_models:small` in a setting stands for can be imported."""
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture
def pictures() -> Callable[[int], Tensor]:
    """Smooth random pictures (8, 3, 32, 32) in [-1, 1] of a seed."""

    def draw(seed: int) -> Tensor:
        coarse = torch.rand(N, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 1.6 - 0.8
        return torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")

    return draw
