"""`hspace edit`, `sample` and `invert`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from .conftest import BACKBONE, Cli

STEPS = ("--steps", 4)


def test_it_writes_a_picture_of_the_backbones_size_and_says_where(cli: Cli, found: str, face: Path) -> None:
    (output,) = cli("edit", face, "--direction", f"{found}#0=2", *STEPS, "--json").json["outputs"]
    assert output == {
        "input": str(face),
        "output": "hspace-out/edit/face.png",
        "strengths": {f"{found}#0": 2.0},
        "skipped": False,
    }
    with Image.open(output["output"]) as picture:
        assert picture.size == (16, 16)


def test_the_recipe_travels_in_the_picture(cli: Cli, found: str, face: Path) -> None:
    cli("edit", face, "--direction", f"{found}#0=2", *STEPS)
    with Image.open("hspace-out/edit/face.png") as picture:
        recipe = json.loads(picture.info["hspace"])
    assert recipe["backbone"] == BACKBONE
    assert recipe["directions"][0]["strength"] == 2.0


def test_strength_0_gives_the_reconstruction_and_another_does_not(cli: Cli, found: str, face: Path) -> None:
    cli("edit", face, "--direction", f"{found}#0=0", *STEPS, "--out", "none")
    cli("edit", face, "--direction", f"{found}#0=4", *STEPS, "--out", "some")
    (row,) = cli("invert", face, "--backbone", BACKBONE, *STEPS, "--json").json["outputs"]
    pixels = [Image.open(path).tobytes() for path in (row["reconstruction"], "none/face.png", "some/face.png")]
    assert pixels[0] == pixels[1]
    assert pixels[0] != pixels[2]


def test_a_rerun_skips_what_is_done_and_unchanged(cli: Cli, found: str, face: Path) -> None:
    call = ("edit", face, "--direction", f"{found}#0=2", *STEPS, "--json")
    cli(*call)
    before = Path("hspace-out/edit/face.png").stat().st_mtime_ns
    assert [one["skipped"] for one in cli(*call).json["outputs"]] == [True]
    assert Path("hspace-out/edit/face.png").stat().st_mtime_ns == before


def test_another_picture_in_the_way_is_refused_and_kept(cli: Cli, found: str, face: Path) -> None:
    cli("edit", face, "--direction", f"{found}#0=2", *STEPS)
    before = Path("hspace-out/edit/face.png").read_bytes()
    answer = cli("edit", face, "--direction", f"{found}#0=3", *STEPS)
    assert answer.code == 3
    assert "exists and is another picture" in answer.err
    assert Path("hspace-out/edit/face.png").read_bytes() == before
    assert cli("edit", face, "--direction", f"{found}#0=3", *STEPS, "--force").code == 0
    assert Path("hspace-out/edit/face.png").read_bytes() != before


def test_a_sweep_makes_a_picture_per_factor_and_a_sheet(cli: Cli, found: str, face: Path) -> None:
    answer = cli("edit", face, "--direction", f"{found}#0=2", "--sweep", "-1:1:3", *STEPS, "--json").json
    assert [one["strengths"][f"{found}#0"] for one in answer["outputs"]] == [-2.0, 0.0, 2.0]
    assert [Path(one["output"]).name for one in answer["outputs"]] == ["face.-1.png", "face.+0.png", "face.+1.png"]
    assert Path(answer["sheet"]).is_file()


def test_a_folder_is_edited_file_by_file_in_batches(cli: Cli, found: str, face: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for name in ("a.png", "b.jpg", "c.webp"):
        Image.open(face).save(folder / name)
    (folder / "notes.txt").write_text("not a picture")
    outputs = cli("edit", folder, "--direction", f"{found}#0", "--batch", 2, *STEPS, "--json").json["outputs"]
    assert [Path(one["output"]).name for one in outputs] == ["a.png", "b.png", "c.png"]


def test_two_directions_are_applied_together(cli: Cli, found: str, face: Path) -> None:
    (output,) = cli("edit", face, "--direction", f"{found}#0=2", "--direction", f"{found}#1=-1", *STEPS, "--json").json[
        "outputs"
    ]
    assert output["strengths"] == {f"{found}#0": 2.0, f"{found}#1": -1.0}


def test_two_inputs_that_would_share_an_output_are_refused(cli: Cli, found: str, face: Path) -> None:
    other = face.with_suffix(".jpg")
    Image.open(face).save(other)
    answer = cli("edit", face, other, "--direction", f"{found}#0", *STEPS)
    assert answer.code == 2
    assert "would be written to hspace-out/edit/face.png twice" in answer.err


def test_factors_that_would_share_an_output_are_refused(cli: Cli, found: str, face: Path) -> None:
    answer = cli("edit", face, "--direction", f"{found}#0", "--sweep", "1:1.0001:2", *STEPS)
    assert answer.code == 2
    assert "twice" in answer.err


def test_a_direction_given_twice_is_refused(cli: Cli, found: str, face: Path) -> None:
    answer = cli("edit", face, "--direction", f"{found}#0", "--direction", f"{found}#0=2", *STEPS)
    assert answer.code == 2
    assert "given twice" in answer.err


def test_a_sheet_never_takes_the_place_of_another_picture(cli: Cli, found: str, face: Path) -> None:
    Path("kept").mkdir()
    Image.open(face).save("kept/sweep.png")
    answer = cli("edit", face, "--direction", f"{found}#0", "--sweep", "-1:1:3", *STEPS, "--out", "kept")
    assert answer.code == 3
    assert [path.name for path in Path("kept").iterdir()] == ["sweep.png"]


def test_an_input_is_never_overwritten(cli: Cli, found: str, face: Path) -> None:
    before = face.read_bytes()
    answer = cli("edit", face, "--direction", f"{found}#0", *STEPS, "--out", face.parent, "--force")
    assert answer.code == 3
    assert "is one of the inputs" in answer.err
    assert face.read_bytes() == before


@pytest.mark.parametrize("sweep", ["-2:2", "a:b:c", "1:1:3", "0:1:1", "0:inf:3"])
def test_a_sweep_of_another_form_is_a_usage_error(cli: Cli, found: str, face: Path, sweep: str) -> None:
    answer = cli("edit", face, "--direction", f"{found}#0", "--sweep", sweep)
    assert answer.code == 2
    assert "--sweep" in answer.err


def test_sample_draws_pictures_and_a_sheet(cli: Cli) -> None:
    answer = cli("sample", "--backbone", BACKBONE, "-n", 3, *STEPS, "--json").json
    assert len(answer["outputs"]) == 3
    assert all(Path(path).is_file() for path in [*answer["outputs"], answer["sheet"]])


def test_invert_gives_the_latent_the_reconstruction_and_its_psnr(cli: Cli, face: Path) -> None:
    from hspace.storage import read_tensors

    (row,) = cli("invert", face, "--backbone", BACKBONE, *STEPS, "--json").json["outputs"]
    assert read_tensors(Path(row["latent"]))["x_T"].shape == (1, 3, 16, 16)
    assert Path(row["reconstruction"]).is_file()
    assert isinstance(row["psnr"], float)
