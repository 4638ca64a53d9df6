"""Names for directions, on a linear backbone whose pictures a known shift of h makes brighter."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace import Backbone, Direction
from hspace.errors import HspaceError, NotFoundError, UsageError
from hspace.labeller import Labeller, build_labeller
from hspace.labelling import Label, Labelling, label, record
from hspace.meta import Scope, Strength
from hspace.sampling import latents
from hspace.testing import PlantedBackbone

LOOK = {"n": 2, "steps": 4}


class Colours(Labeller):
    """Sees brightness, redness and what is on the left."""

    names = ("bright", "red", "left")
    unit = "means of pixels"
    least: float | None = None

    def latents(self, backbone: Backbone, n: int, seed: int, steps: int) -> tuple[Tensor, str]:
        return 0.1 * latents(backbone, n, seed), f"{n} grey pictures"  # far from the ends of the range

    def scores(self, plain: Tensor, edited: Tensor) -> Tensor:
        change = edited - plain
        bright, red = change.mean((1, 2, 3)), change[:, 0].mean((1, 2)) - change[:, 1:].mean((1, 2, 3))
        half = change.shape[-1] // 2
        return torch.stack([bright, red, (change[..., :half] - change[..., half:]).mean((1, 2, 3))], dim=1)


class Sure(Colours):
    least = 0.05


@pytest.fixture(scope="module")
def backbone() -> PlantedBackbone:
    return PlantedBackbone()


def painted(backbone: PlantedBackbone, *pictures: Tensor, length: float = 0.01, **meta: object) -> Direction:
    """A basis whose shifts of h add these pictures (3, 8, 8) to every P_t, up to a factor."""
    shifts = torch.stack([(backbone.E @ one.flatten()).reshape(32, 4, 4) for one in pictures])
    described = {"strength": Strength(min=-1, max=2), "steps": 4, "t_edit": 0, **meta}
    return Direction.bind(
        backbone, what="painted", finder="test", head="table",
        config={"timesteps": [0], "components": len(pictures)} if len(pictures) > 1 else {"timesteps": [0]},
        weights={"vectors": -length * shifts[:, None]}, scope=Scope(kind="global"), **described,
    )  # fmt: skip


WHITE = torch.ones(3, 8, 8)
RED = torch.tensor([1.0, -0.5, -0.5])[:, None, None] * WHITE


def test_each_side_of_each_component_is_named_by_what_it_does(backbone: PlantedBackbone) -> None:
    found = label(backbone, [painted(backbone, WHITE, RED)], Colours(), **LOOK)
    assert [(one.direction[-2:], one.strength, one.text) for one in found.labels] == [
        ("#0", -2, "-bright"),
        ("#0", 2, "+bright"),
        ("#1", -2, "-red"),
        ("#1", 2, "+red"),
    ]
    assert all(one.selectivity is not None and one.selectivity > 0.99 for one in found.labels)


def test_the_score_is_the_mean_and_z_counts_the_spread_of_all_names(backbone: PlantedBackbone) -> None:
    (low, high) = label(backbone, [painted(backbone, WHITE)], Colours(), strength=0.5, **LOOK).labels
    assert (low.strength, high.strength) == (-0.5, 0.5)
    assert high.score == pytest.approx(-low.score, rel=1e-3)
    assert high.z == pytest.approx(2**0.5, rel=1e-3)  # of (s, 0, 0): (s - s/3) / (s sqrt(2) / 3)


def test_where_random_directions_tell_nothing_holds_that_they_reach(backbone: PlantedBackbone) -> None:
    found = label(backbone, [painted(backbone, WHITE)], Colours(), controls=3, **LOOK)
    assert found.measured
    assert len(found.random) == 6
    largest = max(abs(one.score) for one in found.random)
    assert largest < found.threshold <= largest * (1 + 1e-6)
    assert (found.hits(), found.random_hits()) == (("bright",), ())


def test_a_direction_that_does_no_more_than_random_ones_is_unnamed(backbone: PlantedBackbone) -> None:
    loud = painted(backbone, WHITE)
    quiet = painted(backbone, WHITE, length=1e-4, strength=Strength(min=-1, max=1))
    found = label(backbone, [loud, quiet], Colours(), **LOOK)
    assert [one.text for one in found.labels] == ["-bright", "+bright", "unnamed", "unnamed"]


def test_random_directions_are_as_long_as_those_they_stand_beside(backbone: PlantedBackbone) -> None:
    def largest(length: float) -> float:
        found = label(backbone, [painted(backbone, WHITE, length=length)], Colours(), controls=2, **LOOK)
        return max(abs(one.score) for one in found.random)

    assert largest(0.0) == 0
    assert largest(0.002) == pytest.approx(2 * largest(0.001), rel=0.01)


def test_a_labeller_with_a_threshold_of_its_own_keeps_it(backbone: PlantedBackbone) -> None:
    found = label(backbone, [painted(backbone, WHITE, RED)], Sure(), **LOOK)
    assert (found.threshold, found.measured, len(found.random)) == (0.05, False, 4)
    assert [one.named for one in found.labels] == [abs(one.score) >= 0.05 for one in found.labels]


def test_the_seed_fixes_everything(backbone: PlantedBackbone) -> None:
    def found(seed: int) -> Labelling:
        return label(backbone, [painted(backbone, WHITE)], Colours(), seed=seed, controls=1, **LOOK)

    assert found(1) == found(1)
    assert found(1).random != found(2).random


def test_the_protocol_says_what_was_done(backbone: PlantedBackbone) -> None:
    found = label(backbone, [painted(backbone, WHITE)], Sure(), controls=0, **LOOK)
    told = "2 grey pictures; sampled in 4 steps; scores are means of pixels, the mean over the pictures"
    assert found.protocol == told


def test_progress_counts_directions_and_controls(backbone: PlantedBackbone) -> None:
    seen: list[tuple[int, int]] = []
    label(
        backbone, [painted(backbone, WHITE, RED)], Sure(), controls=1, callback=lambda *done: seen.append(done), **LOOK
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def side(name: str, direction: str = "b/x.y#0", strength: float = 1.0, score: float = 1.0, **more: object) -> Label:
    values = {"selectivity": 0.5, "z": None, "named": True, **more}
    return Label(direction, strength, name, score, **values)  # type: ignore[arg-type]


def labelling(*labels: Label) -> Labelling:
    return Labelling(labels, (), 0.5, False, "")


def test_a_hit_is_a_name_whatever_its_sign_and_counted_once() -> None:
    found = labelling(side("hair"), side("hair", score=-1.0), side("skin"), side("age", named=False))
    assert found.hits() == ("hair", "skin")


def test_hits_are_of_the_first_directions_both_signs() -> None:
    found = labelling(*(side(f"name {index}") for index in range(8)))
    assert found.hits(k=2) == ("name 0", "name 1", "name 2", "name 3")


def test_hits_may_be_asked_to_be_selective() -> None:
    found = labelling(side("hair", selectivity=0.29), side("skin", selectivity=0.3), side("age", selectivity=None))
    assert found.hits(selectivity=0.3) == ("skin",)


def test_names_that_hold_are_written_into_the_direction_in_place_of_older_ones(
    backbone: PlantedBackbone, tmp_path: Path
) -> None:
    direction = painted(backbone, WHITE, RED).save(tmp_path)
    ids = [f"{direction.id}#{k}" for k in range(2)]
    sides = [side("hair", ids[0], -1.0, -1.25), side("skin", ids[0], 1.0), side("age", ids[1], named=False)]
    record(str(tmp_path), direction, labelling(*sides))
    assert Direction.load(tmp_path).meta.labels == ("#0- -hair -1.25", "#0+ +skin 1")
    again = [side("hair", ids[0], -1.0, named=False), side("beard", ids[1])]
    record(str(tmp_path), Direction.load(tmp_path), labelling(*again))
    assert Direction.load(tmp_path).meta.labels == ("#0+ +skin 1", "#1+ +beard 1")


def test_the_label_of_a_single_direction_has_no_component(backbone: PlantedBackbone, tmp_path: Path) -> None:
    direction = painted(backbone, WHITE).save(tmp_path)
    record(str(tmp_path), direction, labelling(side("hair", direction.id)))
    assert Direction.load(tmp_path).meta.labels == ("+ +hair 1",)


@pytest.mark.parametrize("strength", [0.0, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(backbone: PlantedBackbone, strength: float) -> None:
    with pytest.raises(UsageError, match="a finite number other than 0"):
        label(backbone, [painted(backbone, WHITE)], Sure(), strength=strength, **LOOK)


def test_a_labeller_without_a_threshold_needs_random_directions(backbone: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="mean nothing without random directions beside them"):
        label(backbone, [painted(backbone, WHITE)], Colours(), controls=0, **LOOK)


def test_a_direction_of_no_strength_is_refused(backbone: PlantedBackbone) -> None:
    with pytest.raises(HspaceError, match="looked at with no strength but 0"):
        label(backbone, [painted(backbone, WHITE, strength=Strength(min=0, max=0))], Sure(), **LOOK)


def test_an_unknown_labeller_is_answered_with_the_near_ones() -> None:
    with pytest.raises(NotFoundError, match="no labeller is called 'attribute'; did you mean 'attributes'"):
        build_labeller("attribute", {})


def test_a_setting_that_a_labeller_needs_is_asked_for() -> None:
    with pytest.raises(UsageError, match="labeller 'prompts' needs prompts, which was not given"):
        build_labeller("prompts", {})


def test_a_setting_that_a_labeller_does_not_take_is_named() -> None:
    with pytest.raises(UsageError, match="labeller 'attributes' has no setting 'prompts'"):
        build_labeller("attributes", {"prompts": "a face"})
