"""Evaluating directions and folders, with a metric written on the spot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import basis

from hspace.direction import Direction
from hspace.errors import HspaceError, HspaceWarning, NotFoundError, RefusedError, UsageError
from hspace.evaluation import evaluate, evaluate_folders
from hspace.evaluation.evaluated import Evaluation
from hspace.evaluation.streams import Folders, Subject
from hspace.metric import Batch
from hspace.plugins import Plugins
from hspace.testing import PlantedBackbone

PLUGIN = """
import hspace

@hspace.hookimpl
def hspace_metrics():
    return [
        hspace.Card("far", "gauge:far", "the mean absolute difference"),
        hspace.Card("read", "gauge:read", "a metric that reads", needs=("prompts", "encoder")),
        hspace.Card("knows", "gauge:far", "a metric that knows", needs=("attributes",)),
        hspace.Card("seven", "gauge:seven", "no metric at all"),
    ]

@hspace.hookimpl
def hspace_sources():
    return [hspace.Card("greys", "gauge:greys", "evenly grey", facts={"metrics": {"far": {"scale": 2.0, "odd": 1}}})]

updates = []

def far(scale: float = 1.0, strength=None, seed=0):
    from hspace.metric import Result
    from hspace.per_picture import PairMetric

    class Far(PairMetric):
        protocol = f"scale {scale}, strength {strength}"

        def look(self, images):
            updates.append(len(images))
            return images

        def compare(self, one, other):
            return {"far": scale * (one - other).abs().mean(dim=(1, 2, 3))}

        def across(self, results):
            return [Result("strengths", float(len(results)), 0, "how many")] if len(results) > 1 else []

    return Far(seed)

def read(prompts, encoder, seed):
    metric = far(seed=seed)
    metric.protocol = f"{prompts} {encoder}"
    return metric

def seven():
    return 7

def greys(size=8, seed=0):
    import torch

    class Greys:
        def images(self, n):
            return torch.linspace(-0.5, 0.5, n)[:, None, None, None].expand(n, 3, size, size).clone()

    return Greys()
