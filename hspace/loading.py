"""Loading by name: backbones, encoders, heads and directions."""

import json
from dataclasses import replace
from pathlib import Path

import torch

from hspace import registry
from hspace.backbone import Backbone
from hspace.building import run
from hspace.cards import Card
from hspace.direction import Direction
from hspace.encoder import Encoder
from hspace.errors import NotFoundError, RefusedError, UsageError
from hspace.meta import META_FILE
from hspace.plugins import plugins
from hspace.store import fetch
from hspace.zoo import CARD_FILE, ZOO_FILE, read_card

Device = str | torch.device


def load_backbone(
    name: str | Path,
    *,
    device: Device = "cpu",
    dtype: torch.dtype | None = None,
    weights: Path | None = None,
    offline: bool = False,
) -> Backbone:
    """The backbone of that name, or in that folder (a zoo's, or one in the hub's layout), in eval mode.

    `dtype` defaults to float32, whatever the weights are stored in. A published checkpoint is downloaded at its first
    use, unless `offline`; `weights` is the user's own copy of its file, for those that cannot be. Raises NotFoundError
    with the nearest names, or when the weights are not to be had, RefusedError for a folder or a file nobody can read,
    UsageError for a family that needs a folder and for `weights` where they have no place, HspaceError when the
    network or the disk fails.
    """
    folder = Path(name)
    if folder.is_dir():
        if weights is not None:
            raise UsageError(f"{folder} is a folder with weights of its own; leave away the file {weights}")
        return load_folder(folder, device, dtype)
    if folder.is_absolute() or str(name).startswith("."):
        raise NotFoundError(f"there is no folder {folder}; a backbone is a name ('hspace list-backbones') or a folder")
    card = plugins().find("backbones", str(name))
    if "folder" in card.facts and weights is None:
        return load_folder(Path(card.facts["folder"]), device, dtype, card)
    if card.needs:
        raise UsageError(
            f"backbone {card.name!r} has no weights of its own: it needs {' and '.join(card.needs)}. "
            f"Give a folder of that family instead of the name."
        )
    if card.store or weights is not None:
        return load_folder(fetch(card, weights, offline), device, dtype, card)
    return _ready(run(card, device=device, dtype=dtype), card)


def load_folder(folder: Path, device: Device, dtype: torch.dtype | None, card: Card | None = None) -> Backbone:
    """The backbone in a folder: of the family that its card names, else of the first family that can read it.

    Raises RefusedError when no installed family can.
    """
    if card is None and (folder / CARD_FILE).is_file():
        card = read_card(folder)
    families = [family for family in plugins().cards("backbones") if "folder" in family.needs]
    if card is not None:
        families = [plugins().find("backbones", str(card.facts["family"]))]
    for family in families:
        backbone = run(family, folder=folder, device=device, dtype=dtype)
        if backbone is not None:
            return _ready(backbone, card or backbone.card or replace(family, name=folder.resolve().name))
    names = ", ".join(family.name for family in families) or "none is installed"
    raise RefusedError(f"no backbone family reads the folder {folder} (tried: {names}); see 'hspace list-backbones'")


def _ready(backbone: Backbone, card: Card) -> Backbone:
    backbone.card = card
    return backbone.eval().requires_grad_(False)


def load_encoder(name: str | Path, *, device: Device = "cpu") -> Encoder:
    """The encoder of that name, in that folder or file, or of a name that an encoder family knows (MODEL/WEIGHTS).

    Raises NotFoundError with the nearest names, or when the weights are not to be had, RefusedError for files that
    nobody can read, UsageError for the name of a family.
    """
    if Path(name).exists():
        return load_encoder_folder(Path(name), device)
    if Path(name).is_absolute() or str(name).startswith("."):
        raise NotFoundError(f"there is no {name}; an encoder is a name ('hspace list-encoders'), a folder or a file")
    cards = {card.name: card for card in plugins().cards("encoders")}
    card = cards.get(str(name))
    if card is not None and "folder" in card.facts:
        return load_encoder_folder(Path(card.facts["folder"]), device, card)
    if card is not None and not card.needs:
        return _encoder(run(card, device=device))
    for family in (card for card in cards.values() if card.needs):
        found = run(family, device=device, model=str(name))
        if found is not None:
            return _encoder(found)
    card = plugins().find("encoders", str(name))
    raise UsageError(f"encoder {card.name!r} is a family: it needs a {' and a '.join(card.needs)} ({card.summary})")


def load_encoder_folder(folder: Path, device: Device, card: Card | None = None) -> Encoder:
    """The encoder in a folder or a file: of the family that its card names, else of the first that can read it.

    Raises RefusedError when no installed family can.
    """
    if card is None and (folder / CARD_FILE).is_file():
        card = read_card(folder, kind="encoders")
    families = [family for family in plugins().cards("encoders") if family.needs]
    if card is not None:
        families = [plugins().find("encoders", str(card.facts["family"]))]
    for family in families:
        found = run(family, device=device, model=folder)
        if found is not None:
            return _encoder(found)
    names = ", ".join(family.name for family in families) or "none is installed; install hspace-clip"
    raise RefusedError(f"no encoder family reads {folder} (tried: {names}); see 'hspace list-encoders'")


def _encoder(found: object) -> Encoder:
    if not isinstance(found, Encoder):
        raise RefusedError(f"a plugin gave {type(found).__name__!r} for an encoder; it must give an Encoder")
    return found


def load_direction(name: str | Path) -> Direction:
    """The direction of that id (`<backbone>/<what>.<how>`, with `#k` for one component), or in that folder.

    Raises NotFoundError with the nearest ids, RefusedError when it is damaged.
    """
    place, component = registry.split_id(str(name))
    folder = Path(place)
    if not (folder / META_FILE).is_file():
        if folder.is_dir() or folder.is_absolute():
            raise NotFoundError(f"{folder} holds no direction: there is no {META_FILE}")
        folder = registry.find(place).folder
    direction = Direction.load(folder)
    return direction if component is None else direction.pick(component)


def backbone_encoder(name: str | Path) -> str:
    """The name of the encoder that suits a backbone's pictures: what its card says, else the first that is installed.

    Raises NotFoundError when no encoder is installed.
    """
    known = {card.name: card for card in plugins().cards("backbones")}
    card = read_card(Path(name)) if (Path(name) / CARD_FILE).is_file() else known.get(str(name))
    if card is not None and "encoder" in card.facts:
        return str(card.facts["encoder"])
    for encoder in plugins().cards("encoders"):
        if not encoder.needs and "folder" not in encoder.facts:
            return encoder.name
    raise NotFoundError("no encoder is installed that reads prompts; install hspace-clip")


def default_backbone() -> str:
    """The name of the backbone that is used when none is said: the first that an installed zoo's zoo.json names.

    Raises NotFoundError when none does.
    """
    for _, zoo in plugins().zoos:
        if (zoo / ZOO_FILE).is_file():
            name: str = json.loads((zoo / ZOO_FILE).read_text(encoding="utf-8"))["default_backbone"]
            return name
    names = ", ".join(card.name for card in plugins().cards("backbones")) or "none is installed; install hspace-zoo"
    raise NotFoundError(f"no installed zoo names a default backbone; name one with --backbone: {names}")
