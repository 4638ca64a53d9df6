"""Text-driven directions: the finder that trains them, and Asyrp's published ones, read exactly."""

from pathlib import Path

import typer

import hspace

SOURCE = "Kwon et al., Asyrp (arXiv:2210.10960)"


@hspace.hookimpl
def hspace_finders() -> list[hspace.Card]:
    """The finder that goes from one prompt to another."""
    return [
        hspace.Card(
            "asyrp",
            "hspace_asyrp.finder:build",
            "trains a head that moves pictures from one prompt to another",
            needs=("prompts", "encoder"),
            facts={"source": SOURCE, "samples": 48},
        )
    ]


@hspace.hookimpl
def hspace_importers() -> list[hspace.Card]:
    """The files that the official code writes."""
    return [
        hspace.Card(
            "asyrp-official",
            "hspace_asyrp.importer:read",
            "Asyrp's .pth files in both layouts: the 35 published directions, and your own of the official scripts",
            facts={"source": SOURCE},
        )
    ]


@hspace.hookimpl
def hspace_commands(app: typer.Typer) -> None:
    """`hspace window`."""
    from hspace_asyrp.window_command import window

    app.command("window")(window)


@hspace.hookimpl
def hspace_zoos() -> list[Path]:
    """The list of the published directions, for 'hspace pull'."""
    return [Path(__file__).parent / "zoo"]
