"""The labeller `attributes`, on faces whose attributes were really changed."""

import pytest
import torch

from hspace.testing import LabellerContract, PlantedBackbone
from hspace_toyfaces.attributes import NAMES, counterfactual, sample_attributes
from hspace_toyfaces.labeller import Attributes, build
from hspace_toyfaces.renderer import render


class TestAttributes(LabellerContract):
    labeller = "attributes"


@pytest.fixture(scope="module")
def labeller() -> Attributes:
    return build()


@pytest.mark.parametrize(
    ("attribute", "before", "after"), [("skin", -0.8, 0.8), ("hair", 0.8, -0.8), ("yaw", -0.5, 0.5)]
)
def test_the_attribute_that_was_changed_has_the_largest_score(
    labeller: Attributes, attribute: str, before: float, after: float
) -> None:
    faces = sample_attributes(8, torch.Generator().manual_seed(3), grey=-1.0, **{attribute: before})
    plain, edited = render(faces, 32), render(counterfactual(faces, **{attribute: after}), 32)
    means = labeller.scores(plain, edited).mean(dim=0)
    assert NAMES[int(means.abs().argmax())] == attribute
    assert float(means[NAMES.index(attribute)]) * (after - before) > 1


def test_it_looks_at_rendered_faces_inverted_into_the_backbone(labeller: Attributes) -> None:
    x_T, told = labeller.latents(PlantedBackbone((3, 16, 16), (48, 4, 4)), 3, 2, 4)
    assert x_T.shape == (3, 3, 16, 16)
    assert told == "3 rendered 16 px faces of seed 2, 4 DDIM steps"
