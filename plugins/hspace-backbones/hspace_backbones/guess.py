"""What a checkpoint's own names and shapes say of its constructor's arguments, to explain a wrong one."""

import re
from collections.abc import Mapping
from typing import Any

from hspace_backbones.layers import Shapes


def openai(found: Shapes, given: Mapping[str, Any]) -> dict[str, Any]:
    """The openai arguments that shapes show; heads, dropout and the order of q, k, v do not show.

    Raises KeyError where the names are not of this layout.
    """
    channels = found["time_embed.0.weight"][1]
    blocks = 1 + max(_indices(found, r"input_blocks\.(\d+)\."))
    ups = _indices(found, r"output_blocks\.(\d+)\.[12]\.(?:conv\.|in_layers\.)")
    n = min(ups) if ups else blocks - 1
    levels = [1 + level * (n + 1) for level in range(blocks // (n + 1))]
    widths = [found[f"input_blocks.{index}.0.out_layers.3.weight"][0] for index in levels]
    label = found.get("label_emb.weight")
    middle = found["middle_block.0.emb_layers.1.weight"][0], found["middle_block.0.out_layers.0.weight"][0]
    return {
        "in_channels": found["input_blocks.0.0.weight"][1],
        "model_channels": channels,
        "out_channels": found["out.2.weight"][0],
        "num_res_blocks": n,
        "attention_resolutions": tuple(
            2**level for level, index in enumerate(levels) if f"input_blocks.{index}.1.norm.weight" in found
        ),
        "channel_mult": _mults(widths, channels),
        "num_classes": None if label is None else label[0],
        "use_scale_shift_norm": middle[0] == 2 * middle[1],
        "resblock_updown": any(re.match(r"output_blocks\.\d+\.[12]\.in_layers", name) for name in found),
    }


def pesser(found: Shapes, given: Mapping[str, Any]) -> dict[str, Any]:
    """The DDPM++ arguments that shapes show. Raises KeyError where the names are not of this layout."""
    return {
        "ch": found["conv_in.weight"][0],
        "in_channels": found["conv_in.weight"][1],
        "out_ch": found["conv_out.weight"][0],
        **_down(found, "", found["conv_in.weight"][0], given["resolution"]),
    }


def first_stage(found: Shapes, given: Mapping[str, Any]) -> dict[str, Any]:
    """A first stage's arguments that shapes show. Raises KeyError where the names are not of this layout."""
    z, codes = found["decoder.conv_in.weight"][1], found.get("quantize.embedding.weight")
    vanilla = "encoder.mid.attn_1.norm.weight" in found
    return {
        "z_channels": z,
        "double_z": found["encoder.conv_out.weight"][0] == 2 * z,
        "ch": found["encoder.conv_in.weight"][0],
        "in_channels": found["encoder.conv_in.weight"][1],
        "out_ch": found["decoder.conv_out.weight"][0],
        **_down(found, "encoder.", found["encoder.conv_in.weight"][0], given["resolution"]),
        "attn_type": "vanilla" if vanilla else "none",
        "embed_dim": found["post_quant_conv.weight"][1],
        "n_embed": None if codes is None else codes[0],
    }


def _down(found: Shapes, prefix: str, channels: int, resolution: int) -> dict[str, Any]:
    levels = 1 + max(_indices(found, re.escape(prefix) + r"down\.(\d+)\."))
    widths = [found[f"{prefix}down.{level}.block.0.conv1.weight"][0] for level in range(levels)]
    attends = [level for level in range(levels) if f"{prefix}down.{level}.attn.0.norm.weight" in found]
    return {
        "ch_mult": _mults(widths, channels),
        "num_res_blocks": 1 + max(_indices(found, re.escape(prefix) + r"down\.0\.block\.(\d+)\.")),
        "attn_resolutions": tuple(resolution // 2**level for level in attends),
    }


def _indices(found: Shapes, pattern: str) -> list[int]:
    indices = [int(match[1]) for name in found if (match := re.match(pattern, name))]
    if not indices and "output" not in pattern:
        raise KeyError(pattern)
    return indices


def _mults(widths: list[int], channels: int) -> tuple[float, ...]:
    return tuple(width // channels if width % channels == 0 else width / channels for width in widths)


def explain(guessed: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The arguments that the file contradicts, each with the value it shows; empty when there are none."""
    wrong = []
    for name, shown in guessed.items():
        said = given[name]
        same = set(shown) == set(said) if "resolutions" in name else shown == said
        if not same:
            wrong.append(f"{name} = {_text(shown)} ({_text(said)} was given)")
    return ", ".join(wrong)


def _text(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
