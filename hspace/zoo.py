"""A zoo: a folder with `backbones`, `encoders`, `directions`, `recipes` and `zoo.json`, offered by `hspace_zoos`."""

import json
from pathlib import Path
from typing import Any

from hspace.cards import Card
from hspace.errors import RefusedError

CARD_FILE = "card.json"
CARD_FORMAT = 1
ZOO_FILE = "zoo.json"
LOADERS = {"backbones": "hspace.loading:load_folder", "encoders": "hspace.loading:load_encoder_folder"}
"""The kinds of card that are folders of a zoo, and what loads such a folder."""


def read_card(folder: Path, plugin: str = "", kind: str = "backbones") -> Card:
    """The card of a backbone's or an encoder's folder, read from its `card.json`, with the folder in its facts.

    Raises RefusedError when the file is not JSON, has an unknown format, or lacks its name or family.
    """
    path = folder / CARD_FILE
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != CARD_FORMAT:
            raise RefusedError(f"{path} has format {facts['format']!r}; this hspace reads format {CARD_FORMAT}")
        name, _ = facts["name"], facts["family"]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(f"{path} is no card of {kind} ({type(error).__name__}: {error})") from error
    return Card(
        name=name,
        target=LOADERS[kind],
        summary=facts.get("summary", ""),
        facts={"weights": "bundled", **facts, "folder": str(folder)},
        plugin=plugin,
    )


def card_folders(zoo: Path, kind: str) -> list[Path]:
    """The folders of a zoo that hold a card of that kind, in order of names."""
    return sorted(path.parent for path in zoo.glob(f"{kind}/*/{CARD_FILE}"))
