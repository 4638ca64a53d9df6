"""The zoo: what its cards say, and that it is small and whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hspace.cards import Card
from hspace.direction import Direction
from hspace.loading import default_backbone, load_backbone, load_encoder
from hspace.plugins import plugins
from hspace.testing import BackboneContract
from hspace_zoo import hspace_zoos

(ZOO,) = hspace_zoos()
BACKBONES = sorted(path.parent.name for path in ZOO.glob("backbones/*/card.json"))
ENCODERS = sorted(path.parent.name for path in ZOO.glob("encoders/*/card.json"))
DIRECTIONS = sorted(path.parent for path in ZOO.glob("directions/*/*/direction.json"))
MEGABYTE = 10**6


def card(name: str, kind: str = "backbones") -> Card:
    return plugins().find(kind, name)


def metrics(name: str, kind: str = "backbones") -> dict[str, float]:
    return {one["name"]: one["value"] for one in card(name, kind).facts["metrics"]}


@pytest.mark.parametrize("name", BACKBONES)
class TestBackbones(BackboneContract):
    @pytest.fixture(autouse=True)
    def _named(self, name: str) -> None:
        self.card = name
        self.image_tolerance = card(name).facts.get("image_tolerance", 0.0)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_card_says_where_the_weights_come_from_and_under_which_licence(name: str) -> None:
    facts = card(name).facts
    assert facts["weights"] == "bundled"
    assert facts["licence"] == "Apache-2.0"
    assert f"hspace toyfaces train-backbone {name}" in facts["source"]
    assert facts["training"]["images"] > 0


@pytest.mark.parametrize("name", BACKBONES)
def test_every_figure_says_how_it_was_measured(name: str) -> None:
    measured: list[dict[str, Any]] = card(name).facts["metrics"]
    assert {"frechet_distance", "frechet_distance_floor", "inversion_psnr"} <= {one["name"] for one in measured}
    assert all(one["protocol"] and one["n"] > 0 for one in measured)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_comes_with_a_sheet_of_samples(name: str) -> None:
    with Image.open(ZOO / "backbones" / name / "samples.png") as sheet:
        assert min(sheet.size) >= 256


def test_the_default_backbone_meets_the_bar() -> None:
    measured = metrics(default_backbone())
    assert measured["frechet_distance"] <= 2.4 * measured["frechet_distance_floor"]
    assert measured["inversion_psnr"] >= 40


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_loads_without_a_download_and_its_card_says_how_it_was_measured(name: str) -> None:
    facts = card(name, "encoders").facts
    assert load_encoder(name).name == name
    assert facts["licence"] == "Apache-2.0"
    assert f"hspace toyfaces train-clip {name}" in facts["source"]
    assert all(one["protocol"] and one["n"] > 0 for one in facts["metrics"])


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_is_at_most_8_megabytes(name: str) -> None:
    assert sum(path.stat().st_size for path in (ZOO / "encoders" / name).iterdir()) <= 8 * MEGABYTE


SEEN = ("smile", "skin", "hair", "grey", "length", "glasses", "beard", "yaw", "eye", "bg_light", "light")


@pytest.mark.parametrize("size", [64, 32])
def test_toyclip_reads_faces_and_is_not_fooled_by_teeth(size: int) -> None:
    measured = metrics("toyclip", "encoders")
    assert min(measured[f"zero_shot_{name}_{size}"] for name in SEEN) >= 0.95
    assert measured[f"zero_shot_age_{size}"] >= 0.9
    assert min(measured[f"alignment_{name}_{size}"] for name in (*SEEN, "age")) >= 0.9
    assert measured[f"fooled_teeth_{size}"] <= 0.02


def test_no_file_is_over_9_megabytes_and_all_are_under_48() -> None:
    sizes = [path.stat().st_size for path in ZOO.rglob("*") if path.is_file()]
    assert max(sizes) <= 9 * MEGABYTE
    assert sum(sizes) <= 48 * MEGABYTE


def test_there_are_directions() -> None:
    assert DIRECTIONS


@pytest.mark.parametrize("folder", DIRECTIONS, ids=lambda folder: folder.name)
def test_a_direction_is_whole_fits_its_backbone_and_has_a_preview(folder: Path) -> None:
    direction = Direction.load(folder)
    assert direction.meta.id == f"{folder.parent.name}/{folder.name}"
    assert direction.pick(0).head(load_backbone(direction.meta.backbone.id))
    assert (folder / "preview.png").is_file()


def test_no_description_names_a_place_on_somebodys_machine() -> None:
    for path in [*ZOO.glob("*/*/card.json"), *ZOO.glob("directions/*/*/direction.json")]:
        text = json.dumps(json.loads(path.read_text()))
        assert "/home/" not in text
        assert '"/' not in text


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_measuring_again_gives_the_figures_on_the_card(name: str, tmp_path: Path) -> None:
    import shutil

    from hspace_toyfaces.backbone_measures import measure

    folder = tmp_path / name
    shutil.copytree(ZOO / "backbones" / name, folder)
    again = {one["name"]: one["value"] for one in measure(folder)}
    assert again == pytest.approx(metrics(name), rel=0.05)
