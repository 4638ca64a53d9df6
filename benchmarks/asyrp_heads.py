"""Heads and losses of `asyrp` at equal data and budget, one factor at a time: the effect at matched drift."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from recording import record
from setting import PROMPTS, TINY, Setting, Size

from hspace.fingerprint import probe
from hspace_asyrp.unedited import Unedited


def variants(channels: int) -> dict[str, dict[str, Any]]:
    """The settings of the finder, by what is varied; a name without one is the default of its head."""

    def one(head: str, **config: Any) -> dict[str, Any]:
        groups = {} if channels % 32 == 0 or head == "table" else {"norm_num_groups": 4}
        return {"head": head, "head_config": {**groups, **config}}

    found = {"table": one("table"), "delta-block": one("delta-block"), "transformer": one("transformer")}
    found |= {f"table, fidelity {loss}": {**one("table"), "fidelity": loss} for loss in ("paper", "official")}
    blocks = [("time", "multiply"), ("time", "adagn"), ("time", "none")]
    blocks += [("norm", "instance"), ("act", "gelu"), ("act", "relu")]
    found |= {f"delta-block, {name} {value}": one("delta-block", **{name: value}) for name, value in blocks}
    tokens = ("channel", "pixel-channel", "channel-pixel")
    found |= {f"transformer, tokens {value}": one("transformer", tokens=value) for value in tokens}
    return found | {f"transformer, heads {value}": one("transformer", heads=value) for value in (1, 2)}


def trained(setting: Setting, whole: Unedited, settings: dict[str, Any], seed: int) -> dict[str, float]:
    """What a head trained with those settings reaches, and what it takes."""
    training, head = setting.training(whole, setting.window, seed=seed, epochs=setting.size.epochs, **settings)
    start = time.process_time()
    for index in range(training.passes):
        training.run_pass(index)
    seconds = time.process_time() - start
    parameters = sum(parameter.numel() for parameter in head.parameters())
    return {**setting.matched(head.eval()), "cpu_s": round(seconds, 2), "parameters": parameters}


def summed(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """The means over seeds, and the standard deviation of the effect where there are several."""
    means: dict[str, Any] = {name: round(statistics.fmean(row[name] for row in rows), 4) for name in rows[0]}
    means |= {"parameters": int(rows[0]["parameters"]), "seeds": len(rows)}
    if len(rows) > 1:
        means["effect_sd"] = round(statistics.stdev(row["effect"] for row in rows), 4)
    return means


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains every variant with every seed and records what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--latents", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--quick", action="store_true", help="a random network, one seed, to see that it runs")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = TINY if asked.quick else Size()
    size = replace(size, latents=asked.latents or size.latents, epochs=asked.epochs or size.epochs)
    seeds = range(1 if asked.quick else asked.seeds)
    setting = Setting(size)
    every = variants(probe(setting.backbone).h_shape[0])
    told = {"size": vars(size), "quick": asked.quick, "prompts": PROMPTS, "window": vars(setting.window)}
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        whole = setting.walked(size.latents, seed)
        for name, settings in every.items():
            rows.setdefault(name, []).append(trained(setting, whole, settings, seed))
            found = {one: summed(some) for one, some in rows.items()}
            # a run that is stopped leaves what it has measured
            record("asyrp_heads", {**told, "drift_allowed": round(setting.far, 4), "variants": found})


if __name__ == "__main__":
    main()
