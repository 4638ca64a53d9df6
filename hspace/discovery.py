"""Discovering directions: a finder at work on latents, its finds stored, and a sheet to look at."""

import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hspace import registry, storage
from hspace.backbone import Backbone
from hspace.direction import Direction
from hspace.encoder import Encoder
from hspace.errors import HspaceError, UsageError
from hspace.finder import Finder, Task
from hspace.images import contact_sheet, load_image, save_picture, to_picture
from hspace.loading import default_backbone, load_backbone, load_encoder
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.sampling import edit, invert, latents, sample

UNSUPERVISED = "jacobian-svd"
"""The finder that needs nothing, used when none is named."""
TEXT_DRIVEN = "asyrp"
"""The finder that goes from one prompt to another, used when prompts are given and none is named."""
SHEET_STEPS = 20
SHEET_IMAGES = 3
PREVIEW = "preview.png"


@dataclass(frozen=True)
class Discovery:
    """What `discover` found: the directions as stored, their folders, the sheet, and the seconds it took.

    Of several processes the main one stores and draws; the others have found nothing, and their sheet is the folder.
    """

    directions: list[Direction]
    folders: list[Path]
    sheet: Path
    seconds: float


def discover(
    backbone: Backbone | str | Path | None = None,
    *,
    finder: str = UNSUPERVISED,
    config: Mapping[str, Any] | None = None,
    images: Sequence[Path] = (),
    samples: int = 4,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    steps: int = 40,
    name: str | None = None,
    out: Path = Path("hspace-out"),
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    offline: bool = False,
    progress: Callable[[str], Callable[[int, int], None]] | None = None,
) -> Discovery:
    """The directions that a finder finds on a backbone, stored in the registry and shown on a sheet in `out`.

    The finder works on `samples` latents of the seed, or on the latents that `images` invert to. `config` goes to
    the finder, and so do the prompts (source, target) and the encoder that reads them. `name` is what to call the find
    in place of the finder's own choice (with -1, -2, ... for more).
    The sheet has a row per direction and, for each of several pictures, a column per strength from the smallest to
    the largest. `weights` and `offline` are as for `load_backbone`, where `backbone` is a name.
    `progress(stage)` returns the callback of a stage. Raises NotFoundError for an unknown name,
    UsageError for a config the finder does not take or a need that is not met, HspaceError when nothing was found.
    """
    started = time.perf_counter()
    card = plugins().find("finders", finder)
    one = build_finder(finder, config or {})
    stage = progress or (lambda _: lambda done, total: None)
    nothing = torch.empty(0)  # until the backbone is there: needs are checked before any weight is read
    task = Task(
        x_T=nothing, steps=steps, seed=seed, x_0=nothing if images else None, prompts=prompts, encoder=encoder,
        progress=stage("finding"), folder=out,
    )  # fmt: skip
    task.require(card)
    storage.require_writable(out)
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    if not isinstance(backbone, Backbone):
        name_or_folder = backbone or default_backbone()
        backbone = load_backbone(name_or_folder, device=device, weights=weights, offline=offline)
    if isinstance(encoder, str | Path):
        task = replace(task, encoder=load_encoder(encoder, device=device))
    task = with_latents(task, backbone, images, samples, stage("inverting"))
    directions, folders = [], []
    for index, direction in enumerate(one.find(backbone, task)):
        if not is_main():
            continue
        entry = registry.add(_signed(direction, f"{name}-{index}" if name and index else name))
        directions.append(Direction.load(entry.folder))
        folders.append(entry.folder)
    if not is_main():
        return Discovery([], [], out, time.perf_counter() - started)
    if not directions:
        raise HspaceError(f"finder {finder!r} found no direction; try another --seed, or other pictures")
    sheet = draw_sheet(backbone, directions, sheet_latents(task, backbone), stage("drawing"))
    for folder in folders:
        save_picture(folder / PREVIEW, sheet)
    path = out / f"{directions[0].meta.id.replace('/', '.')}.png"
    save_picture(path, sheet)
    return Discovery(directions, folders, path, time.perf_counter() - started)


