"""What training a head costs: against the passes that it needs, and against the loop that the originals released."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import torch
from original import Original
from recording import interleaved, record, spread
from setting import BATCH, TINY, Setting, Size
from torch import Tensor

from hspace import Head
from hspace.building import build_head
from hspace.sampling import latents
from hspace_asyrp.loss import Goal
from hspace_asyrp.training import Training
from hspace_asyrp.unedited import Unedited
from hspace_asyrp.window import Window

ROUNDS = 3
GOALS = (0.5, 1.0)
"""The shares of the full effect, on held-out latents and at the drift allowed, that a training is timed until."""
GROWTH = 1.4
"""A training is looked at when its time has grown by this factor: what it needed is known as finely as that."""
BUDGET = 2.1
"""The originals' loop is given up after that many times what ours took to the last goal."""
START = {"init": "random"}
"""Of the originals' delta-block: torch's own."""


def a_pass(setting: Setting, whole: Unedited) -> dict[str, Any]:
    """One pass of a batch through the window, over bare passes of the same batch at the same timesteps."""
    training, _ = setting.training(whole, setting.window)
    parts: dict[str, list[float]] = {name: [] for name in ("E", "D", "D_with_graph", "look_with_graph")}
    bare = bare_passes(training, training.window, parts)
    ours, needed = interleaved(lambda: training.run_pass(0), bare, ROUNDS)
    n = len(training.batches[0]) * len(training.window.timesteps)
    return {
        "timesteps": len(training.window.timesteps), "batch": BATCH, "rounds": ROUNDS,
        "run_pass_cpu_s": spread(ours), "bare_passes_cpu_s": spread(needed),
        "cpu_ms_a_picture_and_timestep": {k: round(1e3 * statistics.median(v) / n, 2) for k, v in parts.items()},
        "ratio": round(statistics.median(ours) / statistics.median(needed), 4), "goal": 1.05,
    }  # fmt: skip


def bare_passes(training: Training, part: Unedited, parts: dict[str, list[float]]) -> Callable[[], None]:
    """E, D, D with a graph and backward, and a look of the encoder with backward, each by itself at every timestep."""
    backbone, encoder, batch = training.backbone, training.encoder, training.batches[0]
    assert part.x_t is not None
    x_t = part.x_t[:, batch]
    times = [torch.full((len(batch),), float(t)) for t in part.timesteps]
    with torch.no_grad():
        delta_h = torch.zeros_like(backbone.encode_h(x_t[0], times[0]).h)

    def bare() -> None:
        with torch.no_grad():
            states = list(timed(parts["E"], lambda i: backbone.encode_h(x_t[i], times[i]), len(times)))
            list(timed(parts["D"], lambda i: backbone.decode_h(states[i]), len(times)))
        shift = delta_h.requires_grad_(True)
        list(timed(parts["D_with_graph"], lambda i: backbone.decode_h(states[i], shift).sum().backward(), len(times)))
        images = [part.P_t[i, batch].clone().requires_grad_(True) for i in range(len(times))]
        list(timed(parts["look_with_graph"], lambda i: encoder.images(images[i]).sum().backward(), len(times)))

    return bare


def timed(seconds: list[float], function: Callable[[int], Any], times: int) -> Iterator[Any]:
    """What a function returns at 0 to times - 1; the CPU seconds of all are added to the list."""
    start = time.process_time()
    found = [function(i) for i in range(times)]
    seconds.append(time.process_time() - start)
    return iter(found)


def same_updates(setting: Setting, whole: Unedited) -> dict[str, Any]:
    """fidelity="official", one picture a batch, over the originals' loop: the same updates of the same weights."""
    window = Window(setting.window.t_edit, None)
    settings = {"fidelity": "official", "batch": 1, "head": "delta-block", "head_config": START}
    training, head = setting.training(whole, window, **settings)
    theirs = original(setting)
    x_T = training.x_T[:1]
    x_0 = theirs.x_0(x_T)
    start = weights_of(head)
    training.run_pass(0)
    theirs.run_picture(x_T, x_0)
    apart = float((weights_of(head) - weights_of(theirs.head)).norm() / (weights_of(head) - start).norm())
    ours, released = interleaved(lambda: training.run_pass(0), lambda: theirs.run_picture(x_T, x_0), ROUNDS)
    return {
        "timesteps": len(theirs.pairs), "rounds": ROUNDS, "weights_apart_as_a_share_of_their_way": round(apart, 6),
        "ours_cpu_s": spread(ours), "originals_cpu_s": spread(released),
        "ratio": round(statistics.median(ours) / statistics.median(released), 4),
    }  # fmt: skip


def weights_of(head: Head) -> Tensor:
    """All weights of a head, (n,)."""
    return torch.cat([parameter.detach().flatten() for parameter in head.parameters()])


def original(setting: Setting) -> Original:
    """The originals' loop in the window from our t_edit up; it knows no t_start."""
    head = build_head(setting.backbone, "delta-block", START, None)
    pairs = [pair for pair in setting.pairs if pair[0] >= setting.window.t_edit]
    goal = Goal(setting.delta_T, setting.natural.full, setting.cosine)
    return Original(setting.backbone, setting.encoder, head, setting.size.steps, pairs, goal)


