"""`hspace discover` with finders that look at many latents, and with labels."""

from pathlib import Path

import pytest
from PIL import Image

from .conftest import Cli

ON = ("--backbone", "planted", "--steps", 4)
pytestmark = pytest.mark.usefixtures("hspace_home", "planted")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """A folder of four pictures, two bright and two dark, with a table that says so."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for index, grey in enumerate((200, 40, 230, 20)):
        Image.new("RGB", (32, 32), (grey, 60 * index, 90)).save(folder / f"{index}.png")
    rows = [f"{index}.png,{bright},{index}" for index, bright in enumerate((1, 0, 1, 0))]
    (folder / "metadata.csv").write_text("\n".join(["file_name,bright,number", *rows]))
    return folder


def found(cli: Cli, *call: object) -> dict[str, object]:
    """The description of the one direction that a call finds."""
    answer = cli("discover", *call, "--json")
    assert answer.code == 0, answer.err
    ids = {one["id"].partition("#")[0] for one in answer.json["directions"]}
    (direction,) = cli("show", *ids, "--json").json["found"]
    assert isinstance(direction, dict)
    return direction


def test_global_directions_are_found_unsupervised(cli: Cli) -> None:
    call = ("--unsupervised", "--finder", "jacobian-global", *ON, "-k", 2, "--samples", 2)
    direction = found(cli, *call, "--set", "at=[900,500]", "--set", "joint=true", "--set", "weights=equal")
    assert direction["id"] == "planted/global.jacobian-global"
    assert direction["scope"]["kind"] == "global"  # type: ignore[index]


def test_principal_components_are_found_unsupervised(cli: Cli) -> None:
    answer = cli("discover", "--unsupervised", "--finder", "pca", *ON, "-k", 2, "--samples", 5, "--json")
    assert [set(one) for one in answer.json["directions"]] == [{"id", "path", "sigma", "explained"}] * 2


def test_too_few_latents_for_principal_components_exit_with_2(cli: Cli) -> None:
    answer = cli("discover", "--unsupervised", "--finder", "pca", *ON, "--samples", 5)
    assert (answer.code, "8 components need at least 9 latents" in answer.err) == (2, True)


def test_labels_of_a_table_lead_to_a_direction_of_their_name(cli: Cli, faces: Path) -> None:
    call = ("--finder", "mean-difference", *ON, "--images", faces, "--labels", faces / "metadata.csv")
    direction = found(cli, *call, "--attribute", "bright")
    assert direction["id"] == "planted/bright.mean-difference"
    assert direction["labels"] == ["bright"]
    assert direction["provenance"]["data"] == "4 pictures, bright by metadata.csv"  # type: ignore[index]


def test_a_source_knows_its_own_labels(cli: Cli) -> None:
    call = ("--finder", "mean-difference", *ON, "--source", "toyfaces", "--samples", 4, "--attribute", "age")
    assert found(cli, *call)["id"] == "planted/age.mean-difference"


def test_prompts_and_an_encoder_stand_in_for_labels(cli: Cli) -> None:
    call = ("--finder", "mean-difference-text", *ON, "--samples", 4, "--encoder", "toyclip")
    direction = found(cli, *call, "--from", "a face", "--to", "a face with glasses")
    assert direction["id"] == "planted/a-face-with-glasses.mean-difference-text"
    assert direction["prompts"] == ["a face", "a face with glasses"]


def test_a_find_is_kept_apart_from_others(cli: Cli, faces: Path) -> None:
    call = ("--finder", "mean-difference", *ON, "--images", faces, "--labels", faces / "metadata.csv")
    first = found(cli, *call, "--attribute", "bright")
    second = cli("discover", *call, "--attribute", "number", "--set", f"against={first['id']}", "--json")
    assert 0 < second.json["directions"][0]["retained"] < 1
    refused = cli("discover", *call, "--attribute", "bright", "--set", f"against={first['id']}")
    assert (refused.code, "nothing is left of 'bright'" in refused.err) == (2, True)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ((), "finder 'mean-difference' needs labels, which was not given: give --images with a table of --labels"),
        (("--source", "toyfaces", "--samples", 4, "--attribute", "smiles"), "knows no attribute 'smiles' of its pict"),
        (("--attribute", "bright"), "is a column of a table of labels, or what a source knows"),
        (("--labels", "metadata.csv"), "give them with --images"),
    ],
)
def test_labels_that_are_not_there_exit_with_2(cli: Cli, call: tuple[object, ...], told: str) -> None:
    answer = cli("discover", "--finder", "mean-difference", *ON, *call)
    assert (answer.code, told in answer.err.replace("\n", " ")) == (2, True), answer.err


def test_a_picture_without_a_label_exits_with_2_before_anything_runs(cli: Cli, faces: Path) -> None:
    Image.new("RGB", (32, 32)).save(faces / "5.png")
    call = ("--finder", "mean-difference", *ON, "--images", faces, "--labels", faces / "metadata.csv")
    answer = cli("discover", *call, "--attribute", "bright")
    assert (answer.code, "has no label for 1 of 5 pictures: 5.png" in answer.err) == (2, True)


def test_unsupervised_is_for_finders_that_need_nothing(cli: Cli) -> None:
    answer = cli("discover", "--unsupervised", "--finder", "mean-difference", *ON)
    assert (answer.code, "'mean-difference' needs labels" in answer.err) == (2, True)
