"""The two layouts of the official code's delta blocks, recognised by their keys."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from hspace.errors import RefusedError


@dataclass(frozen=True)
class Layout:
    """A layout: the `form` of our delta-block that it is, a key that only it has, and its layers by our names."""

    form: str
    mark: str
    layers: Mapping[str, str]

    @property
    def keys(self) -> dict[str, str]:
        """Our name of every tensor by the official one."""
        return {f"{theirs}.{part}": f"{ours}.{part}" for theirs, ours in self.layers.items() for part in PARTS}


PARTS = ("weight", "bias")
PESSER = Layout(
    "pesser",
    "conv1.weight",
    {"conv1": "proj_in", "temb_proj": "time_proj", "norm2": "norm_out", "conv2": "proj_out"},
)
"""Of DDPM++ networks."""
OPENAI = Layout(
    "openai",
    "in_layers.2.weight",
    {
        "in_layers.0": "norm_in",
        "in_layers.2": "proj_in",
        "emb_layers.1": "time_proj",
        "out_layers.0": "norm_out",
        "out_layers.3": "proj_out",
    },
)
"""Of iDDPM and ADM networks."""


def recognise(weights: Mapping[str, object]) -> Layout | None:
    """The layout that a state dict has, None when it has neither."""
    return next((layout for layout in (PESSER, OPENAI) if layout.mark in weights), None)


def convert(weights: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The tensors of a delta block, by our names, in float32.

    Raises RefusedError when one is missing, left over, not a floating-point number, or of another shape than the
    block's channels and its time embedding ask for.
    """
    keys = layout.keys
    missing, strange = sorted(keys.keys() - weights.keys()), sorted(weights.keys() - keys.keys())
    if missing or strange:
        told = [f"{what} {names[0]!r}" for what, names in (("it lacks", missing), ("it also has", strange)) if names]
        raise RefusedError(f"the file holds no whole delta block of the {layout.form} form: {', '.join(told)}")
    ours = {keys[name]: tensor for name, tensor in weights.items()}
    for name, tensor in ours.items():
        if not tensor.is_floating_point():
            raise RefusedError(f"the delta block's {name!r} is of {tensor.dtype}, not floating-point numbers")
        if tuple(tensor.shape) != (wanted := _shape(name, ours)):
            raise RefusedError(
                f"the delta block's {name!r} is {tuple(tensor.shape)}; by its other layers it is {wanted}"
            )
    return {name: tensor.float().clone() for name, tensor in ours.items()}


def _shape(name: str, weights: Mapping[str, Tensor]) -> tuple[int, ...]:
    channels, time = weights["proj_in.bias"].numel(), weights["time_proj.weight"].shape[-1]
    if name.startswith("proj_") and name.endswith("weight"):
        return channels, channels, 1, 1
    return (channels, time) if name == "time_proj.weight" else (channels,)
