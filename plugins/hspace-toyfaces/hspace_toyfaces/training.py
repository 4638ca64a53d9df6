"""A training run in a folder: it can be killed at any time and goes on from its last checkpoint."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hspace.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hspace.errors import RefusedError
from hspace.plots import draw_losses
from hspace.progress import progress
from hspace.storage import write_bytes
from hspace_toyfaces import starting
from hspace_toyfaces.learner import Learner
from hspace_toyfaces.recipes import Recipe, same_recipe

LOG = "log.jsonl"


@dataclass
class Run:
    """Where a run lives and what it has used so far: CPU seconds and wall-clock seconds, over all its parts."""

    folder: Path
    fresh: bool = False
    save_every: float = 240.0
    log_every: int = 50
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    lines: list[dict[str, float]] = field(default_factory=list)

    def begin(self, learner: Learner[Any]) -> int:
        """The step to go on from: 0 for a new run, which begins where what the recipe's `start` names ended.

        Raises RefusedError when the folder holds a run with another recipe or seed, and as `starting.begin` does.
        """
        if self.fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            checkpoint = load_checkpoint(self.folder, learner.device)
        except RefusedError as error:
            raise RefusedError(f"{error}. Begin anew with --fresh.") from error
        if checkpoint is None:
            if learner.recipe.start is not None:
                starting.begin(learner, self.folder.parent)
            return 0
        same_recipe(learner.recipe, checkpoint.facts["recipe"], self.folder)
        if checkpoint.facts["seed"] != learner.seed:
            raise RefusedError(
                f"the run in {self.folder} was begun with seed {checkpoint.facts['seed']} and not {learner.seed}. "
                f"Continue it with that seed, choose another folder with --out, or begin anew with --fresh."
            )
        learner.restore(checkpoint.tensors)
        self.cpu_seconds, self.wall_seconds = checkpoint.facts["cpu_seconds"], checkpoint.facts["wall_seconds"]
        self.lines = checkpoint.facts["log"]
        return checkpoint.step

    def log(self, step: int, recipe: Recipe, losses: list[float]) -> None:
        """Adds the mean loss of the last steps to the log, and rewrites `log.jsonl`."""
        loss, cpu = sum(losses) / len(losses), round(self.cpu_seconds, 1)
        self.lines.append({"step": step, "images": step * recipe.batch, "loss": loss, "cpu_seconds": cpu})
        write_bytes(self.folder / LOG, "".join(json.dumps(line) + "\n" for line in self.lines).encode())

    def save(self, learner: Learner[Any], step: int) -> None:
        """Writes the checkpoint, then the loss curve and whatever shows what the model can do."""
        facts = {
            "recipe": learner.recipe.model_dump(mode="json"),
            "seed": learner.seed,
            "cpu_seconds": round(self.cpu_seconds, 1),
            "wall_seconds": round(self.wall_seconds, 1),
            "threads": torch.get_num_threads(),
            "device": str(learner.device),
            "torch": torch.__version__,
            "log": self.lines,
        }
        save_checkpoint(self.folder, Checkpoint(step, learner.tensors(), facts))
        draw_losses(self.lines, self.folder / "loss.png")
        learner.illustrate(self.folder)


def train(learner: Learner[Any], run: Run) -> bool:
    """Whether the run came to its end, or Ctrl-C stopped it; either way all its work is in its folder.

    Raises RefusedError when the folder holds a run with another recipe or seed.
    """
    start, steps = run.begin(learner), learner.recipe.steps
    losses: list[float] = []
    clock = _Clock(run)
    with _polite_interrupt() as interrupted, progress("training") as advance:
        step, saved_at = start, time.monotonic()
        while step < steps and not interrupted():
            losses.append(learner.step(step))
            step += 1
            advance(step, steps)
            clock.tick()
            if step % run.log_every == 0 or step == steps or interrupted():
                run.log(step, learner.recipe, losses)
                losses.clear()
                if step == steps or interrupted() or time.monotonic() - saved_at > run.save_every:
                    run.save(learner, step)
                    saved_at = time.monotonic()
    return bool(step == steps)


class _Clock:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._cpu, self._wall = run.cpu_seconds - time.process_time(), run.wall_seconds - time.monotonic()

    def tick(self) -> None:
        self._run.cpu_seconds = self._cpu + time.process_time()
        self._run.wall_seconds = self._wall + time.monotonic()


@contextmanager
def _polite_interrupt() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is remembered until the step is done; a second one ends the run at once."""
    pressed: list[int] = []

    def remember(number: int, _: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
