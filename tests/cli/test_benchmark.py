"""`hspace benchmark`: everything that is installed takes part, on pictures that nothing was chosen by."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hspace import load_backbone
from hspace.benchmark import board
from hspace.benchmark.entries import entries
from hspace.benchmark.finding import find
from hspace.benchmark.recipe import read_benchmark
from hspace.benchmark.running import matched, passes_of
from hspace.plugins import Plugins, plugins

from .conftest import Answer, Cli

PLUGIN = """
import torch
from torch import nn

import hspace
from hspace.meta import Scope, Strength
from hspace.per_picture import PairMetric

FACTS = {"x_shape": (3, 8, 8), "h_shape": (32, 4, 4), "h_site": "mid.out", "licence": "none", "source": "here"}


@hspace.hookimpl
def hspace_backbones():
    return [hspace.Card("toy", "party:load", "a toy", facts=FACTS)]


@hspace.hookimpl
def hspace_heads():
    return [hspace.Card("party-shift", "party:build_head", "the same shift everywhere")]


@hspace.hookimpl
def hspace_finders():
    return [
        hspace.Card("party-push", "party:push", "pushes h", facts={"samples": 1}),
        hspace.Card("party-fails", "party:fail", "fails", needs=("prompts",)),
        hspace.Card("party-needy", "party:fail", "needs labels", needs=("labels",)),
    ]


@hspace.hookimpl
def hspace_metrics():
    return [hspace.Card("party-light", "party:light", "change", needs=("recon", "edit"))]


def load(device="cpu", dtype=None):
    from hspace.testing import PlantedBackbone

    return PlantedBackbone()


class Shift(hspace.Head):
    def __init__(self, h_shape):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(*h_shape))

    def forward(self, state):
        return self.shift.expand_as(state.h)


def build_head(h_shape, temb_dim):
    return Shift(h_shape)


class Push(hspace.Finder):
    def __init__(self, head, how):
        self.head, self.how = head, how

    def find(self, backbone, task):
        h = backbone.encode_h(task.x_T, torch.full((1,), 500.0)).h[0]
        for sign in (1, -1):
            shift = sign * self.how * torch.ones_like(h)
            yield hspace.Direction.bind(
                backbone, what=f"push{sign}".replace("-", "un"), finder="party-push", head=self.head, config={},
                weights={"shift": shift}, steps=task.steps, t_edit=0, strength=Strength(min=-0.5, max=1),
                scope=Scope(kind="global"),
            )


class Fail(hspace.Finder):
    def find(self, backbone, task):
        raise ArithmeticError("no luck today")


def push(head="party-shift", how=1.0):
    return Push(head, how)


def fail():
    return Fail()


class Light(PairMetric):
    protocol = "mean change"

    def look(self, images):
        return images

    def compare(self, one, other):
        change = (other - one).flatten(1)
        return {"light": change.mean(dim=1), "size": change.abs().mean(dim=1)}


def light():
    return Light()
