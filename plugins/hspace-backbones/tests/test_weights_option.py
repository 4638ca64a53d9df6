"""`--weights` and `--offline` in every command that loads a backbone, with their exit codes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hspace.cli import main

from .serving import FACTS, Server, checkpoint

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    server: Server,
    offer: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command on a card whose file only the user has; returns its exit code and what it printed."""
    offer("small", **FACTS, file="model.pt", get="cannot be downloaded: its link is dead", weights="bring-your-own")
    checkpoint(tmp_path / "model.pt")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hspace", *words])
        code = 0
        try:
            main()
        except SystemExit as exit:
            code = int(exit.code or 0)
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def backbones(run: Run) -> dict[str, Any]:
    return {one["name"]: one for one in json.loads(run("list-backbones", "--json")[1])["backbones"]}


def test_every_command_takes_the_users_file(run: Run) -> None:
    mine = ("--backbone", "small", "--weights", "model.pt")
    assert run("sample", *mine, "-n", "1", "--steps", "2", "--out", "faces")[0] == 0
    assert run("invert", "faces/0-0000.png", *mine, "--steps", "2", "--out", "latents")[0] == 0
    found = (
        "discover",
        "--unsupervised",
        *mine,
        "-k",
        "1",
        "--samples",
        "1",
        "--steps",
        "2",
        "--name",
        "some",
        "--json",
    )
    code, out, err = run(*found)
    assert code == 0, err
    direction = json.loads(out)["directions"][0]["id"]
    assert direction.startswith("small/")
    edit = ("edit", "faces/0-0000.png", "--direction", f"{direction}=1", "--steps", "2")
    assert run(*edit, "--weights", "model.pt", "--offline")[0] == 0
    assert run(*edit, "--out", "again")[0] == 0, "once brought, the name alone is enough"


def test_show_tells_what_a_file_holds(run: Run) -> None:
    code, out, _ = run("show", "small", "--weights", "model.pt", "--json")
    assert code == 0
    (found,) = json.loads(out)["found"]
    assert found["facts"]["source"].startswith("model.pt, sha256 ")
    assert found["facts"]["timestep_scale"] == 1.0


def test_the_list_tells_where_the_weights_are(run: Run) -> None:
    assert backbones(run)["small"]["weights"] == "bring-your-own"
    run("show", "small", "--weights", "model.pt")
    assert backbones(run)["small"]["weights"] == "cached"


def test_without_its_file_a_backbone_is_not_found(run: Run) -> None:
    code, out, err = run("sample", "--backbone", "small")
    assert (code, out) == (4, "")
    assert err == "error: the weights of small: cannot be downloaded: its link is dead.\n"


def test_a_file_that_is_no_checkpoint_is_refused(run: Run) -> None:
    Path("model.pt").write_bytes(b"PK\x03\x04 and no more")
    code, _, err = run("sample", "--backbone", "small", "--weights", "model.pt")
    assert code == 3
    assert "model.pt is not a whole checkpoint" in err


def test_offline_a_published_checkpoint_is_not_found(run: Run) -> None:
    code, _, err = run("sample", "--backbone", "adm-imagenet64-cond", "--offline")
    assert code == 4
    assert "nothing is downloaded offline" in err
    assert "--weights 64x64_diffusion.pt" in err
