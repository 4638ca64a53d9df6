"""The list of the published files, their recipes, and the window from the published curves."""

from pathlib import Path

import pytest

from hspace.direction_recipe import read_direction_recipe
from hspace.errors import NotFoundError, UsageError
from hspace_asyrp.curves import curves, t_edit, timesteps
from hspace_asyrp.official import HOMES, listing

SHARED = Path(__file__).parents[4] / "shared"
SUMS = SHARED / "official-directions" / "SHA256SUMS"
NAMES = sorted(listing().directions)
TABLE_1 = {
    "angry": 512, "curly_hair": 499, "frida": 321, "man": 513, "modigliani": 403, "neanderthal": 490, "nicolas": 461,
    "pixar": 446, "sad": 513, "smiling": 513, "tanned": 512, "woman": 513, "young": 515,
}  # fmt: skip
COSINES = (1.0, 0.97, 0.95, 0.93, 0.90, 0.87, 0.85, 0.80, 0.75, 0.70, 0.65, 0.60, 0.55, 0.50, 0.45, 0.40)
T_EDIT = {
    "celeba": (538, 533, 526, 520, 514, 507, 503, 489, 476, 459, 440, 421, 396, 366, 327, 281),
    "church": (396, 388, 382, 376, 367, 358, 352, 335, 318, 300, 281, 263, 243, 223, 202, 181),
    "bedroom": (384, 381, 377, 375, 367, 360, 356, 344, 334, 321, 308, 294, 279, 260, 242, 221),
    "afhq": (482, 471, 462, 454, 439, 424, 412, 383, 346, 310, 273, 238, 205, 174, 148, 124),
    "metface": (396, 369, 356, 339, 313, 280, 262, 216, 171, 141, 115, 95, 81, 67, 57, 47),
}


@pytest.mark.parametrize("curve", T_EDIT)
def test_a_published_curve_gives_the_known_window_at_every_cosine(curve: str) -> None:
    assert tuple(t_edit(curve, cosine) for cosine in COSINES) == T_EDIT[curve]


@pytest.mark.parametrize("curve", T_EDIT)
def test_the_curves_are_the_published_ones(curve: str) -> None:
    path = SHARED / "curves" / f"{curve}_LPIPS_distance_x0_t.tsv"
    if not path.is_file():
        pytest.skip("the published curves are not beside this checkout")
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    assert [int(t) for t, _ in rows] == timesteps()
    assert [float(value) for _, value in rows] == pytest.approx(curves()[curve], abs=1e-6)


def test_a_curve_or_cosine_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFoundError, match="no published curve is called 'celebs'; did you mean 'celeba'"):
        t_edit("celebs", 0.9)
    with pytest.raises(UsageError, match="above 0 and at most 1; 0 was given"):
        t_edit("celeba", 0)


def test_the_list_has_the_35_files_with_their_sha256() -> None:
    assert len(NAMES) == 35
    if not SUMS.is_file():
        pytest.skip("the published sums are not beside this checkout")
    sums = {name: digest for digest, name in (line.split() for line in SUMS.read_text().splitlines())}
    assert {one.file: one.sha256 for one in listing().directions.values()} == sums


def test_t_edit_is_there_where_it_was_published_and_nowhere_else() -> None:
    known = {name: one.facts["t_edit"] for name, one in listing().directions.items() if "t_edit" in one.facts}
    assert known == {**TABLE_1, "random_noise_man": 513, "random_noise_woman": 513}


def test_t_boost_and_backbone_are_those_of_the_data() -> None:
    boosts = {
        "sdedit-celebahq": 167,
        "sdedit-bedroom": 221,
        "sdedit-church": 293,
        "ilvr-afhq-dog": 167,
        "p2-metface": 180,
    }
    assert {one.backbone: one.facts["t_boost"] for one in listing().directions.values()} == boosts
    assert set(HOMES.values()) == set(boosts)


@pytest.mark.parametrize("name", NAMES)
def test_every_published_direction_has_a_recipe_that_says_the_same(name: str) -> None:
    recipe, one = read_direction_recipe(name), listing().directions[name]
    assert recipe.published == f"asyrp-official/{name}"
    assert (recipe.name, recipe.backbone, recipe.prompts) == (name, one.backbone, one.prompts)
    assert recipe.steps == 40
    names = {
        "t_edit": "t_edit", "t_boost": "t_boost", "clip": "lambda_clip", "rate": "learning_rate",
        "decay": "decay", "decay_every": "decay_every",
    }  # fmt: skip
    assert {key: recipe.settings.get(key) for key in names} == {key: one.facts.get(at) for key, at in names.items()}
    assert recipe.settings["head_config"] == {"form": one.facts["form"]}
    assert recipe.settings["fidelity"] == "official"


def test_neanderthal_alone_has_another_clip_weight() -> None:
    weights = {name: read_direction_recipe(name).settings["clip"] for name in TABLE_1}
    assert {name for name, weight in weights.items() if weight != 0.8} == {"neanderthal"}
    assert weights["neanderthal"] == 1.2
