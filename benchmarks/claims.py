"""What the papers claim of h-space, tried on faces whose attributes are known: an effect, its interval, a verdict.

Every claim is a few tests, each a number with its 95 % interval and the bar it has to clear, set before it was run. A
claim holds where all intervals clear their bars, fails where one lies wholly on the other side, and is not decided
otherwise. Effects are in standard deviations of the attribute, by renderer fit.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import torch
from recording import RESULTS, record
from torch import Tensor

import hspace
from hspace import Direction, Task
from hspace.bootstrap import interval
from hspace.comparison import Subspace, compare
from hspace.discovery import build_finder
from hspace.jobs import Weighed
from hspace.loading import load_direction, load_encoder
from hspace.sampling import edit, latents, sample
from hspace_clip.texts import text_direction
from hspace_heads.distill import distill
from hspace_toyfaces import measuring
from hspace_toyfaces.inverted_faces import Inverted, inverted_faces
from hspace_toyfaces.measuring import Edited

TARGETS = {"glasses": "glasses", "blond-hair": "hair", "dark-skin": "skin"}
"""The zoo's directions that are tried, and the attribute that each is meant to change."""
Statistic = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Test:
    """A statistic of rows (n, ...), a row per face, and the bar that it must be above, or below."""

    what: str
    rows: Tensor
    bar: float
    above: bool = True
    statistic: Statistic = torch.mean

    def told(self) -> dict[str, Any]:
        """The number, its interval, and what follows."""
        rows = self.rows[~self.rows.isnan().reshape(len(self.rows), -1).any(dim=1)].double()
        value, ends = float(self.statistic(rows)), interval(rows, self.statistic)
        low, high = ends or (None, None)
        verdict = "not decided"
        if low is not None and high is not None:
            clears, misses = (low > self.bar, high <= self.bar) if self.above else (high < self.bar, low >= self.bar)
            verdict = "holds" if clears else "fails" if misses else verdict
        ends_told = {name: None if end is None else round(end, 4) for name, end in (("low", low), ("high", high))}
        told = {"what": self.what, "value": round(value, 4), **ends_told, "n": len(rows)}
        return {**told, "bar": f"{'>' if self.above else '<'} {self.bar:g}", "verdict": verdict}


@dataclass
class Faces:
    """Known faces of several seeds in a backbone, and what edits do to them."""

    backbone: str
    seeds: Sequence[int]
    n: int
    steps: int = 40
    _kept: dict[Any, Tensor] = field(default_factory=dict)

    @cached_property
    def model(self) -> hspace.Backbone:
        """The backbone."""
        return hspace.load_backbone(self.backbone)

    @cached_property
    def inverted(self) -> Inverted:
        """The faces of all seeds together."""
        some = [inverted_faces(self.model, self.n, seed, self.steps) for seed in self.seeds]
        known = {name: torch.cat([one.known[name] for one in some]) for name in some[0].known}
        x_T, recon = (torch.cat([getattr(one, name) for one in some]) for name in ("x_T", "recon"))
        return Inverted(known, x_T, recon, self.steps, "")

    def direction(self, name: str) -> Direction:
        """The zoo's text-driven direction of that name."""
        return load_direction(f"{self.backbone}/{name}.asyrp")

    def pictures(self, edits: Weighed, **settings: Any) -> Tensor:
        """The faces edited."""
        key = (tuple((one.id, strength) for one, strength in edits), *sorted(settings.items()))
        if key not in self._kept:
            batches = torch.split(self.inverted.x_T, 24)
            x_0 = [edit(self.model, some, edits, **{"steps": self.steps, **settings}) for some in batches]
            self._kept[key] = self._seen(torch.cat(x_0))
        return self._kept[key]

    def plain(self, steps: int) -> Tensor:
        """The faces unedited, sampled in so many steps."""
        return self._seen(torch.cat([sample(self.model, some, steps=steps) for some in self.inverted.x_T.split(24)]))

    def edited(self, target: str, edits: Weighed, *, recon: Tensor | None = None, **settings: Any) -> Edited:
        """The faces before and after, to be measured."""
        before = self.inverted.recon if recon is None else recon
        return Edited(self.inverted.known, before, self.pictures(edits, **settings), target)

    def effect(self, name: str, strength: float = 1.0, **settings: Any) -> Tensor:
        """How far each face's target moved (n,), in SD."""
        return self.edited(TARGETS[name], [(self.direction(name), strength)], **settings).change

    @torch.no_grad()
    def _seen(self, x_0: Tensor) -> Tensor:
        parts = [self.model.x0_to_image(some).float().clamp(-1, 1) for some in x_0.split(24)]
        return torch.cat(parts)


def on_all_samples(faces: Faces) -> Iterator[Test]:
    """The same delta_h moves every sample: the share that moved half an SD or more, of those with room for it."""
    for name, target in TARGETS.items():
        one = faces.edited(target, [(faces.direction(name), 1.0)])
        moved = (one.change >= measuring.SUCCESS).double()
        yield Test(f"{name}: share moved by 0.5 SD", moved[measuring.room(one, measuring.SUCCESS)], 0.8)


