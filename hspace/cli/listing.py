"""The list commands: what is installed, read from cards and JSON alone."""

from typing import Any

import typer

from hspace.cards import SINGULAR, Card
from hspace.cli.output import Json, print_json, print_table, say
from hspace.errors import RefusedError
from hspace.plugins import plugins
from hspace.store import weights_status

PROVIDERS = {
    "backbones": "hspace-backbones and hspace-zoo",
    "heads": "hspace-heads",
    "finders": "hspace-jacobian",
    "encoders": "hspace-clip and hspace-zoo",
    "importers": "hspace-asyrp",
    "sources": "hspace-toyfaces",
    "metrics": "hspace-metrics and hspace-toyfaces",
    "labellers": "hspace-clip and hspace-toyfaces",
}
"""Which packages of ours offer what, for the one case that none is installed."""


def register(cli: typer.Typer) -> None:
    """Adds the list commands."""
    for kind in SINGULAR:
        if kind != "backbones":
            cli.command(f"list-{kind}", help=f"List the {kind} that plugins offer.")(_lister(kind))
    cli.command("list-backbones")(list_backbones)
    cli.command("list-directions")(list_directions)
    cli.command("plugins")(list_plugins)


def backbone_facts(card: Card) -> dict[str, Any]:
    """What lists and JSON say of a backbone; what its card does not say is None."""
    facts = {key: card.facts.get(key) for key in ("x_shape", "h_shape", "licence", "source")}
    family = card.facts.get("family")
    named = {"name": card.name, "family": family, "plugin": card.plugin, "summary": card.summary}
    return {**named, **facts, "weights": weights_status(card)}


def list_backbones(as_json: Json = False) -> None:
    """List the backbones: pretrained models whose h can be read and shifted."""
    rows = [backbone_facts(card) for card in plugins().cards("backbones")]
    if as_json:
        print_json({"backbones": rows})
        return
    columns = ("name", "family", "weights", "x_shape", "h_shape", "licence", "plugin", "summary")
    print_table(columns, ([row[column] for column in columns] for row in rows))
    _hint("backbones", empty=not rows)


def _lister(kind: str) -> Any:
    def command(as_json: Json = False) -> None:
        cards = plugins().cards(kind)
        if as_json:
            rows = [
                {"name": card.name, "plugin": card.plugin, "summary": card.summary, "needs": list(card.needs)}
                | {"facts": dict(card.facts)}
                for card in cards
            ]
            print_json({kind: rows})
            return
        print_table(("name", "needs", "plugin", "summary"), ((c.name, c.needs, c.plugin, c.summary) for c in cards))
        _hint(kind, empty=not cards)

    return command


def _hint(kind: str, empty: bool) -> None:
    if empty and kind in PROVIDERS:
        say(f"No plugin offers {kind}. Install {PROVIDERS[kind]}, or see 'hspace plugins'.")
    elif empty:
        say(f"No installed plugin offers {kind}.")


def list_directions(as_json: Json = False) -> None:
    """List the directions in the registry: your own, and those of every zoo."""
    from hspace import registry

    rows = [_direction_row(entry) for entry in registry.entries()]
    if as_json:
        print_json({"directions": rows})
        return
    columns = ("id", "components", "head", "move", "finder", "scope", "t_edit", "owner", "status")
    print_table(columns, ([row.get(column) for column in columns] for row in rows))
    if not rows:
        say("No directions yet. Find some with 'hspace discover --unsupervised'.")


def _direction_row(entry: Any) -> dict[str, Any]:
    row = {"id": entry.id, "owner": entry.owner, "path": str(entry.folder), "status": "ok"}
    try:
        meta = entry.meta()
    except RefusedError as error:
        return {**row, "status": f"damaged: {error}"}
    if meta.backbone.fingerprint is None:
        row["status"] = "not tied to its backbone"
    return {
        **row,
        "backbone": meta.backbone.id,
        "components": meta.components,
        "space": meta.space,
        "head": None if meta.head is None else meta.head.name,
        "move": None if meta.move is None else meta.move.kind,
        "finder": meta.provenance.finder,
        "scope": meta.scope.kind,
        "t_edit": meta.t_edit,
        "strength": meta.strength.model_dump(),
    }


def list_plugins(as_json: Json = False) -> None:
    """List the plugins, those that are broken, misspelt, duplicate or blocked included."""
    reports = plugins().reports()
    if as_json:
        print_json({"plugins": [vars(report) for report in reports]})
        return
    columns = ("name", "version", "status", "hooks", "detail")
    print_table(columns, ([getattr(report, column) for column in columns] for report in reports))
    if not reports:
        say("No plugin is installed. Install hspace-backbones, hspace-heads, hspace-jacobian and hspace-zoo.")
