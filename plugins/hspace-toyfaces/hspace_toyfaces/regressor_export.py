"""From a training run to a regressor folder of a zoo."""

from __future__ import annotations

from pathlib import Path

from hspace.checkpoint import part
from hspace.errors import RefusedError
from hspace.storage import write_tensors
from hspace_toyfaces.attributes import NAMES
from hspace_toyfaces.backbone_export import LICENCE, open_run, training_facts, write_card
from hspace_toyfaces.recipes import RegressorRecipe
from hspace_toyfaces.regressor import WEIGHTS, load_regressor
from hspace_toyfaces.regressor_training import FRESH_FACES, r_squared


def export(run: Path, out: Path) -> None:
    """Writes `out`: regressor.safetensors in half precision and card.json with R^2 of each attribute.

    Raises NotFoundError when the folder holds no run, RefusedError when that run trains something else.
    """
    checkpoint = open_run(run)
    if checkpoint.facts["recipe"].get("kind") != "regressor":
        raise RefusedError(f"{run} trains a {checkpoint.facts['recipe'].get('kind')}, not a regressor")
    recipe = RegressorRecipe.model_validate(checkpoint.facts["recipe"])
    weights = {name: weight.half() for name, weight in part(checkpoint.tensors, "ema").items()}
    write_tensors(out / WEIGHTS, weights)
    card = {
        "format": 1,
        "name": recipe.name,
        "summary": recipe.summary,
        "net": {"attributes": list(NAMES), "channels": list(recipe.channels), "features": recipe.features},
        "licence": LICENCE,
        "source": "trained by hspace toyfaces train-regressor toyfaces-regressor",
        "training": training_facts(checkpoint, recipe.batch),
    }
    write_card(out, card)
    regressor = load_regressor(out)
    metrics = [
        {"name": f"r2_{name}_{size}", "value": value, "n": FRESH_FACES, "protocol": f"fresh {size} px renders"}
        for size in recipe.image_sizes
        for name, value in r_squared(regressor, size).items()
    ]
    write_card(out, {**card, "metrics": metrics})
