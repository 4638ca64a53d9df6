"""Finding the directions of an entry, in a folder of its own, and what that took."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hspace.backbone import Backbone
from hspace.benchmark.entries import Entry
from hspace.benchmark.recipe import BenchmarkRecipe, Target
from hspace.direction import Direction
from hspace.discovery import build_finder, usual_samples
from hspace.encoder import Encoder
from hspace.errors import HspaceError
from hspace.finder import Task
from hspace.loading import load_direction
from hspace.sampling import latents
from hspace.storage import write_bytes

FOUND = "found.json"


@dataclass(frozen=True)
class Found:
    """The directions of an entry, and the processor's seconds that it took to find them; None where nobody knows."""

    directions: tuple[Direction, ...]
    cpu_seconds: float | None


def find(recipe: BenchmarkRecipe, entry: Entry, backbone: Backbone, encoder: Encoder | None, folder: Path) -> Found:
    """What an entry finds, kept in `folder` and read from there by a call of the same settings.

    Each works with an empty cache, so that none profits from what another looked up before it. Raises HspaceError where
    it finds nothing, and whatever the finder raises.
    """
    if entry.direction is not None:
        return Found((load_direction(entry.direction),), None)
    target = next(one for one in recipe.targets if one.name == entry.target)
    told = _settings(recipe, entry, target)
    known = _read(folder / FOUND)
    if known.get("settings") == told:
        kept = [load_direction(folder / name) for name in known["directions"]]
        return Found(tuple(kept), known["cpu_seconds"])
    config = {**recipe.settings.get(entry.finder, {}), **({"head": entry.head} if entry.head else {})}
    x_T = latents(backbone, recipe.samples or usual_samples(entry.finder), recipe.find_seed)
    task = Task(
        x_T, recipe.steps, recipe.find_seed, prompts=target.prompts, encoder=encoder, folder=folder,
        data=f"{len(x_T)} latents of seed {recipe.find_seed}",
    )  # fmt: skip
    with _empty_cache(folder / "cache"):
        started = time.process_time()
        directions = list(build_finder(entry.finder, config).find(backbone, task))
        cpu_seconds = time.process_time() - started
    if not directions:
        raise HspaceError(f"finder {entry.finder!r} found no direction")
    names = [f"direction-{index}" for index in range(len(directions))]
    saved = tuple(one.save(folder / name) for one, name in zip(directions, names, strict=True))
    kept_as = {"settings": told, "directions": names, "cpu_seconds": cpu_seconds}
    write_bytes(folder / FOUND, (json.dumps(kept_as, indent=2) + "\n").encode())
    return Found(saved, cpu_seconds)


def _settings(recipe: BenchmarkRecipe, entry: Entry, target: Target) -> dict[str, object]:
    """All that a find depends on, as JSON has it."""
    return {
        "backbone": entry.backbone,
        "finder": entry.finder,
        "head": entry.head,
        "prompts": list(target.prompts),
        "encoder": recipe.encoder,
        "settings": recipe.settings.get(entry.finder, {}),
        "samples": recipe.samples,
        "seed": recipe.find_seed,
        "steps": recipe.steps,
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _empty_cache(folder: Path) -> Iterator[None]:
    """The cache of hspace is this folder inside; it goes when the block ends well, and stays for another try if not."""
    before = os.environ.get("HSPACE_CACHE")
    os.environ["HSPACE_CACHE"] = str(folder)
    try:
        yield
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        if before is None:
            del os.environ["HSPACE_CACHE"]
        else:
            os.environ["HSPACE_CACHE"] = before
