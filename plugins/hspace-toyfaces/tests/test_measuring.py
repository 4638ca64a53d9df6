"""The measures: known edits are measured as what they are."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hspace_toyfaces import features, measuring
from hspace_toyfaces.attributes import NAMES, Attributes, counterfactual, sample_attributes
from hspace_toyfaces.geometry import look_at, pose
from hspace_toyfaces.measuring import Edited, line
from hspace_toyfaces.regressor import Regressor
from hspace_toyfaces.renderer import render

N, SIZE = 12, 32
PLANTED = 0.6
TARGETS = ["smile", "hair", "glasses", "id_width"]


class Oracle(Regressor):
    """A regressor that answers from a list, call by call."""

    def __init__(self, *answers: Tensor) -> None:
        nn.Module.__init__(self)
        self.answers = list(answers)

    def predict(self, images: Tensor) -> Tensor:
        return self.answers.pop(0)


def known(target: str) -> Attributes:
    """Faces with room for the planted change."""
    faces = sample_attributes(N, torch.Generator().manual_seed(0))
    return faces | {target: faces[target].clamp(max=1 - PLANTED)}


def planted(target: str) -> Edited:
    """Edits that are the counterfactual itself, with the noise of the reconstruction."""
    faces = known(target)
    noise = 0.01 * torch.randn(N, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    changed = counterfactual(faces) | {target: faces[target] + PLANTED}
    return Edited(faces, render(faces, SIZE) + noise, render(changed, SIZE) + noise, target)


def unedited(target: str) -> Edited:
    pictures = planted(target)
    return replace(pictures, edit=pictures.recon.clone())


def pasted() -> Edited:
    """Frowns with the teeth of an open smile pasted under them."""
    frown = counterfactual(known("smile"), smile=-0.8)
    grin = counterfactual(frown, smile=1.0)
    teeth = features.teeth(pose(grin), look_at(pose(grin), SIZE))[:, None]
    return Edited(frown, render(frown, SIZE), torch.lerp(render(frown, SIZE), render(grin, SIZE), teeth), "smile")


def test_the_population_sd_is_that_of_the_laws_the_attributes_follow() -> None:
    sd = measuring.population_sd()
    assert sd["smile"] == pytest.approx(1 / math.sqrt(3), rel=0.01)
    assert sd["glasses"] == pytest.approx(2 * math.sqrt(0.35 * 0.65), rel=0.01)
    assert sd["beard"] == pytest.approx(math.sqrt(0.3 / 3 + 0.7 - (0.3 / 2 - 0.7) ** 2), rel=0.01)


@pytest.mark.parametrize("target", TARGETS)
def test_the_effect_of_the_counterfactual_is_the_planted_change(target: str) -> None:
    effect = measuring.effect(planted(target))
    assert effect == pytest.approx(PLANTED / measuring.population_sd()[target], abs=0.03)


def test_the_counterfactual_succeeds_on_every_face() -> None:
    assert measuring.success(planted("smile")) == 1


@pytest.mark.parametrize("target", TARGETS)
def test_the_counterfactual_is_as_near_the_faces_as_the_reconstruction(target: str) -> None:
    assert measuring.residual(planted(target)) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_counterfactual_is_no_distance_from_itself(target: str) -> None:
    assert measuring.counterfactual_ratio(planted(target)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_counterfactual_changes_nothing_outside(target: str) -> None:
    assert measuring.outside_change(planted(target)) == pytest.approx(0, abs=1e-3)


def test_no_edit_has_no_effect() -> None:
    pictures = unedited("smile")
    assert measuring.effect(pictures) == 0
    assert measuring.success(pictures) == 0


def test_no_edit_is_one_counterfactual_away() -> None:
    assert measuring.counterfactual_ratio(unedited("smile")) == 1


def test_faces_at_the_end_of_the_range_have_no_say_in_the_counterfactual_ratio() -> None:
    pictures = unedited("smile")
    known = counterfactual(pictures.known, smile=torch.tensor([1.0] * 9 + [-1.0] * 3))
    full = replace(pictures, known=known, recon=render(known, SIZE), edit=render(known, SIZE) + 0.01)
    last = replace(full, edit=torch.cat([full.edit[:9], full.recon[9:]]))
    assert measuring.counterfactual_ratio(last) == 1
    assert measuring.counterfactual_ratio(replace(full, known=counterfactual(known, smile=1.0))) is None


def test_a_change_of_all_but_the_target_has_no_counterfactual() -> None:
    pictures = planted("smile")
    moved = render(counterfactual(pictures.known, shirt=1.0), SIZE) - render(pictures.known, SIZE)
    assert measuring.counterfactual_ratio(replace(pictures, edit=pictures.recon + moved)) is None


def test_teeth_pasted_under_a_frown_have_no_effect() -> None:
    assert measuring.effect(pasted()) == pytest.approx(0, abs=0.1)
    assert measuring.success(pasted()) == 0


def test_teeth_pasted_under_a_frown_leave_the_faces() -> None:
    residual = measuring.residual(pasted())
    assert residual is not None
    assert residual > 5


def test_success_is_counted_the_way_the_edit_was_meant() -> None:
    assert measuring.success(replace(planted("skin"), sign=-1)) == 0


def test_success_counts_only_faces_with_room() -> None:
    pictures = planted("smile")
    full = counterfactual(pictures.known, smile=torch.tensor([-1.0] * 6 + [1.0] * 6))
    moved = counterfactual(pictures.known, smile=torch.tensor([0.0] * 6 + [1.0] * 6))
    edited = replace(pictures, known=full, recon=render(full, SIZE), edit=render(moved, SIZE))
    assert measuring.success(edited) == 1


def test_a_change_outside_is_measured_as_a_share_of_the_range() -> None:
    pictures = planted("smile")
    assert measuring.outside_change(replace(pictures, edit=pictures.recon + 0.2)) == pytest.approx(0.1, abs=1e-4)


def test_an_attribute_that_changes_every_pixel_has_no_outside() -> None:
    pictures = Edited(known("bg"), torch.zeros(N, 3, 2, 2), torch.ones(N, 3, 2, 2), "bg")
    assert measuring.outside_change(pictures) is None


def test_the_regressor_s_changes_are_in_sd() -> None:
    before, after = torch.zeros(N, len(NAMES)), torch.ones(N, len(NAMES))
    pictures = torch.zeros(N, 3, SIZE, SIZE)
    changes = measuring.regressor_changes(pictures, pictures, Oracle(before, after))
    assert float(changes[0, NAMES.index("smile")]) == pytest.approx(1 / measuring.population_sd()["smile"])


def test_entanglement_is_the_others_share_of_the_effect() -> None:
    pictures = planted("smile")
    changes = torch.full((N, len(NAMES)), -0.1)
    changes[:, NAMES.index("smile")] = 9.0
    effect = measuring.effect(pictures)
    assert effect is not None
    assert measuring.entanglement(pictures, changes) == pytest.approx(0.1 / effect)


def test_entanglement_of_no_edit_is_unknown() -> None:
    assert measuring.entanglement(unedited("smile"), torch.zeros(N, len(NAMES))) is None


def test_identity_leaves_the_target_out() -> None:
    changes = torch.zeros(N, len(NAMES))
    changes[:, NAMES.index("id_nose")] = 4.0
    changes[:, NAMES.index("id_width")] = 9.0
    assert measuring.identity_change(planted("id_width"), changes) == pytest.approx(1)


def test_a_straight_effect_has_r2_1_and_its_slope() -> None:
    straight = line({1.0: 0.5, 2.0: 1.0, -1.0: 7.0}, sign=1)
    assert straight is not None
    assert straight.slope == pytest.approx(0.5)
    assert straight.r2 == pytest.approx(1)


def test_the_two_sides_have_lines_of_their_own() -> None:
    effects: dict[float, float | None] = {-2.0: -0.2, -1.0: -0.1, 1.0: 1.0, 2.0: 2.0}
    sides = [line(effects, sign) for sign in (-1, 1)]
    assert [side and side.slope for side in sides] == pytest.approx([0.1, 1.0])


@pytest.mark.parametrize("effects", [{1.0: 0.5}, {1.0: 0.0, 2.0: 0.0}, {1.0: 0.5, 2.0: None}])
def test_too_little_to_tell_has_no_line(effects: dict[float, float | None]) -> None:
    assert line(effects, sign=1) is None
