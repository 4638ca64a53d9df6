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


def test_two_sweeps_make_the_whole_grid_and_its_sheet(cli: Cli, found: str, face: Path) -> None:
    one, other = f"{found}#0", f"{found}#1"
    call = ("edit", face, "--sweep", f"{one}=-2:2:3", "--sweep", f"{other}=0:1:2", *STEPS, "--json")
    answer = cli(*call).json
    assert [tuple(each["strengths"].values()) for each in answer["outputs"]] == [
        (first, second) for first in (-2.0, 0.0, 2.0) for second in (0.0, 1.0)
    ]
    names = [Path(each["output"]).name for each in answer["outputs"]]
    assert names == [f"face.{first}.{second}.png" for first in ("-2", "+0", "+2") for second in ("+0", "+1")]
    with Image.open(answer["sheet"]) as sheet:
        assert sheet.height > sheet.width / 4  # three rows under a title
    assert [each["skipped"] for each in cli(*call).json["outputs"]] == 6 * [True]


def test_a_cell_of_a_grid_is_what_its_strengths_alone_give(cli: Cli, found: str, face: Path) -> None:
    one, other = f"{found}#0", f"{found}#1"
    sweeps = ("--sweep", f"{one}=-2:2:3", "--sweep", f"{other}=-4:4:3")
    cli("edit", face, *sweeps, *STEPS, "--batch", 1, "--out", "grid")
    cli("edit", face, "--direction", f"{one}=2", "--direction", f"{other}=-4", *STEPS, "--out", "cell")
    cli("edit", face, "--direction", f"{one}=2", *STEPS, "--out", "row")
    pixels = {name: Image.open(name).tobytes() for name in ("cell/face.png", "row/face.png")}
    assert Image.open("grid/face.+2.-4.png").tobytes() == pixels["cell/face.png"]
    assert Image.open("grid/face.+2.+0.png").tobytes() == pixels["row/face.png"]
    assert pixels["cell/face.png"] != pixels["row/face.png"]


def test_a_sweep_of_one_direction_leaves_the_others_where_they_are(cli: Cli, found: str, face: Path) -> None:
    one, other = f"{found}#0", f"{found}#1"
    call = ("edit", face, "--direction", f"{other}=-0.5", "--direction", one, "--sweep", f"{one}=-1:1:3")
    answer = cli(*call, *STEPS, "--json").json
    assert [each["strengths"] for each in answer["outputs"]] == [{other: -0.5, one: s} for s in (-1.0, 0.0, 1.0)]


def test_normalising_divides_by_the_root_of_the_number_of_directions(cli: Cli, found: str, face: Path) -> None:
    def edited(strengths: tuple[float, float], out: str, *options: str) -> bytes:
        directions = [("--direction", f"{found}#{index}={s!r}") for index, s in enumerate(strengths)]
        cli("edit", face, *(word for pair in directions for word in pair), *STEPS, "--out", out, *options)
        return Image.open(f"{out}/face.png").tobytes()

    normalised = edited((4.0, -8.0), "normalised", "--normalise")
    assert normalised == edited((4 / 2**0.5, -8 / 2**0.5), "smaller")
    assert normalised != edited((4.0, -8.0), "full")


def test_normalising_makes_another_picture_that_does_not_take_the_place_of_the_first(
    cli: Cli, found: str, face: Path
) -> None:
    call = ("edit", face, "--direction", f"{found}#0=4", "--direction", f"{found}#1=4", *STEPS)
    assert cli(*call).code == 0
    assert cli(*call, "--normalise").code == 3


@pytest.mark.parametrize(
    ("sweeps", "message"),
    [
        (("-1:1:3", "{0}=-1:1:3"), "a sweep of all strengths stands alone"),
        (("{0}=-1:1:3", "{1}=-1:1:3", "{2}=-1:1:3"), "at most 2 sweeps at a time"),
        (("{0}=-1:1:3", "{0}=-1:1:2"), "swept twice"),
        (("=-1:1:3",), "names no direction"),
        (("{0}=-1:1",), "--sweep takes FROM:TO:COUNT, or ID=FROM:TO:COUNT"),
    ],
)
def test_sweeps_that_make_no_grid_are_usage_errors(
    cli: Cli, found: str, face: Path, sweeps: tuple[str, ...], message: str
) -> None:
    ids = [f"{found}#0", f"{found}#1", f"{found}#0"]
    words = [word for sweep in sweeps for word in ("--sweep", sweep.format(*ids))]
    answer = cli("edit", face, "--direction", ids[0], *words, *STEPS)
    assert answer.code == 2
    assert message in answer.err


def test_a_swept_direction_takes_no_strength_of_its_own(cli: Cli, found: str, face: Path) -> None:
    answer = cli("edit", face, "--direction", f"{found}#0=2", "--sweep", f"{found}#0=-1:1:3")
    assert answer.code == 2
    assert "its strength is the sweep's: leave '=2' away" in answer.err


def test_an_edit_without_a_direction_is_a_usage_error(cli: Cli, face: Path) -> None:
    answer = cli("edit", face)
    assert answer.code == 2
    assert "no direction was given" in answer.err


def test_a_sheet_is_never_written_over_an_input(cli: Cli, found: str, face: Path) -> None:
    picture = face.rename(face.with_name("sweep.png"))
    before = picture.read_bytes()
    answer = cli(
        "edit", picture, "--direction", f"{found}#0", "--sweep", "-1:1:3", *STEPS, "--out", face.parent, "--force"
    )
    assert answer.code == 3
    assert "is one of the inputs" in answer.err
    assert picture.read_bytes() == before


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
