"""Discovering directions: a finder at work on latents, its finds stored, and a sheet to look at."""

import inspect
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from hspace.images import save_picture
from hspace.inverting import INVERTED, invert_once, inverted_before
from hspace.labels import Labels, labels_for
from hspace.loading import default_backbone, load_backbone, load_encoder
from hspace.pictures import Pictures, pictures_of_files, pictures_of_source
from hspace.plots import draw_spectra
from hspace.plugins import plugins
from hspace.processes import is_main
from hspace.sampling import Callback, latents
from hspace.schedule import generation
from hspace.sheets import PREVIEW, SHEET_IMAGES, SHEET_STEPS, draw_sheet, sheet_latents
from hspace.spectra import spectra

UNSUPERVISED = "jacobian-svd"
"""The finder that needs nothing, used when none is named."""
TEXT_DRIVEN = "asyrp"
"""The finder that goes from one prompt to another, used when prompts are given and none is named."""


@dataclass(frozen=True)
class Discovery:
    """What `discover` found: the directions as stored, their folders, the sheet, and the seconds it took.

    `spectrum` is the plot of sigma per component, where the finder measured it. `inverted` counts the pictures that it
    worked on, `from_cache` those of them that were inverted before, and `skipped` says of files why they were left out.
    Of several processes the main one stores and draws; the others have found nothing, and their sheet is the folder.
    """

    directions: list[Direction]
    folders: list[Path]
    sheet: Path
    seconds: float
    inverted: int = 0
    from_cache: int = 0
    skipped: Mapping[Path, str] = field(default_factory=dict)
    spectrum: Path | None = None


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
    labels: Path | None = None,
    attribute: str | None = None,
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
    do the prompts (source, target) and the encoder that reads them, and a label for each picture: the column
    `attribute` of a CSV file `labels`, as `read_labels` reads it, or what the source knows of it. Without `samples`
    they are as many as the finder's card asks for. `name` is what to call the find in place of the
    finder's own choice (with -1, -2, ... for more).
    The sheet has a row per direction and, for each of several pictures, a column per strength from the smallest to
    the largest; beside it are the description of each direction and the spectrum of each basis whose finder measured
    sigma. `weights` and `offline` are as for `load_backbone`, where `backbone` is a name.
    `progress(stage)` returns the callback of a stage. Raises NotFoundError for an unknown name,
    UsageError for a config the finder does not take or a need that is not met, RefusedError when no picture can be
    read, HspaceError when nothing was found.
    """
    started = time.perf_counter()
    stage = progress or _quiet
    known = labels_for(labels, attribute, images, source)
    task = _asked(finder, steps, seed, bool(images or source), prompts, encoder, known or attribute)
    task = replace(task, progress=stage("finding"), folder=out)
    one = build_finder(finder, config or {})
    storage.require_writable(out)
    if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise UsageError(f"a direction's name has small letters, digits, - and _; {name!r} was given")
    backbone, task = _loaded(backbone, task, device, weights, offline)
    samples = usual_samples(finder) if samples is None else samples
    pictures = pictures_of(backbone, images, source, source_config, samples, seed, known or attribute)
    task, from_cache = with_latents(task, backbone, pictures, samples, stage("inverting"))
    directions, folders = _stored(one.find(backbone, task), name)
    if not is_main():
        return Discovery([], [], out, time.perf_counter() - started)
    if not directions:
        raise HspaceError(f"finder {finder!r} found no direction; try another --seed, or other pictures")
    sheet = draw_sheet(backbone, directions, sheet_latents(task, backbone), stage("drawing"))
    path, spectrum = _shown(directions, folders, sheet, out)
    found = Discovery(directions, folders, path, time.perf_counter() - started, spectrum=spectrum)
    if pictures is None:
        return found
    return replace(found, inverted=len(pictures.images), from_cache=from_cache, skipped=pictures.skipped)


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
    labels: Path | None = None,
    attribute: str | None = None,
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
    known = labels_for(labels, attribute, images, source)
    task = _asked(finder, steps, seed, bool(images or source), prompts, encoder, known or attribute)
    one = build_finder(finder, config or {})
    if not isinstance(one, EstimatingFinder):
        raise UsageError(f"finder {finder!r} cannot say what it costs; try it on few samples")
    backbone, task = _loaded(backbone, task, device, weights, offline)
    samples = usual_samples(finder) if samples is None else samples
    pictures = pictures_of(backbone, images, source, source_config, samples, seed, known or attribute)
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


def _stored(found: Iterable[Direction], name: str | None) -> tuple[list[Direction], list[Path]]:
    """The directions as they are in the registry, and their folders; of several processes the main one stores."""
    directions, folders = [], []
    for index, direction in enumerate(found):
        if is_main():
            entry = registry.add(_signed(direction, f"{name}-{index}" if name and index else name))
            directions.append(Direction.load(entry.folder))
            folders.append(entry.folder)
    return directions, folders


def _shown(
    directions: Sequence[Direction], folders: Sequence[Path], sheet: Image.Image, out: Path
) -> tuple[Path, Path | None]:
    """The paths of the sheet and of the spectrum in `out`; each folder gets the sheet, and `out` the descriptions."""
    for folder in folders:
        save_picture(folder / PREVIEW, sheet)
    for direction in directions:
        described = out / f"{direction.meta.id.replace('/', '.')}.json"
        storage.write_bytes(described, (direction.meta.model_dump_json(indent=2, exclude_none=True) + "\n").encode())
    path = out / f"{directions[0].meta.id.replace('/', '.')}.png"
    save_picture(path, sheet)
    return path, _spectrum(directions, path.with_suffix(".spectrum.png"))


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


def _asked(
    finder: str,
    steps: int,
    seed: int,
    with_pictures: bool,
    prompts: tuple[str, str] | None,
    encoder: Encoder | str | Path | None,
    labels: Labels | str | None,
) -> Task:
    """The task before there is a backbone, so that the finder's needs are checked before any weight is read."""
    nothing = torch.empty(0)
    x_0 = nothing if with_pictures else None
    told = nothing if labels is not None else None
    attribute = labels.attribute if isinstance(labels, Labels) else labels or ""
    task = Task(nothing, steps, seed, x_0, prompts, told, attribute, encoder=encoder)
    task.require(plugins().find("finders", finder))
    return task


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
    labels: Labels | str | None = None,
) -> Pictures | None:
    """The pictures to work on: those of files, or `samples` of a source; None where there are latents alone.

    `labels` are theirs: those read from a file, or the name of an attribute that the source knows. Raises UsageError
    where both are given, and as `pictures_of_files` and `pictures_of_source` do.
    """
    if images and source is not None:
        raise UsageError("images and source both say where pictures come from; give one of them")
    if images:
        return pictures_of_files(images, image_size(backbone), labels if isinstance(labels, Labels) else None)
    if source is not None:
        attribute = labels if isinstance(labels, str) else None
        return pictures_of_source(source, samples, image_size(backbone), seed, source_config, attribute)
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
    return replace(task, labels=pictures.labels), inverted.from_cache


