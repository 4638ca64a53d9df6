"""The leading singular triplets of network Jacobians: `topk_jacobian_svd` against its peers, and against the truth.

Peers run as they are coded, with their own constants, and once extended until they are as exact. All in one process,
in turn, on one thread; CPU time is the figure to trust on a shared machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import peers
import torch
from recording import RESULTS, record
from torch import Tensor
from truth import Truth, angle, doubled, truth

import hspace
from hspace.fingerprint import x_shape
from hspace.unet import SplitUNet
from hspace_jacobian import topk_jacobian_svd
from hspace_jacobian.engines import Reverse
from hspace_jacobian.maps import build_map

Map = Callable[[Tensor], Tensor]
T = 600
MOST_SWEEPS = 400
"""Where an extended peer is given up."""


@dataclass(frozen=True)
class Problem:
    """A map at a point, the truth about it, and for h -> eps the whole network as semantic-diffusion runs it."""

    backbone: str
    map: str
    f: Map
    z: Tensor
    truth: Truth
    whole: Map | None


def random_unet(size: int, tiny: bool) -> SplitUNet:
    """A U-Net with random weights, the flattest spectrum there is; seeded."""
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    channels = (16, 32) if tiny else (64, 128) if size == 32 else (32, 64, 64, 64)
    unet = UNet2DModel(
        sample_size=size,
        block_out_channels=channels,
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D",) * len(channels),
        up_block_types=("UpBlock2D",) * len(channels),
    )
    backbone = SplitUNet(unet, torch.linspace(0.9999, 0.005, 1000, dtype=torch.float64))
    backbone.card = hspace.Card(f"random-{size}", "", "", facts={"x_shape": (3, size, size)})
    return backbone


def problem(name: str, map: Any, rank: int, tiny: bool) -> Problem:
    """The problem of a backbone, by name or "random-32", and one of its maps."""
    random = name.startswith("random-")
    backbone = random_unet(int(name.removeprefix("random-")), tiny) if random else hspace.load_backbone(name)
    x_t = torch.randn(1, *x_shape(backbone), generator=torch.Generator().manual_seed(0))
    one = build_map(map, backbone, x_t, T)
    exact = build_map(map, doubled(backbone), x_t.double(), T)  # type: ignore[arg-type]
    whole = None
    if map == "decoder":
        h_0 = one.z

        def whole(h: Tensor) -> Tensor:  # their hooks put h into a pass of the whole network
            state = backbone.encode_h(x_t, torch.full((1,), float(T)))
            return backbone.decode_h(state, h - h_0)

    return Problem(name, str(map), one.f, one.z, truth(exact.f, exact.z, rank), whole)


def rivals(one: Problem, k: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What runs in turn: ours, with and without the check, and the peers of this map as coded."""
    yield "ours", lambda: topk_jacobian_svd(one.f, one.z, k, verify="off")
    yield "ours, verified", lambda: topk_jacobian_svd(one.f, one.z, k)
    if one.whole is not None:
        whole = one.whole
        yield "semantic-diffusion", lambda: peers.semantic_diffusion(whole, one.f, one.z, k)
    else:
        name = "Diffusion-Pullback" if one.map == "encoder" else "LOCO-Edit"
        yield name, lambda: peers.pullback(one.f, one.z, k)


def compare(one: Problem, k: int, repeats: int, equal: bool) -> list[dict[str, Any]]:
    """A row for each algorithm: what it cost, the median of `repeats`, and how exact it was."""
    contest = list(rivals(one, k))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name, _ in contest}
    results: dict[str, Any] = {}
    for index in range(repeats + 1):  # the first is a warm-up, but for the peers, which take long
        for name, run in contest if index % 2 == 0 else reversed(contest):
            if index == 0 and not name.startswith("ours"):
                continue
            wall, cpu = time.perf_counter(), time.process_time()
            results[name] = run()
            if index:
                times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    rows = [
        row(one, k, name, results[name], *(statistics.median(values) for values in zip(*times[name], strict=True)))
        for name in results
    ]
    if equal and one.whole is None:
        rows.append(extended(one, k, rows[0]["angle"]))
    peer = next(row["cpu_s"] for row in rows if not row["algorithm"].startswith("ours"))
    return [{**row, "peer_cpu_over_this": round(peer / row["cpu_s"], 2)} for row in rows]


