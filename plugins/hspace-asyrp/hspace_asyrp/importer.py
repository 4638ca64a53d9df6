"""The official code's files as directions: never unpickled, recognised by their keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from hspace.archive import OLD_TORCH, ZIP, check_tensors, read_content
from hspace.direction import Direction
from hspace.errors import RefusedError, UsageError
from hspace.importing import UNKNOWN
from hspace.meta import BackboneRef, HeadRef, Meta, Provenance, Scope, Strength
from hspace.remote import File
from hspace.storage import sha256
from hspace_asyrp.curves import t_edit as on_curve
from hspace_asyrp.layouts import Layout, convert, recognise
from hspace_asyrp.official import CHANNELS, by_name, by_sha256, listing

HOW = "asyrp-official"
SIDE = 8
"""Of h, on the networks of 256 px that the official code has."""
STEPS = 40
"""What the official scripts train with, and all published files were."""


@dataclass(frozen=True)
class Given:
    """What the user says beyond the file."""

    prompts: tuple[str, str] | None
    t_edit: int | None
    t_boost: int | None
    steps: int | None
    cosine: float | None


def read(
    path: Path,
    *,
    prompts: tuple[str, str] | None = None,
    t_edit: int | None = None,
    t_boost: int | None = None,
    steps: int | None = None,
    cosine: float | None = None,
) -> Direction | None:
    """The direction in a file that the official code wrote, not tied to a backbone yet; None for another format.

    A published file is known by its sha256, and its prompts, window and backbone with it. Of any other the file's name
    may tell backbone and steps (40 where it does not), and t_edit must be given; what is given goes before what is
    known. `cosine` is CLIP's (ViT-B/16) of a published file's raw prompts: t_edit is then that of the published curve.
    Raises RefusedError for a file that is unsafe, damaged or not one whole delta block, UsageError where t_edit is
    missing.
    """
    with open(path, "rb") as file:
        start = file.read(len(OLD_TORCH))
    if not start.startswith(ZIP) and start != OLD_TORCH:
        return None
    weights = _block(path, read_content(path))
    layout = None if weights is None else recognise(weights)
    if weights is None or layout is None:
        return None
    ours = convert(_tensors(path, weights), layout)
    found = by_sha256(sha256(path))
    given = Given(prompts, t_edit, t_boost, steps, cosine)
    return Direction(_own(path, layout, ours, given) if found is None else _published(*found, layout, given), ours)


def _block(path: Path, content: Any) -> Mapping[str, Any] | None:
    """The state dict of the file's delta block: its entry "0", or the whole of it. None when there is neither."""
    if not isinstance(content, dict):
        return None
    blocks = [one for key, one in content.items() if str(key).isdecimal() and isinstance(one, dict)]
    if len(blocks) > 1 and recognise(_plain(blocks[0])):
        raise RefusedError(f"{path} holds {len(blocks)} delta blocks; a direction is one. Save them one by one.")
    return _plain(blocks[0] if blocks else content)


def _plain(weights: Mapping[Any, Any]) -> dict[str, Any]:
    """A state dict without DataParallel's prefix."""
    return {str(name).removeprefix("module."): one for name, one in weights.items()}


def _tensors(path: Path, weights: Mapping[str, Any]) -> dict[str, Tensor]:
    for name, one in weights.items():
        if not isinstance(one, Tensor):
            raise RefusedError(f"{path} holds no delta block: {name!r} in it is not a tensor")
    check_tensors(path, dict(weights))
    return dict(weights)


def _published(name: str, file: File, layout: Layout, given: Given) -> Meta:
    facts = file.facts
    training = {key: value for key, value in facts.items() if key not in ("form", "curve", "t_edit", "t_boost", "data")}
    provenance = Provenance(
        finder=HOW,
        config={"trained_on": file.backbone, **training},
        data=facts["data"],
        source=f"{listing().source}{file.file}",
        licence=listing().licence,
    )
    return _meta(
        file.backbone,
        name,
        layout,
        CHANNELS,
        t_edit=_published_t_edit(name, file, given),
        t_boost=facts["t_boost"] if given.t_boost is None else given.t_boost,
        steps=given.steps or STEPS,
        prompts=given.prompts or file.prompts,
        provenance=provenance,
    )


def _published_t_edit(name: str, file: File, given: Given) -> int:
    curve = file.facts["curve"]
    if given.t_edit is not None:
        return given.t_edit
    if given.cosine is not None:
        return on_curve(curve, given.cosine)
    if "t_edit" in file.facts:
        return int(file.facts["t_edit"])
    texts = " and ".join(map(repr, file.prompts or ()))
    raise UsageError(
        f"t_edit of {name!r} was not published. Give it with --t-edit: the more a prompt changes, the lower, from "
        f"{on_curve(curve, 1.0)} (nothing) to {on_curve(curve, 0.4)} on its data. Or give CLIP ViT-B/16's cosine of "
        f"{texts} with --cosine, from which it follows."
    )


def _own(path: Path, layout: Layout, weights: Mapping[str, Tensor], given: Given) -> Meta:
    if given.t_edit is None:
        raise UsageError(
            f"{path} is none of the published files, and does not tell its t_edit: give it with --t-edit, and what it "
            f"was trained with by --prompts FROM TO"
        )
    named = by_name(path)
    channels = weights["proj_in.bias"].numel()
    home = named.home if named.home is not None and channels == CHANNELS else UNKNOWN
    return _meta(
        home,
        named.what,
        layout,
        channels,
        t_edit=given.t_edit,
        t_boost=given.t_boost,
        steps=given.steps or named.steps or STEPS,
        prompts=given.prompts,
        provenance=Provenance(finder=HOW, config={} if home == UNKNOWN else {"trained_on": home}),
    )


def _meta(home: str, what: str, layout: Layout, channels: int, **known: Any) -> Meta:
    return Meta(
        id=f"{home}/{what}.{HOW}",
        backbone=BackboneRef(id=home, h_shape=(channels, SIDE, SIDE)),
        head=HeadRef(name="delta-block", config={"form": layout.form}),
        strength=Strength(default=1.0, min=-1.0, max=1.0),
        scope=Scope(kind="global"),
        **known,
    )