def build_finder(name: str, config: Mapping[str, Any]) -> Finder:
    """The named finder. Raises NotFoundError for an unknown one, UsageError for a config it does not take."""
    build = plugins().find("finders", name).load()
    try:
        inspect.signature(build).bind(**config)
    except TypeError as error:
        takes = ", ".join(inspect.signature(build).parameters) or "nothing"
        raise UsageError(f"finder {name!r} takes {takes}; {', '.join(config)} was given ({error})") from error
    finder: Finder = build(**config)
    return finder


def with_latents(
    task: Task,
    backbone: Backbone,
    images: Sequence[Path],
    samples: int,
    callback: Callable[[int, int], None],
) -> Task:
    """The task with its x_T: inverted from the pictures where there are any, else drawn from its seed."""
    if not images:
        if samples < 1:
            raise UsageError(f"samples must be at least 1; {samples} was given")
        return replace(task, x_T=latents(backbone, samples, task.seed))
    size = image_size(backbone)
    pictures = torch.cat([load_image(path, size) for path in images])
    x_0 = backbone.image_to_x0(pictures.to(next(backbone.parameters(), pictures)))
    x_T = invert(backbone, x_0, steps=task.steps, callback=callback)
    return replace(task, x_T=x_T, x_0=x_0, image_sha256=tuple(storage.sha256(path) for path in images))


def image_size(backbone: Backbone) -> int:
    """The side, in pixels, of the backbone's square pictures."""
    return int(backbone.x0_to_image(torch.zeros_like(latents(backbone, 1, 0))).shape[-1])


def _signed(direction: Direction, name: str | None) -> Direction:
    """The direction with the date, the version, and the name that was asked for."""
    meta, now = direction.meta, datetime.now(UTC).date().isoformat()
    provenance = meta.provenance.model_copy(update={"hspace": version("hspace"), "date": now})
    id = meta.id if name is None else f"{meta.backbone.id}/{name}.{meta.provenance.finder}"
    return replace(direction, meta=meta.model_copy(update={"provenance": provenance, "id": id}))


def parts(directions: Sequence[Direction]) -> list[Direction]:
    """The directions one by one, each basis taken apart into its components, unless one of them was picked."""
    return [
        direction.pick(k) if direction.meta.components > 1 and direction.component is None else direction
        for direction in directions
        for k in range(direction.meta.components if direction.component is None else 1)
    ]


def sheet_latents(task: Task, backbone: Backbone) -> Tensor:
    """A few x_T (n, C, H, W) for a sheet: the task's first, and drawn ones where it has too few."""
    more = latents(backbone, SHEET_IMAGES, task.seed)
    return torch.cat([task.x_T, more[len(task.x_T) :]])[:SHEET_IMAGES]


def draw_sheet(
    backbone: Backbone, directions: Sequence[Direction], x_T: Tensor, callback: Callable[[int, int], None]
) -> Image.Image:
    """A contact sheet: a row per direction, and for each x_T a column per strength from its min over 0 to its max."""
    rows, labels, columns = [], [], [""]
    singles = parts(directions)
    plain = _pictures(backbone, sample(backbone, x_T, steps=SHEET_STEPS))
    for done, direction in enumerate(singles, start=1):
        low, high = direction.meta.strength.min, direction.meta.strength.max
        strengths = [low, low / 2, high / 2, high]
        four, per_picture = x_T.repeat_interleave(4, dim=0), torch.tensor(strengths * len(x_T))
        edited = _pictures(backbone, edit(backbone, four, [(direction, per_picture)], steps=SHEET_STEPS))
        sides = [edited[i : i + 4] for i in range(0, len(edited), 4)]
        rows.append([[*side[:2], zero, *side[2:]] for side, zero in zip(sides, plain, strict=True)])
        labels.append(direction.id.rpartition("/")[2] if direction.component is None else f"#{direction.component}")
        columns = [f"{low:+.3g}", f"{low / 2:+.3g}", "0", f"{high / 2:+.3g}", f"{high:+.3g}"]
        callback(done, len(singles))
    title = ", ".join(direction.meta.id for direction in directions)
    return contact_sheet(rows, labels, columns, title)


def _pictures(backbone: Backbone, x_0: Tensor) -> list[Image.Image]:
    return [to_picture(image) for image in backbone.x0_to_image(x_0)]