class Race:
    """CPU seconds of a training, step after step, until the last goal is reached; looking is not counted."""

    def __init__(self, look: Callable[[], dict[str, float]], seconds: float = 0.0) -> None:
        self.look, self.seconds = look, seconds
        self.next, self.looks = 0.0, list[dict[str, float]]()

    def run(self, steps: Iterator[Callable[[], Any]], budget: float = float("inf")) -> dict[str, Any]:
        """Runs steps until the goal, the budget or their end."""
        done = 0
        for step in steps:
            done += 1
            start = time.process_time()
            step()
            self.seconds += time.process_time() - start
            if self.seconds >= min(self.next, budget) and self._reached():
                break
            if self.seconds >= budget:
                break
        else:
            if self.looks[-1]["cpu_s"] < self.seconds:
                self._reached()
        reached = {str(goal): self._when(goal) for goal in GOALS}
        return {"cpu_s": round(self.seconds, 2), "reached": reached, "steps": done, "looks": self.looks}

    def _when(self, goal: float) -> float | None:
        return next((look["cpu_s"] for look in self.looks if look["effect"] >= goal), None)

    def _reached(self) -> bool:
        self.looks.append({"cpu_s": round(self.seconds, 2), **self.look()})
        self.next = self.seconds * GROWTH
        return self.looks[-1]["effect"] >= GOALS[-1]


def ours(setting: Setting, whole: Unedited, walk: float, fidelity: str) -> dict[str, Any]:
    """Our training with the default head; the walk of its latents, which took `walk` seconds, counts."""
    size = setting.size
    window = setting.window if fidelity == "natural" else Window(setting.window.t_edit, None)
    race = Race(lambda: setting.matched(head.eval(), window), walk)
    training, head = setting.training(whole, window, fidelity=fidelity, epochs=size.epochs)
    steps = ((lambda i=index: (head.train(), training.run_pass(i))) for index in range(training.passes))
    return {
        "fidelity": fidelity,
        "head": "table",
        "walk_cpu_s": round(walk, 2),
        "passes": training.passes,
        **race.run(steps),
    }


def theirs(setting: Setting, budget: float) -> dict[str, Any]:
    """The originals' loop, with x_0 made when a picture is first seen."""
    loop = original(setting)
    x_T = latents(setting.backbone, setting.size.latents, seed=0).split(1)
    known: dict[int, Tensor] = {}
    race = Race(lambda: setting.matched(loop.head.eval(), Window(setting.window.t_edit, None)))

    def picture(i: int) -> None:
        if i not in known:
            known[i] = loop.x_0(x_T[i])
        loop.head.train()
        loop.run_picture(x_T[i], known[i])

    steps = ((lambda i=index: picture(i % len(x_T))) for index in count())
    return {"budget_cpu_s": round(budget, 1), **race.run(steps, budget)}


def ratio(one: dict[str, Any], other: dict[str, Any], goal: str) -> dict[str, Any]:
    """Our time over theirs: the time they had in vain where they did not get there, which is at most the truth."""
    ours, theirs = one["reached"][goal], other["reached"][goal]
    if ours is None:
        return {"ratio": None, "at_most": False}
    return {"ratio": round(ours / (theirs or other["cpu_s"]), 3), "at_most": theirs is None}


def main(arguments: Sequence[str] | None = None) -> None:
    """Times all three and records them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a random network and few steps, to see that it runs")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = TINY if asked.quick else Size()
    setting = Setting(size)
    told = {"size": vars(size), "quick": asked.quick, "window": vars(setting.window)}
    for stage in stages(setting):
        told |= stage
        record("asyrp_speed", told)  # a run that is stopped leaves what it has measured


def stages(setting: Setting) -> Iterator[dict[str, Any]]:
    """What is measured, part by part."""
    size, few = setting.size, setting.walked(BATCH, seed=0)
    passes = a_pass(setting, few)
    ms = passes["cpu_ms_a_picture_and_timestep"]
    population = round(size.population * size.steps * (ms["E"] + ms["D"]) / 1e3, 1)
    yield {"a_pass": passes, "population_cpu_s_from_E_and_D": population}
    yield {"same_updates": same_updates(setting, few)}
    start = time.process_time()
    whole = setting.walked(size.latents, seed=0)
    walk = time.process_time() - start
    until = {"effects": GOALS, "across_at": round(setting.far, 4), "growth_between_looks": GROWTH, "goal": 0.5}
    natural = ours(setting, whole, walk, "natural")
    yield {"until": until, "natural": natural}
    paper = ours(setting, whole, walk, "paper")
    yield {"paper": paper}
    released = theirs(setting, BUDGET * max(natural["cpu_s"], paper["cpu_s"]))
    over = {
        f"{one['fidelity']}_over_originals": {goal: ratio(one, released, goal) for goal in map(str, GOALS)}
        for one in (natural, paper)
    }
    yield {"originals": released, **over}


if __name__ == "__main__":
    main()
