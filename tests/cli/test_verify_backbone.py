"""`hspace verify BACKBONE --images` and what `hspace show` says of a backbone's model."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hspace import load_backbone
from hspace.images import save_picture, to_picture
from hspace.plugins import plugins

from .conftest import BACKBONE, Cli

TOYFACES = "ddpmpp-toyfaces-32"
QUICK = ("-n", 2, "--steps", 4)
GUIDED = ("--bind", "label=1", "--bind", "scale=2", "--bind", "unconditional=adm-random-tiny")


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Two pictures of the toy faces' domain, and a file that is none."""
    folder = tmp_path / "faces"
    folder.mkdir()
    source = plugins().find("sources", "toyfaces").load()(size=32, seed=5)
    for index, image in enumerate(source.images(2)):
        save_picture(folder / f"{index}.png", to_picture(image))
    (folder / "0-text.png").write_text("not a picture")
    return folder


def test_a_sound_backbone_looks_right_and_its_sheet_is_drawn(cli: Cli, faces: Path) -> None:
    answer = cli("verify", TOYFACES, "--images", faces, *QUICK, "--json")
    assert answer.code == 0, answer.err
    found = answer.json
    assert (found["verdict"], found["problems"]) == ("right", [])
    assert [one["input"] for one in found["skipped"]] == [str(faces / "0-text.png")]
    assert [one["first_stage_psnr"] for one in found["pictures"]] == [None, None]
    assert found["psnr"] > 20
    assert all(one["error"] < 0.6 * one["guess"] for one in found["eps"][:4])
    assert abs(found["other_assumptions"]["norm eps: 1e-05"]) < 1e-3
    assert Path(found["sheet"]).name == f"{TOYFACES}.png"


def test_a_backbone_that_is_not_what_it_is_taken_for_fails(cli: Cli, faces: Path) -> None:
    answer = cli("verify", BACKBONE, "--images", faces, *QUICK)
    assert answer.code == 1
    assert f"{BACKBONE} does not look right" in answer.err
    assert "no better than" in answer.err
    assert f"Compare 'hspace show {BACKBONE}'" in answer.err
    assert Path("hspace-out/verify", f"{BACKBONE}.png").is_file()


def test_a_latent_backbone_says_what_its_first_stage_alone_returns(cli: Cli, faces: Path) -> None:
    answer = cli("verify", "ldm-random-tiny", "--images", faces, *QUICK, "--json")
    assert answer.code == 1
    assert answer.json["first_stage_psnr"] < 15
    assert "look at the first stage" in answer.err


def test_nothing_but_unreadable_pictures_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not a picture")
    answer = cli("verify", BACKBONE, "--images", tmp_path / "text.png", *QUICK)
    assert answer.code == 3
    assert "none of the 1 pictures can be read" in answer.err


def test_a_sheet_never_takes_the_place_of_another_picture(cli: Cli, faces: Path, face: Path) -> None:
    sheet = Path("hspace-out/verify") / f"{BACKBONE}.png"
    sheet.parent.mkdir(parents=True)
    Image.open(face).save(sheet)
    before = sheet.read_bytes()
    call = ("verify", BACKBONE, "--images", faces, "-n", 1, "--steps", 2)
    assert cli(*call).code == 3
    assert sheet.read_bytes() == before
    assert cli(*call, "--force").code == 1
    assert cli(*call).code == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([BACKBONE], f"hspace verify {BACKBONE} --images DIR"),
        (["--images", "faces"], "--images is for one backbone"),
        (["adm-cond-random-tiny", "--images", "faces"], "is class-conditional"),
        (
            ["adm-cond-random-tiny", "--images", "faces", *GUIDED],
            "verify without scale",
        ),
    ],
)
def test_a_wrong_call_is_a_usage_error(cli: Cli, faces: Path, words: list[str], message: str) -> None:
    answer = cli("verify", *words, *QUICK)
    assert answer.code == 2
    assert message in answer.err


def test_show_says_what_is_assumed_of_a_model(cli: Cli) -> None:
    (found,) = cli("show", TOYFACES, "--json").json["found"]
    assumed = {one["name"]: one["value"] for one in found["assumptions"]}
    assert assumed["padding of downsampling"] == "right and bottom"
    assert assumed["norm eps"] == 1e-6
    assert assumed["schedule"] == "linear, beta 0.0001 to 0.02, 1000 steps"
    assert assumed["prediction type"] == "v_prediction"
    assert all(one["if_wrong"] for one in found["assumptions"])
    assert "if that is wrong" in cli("show", TOYFACES).out


def test_show_reads_a_folder_with_and_without_a_card(cli: Cli, tmp_path: Path) -> None:
    from diffusers import DDIMScheduler

    backbone = load_backbone("ldm-random-tiny")
    backbone.unet.save_pretrained(tmp_path / "hub" / "unet")  # type: ignore[operator, union-attr]
    backbone.first_stage.save_pretrained(tmp_path / "hub" / "vqvae")  # type: ignore[operator, union-attr]
    DDIMScheduler().save_pretrained(tmp_path / "hub" / "scheduler")
    (hub,) = cli("show", tmp_path / "hub", "--json").json["found"]
    assert (hub["name"], hub["family"]) == ("hub", "ldm")
    assert {"first stage": "VQModel", "scale of latents": 1.0}.items() <= {
        one["name"]: one["value"] for one in hub["assumptions"]
    }.items()
    card = {"format": 1, "name": "ours", "family": "ldm", "scale_factor": 0.5, "ema": True}
    (tmp_path / "hub" / "card.json").write_text(json.dumps(card))
    (ours,) = cli("show", tmp_path / "hub", "--json").json["found"]
    assumed = {one["name"]: one["value"] for one in ours["assumptions"]}
    assert (ours["name"], assumed["scale of latents"], assumed["weights"]) == ("ours", 0.5, "averaged (EMA)")


def test_show_of_a_folder_that_is_no_backbone_is_refused(cli: Cli, tmp_path: Path) -> None:
    answer = cli("show", tmp_path)
    assert answer.code == 3
    assert "no backbone family knows the folder" in answer.err


def test_show_of_a_backbone_imports_no_torch() -> None:
    code = f"import sys; sys.argv = ['hspace', 'show', '{TOYFACES}']; import atexit; "
    code += "atexit.register(lambda: sys.stderr.write(str('torch' in sys.modules))); import hspace.cli as c; c.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "False")
