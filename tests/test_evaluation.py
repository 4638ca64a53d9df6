"""Evaluating directions and folders, with a metric written on the spot."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gauges import values
from toys import basis

from hspace.direction import Direction
from hspace.errors import HspaceError, HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.evaluation import evaluate
from hspace.evaluation.evaluated import Evaluation
from hspace.evaluation.streams import Subject
from hspace.metric import Batch
from hspace.testing import PlantedBackbone

pytestmark = pytest.mark.usefixtures("gauge")


@pytest.fixture(scope="module")
def backbone() -> PlantedBackbone:
    return PlantedBackbone((3, 16, 16), (48, 4, 4))


@pytest.fixture(scope="module")
def direction(backbone: PlantedBackbone) -> Direction:
    return basis(backbone)


def run(backbone: PlantedBackbone, direction: Direction, **more: Any) -> Evaluation:
    asked = {"samples": 5, "steps": 4, "metrics": ["far"], **more}
    return evaluate([direction], backbone=backbone, **asked)


def test_drawn_latents_have_no_originals(backbone: PlantedBackbone, direction: Direction) -> None:
    found = run(backbone, direction)
    assert [row.result.pair for row in found.rows] == ["recon-edit"]
    assert found.pictures == tuple(f"x_T-0-{index:05d}" for index in range(5))


def test_each_picture_has_its_number_by_its_name(backbone: PlantedBackbone, direction: Direction) -> None:
    found = run(backbone, direction, source="greys")
    assert list(found.by_picture("far", pair="orig-edit")) == [f"greys-{index:05d}" for index in range(5)]
    assert {row.result.pair for row in found.rows} == {"orig-edit", "recon-edit", "orig-recon"}


def test_a_picture_does_not_depend_on_its_batch(backbone: PlantedBackbone, direction: Direction) -> None:
    one, other = (values(run(backbone, direction, batch=batch)) for batch in (1, 4))
    assert one == pytest.approx(other, rel=1e-4)


def test_more_pictures_begin_with_the_same(backbone: PlantedBackbone, direction: Direction) -> None:
    assert values(run(backbone, direction, samples=2)) == pytest.approx(values(run(backbone, direction))[:2], rel=1e-4)


def test_another_seed_measures_other_pictures(backbone: PlantedBackbone, direction: Direction) -> None:
    assert values(run(backbone, direction, seed=1)) != values(run(backbone, direction))


def test_strength_0_is_no_edit(backbone: PlantedBackbone, direction: Direction) -> None:
    assert values(run(backbone, direction, strengths=[0.0])) == [0.0] * 5


def test_a_basis_is_taken_apart(backbone: PlantedBackbone) -> None:
    found = run(backbone, basis(backbone, components=2))
    assert [row.direction for row in found.rows] == ["planted/left.test#0", "planted/left.test#1"]


def test_range_is_half_and_all_of_either_side(backbone: PlantedBackbone, direction: Direction) -> None:
    found = run(backbone, direction, strengths="range")
    assert [row.strength for row in found.rows] == [-1, -0.5, 0.5, 1, None]


def test_what_several_strengths_say_together_is_of_no_strength(backbone: PlantedBackbone, direction: Direction) -> None:
    assert run(backbone, direction, strengths=[1, 2]).find("strengths").value == 2


def test_of_several_results_one_must_be_said(backbone: PlantedBackbone, direction: Direction) -> None:
    found = run(backbone, direction, strengths=[1, 2])
    with pytest.raises(UsageError, match="2 results are called 'far'"):
        found.find("far", pair="recon-edit")
    assert found.find("far", pair="recon-edit", strength=1).protocol == "scale 1.0, strength 1"


def test_an_unknown_result_is_answered_with_those_there_are(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(NotFoundError, match="no result is called 'fat recon-edit'; did you mean 'far recon-edit'"):
        run(backbone, direction).find("fat", pair="recon-edit")


def test_a_metric_whose_needs_are_not_met_is_absent_with_its_reason(
    backbone: PlantedBackbone, direction: Direction
) -> None:
    found = run(backbone, direction, metrics=None, encoder="none")
    absent = {one.metric: one.reason for one in found.absent}
    assert set(absent) == {"read", "knows", "seven"}
    assert [row.metric for row in found.rows] == ["far"]
    assert "which is no Metric" in absent["seven"]
    assert "needs prompts, which was not given: give --from and --to" in absent["read"]
    assert "--source toyfaces" in absent["knows"]


def test_a_metric_that_is_asked_for_must_have_what_it_needs(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(UsageError, match="metric 'read' needs prompts, which was not given: give --from and --to"):
        run(backbone, direction, metrics=["read"])


def test_prompts_are_those_given_else_the_directions_own(backbone: PlantedBackbone) -> None:
    own = basis(backbone, prompts=("a", "b"))
    assert "('a', 'b') e" in run(backbone, own, metrics=["read"], encoder="e").rows[0].result.protocol
    given = run(backbone, own, metrics=["read"], encoder="e", prompts=("c", "d"))
    assert "('c', 'd') e" in given.rows[0].result.protocol


def test_the_source_suggests_settings_and_the_user_has_the_last_word(
    backbone: PlantedBackbone, direction: Direction
) -> None:
    assert "scale 2.0" in run(backbone, direction, source="greys").rows[0].result.protocol
    found = run(backbone, direction, source="greys", config={"far": {"scale": 3.0}})
    assert "scale 3.0" in found.rows[0].result.protocol


def test_an_unknown_metric_and_one_named_twice_are_refused(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(NotFoundError, match="no metric is called 'fra'; did you mean 'far'"):
        run(backbone, direction, metrics=["fra"])
    with pytest.raises(UsageError, match="named twice"):
        run(backbone, direction, metrics=["far", "far"])


def test_what_is_no_metric_names_the_plugin(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(HspaceError, match="'seven' of plugin 'gauge' gave 'int', which is no Metric"):
        run(backbone, direction, metrics=["seven"])


def test_a_setting_that_the_metric_does_not_take_is_refused(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(UsageError, match="metric 'far' has no setting 'size'; it takes scale"):
        run(backbone, direction, config={"far": {"size": 3}})


@pytest.mark.parametrize("samples", [0, -3])
def test_no_pictures_are_refused(backbone: PlantedBackbone, direction: Direction, samples: int) -> None:
    with pytest.raises(UsageError, match="samples"):
        run(backbone, direction, samples=samples)


def test_a_strength_given_twice_is_refused(backbone: PlantedBackbone, direction: Direction) -> None:
    with pytest.raises(UsageError, match="given twice"):
        run(backbone, direction, strengths=[1, 1])


def test_an_edit_that_is_not_finite_names_direction_strength_and_picture(
    backbone: PlantedBackbone, direction: Direction
) -> None:
    with pytest.raises(HspaceError, match=r"of planted/left.test at strength 1e\+38 from 'x_T-0-00000' has pixels"):
        run(backbone, direction, strengths=[1e38])


def test_the_watch_sees_every_batch_of_every_subject(backbone: PlantedBackbone, direction: Direction) -> None:
    seen: list[tuple[float | None, int]] = []

    def watch(subject: Subject, batch: Batch) -> None:
        seen.append((subject.strength, len(batch.index)))

    run(backbone, direction, strengths=[1, 2], batch=3, watch=watch)
    assert seen == [(1, 3), (2, 3), (1, 2), (2, 2)]


def test_no_metric_sees_more_than_a_batch(backbone: PlantedBackbone, direction: Direction, updates: list[int]) -> None:
    del updates[:]
    run(backbone, direction, samples=9, batch=2)
    assert max(updates) == 2


def test_a_stopped_run_goes_on_where_it_was(
    backbone: PlantedBackbone, direction: Direction, updates: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hspace.evaluation.streaming.KEEP_EVERY", 0.0)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise RuntimeError("pulled the plug")

    with pytest.raises(RuntimeError, match="plug"):
        run(backbone, direction, batch=2, out=tmp_path, callback=stop)
    del updates[:]
    resumed = run(backbone, direction, batch=2, out=tmp_path)
    assert sum(updates) == 2 * 1  # the fifth picture's reconstruction and edit
    assert values(resumed) == values(run(backbone, direction, batch=2))


def test_other_settings_begin_anew(
    backbone: PlantedBackbone, direction: Direction, updates: list[int], tmp_path: Path
) -> None:
    run(backbone, direction, out=tmp_path)
    del updates[:]
    run(backbone, direction, out=tmp_path, seed=1)
    assert sum(updates) == 10
    run(backbone, direction, out=tmp_path, seed=1)
    assert sum(updates) == 10


def test_a_damaged_state_is_told_and_measured_again(
    backbone: PlantedBackbone, direction: Direction, tmp_path: Path
) -> None:
    known = run(backbone, direction, out=tmp_path)
    (state,) = tmp_path.glob("state-*")
    state.write_bytes(state.read_bytes()[:-3])
    with pytest.warns(HspaceWarning, match="measured again"):
        assert values(run(backbone, direction, out=tmp_path)) == values(known)


def test_the_answer_is_json(backbone: PlantedBackbone, direction: Direction) -> None:
    answer = json.loads(json.dumps(run(backbone, direction, source="greys").answer()))
    (row,) = [one for one in answer["results"] if one["pair"] == "orig-edit"]
    assert set(row["values"]) == set(answer["pictures"])
    assert answer["settings"]["pictures"] == "5 16 px pictures of greys of seed 0, 4 DDIM steps"


def test_pictures_of_a_source_that_are_not_finite_are_refused(
    backbone: PlantedBackbone, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "hspace.evaluation.originals.fitted", lambda images, size: torch.full((1, 3, 16, 16), torch.nan)
    )
    with pytest.raises(RefusedError, match="pixels that are not finite"):
        run(backbone, direction, source="greys")


def test_a_metric_that_fails_is_named(
    backbone: PlantedBackbone, direction: Direction, updates: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hspace.per_picture.PairMetric.measure", lambda self, batch: {"far": 1 / 0})
    with pytest.raises(HspaceError, match="metric 'far' failed on a batch: ZeroDivisionError"):
        run(backbone, direction)