def linear(faces: Faces, sign: int) -> Iterator[Test]:
    """The effect grows in a straight line with the strength, on one side of 0: R^2 of the mean effects."""
    strengths = [sign * share for share in (1 / 3, 2 / 3, 1.0)]
    for name in TARGETS:
        rows = torch.stack([faces.effect(name, strength) for strength in strengths], dim=1)

        def r2(some: Tensor) -> Tensor:
            line = measuring.line(dict(zip(strengths, some.mean(dim=0).tolist(), strict=True)), sign)
            return torch.tensor(float("nan") if line is None else line.r2)

        yield Test(f"{name}: R^2", rows, 0.9, statistic=r2)


def adding(faces: Faces) -> Iterator[Test]:
    """Two directions at once each do what they do alone: the effect beside the other, over that alone."""
    pairs = [("glasses", "blond-hair"), ("blond-hair", "dark-skin")]
    for pair in pairs:
        together = [(faces.direction(name), 1.0) for name in pair]
        for name in pair:
            beside = faces.edited(TARGETS[name], together).change
            rows = torch.stack([beside, faces.effect(name)], dim=1)
            other = pair[1 - pair.index(name)]
            yield Test(f"{name} beside {other}, over alone", rows, 0.8, statistic=_ratio)


def rest_stays(faces: Faces) -> Iterator[Test]:
    """The rest stays: the distance to the true counterfactual, over that of no edit."""
    for name, target in TARGETS.items():
        one = faces.edited(target, [(faces.direction(name), 1.0)])
        ratios = one.ratios[measuring.room(one, measuring.SUCCESS)]
        yield Test(f"{name}: median counterfactual ratio", ratios, 1.0, above=False, statistic=torch.median)


def one_vector(faces: Faces) -> Iterator[Test]:
    """One vector for all timesteps does what a vector for each does: its effect, over that of the table."""
    x_T = latents(faces.model, 8, seed=0)
    for name in TARGETS:
        whole = distill(faces.model, faces.direction(name), x_T, x_T[:4], "global", steps=faces.steps).direction
        rows = torch.stack([faces.edited(TARGETS[name], [(whole, 1.0)]).change, faces.effect(name)], dim=1)
        yield Test(f"{name}: global over per timestep", rows, 0.8, statistic=_ratio)


def asymmetric(faces: Faces) -> Iterator[Test]:
    """The asymmetric step moves pictures where the symmetric one cancels itself: the effect of the latter, over it."""
    for name in TARGETS:
        rows = torch.stack([faces.effect(name, symmetric=True), faces.effect(name)], dim=1)
        yield Test(f"{name}: symmetric over asymmetric", rows, 0.5, above=False, statistic=_ratio)


def window(faces: Faces) -> Iterator[Test]:
    """The window from the curves is better than its neighbours: how much farther these are from the counterfactual."""
    for name, target in TARGETS.items():
        one = faces.direction(name)
        chosen = faces.edited(target, [(one, 1.0)]).ratios
        for moved in (-150, 150):
            t_edit = one.meta.t_edit + moved
            if one.meta.t_start is not None and t_edit >= one.meta.t_start:
                continue
            other = faces.edited(target, [(one, 1.0)], t_edit=t_edit).ratios
            rows = torch.stack([other, chosen], dim=1)
            finite = rows.isfinite().all(dim=1)
            yield Test(f"{name}: t_edit {moved:+d}, median of the difference", (other - chosen)[finite], 0.0,
                       statistic=torch.median)  # fmt: skip


def step_rule(faces: Faces, steps: Sequence[int] = (20, 80)) -> Iterator[Test]:
    """Scaled by S / S', a direction found in 40 steps does the same in others: the effect, over that in 40."""
    for count in steps:
        recon = faces.plain(count)
        for name in TARGETS:
            there = faces.effect(name, steps=count, recon=recon)
            rows = torch.stack([there, faces.effect(name)], dim=1)
            yield Test(f"{name}: {count} steps over 40", rows, 0.9, statistic=_ratio)
            yield Test(f"{name}: {count} steps over 40", rows, 1.1, above=False, statistic=_ratio)


def s_dir(faces: Faces) -> Iterator[Test]:
    """S_dir grows with the strength: at strength 1, less that at half."""
    encoder = load_encoder("toyclip")
    before = encoder.images(faces.inverted.recon)
    for name in TARGETS:
        one = faces.direction(name)
        assert one.meta.prompts is not None
        delta_T = text_direction(encoder, *one.meta.prompts)
        whole, half = (encoder.images(faces.pictures([(one, strength)])) - before for strength in (1.0, 0.5))
        cosines = [change @ delta_T / change.norm(dim=1) for change in (whole, half)]
        yield Test(f"{name}: S_dir at 1, less that at 0.5", (cosines[0] - cosines[1]).detach(), 0.0)