"""

RECIPE = """
kind = "benchmark"
name = "small"
summary = "small"
backbones = ["toy"]
source = "toyfaces"
encoder = "toyclip"
metrics = ["party-light"]
reach = 0.001
samples = 1
tune = 2
n = 3
seeds = [1, 2]
steps = 4
columns = [
    {title = "effect", result = "light", pair = "recon-edit"},
    {title = "cf", result = "size", pair = "recon-edit"},
]
targets = [{name = "lighter", prompts = ["a face", "a lighter face"]}]
"""
FINDERS = ("--finder", "party-push", "--finder", "party-fails", "--head", "party-shift")


@pytest.fixture
def party(cli: Cli, write_plugin: Callable[[str, str], Plugins], tmp_path: Path) -> str:
    """A plugin of somebody else's, and a benchmark's recipe, whose path this is."""
    write_plugin("party", PLUGIN)
    (tmp_path / "small.toml").write_text(RECIPE)
    return "small.toml"


@pytest.fixture
def ran(cli: Cli, party: str) -> dict[str, Any]:
    return cli("benchmark", party, *FINDERS, "--out", "b", "--json").json


def test_a_finder_and_a_head_take_part_by_being_installed(party: str) -> None:
    found = {(one.finder, one.head) for one in entries(read_benchmark(party))}
    assert ("party-push", "party-shift") in found
    assert {head for finder, head in found if finder == "asyrp"} == {card.name for card in plugins().cards("heads")}
    assert ("jacobian-svd", None) in found
    assert "party-needy" not in {finder for finder, _ in found}


def test_a_row_has_every_column_by_seed_and_what_it_cost(ran: dict[str, Any]) -> None:
    row = ran["rows"][0]
    assert (row["finder"], row["head"], row["plugin"], row["target"]) == (
        "party-push",
        "party-shift",
        "party",
        "lighter",
    )
    for column in ("effect", "cf"):
        values = row["columns"][column]["values"]
        assert len(values) == 2
        assert row["columns"][column]["mean"] == pytest.approx(sum(values) / 2)
    assert row["cpu_seconds"] >= 0
    assert row["bytes"] > 32 * 4 * 4 * 4
    assert row["passes"] == {"encoder": 4, "decoder": 8}  # 4 steps, all of them edited


def test_it_takes_the_component_that_does_most_at_the_strength_that_reaches_the_effect(ran: dict[str, Any]) -> None:
    row = ran["rows"][0]
    assert abs(row["strength"]) < 1
    assert row["columns"]["effect"]["mean"] == pytest.approx(0.001, rel=0.3)


@pytest.mark.parametrize("bend", [0.5, 1.0, 2.0])
def test_the_strength_is_found_where_the_effect_is_no_straight_line(bend: float) -> None:
    assert matched(lambda at: at**bend, 4.0, 4.0**bend, 1.0) == pytest.approx(1, rel=0.15)


def test_one_that_does_not_reach_the_effect_is_compared_at_its_end() -> None:
    assert matched(lambda at: pytest.fail("looked again"), -3.0, 0.5, 1.0) == -3


def test_one_that_fails_has_a_row_with_the_reason_and_stands_last(ran: dict[str, Any]) -> None:
    assert ran["rows"][-1]["finder"] == "party-fails"
    assert ran["rows"][-1]["reason"] == "ArithmeticError: no luck today"
    assert "party-fails has no numbers on lighter: ArithmeticError" in Path("b/leaderboard.md").read_text()


def test_the_markdown_is_made_of_the_json_alone(ran: dict[str, Any]) -> None:
    found = json.loads(Path("b/leaderboard.json").read_text())
    assert board.markdown(found) == Path("b/leaderboard.md").read_text()
    assert {path.name for path in Path("b").glob("*.png")} == {"cf.png"}


def test_a_rerun_measures_nothing_again_and_says_the_same(
    cli: Cli, party: str, ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*arguments: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("hspace.benchmark.running.measured", never)
    assert cli("benchmark", party, *FINDERS, "--out", "b", "--json").json == ran


def test_what_was_found_is_not_found_again_for_other_pictures(
    cli: Cli, party: str, ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hspace.benchmark.finding.build_finder", lambda *_: pytest.fail("found again"))
    more = cli(
        "benchmark", party, "--finder", "party-push", "--head", "party-shift", "-n", 4, "--out", "b", "--json"
    ).json
    assert more["recipe"]["n"] == 4
    assert more["rows"][0]["cpu_seconds"] == ran["rows"][0]["cpu_seconds"]


def test_an_entry_without_a_decoder_pass_beyond_its_window_costs_less(party: str, tmp_path: Path) -> None:
    recipe, backbone = read_benchmark(party), load_backbone("toy")
    (entry,) = entries(recipe, ["party-push"], ["party-shift"])
    direction = find(recipe, entry, backbone, None, tmp_path / "found").directions[0]
    late = type(direction)(direction.meta.model_copy(update={"t_edit": 900}), direction.weights)
    passes = passes_of(backbone, late, 1.0, 4)
    assert (passes.encoder, passes.decoder) == (4, 5)


def test_people_get_the_table_and_how_to_read_it(cli: Cli, party: str) -> None:
    answer = cli("benchmark", party, *FINDERS, "--out", "b")
    for text in ("party-push", "party-shift", "effect", "4 + 8", "2 sets of 3 pictures of toyfaces", "leaderboard.md"):
        assert text in answer.out


def changed(text: str) -> Callable[[Cli], Answer]:
    def run(cli: Cli) -> Answer:
        Path("mine.toml").write_text(text)
        return cli("benchmark", "mine.toml")

    return run


@pytest.mark.parametrize(
    ("call", "code", "told"),
    [
        (lambda cli: cli("benchmark", "toyface-benchmark"), 4, "did you mean 'toyfaces-benchmark'"),
        (lambda cli: cli("benchmark", "toyfaces-glasses"), 2, "is a recipe of a direction, not of a benchmark"),
        (changed(RECIPE.replace("[1, 2]", "[0, 1]")), 2, "seed 0 chooses the strengths"),
        (changed(RECIPE.replace("reach =", "reech =")), 2, "reech"),
        (lambda cli: cli("benchmark", "small.toml", "--finder", "party-needy"), 2, "needs labels, which a benchmark"),
        (lambda cli: cli("benchmark", "small.toml", "--finder", "party-psh"), 4, "did you mean 'party-push'"),
        (lambda cli: cli("benchmark", "small.toml", "--target", "light"), 4, "did you mean 'lighter'"),
        (lambda cli: cli("benchmark", "small.toml", "--head", "party-shit"), 4, "did you mean 'party-shift'"),
    ],
)
def test_what_cannot_be_run_says_why(cli: Cli, party: str, call: Callable[[Cli], Answer], code: int, told: str) -> None:
    answer = call(cli)
    assert (answer.code, told in answer.err) == (code, True), answer.err
