"""The tables of the documents, from the results of the benchmarks; cog writes them."""

import json
import statistics
from collections.abc import Iterable
from typing import Any

from recording import RESULTS

UNKNOWN = "Not measured yet."


def speed() -> str:
    """What training costs, and until when; what is not measured has no row."""
    found = _read("asyrp_speed")
    if not found:
        return UNKNOWN
    rows = [_row("", "CPU s", "against", "CPU s", "ratio", "goal"), "|---|--:|---|--:|--:|--:|"]
    rows += [_row(*row) for row in (*_passes(found), *_races(found))]
    size = found["size"]
    note = (
        f'Measured on `{size["backbone"]}`, "a face" to "a face with dark skin", {size["latents"]} latents, '
        f"{size['held_out']} held-out ones in {size['held_out_steps']} steps, one seed. What `natural` learns from the "
        f"backbone's own pictures, once for all prompts, takes about {found['population_cpu_s_from_E_and_D']} s more "
        f"(computed from the times of E and D)."
    )
    return "\n".join([*rows, "", note])


def _passes(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    step, updates = found["a_pass"], found.get("same_updates")
    what = f"a pass: {step['batch']} pictures, {step['timesteps']} timesteps"
    ours, bare = step["run_pass_cpu_s"]["median"], step["bare_passes_cpu_s"]["median"]
    rows = [(what, ours, "E + D + D and a look with graph, bare", bare, step["ratio"], f"<= {step['goal']}")]
    if updates:
        what = f"`fidelity=official`: a picture, {updates['timesteps']} timesteps"
        ours, theirs = updates["ours_cpu_s"]["median"], updates["originals_cpu_s"]["median"]
        rows.append((what, ours, "the originals' loop, the same updates", theirs, updates["ratio"], ""))
    return rows


def _races(found: dict[str, Any]) -> list[tuple[Any, ...]]:
    if "originals" not in found:
        return []
    rows = []
    for effect in found["until"]["effects"]:
        for name in ("natural", "paper"):
            goal = str(effect)
            ratio = found[f"{name}_over_originals"][goal]
            told = "-" if ratio["ratio"] is None else ("<= " if ratio["at_most"] else "") + str(ratio["ratio"])
            what = f"`fidelity={name}` until {effect:.0%} of the full effect"
            ours, theirs = _until(found[name], goal), _until(found["originals"], goal)
            rows.append((what, ours, "the originals' loop", theirs, told, f"<= {found['until']['goal']}"))
    return rows


def _until(one: dict[str, Any], goal: str) -> str:
    if one["reached"][goal] is not None:
        return f"{one['reached'][goal]}"
    return f"{one['cpu_s']} in vain (best {max(look['effect'] for look in one['looks']):.0%})"


def heads() -> str:
    """What each head and loss reaches."""
    found = _read("asyrp_heads")
    if not found:
        return UNKNOWN
    rows = [_row("variant", "effect", "along / across", "CPU s", "parameters", "seeds"), "|---|--:|--:|--:|--:|--:|"]
    for name, one in found["variants"].items():
        spread = f" ± {one['effect_sd']:.0%}" if "effect_sd" in one else ""
        effect = f"{one['effect']:.0%}{spread}"
        rows.append(_row(name, effect, one["ratio"], one["cpu_s"], f"{one['parameters']:,}", one["seeds"]))
    size = found["size"]
    note = (
        f"Means over the seeds: `{size['backbone']}`, {size['latents']} latents, {size['epochs']} epoch(s) in the same "
        f"window, {size['held_out']} held-out latents in {size['held_out_steps']} steps. The effect is the share of "
        f"the full one, at the strength at which pictures drift about {found['drift_allowed']} across the direction. "
        f"What is not named is the default."
    )
    return "\n".join([*rows, "", note])


def half_precision() -> str:
    """How far edits in half precision are from those in float32."""
    found = _read("half_precision")
    if not found:
        return UNKNOWN
    rows = [_row("", "bfloat16", "float16", "the edit itself"), "|---|---|---|---|"]
    for name, one in found["backbones"].items():
        cells = [f"{one[what]['rms']:.4f}; {one[what]['largest']:.3f}" for what in ("bfloat16", "float16", "edit")]
        rows.append(_row(f"`{name}`", *cells))
    return "\n".join(rows)


def claims() -> str:
    """Every claim and its verdict, then the tests of each."""
    found = _read("claims")
    if not found:
        return UNKNOWN
    every = found["claims"].items()
    rows = [_row("claim", "verdict", "try it again"), "|---|---|---|"]
    rows += [_row(one["claim"], f"**{one['verdict']}**", f"`--only {name}`") for name, one in every]
    for one in found["claims"].values():
        rows += ["", f"## {one['claim']}: {one['verdict']}", "", one["how"], ""]
        rows += [_row("", "measured", "95 % interval", "faces", "bar", "verdict"), "|---|--:|---|--:|--:|---|"]
        for test in one["tests"]:
            ends = "-" if test["low"] is None else f"{test['low']:.3g} to {test['high']:.3g}"
            rows.append(_row(test["what"], f"{test['value']:.3g}", ends, test["n"], test["bar"], test["verdict"]))
    seeds = ", ".join(map(str, found["seeds"]))
    note = (
        f"On `{found['backbone']}`, {found['faces_a_seed']} rendered faces of each of the seeds {seeds}, "
        f"{found['steps']} steps. Intervals draw faces; each direction was trained once."
    )
    return "\n".join([note, "", *rows])


def unsupervised() -> str:
    """How many attributes each unsupervised finder's directions have, on each backbone."""
    found = _read("unsupervised")
    if not found:
        return UNKNOWN
    selective = f"of them selective (>= {found['selectivity']})"
    rows = [_row("backbone", "finder", f"HIT@{found['k']}", selective, "random ones", "CPU s", "attributes")]
    rows.append("|---|---|--:|--:|--:|--:|---|")
    for one in found["rows"]:
        counts = [_range(len(run[key]) for run in one["runs"]) for key in ("names", "selective", "random")]
        seconds = statistics.median(run["cpu_s"] for run in one["runs"])
        names = dict.fromkeys(name for run in one["runs"] for name in run["names"])
        rows.append(_row(f"`{one['backbone']}`", one["method"], *counts, round(seconds, 1), ", ".join(names)))
    note = (
        f"{found['k']} directions each, both signs, at the largest strength of their sheets, on {found['pictures']} "
        f"rendered faces of seed {found['faces_seed']} in {found['steps']} steps: an attribute counts where its mean "
        f"change is the largest of all and at least {found['threshold']} SD, by the regressor. Discovered with seeds "
        f"{', '.join(map(str, found['seeds']))}; of several seeds the smallest to the largest count, and the "
        f"attributes of all. CPU seconds are of the discovery, with its calibration, without sheet and scores. As many "
        f"random directions of the same lengths were edited beside them."
    )
    return "\n".join([*rows, "", note])


def _range(counts: Iterable[int]) -> str:
    some = list(counts)
    low, high = min(some), max(some)
    return f"{low}" if low == high else f"{low} to {high}"


def jacobian() -> str:
    """Ours against each map's peer, as coded and extended to equal angle; and the memory of each."""
    found = _read("jacobian")
    if not found:
        return UNKNOWN
    head = ("backbone, map", "k", "ours, CPU s", "its angle", "peer as coded", "its angle", "peer / ours")
    rows = [_row(*head, "with the check", "at equal angle"), "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    problems = dict.fromkeys((row["backbone"], row["map"], row["k"]) for row in found["rows"])
    for problem in problems:
        some = [row for row in found["rows"] if (row["backbone"], row["map"], row["k"]) == problem]
        one = {row["algorithm"]: row for row in some}
        ours, checked = one.pop("ours"), one.pop("ours, verified")
        longer = one.pop("subspace iteration, extended", None)
        ((name, peer),) = one.items()
        equal = "-"
        if longer is not None:
            reached = longer["angle"] <= 1.5 * max(ours["angle"], 1e-3)
            equal = f"{'' if reached else '> '}{longer['cpu_s'] / ours['cpu_s']:.0f}"
        rows.append(_row(
            f"`{problem[0]}`, {problem[1]}", problem[2], f"{ours['cpu_s']:.2f}", f"{ours['angle']:.2g}°",
            f"{name} {peer['cpu_s']:.1f}", f"{peer['angle']:.2g}°", f"**{peer['cpu_s'] / ours['cpu_s']:.1f}**",
            f"{peer['cpu_s'] / checked['cpu_s']:.1f}", equal,
        ))  # fmt: skip
    peaks = [f"{one['map']}, k = {one['k']}: {one['peak_mb']:.0f} of {one['predicted_mb']:.0f}" for one in
             found["memory"] if one["backbone"] == found["memory"][0]["backbone"]]  # fmt: skip
    repeats = max(row["repeats"] for row in found["rows"])
    note = (
        f"Medians of {repeats}, one thread, CPU seconds; the angle is the largest between the spans of the k right "
        f"singular vectors and the true ones. At equal angle the peer is given as many sweeps as it needs. Peak "
        f"memory, measured of predicted (chunk x activations + basis), in MB, on "
        f"`{found['memory'][0]['backbone']}`: {'; '.join(peaks)}."
    )
    return "\n".join([*rows, "", note])


def _read(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _row(*cells: Any) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
