"""A search on disk: all that its next step reads, so that it goes on bit for bit."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hspace.errors import RefusedError
from hspace.storage import write_bytes
from hspace_jacobian.lanczos import Krylov
from hspace_jacobian.products import MapProducts

FORMAT = 1
WAY_OUT = "Name another file, or delete it."
NUMBERS = ("block", "pushed", "pulled", "steps", "complete", "scale")
SAME = 1e-4  # f(z) of one network on two machines


class State:
    """A file that holds a search at a point.

    `label` says whose search it is, and is compared; z and f(z) are compared too, so that a search never goes on with
    another network, timestep, condition or latent. Written whole or not at all, at most a twentieth of the time.
    """

    def __init__(self, path: Path, label: str = "") -> None:
        self.path, self.label = path, label
        self._busy_until = 0.0

    def keep(self, krylov: Krylov) -> None:
        """Writes the search, unless writing takes too much of the time."""
        if time.monotonic() >= self._busy_until:
            self.write(krylov)

    def write(self, krylov: Krylov) -> None:
        """Writes the search."""
        started = time.monotonic()
        products = krylov.products
        assert isinstance(products, MapProducts)
        tensors = {
            "z": products.z,
            "h": products.h,
            "U": krylov.U.rows(),
            "V": krylov.V.rows(),
            "M": krylov.M,
            "random": krylov.generator.get_state(),
            "probes": krylov.probes,
            "images": krylov.images,
        }
        facts = {
            "format": FORMAT,
            "label": self.label,
            "precision": str(products.eps),
            "random_device": str(krylov.generator.device),
            "counts": asdict(products.counts),
            "tested": krylov.tested,
            **{name: getattr(krylov, name) for name in NUMBERS},
        }
        whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        write_bytes(self.path, save(whole, {"krylov": json.dumps(facts)}))
        now = time.monotonic()
        self._busy_until = now + 20 * (now - started)

    def holds(self, products: MapProducts) -> bool:
        """Whether there is a file, of a search in the precision of these products."""
        return self.path.exists() and _opened(self.path)[0]["precision"] == str(products.eps)

    def read(self, products: MapProducts) -> Krylov | None:
        """The search in the file, at these products; None where there is no file.

        Raises RefusedError where the file is damaged or holds the search of another map or point.
        """
        if not self.path.exists():
            return None
        facts, tensors = _opened(self.path)
        self._check(facts, tensors, products)
        generator = torch.Generator(facts["random_device"])
        generator.set_state(tensors["random"])
        krylov = Krylov(products, facts["block"], generator)
        krylov.U.append(tensors["U"].to(products.z))
        krylov.V.append(tensors["V"].to(products.z))
        krylov.M = tensors["M"]
        krylov.probes, krylov.images = tensors["probes"].to(products.z), tensors["images"]
        krylov.tested = tuple(facts["tested"])
        for name in NUMBERS:
            setattr(krylov, name, facts[name])
        for name, value in facts["counts"].items():
            setattr(products.counts, name, getattr(products.counts, name) + value)
        return krylov

    def _check(self, facts: dict[str, Any], tensors: dict[str, Tensor], products: MapProducts) -> None:
        def differs(what: str) -> RefusedError:
            return RefusedError(f"{self.path} holds the search of another {what}. {WAY_OUT}")

        if facts["label"] != self.label:
            raise differs(f"map: {facts['label']!r}, not {self.label!r}")
        if facts["precision"] != str(products.eps) or tensors["U"].dtype != products.z.dtype:
            raise differs("precision")
        if tensors["z"].shape != products.z.shape or not torch.equal(tensors["z"].to(products.z), products.z):
            raise differs("point z")
        h = tensors["h"].to(products.z)
        if h.shape != products.h.shape or (h - products.h).norm() > SAME * products.h.norm():
            raise differs("map: f(z) differs")


def _opened(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["krylov"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise RefusedError(f"{path} is not the state of a search ({error}). {WAY_OUT}") from error
    if facts.get("format") != FORMAT:
        raise RefusedError(f"{path} is not the state of a search of format {FORMAT}. {WAY_OUT}")
    return facts, tensors
