"""The official constructors' arguments, by their own names."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Self

from hspace.errors import UsageError


@dataclass(frozen=True)
class Arguments:
    """Arguments of one official constructor; a subclass lists them, with the official defaults."""

    @classmethod
    def read(cls, given: Mapping[str, Any], neutral: Mapping[str, Any] | None = None) -> Self:
        """The arguments in a mapping; lists become tuples.

        `neutral` are those that change nothing in that setting, or, where it is ..., in any. Raises UsageError for
        one that is missing, unknown, not of its kind, or set to what no diffusers network can do.
        """
        known = {field.name: field for field in fields(cls)}
        lacking = [name for name, one in known.items() if one.default is MISSING and name not in given]
        if lacking:
            raise UsageError(f"the arguments lack {', '.join(lacking)}; {cls.__name__} takes {', '.join(known)}")
        neutral = neutral or {}
        for name, value in given.items():
            if name in neutral and neutral[name] is not ... and value != neutral[name]:
                raise UsageError(f"{name} = {value!r} is not supported; only {neutral[name]!r} is")
            if name not in known and name not in neutral:
                raise UsageError(f"{cls.__name__} takes no argument {name!r}; it takes {', '.join(known)}")
        values = {name: _checked(name, given[name], _kind(one.type)) for name, one in known.items() if name in given}
        return cls(**values)


@dataclass(frozen=True)
class PesserArguments(Arguments):
    """The DDPM++ U-Net's; attn_resolutions are sizes of feature maps.

    Raises UsageError when a feature map cannot be halved at every level.
    """

    ch: int
    out_ch: int
    ch_mult: tuple[float, ...]
    num_res_blocks: int
    attn_resolutions: tuple[int, ...]
    in_channels: int
    resolution: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check_levels("ch_mult", self.ch_mult, "resolution", self.resolution)


@dataclass(frozen=True)
class OpenaiArguments(Arguments):
    """The openai U-Net's; attention_resolutions are factors of downsampling.

    Raises UsageError when an attention's width cannot be split into its heads, or a feature map not be halved.
    """

    in_channels: int
    model_channels: int
    out_channels: int
    num_res_blocks: int
    attention_resolutions: tuple[int, ...]
    image_size: int
    dropout: float = 0.0
    channel_mult: tuple[float, ...] = (1, 2, 4, 8)
    num_classes: int | None = None
    num_heads: int = 1
    num_head_channels: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    use_new_attention_order: bool = False

    def __post_init__(self) -> None:
        _check_levels("channel_mult", self.channel_mult, "image_size", self.image_size)
        attended = {self.widths[-1], *(w for w, attends in zip(self.widths, self.attends, strict=True) if attends)}
        each = self.num_heads if self.num_head_channels == -1 else self.num_head_channels
        if each < 1 or any(width % each for width in attended):
            name = "num_heads" if self.num_head_channels == -1 else "num_head_channels"
            raise UsageError(f"{name} = {each} does not divide the widths of the attentions, {sorted(attended)}")

    @property
    def widths(self) -> list[int]:
        """The channels of each level."""
        return [int(mult * self.model_channels) for mult in self.channel_mult]

    @property
    def attends(self) -> list[bool]:
        """Whether each level has attention."""
        return [2**level in self.attention_resolutions for level in range(len(self.channel_mult))]

    def heads(self, width: int) -> int:
        """How many heads an attention of that width has."""
        return self.num_heads if self.num_head_channels == -1 else width // self.num_head_channels


@dataclass(frozen=True)
class FirstStageArguments(Arguments):
    """A first stage's ddconfig; attn_resolutions are sizes of feature maps.

    Raises UsageError when a feature map cannot be halved at every level.
    """

    z_channels: int
    resolution: int
    in_channels: int
    out_ch: int
    ch: int
    ch_mult: tuple[float, ...]
    num_res_blocks: int
    attn_resolutions: tuple[int, ...]
    dropout: float = 0.0
    double_z: bool = True
    attn_type: str = "vanilla"

    def __post_init__(self) -> None:
        _check_levels("ch_mult", self.ch_mult, "resolution", self.resolution)


def _check_levels(mults_name: str, mults: Sequence[float], size_name: str, size: int) -> None:
    if not mults or min(mults) <= 0:
        raise UsageError(f"{mults_name} must hold a number above 0 for each level; {list(mults)} was given")
    if size < 1 or size % 2 ** (len(mults) - 1):
        halvings = f"as often as {len(mults)} levels ask, {len(mults) - 1} times"
        raise UsageError(f"{size_name} = {size} cannot be halved {halvings}")


def _kind(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _checked(name: str, value: Any, kind: str) -> Any:
    if kind.startswith("tuple"):
        if not isinstance(value, (list, tuple)) or any(isinstance(one, bool) for one in value):
            raise UsageError(f"{name} must be a list of numbers; {value!r} was given")
        entry = "float" if "float" in kind else "int"
        return tuple(_checked(name, one, entry) for one in value)
    allowed: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
    if value is None and kind.endswith("None"):
        return None
    base = kind.partition(" ")[0]
    if not isinstance(value, allowed[base]) or (base != "bool" and isinstance(value, bool)):
        raise UsageError(f"{name} must be {base}; {value!r} was given")
    return value
