"""`hspace toyfaces mask`: where a part of a toy face is, as a picture that other commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def mask(
    image: Annotated[Path, typer.Argument(metavar="PICTURE", help="A toy face.")],
    region: Annotated[str, typer.Option(help="face, skin, hair, eyes, mouth, glasses, background, ...")],
    out: Annotated[Path, typer.Option(help="Where the mask goes.")] = Path("mask.png"),
) -> None:
    """Write the mask of a region of a toy face, white where it is seen; the regressor reads what face it is."""
    import torch

    from hspace.cli.output import say
    from hspace.errors import UsageError
    from hspace.images import load_image, save_picture, to_picture
    from hspace_toyfaces.attributes import ATTRIBUTES, NAMES, from_matrix
    from hspace_toyfaces.regions import REGIONS, region_mask
    from hspace_toyfaces.regressor import SIDE, load_regressor

    if region not in REGIONS:
        raise UsageError(f"there is no region {region!r}; there are {', '.join(REGIONS)}")
    read = load_regressor().predict(load_image(image, SIDE))
    low, high = (torch.tensor([getattr(ATTRIBUTES[name], end) for name in NAMES]) for end in ("low", "high"))
    seen = region_mask(from_matrix(read.clamp(low, high)), region, SIDE)
    if not bool(seen.any()):
        raise UsageError(f"the face in {image} shows no {region}; name another region, or take another picture")
    save_picture(out, to_picture(seen[0].float().expand(3, -1, -1) * 2 - 1))
    say(f"mask: {out}")
