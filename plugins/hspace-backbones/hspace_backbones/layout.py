"""Where a folder of diffusers models keeps what, and whose it is: read without torch."""

import json
from pathlib import Path
from typing import Any

from hspace.errors import RefusedError
from hspace.zoo import CARD_FILE

CONFIG = "config.json"
FIRST_STAGES = ("first_stage", "vqvae", "vae")
"""Where a first stage may be: our name for it, and the hub's two."""
SCHEDULER_CONFIG = "scheduler_config.json"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty when there is no such file. Raises RefusedError when it is not JSON."""
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RefusedError(f"{path} is not JSON: {error}") from error
    return content


def unet_folder(folder: Path) -> Path:
    """Where the folder keeps its U-Net."""
    return folder / "unet" if (folder / "unet").is_dir() else folder


def first_stage_folder(folder: Path) -> Path | None:
    """Where the folder keeps its first stage, None when it has none."""
    return next((folder / name for name in FIRST_STAGES if (folder / name / CONFIG).is_file()), None)


def scheduler_config(folder: Path) -> dict[str, Any]:
    """The folder's scheduler config, empty when it has none."""
    return read_json(folder / "scheduler" / SCHEDULER_CONFIG) or read_json(folder / SCHEDULER_CONFIG)


def family(folder: Path) -> str | None:
    """The family that the folder's card names, or else the one whose layout on the hub it has; None for another."""
    facts = read_json(folder / CARD_FILE)
    if "family" in facts:
        return str(facts["family"])
    if first_stage_folder(folder) is not None:
        return "ldm"
    config = read_json(unet_folder(folder) / CONFIG)
    plain = config.get("_class_name") == "UNet2DModel" and not config.get("flip_sin_to_cos", True)
    return "ddpmpp" if plain else None
