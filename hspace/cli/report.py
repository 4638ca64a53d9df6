"""`hspace report`: one page on what a run left in its folder."""

from pathlib import Path
from typing import Annotated

import typer

from hspace.cli.output import Json, print_json, say


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("report")(report)


def report(
    folder: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="What discover, edit, audit, ... wrote to.")],
    out: Annotated[Path | None, typer.Option(help="The page [default: report.html in the folder].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite another file of that name.")] = False,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page on a run: its pictures, curves, figures and settings."""
    from hspace.report import write_report

    written = write_report(folder, out, force)
    found = written.content
    counts = {
        "pictures": len(found.sheets) + len(found.pictures),
        "curves": sum(len(drawn) for _, drawn in found.curves),
        "tables": len(found.tables),
        "others": len(found.others),
    }
    if as_json:
        print_json({"report": str(written.path), "bytes": written.size, **counts})
        return
    say(f"{written.path}   ({', '.join(f'{count} {name}' for name, count in counts.items() if count)})")
