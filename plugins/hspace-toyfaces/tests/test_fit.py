"""The renderer fit: what was rendered is read back."""

import pytest
import torch
from torch import Tensor

from hspace_toyfaces import features
from hspace_toyfaces.attributes import NAMES, counterfactual, sample_attributes
from hspace_toyfaces.fit import fit
from hspace_toyfaces.geometry import look_at, pose
from hspace_toyfaces.renderer import render

N, SIZE = 12, 32
KNOWN = sample_attributes(N, torch.Generator().manual_seed(0))


def values(seed: int = 1) -> Tensor:
    return torch.rand(N, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def noise(deviation: float) -> Tensor:
    return deviation * torch.randn(N, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def same(one: Tensor, other: Tensor, within: float) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=within)


@pytest.mark.parametrize("name", NAMES)
def test_a_render_is_read_at_its_value_to_a_hundredth(name: str) -> None:
    pictures = render(KNOWN | {name: values()}, SIZE)
    same(fit(KNOWN, pictures, name).values, values(), within=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_an_untouched_render_is_read_at_its_own_value(name: str) -> None:
    same(fit(KNOWN, render(KNOWN, SIZE), name).values, KNOWN[name], within=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_noise_hardly_moves_the_reading(name: str) -> None:
    pictures = render(KNOWN | {name: values()}, SIZE) + noise(0.05)
    error = (fit(KNOWN, pictures, name).values - values()).abs().mean()
    assert error < 0.06  # 0.1 SD


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_an_end_of_the_range_is_read_and_not_left(value: float) -> None:
    pictures = render(counterfactual(KNOWN, skin=value), SIZE)
    read = fit(KNOWN, pictures, "skin").values
    same(read, torch.full((N,), value), within=1e-3)
    assert float(read.abs().max()) <= 1


def test_what_is_left_of_a_render_is_nothing() -> None:
    assert float(fit(KNOWN, render(counterfactual(KNOWN, smile=0.33), SIZE), "smile").rmse.max()) < 0.01


def test_what_is_left_of_a_noisy_render_is_the_noise() -> None:
    rmse = fit(KNOWN, render(KNOWN, SIZE) + noise(0.05), "smile").rmse
    same(rmse, torch.full((N,), 0.05), within=0.01)


@pytest.mark.parametrize("smile", [-1.0, -0.5, -0.2])
@pytest.mark.parametrize("size", [32, 64])
def test_teeth_pasted_under_a_frown_are_no_smile(smile: float, size: int) -> None:
    frown, grin = counterfactual(KNOWN, smile=smile), counterfactual(KNOWN, smile=1.0)
    teeth = features.teeth(pose(grin), look_at(pose(grin), size))[:, None]
    pasted = torch.lerp(render(frown, size), render(grin, size), teeth)
    same(fit(KNOWN, pasted, "smile").values, frown["smile"], within=0.1)


def test_a_face_does_not_depend_on_those_fitted_with_it() -> None:
    known = sample_attributes(40, torch.Generator().manual_seed(3))
    pictures = render(known, 16) + 0.1
    together = fit(known, pictures, "hair")
    last = fit({name: one[-1:] for name, one in known.items()}, pictures[-1:], "hair")
    same(together.values[-1:], last.values, within=1e-5)


def test_an_attribute_that_cannot_be_seen_has_no_value() -> None:
    read = fit(KNOWN, render(KNOWN, 1), "id_nose")
    hidden = read.values.isnan()
    assert bool(hidden.any())
    assert torch.equal(read.rmse.isnan(), hidden)


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(ValueError, match="attribute 'charm' is not one of smile, "):
        fit(KNOWN, render(KNOWN, 8), "charm")


def test_a_face_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="12 faces were given for 11 pictures"):
        fit(KNOWN, render(KNOWN, 8)[:-1], "smile")
