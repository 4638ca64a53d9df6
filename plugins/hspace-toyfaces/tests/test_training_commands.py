"""The commands: what they say when asked for something that is not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.loading import load_backbone
from hspace_toyfaces.commands import app

RECIPE = """
kind = "backbone"
name = "micro"
summary = "Micro"
images = 8
batch = 4
learning_rate = 1e-3
image_size = 16
channels = [8, 8]
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "micro.toml"
    path.write_text(RECIPE)
    return path


def invoke(*arguments: str | Path | int) -> str:
    result = CliRunner().invoke(app(), [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_importing_the_commands_imports_no_torch() -> None:
    code = "import sys, hspace_toyfaces.commands as c; c.app(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_recipe_becomes_a_backbone_folder(recipe: Path, tmp_path: Path) -> None:
    assert invoke("train-backbone", recipe, "--out", tmp_path / "run", "--images", "4") == f"{tmp_path / 'run'}\n"
    invoke("export-backbone", tmp_path / "run", "--out", tmp_path / "out")
    assert (tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors").is_file()


def test_a_run_on_skewed_faces_has_a_name_of_its_own(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("train-backbone", recipe, "--skew", "skin=0.03") == "runs/micro-skin-0.03\n"
    invoke("export-backbone", "runs/micro-skin-0.03", "--out", "out")
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert (card["name"], card["summary"]) == ("micro-skin-0.03", "Micro, 3 % of them with dark skin")
    assert card["training"]["recipe"]["skew"] == {"skin": 0.03}


def test_a_skew_of_another_form_is_refused(recipe: Path) -> None:
    with pytest.raises(UsageError, match=r"--skew: .*as in skin=0\.03; 'skin' was given"):
        invoke("train-backbone", recipe, "--skew", "skin")


def test_a_run_begins_from_a_backbone(recipe: Path, tmp_path: Path) -> None:
    invoke("train-backbone", recipe, "--out", tmp_path / "first")
    invoke("export-backbone", tmp_path / "first", "--out", tmp_path / "backbone")
    call = ("--init", tmp_path / "backbone", "--images", 1, "--out", tmp_path / "second")
    invoke("train-backbone", recipe, *call)
    before = load_backbone(tmp_path / "backbone").state_dict()
    invoke("export-backbone", tmp_path / "second", "--out", tmp_path / "changed")
    after = load_backbone(tmp_path / "changed").state_dict()
    assert all(torch.allclose(before[name], after[name], atol=0.01) for name in before)  # one step away from it


def test_what_is_neither_a_run_nor_a_backbone_begins_nothing(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no run, nor is it a backbone: no backbone is called 'nobody'"):
        invoke("train-backbone", recipe, "--init", "nobody", "--out", tmp_path / "run")


def test_a_backbone_of_another_shape_begins_nothing(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="do not fit recipe 'micro'"):
        invoke("train-backbone", recipe, "--init", "ddpmpp-random-tiny", "--out", tmp_path / "run")


def test_an_unknown_recipe_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="no recipe is called 'nothing'"):
        invoke("train-backbone", "nothing")


def test_an_unusable_device_is_named(recipe: Path) -> None:
    with pytest.raises(UsageError, match="device 'abacus' cannot be used"):
        invoke("train-backbone", recipe, "--device", "abacus")


def test_a_family_names_its_recipe(tmp_path: Path) -> None:
    invoke("train-backbone", "--family", "adm", "--out", tmp_path / "run", "--images", "1")
    assert (tmp_path / "run" / "checkpoint.safetensors").is_file()


def test_a_family_with_several_recipes_lists_them() -> None:
    with pytest.raises(UsageError, match="ddpmpp-toyfaces-32, ddpmpp-toyfaces-64"):
        invoke("train-backbone", "--family", "ddpmpp")


def test_neither_recipe_nor_family_is_told() -> None:
    with pytest.raises(UsageError, match="a RECIPE, or --family"):
        invoke("train-backbone")


def test_a_first_stage_is_trained_by_its_recipe(tmp_path: Path) -> None:
    text = RECIPE.replace('"backbone"', '"first-stage"').replace("[8, 8]", "[8, 8]\ncodes = 4")
    (tmp_path / "codes.toml").write_text(text)
    run = tmp_path / "run"
    assert invoke("train-first-stage", tmp_path / "codes.toml", "--out", run) == f"{run}\n"
