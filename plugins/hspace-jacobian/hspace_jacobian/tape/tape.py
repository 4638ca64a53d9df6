"""The derivative of a recorded network: linear maps between its values, in the order of computation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hspace_jacobian.tape.linear import Identity, Linear


@dataclass(frozen=True)
class Edge:
    """The part of the derivative of value `target` that comes through value `source`, which is older."""

    source: int
    target: int
    linear: Linear


class Tape:
    """J of value 0 -> value `output` as a sum over all paths of edges between them.

    push is the chain rule from the input on, pull from the output back; both take as many rows as they are given.
    """

    def __init__(self, edges: Iterable[Edge], output: int) -> None:
        self.edges = list(edges)
        self.output = output
        self._last_read = {edge.source: place for place, edge in enumerate(self.edges)}
        self._first_made = {edge.target: place for place, edge in reversed(list(enumerate(self.edges)))}

    def push(self, V: Tensor) -> Tensor:
        """The tangents J v (b, *codomain) of tangents v (b, *domain)."""
        tangents = {0: V}
        for place, edge in enumerate(self.edges):
            _add(tangents, edge.target, edge.linear.push(tangents[edge.source]))
            if self._last_read[edge.source] == place:
                del tangents[edge.source]
        return tangents[self.output]

    def pull(self, U: Tensor) -> Tensor:
        """The cotangents Jᵀu (b, *domain) of cotangents u (b, *codomain)."""
        cotangents = {self.output: U}
        for place, edge in reversed(list(enumerate(self.edges))):
            _add(cotangents, edge.source, edge.linear.pull(cotangents[edge.target]))
            if self._first_made[edge.target] == place:
                del cotangents[edge.target]
        return cotangents[0]

    @property
    def bytes(self) -> int:
        """What the maps hold of the point, weights apart: about the activations of one sample."""
        held = (x for edge in self.edges for x in edge.linear.activations())
        return sum({x.untyped_storage().data_ptr(): x.numel() * x.element_size() for x in held}.values())

    def to(self, dtype: torch.dtype) -> Tape:
        """The same derivative in another precision."""
        return Tape((replace(edge, linear=edge.linear.to(dtype)) for edge in self.edges), self.output)


def compiled(edges: list[Edge], output: int) -> Tape:
    """The tape of the edges on the way to `output`, with chains of maps merged where one can do the work of two."""
    return Tape(*_merged(*_renamed(_needed(edges, output), output)))


def _needed(edges: list[Edge], output: int) -> list[Edge]:
    wanted, kept = {output}, []
    for edge in reversed(edges):
        if edge.target in wanted:
            wanted.add(edge.source)
            kept.append(edge)
    return kept[::-1]


def _renamed(edges: list[Edge], output: int) -> tuple[list[Edge], int]:
    """The edges without those that only give a value a second name."""
    ways_in = Counter(edge.target for edge in edges)
    names: dict[int, int] = {}
    kept = []
    for edge in edges:
        source = names.get(edge.source, edge.source)
        if isinstance(edge.linear, Identity) and ways_in[edge.target] == 1 and source != 0:
            names[edge.target] = source
        else:
            kept.append(replace(edge, source=source))
    return kept, names.get(output, output)


def _merged(edges: list[Edge], output: int) -> tuple[list[Edge], int]:
    ways_in, ways_out = Counter(edge.target for edge in edges), Counter(edge.source for edge in edges)
    kept: dict[int, Edge] = {}
    last: dict[int, int] = {}  # value -> the place of the last edge into it
    for place, edge in enumerate(edges):
        if ways_in[edge.source] == 1 == ways_out[edge.source] and edge.source != output:
            before = kept[last[edge.source]]
            both = before.linear.then(edge.linear)
            if both is not None:
                del kept[last[edge.source]]
                edge = Edge(before.source, edge.target, both)
        kept[place] = edge
        last[edge.target] = place
    return list(kept.values()), output


def _add(values: dict[int, Tensor], key: int, value: Tensor) -> None:
    values[key] = values[key] + value if key in values else value
