"""Evaluating directions: edits made or read a batch at a time, and measured by every metric there is."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch

from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.discovery import image_size
from hspace.encoder import Encoder
from hspace.errors import NotFoundError, UsageError
from hspace.evaluation.evaluated import Evaluation, Row
from hspace.evaluation.measuring import built, chosen, settings_of
from hspace.evaluation.originals import Drawn, Files, OfSource, Originals
from hspace.evaluation.streaming import measured
from hspace.evaluation.streams import Edits, Folders, Stream, Subject
from hspace.images import find_images
from hspace.loading import backbone_encoder, load_backbone, load_direction
from hspace.metric import Batch, Result
from hspace.plugins import plugins
from hspace.sampling import Callback
from hspace.sheets import parts

Watch = Callable[[Subject, Batch], None]
"""Called with every batch as it is measured, in no particular order where there are several processes."""
Named = str | Path | Direction
SAMPLES = 64
"""How many pictures of a source, or latents, are measured where nobody says."""


def evaluate(
    directions: Sequence[Named],
    *,
    backbone: Backbone | str | Path | None = None,
    images: Sequence[Path] = (),
    source: str | None = None,
    source_config: Mapping[str, Any] | None = None,
    samples: int = SAMPLES,
    metrics: Sequence[str] | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    strengths: Sequence[float] | Literal["range"] | None = None,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    steps: int = 40,
    batch: int = 16,
    out: Path | None = None,
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    offline: bool = False,
    watch: Watch | None = None,
    callback: Callback | None = None,
) -> Evaluation:
    """What directions do to pictures, by the metrics named, or by all that are installed and can be.

    The pictures are those of files or folders (`images`), the first `samples` of a `source`, or, with neither, drawn
    from as many latents, and then there are no originals. Each is inverted, reconstructed, and edited along each
    direction (a basis is taken apart) at each strength: its default where none is said, with "range" half and all of
    its range on either side. Seeds of sources and latents are away from those anything is trained on.
    Prompts and encoder are those given, else each direction's own and the one that suits the backbone; `config` has the
    settings of metrics by name. Memory does not grow with the number of pictures. With `out`, what was measured is kept
    there in between: the same call goes on where it was stopped, and several processes share the work.
    `callback` gets (pictures done, in all), `watch` every batch.
    Raises NotFoundError for an unknown name, UsageError for a call that cannot be, RefusedError for a direction of
    another backbone or a picture that cannot be read, HspaceError where an edit is not finite.
    """
    if images and source is not None:
        raise UsageError("images and source both say where pictures come from; give one of them")
    if not directions:
        raise UsageError("no direction was given; name one ('hspace list-directions'), or compare folders of pictures")
    cards = chosen(metrics)
    found = parts([one if isinstance(one, Direction) else load_direction(one) for one in directions])
    files = find_images(images)
    name = backbone or found[0].meta.backbone.id
    encoder = _suited(name) if encoder is None else encoder
    model = name if isinstance(name, Backbone) else load_backbone(name, device=device, weights=weights, offline=offline)
    size = image_size(model)
    originals: Originals
    if files:
        originals = Files(model, files, size, steps)
    elif source is not None:
        originals = OfSource(model, source, samples, size, seed, source_config, steps)
    else:
        originals = Drawn(model, samples, seed)
    weighed = [(one, strength) for one in found for strength in _strengths(one, strengths)]
    if len({(one.id, strength) for one, strength in weighed}) < len(weighed):
        raise UsageError("a direction or a strength was given twice; name each once")
    stream = Edits(model, originals, weighed, prompts, steps=steps, seed=seed)
    suited = plugins().find("sources", source).facts.get("metrics", {}) if source is not None else {}
    settings = {card.name: settings_of(card, suited, config or {}) for card in cards}
    given = {"encoder": encoder, "seed": seed, "device": str(device)}
    return _evaluated(stream, cards, settings, given, metrics is not None, batch, out, watch, callback)


def evaluate_folders(
    folders: Folders,
    *,
    metrics: Sequence[str] | None = None,
    config: Mapping[str, Mapping[str, Any]] | None = None,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
    batch: int = 16,
    out: Path | None = None,
    device: str | torch.device = "cpu",
    watch: Watch | None = None,
    callback: Callback | None = None,
) -> Evaluation:
    """What was done to pictures that are there already, matched by their names; the rest is as for `evaluate`.

    Pictures are taken at their own size, or resized to `size`. Raises as `paired.Pairs` and `evaluate`
    do.
    """
    from hspace.evaluation.paired import Pairs

    cards = chosen(metrics)
    stream = Pairs(folders, prompts, size)
    given = {"encoder": encoder, "seed": seed, "device": str(device)}
    return _evaluated(stream, cards, config or {}, given, metrics is not None, batch, out, watch, callback)


def _evaluated(
    stream: Stream,
    cards: Sequence[Any],
    config: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Any],
    insist: bool,
    batch: int,
    out: Path | None,
    watch: Watch | None,
    callback: Callback | None,
) -> Evaluation:
    both = [built(subject, cards, given, stream.has, config, insist) for subject in stream.subjects]
    encoder = given["encoder"]
    settings = {
        "pictures": stream.told,
        "n": len(stream.names),
        "subjects": [asdict(subject) for subject in stream.subjects],
        "metrics": {card.name: dict(config.get(card.name, {})) for card in cards},
        "encoder": encoder.name if isinstance(encoder, Encoder) else encoder and str(encoder),
        "seed": given["seed"],
        "hspace": version("hspace"),
    }
    whole = {**settings, "facts": stream.facts, "measured": [sorted(metrics) for metrics, _ in both]}
    key = sha256(json.dumps(whole, sort_keys=True, default=str).encode()).hexdigest()
    metrics = [metrics for metrics, _ in both]
    if not measured(stream, metrics, batch=batch, key=key, out=out, watch=watch, callback=callback):
        return Evaluation(settings, stream.names, (), ())
    rows: list[Row] = []
    together: dict[tuple[str, str], dict[float, list[Result]]] = {}
    for subject, some in zip(stream.subjects, metrics, strict=True):
        for name, metric in some.items():
            results = metric.compute()
            rows += [Row(subject.direction, subject.strength, name, one) for one in results]
            if subject.strength is not None:
                together.setdefault((subject.direction, name), {})[subject.strength] = results
    last = {subject.direction: some for subject, some in zip(stream.subjects, metrics, strict=True)}
    for (direction, name), by_strength in together.items():
        rows += [Row(direction, None, name, one) for one in last[direction][name].across(by_strength)]
    absent = tuple(one for _, some in both for one in some)
    return Evaluation(settings, stream.names, tuple(rows), absent)


def _suited(backbone: Backbone | str | Path) -> str | None:
    """The encoder that suits the backbone: what its own card says, which may be of a folder, or else the registry's."""
    if isinstance(backbone, Backbone):
        if backbone.card is None:
            return None
        if "encoder" in backbone.card.facts:
            return str(backbone.card.facts["encoder"])
        backbone = backbone.card.name
    try:
        return backbone_encoder(backbone)
    except NotFoundError:
        return None


def _strengths(direction: Direction, asked: Sequence[float] | Literal["range"] | None) -> Sequence[float]:
    known = direction.meta.strength
    if asked is None:
        return [known.default]
    return known.sides() if asked == "range" else list(asked)
