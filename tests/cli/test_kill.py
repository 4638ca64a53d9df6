"""kill -9 at any moment leaves the registry and the outputs whole, and a rerun completes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from hspace import registry
from hspace.direction import Direction

from .conftest import BACKBONE, Cli

HSPACE = [sys.executable, "-m", "hspace"]
INTERRUPTIBLE = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
from hspace.cli import main
main()
"""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a Unix signal")


def killed_once(command: list[str], there: Path, pattern: str, pace: float = 0) -> None:
    """Runs a command and kills it as soon as a file of that pattern is there; `pace` is for the planted backbone."""
    environment = {**os.environ, "PACE": str(pace)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not any(there.rglob(pattern)):
        time.sleep(0.005)
    alive = process.poll() is None
    process.kill()
    process.wait()
    assert alive, "the command ended before it could be killed"


def test_edit_goes_on_where_it_was_killed(cli: Cli, planted_find: str, face: Path, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for index in range(6):
        shutil.copy(face, faces / f"{index}.png")
    call = ["edit", str(faces), "--direction", f"{planted_find}#0=2", "--steps", "20", "--batch", "1", "--json"]
    out = tmp_path / "hspace-out" / "edit"
    killed_once([*HSPACE, *call], out, "0.png", pace=0.005)
    for path in out.glob("[0-9].png"):
        with Image.open(path) as picture:
            picture.load()
    done = sorted(path.name for path in out.glob("[0-9].png"))
    assert 1 <= len(done) < 6
    outputs = cli(*call).json["outputs"]
    assert [Path(one["output"]).name for one in outputs if one["skipped"]] == done
    assert len(list(out.glob("[0-9].png"))) == 6


@pytest.mark.parametrize("moment", ["*.safetensors", "direction.json"])
def test_discover_leaves_a_registry_that_lists_and_completes(
    cli: Cli, planted: str, hspace_home: Path, moment: str
) -> None:
    call = ["discover", "--unsupervised", "--backbone", planted, "-k", "2", "--samples", "1", "--steps", "4"]
    killed_once([*HSPACE, *call], hspace_home, moment, pace=0.005)
    for entry in registry.entries():
        Direction.load(entry.folder)
    assert cli("verify").code == 0
    answer = cli(*call, "--json")
    assert answer.code == 0
    ids = [one["id"] for one in json.loads(cli("list-directions", "--json").out)["directions"]]
    assert answer.json["directions"][0]["id"].partition("#")[0] in ids


def test_discover_says_after_ctrl_c_how_far_it_came_and_goes_on_from_there(cli: Cli, tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for index in range(24):
        Image.new("RGB", (16, 16), (10 * index, 0, 90)).save(faces / f"{index:02d}.png")
    call = ["discover", "--unsupervised", "--backbone", BACKBONE, "-k", "1", "--steps", "12", "--images", str(faces)]
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTIBLE, *call], stderr=subprocess.PIPE, text=True)
    inverted = tmp_path / "hspace-cache" / "inverted"
    while process.poll() is None and not any(inverted.rglob("[0-9a-f]*.safetensors")):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 130, told
    (said,) = re.findall(r"(\d+) of 24 pictures are inverted and kept; the same call goes on from there", told)
    assert 1 <= int(said) < 24
    assert cli(*call, "--json").json["pictures"] == {"inverted": 24, "from_cache": int(said), "skipped": []}
