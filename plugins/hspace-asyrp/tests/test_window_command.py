"""`hspace window` on a tiny backbone."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from hspace.cli import app
from hspace_asyrp.lpips import Lpips

pytestmark = pytest.mark.usefixtures("hspace_home")
QUICK = ("--backbone", "ddpmpp-random-tiny", "--encoder", "toyclip", "--samples", "2", "--steps", "4")


def window(*arguments: object) -> Result:
    return CliRunner().invoke(app(), ["window", *QUICK, *map(str, arguments)])


def test_it_prints_the_curves_and_the_window_and_draws_them(tmp_path: Path) -> None:
    ran = window("--from", "a face", "--to", "a smiling face", "--out", tmp_path)
    assert ran.exit_code == 0, ran.output
    assert "1 - cos of toyclip" in ran.stdout
    assert "as large a share of the whole distance" in ran.stdout
    assert "t_boost: none; its threshold is one of LPIPS" in ran.stdout
    with Image.open(tmp_path / "ddpmpp-random-tiny.window.png") as picture:
        assert picture.width > picture.height


def test_json_has_the_same_in_numbers(tmp_path: Path) -> None:
    answer = json.loads(window("--source", "toyfaces", "--out", tmp_path, "--json").stdout)
    assert answer["curves"]["timesteps"] == [999, 666, 333, 0]
    assert answer["curves"]["pictures"] == 2
    assert [one["cosine"] for one in answer["windows"]] == [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6]
    assert answer["t_boost"] is None
    assert "t_edit" not in answer


def test_lpips_of_pictures_that_are_too_small_is_told(tmp_path: Path) -> None:
    torch.save({f"lin{key[6]}.model.1.weight" if key.startswith("heads") else key: tensor
                for key, tensor in Lpips().state_dict().items()}, tmp_path / "whole.pth")  # fmt: skip
    ran = window("--lpips", tmp_path / "whole.pth", "--out", tmp_path)
    assert "LPIPS needs pictures of at least 31 pixels a side" in str(ran.exception)
