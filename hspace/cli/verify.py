"""`hspace verify`: is every direction in the registry whole?"""

from typing import Annotated

import typer

from hspace.cli.output import Json, print_json, print_table, say
from hspace.errors import HspaceError, RefusedError


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("verify")(verify)


def verify(
    ids: Annotated[list[str] | None, typer.Argument(help="Directions to check; all when none is named.")] = None,
    as_json: Json = False,
) -> None:
    """Check directions: their description, the sha256 of their weights, and that every number is finite."""
    from hspace import registry
    from hspace.direction import Direction

    entries = [registry.find(id) for id in ids] if ids else list(registry.entries())
    rows = []
    for entry in entries:
        problem = None
        try:
            direction = Direction.load(entry.folder)
            if direction.meta.id != entry.id:
                problem = f"the folder is {entry.id!r}, the description says {direction.meta.id!r}"
        except HspaceError as error:
            problem = str(error)
        rows.append({"id": entry.id, "owner": entry.owner, "path": str(entry.folder), "problem": problem})
    bad = [row["id"] for row in rows if row["problem"]]
    if as_json:
        print_json({"directions": rows})
    else:
        print_table(("id", "owner", "status"), ((row["id"], row["owner"], row["problem"] or "ok") for row in rows))
        say(f"{len(rows)} checked, {len(bad)} damaged")
    if bad:
        raise RefusedError(f"{len(bad)} of {len(rows)} directions are damaged: {', '.join(map(str, bad))}")
