"""Where the parts of toy faces are."""

import pytest
import torch

from hspace_toyfaces.attributes import NAMES, Attributes, counterfactual, sample_attributes
from hspace_toyfaces.regions import REGIONS, VISIBLE, changed_mask, region_mask
from hspace_toyfaces.renderer import render


def faces(n: int = 16, **fixed: float) -> Attributes:
    return sample_attributes(n, torch.Generator().manual_seed(2), "cpu", **fixed)


def test_the_regions_of_the_picture_do_not_overlap_and_leave_edges_only() -> None:
    batch = faces()
    parts = [region_mask(batch, name, 64) for name in ("face", "hair", "neck", "ears", "shirt", "background")]
    layers = torch.stack(parts).sum(dim=0)
    assert layers.max() == 1
    assert layers.float().mean() > 0.99


@pytest.mark.parametrize("name", ["eyes", "brows", "nose", "mouth", "beard"])
def test_the_face_holds_its_features(name: str) -> None:
    batch = faces(beard=1.0)
    assert not (region_mask(batch, name) & ~region_mask(batch, "face")).any()


@pytest.mark.parametrize("name", sorted(set(REGIONS) - {"ears"}))
def test_every_region_is_seen_on_every_face_that_wears_all(name: str) -> None:
    batch = faces(glasses=1.0, beard=1.0, age=1.0)
    assert region_mask(batch, name, 64).flatten(1).any(dim=1).all()


def test_a_bare_face_has_no_glasses_and_no_beard() -> None:
    batch = faces(glasses=-1.0, beard=-1.0)
    assert not region_mask(batch, "glasses").any()
    assert not region_mask(batch, "beard").any()


def test_long_hair_covers_the_ears() -> None:
    assert region_mask(faces(length=-1.0), "ears").any()
    assert not region_mask(faces(length=0.5), "ears").any()


def test_the_shirt_is_well_in_the_frame() -> None:
    shirt = region_mask(faces(length=-1.0), "shirt").float().mean(dim=(1, 2, 3))
    assert shirt.min() > 0.10


@pytest.mark.parametrize(
    ("name", "region"),
    [("shirt", "shirt"), ("bg", "background"), ("hair", "hair"), ("eye", "eyes"), ("skin", "skin")],
)
def test_a_colour_changes_its_own_region(name: str, region: str) -> None:
    batch = faces(glasses=-1.0, beard=-1.0, bg_light=0.0)
    low, high = (render(counterfactual(batch, **{name: end}), 64) for end in (-1.0, 1.0))
    change = (high - low).abs().amax(dim=1, keepdim=True)
    inside = region_mask(batch, region, 64)
    assert change[inside].mean() > 5 * change[~inside].mean()


@pytest.mark.parametrize("name", NAMES)
def test_nothing_changes_outside_what_can_change(name: str) -> None:
    batch = faces(6)
    outside = ~changed_mask(batch, name, 64)
    for end in (-1.0, 1.0):
        change = (render(counterfactual(batch, **{name: end}), 64) - render(batch, 64)).abs()
        assert (change * outside).max() <= VISIBLE


def test_what_can_change_is_widened_by_one_pixel() -> None:
    batch = faces(1, smile=-1.0)
    change = (render(counterfactual(batch, smile=1.0), 32) - render(batch, 32)).abs().amax(dim=1)[0] > VISIBLE
    row, column = change.nonzero()[0].tolist()
    assert not change[row - 1].any()
    assert changed_mask(batch, "smile", 32)[0, 0, row - 1, column - 1 : column + 2].all()


def test_a_smile_changes_the_lower_face_alone() -> None:
    rows = changed_mask(faces(), "smile", 64).any(dim=3).any(dim=0)[0].nonzero()[:, 0]
    assert rows.min() > 64 * 0.5
    assert rows.max() < 64 * 0.8


def test_an_unknown_region_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"region 'hat' is not one of face, skin, .* Use one of these names"):
        region_mask(faces(), "hat")


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="attribute 'hat' is not one of smile, skin"):
        changed_mask(faces(), "hat")
