"""Running a benchmark: each entry found, its strength chosen on some pictures, and measured on others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import hspace.sampling as sampling
from hspace.backbone import Backbone
from hspace.benchmark.entries import Entry
from hspace.benchmark.finding import find
from hspace.benchmark.recipe import BenchmarkRecipe, Target
from hspace.cost import Counted, Passes
from hspace.direction import Direction
from hspace.encoder import Encoder
from hspace.errors import HspaceError
from hspace.evaluation import evaluate
from hspace.evaluation.evaluated import Evaluation
from hspace.loading import load_backbone, load_encoder
from hspace.sampling import Callback, Edit, latents
from hspace.sheets import parts
from hspace.storage import tensor_bytes, write_bytes

LOOKS, CLOSE = 6, 0.1
"""How often a strength is sought at most, and how near to the effect asked for is near enough, as a share of it."""
Row = dict[str, Any]
"""An entry on the leaderboard, as JSON has it: with its numbers, or with the reason why it has none."""


def run(
    recipe: BenchmarkRecipe,
    takes_part: Sequence[Entry],
    out: Path,
    *,
    device: str = "cpu",
    callback: Callback | None = None,
    say: Callable[[str], None] | None = None,
) -> list[Row]:
    """The rows of all entries, each kept in `out` as soon as it is there: the same call goes on where it was stopped.

    An entry that fails has a row with the reason. `callback` gets (entries done, in all). Raises NotFoundError for a
    backbone or an encoder that is not there.
    """
    encoder = load_encoder(recipe.encoder, device=device) if recipe.encoder else None
    rows, loaded = [], dict[str, Backbone]()
    for done, entry in enumerate(takes_part, start=1):
        folder = out / "entries" / entry.key
        key = _key(recipe, entry)
        row = _kept(folder / "row.json", key)
        if row is None:
            if entry.backbone not in loaded:
                loaded = {entry.backbone: load_backbone(entry.backbone, device=device)}
            row = {**asdict(entry), **_attempt(recipe, entry, loaded[entry.backbone], encoder, folder)}
            write_bytes(folder / "row.json", (json.dumps({"key": key, "row": row}, indent=2) + "\n").encode())
        rows.append(row)
        if say is not None:
            say(f"{entry.key}: {row.get('reason', 'measured')}")
        if callback is not None:
            callback(done, len(takes_part))
    return rows


def _attempt(recipe: BenchmarkRecipe, entry: Entry, backbone: Backbone, encoder: Encoder | None, folder: Path) -> Row:
    """The numbers of an entry, or the reason why there are none: a plugin that fails does not end the benchmark."""
    try:
        return measured(recipe, entry, backbone, encoder, folder)
    except HspaceError as error:
        return {"reason": str(error)}
    except Exception as error:
        return {"reason": f"{type(error).__name__}: {error}"}


def measured(recipe: BenchmarkRecipe, entry: Entry, backbone: Backbone, encoder: Encoder | None, folder: Path) -> Row:
    """The numbers of an entry: what it took to find, what an edit takes, and each column by seed, in the mean."""
    target = next(one for one in recipe.targets if one.name == entry.target)
    found = find(recipe, entry, backbone, encoder, folder)
    direction, strength = tuned(recipe, target, parts(found.directions), backbone, encoder)
    evaluations = [
        _evaluated(recipe, target, backbone, encoder, direction, [strength], recipe.n, seed) for seed in recipe.seeds
    ]
    passes = passes_of(backbone, direction, strength, recipe.steps)
    return {
        "used": direction.id,
        "strength": strength,
        "cpu_seconds": found.cpu_seconds,
        "bytes": len(tensor_bytes(direction.weights)),
        "passes": {"encoder": passes.encoder, "decoder": passes.decoder},
        "columns": {column.title: _column([one.find(column.result, pair=column.pair).value for one in evaluations])
                    for column in recipe.columns},
    }  # fmt: skip


def tuned(
    recipe: BenchmarkRecipe,
    target: Target,
    candidates: Sequence[Direction],
    backbone: Backbone,
    encoder: Encoder | None,
) -> tuple[Direction, float]:
    """The direction that does most for the target at an end of its range, and the strength that is compared.

    One that was made for prompts is looked at where it gives more of them, any other at both ends. The strength is that
    at which it reaches the effect asked for, as `matched` finds it, or else the end.
    """
    column = recipe.columns[0]

    def effects(one: Direction, strengths: Sequence[float]) -> list[float]:
        found = _evaluated(recipe, target, backbone, encoder, one, strengths, recipe.tune, recipe.tune_seed)
        values = [found.find(column.result, pair=column.pair, strength=at).value for at in strengths]
        return [target.sign * value if value is not None else float("-inf") for value in values]

    looked: list[tuple[float, Direction, float]] = []
    for one in candidates:
        known = one.meta.strength
        ends = [end for end in ([known.max] if one.meta.prompts is not None else [known.min, known.max]) if end]
        looked += [(effect, one, end) for effect, end in zip(effects(one, ends), ends, strict=True)]
    effect, direction, end = max(looked, key=lambda one: one[0])
    return direction, matched(lambda at: effects(direction, [at])[0], end, effect, recipe.reach)


def matched(effect_at: Callable[[float], float], end: float, effect: float, reach: float) -> float:
    """The strength between 0 and `end` at which the effect is within a tenth of `reach`, in a few looks.

    By the false position (Illinois): a straight line between the nearest strengths on either side says where to look
    next, and an end that stays twice counts half as far. The end of the range where its effect does not go so far.
    """
    if effect <= reach:
        return end
    sides, strength, last = {False: (0.0, -reach), True: (end, effect - reach)}, end, None
    for _ in range(LOOKS):
        (low, lacking), (high, excess) = sides[False], sides[True]
        strength = low + (high - low) * -lacking / (excess - lacking)
        miss = effect_at(strength) - reach
        if abs(miss) <= CLOSE * reach:
            break
        beyond = miss > 0
        sides[beyond] = (strength, max(miss, -reach))
        if beyond == last:
            sides[not beyond] = (sides[not beyond][0], sides[not beyond][1] / 2)
        last = beyond
    return strength


def passes_of(backbone: Backbone, direction: Direction, strength: float, steps: int) -> Passes:
    """What an edit of one picture costs, without its inversion, in passes of both halves of the network."""
    at_work, counted = Edit.along(direction, strength, backbone), Counted(backbone)
    sampling.edit(
        counted, latents(backbone, 1, 0), [at_work], steps=steps, symmetric=direction.meta.mode == "symmetric"
    )
    return counted.passes


def _evaluated(
    recipe: BenchmarkRecipe,
    target: Target,
    backbone: Backbone,
    encoder: Encoder | None,
    direction: Direction,
    strengths: Sequence[float],
    n: int,
    seed: int,
) -> Evaluation:
    return evaluate(
        [direction], backbone=backbone, source=recipe.source, source_config=recipe.source_config, samples=n,
        metrics=recipe.metrics, config=target.config, strengths=strengths, prompts=target.prompts, encoder=encoder,
        seed=seed, steps=recipe.steps, device=str(next(backbone.parameters()).device),
    )  # fmt: skip


def _column(values: Sequence[float | None]) -> dict[str, Any]:
    """A column's values by seed, their mean and their standard deviation, each absent where it cannot be told."""
    known = [value for value in values if value is not None]
    told: dict[str, Any] = {"values": list(values)}
    if len(known) == len(values):
        told["mean"] = fmean(known)
        if len(known) > 1:
            told["sd"] = stdev(known)
    return told


def _key(recipe: BenchmarkRecipe, entry: Entry) -> str:
    """A name for all that a row depends on."""
    told = {"recipe": recipe.model_dump(mode="json"), "entry": asdict(entry), "hspace": version("hspace")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str) -> Row | None:
    """The row that is kept there, where it is of that key."""
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    row: Row | None = found.get("row") if found.get("key") == key else None
    return row
