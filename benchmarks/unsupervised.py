"""HIT@10 of every unsupervised finder on the backbones of the toy faces, beside random directions as long."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from recording import RESULTS, record

from hspace import Backbone, Task, load_backbone
from hspace.discovery import build_finder, usual_samples
from hspace.labeller import Labeller, build_labeller
from hspace.labelling import FIRST, SELECTIVE, STEPS, label
from hspace.plugins import plugins
from hspace.sampling import latents

BACKBONES = ("ddpmpp-toyfaces-32", "ddpmpp-toyfaces-64", "iddpm-toyfaces-32", "adm-toyfaces-32", "ldm-toyfaces-64")
MAPS = ("encoder", "decoder", "x0", "pmp")
PICTURES, FACES_SEED = 32, 1
NAME = "unsupervised"


def methods(k: int = FIRST) -> dict[str, tuple[str, dict[str, Any]]]:
    """What can be asked to look without being told for what: a name for the table, the finder, and its settings."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for card in plugins().cards("finders"):
        if card.needs:
            continue
        takes = inspect.signature(card.load()).parameters
        config = {"k": k} if "k" in takes else {}
        maps = MAPS if card.name == "jacobian-svd" else ()
        found |= {f"{card.name}, {map}": (card.name, {**config, "map": map}) for map in maps}
        if not maps:
            found[card.name] = (card.name, config)
    return found


def run(
    backbone: Backbone, finder: str, config: Mapping[str, Any], labeller: Labeller, seed: int, n: int
) -> dict[str, Any]:
    """What the finder's first directions are, on latents of the seed, and what random ones are."""
    started = time.process_time()
    task = Task(latents(backbone, usual_samples(finder), seed), seed=seed)
    found = list(build_finder(finder, config).find(backbone, task))
    seconds = time.process_time() - started
    labelled = label(backbone, found, labeller, n=n, seed=FACES_SEED)
    return {
        "seed": seed,
        "names": labelled.hits(),
        "selective": labelled.hits(selectivity=SELECTIVE),
        "random": labelled.random_hits(),
        "largest_random_score": max(abs(one.score) for one in labelled.random),
        "cpu_s": round(seconds, 2),
        "labels": [[one.direction, one.strength, one.name, one.score, one.selectivity] for one in labelled.labels],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures what is asked for, and keeps what an earlier run measured of the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="see that it runs, on a random network")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--methods", nargs="+", help=f"of {'; '.join(methods())}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    asked = parser.parse_args(argv)
    torch.set_num_threads(1)
    backbones, n, k = (("ddpmpp-random-tiny",), 2, 1) if asked.quick else (asked.backbones, PICTURES, FIRST)
    labeller = build_labeller("attributes", {})
    with tempfile.TemporaryDirectory() as home:
        os.environ["HSPACE_HOME"] = home
        for name in backbones:
            backbone = load_backbone(name)
            for method, (finder, config) in methods(k).items():
                if asked.methods is None or method in asked.methods:
                    runs = [run(backbone, finder, config, labeller, seed, n) for seed in asked.seeds]
                    _keep({"backbone": name, "method": method, "runs": runs}, asked, n, labeller)


def _keep(row: dict[str, Any], asked: argparse.Namespace, n: int, labeller: Labeller) -> None:
    path = RESULTS / f"{NAME}.json"
    setting = {"quick": asked.quick, "k": FIRST, "selectivity": SELECTIVE, "threshold": labeller.least}
    setting |= {"pictures": n, "faces_seed": FACES_SEED, "steps": STEPS, "seeds": asked.seeds}
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(key) == value for key, value in setting.items())
    key = (row["backbone"], row["method"])
    kept = [one for one in before["rows"] if (one["backbone"], one["method"]) != key] if same else []
    record(NAME, {**setting, "rows": sorted([*kept, row], key=lambda one: (one["backbone"], one["method"]))})


if __name__ == "__main__":
    main()
