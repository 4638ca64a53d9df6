"""Distillation: known answers on the planted toy, and the command."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from hspace import Backbone, Direction, Head, State, registry
from hspace.building import build_head
from hspace.cli import main
from hspace.errors import HspaceError, RefusedError, UsageError
from hspace.loading import load_backbone, load_direction
from hspace.meta import Scope, Strength
from hspace.sampling import latents
from hspace.sheets import parts
from hspace.testing import PlantedBackbone
from hspace.testing import hspace_home as hspace_home
from hspace_heads.distill import Distilled, distill
from hspace_heads.effect import Run, effect_loss
from hspace_heads.recording import Recording

from .states import at

STEPS = 8
ABOVE_500 = [570.0, 713.0, 856.0, 999.0]
"""The timesteps of 8 steps from 500 up."""


@pytest.fixture(scope="module")
def toy() -> PlantedBackbone:
    return PlantedBackbone((3, 4, 4), (8, 4, 4))


def direction(toy: Backbone, head: str, config: dict[str, Any], weights: dict[str, Tensor]) -> Direction:
    return Direction.bind(
        toy, what="smile", finder="test", head=head, config=config, weights=weights, steps=40, t_edit=500,
        strength=Strength(default=0.5, min=-1, max=1), scope=Scope(kind="global"),
    )  # fmt: skip


def table(toy: Backbone, rows: int = 2, **config: Any) -> Direction:
    vectors = torch.randn(1, rows, 8, 4, 4, generator=torch.Generator().manual_seed(1))
    return direction(toy, "table", {"timesteps": [0, 999][-rows:], **config}, {"vectors": vectors})


def block(toy: Backbone) -> Direction:
    config = {"norm_num_groups": 4, "init": "random"}
    return direction(toy, "delta-block", config, dict(build_head(toy, "delta-block", config, None).state_dict()))


def distilled(toy: Backbone, one: Direction, form: Any, **more: Any) -> Distilled:
    return distill(toy, one, latents(toy, 5, 0), latents(toy, 3, 9), form, **{"steps": STEPS, "batch": 2, **more})


def test_a_recording_keeps_the_mean_of_each_timestep() -> None:
    class Echo(Head):
        def forward(self, state: State) -> Tensor:
            return state.h + state.t[:, None, None, None]

    recording = Recording(Echo())
    for n in (1, 3):
        recording(at(*[900.0] * n))
    recording(replace(at(100, 100), h=torch.tensor([1.0, 3.0])[:, None, None, None].expand(2, 2, 1, 1)))
    means = recording.means()
    assert {t: mean[:, 0, 0].tolist() for t, mean in means.items()} == {100.0: [102, 102], 900.0: [900, 900]}


def test_a_constant_head_loses_nothing(toy: PlantedBackbone) -> None:
    original = table(toy, rows=1)
    for form in ("global", "per-timestep"):
        found = distilled(toy, original, form)
        torch.testing.assert_close(
            found.direction.weights["vectors"],
            original.weights["vectors"].expand_as(found.direction.weights["vectors"]),
        )
        assert found.loss.difference < 1e-5
        assert found.loss.ratio == pytest.approx(1, abs=1e-5)
        assert found.loss.cosine == pytest.approx(1, abs=1e-5)


def test_per_timestep_returns_a_head_of_t_alone_at_each_timestep_of_the_window(toy: PlantedBackbone) -> None:
    original = table(toy, rows=2, between="linear")
    found = distilled(toy, original, "per-timestep")
    assert found.direction.meta.head.config == {"timesteps": ABOVE_500}
    expected = original.head(toy)(
        State(torch.zeros(4, 3, 4, 4), torch.tensor(ABOVE_500), torch.zeros(4, 8, 4, 4), None)
    )
    torch.testing.assert_close(found.direction.weights["vectors"][0], expected)
    assert found.loss.difference < 1e-5


def test_a_window_with_a_start_is_kept(toy: PlantedBackbone) -> None:
    original = table(toy)
    original = replace(original, meta=original.meta.model_copy(update={"t_start": 800}))
    found = distilled(toy, original, "per-timestep").direction.meta
    assert found.head.config == {"timesteps": [t for t in ABOVE_500 if t <= 800]}
    assert (found.t_edit, found.t_start) == (500, 800)


def test_global_is_the_mean_of_per_timestep_and_loses_more(toy: PlantedBackbone) -> None:
    original = table(toy, rows=2, between="linear")
    many, one = distilled(toy, original, "per-timestep"), distilled(toy, original, "global")
    torch.testing.assert_close(one.direction.weights["vectors"][0, 0], many.direction.weights["vectors"][0].mean(dim=0))
    assert one.loss.difference > 10 * many.loss.difference


def test_the_mean_is_that_of_the_head_along_the_edited_trajectories(toy: PlantedBackbone) -> None:
    original = block(toy)
    found = distilled(toy, original, "per-timestep")
    x_T = latents(toy, 5, 0)
    first = original.head(toy)(toy.encode_h(x_T, torch.full((5,), 999.0))).mean(dim=0)
    torch.testing.assert_close(found.direction.weights["vectors"][0, -1], first, rtol=1e-4, atol=1e-5)
    assert 0 < found.loss.cosine < 1


def test_the_batch_does_not_change_the_mean(toy: PlantedBackbone) -> None:
    one, other = (distilled(toy, block(toy), "global", batch=batch).direction.weights for batch in (1, 5))
    torch.testing.assert_close(one["vectors"], other["vectors"])


def test_the_same_call_gives_the_same_bytes(toy: PlantedBackbone, tmp_path: Path) -> None:
    for run in ("one", "other"):
        distilled(toy, block(toy), "per-timestep").direction.save(tmp_path / run)
    for name in ("direction.json", "weights.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_it_says_where_it_came_from_and_what_it_lost(toy: PlantedBackbone) -> None:
    found = distilled(toy, table(toy), "global", data="5 latents")
    meta = found.direction.meta
    assert meta.id == "planted/smile-global.distill"
    assert (meta.provenance.source, meta.provenance.data) == ("planted/smile.test", "5 latents")
    assert meta.provenance.config == {"form": "global", "samples": 5, "strength": 0.5, "steps": 8}
    assert {one.name: one.value for one in meta.metrics}["effect_cosine"] == found.loss.cosine
    assert {one.n for one in meta.metrics} == {3}
    assert (meta.t_edit, meta.steps, meta.strength.max) == (500, 40, 1)


def test_the_figures_are_those_of_the_pictures(toy: PlantedBackbone) -> None:
    """A head of twice the shift changes pictures twice as much: the toy is linear."""
    original = table(toy, rows=1)
    double = replace(original, weights={"vectors": 2 * original.weights["vectors"]})
    run = Run(original.meta, 1.0, STEPS)
    loss = effect_loss(toy, original.head(toy), double.head(toy), latents(toy, 3, 9), run)
    assert loss.ratio == pytest.approx(2, rel=1e-4)
    assert loss.cosine == pytest.approx(1, rel=1e-4)
    assert loss.difference == pytest.approx(loss.change, rel=1e-4)


def test_what_cannot_be_distilled_is_refused(toy: PlantedBackbone) -> None:
    original = table(toy, rows=1)
    with pytest.raises(UsageError, match="at strength 0, where it does nothing; give --strength"):
        distilled(toy, original, "global", strength=0)
    with pytest.raises(UsageError, match="distill takes form = per-timestep, global; 'both' was given"):
        distilled(toy, original, "both")
    late = replace(original, meta=original.meta.model_copy(update={"t_edit": 1000}))
    with pytest.raises(UsageError, match="visits no timestep from t_edit = 1000 up"):
        distilled(toy, late, "global")
    nothing = replace(original, weights={"vectors": torch.zeros(1, 1, 8, 4, 4)})
    with pytest.raises(HspaceError, match="the direction leaves pictures as they are"):
        distilled(toy, nothing, "global")
    with pytest.raises(RefusedError, match="this backbone's h differs"):
        distilled(PlantedBackbone((3, 4, 4), (8, 4, 4), seed=1), original, "global")


@pytest.fixture
def tiny(hspace_home: Path) -> str:
    """The id of a basis on the tiny backbone, in the test's own registry."""
    backbone = load_backbone("ddpmpp-random-tiny")
    vectors = torch.randn(2, 1, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    one = Direction.bind(
        backbone, what="two", finder="test", head="table", config={"components": 2}, weights={"vectors": vectors},
        steps=40, t_edit=500, strength=Strength(min=-1, max=1), scope=Scope(kind="global"),
    )  # fmt: skip
    return registry.add(one).id


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Runs `hspace distill` with few steps in an empty working folder; the exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        quick = ("--steps", "4", "--held-out", "2")
        monkeypatch.setattr(sys, "argv", ["hspace", "distill", *map(str, arguments), *quick])
        try:
            main()
            code: Any = 0
        except SystemExit as exit:
            code = exit.code or 0
        out, err = capfd.readouterr()
        return code, out, " ".join(err.split())

    return run


def test_the_command_stores_a_direction_and_draws_a_sheet(tiny: str, command: Command) -> None:
    code, out, err = command(f"{tiny}#1", "--form", "global", "--samples", 2, "--json")
    assert code == 0, err
    answer = json.loads(out)
    assert answer["id"] == "ddpmpp-random-tiny/two-1-global.distill"
    assert answer["metrics"]["effect_cosine"] == pytest.approx(1, abs=1e-6)
    assert Path(answer["sheet"]).is_file()
    stored = load_direction(answer["id"])
    torch.testing.assert_close(stored.weights["vectors"][0], load_direction(tiny).weights["vectors"][1])


def test_the_sheet_has_a_row_for_the_original_and_one_for_the_table(tiny: str) -> None:
    basis = load_direction(tiny)
    assert [one.id for one in parts([basis.pick(1), basis])] == [f"{tiny}#1", f"{tiny}#0", f"{tiny}#1"]


def test_what_came_from_another_direction_is_not_written_over(tiny: str, command: Command) -> None:
    assert command(f"{tiny}#1", "--form", "global", "--samples", 1)[0] == 0
    code, _, err = command(f"{tiny}#0", "--form", "global", "--samples", 1, "--name", "two-1-global")
    assert (code, "distilled from 'ddpmpp-random-tiny/two.test#1'; give another --name" in err) == (3, True), err


def test_the_command_reads_a_source(tiny: str, command: Command) -> None:
    code, out, err = command(f"{tiny}#0", "--source", "toyfaces", "--samples", 1, "--json")
    assert code == 0, err
    made = load_direction(json.loads(out)["id"]).meta
    assert made.provenance.data == "1 pictures of toyfaces, seed 0"
    assert made.head.config == {"timesteps": [666.0, 999.0]}


def test_the_command_reads_pictures_and_holds_some_back(tiny: str, command: Command, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        Image.linear_gradient("L").resize((20, 20)).convert("RGB").save(tmp_path / name)
    code, out, err = command(f"{tiny}#0", "--images", tmp_path)
    assert (code, "effect_cosine" in out, "1 other pictures" in out) == (0, True, True), err
    (tmp_path / "b.png").unlink()
    code, _, err = command(f"{tiny}#0", "--images", tmp_path / "a.png")
    assert (code, "takes at least two" in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--form", "both"], 2, "distill takes form = per-timestep, global; 'both' was given"),
        (["--images", ".", "--source", "toyfaces"], 2, "give one of them"),
        (["--name", "../x"], 2, "small letters, digits, - and _; '../x' was given"),
        (["--source", "toyface"], 4, "did you mean 'toyfaces'"),
    ],
)
def test_a_wrong_call_is_answered(tiny: str, command: Command, arguments: list[str], code: int, message: str) -> None:
    answered, _, err = command(f"{tiny}#0", *arguments)
    assert (answered, message in err) == (code, True), err


def test_a_whole_basis_is_asked_for_one_of_its_components(tiny: str, command: Command) -> None:
    code, _, err = command(tiny, "--samples", 1)
    assert (code, "is a basis of 2 directions; pick one" in err) == (2, True), err
