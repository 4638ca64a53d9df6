"""The attributes of toy faces."""

import pytest
import torch

from hspace_toyfaces.attributes import (
    ATTRIBUTES,
    NAMES,
    Fixed,
    counterfactual,
    from_matrix,
    sample_attributes,
    to_matrix,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_attribute_has_the_same_room_on_both_sides() -> None:
    assert {(a.low, a.high) for a in ATTRIBUTES.values()} == {(-1.0, 1.0)}


@pytest.mark.parametrize("name", NAMES)
def test_samples_reach_both_sides_of_the_middle_and_stay_in_range(name: str) -> None:
    values = sample_attributes(1000, seeded())[name]
    assert values.min() < -0.9
    assert values.max() > 0.9
    assert values.abs().max() <= 1


def test_the_same_seed_draws_the_same_faces() -> None:
    first, second = sample_attributes(50, seeded(3)), sample_attributes(50, seeded(3))
    assert all(torch.equal(first[name], second[name]) for name in NAMES)


@pytest.mark.parametrize("fixed", [0.5, (-1.0, 0.0)])
@pytest.mark.parametrize("name", ["smile", "glasses", "id_brow"])
def test_fixing_one_attribute_leaves_the_draws_of_the_others(name: str, fixed: Fixed) -> None:
    free, held = sample_attributes(50, seeded()), sample_attributes(50, seeded(), "cpu", **{name: fixed})
    assert [other for other in NAMES if not torch.equal(free[other], held[other])] == [name]


@pytest.mark.parametrize("name", ["skin", "glasses", "beard"])
def test_a_skew_sets_the_share_above_0_and_leaves_the_draws_of_the_others(name: str) -> None:
    usual, skewed = sample_attributes(20_000, seeded()), sample_attributes(20_000, seeded(), skew={name: 0.03})
    assert (skewed[name] > 0).float().mean().item() == pytest.approx(0.03, abs=0.005)
    assert [other for other in NAMES if not torch.equal(usual[other], skewed[other])] == [name]


def test_a_skewed_attribute_is_uniform_on_either_side() -> None:
    skin = sample_attributes(20_000, seeded(), skew={"skin": 0.1})["skin"]
    assert skin[skin > 0].mean().item() == pytest.approx(0.5, abs=0.05)
    assert skin[skin < 0].mean().item() == pytest.approx(-0.5, abs=0.02)


def test_a_number_holds_an_attribute() -> None:
    assert sample_attributes(20, seeded(), skin=0.25)["skin"].tolist() == [0.25] * 20


def test_a_pair_bounds_an_attribute() -> None:
    skin = sample_attributes(1000, seeded(), skin=(0.5, 0.9))["skin"]
    assert 0.5 <= skin.min() < 0.52
    assert 0.88 < skin.max() <= 0.9


@pytest.mark.parametrize(("name", "share"), [("glasses", 0.35), ("beard", 0.30), ("grey", 0.30)])
def test_some_attributes_are_mostly_absent(name: str, share: float) -> None:
    values = sample_attributes(20_000, seeded())[name]
    assert (values > -1).float().mean().item() == pytest.approx(share, abs=0.01)


def test_glasses_are_on_or_off() -> None:
    assert set(sample_attributes(100, seeded())["glasses"].tolist()) == {-1.0, 1.0}


def test_the_matrix_has_a_column_per_name() -> None:
    faces = sample_attributes(7, seeded())
    assert torch.equal(to_matrix(faces)[:, NAMES.index("yaw")], faces["yaw"])


def test_a_matrix_returns_to_attributes() -> None:
    faces = sample_attributes(7, seeded())
    again = from_matrix(to_matrix(faces))
    assert tuple(again) == NAMES
    assert all(torch.equal(again[name], faces[name]) for name in NAMES)


def test_a_counterfactual_changes_what_was_asked_alone() -> None:
    faces = sample_attributes(7, seeded())
    changed = counterfactual(faces, smile=1.0)
    assert changed["smile"].tolist() == [1.0] * 7
    assert all(changed[name] is faces[name] for name in NAMES if name != "smile")


def test_a_counterfactual_takes_a_value_per_face() -> None:
    values = torch.linspace(-1, 1, 7)
    assert torch.equal(counterfactual(sample_attributes(7, seeded()), smile=values)["smile"], values)


def test_an_unknown_attribute_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"attribute 'simle' is not one of smile, skin, .* Use one of these"):
        sample_attributes(1, simle=0.5)
    with pytest.raises(ValueError, match="attribute 'simle' is not one of"):
        counterfactual(sample_attributes(1), simle=0.5)


@pytest.mark.parametrize("wanted", [1.5, (-2.0, 0.0), (0.5, -0.5)])
def test_a_number_out_of_range_is_refused(wanted: Fixed) -> None:
    with pytest.raises(ValueError, match=r"'smile' was asked to be .*; it runs from -1 to 1\. Give"):
        sample_attributes(1, smile=wanted)
