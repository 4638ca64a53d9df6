"""The tables of README.md, from the results of Asyrp's benchmarks; cog writes them."""

import json
from typing import Any

from recording import RESULTS


def speed() -> str:
    """What training costs, and until when."""
    found = _read("asyrp_speed")
    step, updates = found["a_pass"], found["same_updates"]
    rows = [
        _row("", "CPU s", "against", "CPU s", "ratio", "goal"),
        "|---|--:|---|--:|--:|--:|",
        _row(
            f"a pass: {step['batch']} pictures, {step['timesteps']} timesteps", step["run_pass_cpu_s"]["median"],
            "E + D + D and a look with graph, bare", step["bare_passes_cpu_s"]["median"], step["ratio"], "<= 1.05",
        ),
        _row(
            f"`fidelity=official`: a picture, {updates['timesteps']} timesteps", updates["ours_cpu_s"]["median"],
            "the originals' loop, the same updates", updates["originals_cpu_s"]["median"], updates["ratio"], "",
        ),
    ]  # fmt: skip
    for name in ("natural", "paper"):
        one, other, ratio = found[name], found["originals"], found[f"{name}_over_originals"]
        told = "-" if ratio["ratio"] is None else ("<= " if ratio["at_most"] else "") + str(ratio["ratio"])
        what = f"`fidelity={name}` until {found['until']['effect']:.0%} of the full effect"
        rows.append(_row(what, _until(one), "the originals' loop", _until(other), told, f"<= {found['goal']}"))
    return "\n".join([*rows, "", _speed_note(found)])


def _until(one: dict[str, Any]) -> str:
    best = max(look["effect"] for look in one["looks"])
    return f"{one['cpu_s']}" if one["reached"] else f"{one['cpu_s']} in vain (best {best:.0%})"


def _speed_note(found: dict[str, Any]) -> str:
    size = found["size"]
    return (
        f'Measured on `{size["backbone"]}`, "a face" to "a face with dark skin", {size["latents"]} latents, '
        f"{size['held_out']} held-out ones in {size['held_out_steps']} steps, one seed. The effect is at the strength "
        f"at which pictures drift {found['until']['across_at']} across the direction, for all alike. What `natural` "
        f"learns from the backbone's own pictures, once for all prompts, takes about {found['population_cpu_s']} s "
        f"more (computed from E and D)."
    )


def heads() -> str:
    """What each head and loss reaches."""
    found = _read("asyrp_heads")
    rows = [
        _row("variant", "effect at the drift allowed", "along / across", "CPU s", "parameters"),
        "|---|--:|--:|--:|--:|",
    ]
    for name, one in found["variants"].items():
        spread = f" ± {one['effect_sd']:.0%}" if "effect_sd" in one else ""
        rows.append(_row(name, f"{one['effect']:.0%}{spread}", one["ratio"], one["cpu_s"], f"{one['parameters']:,}"))
    size = found["size"]
    note = (
        f"Means over {found['seeds']} seed(s): `{size['backbone']}`, {size['latents']} latents, {size['epochs']} "
        f"epoch(s) in the same window, {size['held_out']} held-out latents in {size['held_out_steps']} steps; the "
        f"drift allowed is {found['drift_allowed']} across. What is not named is the default."
    )
    return "\n".join([*rows, "", note])


def _read(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def _row(*cells: Any) -> str:
    return f"| {' | '.join(str(cell) for cell in cells)} |"
