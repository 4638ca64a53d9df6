"""What a backbone's family takes its model to be: asked of the family, since core knows none.

A family's card may name functions of its plugin among its facts, as "module:attribute". `assumptions(folder)` returns
Assumptions and imports no torch; it is empty for a folder that is not of the family. `alternatives(backbone)` yields
(what is changed, backbone) for every other assumption under which the same weights load.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from hspace.cards import Card
from hspace.errors import RefusedError
from hspace.plugins import plugins
from hspace.zoo import CARD_FILE, read_card

if TYPE_CHECKING:
    from hspace.backbone import Backbone


@dataclass(frozen=True)
class Assumption:
    """Something that a checkpoint does not show: what it is taken for, and what happens if that is false."""

    name: str
    value: Any
    if_wrong: str


def assumptions(facts: Mapping[str, Any], folder: Path) -> list[Assumption]:
    """What the family of a card's facts assumes of the model in a folder; empty where it does not say."""
    read = _of_family(facts, "assumptions")
    return list(read(folder)) if read else []


def card_of(folder: Path) -> Card:
    """The card in a backbone's folder, or one made up for the first family that knows a folder without one.

    Reads no weights. Raises RefusedError when there is neither.
    """
    if (folder / CARD_FILE).is_file():
        return read_card(folder)
    for card in plugins().cards("backbones"):
        if "folder" in card.needs and assumptions(card.facts, folder):
            return replace(card, name=folder.resolve().name, needs=(), facts={**card.facts, "folder": str(folder)})
    raise RefusedError(f"no backbone family knows the folder {folder}; see 'hspace list-backbones'")


def alternatives(backbone: "Backbone") -> Iterator[tuple[str, "Backbone"]]:
    """The backbone under every other assumption of its family, with what is changed; none where it names none."""
    make = _of_family(backbone.card.facts if backbone.card else {}, "alternatives")
    if make is not None:
        yield from make(backbone)


def _of_family(facts: Mapping[str, Any], what: str) -> Callable[..., Any] | None:
    for card in plugins().cards("backbones"):
        if card.name == facts.get("family") and what in card.facts:
            function: Callable[..., Any] = resolve_name(card.facts[what])
            return function
    return None
