"""`hspace show`: one card or one direction, in full."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from hspace.cards import SINGULAR, Card
from hspace.cli.listing import backbone_facts
from hspace.cli.output import Json, Offline, Weights, cell, print_json, print_table, say
from hspace.errors import not_found
from hspace.plugins import plugins


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("show")(show)


def show(
    name: Annotated[
        str, typer.Argument(help="The name of anything that a list command lists, or a backbone's folder.")
    ],
    weights: Weights = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Show a backbone, head, finder, ... or direction in full; of a backbone also what is assumed of its model."""
    found = [_brought(name, weights, offline)] if weights else _folder(name) or _directions(name) or _cards(name)
    if not found:
        known = {card.name for kind in SINGULAR for card in plugins().cards(kind)}
        raise not_found(
            "card or direction", name, known | _direction_ids(), "See the list commands in 'hspace --help'."
        )
    if as_json:
        print_json({"found": found})
        return
    for one in found:
        assumed = one.pop("assumptions", [])
        print_table(("", ""), _rows(one), title=f"{one['kind']} {name}")
        if assumed:
            say("")
            print_table(("assumed of the model", "", "if that is wrong"), [tuple(each.values()) for each in assumed])


def _folder(name: str) -> list[dict[str, Any]]:
    from hspace.assumptions import card_of
    from hspace.meta import META_FILE

    folder = Path(name)
    if not folder.is_dir() or (folder / META_FILE).is_file():
        return []
    return [_backbone(card_of(folder), folder)]


def _backbone(card: Card, folder: Path) -> dict[str, Any]:
    from hspace.assumptions import assumptions

    assumed = [asdict(one) for one in assumptions(card.facts, folder)]
    return {"kind": "backbone", **asdict(card), **backbone_facts(card), "assumptions": assumed}


def _brought(name: str, weights: Path, offline: bool) -> dict[str, Any]:
    """The card of a backbone with the facts that the user's own file of weights was converted with."""
    from hspace.store import fetch
    from hspace.zoo import read_card

    card = plugins().find("backbones", name)
    folder = fetch(card, weights, offline)
    told = read_card(folder)
    return {**_backbone(replace(card, facts={**card.facts, **told.facts}), folder), "plugin": card.plugin}


def _cards(name: str) -> list[dict[str, Any]]:
    found = []
    for kind in SINGULAR:
        for card in plugins().cards(kind):
            if card.name == name and kind == "backbones" and "folder" in card.facts:
                found.append(_backbone(card, Path(card.facts["folder"])))
            elif card.name == name:
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
