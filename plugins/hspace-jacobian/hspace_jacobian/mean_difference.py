"""The finders mean-difference and mean-difference-text: from pictures without an attribute to those with it, in h."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from hspace import Backbone, Direction, Finder, Task
from hspace.errors import HspaceError, UsageError
from hspace.fingerprint import probe
from hspace.meta import Measurement
from hspace_jacobian.against import Against, others
from hspace_jacobian.making import Find, made, measured
from hspace_jacobian.ranking import ends, pairs, scores
from hspace_jacobian.rows import Rows
from hspace_jacobian.scatter import ROUNDING
from hspace_jacobian.walking import BATCH, Window, visits

LABELLED, TEXT = "mean-difference", "mean-difference-text"
SOURCE = "Haas et al., arXiv:2303.11073"


@dataclass(frozen=True)
class Halves:
    """The mean differences (R, Ch, Hh, Wh) of all pictures, of every other one, and of the rest; how long h is."""

    timesteps: tuple[int, ...]
    all: Tensor
    even: Tensor | None
    odd: Tensor | None
    length: float


@dataclass(frozen=True)
class MeanDifferenceFinder(Finder):
    """v_t = mean(h+) - mean(h-) at every timestep of the window, between the pictures at both ends of the labels.

    Source: Haas et al., arXiv:2303.11073.
    """

    n: int | None
    window: Window
    paired: bool
    against: tuple[Direction, ...]

    name = LABELLED

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction, for all pictures.

        Raises UsageError where labels are missing or do not tell the pictures apart, and where nothing is left beside
        the directions of `against`; HspaceError where h is the same at both ends.
        """
        if task.labels is None or len(task.labels) != len(task.x_T):
            count = 0 if task.labels is None else len(task.labels)
            raise UsageError(f"there are {count} labels for {len(task.x_T)} pictures; give one for each")
        yield self._between(backbone, task, task.labels, task.progress or _quiet)

    def _between(
        self, backbone: Backbone, task: Task, labels: Tensor, progress: Callable[[int, int], None]
    ) -> Direction:
        labels = labels.double().cpu()
        if not bool(labels.isfinite().all()):
            raise UsageError("a label is not a number; every picture needs one")
        plus, minus = pairs(labels, self.n) if self.paired else ends(labels, self.n)
        halves = _halves(backbone, task, plus, minus, self.window, progress)
        if float(halves.all.norm()) <= ROUNDING * halves.length:
            raise HspaceError("h is the same, in the mean, at both ends of the labels, so there is no direction")
        counts = {"plus": len(plus), "minus": len(minus)}
        find = Find(
            what=_slug(task.attribute or (task.prompts[1] if task.prompts and self.name == TEXT else "labels")),
            rows=Rows(halves.all[None].float(), halves.timesteps),
            longest=halves.length / 2,
            metrics=tuple(_measurements(halves, labels[plus], labels[minus])),
            config={"n": self.n, **self.window.described(), "paired": self.paired, **counts},
            source=SOURCE,
            unit="differences of the means",
            labels=(task.attribute,) if task.attribute else (),
            prompts=task.prompts if self.name == TEXT else None,
        )
        return made(backbone, task, find, finder=self.name, window=self.window, against=self.against)


class TextFinder(MeanDifferenceFinder):
    """The same between the pictures that an encoder scores highest and lowest along two prompts."""

    name = TEXT

    def find(self, backbone: Backbone, task: Task) -> Iterator[Direction]:
        """One direction, for all pictures; raises as `scores` and that of labels do."""
        report = task.progress or _quiet
        labels = scores(backbone, task, lambda done, total: report(done, 2 * total))
        n = len(task.x_T)
        yield self._between(backbone, task, labels, lambda done, total: report(n + done * n // total, 2 * n))


def build(
    n: int | None = None,
    t_edit: int = 400,
    t_start: int | None = None,
    paired: bool = False,
    against: Against = None,
) -> MeanDifferenceFinder:
    """The finder that goes by labels: one number a picture, higher where it shows more of what is looked for.

    `n` pictures at each end are compared: by default all where there are two labels, else a quarter. With `paired` each
    two consecutive pictures are a pair (one face with and without a smile, say), and h is compared within it. h is
    shifted from `t_edit` up, or up to `t_start`. What the
    directions in `against` (ids) do is taken out. Raises UsageError for n below 1, NotFoundError for a direction that
    is not there.
    """
    _check(n)
    return MeanDifferenceFinder(n, Window(t_edit, t_start), paired, others(against))


def build_text(
    n: int | None = None, t_edit: int = 400, t_start: int | None = None, against: Against = None
) -> TextFinder:
    """The finder that goes by prompts: a picture's label is how much nearer it is to the target than to the source.

    The rest is as in `build`.
    """
    _check(n)
    return TextFinder(n, Window(t_edit, t_start), False, others(against))


def _check(n: int | None) -> None:
    if n is not None and n < 1:
        raise UsageError(f"n must be at least 1 picture at each end; {n} was given")


def _halves(
    backbone: Backbone,
    task: Task,
    plus: Tensor,
    minus: Tensor,
    window: Window,
    progress: Callable[[int, int], None],
) -> Halves:
    """The mean differences, along the trajectories of the pictures at both ends alone."""
    counts = torch.tensor([[len(some[half::2]) for half in (0, 1)] for some in (plus, minus)])
    group = torch.cat([torch.arange(len(some)) % 2 + 2 * end for end, some in enumerate((plus, minus))])
    both = task.x_T[torch.cat([plus, minus]).to(task.x_T.device)]
    sums: dict[int, Tensor] = {}
    square = 0.0
    walked = visits(backbone, both, task.steps, window, progress)
    for t, states in groupby(walked, key=lambda visit: visit[0]):
        sums[t] = torch.zeros(4, *probe(backbone).h_shape, dtype=torch.float64)
        for some, (_, state) in zip(torch.split(group, BATCH), states, strict=True):
            h = state.h.double().cpu()
            sums[t].index_add_(0, some, h)
            square += float(h.square().sum())
    by_end = torch.stack(list(sums.values())).reshape(len(sums), 2, 2, *probe(backbone).h_shape)
    high, low = by_end.sum(dim=2).div(counts.sum(dim=1).reshape(1, 2, 1, 1, 1)).unbind(dim=1)
    even = odd = None
    if int(counts.min()):
        means = by_end / counts.reshape(1, 2, 2, 1, 1, 1)
        even, odd = (means[:, 0, half] - means[:, 1, half] for half in (0, 1))
    length = (square / len(both) / len(sums)) ** 0.5
    return Halves(tuple(sums), high - low, even, odd, length)


def _measurements(halves: Halves, plus: Tensor, minus: Tensor) -> Iterator[Measurement]:
    n = len(plus) + len(minus)
    yield from measured("label_gap", [float(plus.mean() - minus.mean())], n, "difference of the mean labels")
    rms = halves.all.flatten(1).norm(dim=1).square().mean().sqrt()
    yield from measured("difference", [float(rms)], n, "|mean(h+) - mean(h-)|, root mean square over timesteps")
    if halves.even is not None and halves.odd is not None:
        told = "cosine of the differences of two halves of the pictures; about 0 where they are chance"
        agreement = cosine_similarity(halves.even.flatten(), halves.odd.flatten(), dim=0)
        yield from measured("agreement", [float(agreement)], n, told)


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or "labels"


def _quiet(done: int, total: int) -> None:
    """Tells nobody."""