def x_0_of(backbone: Backbone, images: Tensor) -> Tensor:
    """x_0 (N, C, H, W) of images (N, 3, S, S) in [-1, 1], each on its own, so that it does not depend on the others."""
    place = next(backbone.parameters(), images)
    with torch.no_grad():
        return torch.cat([backbone.image_to_x0(image.to(place)) for image in torch.split(images, 1)])


def image_size(backbone: Backbone) -> int:
    """The side, in pixels, of the backbone's square pictures."""
    return int(backbone.x0_to_image(torch.zeros_like(latents(backbone, 1, 0))).shape[-1])


def _spectrum(directions: Sequence[Direction], path: Path) -> Path | None:
    """The path of the plot of the directions' spectra, drawn; None where nobody measured any."""
    measured = spectra(directions)
    if not measured:
        return None
    draw_spectra(measured, path)
    return path


def _signed(direction: Direction, name: str | None) -> Direction:
    """The direction with the date, the version, and the name that was asked for."""
    meta, now = direction.meta, datetime.now(UTC).date().isoformat()
    provenance = meta.provenance.model_copy(update={"hspace": version("hspace"), "date": now})
    id = meta.id if name is None else f"{meta.backbone.id}/{name}.{meta.provenance.finder}"
    return replace(direction, meta=meta.model_copy(update={"provenance": provenance, "id": id}))


def _quiet(stage: str) -> Callback:
    return lambda done, total: None
