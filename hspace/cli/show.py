"""`hspace show`: one card or one direction, in full."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hspace.cards import SINGULAR
from hspace.cli.listing import backbone_facts
from hspace.cli.output import Json, Offline, Weights, cell, print_json, print_table
from hspace.errors import not_found
from hspace.plugins import plugins


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("show")(show)


def show(
    name: Annotated[str, typer.Argument(help="The name of anything that a list command lists.")],
    weights: Weights = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Show a backbone, head, finder, ... or direction in full; with --weights, what that file holds for a backbone."""
    found = [_brought(name, weights, offline)] if weights else _directions(name) or _cards(name)
    if not found:
        known = {card.name for kind in SINGULAR for card in plugins().cards(kind)}
        raise not_found(
            "card or direction", name, known | _direction_ids(), "See the list commands in 'hspace --help'."
        )
    if as_json:
        print_json({"found": found})
        return
    for one in found:
        print_table(("", ""), _rows(one), title=f"{one['kind']} {name}")


def _brought(name: str, weights: Path, offline: bool) -> dict[str, Any]:
    """The card of a backbone with the facts that the user's own file of weights was converted with."""
    from hspace.store import fetch
    from hspace.zoo import read_card

    card = plugins().find("backbones", name)
    told = read_card(fetch(card, weights, offline))
    return {"kind": "backbone", **asdict(card), "facts": {**card.facts, **told.facts}, "plugin": card.plugin}


def _cards(name: str) -> list[dict[str, Any]]:
    found = []
    for kind in SINGULAR:
        for card in plugins().cards(kind):
            if card.name == name:
                facts = backbone_facts(card) if kind == "backbones" else {}
                found.append({"kind": SINGULAR[kind], **asdict(card), **facts})
    return found


def _direction_ids() -> set[str]:
    from hspace import registry

    return {entry.id for entry in registry.entries()}


def _directions(name: str) -> list[dict[str, Any]]:
    if "/" not in name:
        return []
    from hspace import registry
    from hspace.meta import META_FILE, read_meta

    id, _ = registry.split_id(name)
    folder = Path(id) if (Path(id) / META_FILE).is_file() else registry.find(id).folder
    return [{"kind": "direction", **read_meta(folder).model_dump(mode="json"), "path": str(folder)}]


def _rows(one: dict[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in one.items():
        if isinstance(value, dict):
            for inner, deeper in value.items():
                if (key, inner) == ("facts", "options"):
                    rows += [(f"{inner}.{name}", _text(text)) for name, text in deeper.items()]
                else:
                    rows.append((f"{key}.{inner}", _text(deeper)))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            rows += [(f"{key}[{index}]", _text(each)) for index, each in enumerate(value)]
        elif key != "kind":
            rows.append((key, _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps({key: deeper for key, deeper in value.items() if deeper is not None})
    return cell(value)
