"""`hspace evaluate`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from hspace.plugins import Plugins

from .conftest import Cli

METRIC = """
import hspace

@hspace.hookimpl
def hspace_metrics():
    return [
        hspace.Card("far", "ruler:build", "the mean absolute difference"),
        hspace.Card("asks", "ruler:build", "a metric that reads", needs=("prompts",)),
    ]

def build(scale: float = 1.0, seed=0):
    from hspace.per_picture import PairMetric

    class Far(PairMetric):
        protocol = "the mean absolute difference"

        def look(self, images):
            return images

        def compare(self, one, other):
            return {"far": scale * (one - other).abs().mean(dim=(1, 2, 3))}

    return Far(seed)
"""
FEW = ("--samples", 3, "--steps", 4, "--metrics", "far")


@pytest.fixture(autouse=True)
def _ruler(hspace_home: Path, write_plugin: Callable[[str, str], Plugins], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSPACE_DISABLE", "hspace-metrics,hspace-toyfaces")
    write_plugin("ruler", METRIC)


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """The options of two folders of three pictures each."""
    for name, colour in (("orig", 0), ("edit", 51)):
        (tmp_path / name).mkdir()
        for index in range(3):
            Image.new("RGB", (20, 16), (colour,) * 3).save(tmp_path / name / f"{index}.png")
    return ["--orig", str(tmp_path / "orig"), "--edit", str(tmp_path / "edit")]


def test_the_table_has_values_and_intervals(cli: Cli, planted_find: str) -> None:
    answer = cli("evaluate", f"{planted_find}#0", *FEW)
    assert answer.code == 0, answer.err
    header, row = answer.out.splitlines()[:2]
    assert header.split() == ["measure", "pair", "value", "95", "%", "interval", "spread", "floor", "n"]
    assert row.split()[:2] == ["far", "recon-edit"]
    assert " to " in row
    assert row.split()[-1] == "3"
    assert "3 drawn latents of seed 0, 4 DDIM steps" in answer.out


def test_json_is_one_object_and_so_is_the_file(cli: Cli, planted_find: str, tmp_path: Path) -> None:
    answer = cli("evaluate", planted_find, *FEW, "--strength=-1,2", "--json", "--out", tmp_path / "there")
    assert [(one["direction"], one["strength"]) for one in answer.json["results"]] == [
        (f"{planted_find}#{k}", strength) for k in (0, 1) for strength in (-1, 2)
    ]
    written = json.loads((tmp_path / "there" / "evaluation.json").read_text())
    assert written["results"] == answer.json["results"]
    assert len(written["results"][0]["values"]) == 3


def test_folders_are_compared(cli: Cli, folders: list[str]) -> None:
    answer = cli("evaluate", *folders, "--metrics", "far", "--set", "far.scale=0.5", "--json")
    (row,) = answer.json["results"]
    assert (row["pair"], row["value"], row["n"]) == ("orig-edit", pytest.approx(0.2), 3)
    assert row["values"] == {str(index): pytest.approx(0.2) for index in range(3)}


def test_what_could_not_be_measured_is_told_with_its_reason(cli: Cli, folders: list[str]) -> None:
    answer = cli("evaluate", *folders)
    assert answer.code == 0
    assert "no asks: metric 'asks' needs prompts, which was not given: give --from and --to" in answer.out
    (absent,) = cli("evaluate", *folders, "--json").json["absent"]
    assert absent["metric"] == "asks"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "say what to measure: directions"),
        (["--orig", "orig"], 2, "give two of --orig, --recon and --edit"),
        (["--orig", "none", "--edit", "edit"], 4, "there is no file or folder none"),
        (["planted/none.here"], 4, "no direction is called 'planted/none.here'"),
        (["x/y.z", "--orig", "orig"], 2, "not both"),
        (["x/y.z", "--size", "16"], 2, "--size is for folders"),
        (["--orig", "orig", "--edit", "edit", "--strength", "1"], 2, "are for directions"),
        (["--orig", "orig", "--edit", "edit", "--metrics", "fra"], 4, "no metric is called 'fra'; did you mean 'far'"),
        (["--orig", "orig", "--edit", "edit", "--metrics", "far,"], 2, "--metrics takes names"),
        (["--orig", "orig", "--edit", "edit", "--metrics", "asks"], 2, "metric 'asks' needs prompts"),
        (["--orig", "orig", "--edit", "edit", "--from", "a face"], 2, "--to needs a prompt"),
        (["--orig", "orig", "--edit", "edit", "--set", "scale=2"], 2, "--set takes NAME.key=value"),
        (["--orig", "orig", "--edit", "edit", "--set", "far.size=2"], 2, "has no setting 'size'; it takes scale"),
        (["--orig", "orig", "--edit", "edit", "--set", "fat.size=2"], 4, "no metric is called 'fat'"),
        (["--orig", "orig", "--edit", "edit", "--set", "asks.scale=2", "--metrics", "far"], 2, "not among the"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    cli: Cli, folders: list[str], options: list[str], code: int, message: str
) -> None:
    answer = cli("evaluate", *options)
    assert answer.code == code, answer.err
    assert message in answer.err
    assert "Traceback" not in answer.err
    assert not Path("hspace-out").exists()


@pytest.mark.parametrize("text", ["one", "1,", "nan", "inf"])
def test_strengths_that_are_none_are_refused(cli: Cli, planted_find: str, text: str) -> None:
    answer = cli("evaluate", planted_find, "--strength", text)
    assert answer.code == 2
    assert "--strength takes" in answer.err


def test_unequal_names_exit_with_2_and_a_broken_picture_with_3(cli: Cli, folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "edit" / "1.png").rename(tmp_path / "edit" / "7.png")
    assert cli("evaluate", *folders).code == 2
    (tmp_path / "edit" / "7.png").rename(tmp_path / "edit" / "1.png")
    (tmp_path / "edit" / "1.png").write_bytes(b"no picture")
    assert cli("evaluate", *folders).code == 3


def test_where_nothing_can_be_measured_it_fails_and_says_so(cli: Cli, planted_find: str) -> None:
    answer = cli("evaluate", f"{planted_find}#0", "--samples", 1, "--steps", 4, "--metrics", "far", "--set",
                 "far.scale=nan")  # fmt: skip
    assert answer.code == 1
    assert "nothing could be measured" in answer.err
    assert "no far recon-edit: no picture could be measured" in answer.out


def test_an_output_folder_that_cannot_be_written_is_told(cli: Cli, folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = cli("evaluate", *folders, "--metrics", "far", "--out", tmp_path / "file" / "in")
    assert answer.code == 1
    assert "cannot write to" in answer.err


def start(arguments: list[str], **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "hspace", "evaluate", *arguments]
    return subprocess.Popen(
        command, env={**os.environ, **more}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_two_processes_find_what_one_does(cli: Cli, planted_find: str, tmp_path: Path) -> None:
    asked = [f"{planted_find}#0", "--samples", "5", "--steps", "4", "--metrics", "far", "--batch", "1", "--json"]
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    runs = [start([*asked, "--out", "both"], RANK=rank, LOCAL_RANK=rank, **shared) for rank in ("0", "1")]
    outs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outs
    assert outs[1][0] == ""
    alone = cli("evaluate", *asked, "--out", "alone").json["results"]
    assert json.loads(outs[0][0])["results"] == alone


def test_ctrl_c_says_how_far_it_came(cli: Cli, planted_find: str, ctrl_c_heard: None, tmp_path: Path) -> None:
    asked = [f"{planted_find}#0", "--samples", "400", "--steps", "4", "--metrics", "far", "--batch", "1"]
    run = start([*asked, "--out", "out"], PACE="0.05")
    for _ in range(600):
        if (tmp_path / "out").is_dir():
            break
        time.sleep(0.05)
    time.sleep(1)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "of 400 pictures are measured and kept; the same call goes on from there" in err
