"""The editing window: the published curves give the published numbers."""

from pathlib import Path

import pytest

from hspace_asyrp.window import t_boost_from_lpips, t_edit_from_lpips, t_edit_from_share

CURVES = Path(__file__).parents[4] / "shared" / "curves"
COSINES = (1.0, 0.97, 0.95, 0.93, 0.90, 0.87, 0.85, 0.80, 0.75, 0.70, 0.65, 0.60, 0.55, 0.50, 0.45, 0.40)
PUBLISHED = {
    "celeba": (538, 533, 526, 520, 514, 507, 503, 489, 476, 459, 440, 421, 396, 366, 327, 281),
    "church": (396, 388, 382, 376, 367, 358, 352, 335, 318, 300, 281, 263, 243, 223, 202, 181),
    "bedroom": (384, 381, 377, 375, 367, 360, 356, 344, 334, 321, 308, 294, 279, 260, 242, 221),
    "afhq": (482, 471, 462, 454, 439, 424, 412, 383, 346, 310, 273, 238, 205, 174, 148, 124),
    "metface": (396, 369, 356, 339, 313, 280, 262, 216, 171, 141, 115, 95, 81, 67, 57, 47),
}
BOOST = {"celeba": 167, "church": 293, "bedroom": 221, "afhq": 167, "metface": 180}

pytestmark = pytest.mark.skipif(not CURVES.is_dir(), reason="the published curves are not here")


def curve(name: str, kind: str) -> tuple[list[int], list[float]]:
    rows = [line.split() for line in (CURVES / f"{name}_LPIPS_distance_{kind}.tsv").read_text().splitlines()]
    return [int(float(row[0])) for row in rows], [float(row[1]) for row in rows]


@pytest.mark.parametrize("name", PUBLISHED)
def test_t_edit_is_the_published_one_at_every_cosine(name: str) -> None:
    found = tuple(t_edit_from_lpips(*curve(name, "x0_t"), cosine) for cosine in COSINES)
    assert found == PUBLISHED[name]


@pytest.mark.parametrize("name", BOOST)
def test_t_boost_is_the_published_one(name: str) -> None:
    assert t_boost_from_lpips(*curve(name, "x")) == BOOST[name]


def test_as_a_share_of_the_whole_distance_celebas_curve_says_the_same() -> None:
    timesteps, distances = curve("celeba", "x0_t")
    for cosine in COSINES:
        by_lpips = t_edit_from_lpips(timesteps, distances, cosine)
        assert abs(t_edit_from_share(timesteps, distances, cosine) - by_lpips) <= 1


def test_a_curve_that_never_gets_so_far_gives_its_last_timestep() -> None:
    assert t_edit_from_lpips([0, 10, 20], [0.0, 0.01, 0.02], 1.0) == 20
