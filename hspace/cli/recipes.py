"""`hspace recipes`: how the things in the zoos were made."""

from typing import Annotated, Any

import typer

from hspace.cli.output import Json, print_json, print_table, say


def register(cli: typer.Typer) -> None:
    """Adds the commands."""
    commands = typer.Typer(name="recipes", help="See the recipes that things were made by.", no_args_is_help=True)
    commands.command("list")(list_recipes)
    commands.command("show")(show_recipe)
    cli.add_typer(commands)


def list_recipes(
    kind: Annotated[str | None, typer.Option(help="Only those of one kind, such as direction or backbone.")] = None,
    as_json: Json = False,
) -> None:
    """List the recipes of every installed zoo."""
    from hspace.recipes import recipes

    rows = [row for row in map(_row, recipes()) if kind in (None, row["kind"])]
    if as_json:
        print_json({"recipes": rows})
        return
    columns = ("name", "kind", "plugin", "summary")
    print_table(columns, ([row[column] for column in columns] for row in rows))
    if not rows:
        say("No recipes." if kind is None else f"No recipes of the kind {kind!r}.")


def show_recipe(
    name: Annotated[str, typer.Argument(help="A name from 'hspace recipes list', or a .toml file.")],
    as_json: Json = False,
) -> None:
    """Show a recipe in full."""
    from hspace.recipes import find

    recipe = find(name)
    content = recipe.content()
    if as_json:
        print_json({"recipe": content, "path": str(recipe.path)})
        return
    say(f"# {recipe.path}")
    say(recipe.path.read_text(encoding="utf-8").rstrip())


def _row(recipe: Any) -> dict[str, Any]:
    from hspace.errors import RefusedError

    row = {"name": recipe.name, "kind": None, "plugin": recipe.plugin, "path": str(recipe.path)}
    try:
        content = recipe.content()
    except RefusedError as error:
        return {**row, "summary": f"damaged: {error}"}
    return {**row, "kind": content["kind"], "summary": content.get("summary")}
