"""Auditing a direction: every picture's numbers, the groups they are in, and what differs between those."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hspace.audit.gaps import Compared, compare
from hspace.audit.groups import LEAST, grouped, of_equal_size, read_labels
from hspace.backbone import Backbone
from hspace.building import run
from hspace.direction import Direction
from hspace.discovery import image_size
from hspace.encoder import Encoder
from hspace.errors import UsageError, not_found
from hspace.evaluation import SAMPLES, evaluate
from hspace.evaluation.evaluated import Evaluation
from hspace.evaluation.originals import Files, OfSource, Originals
from hspace.evaluation.streams import Edits
from hspace.images import find_images
from hspace.loading import load_backbone, load_direction
from hspace.plugins import plugins
from hspace.sampling import Callback

BEFORE, EDIT = "before", "edit"
"""What a number is of: the reconstruction against the original, which no edit has touched, or the edit against it."""
STAGES: Mapping[str, str] = {"orig-recon": BEFORE, "recon-edit": EDIT, "": EDIT}
"""The stage by the pair of pictures that a result compares. Originals against edits mix the two, and are left out."""


@dataclass(frozen=True)
class Line:
    """A metric compared between groups, before any edit or by the edit; a `detail` was tested among the details."""

    stage: str
    detail: bool
    compared: Compared


@dataclass(frozen=True)
class Audit:
    """For whom a direction does something else.

    `groups` has the pictures of each group by name, as many of each; `lines` what they differ in; `evaluation` all that
    was measured, `numbers` the places of the groups' pictures there, and `stream` makes any of them again.
    """

    direction: Direction
    strength: float
    groups: Mapping[str, tuple[str, ...]]
    numbers: Mapping[str, tuple[int, ...]]
    lines: tuple[Line, ...]
    evaluation: Evaluation
    stream: Edits


def audit(
    direction: str | Path | Direction,
    group: str,
    *,
    strength: float | None = None,
    backbone: Backbone | str | Path | None = None,
    images: Sequence[Path] = (),
    source: str | None = None,
    source_config: Mapping[str, Any] | None = None,
    samples: int = SAMPLES,
    metrics: Sequence[str] | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    steps: int = 40,
    batch: int = 16,
    out: Path | None = None,
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    offline: bool = False,
    callback: Callback | None = None,
) -> Audit:
    """What a direction, at a strength (its default if not given), does to each group of pictures, and what differs.

    `group` is a CSV file of labels for `images` (a header, then a file's name and its group a line), or an attribute of
    the pictures of a `source` (the installed one that knows it, if none is named), above 0 against the rest. The groups
    are cut to the size of the smallest. Every metric that has a number per picture is compared between them, before
    any edit (reconstruction against original) and by the edit (edit against reconstruction): a gap that is there before
    is not the direction's. The rest is as for `evaluate`, and so is what is raised; besides UsageError for groups that
    cannot be compared, NotFoundError for an attribute that no source knows, and as `read_labels` and `grouped`.
    """
    found = direction if isinstance(direction, Direction) else load_direction(direction)
    if found.meta.components > 1 and found.component is None:
        raise UsageError(f"{found.id} is a basis of {found.meta.components}; pick one to audit, as in '{found.id}#0'")
    at = found.meta.strength.default if strength is None else strength
    by_file = labelled(group, images, samples, seed) if Path(group).suffix == ".csv" else None
    if by_file is None and images:
        raise UsageError(f"nobody knows {group!r} of picture files; give their groups as a file, --group labels.csv")
    name = backbone or found.meta.backbone.id
    model = name if isinstance(name, Backbone) else load_backbone(name, device=device, weights=weights, offline=offline)
    originals: Originals
    where: dict[str, Any]
    if by_file is not None:
        files = [path for some in by_file.values() for path in some]
        originals, where = Files(model, files, image_size(model), steps), {"images": files}
        numbers = {one: tuple(files.index(path) for path in some) for one, some in by_file.items()}
    else:
        source = source or source_knowing(group)
        originals = OfSource(model, source, samples, image_size(model), seed, source_config, steps)
        where = {"source": source, "source_config": source_config, "samples": samples}
        numbers = split(originals, source, group, samples)
    evaluation = evaluate(
        [found], backbone=model, **where, metrics=metrics, config=config, strengths=[at], prompts=prompts,
        encoder=encoder, seed=seed, steps=steps, batch=batch, out=out, device=device,
        callback=callback,
    )  # fmt: skip
    groups = {one: tuple(originals.names[number] for number in some) for one, some in numbers.items()}
    stream = Edits(model, originals, [(found, at)], prompts, steps=steps, seed=seed)
    return Audit(found, at, groups, numbers, lines_of(evaluation, numbers, seed), evaluation, stream)


def labelled(group: str, images: Sequence[Path], samples: int, seed: int) -> dict[str, list[Path]]:
    """The picture files of each group of a file of labels, as many of each, at most `samples` in all."""
    if not images:
        raise UsageError(f"{group} labels picture files; give them, or their folder, with --images")
    groups = grouped(find_images(images), read_labels(Path(group)))
    return of_equal_size(groups, samples // max(len(groups), 1), seed)


def source_knowing(attribute: str) -> str:
    """The installed source that knows an attribute of its pictures. Raises NotFoundError where none does."""
    known: set[str] = set()
    for card in plugins().cards("sources"):
        if all(one.default is not one.empty for one in inspect.signature(card.load()).parameters.values()):
            one = run(card)
            names = set(one.attributes(1)) if hasattr(one, "attributes") else set()
            if attribute in names:
                return card.name
            known |= names
    raise not_found(
        "attribute", attribute, known, "Give the groups of your own pictures as a file, --group labels.csv."
    )


def split(originals: Originals, source: str, attribute: str, n: int) -> dict[str, tuple[int, ...]]:
    """The numbers of the first pictures with an attribute above 0, and of as many of the rest.

    Raises NotFoundError where the source does not know it, UsageError where one of the two has fewer than two.
    """
    assert isinstance(originals, OfSource)
    known = originals.source.attributes(n) if "attributes" in originals.has else {}
    if attribute not in known:
        raise not_found("attribute", attribute, known, f"It is of the source {source!r} that groups are made by.")
    above = (known[attribute] > 0).tolist()
    sides = {f"{attribute} > 0": True, f"{attribute} <= 0": False}
    numbers = {name: [number for number, one in enumerate(above) if one == side] for name, side in sides.items()}
    size = min(map(len, numbers.values()))
    if size < LEAST:
        counts = ", ".join(f"{len(some)} with {name}" for name, some in numbers.items())
        raise UsageError(f"each group needs at least {LEAST} pictures; of {n} there are {counts}. Take more.")
    return {name: tuple(some[:size]) for name, some in numbers.items()}


def lines_of(evaluation: Evaluation, numbers: Mapping[str, Sequence[int]], seed: int) -> tuple[Line, ...]:
    """The comparisons of all results that have a number per picture; each stage, and its details, tested together."""
    order = [number for some in numbers.values() for number in some]
    labels = [group for group, some in numbers.items() for _ in some]
    families: dict[tuple[str, bool], dict[str, Tensor]] = {}
    for row in evaluation.rows:
        one = row.result
        stage = STAGES.get(one.pair)
        if stage is not None and one.values and row.strength is not None:
            column = torch.tensor([one.values.get(number, float("nan")) for number in order], dtype=torch.float64)
            families.setdefault((stage, one.detail), {})[one.name] = column
    return tuple(
        Line(stage, detail, compared)
        for (stage, detail), columns in sorted(families.items())
        for compared in compare(columns, labels, seed)
    )