"""


@pytest.fixture(autouse=True)
def gauge(write_plugin: Callable[[str, str], Plugins], hspace_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-metrics,hspace-toyfaces")
    write_plugin("gauge", PLUGIN)


@pytest.fixture
def updates() -> list[int]:
    """How many pictures were looked at, call by call."""
    import sys

    from hspace.plugins import plugins

    plugins().find("metrics", "far").load()
    seen: list[int] = sys.modules["gauge"].updates
    return seen


@pytest.fixture(scope="module")
def backbone() -> PlantedBackbone:
    return PlantedBackbone((3, 16, 16), (48, 4, 4))


@pytest.fixture(scope="module")
def direction(backbone: PlantedBackbone) -> Direction:
    return basis(backbone)


def run(backbone: PlantedBackbone, direction: Direction, **more: Any) -> Evaluation:
    asked = {"samples": 5, "steps": 4, "metrics": ["far"], **more}
    return evaluate([direction], backbone=backbone, **asked)


def values(found: Evaluation, pair: str = "recon-edit", **which: Any) -> list[float]:
    return list(found.by_picture("far", pair=pair, **which).values())


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


class TestFolders:
    """Pictures that are there already."""

    @pytest.fixture
    def folders(self, tmp_path: Path) -> Folders:
        """Six smooth pictures, and the same a little brighter."""
        for name, shift in (("orig", 0), ("edit", 8)):
            (tmp_path / name).mkdir()
            for index in range(6):
                self.picture(index, shift).save(tmp_path / name / f"{index}.png")
        return Folders(orig=tmp_path / "orig", edit=tmp_path / "edit")

    @staticmethod
    def picture(seed: int, shift: int = 0) -> Image.Image:
        coarse = torch.randint(0, 200, (3, 4, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        return Image.fromarray((coarse + shift).numpy()).resize((24, 20), Image.Resampling.BICUBIC)

    def test_pictures_belong_together_by_name(self, folders: Folders) -> None:
        found = evaluate_folders(folders, metrics=["far"])
        assert found.pictures == tuple("012345")
        assert values(found, "orig-edit") == pytest.approx([16 / 255] * 6, rel=0.05)

    def test_the_suffix_is_no_part_of_the_name(self, folders: Folders) -> None:
        assert folders.edit is not None
        for path in folders.edit.iterdir():
            Image.open(path).save(path.with_suffix(".webp"), lossless=True)
            path.unlink()
        assert len(values(evaluate_folders(folders, metrics=["far"]), "orig-edit")) == 6

    def test_a_picture_that_another_folder_lacks_is_told(self, folders: Folders) -> None:
        assert folders.edit is not None
        (folders.edit / "3.png").unlink()
        with pytest.raises(UsageError, match=r"edit has 5 pictures, and none called '3', which another folder has"):
            evaluate_folders(folders, metrics=["far"])

    def test_two_pictures_of_one_name_are_told(self, folders: Folders) -> None:
        assert folders.edit is not None
        self.picture(0).save(folders.edit / "3.jpg")
        with pytest.raises(UsageError, match="1 names are of more than one picture, such as '3'"):
            evaluate_folders(folders, metrics=["far"])

    def test_one_folder_is_not_enough(self, folders: Folders) -> None:
        with pytest.raises(UsageError, match="give two of --orig, --recon and --edit"):
            evaluate_folders(Folders(orig=folders.orig), metrics=["far"])

    @pytest.mark.parametrize("where", ["orig", "edit"])
    def test_other_sizes_need_a_size(self, folders: Folders, where: str) -> None:
        path = folders.given()[where] / "3.png"
        self.picture(3).resize((48, 40)).save(path)
        with pytest.raises(UsageError, match=r"is 24x20, .* is 48x40; resize all of them with --size N"):
            evaluate_folders(folders, metrics=["far"])
        assert len(values(evaluate_folders(folders, metrics=["far"], size=16), "orig-edit")) == 6

    def test_folders_of_two_sizes_need_a_size(self, folders: Folders) -> None:
        assert folders.edit is not None
        for path in folders.edit.iterdir():
            Image.open(path).resize((48, 40)).save(path)
        with pytest.raises(UsageError, match=r"different sizes \(orig 24x20, edit 48x40\)"):
            evaluate_folders(folders, metrics=["far"])

    @pytest.mark.filterwarnings("error")
    def test_pairs_in_order_are_not_taken_for_shuffled(self, folders: Folders) -> None:
        evaluate_folders(folders, metrics=["far"])

    def test_shuffled_pairs_are_noticed(self, folders: Folders) -> None:
        assert folders.edit is not None
        paths = sorted(folders.edit.iterdir())
        pictures = [path.read_bytes() for path in paths]
        for path, other in zip(paths, [*pictures[1:], pictures[0]], strict=True):
            path.write_bytes(other)
        known = 16 / 255
        with pytest.warns(HspaceWarning, match="6 of 6 edited pictures look more like another's original"):
            found = evaluate_folders(folders, metrics=["far"])
        assert min(values(found, "orig-edit")) > 2 * known

    def test_an_edit_that_says_it_is_of_another_picture_is_refused(self, folders: Folders) -> None:
        from hspace.images import save_picture
        from hspace.storage import sha256

        assert folders.orig is not None
        assert folders.edit is not None
        note = json.dumps({"input_sha256": sha256(folders.orig / "1.png")})
        save_picture(folders.edit / "1.png", self.picture(1), note)
        evaluate_folders(folders, metrics=["far"])
        save_picture(folders.edit / "2.png", self.picture(2), note)
        with pytest.raises(RefusedError, match=r"2\.png was made of another picture than .*2\.png"):
            evaluate_folders(folders, metrics=["far"])

    def test_grey_transparent_and_16_bit_pictures_are_read_as_what_they_show(self, folders: Folders) -> None:
        assert folders.orig is not None
        assert folders.edit is not None
        grey = Image.linear_gradient("L").resize((24, 20))
        deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        clear = grey.convert("RGBA")
        for index, one in enumerate((grey, deep, clear)):
            grey.convert("RGB").save(folders.orig / f"{index}.png")
            one.save(folders.edit / f"{index}.png")
        assert values(evaluate_folders(folders, metrics=["far"]), "orig-edit")[:3] == [0, 0, 0]

    def test_a_damaged_picture_is_refused(self, folders: Folders) -> None:
        assert folders.edit is not None
        path = folders.edit / "3.png"
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(RefusedError, match=r"3\.png is damaged or truncated"):
            evaluate_folders(folders, metrics=["far"])

    def test_one_picture_has_a_number_and_no_interval(self, folders: Folders, tmp_path: Path) -> None:
        for place in folders.given().values():
            for path in sorted(place.iterdir())[1:]:
                path.unlink()
        one = evaluate_folders(folders, metrics=["far"]).find("far", pair="orig-edit")
        assert (one.n, one.low, one.spread) == (1, None, None)
        assert one.value == pytest.approx(16 / 255, rel=0.05)


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