def alike(faces: Faces, of: str, samples: int = 6, timesteps: Sequence[int] = (800, 600, 400)) -> Iterator[Test]:
    """The leading 8 singular vectors of x_t -> h span much the same: how far apart, random subspaces being at 1.

    Between samples at one timestep, or between timesteps for one sample; a row is a pair of subspaces.
    """
    spans = {}
    for place in range(samples):
        x_T = latents(faces.model, samples, seed=0)[[place]]
        for t in timesteps:
            (found,) = build_finder("jacobian-svd", {"k": 8, "at": t}).find(faces.model, Task(x_T, seed=0))
            rows = found.weights["vectors"].flatten(1).double()
            spans[place, t] = Subspace("", found.meta.backbone.h_shape, torch.linalg.qr(rows.mT).Q.mT)
    for t in timesteps:
        pairs = list(combinations(range(samples), 2))
        if of == "samples":
            yield Test(f"t = {t}: between samples", torch.tensor([_apart(spans[i, t], spans[j, t]) for i, j in pairs]),
                       0.9, above=False)  # fmt: skip
    if of == "timesteps":
        for one, other in combinations(timesteps, 2):
            apart = [_apart(spans[i, one], spans[i, other]) for i in range(samples)]
            yield Test(f"t = {one} and {other}", torch.tensor(apart), 0.9, above=False)


def _apart(one: Subspace, other: Subspace) -> float:
    share = compare([one, other]).distances[0, 1].share
    assert share is not None
    return share


def on_latents(faces: Faces) -> Iterator[Test]:
    """Asyrp works in the h-space of a latent diffusion model: the share of faces moved by half an SD or more."""
    latent = Faces("ldm-toyfaces-64", faces.seeds, faces.n, faces.steps)
    for name in ("blond-hair", "dark-skin"):
        one = latent.edited(TARGETS[name], [(latent.direction(name), 1.0)])
        moved = (one.change >= measuring.SUCCESS).double()
        yield Test(f"{name}: share moved by 0.5 SD", moved[measuring.room(one, measuring.SUCCESS)], 0.8)


def _ratio(rows: Tensor) -> Tensor:
    return rows[:, 0].mean() / rows[:, 1].mean()


class Claim(NamedTuple):
    """What is claimed, how it is tried, and the tests."""

    claim: str
    how: str
    tried: Callable[[Faces], Iterator[Test]]


def _claim(claim: str, tried: Callable[..., Iterator[Test]], **settings: Any) -> Claim:
    how = " ".join((tried.__doc__ or "").split())
    return Claim(claim, how, lambda faces: tried(faces, **settings))


CLAIMS = {
    "samples": _claim("The same delta_h works on all samples", on_all_samples),
    "linear": _claim("The effect is linear in the strength, forwards", linear, sign=1),
    "linear-back": _claim("The effect is linear in the strength, backwards", linear, sign=-1),
    "adding": _claim("Several directions add", adding),
    "rest": _claim("One attribute changes and the rest stays", rest_stays),
    "one-vector": _claim("Directions are consistent over timesteps: one vector does for all", one_vector),
    "asymmetric": _claim("The symmetric process cancels the edit, the asymmetric one does not", asymmetric),
    "window": _claim("The window estimated from the pictures is the right one", window),
    "steps": _claim("Scaling by S / S' carries a direction to other numbers of steps", step_rule),
    "s-dir": _claim("S_dir grows with the strength", s_dir),
    "latents": _claim("Asyrp works on a latent diffusion model", on_latents),
    "alike-samples": _claim("Unsupervised directions are alike for all samples", alike, of="samples"),
    "alike-timesteps": _claim("Unsupervised directions are alike at all timesteps", alike, of="timesteps"),
}


def verdict(tests: Sequence[dict[str, Any]]) -> str:
    """What the tests of a claim say together."""
    found = {one["verdict"] for one in tests}
    return "fails" if "fails" in found else "holds" if found == {"holds"} else "not decided"


def main(arguments: Sequence[str] | None = None) -> None:
    """Tries every claim, or those named, and records what came out of each as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CLAIMS, default=list(CLAIMS), help="which claims")
    parser.add_argument("--backbone", default="ddpmpp-toyfaces-32")
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("-n", type=int, default=24, help="faces of each seed")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    faces = Faces(asked.backbone, asked.seeds, asked.n)
    told = {"backbone": asked.backbone, "seeds": asked.seeds, "faces_a_seed": asked.n, "steps": faces.steps}
    found = known(told)
    for name in asked.only:
        claim, how, tried = CLAIMS[name]
        tests = [test.told() for test in tried(faces)]
        found[name] = {"claim": claim, "how": how, "verdict": verdict(tests), "tests": tests}
        ordered = {one: found[one] for one in CLAIMS if one in found}
        record("claims", {**told, "claims": ordered})  # a run that is stopped leaves what it has tried


def known(told: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run on the same faces has tried."""
    path = RESULTS / "claims.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    same = all(before.get(key) == value for key, value in told.items())
    return dict(before["claims"]) if same else {}


if __name__ == "__main__":
    main()
