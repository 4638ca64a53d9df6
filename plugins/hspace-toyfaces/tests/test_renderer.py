"""Pictures of toy faces."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from hspace_toyfaces import renderer
from hspace_toyfaces.attributes import NAMES, Attributes, counterfactual, sample_attributes
from hspace_toyfaces.palette import EYES, HAIRS, SKINS, mix_colours
from hspace_toyfaces.regions import region_mask
from hspace_toyfaces.renderer import LAYERS, render


def faces(n: int = 12, **fixed: float) -> Attributes:
    return sample_attributes(n, torch.Generator().manual_seed(1), "cpu", **fixed)


def plain(**changed: float) -> Attributes:
    """One bare, neutral face that looks straight ahead."""
    bare = {"glasses": -1.0, "beard": -1.0, "grey": -1.0, "age": -1.0, "length": -0.5}
    return {name: torch.tensor([({name: 0.0} | bare | changed)[name]]) for name in NAMES}


def heights(mask: Tensor, columns: Tensor) -> float:
    """The mean row of a (size, size) mask within some columns."""
    rows = mask[:, columns].nonzero()[:, 0]
    return rows.float().mean().item()


@pytest.mark.parametrize("size", [16, 33, 64])
def test_pictures_are_float32_in_range(size: int) -> None:
    pictures = render(faces(), size)
    assert pictures.shape == (12, 3, size, size)
    assert pictures.dtype == torch.float32
    assert -1 <= pictures.min() < -0.5
    assert 0.5 < pictures.max() <= 1


def test_no_faces_make_no_pictures() -> None:
    assert render(faces(0), 32).shape == (0, 3, 32, 32)


def test_the_same_attributes_give_the_same_bytes() -> None:
    assert torch.equal(render(faces(), 64), render(faces(), 64))


@pytest.mark.parametrize("size", [32, 33, 64])
def test_a_row_does_not_depend_on_its_batch(size: int) -> None:
    batch = faces(40)
    alone = torch.cat([render({name: batch[name][i : i + 1] for name in NAMES}, size) for i in range(40)])
    torch.testing.assert_close(render(batch, size), alone, rtol=0, atol=1e-6)


def test_a_batch_larger_than_one_pass_is_rendered_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = render(faces(), 32)
    monkeypatch.setattr(renderer, "PIXELS_AT_ONCE", 5 * 32**2)
    torch.testing.assert_close(render(faces(), 32), at_once, rtol=0, atol=1e-6)


def test_the_rows_of_a_layer_cut_nothing_off(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = faces(60)
    extremes = {name: torch.where(values > values.median(), 1.0, -1.0) for name, values in batch.items()}
    cropped = render(extremes, 48)
    monkeypatch.setattr(renderer, "LAYERS", tuple(replace(layer, rows=(-1.0, 1.0)) for layer in LAYERS))
    assert torch.equal(render(extremes, 48), cropped)


@pytest.mark.parametrize("name", NAMES)
def test_every_attribute_is_visible_at_32_pixels(name: str) -> None:
    batch = faces()
    low, high = (render(counterfactual(batch, **{name: end}), 32) for end in (-1.0, 1.0))
    assert (high - low).abs().amax(dim=(1, 2, 3)).min() > 0.1


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("smile", [-1.0, -0.6, 0.6, 1.0])
def test_smile_curves_the_mouth_corners_up_and_a_frown_down(smile: float, size: int) -> None:
    mouth = region_mask(plain(smile=smile), "mouth", size)[0, 0]
    columns = mouth.any(dim=0).nonzero()[:, 0]
    ends = torch.stack([columns[0], columns[-1]])
    middle = columns[len(columns) // 2 - 1 : len(columns) // 2 + 1]
    lift = (heights(mouth, middle) - heights(mouth, ends)) / size
    assert lift * smile / abs(smile) > 0.03


def test_a_small_smile_shows_no_teeth() -> None:
    brightest = [render(plain(smile=smile, skin=0.5), 64)[0, :, 38:54].amin(dim=0).max() for smile in (0.3, 1.0)]
    assert brightest[0] + 0.2 < brightest[1]


def test_age_leaves_the_hair_as_it_is() -> None:
    batch = faces(grey=-1.0)
    inside = -max_pool2d(-region_mask(batch, "hair", 64).float(), kernel_size=3, stride=1, padding=1) > 0
    young, old = (render(counterfactual(batch, age=age), 64) for age in (-1.0, 1.0))
    assert inside.float().mean() > 0.05
    assert torch.equal(young * inside, old * inside)
    assert not torch.equal(young, old)


def test_grey_hair_keeps_a_trace_of_its_colour() -> None:
    dark, blond = (mix_colours(plain(hair=hair, grey=1.0))["hair"] for hair in (-1.0, 1.0))
    assert (blond - dark).abs().max() > 0.05


@pytest.mark.parametrize(
    ("name", "key", "stops"), [("skin", "skin", SKINS), ("hair", "hair", HAIRS), ("eye", "iris", EYES)]
)
def test_a_colour_ramp_passes_through_its_stops(name: str, key: str, stops: tuple[str, ...]) -> None:
    for place, stop in zip((-1.0, -0.5, 0.0, 0.5, 1.0), stops, strict=True):
        mixed = (mix_colours(plain(**{name: place}))[key][0] * 255).round().int().tolist()
        assert mixed == list(bytes.fromhex(stop[1:]))


@pytest.mark.parametrize("size", [32, 64])
def test_blue_eyes_are_bluer_than_brown_ones(size: int) -> None:
    eyes = region_mask(plain(), "eyes", size)
    excess = [
        (render(plain(eye=eye), size) * eyes)[0, 2].sum() - (render(plain(eye=eye), size) * eyes)[0, 0].sum()
        for eye in (-1.0, 1.0)
    ]
    assert (excess[1] - excess[0]) / eyes.sum() > 0.3


def test_turning_right_moves_the_nose_to_the_right() -> None:
    columns = [region_mask(plain(yaw=yaw), "nose", 64)[0, 0].nonzero()[:, 1].float().mean() for yaw in (-1.0, 0.0, 1.0)]
    assert columns[0] + 5 < columns[1] < columns[2] - 5


def test_light_brightens_the_side_it_comes_from() -> None:
    skin = region_mask(plain(), "skin", 64)[0]
    right, left = (render(plain(light=light), 64)[0] * skin for light in (1.0, -1.0))
    assert (right - left)[:, :, 32:].sum() > 100
    assert (right - left)[:, :, :32].sum() < -100
