"""A backbone's own curves: known where the backbone is linear, kept, and read by whoever asks next."""

from collections.abc import Callable
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.cost import Counted, Passes
from hspace.sampling import latents
from hspace.schedule import alpha_at, generation
from hspace.testing import PlantedBackbone
from hspace_asyrp.distance import Distance, EncoderDistance
from hspace_asyrp.finder import build
from hspace_asyrp.measured import PICTURES, curves_before, curves_of, measure
from hspace_asyrp.window import Window
from hspace_asyrp.windowing import window_of

from .colours import STEPS, Colours, task

pytestmark = pytest.mark.usefixtures("hspace_home")


class Pixels(Distance):
    """The mean absolute difference; `lpips` as it is asked for."""

    name = "pixels"

    def __init__(self, factor: float = 1.0, lpips: bool = False) -> None:
        self.factor, self.lpips = factor, lpips
        self.digest = f"pixels {factor} {lpips}"

    def measured_from(self, x_0: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: self.factor * (x - x_0).abs().mean(dim=(1, 2, 3))


def test_on_a_linear_backbone_the_curves_are_those_of_the_closed_form() -> None:
    backbone = PlantedBackbone(dtype=torch.float64)
    x_T = latents(backbone, 5, 0)
    curves = measure(backbone, Pixels(), x_T, STEPS, batch=2)
    lengths = [1.0]  # x_t = length x_T, since eps = sqrt(1 - a) x_t
    pairs = generation("asyrp", STEPS, 1000)
    alphas = [(alpha_at(backbone.alphas_cumprod, t), alpha_at(backbone.alphas_cumprod, n)) for t, n in pairs]
    for a, a_next in alphas:
        lengths.append(lengths[-1] * (sqrt(a_next * a) + sqrt((1 - a_next) * (1 - a))))
    unit, x_0 = float(x_T.abs().mean()), lengths.pop()
    assert curves.timesteps == tuple(t for t, _ in pairs)
    assert curves.x_t == pytest.approx([unit * abs(length - x_0) for length in lengths], rel=1e-4)
    P_t = [unit * abs(sqrt(a) * length - x_0) for (a, _), length in zip(alphas, lengths, strict=True)]
    assert curves.P_t == pytest.approx(P_t, rel=1e-4, abs=1e-9)
    assert (curves.pictures, curves.distance) == (5, "pixels")


def test_curves_are_measured_once_for_a_distance_and_the_first_latents() -> None:
    counted = Counted(PlantedBackbone())
    x_T = latents(counted, PICTURES + 3, 0)
    first = curves_of(counted, Pixels(), x_T, STEPS)
    assert first.pictures == PICTURES
    asked = counted.passes
    assert curves_of(counted, Pixels(), x_T[:PICTURES], STEPS) == first
    assert counted.passes == asked
    assert curves_before(counted, Pixels(2.0), x_T, STEPS) is None
    assert curves_before(counted, Pixels(), x_T[1:], STEPS) is None
    assert curves_before(counted, Pixels(), x_T, STEPS + 1) is None


@pytest.mark.parametrize("content", ["{", "[]", '{"timesteps": [], "P_t": [], "x_t": []}'])
def test_damaged_curves_are_measured_again(tmp_path: Path, content: str) -> None:
    backbone = PlantedBackbone()
    x_T = latents(backbone, 2, 0)
    first = curves_of(backbone, Pixels(), x_T, STEPS)
    (kept,) = (tmp_path / "hspace-cache" / "curves").iterdir()
    kept.write_text(content)
    assert curves_of(backbone, Pixels(), x_T, STEPS) == first
    assert curves_before(backbone, Pixels(), x_T, STEPS) == first


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "file"))
    backbone = PlantedBackbone()
    assert curves_of(backbone, Pixels(), latents(backbone, 2, 0), STEPS).pictures == 2


def test_the_finder_reads_the_curves_that_were_measured_before(colours: Colours) -> None:
    counted = Counted(PlantedBackbone())
    asked = task(colours, counted)
    curves = curves_of(counted, EncoderDistance(colours), asked.x_T, asked.steps)
    counted.passes = Passes()  # grey and red are 45 degrees apart
    assert window_of(build(fidelity="paper"), counted, asked, None) == Window(curves.t_edit(sqrt(0.5)), None)
    assert counted.passes == Passes()


def test_both_ends_of_the_window_given_nothing_is_measured(colours: Colours) -> None:
    counted = Counted(PlantedBackbone())
    assert window_of(build(fidelity="paper", t_edit=400, t_boost=100), counted, task(colours, counted), None) == Window(
        400, 100
    )
    assert window_of(build(fidelity="paper", t_edit=400, t_boost=0), counted, task(colours, counted), None) == Window(
        400, None
    )
    assert counted.passes == Passes()


def test_t_boost_is_where_lpips_says(colours: Colours, monkeypatch: pytest.MonkeyPatch) -> None:
    from hspace_asyrp import windowing

    backbone = PlantedBackbone()
    asked = task(colours, backbone)
    far = Pixels(10.0, lpips=True)
    monkeypatch.setattr(windowing, "perceptual_distance", lambda *_: far)
    curves = curves_of(backbone, far, asked.x_T, asked.steps)
    assert curves.t_boost() is not None
    assert window_of(build(fidelity="paper", t_edit=400), backbone, asked, None) == Window(400, curves.t_boost())
    assert window_of(build(fidelity="paper", t_edit=400, t_boost=0), backbone, asked, None) == Window(400, None)
