"""A run can be killed anywhere and goes on with the same bits."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hspace.checkpoint import load_checkpoint
from hspace.errors import NotFoundError, RefusedError
from hspace_toyfaces.backbone_training import BackboneLearner
from hspace_toyfaces.learner import generator_for, rate_at
from hspace_toyfaces.recipes import BackboneRecipe, revise
from hspace_toyfaces.training import Run, train

RECIPE = BackboneRecipe(
    kind="backbone", name="micro", summary="", images=32, batch=4, learning_rate=1e-3, warmup=2, image_size=8,
    channels=(8, 8),
)  # fmt: skip

STOPPED = """
import os, signal, sys
from pathlib import Path
import torch
from test_training import learner
from hspace_toyfaces.training import Run, train
torch.set_num_threads(1)
learner()  # imports what the processes share
for name in sys.argv[2:]:
    child = os.fork()
    if child == 0:
        made = learner()
        step = made.step
        made.step = lambda i: os.kill(os.getpid(), signal.Signals[name]) or step(i) if i == 5 else step(i)
        os._exit(0 if train(made, Run(Path(sys.argv[1], name), save_every=0.0, log_every=2)) else 130)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learner(recipe: BackboneRecipe = RECIPE, seed: int = 0) -> BackboneLearner:
    return BackboneLearner(recipe, seed, torch.device("cpu"))


def final(folder: Path) -> Mapping[str, Tensor]:
    checkpoint = load_checkpoint(folder)
    assert checkpoint is not None
    assert checkpoint.step == RECIPE.steps
    return checkpoint.tensors


def equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(torch.equal(some[name], others[name]) for name in some)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, Path]]:
    """For each signal, how a process that got it in the middle of a run ended, and the run's folder."""
    folder, signals = tmp_path_factory.mktemp("stopped"), ["SIGKILL", "SIGINT"]
    command = [sys.executable, "-c", STOPPED, str(folder), *signals]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True)
    codes = map(int, done.stdout.split()[-len(signals) :])
    return {name: (code, folder / name) for name, code in zip(signals, codes, strict=True)}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    train(learner(), Run(folder, log_every=2))
    return folder


def test_a_run_killed_with_9_goes_on_with_the_same_bits(
    uninterrupted: Path, stopped: dict[str, tuple[int, Path]]
) -> None:
    code, folder = stopped["SIGKILL"]
    assert code == -signal.SIGKILL
    assert train(learner(), Run(folder, log_every=2))
    assert equal(final(folder), final(uninterrupted))


def test_ctrl_c_saves_and_exits_130(uninterrupted: Path, stopped: dict[str, tuple[int, Path]]) -> None:
    code, folder = stopped["SIGINT"]
    assert code == 130
    checkpoint = load_checkpoint(folder)
    assert checkpoint is not None
    assert checkpoint.step == 6
    train(learner(), Run(folder))
    assert equal(final(folder), final(uninterrupted))


def test_a_finished_run_is_left_as_it_is(uninterrupted: Path) -> None:
    before = final(uninterrupted)
    assert train(learner(), Run(uninterrupted))
    assert equal(final(uninterrupted), before)


def test_a_run_shows_its_losses_and_samples(uninterrupted: Path) -> None:
    for name in ("log.jsonl", "loss.png", "samples.png"):
        assert (uninterrupted / name).stat().st_size > 0


def test_another_recipe_is_refused(uninterrupted: Path) -> None:
    with pytest.raises(RefusedError, match=r"begun with learning_rate = 0\.001 and not 0\.002"):
        train(learner(revise(RECIPE, learning_rate=2e-3)), Run(uninterrupted))


def test_another_seed_is_refused(uninterrupted: Path) -> None:
    with pytest.raises(RefusedError, match="begun with seed 0 and not 1"):
        train(learner(seed=1), Run(uninterrupted))


def test_fresh_begins_anew(uninterrupted: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes((uninterrupted / "checkpoint.safetensors").read_bytes())
    run = Run(tmp_path, fresh=True)
    assert run.begin(learner(seed=1)) == 0


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(RefusedError, match="Begin anew with --fresh"):
        Run(tmp_path).begin(learner())


def test_the_draws_of_a_step_depend_on_seed_and_step_alone() -> None:
    draws = [torch.rand(1, generator=generator_for(*pair)).item() for pair in ((0, 0), (0, 1), (1, 0), (0, 1))]
    assert len(set(draws)) == 3
    assert draws[1] == draws[3]


def test_the_learning_rate_rises_then_falls_to_nothing() -> None:
    rates = [rate_at(revise(RECIPE, images=4000), step) for step in (0, 1, 500, 1000)]
    assert rates == pytest.approx([0.5e-3, 1e-3, 0.5e-3, 0.0], abs=1e-8)


def test_a_run_begins_with_the_averaged_weights_that_its_recipe_names(tmp_path: Path) -> None:
    train(learner(), Run(tmp_path / "first"))
    second = learner(revise(RECIPE, start="first"), seed=1)
    assert Run(tmp_path / "second").begin(second) == 0
    averaged = {name: tensor for name, tensor in final(tmp_path / "first").items() if name.startswith("ema/")}
    begun = second.tensors()
    assert equal(averaged, {name: begun[name] for name in averaged})
    assert equal(averaged, {name: begun[name.replace("ema/", "model/")] for name in averaged})


def test_a_run_to_begin_from_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="holds no run, nor is it a backbone"):
        Run(tmp_path / "second").begin(learner(revise(RECIPE, start="first")))
