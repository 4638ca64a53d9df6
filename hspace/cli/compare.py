"""`hspace compare`: how far apart bases are."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hspace.cli.output import (
    BackboneName,
    Bind,
    Device,
    Json,
    Offline,
    Weights,
    load_bound,
    pick_device,
    print_json,
    print_table,
    say,
)


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("compare")(compare)


def compare(
    directions: Annotated[
        list[str], typer.Argument(metavar="DIRECTION...", help="Ids or folders; one alone across its timesteps.")
    ],
    at: Annotated[
        list[int] | None, typer.Option(help="A timestep to compare at; repeatable [default: those of each direction].")
    ] = None,
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    draws: Annotated[int, typer.Option(min=2, help="Pairs of random subspaces to draw.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all that is drawn.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the heat map goes.")] = Path("hspace-out/compare.png"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure the principal angles between bases: across timesteps, samples, finders and backbones of one shape."""
    from hspace import comparison
    from hspace.loading import load_direction
    from hspace.plots import draw_distances
    from hspace.progress import progress
    from hspace.storage import require_writable

    found = [load_direction(name) for name in directions]
    place = pick_device(device)
    require_writable(out.parent)
    models: dict[str, Any] = {}
    subspaces = []
    with progress("comparing", quiet=as_json) as callback:
        for done, one in enumerate(found, start=1):
            name = backbone or one.meta.backbone.id
            if name not in models:
                models[name] = load_bound(name, bind, place, weights, offline)
            subspaces += comparison.spans(one, models[name], at or (), seed=seed)
            callback(done, len(found))
    compared = comparison.compare(subspaces, draws=draws, seed=seed)
    draw_distances(compared, out)
    if as_json:
        print_json({**_answer(compared), "heat_map": str(out)})
        return
    _print(compared)
    say(f"\nheat map: {out}")


def _print(compared: Any) -> None:
    names = [one.name for one in compared.subspaces]
    rows = []
    for (i, j), one in compared.distances.items():
        angles = f"{_degrees(one.angles[0])} to {_degrees(one.angles[-1])}"
        random = f"{one.random.geodesic:.3g} ± {one.random.geodesic_sd:.1g}"
        random_chordal = f"{one.random.chordal:.3g} ± {one.random.chordal_sd:.1g}"
        rows.append(
            (names[i], names[j], len(one.angles), angles, one.geodesic, random, one.share, one.chordal, random_chordal)
        )
    columns = ("basis", "and", "angles", "degrees", "D_geo", "random", "share", "chordal", "random")
    print_table(columns, rows)
    say("\nD_geo = |theta|, chordal = |sin theta|, over the principal angles theta; share: of random subspaces' D_geo")


def _degrees(angle: float) -> str:
    from math import degrees

    return f"{degrees(angle):.3g}°"


def _answer(compared: Any) -> dict[str, Any]:
    from dataclasses import asdict

    names = [one.name for one in compared.subspaces]
    return {
        "subspaces": [
            {"name": one.name, "dimensions": len(one.U), "h_shape": one.h_shape} for one in compared.subspaces
        ],
        "pairs": [
            {
                "subspaces": [names[i], names[j]],
                "angles": one.angles,
                "geodesic": one.geodesic,
                "chordal": one.chordal,
                "share": one.share,
                "random": asdict(one.random),
            }
            for (i, j), one in compared.distances.items()
        ],
    }
