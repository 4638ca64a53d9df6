"""From a training run to an encoder folder of a zoo, in open_clip's own layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hspace.checkpoint import part
from hspace.errors import NotFoundError, RefusedError
from hspace.loading import load_encoder
from hspace.plots import draw_losses
from hspace.storage import write_bytes, write_tensors
from hspace_clip.models import CONFIG, WEIGHTS
from hspace_clip.vocabulary import VOCABULARY, vocabulary_of
from hspace_toyfaces.backbone_export import LICENCE, open_run, training_facts, write_card
from hspace_toyfaces.clip_measures import all_figures
from hspace_toyfaces.clip_recipe import CONTEXT, ClipRecipe
from hspace_toyfaces.clip_training import preprocess_config
from hspace_toyfaces.clip_words import all_words


def export(run: Path, out: Path) -> None:
    """Writes `out`: weights in half precision, open_clip's config, the vocabulary, card.json and loss.png.

    A run that has not come to its end is exported too, and its card says that it is preliminary.
    Raises NotFoundError when the folder holds no run, RefusedError when that run trains something else.
    """
    checkpoint = open_run(run)
    if checkpoint.facts["recipe"].get("kind") != "clip":
        raise RefusedError(f"{run} trains a {checkpoint.facts['recipe'].get('kind')}, not a clip")
    recipe = ClipRecipe.model_validate(checkpoint.facts["recipe"])
    vocabulary = vocabulary_of(all_words(), CONTEXT)
    config = {
        "model_cfg": recipe.model_config_of(len(vocabulary)),
        "preprocess_cfg": preprocess_config(recipe),
    }
    averaged = part(checkpoint.tensors, "ema").items()
    clip = {name.removeprefix("clip."): one for name, one in averaged if name.startswith("clip.")}
    weights = {name: one.half() if one.is_floating_point() else one for name, one in clip.items()}
    write_tensors(out / WEIGHTS[0], weights)
    write_bytes(out / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
    write_bytes(out / VOCABULARY, vocabulary.to_json().encode())
    draw_losses(checkpoint.facts["log"], out / "loss.png")
    unfinished = f" (preliminary: {checkpoint.step} of {recipe.steps} steps)" if checkpoint.step < recipe.steps else ""
    card = {
        "format": 1,
        "name": recipe.name,
        "family": "open-clip",
        "summary": recipe.summary + unfinished,
        "licence": LICENCE,
        "source": f"trained by hspace toyfaces train-clip {recipe.name}",
        "words": vocabulary.words(),
        "image_sizes": list(recipe.image_sizes),
        "training": training_facts(checkpoint, recipe.batch),
        "metrics": [],
    }
    write_card(out, card)


def measure(folder: Path) -> list[dict[str, Any]]:
    """The figures of an exported encoder, after they were written into its card.

    Raises NotFoundError when the folder holds none.
    """
    path = folder / "card.json"
    if not path.is_file():
        raise NotFoundError(f"{folder} holds no exported encoder ({path.name} is not there)")
    card = json.loads(path.read_text(encoding="utf-8"))
    figures = all_figures(load_encoder(folder), tuple(card["image_sizes"]))
    write_card(folder, {**card, "metrics": figures})
    return figures
