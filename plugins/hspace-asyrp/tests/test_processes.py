"""Several processes train one head: the same one that a single process trains, stored and told of once.

By SGD: a gradient that was averaged wrongly shows, which Adam would hide, and rounding is not blown up to whole steps.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hspace import Direction
from hspace.processes import own_device
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build
from hspace_asyrp.processes import Processes

from .colours import STEPS, Colours, task

LAUNCH = "accelerate.commands.launch --multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no -m hspace"
WORLD = Path(__file__).with_name("world.py")
FIVE = 5
"""Pictures; with 4 a batch, the second batch has one, which two processes cannot share."""


def test_two_processes_train_the_head_that_one_does(colours: Colours, tmp_path: Path, hspace_home: Path) -> None:
    asked = task(colours, PlantedBackbone(), n=FIVE)
    (alone,) = build(head="table", t_edit=400, epochs=6, fidelity="official").find(PlantedBackbone(), asked)
    call = f"discover --from grey --to red --backbone planted --encoder colours --head table --samples {FIVE} --json"
    settings = [part for one in ("t_edit=400", "epochs=6", "fidelity=official") for part in ("--set", one)]
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCH.split(), *call.split(), "--steps", str(STEPS), "--device", "cpu", *settings],
        env={**os.environ, "HSPACE_PLUGINS": str(WORLD), "HSPACE_HOME": str(hspace_home), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["directions"]  # one object: the other process prints nothing
    together = Direction.load(Path(row["path"]))
    for name, weight in alone.weights.items():
        torch.testing.assert_close(together.weights[name], weight, rtol=1e-4, atol=1e-5 * float(weight.abs().max()))
    assert len((tmp_path / "hspace-out" / "log.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize("pictures", [1, 2, 3, 7])
def test_the_shares_of_a_batch_make_the_whole(pictures: int) -> None:
    batch = torch.arange(pictures)
    shares = [Processes(index, 3).share(batch) for index in range(3)]
    assert sorted(torch.cat([part for part, weight in shares if weight]).tolist()) == batch.tolist()
    assert sum(weight for _, weight in shares) == pytest.approx(1)
    assert all(len(part) for part, _ in shares)


def test_alone_a_process_has_the_whole_and_adds_nothing_up() -> None:
    one = Processes.joined(torch.device("cpu"))
    assert one == Processes(0, 1)
    assert one.share(torch.arange(3))[1] == 1.0
    assert float(one.sum(torch.tensor(2.0))) == 2.0
    assert one.from_main((3, 0), torch.device("cpu")) == (3, 0)


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_device("cuda") == "cuda"
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert [own_device(name) for name in ("cuda", "cuda:0", "cpu")] == ["cuda:1", "cuda:0", "cpu"]
