"""`hspace sample` and `hspace invert`: the loops without an edit."""

from pathlib import Path
from typing import Annotated

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
    """Adds the commands."""
    cli.command("sample")(sample)
    cli.command("invert")(invert)


def sample(
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many pictures.")] = 16,
    steps: Annotated[int, typer.Option(min=1, help="Sampling steps.")] = 40,
    eta: Annotated[float, typer.Option(min=0, max=1, help="0 is DDIM, 1 is DDPM-like.")] = 0.0,
    seed: Annotated[int, typer.Option(help="The seed of the latents and the noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("hspace-out/sample"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Draw pictures from a backbone, unedited."""
    from hspace import storage
    from hspace.images import contact_sheet, save_picture, to_picture
    from hspace.loading import default_backbone
    from hspace.progress import progress
    from hspace.sampling import gaussian, latents
    from hspace.sampling import sample as generate

    storage.require_writable(out)
    model = load_bound(backbone or default_backbone(), bind, pick_device(device), weights, offline)
    with progress("sampling", quiet=as_json) as callback:
        x_0 = generate(
            model, latents(model, n, seed), steps=steps, eta=eta, noise=gaussian(seed + 1), callback=callback
        )
    pictures = [to_picture(image) for image in model.x0_to_image(x_0)]
    paths = [out / f"{seed}-{index:04d}.png" for index in range(n)]
    for path, picture in zip(paths, pictures, strict=True):
        save_picture(path, picture)
    columns = max(1, round(n**0.5))
    rows = [[pictures[start : start + columns]] for start in range(0, n, columns)]
    sheet = out / f"{seed}-sheet.png"
    save_picture(sheet, contact_sheet(rows, [""] * len(rows)))
    if as_json:
        print_json({"outputs": [str(path) for path in paths], "sheet": str(sheet)})
        return
    say(f"{n} pictures in {out}\nsheet: {sheet}")


def invert(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    backbone: BackboneName = None,
    weights: Weights = None,
    offline: Offline = False,
    bind: Bind = None,
    steps: Annotated[int, typer.Option(min=2, help="Sampling steps.")] = 40,
    fixed_point: Annotated[int, typer.Option(min=0, help="Refinements per step; 0 as published.")] = 1,
    out: Annotated[Path, typer.Option(help="Where the latents and reconstructions go.")] = Path("hspace-out/invert"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find the latent of each picture, and say how well the picture comes back from it."""
    from hspace import storage
    from hspace.discovery import image_size
    from hspace.images import find_images, load_image, psnr, save_picture, to_picture
    from hspace.loading import default_backbone
    from hspace.progress import progress
    from hspace.sampling import invert as to_latent
    from hspace.sampling import sample as generate

    files = find_images(images)
    storage.require_writable(out)
    model = load_bound(backbone or default_backbone(), bind, pick_device(device), weights, offline)
    pictures = [load_image(path, image_size(model)) for path in files]
    rows = []
    with progress("inverting", quiet=as_json) as callback:
        for done, (path, image) in enumerate(zip(files, pictures, strict=True), start=1):
            x_0 = model.image_to_x0(image.to(next(model.parameters(), image)))
            x_T = to_latent(model, x_0, steps=steps, fixed_point=fixed_point)
            again = model.x0_to_image(generate(model, x_T, steps=steps))
            latent, reconstruction = out / f"{path.stem}.safetensors", out / f"{path.stem}.png"
            storage.write_tensors(latent, {"x_T": x_T})
            save_picture(reconstruction, to_picture(again[0]))
            rows.append((path, latent, reconstruction, psnr(image, again.to(image))))
            callback(done, len(files))
    keys = ("input", "latent", "reconstruction", "psnr")
    if as_json:
        print_json({"outputs": [dict(zip(keys, map(_plain, row), strict=True)) for row in rows]})
        return
    print_table(keys, rows)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value
