"""Discovering directions: a finder at work on latents, its finds stored, and a sheet to look at."""

import inspect
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from hspace import registry, storage
from hspace.backbone import Backbone
from hspace.cost import EDITED, PLAIN, Cost, EstimatingFinder, Stage, peak_bytes, speed
from hspace.direction import Direction
from hspace.encoder import Encoder
from hspace.errors import HspaceError, UsageError
from hspace.finder import Finder, Task
from hspace.images import contact_sheet, save_picture, to_picture
from hspace.inverting import INVERTED, invert_once, inverted_before
from hspace.loading import default_backbone, load_backbone, load_encoder
from hspace.pictures import Pictures, pictures_of_files, pictures_of_source
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.sampling import Callback, edit, latents, sample
from hspace.schedule import generation

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

    `inverted` counts the pictures that it worked on, `from_cache` those of them that were inverted before, and
    `skipped` says of files why they were left out.
    Of several processes the main one stores and draws; the others have found nothing, and their sheet is the folder.
    """

    directions: list[Direction]
    folders: list[Path]
    sheet: Path
    seconds: float
    inverted: int = 0
    from_cache: int = 0
    skipped: Mapping[Path, str] = field(default_factory=dict)


def discover(
    backbone: Backbone | str | Path | None = None,
    *,
    finder: str = UNSUPERVISED,
    config: Mapping[str, Any] | None = None,
    images: Sequence[Path] = (),
    source: str | None = None,
    source_config: Mapping[str, Any] | None = None,
    samples: int | None = None,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    steps: int = 40,
    name: str | None = None,
    out: Path = Path("hspace-out"),
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    offline: bool = False,
    progress: Callable[[str], Callback] | None = None,
) -> Discovery:
    """The directions that a finder finds on a backbone, stored in the registry and shown on a sheet in `out`.

    The finder works on the latents that `images` invert to, or those of `samples` pictures of a `source` (its settings
    are `source_config`), or else on that many latents of the seed. Pictures are inverted once and kept, as
    `invert_once` says, and those that cannot be read are left out with a warning. `config` goes to the finder, and so
    do the prompts (source, target) and the encoder that reads them. Without `samples` they are as many as the finder's
    card asks for. `name` is what to call the find in place of the
    finder's own choice (with -1, -2, ... for more).
    The sheet has a row per direction and, for each of several pictures, a column per strength from the smallest to
    the largest. `weights` and `offline` are as for `load_backbone`, where `backbone` is a name.
    `progress(stage)` returns the callback of a stage. Raises NotFoundError for an unknown name,
    UsageError for a config the finder does not take or a need that is not met, RefusedError when no picture can be
    read, HspaceError when nothing was found.
    """
    started = time.perf_counter()
    stage = progress or _quiet
    task = _asked(steps, seed, bool(images or source), prompts, encoder, progress=stage("finding"), folder=out)
    one = build_finder(finder, config or {}, task)
    storage.require_writable(out)
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    backbone, task = _loaded(backbone, task, device, weights, offline)
    samples = usual_samples(finder) if samples is None else samples
    pictures = pictures_of(backbone, images, source, source_config, samples, seed)
    task, from_cache = with_latents(task, backbone, pictures, samples, stage("inverting"))
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
    seconds = time.perf_counter() - started
    if pictures is None:
        return Discovery(directions, folders, path, seconds)
    return Discovery(directions, folders, path, seconds, len(pictures.images), from_cache, pictures.skipped)


def estimate(
    backbone: Backbone | str | Path | None = None,
    *,
    finder: str = TEXT_DRIVEN,
    config: Mapping[str, Any] | None = None,
    images: Sequence[Path] = (),
    source: str | None = None,
    source_config: Mapping[str, Any] | None = None,
    samples: int | None = None,
    prompts: tuple[str, str] | None = None,
    encoder: Encoder | str | Path | None = None,
    seed: int = 0,
    steps: int = 40,
    device: str | torch.device = "cpu",
    weights: Path | None = None,
    offline: bool = False,
) -> Cost:
    """What `discover` would cost with the same arguments, by a few real steps on this machine; nothing is stored.

    The sheet is that of one direction, edited in all its steps. Raises as `discover` does, and UsageError for a finder
    that cannot say.
    """
    task = _asked(steps, seed, bool(images or source), prompts, encoder)
    one = build_finder(finder, config or {}, task)
    if not isinstance(one, EstimatingFinder):
        raise UsageError(f"finder {finder!r} cannot say what it costs; try it on few samples")
    backbone, task = _loaded(backbone, task, device, weights, offline)
    samples = usual_samples(finder) if samples is None else samples
    pictures = pictures_of(backbone, images, source, source_config, samples, seed)
    n = samples if pictures is None else len(pictures.images)
    task = replace(task, x_T=latents(backbone, n, seed))  # in place of those of pictures: they cost the same
    fast = speed(backbone)
    stages = []
    if pictures is not None:
        new = n - inverted_before(backbone, x_0_of(backbone, pictures.images), steps=steps)
        inverted = PLAIN * (new * INVERTED * len(generation("asyrp", steps, len(backbone.alphas_cumprod))))
        stages.append(Stage("inverting", inverted, fast.seconds(inverted)))
    found = one.estimate(backbone, task)
    drawn = (PLAIN + EDITED * 4) * (SHEET_IMAGES * SHEET_STEPS)
    stages += [*found.stages, Stage("drawing", drawn, fast.seconds(drawn))]
    peak = peak_bytes(task.x_T.device)
    return Cost(tuple(stages), None if peak is None else peak + found.more_bytes)


def build_finder(name: str, config: Mapping[str, Any], task: Task) -> Finder:
    """The named finder, for a task that has all that it needs.

    Raises NotFoundError for an unknown one, UsageError for a config it does not take, or a need that is not met.
    """
    card = plugins().find("finders", name)
    build = card.load()
    try:
        inspect.signature(build).bind(**config)
    except TypeError as error:
        takes = ", ".join(inspect.signature(build).parameters) or "nothing"
        raise UsageError(f"finder {name!r} takes {takes}; {', '.join(config)} was given ({error})") from error
    task.require(card)
    finder: Finder = build(**config)
    return finder


def _asked(
    steps: int,
    seed: int,
    with_pictures: bool,
    prompts: tuple[str, str] | None,
    encoder: Encoder | str | Path | None,
    **more: Any,
) -> Task:
    """The task before there is a backbone, so that needs are checked before any weight is read."""
    nothing = torch.empty(0)
    x_0 = nothing if with_pictures else None
    return Task(x_T=nothing, steps=steps, seed=seed, x_0=x_0, prompts=prompts, encoder=encoder, **more)


def _loaded(
    backbone: Backbone | str | Path | None,
    task: Task,
    device: str | torch.device,
    weights: Path | None,
    offline: bool,
) -> tuple[Backbone, Task]:
    """The backbone, and the task with its encoder, loaded where they are names."""
    if not isinstance(backbone, Backbone):
        backbone = load_backbone(backbone or default_backbone(), device=device, weights=weights, offline=offline)
    if isinstance(task.encoder, str | Path):
        task = replace(task, encoder=load_encoder(task.encoder, device=device))
    return backbone, task


def usual_samples(finder: str) -> int:
    """How many latents a finder works on where nobody says: what its card asks for, or 4."""
    return int(plugins().find("finders", finder).facts.get("samples", 4))


def pictures_of(
    backbone: Backbone,
    images: Sequence[Path],
    source: str | None,
    source_config: Mapping[str, Any] | None,
    samples: int,
    seed: int,
) -> Pictures | None:
    """The pictures to work on: those of files, or `samples` of a source; None where there are latents alone.

    Raises UsageError where both are given, and as `pictures_of_files` and `pictures_of_source` do.
    """
    if images and source is not None:
        raise UsageError("images and source both say where pictures come from; give one of them")
    if images:
        return pictures_of_files(images, image_size(backbone))
    if source is not None:
        return pictures_of_source(source, samples, image_size(backbone), seed, source_config)
    return None


def with_latents(
    task: Task, backbone: Backbone, pictures: Pictures | None, samples: int, callback: Callback
) -> tuple[Task, int]:
    """The task with its x_T, inverted from pictures where there are any, else drawn from its seed.

    Beside it how many came from the cache.
    """
    if pictures is None:
        if samples < 1:
            raise UsageError(f"samples must be at least 1; {samples} was given")
        told = f"{samples} latents of seed {task.seed}"
        return replace(task, x_T=latents(backbone, samples, task.seed), data=told), 0
    x_0 = x_0_of(backbone, pictures.images)
    inverted = invert_once(backbone, x_0, steps=task.steps, callback=callback)
    task = replace(task, x_T=inverted.x_T, x_0=x_0, image_sha256=pictures.sha256, data=pictures.data)
    return task, inverted.from_cache


def x_0_of(backbone: Backbone, images: Tensor) -> Tensor:
    """x_0 (N, C, H, W) of images (N, 3, S, S) in [-1, 1], each on its own, so that it does not depend on the others."""
    place = next(backbone.parameters(), images)
    with torch.no_grad():
        return torch.cat([backbone.image_to_x0(image.to(place)) for image in torch.split(images, 1)])


def image_size(backbone: Backbone) -> int:
    """The side, in pixels, of the backbone's square pictures."""
    return int(backbone.x0_to_image(torch.zeros_like(latents(backbone, 1, 0))).shape[-1])


def _signed(direction: Direction, name: str | None) -> Direction:
    """The direction with the date, the version, and the name that was asked for."""
    meta, now = direction.meta, datetime.now(UTC).date().isoformat()
    provenance = meta.provenance.model_copy(update={"hspace": version("hspace"), "date": now})
    id = meta.id if name is None else f"{meta.backbone.id}/{name}.{meta.provenance.finder}"
    return replace(direction, meta=meta.model_copy(update={"provenance": provenance, "id": id}))


def _quiet(stage: str) -> Callback:
    return lambda done, total: None


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
