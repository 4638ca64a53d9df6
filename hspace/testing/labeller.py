"""What every labeller must hold."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.labeller import Labeller, build_labeller
from hspace.plugins import plugins
from hspace.testing.backbone import entry_module
from hspace.testing.imports import heavy_imports
from hspace.testing.planted import PlantedBackbone


class LabellerContract:
    """Subclass it and set `labeller`, and `config` where it cannot be built without."""

    labeller: str
    config: Mapping[str, Any] = {}

    @pytest.fixture
    def built(self) -> Labeller:
        """The labeller under test."""
        return build_labeller(self.labeller, self.config)

    @pytest.fixture
    def pictures(self) -> Tensor:
        """Three pictures of smooth noise, (3, 3, 32, 32) in [-1, 1]."""
        coarse = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
        return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")

    def test_it_knows_different_names_and_says_what_its_scores_are(self, built: Labeller) -> None:
        assert len(set(built.names)) == len(built.names) > 0
        assert built.unit
        assert built.least is None or built.least > 0

    def test_each_picture_has_a_finite_score_for_each_name(self, built: Labeller, pictures: Tensor) -> None:
        scores = built.scores(pictures, pictures.flip(3))
        assert scores.shape == (3, len(built.names))
        assert scores.device.type == "cpu"
        assert bool(scores.isfinite().all())

    def test_a_picture_that_was_not_edited_scores_0(self, built: Labeller, pictures: Tensor) -> None:
        assert not bool(built.scores(pictures, pictures).any())

    def test_each_picture_is_scored_on_its_own(self, built: Labeller, pictures: Tensor) -> None:
        together = built.scores(pictures, pictures.flip(3))
        alone = built.scores(pictures[1:2], pictures[1:2].flip(3))
        torch.testing.assert_close(alone[0], together[1], atol=1e-4, rtol=1e-4)

    def test_the_same_seed_gives_the_same_latents(self, built: Labeller) -> None:
        toy = PlantedBackbone((3, 16, 16), (48, 4, 4))
        (one, told), (again, _), (other, _) = (built.latents(toy, 2, seed, 4) for seed in (1, 1, 2))
        assert told
        assert one.shape == (2, 3, 16, 16)
        assert torch.equal(one, again)
        assert not torch.equal(one, other)

    def test_listing_it_imports_nothing_heavy(self) -> None:
        assert heavy_imports(entry_module(plugins().find("labellers", self.labeller).plugin)) == []
