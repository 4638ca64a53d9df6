"""The measures of known faces as a metric: known answers, streamed."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from hspace.errors import NotFoundError, UsageError
from hspace.metric import Batch, Result
from hspace.testing import MetricContract
from hspace_toyfaces import measuring
from hspace_toyfaces.attributes import NAMES, Attributes, counterfactual, sample_attributes, to_matrix
from hspace_toyfaces.lines import lines, matched
from hspace_toyfaces.measuring import Edited
from hspace_toyfaces.metric import build
from hspace_toyfaces.regressor import Regressor, load_regressor
from hspace_toyfaces.renderer import render
from hspace_toyfaces.segmenter import LABELS, labels, load
from hspace_toyfaces.target import target_of

N, SIZE, PLANTED = 12, 64, 0.8


class TestToyFaces(MetricContract):
    metric = "toyfaces"
    config: Mapping[str, Any] = {"target": "skin"}


def faces(target: str = "skin") -> Attributes:
    """Faces with room for the planted change."""
    known = sample_attributes(N, torch.Generator().manual_seed(0))
    return known | {target: known[target].clamp(max=1 - PLANTED)}


def batch(known: Attributes, edit: Tensor, rows: slice = slice(None)) -> Batch:
    orig = render(known, SIZE)
    some = {name: values[rows] for name, values in known.items()}
    return Batch(torch.arange(N)[rows], orig[rows], orig[rows], edit[rows], some)


def planted(target: str = "skin") -> Batch:
    """Edits that are the counterfactual itself."""
    known = faces(target)
    return batch(known, render(counterfactual(known) | {target: known[target] + PLANTED}, SIZE))


def measured(one: Batch, **config: Any) -> dict[str, Result]:
    metric = build(**{"target": "skin", **config})
    metric.update(one)
    return {result.name.removeprefix("toyfaces."): result for result in metric.compute()}


def value(found: Mapping[str, Result], name: str) -> float:
    one = found[name].value
    assert one is not None, found[name].reason
    return one


@pytest.mark.parametrize("target", ["skin", "smile"])
def test_an_exact_counterfactual_has_cf_0_its_effect_and_no_entanglement(target: str) -> None:
    found = measured(planted(target), target=target)
    assert value(found, "counterfactual") == pytest.approx(0, abs=0.05)
    assert value(found, "effect") == pytest.approx(PLANTED / measuring.population_sd()[target], abs=0.03)
    assert value(found, "entanglement") < 0.05
    assert value(found, "success") == 1
    assert value(found, "outside") == pytest.approx(0, abs=1e-3)


def test_no_edit_has_cf_1_no_effect_and_an_entanglement_that_is_not_known() -> None:
    known = faces()
    found = measured(batch(known, render(known, SIZE)))
    assert value(found, "counterfactual") == 1
    assert value(found, "effect") == 0
    assert value(found, "success") == 0
    assert found["entanglement"].value is None
    assert found["entanglement"].reason


def test_streamed_in_batches_it_is_what_the_measures_say_of_all_faces_at_once() -> None:
    known = faces("smile")
    edit = render(counterfactual(known) | {"smile": known["smile"] + PLANTED, "age": known["age"] * 0.5}, SIZE)
    metric = build("smile")
    for rows in (slice(0, 5), slice(5, 12)):
        metric.update(batch(known, edit, rows))
    found = {one.name: one.value for one in metric.compute()}
    pictures = Edited(known, render(known, SIZE), edit, "smile")
    changes = measuring.regressor_changes(pictures.recon, edit, load_regressor())
    known_answers = {
        "effect": measuring.effect(pictures),
        "success": measuring.success(pictures),
        "moved": measuring.success(pictures, 1.0),
        "counterfactual": measuring.counterfactual_ratio(pictures),
        "outside": measuring.outside_change(pictures),
        "entanglement": measuring.entanglement(pictures, changes),
        "identity": measuring.identity_change(pictures, changes),
        "regressor-effect": float(changes[:, NAMES.index("smile")].mean()),
        "change.age": float(changes[:, NAMES.index("age")].mean()),
    }
    for name, answer in known_answers.items():
        assert found[f"toyfaces.{name}"] == pytest.approx(answer, rel=1e-4), name


def test_each_face_has_its_own_numbers() -> None:
    found = measured(planted())
    assert set(found["effect"].values) == set(range(N))
    assert set(found["change.age"].values) == set(range(N))
    assert found["change.age"].detail
    assert found["entanglement"].values == {}


def test_the_intervals_hold_the_value() -> None:
    for one in measured(planted()).values():
        if one.value is not None and one.low is not None and one.high is not None:
            assert one.low - 1e-9 <= one.value <= one.high + 1e-9, one.name


def test_a_negative_strength_is_meant_to_do_the_opposite() -> None:
    assert build("skin", strength=-1.0).sign == build("-skin").sign == -1
    assert build("-skin", strength=-1.0).sign == 1
    assert value(measured(planted(), strength=-1.0), "success") == 0


class Oracle(Regressor):
    """A regressor that answers from a list, call by call."""

    def __init__(self, *answers: Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.answers = list(answers)

    def predict(self, images: Tensor) -> Tensor:
        return self.answers.pop(0)


def read_by(before: Attributes, after: Attributes) -> dict[str, Result]:
    """The planted edits, as a regressor sees them that answers so."""
    metric = build("skin")
    metric.regressor = Oracle(to_matrix(before), to_matrix(after))
    metric.update(planted())
    return {result.name.removeprefix("toyfaces."): result for result in metric.compute()}


def test_read_without_error_an_exact_counterfactual_has_entanglement_0() -> None:
    known = faces()
    found = read_by(known, known | {"skin": known["skin"] + PLANTED})
    assert value(found, "entanglement") == 0
    assert value(found, "identity") == 0
    assert "off the fit" not in found["regressor-effect"].protocol


def test_an_instrument_that_disagrees_is_told() -> None:
    assert "more than 30 % off the fit" in read_by(faces(), faces())["regressor-effect"].protocol


@pytest.mark.parametrize(
    ("prompt", "target"),
    [
        ("a face with a beard", ("beard", 1)),
        ("a face with no beard", ("beard", -1)),
        ("a face with black hair", ("hair", -1)),
        ("a face with no grey hair", ("grey", -1)),
        ("a face with long hair", ("length", 1)),
        ("an old face", ("age", 1)),
        ("a smiling face", ("smile", 1)),
        ("a face with glasses", ("glasses", 1)),
        ("a face with dark skin", ("skin", 1)),
    ],
)
def test_the_prompts_say_what_the_edit_is_after(prompt: str, target: tuple[str, int]) -> None:
    assert target_of(("a face", prompt)) == target


def test_what_both_prompts_say_is_not_the_target() -> None:
    assert target_of(("an old face", "an old face with glasses")) == ("glasses", 1)


@pytest.mark.parametrize("prompts", [None, ("a face", "a golden face"), ("a face", "an old face with glasses")])
def test_prompts_that_name_no_attribute_or_several_say_how_to(prompts: tuple[str, str] | None) -> None:
    with pytest.raises(UsageError, match=r"--set toyfaces\.target=smile"):
        build(prompts=prompts)


def test_an_unknown_target_is_answered_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="no attribute is called 'smiles'; did you mean 'smile'"):
        build("-smiles")


NUMBERS = {
    1.0: {"toyfaces.effect": 1.0, "toyfaces.entanglement": 0.1},
    2.0: {"toyfaces.effect": 2.0, "toyfaces.entanglement": 0.3},
    -1.0: {"toyfaces.effect": -0.5, "toyfaces.entanglement": None},
}


def test_the_line_of_each_side_is_its_own() -> None:
    found = {one.name: one for one in lines(NUMBERS, 8, "p")}
    assert found["toyfaces.slope.positive"].value == pytest.approx(1)
    assert found["toyfaces.r2.positive"].value == pytest.approx(1)
    assert found["toyfaces.slope.negative"].value is None
    assert "two negative strengths" in found["toyfaces.slope.negative"].reason


def test_entanglement_is_compared_at_an_effect_of_one_and_a_half_sd() -> None:
    found = {one.name: one for one in matched(NUMBERS, 8, "p")}
    assert found["toyfaces.matched-entanglement.positive"].value == pytest.approx(0.2)
    assert found["toyfaces.matched-entanglement.negative"].value is None


@pytest.mark.parametrize(("effect", "reason"), [(1.2, "the largest is 1.2"), (1.9, "has an effect of 1.9 SD already")])
def test_an_effect_that_is_never_matched_has_no_entanglement_but_a_reason(effect: float, reason: str) -> None:
    (_, positive) = matched({1.0: {"toyfaces.effect": effect, "toyfaces.entanglement": 0.1}}, 8, "p")
    assert positive.value is None
    assert reason in positive.reason


def test_one_strength_has_no_line_and_says_so() -> None:
    metric = build("skin")
    metric.update(planted())
    assert all(one.value is None and one.reason for one in metric.across({0.0: metric.compute()}))


def test_the_labels_are_the_regions_of_the_face() -> None:
    from hspace_toyfaces.regions import region_mask

    known = faces() | {"glasses": torch.ones(N)}
    found = labels(to_matrix(known))
    for name in ("glasses", "hair", "shirt"):
        assert torch.equal(found == LABELS.index(name), region_mask(known, name, 64)[:, 0])


def test_the_segmenter_reads_faces_of_any_size_much_as_they_are() -> None:
    known = faces()
    for size in (32, 64, 128):
        agree = (load("cpu")(render(known, size)) == labels(to_matrix(known))).float().mean()
        assert agree > 0.9


def test_a_changed_face_is_not_the_same_to_the_segmenter() -> None:
    known = faces()
    longer = render(counterfactual(known, length=1.0), 64)
    assert (load("cpu")(longer) == load("cpu")(render(counterfactual(known, length=-1.0), 64))).float().mean() < 0.9
