"""The editing window: the published curves give the published numbers."""

from pathlib import Path

import pytest

from hspace_asyrp.window import Curves, t_boost_from_lpips, t_edit_from_lpips, t_edit_from_share

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

published = pytest.mark.skipif(not CURVES.is_dir(), reason="the published curves are not here")


def rows(name: str, kind: str) -> list[list[str]]:
    return [line.split() for line in (CURVES / f"{name}_LPIPS_distance_{kind}.tsv").read_text().splitlines()]


def curves(name: str, lpips: bool = True) -> Curves:
    P_t, x_t = rows(name, "x0_t"), rows(name, "x")
    timesteps = tuple(int(float(row[0])) for row in P_t)
    assert timesteps == tuple(int(float(row[0])) for row in x_t)
    values = (tuple(float(row[1]) for row in kind) for kind in (P_t, x_t))
    return Curves(timesteps, *values, "LPIPS (AlexNet)", lpips, 101)


@published
@pytest.mark.parametrize("name", PUBLISHED)
def test_t_edit_is_the_published_one_at_every_cosine(name: str) -> None:
    assert tuple(curves(name).t_edit(cosine) for cosine in COSINES) == PUBLISHED[name]


@published
@pytest.mark.parametrize("name", BOOST)
def test_t_boost_is_the_published_one(name: str) -> None:
    assert curves(name).t_boost() == BOOST[name]


@published
def test_as_a_share_of_the_whole_distance_celebas_curve_says_the_same() -> None:
    for cosine in COSINES:
        assert abs(curves("celeba", lpips=False).t_edit(cosine) - curves("celeba").t_edit(cosine)) <= 1


@published
def test_between_its_points_a_curve_is_straight() -> None:
    coarse = curves("celeba").at(range(999, -1, -25))
    assert coarse.P_t[0] == curves("celeba").P_t[-1]
    assert [abs(coarse.t_edit(cosine) - t) < 26 for cosine, t in zip(COSINES, PUBLISHED["celeba"], strict=True)]


def test_a_curve_that_never_gets_so_far_gives_its_last_timestep() -> None:
    assert t_edit_from_lpips([0, 10, 20], [0.0, 0.01, 0.02], 1.0) == 20


def test_the_order_of_the_timesteps_does_not_matter() -> None:
    assert t_edit_from_lpips([20, 10, 0], [0.9, 0.4, 0.0], 1.0) == 10
    assert t_edit_from_share([20, 10, 0], [9.0, 4.0, 0.0], 1.0) == 10


def test_where_noise_is_never_seen_nothing_is_boosted() -> None:
    assert t_boost_from_lpips([0, 10, 20], [0.0, 1.0, 1.19]) is None
    assert t_boost_from_lpips([0, 10, 20], [0.0, 1.0, 1.2]) == 20


def test_only_lpips_says_where_to_boost() -> None:
    known = ((20, 10, 0), (0.9, 0.4, 0.0), (1.4, 1.3, 0.0))
    assert Curves(*known, "LPIPS", True, 1).t_boost() == 10
    assert Curves(*known, "another", False, 1).t_boost() is None
    assert Curves(*known, "another", False, 1).thresholds(1.0)[1] is None
