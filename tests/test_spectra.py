"""The spectrum of a basis, from what its finder measured."""

from pathlib import Path

from PIL import Image
from toys import basis, toy

from hspace.direction import Direction
from hspace.discovery import discover
from hspace.meta import Measurement
from hspace.plots import draw_spectra
from hspace.spectra import Spectrum, spectra
from hspace.testing import PlantedBackbone


def measured(name: str, values: dict[int, float]) -> list[Measurement]:
    return [Measurement(name=name, value=value, n=1, protocol="", component=k) for k, value in values.items()]


def found(*metrics: Measurement) -> Direction:
    return basis(toy(), components=2, metrics=metrics)


def test_sigma_and_its_tail_are_read_by_component() -> None:
    told = [*measured("sigma_tail", {3: 0.5, 2: 1.0}), *measured("sigma", {1: 2.0, 0: 4.0})]
    (one,) = spectra([found(*told)])
    assert one == Spectrum("left.test", {0: 4.0, 1: 2.0}, {2: 1.0, 3: 0.5})
    assert list(one.tail) == [2, 3]


def test_a_basis_of_which_nobody_measured_sigma_has_no_spectrum() -> None:
    assert spectra([found(*measured("residual", {0: 1.0, 1: 1.0}))]) == []


def test_a_spectrum_is_drawn_with_and_without_a_tail(tmp_path: Path) -> None:
    sizes = []
    for tail in ({}, {2: 0.5}):
        path = tmp_path / f"{len(tail)}.png"
        draw_spectra([Spectrum("a", {0: 2.0, 1: 1.0}, tail)], path)
        with Image.open(path) as picture:
            sizes.append((picture.size, picture.tobytes()))
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] != sizes[1][1]


def test_discovery_draws_the_spectrum_beside_the_sheet(tmp_path: Path, hspace_home: Path) -> None:
    one = discover(PlantedBackbone(), config={"k": 3}, samples=1, steps=4, out=tmp_path / "out")
    assert one.spectrum == tmp_path / "out" / "planted.local-t666.jacobian-svd.spectrum.png"
    assert one.spectrum.is_file()
    (spectrum,) = spectra(one.directions)
    assert [round(value, 3) for value in spectrum.sigma.values()] == [8.0, 6.6, 5.48]
    assert list(spectrum.tail)[:1] == [3]
    assert spectrum.tail[3] <= 1 + 7 * 0.8**3 + 1e-3


def test_a_find_of_one_direction_has_none(tmp_path: Path, hspace_home: Path) -> None:
    assert discover(PlantedBackbone(), config={"k": 1}, samples=1, steps=4, out=tmp_path).spectrum is None
