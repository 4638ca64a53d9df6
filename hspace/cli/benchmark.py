"""`hspace benchmark`: all that finds directions, compared on the same backbones, targets and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from hspace.cli.output import Device, Json, pick_device, print_json, print_table, say

JSON, MARKDOWN = "leaderboard.json", "leaderboard.md"


def register(cli: typer.Typer) -> None:
    """Adds the command."""
    cli.command("benchmark")(benchmark)


def benchmark(
    recipe: Annotated[str, typer.Argument(help="A benchmark's recipe, or a .toml file.")] = "toyfaces-benchmark",
    backbones: Annotated[
        list[str] | None, typer.Option("--backbone", help="Instead of the recipe's; repeatable.")
    ] = None,
    targets: Annotated[list[str] | None, typer.Option("--target", help="Only this one; repeatable.")] = None,
    finders: Annotated[list[str] | None, typer.Option("--finder", help="Only this one; repeatable.")] = None,
    heads: Annotated[list[str] | None, typer.Option("--head", help="Only this one; repeatable.")] = None,
    n: Annotated[int | None, typer.Option("-n", min=1, help="Pictures of each seed, instead of the recipe's.")] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="A held-out seed, instead of the recipe's; repeatable.")
    ] = None,
    samples: Annotated[int | None, typer.Option(min=1, help="Latents to find on, instead of the recipe's.")] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="Sampling steps, instead of the recipe's.")] = None,
    out: Annotated[Path, typer.Option(help="Where the leaderboard goes.")] = Path("hspace-out/benchmark"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Compare everything that finds directions; whatever is installed takes part. A rerun goes on where it stopped."""
    import json

    from hspace.benchmark import board
    from hspace.benchmark.entries import entries
    from hspace.benchmark.recipe import read_benchmark
    from hspace.benchmark.running import run
    from hspace.progress import progress
    from hspace.storage import require_writable, write_bytes

    plan = read_benchmark(recipe, backbones=backbones, n=n, seeds=seeds, samples=samples, steps=steps)
    takes_part = entries(plan, finders or (), heads or (), targets or ())
    require_writable(out)
    with progress("benchmark", quiet=as_json) as callback:
        rows = run(plan, takes_part, out, device=pick_device(device), callback=callback)
    found = board.board(plan, rows)
    write_bytes(out / JSON, (json.dumps(found, indent=2) + "\n").encode())
    write_bytes(out / MARKDOWN, board.markdown(found).encode())
    plots = board.draw(found, out)
    if as_json:
        print_json({**found, "out": str(out)})
        return
    print_table(board.header(found), board.table(found))
    for note in board.notes(found):
        say(f"\n{note}")
    say(f"\n{out}: {JSON}, {MARKDOWN}, {', '.join(path.name for path in plots)}")
