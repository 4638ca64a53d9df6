"""One published architecture at full size with random weights: `python full_size.py NAME FOLDER STAGE`.

STAGE is "make", which writes an official checkpoint, "convert", or "edit", one asymmetric step at the published
resolution. The last line of the output is JSON: the bytes of the checkpoint, and of memory at the most and before.
"""

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hspace.archive import read_checkpoint
from hspace.sampling import Edit, edit, invert
from hspace_backbones import openai, pesser
from hspace_backbones.arguments import OpenaiArguments, PesserArguments
from hspace_backbones.conversion import convert_checkpoint
from hspace_backbones.converted_folder import write_folder
from hspace_backbones.first_stage import FirstStage
from hspace_backbones.layers import official_shapes
from hspace_backbones.published import published


def shapes(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The official parameter list."""
    facts = published()[name]
    if facts["family"] == "ldm":
        for key, shape in official_shapes(openai.layers(OpenaiArguments.read(facts["unet_args"]))).items():
            yield f"model.diffusion_model.{key}", shape
        for key, shape in official_shapes(FirstStage.read(facts["first_stage"]).layers()).items():
            yield f"first_stage_model.{key}", shape
    elif facts["family"] == "ddpmpp":
        yield from official_shapes(pesser.layers(PesserArguments.read(facts["args"], pesser.NEUTRAL))).items()
    else:
        yield from official_shapes(openai.layers(OpenaiArguments.read(facts["args"], openai.NEUTRAL))).items()


def make(name: str, path: Path) -> None:
    """Writes a checkpoint of random weights that keep the size of what goes through."""
    generator = torch.Generator().manual_seed(0)

    def weight(shape: tuple[int, ...]) -> Tensor:
        fan_in = torch.Size(shape[1:]).numel()
        return torch.randn(shape, generator=generator) / fan_in**0.5 if len(shape) > 1 else torch.ones(shape)

    torch.save({key: weight(shape) for key, shape in shapes(name)}, path)


def convert(name: str, path: Path, folder: Path) -> None:
    """Converts it as `hspace convert` does."""
    facts = published()[name]
    write_folder(convert_checkpoint(read_checkpoint(path), facts["family"], facts), folder, facts["family"], path.name)


@torch.no_grad()
def one_step(folder: Path) -> None:
    """Takes a picture to x_0, one inversion step up, and one asymmetric step back to a picture."""
    from hspace import Head, State, load_backbone
    from hspace.discovery import image_size

    class Shift(Head):
        def forward(self, state: State) -> Tensor:
            return torch.full_like(state.h, 0.1)

    backbone = load_backbone(folder)
    backbone = backbone.bind(label=207) if backbone.card and backbone.card.facts.get("num_classes") else backbone
    size = image_size(backbone)
    x_0 = backbone.image_to_x0(torch.rand(1, 3, size, size) * 2 - 1)
    x_T = invert(backbone, x_0, steps=2, fixed_point=0)
    image = backbone.x0_to_image(edit(backbone, x_T, [Edit(Shift())], steps=1, symmetric=False))
    assert image.shape == (1, 3, size, size)
    assert bool(image.isfinite().all())


def main() -> None:
    """Runs the stage and says what it took."""
    name, folder, stage = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    checkpoint, before = folder / "model.pt", _peak()
    if stage == "make":
        make(name, checkpoint)
    elif stage == "convert":
        convert(name, checkpoint, folder / "converted")
    else:
        one_step(folder / "converted")
    print(json.dumps({"bytes": checkpoint.stat().st_size, "peak": _peak(), "before": before}))


def _peak() -> int:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
