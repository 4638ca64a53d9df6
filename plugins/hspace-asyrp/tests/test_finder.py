"""The finder on a backbone and an encoder whose answers are known: it finds the way to red."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace import Backbone, Direction, registry
from hspace.errors import RefusedError, UsageError
from hspace.sampling import edit, latents, sample
from hspace.testing import PlantedBackbone
from hspace_asyrp.finder import build
from hspace_asyrp.inert import InertError

from .colours import NATURAL, QUICK, STEPS, Colours, found, task

pytestmark = pytest.mark.usefixtures("hspace_home")


def redness(backbone: Backbone, direction: Direction, strength: float) -> Tensor:
    x_T = latents(backbone, 6, 99)
    change = edit(backbone, x_T, [(direction, strength)], steps=STEPS) - sample(backbone, x_T, steps=STEPS)
    return change.mean(dim=(2, 3))


def test_unseen_pictures_become_redder_and_not_greener_or_bluer(colours: Colours) -> None:
    red, green, blue = redness(*found(colours), 1.0).mean(dim=0).tolist()
    assert red > 0.05
    assert abs(green) < red / 3
    assert abs(blue) < red / 3


def test_the_usual_settings_find_it_in_the_window_where_the_backbone_decides(colours: Colours) -> None:
    backbone, direction = found(colours, **NATURAL)
    red, green, blue = redness(backbone, direction, 1.0).mean(dim=0).tolist()
    assert red > 0.05
    assert max(abs(green), abs(blue)) < red / 3
    assert 0 <= direction.meta.t_edit < (direction.meta.t_start or 0) < 999
    assert direction.meta.provenance.config["fidelity"] == "natural"
    assert "own pictures lack" in {one.name: one.protocol for one in direction.meta.metrics}["full_effect"]


def test_the_other_sign_goes_the_other_way(colours: Colours) -> None:
    backbone, direction = found(colours)
    assert float(redness(backbone, direction, -1.0)[:, 0].max()) < 0


def test_strength_1_is_the_full_effect(colours: Colours) -> None:
    _, direction = found(colours)
    figures = {one.name: one.value for one in direction.meta.metrics}
    assert figures["effect"] == pytest.approx(figures["full_effect"], rel=0.05)
    assert figures["effect_of_scrambled_heads"] < figures["effect"]
    assert direction.meta.strength.default == 1.0


def test_the_direction_says_where_it_came_from(colours: Colours) -> None:
    _, direction = found(colours)
    assert direction.id == "planted/red.asyrp"
    assert direction.meta.prompts == ("grey", "red")
    assert direction.meta.steps == STEPS
    assert direction.meta.provenance.config["fidelity"] == "paper"


def test_the_same_task_gives_the_same_bytes(colours: Colours) -> None:
    one, other = (found(colours, epochs=2)[1] for _ in range(2))
    assert one.meta == other.meta
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


@pytest.mark.parametrize(
    "config", [{"head": "delta-block", "head_config": {"norm_num_groups": 8}}, {"fidelity": "official", "rate": 0.5}]
)
def test_other_heads_and_the_released_codes_loss_find_it_too(colours: Colours, config: dict[str, object]) -> None:
    backbone, direction = found(colours, **config)
    assert float(redness(backbone, direction, 1.0)[:, 0].mean()) > 0.03


def test_the_window_is_estimated_where_it_is_not_given(colours: Colours) -> None:
    _, direction = found(colours, t_edit=None, epochs=4)
    assert 0 < direction.meta.t_edit < 999


def test_a_head_that_learnt_nothing_is_said_to_be_inert(colours: Colours) -> None:
    with pytest.raises(InertError, match="the head learnt nothing that shows") as caught:
        found(colours, rate=1e-9, epochs=1)
    assert caught.value.exit_code == 5


def test_equal_prompts_are_refused(colours: Colours) -> None:
    backbone = PlantedBackbone()
    with pytest.raises(RefusedError, match="there is no direction from 'red' to 'red'"):
        next(build().find(backbone, task(colours, backbone, prompts=("red", "red"))))


def test_a_window_without_a_step_is_told_with_its_ends(colours: Colours) -> None:
    with pytest.raises(UsageError, match="no step of 8 is at 600 <= t <= 650; set t_edit and t_start further apart"):
        found(colours, t_edit=600, t_start=650)


@pytest.mark.parametrize("config", [{"epochs": 0}, {"batch": 0}, {"rate": -1.0}, {"fidelity": "exact"}])
def test_a_setting_out_of_its_range_is_told(config: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(config))} must be"):
        build(**config)


KILLED = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from colours import Colours, found
from hspace_asyrp import running
from hspace_asyrp.training import Training

running.SAVE_EVERY = 0.0
walk = Training.run_pass
Training.run_pass = lambda self, index: os.kill(os.getpid(), signal.SIGKILL) if index == 3 else walk(self, index)
found(Colours(), epochs=4, **json.loads(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "settings",
    [{}, {"trajectory": "unedited", "init": "planted/red.asyrp"}, {**NATURAL, "population": 16}],
    ids=["paper", "others", "natural"],
)
def test_a_training_killed_with_9_goes_on_with_the_same_bits(
    colours: Colours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    import json
    import signal
    import subprocess
    import sys

    monkeypatch.setenv("HSPACE_CACHE", str(tmp_path / "cache"))
    registry.add(found(colours, epochs=1)[1])  # what `init` names
    whole = found(colours, epochs=4, **settings)[1]
    here = str(Path(__file__).parent)
    killed = subprocess.run([sys.executable, "-c", KILLED, here, json.dumps(settings)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert list((tmp_path / "cache" / "training").rglob("checkpoint.safetensors"))
    resumed = found(colours, epochs=4, **settings)[1]
    assert all(torch.equal(whole.weights[name], resumed.weights[name]) for name in whole.weights)
    assert not list((tmp_path / "cache" / "training").rglob("checkpoint.safetensors"))


def test_the_loss_curve_and_the_log_are_left_in_the_tasks_folder(colours: Colours, tmp_path: Path) -> None:
    backbone = PlantedBackbone()
    asked = replace(task(colours, backbone), folder=tmp_path)
    next(build(**{**QUICK, "epochs": 8}).find(backbone, asked))
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 16
    assert (tmp_path / "loss.png").stat().st_size > 0
