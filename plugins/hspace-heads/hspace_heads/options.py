"""The options that heads share: their values, and the checks whose errors name them. Imports no torch."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from hspace.errors import UsageError

Time = Literal["add", "multiply", "adagn", "none"]
"""How the time embedding enters between a head's two layers."""
Norm = Literal["group", "instance"]
Act = Literal["silu", "gelu", "relu"]
Init = Literal["zero", "small", "random"]
"""How a new head's last layer starts: no edit, one too small to be seen, or torch's own."""
BlockForm = Literal["pesser", "openai"]
"""The forms of the delta-block that have published checkpoints."""
TransformerForm = Literal["pre-norm", "reproduction"]
Tokens = Literal["pixel", "channel", "pixel-channel", "channel-pixel"]
Between = Literal["nearest", "linear"]
"""What a table says at a timestep that it does not store."""


def values(allowed: Any) -> tuple[str, ...]:
    """The values of an option."""
    return get_args(allowed)


def one_of(head: str, option: str, value: str, allowed: Any) -> None:
    """Raises UsageError, with the values there are, when `value` is not one of `allowed`, a Literal."""
    if value not in values(allowed):
        raise UsageError(f"{head} takes {option} = {', '.join(values(allowed))}; {value!r} was given")


def at_least_one(head: str, **numbers: int | None) -> None:
    """Raises UsageError for an option that is not a whole number from 1; None is an option that was left open."""
    for option, value in numbers.items():
        if value is not None and (type(value) is not int or value < 1):
            raise UsageError(f"{head} takes {option} = a whole number from 1; {value!r} was given")


def divides(option: str, value: int, width: int, what: str) -> None:
    """Raises UsageError, with the values that would do, when `value` does not divide `width`."""
    if width % value:
        fitting = [str(number) for number in range(1, min(width, 64) + 1) if width % number == 0]
        raise UsageError(f"{option} must divide the {width} {what}, as {', '.join(fitting)} do; {value} was given")


def check_between(
    head: str, h_shape: Sequence[int], temb_dim: int | None, time: Time, norm: Norm, act: Act, norm_num_groups: int
) -> None:
    """Raises UsageError when time, norm, act or norm_num_groups is not one there is, or does not suit the backbone."""
    for option, value, allowed in (("time", time, Time), ("norm", norm, Norm), ("act", act, Act)):
        one_of(head, option, value, allowed)
    at_least_one(head, norm_num_groups=norm_num_groups)
    if norm == "group":
        divides("norm_num_groups", norm_num_groups, h_shape[0], "channels of h")
    channels, height, width = h_shape
    if height * width * (1 if norm == "instance" else channels // norm_num_groups) == 1:
        raise UsageError(f"norm = {norm} would average over one number of h {channels}x{height}x{width}, leaving 0")
    if time != "none" and temb_dim is None:
        raise UsageError(f"{head} reads the time embedding, which this backbone does not give; set time=none")
