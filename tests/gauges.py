"""A plugin with a metric that measures how far apart pictures are, and what it measured of each."""

from typing import Any

from hspace.evaluation import Evaluation

PLUGIN = """
import hspace

@hspace.hookimpl
def hspace_metrics():
    return [
        hspace.Card("far", "gauge:far", "the mean absolute difference"),
        hspace.Card("read", "gauge:read", "a metric that reads", needs=("prompts", "encoder")),
        hspace.Card("knows", "gauge:far", "a metric that knows", needs=("attributes",)),
        hspace.Card("seven", "gauge:seven", "no metric at all"),
    ]

@hspace.hookimpl
def hspace_sources():
    return [hspace.Card("greys", "gauge:greys", "evenly grey", facts={"metrics": {"far": {"scale": 2.0, "odd": 1}}})]

updates = []

def far(scale: float = 1.0, strength=None, seed=0):
    from hspace.metric import Result
    from hspace.per_picture import PairMetric

    class Far(PairMetric):
        protocol = f"scale {scale}, strength {strength}"

        def look(self, images):
            updates.append(len(images))
            return images

        def compare(self, one, other):
            return {"far": scale * (one - other).abs().mean(dim=(1, 2, 3))}

        def across(self, results):
            return [Result("strengths", float(len(results)), 0, "how many")] if len(results) > 1 else []

    return Far(seed)

def read(prompts, encoder, seed):
    metric = far(seed=seed)
    metric.protocol = f"{prompts} {encoder}"
    return metric

def seven():
    return 7

def greys(size=8, seed=0):
    import torch

    class Greys:
        def images(self, n):
            return torch.linspace(-0.5, 0.5, n)[:, None, None, None].expand(n, 3, size, size).clone()

    return Greys()
"""


def values(found: Evaluation, pair: str = "recon-edit", **which: Any) -> list[float]:
    return list(found.by_picture("far", pair=pair, **which).values())
