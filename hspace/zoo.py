"""A zoo: a folder with `backbones`, `directions`, `recipes` and `zoo.json`, offered by a plugin's `hspace_zoos`."""

import json
from pathlib import Path
from typing import Any

from hspace.cards import Card
from hspace.errors import RefusedError

CARD_FILE = "card.json"
CARD_FORMAT = 1
ZOO_FILE = "zoo.json"


def read_card(folder: Path, plugin: str = "") -> Card:
    """The card of a backbone folder, read from its `card.json`; the folder itself is in `facts["folder"]`.

    Raises RefusedError when the file is not JSON, has an unknown format, or lacks its name or family.
    """
    path = folder / CARD_FILE
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != CARD_FORMAT:
            raise RefusedError(f"{path} has format {facts['format']!r}; this hspace reads format {CARD_FORMAT}")
        name, _ = facts["name"], facts["family"]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{path} is not a backbone card ({type(error).__name__}: {error})") from error
    return Card(
        name=name,
        target="hspace.loading:load_folder",
        summary=facts.get("summary", ""),
        facts={"weights": "bundled", **facts, "folder": str(folder)},
        plugin=plugin,
    )


def backbone_folders(zoo: Path) -> list[Path]:
    """The folders of a zoo that hold a backbone, in order of names."""
    return sorted(path.parent for path in zoo.glob(f"backbones/*/{CARD_FILE}"))
