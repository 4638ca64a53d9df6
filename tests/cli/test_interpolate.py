"""`hspace interpolate`: the pictures between two."""

from pathlib import Path

import pytest
from PIL import Image

from .conftest import BACKBONE, Cli

STEPS = ("--steps", 4)


@pytest.fixture
def other(face: Path) -> Path:
    """A second picture beside the face."""
    path = face.with_name("other.png")
    Image.radial_gradient("L").resize((32, 40)).convert("RGB").save(path)
    return path


def pixels(path: str | Path) -> bytes:
    with Image.open(path) as picture:
        return picture.tobytes()


def test_the_ends_are_the_reconstructions_bit_for_bit_and_the_middle_is_neither(
    cli: Cli, face: Path, other: Path
) -> None:
    call = ("interpolate", face, other, "--backbone", BACKBONE, "--frames", 3, *STEPS, "--json")
    first, middle, last = (pixels(one["output"]) for one in cli(*call).json["outputs"])
    rows = cli("invert", face, other, "--backbone", BACKBONE, *STEPS, "--json").json["outputs"]
    assert [first, last] == [pixels(row["reconstruction"]) for row in rows]
    assert middle not in (first, last)


def test_it_names_its_frames_says_how_far_along_they_are_and_draws_a_strip(cli: Cli, face: Path, other: Path) -> None:
    answer = cli("interpolate", face, other, "--backbone", BACKBONE, "--frames", 5, *STEPS, "--json").json
    assert answer["outputs"][1] == {
        "fraction": 0.25,
        "output": "hspace-out/interpolate/face-other.001.png",
        "skipped": False,
    }
    with Image.open(answer["strip"]) as strip:
        assert strip.width > 5 * 64


def test_frames_are_edited_as_the_pictures_are(cli: Cli, found: str, face: Path, other: Path) -> None:
    direction = ("--direction", f"{found}#0=4", "--direction", f"{found}#1=-4")
    frames = cli("interpolate", face, other, *direction, "--frames", 2, *STEPS, "--json").json["outputs"]
    edited = cli("edit", face, other, *direction, "--batch", 1, *STEPS, "--json").json["outputs"]
    plain = cli("interpolate", face, other, "--backbone", BACKBONE, "--frames", 2, *STEPS, "--out", "plain", "--json")
    assert [pixels(one["output"]) for one in frames] == [pixels(one["output"]) for one in edited]
    assert pixels(frames[0]["output"]) != pixels(plain.json["outputs"][0]["output"])


def test_a_rerun_makes_only_what_is_missing_and_makes_it_the_same(cli: Cli, face: Path, other: Path) -> None:
    call = ("interpolate", face, other, "--backbone", BACKBONE, "--frames", 4, *STEPS, "--json")
    outputs = [Path(one["output"]) for one in cli(*call).json["outputs"]]
    before = outputs[2].read_bytes()
    outputs[2].unlink()
    assert [one["skipped"] for one in cli(*call).json["outputs"]] == [True, True, False, True]
    assert outputs[2].read_bytes() == before


def test_frames_of_another_film_are_refused_and_kept(cli: Cli, face: Path, other: Path) -> None:
    call = ("interpolate", face, other, "--backbone", BACKBONE, *STEPS)
    cli(*call, "--frames", 3)
    before = Path("hspace-out/interpolate/face-other.001.png").read_bytes()
    answer = cli(*call, "--frames", 4)
    assert answer.code == 3
    assert "exists and is another picture" in answer.err
    assert Path("hspace-out/interpolate/face-other.001.png").read_bytes() == before
    assert cli(*call, "--frames", 4, "--force").code == 0


def test_a_damaged_end_is_refused_before_anything_is_written(cli: Cli, face: Path) -> None:
    broken = face.with_name("broken.png")
    broken.write_bytes(face.read_bytes()[:60])
    answer = cli("interpolate", face, broken, "--backbone", BACKBONE, *STEPS)
    assert answer.code == 3
    assert not Path("hspace-out").exists()


def test_ends_that_are_not_two_pictures_are_told(cli: Cli, face: Path, other: Path) -> None:
    assert cli("interpolate", face, "nothing.png", "--backbone", BACKBONE).code == 4
    answer = cli("interpolate", face, face.parent, "--backbone", BACKBONE)
    assert answer.code == 2
    assert "not two pictures" in answer.err