def extended(one: Problem, k: int, goal: float) -> dict[str, Any]:
    """The subspace iteration again, stopped at the first sweep that is as exact as `goal` degrees."""
    looking = 0.0

    def enough(V: Tensor) -> bool:
        nonlocal looking
        started = time.process_time()
        done = angle(V, one.truth.V[:k]) <= goal
        looking += time.process_time() - started
        return done

    wall, cpu = time.perf_counter(), time.process_time()
    found = peers.pullback(one.f, one.z, k, at_most=MOST_SWEEPS, enough=enough, atol=0)
    spent = time.process_time() - cpu - looking
    return row(one, k, "subspace iteration, extended", found, spent, time.perf_counter() - wall)


def row(one: Problem, k: int, name: str, result: Any, cpu: float, wall: float) -> dict[str, Any]:
    """One line of the table."""
    ours = name.startswith("ours")
    V, sigma, counts = (result.V.flatten(1), result.S, result.counts) if ours else (
        result.vectors, result.sigma, result.counts
    )  # fmt: skip
    error = (sigma.double() / one.truth.sigma[:k] - 1).abs().max()
    return {
        "backbone": one.backbone,
        "map": one.map,
        "k": k,
        "algorithm": name,
        "jvp": counts["jvp"],
        "vjp": counts["vjp"],
        "primal": counts["primal"],
        "sweeps": None if ours else result.sweeps,
        "cpu_s": round(cpu, 4),
        "wall_s": round(wall, 4),
        "sigma_error": float(f"{float(error):.2g}"),
        "angle": round(angle(V, one.truth.V[:k]), 4),
    }


def memory(one: Problem, k: int, chunk: int) -> dict[str, Any]:
    """The peak of one run above what was there before, and what is predicted: chunk x activations + d (m + n) 4 B."""
    activations = Reverse(one.f, one.z).bytes(1)
    seen: list[int] = []
    before = peak_bytes(reset=True)
    svd = topk_jacobian_svd(
        one.f, one.z, k, chunk=chunk, verify="off", callback=lambda ritz: seen.append(len(ritz.sigma))
    )
    peak = peak_bytes() - before
    predicted = chunk * activations + seen[-1] * (svd.U[0].numel() + svd.V[0].numel()) * 4
    return {
        "backbone": one.backbone,
        "map": one.map,
        "k": k,
        "chunk": chunk,
        "peak_mb": round(peak / 1e6, 1),
        "predicted_mb": round(predicted / 1e6, 1),
    }


def peak_bytes(*, reset: bool = False) -> int:
    """The largest resident size of this process since the last reset, or its size at a reset; 0 off Linux."""
    try:
        if reset:
            import ctypes

            ctypes.CDLL(None).malloc_trim(0)
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        with open("/proc/self/status") as file:
            lines = dict(line.split(":", 1) for line in file)
        return int(lines["VmHWM"].split()[0]) * 1024
    except (OSError, AttributeError, KeyError):
        return 0


def main() -> None:
    """Runs the contest and writes its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tiny network, once, nothing written: tests the script")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--backbones", nargs="+", default=["ddpmpp-toyfaces-32", "random-32", "random-64"])
    parser.add_argument("--maps", nargs="+", default=["encoder", "decoder", "pmp"])
    parser.add_argument("-k", type=int, nargs="+", default=[5, 20, 50])
    parser.add_argument("--no-equal", action="store_true", help="do not extend the peers to equal angle")
    parser.add_argument("--name", default="jacobian", help="of the result")
    args = parser.parse_args()
    if args.quick:
        args.repeats, args.backbones, args.maps, args.k = 1, ["random-16"], ["encoder", "decoder"], [2]
    torch.set_num_threads(1)
    torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))
    for name in args.backbones:
        for map in args.maps if not name.startswith("random-") or args.quick else args.maps[:1]:
            one = problem(name, map, max(args.k), args.quick)
            for k in args.k:
                lines = [{**line, "repeats": args.repeats} for line in compare(one, k, args.repeats, not args.no_equal)]
                for line in lines:
                    print("  ".join(f"{value!s:>12.28}" for value in line.values()), flush=True)
                peak = memory(one, k, chunk=8)
                if args.quick:
                    print(peak)
                else:
                    keep(args.name, lines, peak)


def keep(name: str, lines: list[dict[str, Any]], peak: dict[str, Any]) -> None:
    """Writes down one contest, beside those of other problems that are known; a run that is stopped leaves its own."""
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    other = [[one for one in before.get(part, []) if _problem(one) != _problem(peak)] for part in ("rows", "memory")]
    rows, peaks = [*other[0], *lines], [*other[1], peak]
    record(name, {"t": T, "rows": sorted(rows, key=_problem), "memory": sorted(peaks, key=_problem)})


def _problem(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["backbone"], row["map"], row["k"]


if __name__ == "__main__":
    main()
