"""Measuring directions: on a linear backbone, and on the command line."""

import json
from pathlib import Path

import pytest
import torch
import typer
from torch import Tensor, nn
from typer.testing import CliRunner

from hspace.direction import Direction
from hspace.errors import NotFoundError, UsageError
from hspace.meta import Measurement, Scope, Strength
from hspace.testing import PlantedBackbone
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.inverted_faces import Inverted, inverted_faces
from hspace_toyfaces.measure_command import measure, parse_strengths
from hspace_toyfaces.measuring_directions import Measured, Measures, measure_direction
from hspace_toyfaces.naming import Dominant, dominant, dominant_attributes
from hspace_toyfaces.recorded import record
from hspace_toyfaces.regressor import Regressor

N = 3


class Brightness(Regressor):
    """A regressor that takes a picture's mean for its skin, and everything else for 0."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def predict(self, images: Tensor) -> Tensor:
        attributes = torch.zeros(len(images), len(NAMES))
        attributes[:, NAMES.index("skin")] = images.mean(dim=(1, 2, 3))
        return attributes


@pytest.fixture(scope="module")
def backbone() -> PlantedBackbone:
    return PlantedBackbone((3, 16, 16), (48, 4, 4))


@pytest.fixture(scope="module")
def faces(backbone: PlantedBackbone) -> Inverted:
    return inverted_faces(backbone, N, steps=4)


def direction(backbone: PlantedBackbone, size: float) -> Direction:
    """A direction of the table head that shifts h evenly."""
    return Direction.bind(
        backbone,
        what="planted",
        finder="test",
        head="table",
        config={"timesteps": [0]},
        weights={"vectors": torch.full((1, 1, 48, 4, 4), size)},
        steps=4,
        t_edit=0,
        strength=Strength(min=-2, max=2),
        scope=Scope(kind="global"),
    )


def row(effect: float | None, regressor_effect: float | None) -> Measures:
    return Measures(1.0, 1, effect, regressor_effect, *[None] * 7)


def test_faces_come_back_from_an_exact_backbone(faces: Inverted) -> None:
    assert faces.recon.shape == (N, 3, 16, 16)
    assert faces.protocol == "3 rendered 16 px faces of seed 1, 4 DDIM steps"


def test_more_faces_begin_with_the_same(backbone: PlantedBackbone, faces: Inverted) -> None:
    fewer = inverted_faces(backbone, 2, steps=4)
    torch.testing.assert_close(fewer.recon, faces.recon[:2])


def test_another_seed_has_other_faces(backbone: PlantedBackbone, faces: Inverted) -> None:
    assert not torch.equal(inverted_faces(backbone, N, seed=2, steps=4).known["smile"], faces.known["smile"])


def test_no_face_is_refused(backbone: PlantedBackbone) -> None:
    with pytest.raises(UsageError, match="0 faces of seed 1 were asked for"):
        inverted_faces(backbone, 0)


def test_a_direction_of_nothing_has_no_effect_at_any_strength(backbone: PlantedBackbone, faces: Inverted) -> None:
    nothing = direction(backbone, 0.0)
    measured = measure_direction(backbone, nothing, "skin", strengths=[-1, 2], faces=faces, regressor=Brightness())
    assert [(one.strength, one.effect, one.counterfactual, one.n) for one in measured.rows] == [
        (-1, 0, 1, N),
        (2, 0, 1, N),
    ]
    assert (measured.negative, measured.positive) == (None, None)


def test_the_two_signs_of_a_linear_edit_are_opposite(backbone: PlantedBackbone, faces: Inverted) -> None:
    low, high = dominant_attributes(backbone, direction(backbone, 0.01), faces=faces, regressor=Brightness())
    assert (low.strength, high.strength) == (-2, 2)
    assert low.change == pytest.approx(-high.change, rel=0.1)
    assert high.change != 0


def test_an_unknown_target_is_not_found(backbone: PlantedBackbone, faces: Inverted) -> None:
    with pytest.raises(NotFoundError, match="no attribute is called 'smiles'; did you mean 'smile'"):
        measure_direction(backbone, direction(backbone, 0.0), "smiles", strengths=[1], faces=faces)


@pytest.mark.parametrize("strengths", [[], [1.0, 0.0]])
def test_a_strength_of_0_or_none_is_refused(backbone: PlantedBackbone, faces: Inverted, strengths: list[float]) -> None:
    with pytest.raises(UsageError, match="strengths must be one or more numbers other than 0"):
        measure_direction(backbone, direction(backbone, 0.0), "skin", strengths=strengths, faces=faces)


def test_the_attribute_that_moves_alone_dominates(faces: Inverted) -> None:
    brighter = dominant("toy", 1.0, faces.recon.clamp(-1, 0.5) * 0.5 + 0.5, faces, Brightness())
    assert (brighter.attribute, brighter.selectivity, brighter.name) == ("skin", 1.0, "+skin")


def test_no_change_has_no_name_and_no_selectivity(faces: Inverted) -> None:
    nothing = dominant("toy", 1.0, faces.recon, faces, Brightness())
    assert (nothing.name, nothing.selectivity) == ("unnamed", None)


@pytest.mark.parametrize(("change", "name"), [(0.5, "+hair"), (-0.6, "-hair"), (0.49, "unnamed")])
def test_a_direction_is_named_from_half_an_sd(change: float, name: str) -> None:
    assert Dominant("toy", 1.0, N, "", "hair", change, 0.5).name == name


@pytest.mark.parametrize(
    ("by_fit", "by_regressor", "disputed"),
    [(1.0, 1.29, False), (1.0, 1.31, True), (-1.0, 1.0, True), (0.0, 0.0, False), (None, 1.0, None), (1.0, None, None)],
)
def test_instruments_that_differ_by_more_than_30_percent_are_flagged(
    by_fit: float | None, by_regressor: float | None, disputed: bool | None
) -> None:
    assert row(by_fit, by_regressor).disputed is disputed


def test_strengths_are_read_from_a_list() -> None:
    assert parse_strengths("-2,-1,1.5") == [-2, -1, 1.5]


@pytest.mark.parametrize("text", ["1,two", "1,0", "nan", "inf", ""])
def test_strengths_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--strengths takes"):
        parse_strengths(text)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _small(self, backbone: PlantedBackbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        direction(backbone, 0.01).save(tmp_path)
        monkeypatch.setattr("hspace.loading.load_backbone", lambda *_, **__: backbone)
        monkeypatch.setattr("hspace_toyfaces.regressor.load_regressor", Brightness)

    def run(self, tmp_path: Path, *options: str) -> str:
        app = typer.Typer()
        app.command()(measure)
        arguments = [str(tmp_path), "-n", "2", "--steps", "4", "--device", "cpu", *options]
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    def test_a_target_gives_a_row_per_strength(self, tmp_path: Path) -> None:
        answer = json.loads(self.run(tmp_path, "--target", "skin", "--strengths", "-1,1", "--json"))
        assert [one["strength"] for one in answer["measured"][0]["rows"]] == [-1, 1]
        assert answer["dominant"] == []

    def test_without_a_target_either_sign_is_named(self, tmp_path: Path) -> None:
        answer = json.loads(self.run(tmp_path, "--json"))
        assert [one["strength"] for one in answer["dominant"]] == [-2, 2]
        assert {one["attribute"] for one in answer["dominant"]} == {"skin"}

    def test_the_tables_say_how_it_was_measured(self, tmp_path: Path) -> None:
        for options in ([], ["--target", "skin"]):
            assert "2 rendered 16 px faces of seed 1, 4 DDIM steps" in self.run(tmp_path, *options)


def test_what_was_measured_is_written_into_the_direction(backbone: PlantedBackbone, tmp_path: Path) -> None:
    old = Measurement(name="smile.effect@1", value=9.0, n=1, protocol="old")
    direction = Direction.bind(
        backbone, what="smile", finder="planted", head="table", config={}, steps=4, t_edit=0, metrics=(old,),
        weights={"vectors": torch.zeros(1, 1, 48, 4, 4)}, strength=Strength(min=-1, max=1), scope=Scope(kind="global"),
    ).save(tmp_path)  # fmt: skip
    rows = (Measures(1.0, 8, 0.5, None, 0.75, *[None] * 6),)
    record(str(tmp_path), direction, [Measured("planted/smile.planted", "smile", "8 faces", rows, None, None)])
    told = {one.name: (one.value, one.n, one.protocol) for one in Direction.load(tmp_path).meta.metrics}
    assert told == {"smile.effect@1": (0.5, 8, "8 faces"), "smile.success@1": (0.75, 8, "8 faces")}
