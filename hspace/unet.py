"""U-Nets split at the bottleneck: diffusers' UNet2DModel half by half, and any other U-Net by replay."""

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hspace.backbone import Backbone, State
from hspace.cards import Card
from hspace.errors import UsageError
from hspace.schedule import interpolate

if TYPE_CHECKING:
    from diffusers import UNet2DModel

Skips = tuple[Tensor, ...]


def encode(unet: "UNet2DModel", x_t: Tensor, t: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor, Skips]:
    """h (B, Ch, Hh, Wh), temb (B, D) and the skips of a UNet2DModel: its forward up to the middle block."""
    temb = unet.time_embedding(unet.time_proj(t).to(unet.dtype))
    if unet.class_embedding is not None:
        if unet.config.class_embed_type == "timestep":
            labels = unet.time_proj(labels)
        temb = temb + unet.class_embedding(labels).to(unet.dtype)
    image = 2 * x_t - 1.0 if unet.config.center_input_sample else x_t
    sample = unet.conv_in(image)
    skips: Skips = (sample,)
    for block in unet.down_blocks:
        if hasattr(block, "skip_conv"):
            sample, residuals, image = block(hidden_states=sample, temb=temb, skip_sample=image)
        else:
            sample, residuals = block(hidden_states=sample, temb=temb)
        skips += residuals
    if unet.mid_block is not None:
        sample = unet.mid_block(sample, temb)
    return sample, temb, skips


def decode(unet: "UNet2DModel", h: Tensor, t: Tensor, temb: Tensor, skips: Skips) -> Tensor:
    """What a UNet2DModel predicts (B, C_out, H, W): its forward from the middle block's output on."""
    sample: Tensor = h
    image: Tensor | None = None
    for block in unet.up_blocks:
        residuals, skips = skips[-len(block.resnets) :], skips[: -len(block.resnets)]
        if hasattr(block, "skip_conv"):
            sample, image = block(sample, residuals, temb, image)
        else:
            sample = block(sample, residuals, temb)
    sample = unet.conv_out(unet.conv_act(unet.conv_norm_out(sample)))
    if image is not None:
        sample = sample + image
    if unet.config.time_embedding_type == "fourier":
        sample = sample / t.reshape(-1, 1, 1, 1)
    return sample


def to_eps(prediction: Tensor, x_t: Tensor, alphas_cumprod: Tensor) -> Tensor:
    """eps from a v-prediction: eps = sqrt(a) v + sqrt(1 - a) x_t, with alphas_cumprod (B,) at the state's t.

    Source: Salimans and Ho, Progressive Distillation.
    """
    a = alphas_cumprod.reshape(-1, 1, 1, 1)
    return a.sqrt().to(x_t.dtype) * prediction + (1 - a).sqrt().to(x_t.dtype) * x_t


class SplitUNet(Backbone):
    """A diffusers UNet2DModel in two halves, bit-equal to the model's own forward.

    `prediction_type` is "epsilon" or "v_prediction". Channels beyond those of x_t are a learned variance and are
    dropped. `timestep_scale` times t is what the network sees, for those trained on rescaled timesteps. Thread-safe,
    differentiable, and each half compiles. Raises UsageError for another prediction type.
    """

    def __init__(
        self,
        unet: "UNet2DModel",
        alphas_cumprod: Tensor,
        prediction_type: str = "epsilon",
        card: Card | None = None,
        timestep_scale: float = 1.0,
    ) -> None:
        super().__init__(alphas_cumprod, card)
        if prediction_type not in ("epsilon", "v_prediction"):
            raise UsageError(f"prediction_type must be 'epsilon' or 'v_prediction'; {prediction_type!r} was given")
        self.unet = unet.eval().requires_grad_(False)
        self.prediction_type = prediction_type
        self.timestep_scale = timestep_scale
        self.label: Tensor | None = None

    def bind(self, **cond: Any) -> "SplitUNet":
        """This backbone for one class, `bind(label=207)`, or for a class per picture, `bind(label=labels)`.

        Raises UsageError when the network has no classes, the label is not one of them, or another word is used.
        """
        if not cond:
            return self
        if set(cond) != {"label"} or self.unet.class_embedding is None:
            takes = "label" if self.unet.class_embedding is not None else "no condition"
            raise UsageError(f"this U-Net takes {takes}; bind() was given {', '.join(cond)}")
        label = _whole(cond["label"])
        classes = self.unet.config.num_class_embeds
        if classes is not None and not bool(((label >= 0) & (label < classes)).all()):
            raise UsageError(f"label must be from 0 to {classes - 1}; {cond['label']} was given")
        bound = copy.copy(self)
        bound.label = label
        bound.condition = {"label": label.tolist()}
        return bound

    def _labels(self, x_t: Tensor) -> Tensor | None:
        if self.unet.class_embedding is None:
            return None
        if self.label is None:
            raise UsageError("this U-Net is class-conditional; say which class: --bind label=N, or bind(label=N)")
        return self.label.to(x_t.device).expand(x_t.shape[0])

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        h, temb, skips = encode(self.unet, x_t, t * self.timestep_scale, self._labels(x_t))
        return State(x_t, t, h, temb, skips)

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        assert state.temb is not None
        h = state.h if delta_h is None else state.h + delta_h
        t = state.t * self.timestep_scale
        prediction = decode(self.unet, h, t, state.temb, state.tape)[:, : state.x_t.shape[1]]
        if self.prediction_type == "epsilon":
            return prediction
        return to_eps(prediction, state.x_t, interpolate(self.alphas_cumprod, state.t))


def _whole(label: Any) -> Tensor:
    try:
        tensor = torch.as_tensor(label)
    except (TypeError, ValueError, RuntimeError):
        tensor = torch.empty(0)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise UsageError(f"label must be a whole number, the class; {label!r} was given")
    return tensor


class _Stop(Exception):
    """Carries the middle block's output out of the model's forward."""

    def __init__(self, h: Tensor) -> None:
        super().__init__()
        self.h = h


class ReplayBackbone(Backbone):
    """Any U-Net as a backbone, without a line of its forward: encoder modules are recorded, then answer from memory.

    `call(model, x_t, t, **cond)` runs the model and returns its prediction. `encoder` names the modules whose
    outputs the decoder still reads (every one before the middle block), `middle` the middle block, `temb` the
    module that makes the time embedding, if heads are to see it. `conditions` are the keywords that `bind` takes.
    The model is patched while it runs, so a lock lets one thread in at a time, and it does not compile.
    """

    def __init__(
        self,
        model: nn.Module,
        alphas_cumprod: Tensor,
        call: Callable[..., Tensor],
        encoder: Sequence[str],
        middle: str,
        temb: str | None = None,
        conditions: Sequence[str] = (),
        card: Card | None = None,
    ) -> None:
        super().__init__(alphas_cumprod, card)
        self.model = model.eval().requires_grad_(False)
        self._call = call
        self._encoder, self._middle, self._temb = tuple(encoder), middle, temb
        self._conditions = tuple(conditions)
        self._lock = threading.RLock()

    def bind(self, **cond: Any) -> "ReplayBackbone":
        unknown = sorted(set(cond) - set(self._conditions))
        if unknown:
            takes = ", ".join(self._conditions) or "no condition"
            raise UsageError(f"this backbone takes {takes}; bind() was given {', '.join(unknown)}")
        bound = copy.copy(self)
        bound.condition = {**self.condition, **cond}
        return bound

    def encode_h(self, x_t: Tensor, t: Tensor) -> State:
        tape: dict[str, list[Any]] = {name: [] for name in self._recorded()}
        with self._lock, self._hooks(tape):
            try:
                self._call(self.model, x_t, t, **self.condition)
            except _Stop as stop:
                temb = tape[self._temb][0] if self._temb else None
                return State(x_t, t, stop.h, temb, tape)
        raise UsageError(f"the model's forward never reached its middle block {self._middle!r}")

    def decode_h(self, state: State, delta_h: Tensor | None = None) -> Tensor:
        h = state.h if delta_h is None else state.h + delta_h
        answers = {name: iter(outputs) for name, outputs in state.tape.items()}
        with self._lock, self._answering({**answers, self._middle: iter([h])}):
            prediction = self._call(self.model, state.x_t, state.t, **self.condition)
        return prediction[:, : state.x_t.shape[1]]

    def _recorded(self) -> tuple[str, ...]:
        return (*self._encoder, self._temb) if self._temb else self._encoder

    @contextmanager
    def _hooks(self, tape: dict[str, list[Any]]) -> Iterator[None]:
        def stop(_: nn.Module, __: Any, h: Tensor) -> None:
            raise _Stop(h)

        def record(name: str) -> Any:
            return lambda _, __, output: tape[name].append(_copied(output))

        modules = [self.model.get_submodule(name) for name in self._recorded()]
        hooks = [
            module.register_forward_hook(record(name)) for name, module in zip(self._recorded(), modules, strict=True)
        ]
        hooks.append(self.model.get_submodule(self._middle).register_forward_hook(stop))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextmanager
    def _answering(self, answers: dict[str, Iterator[Any]]) -> Iterator[None]:
        def answer(outputs: Iterator[Any]) -> Callable[..., Any]:
            return lambda *_, **__: _copied(next(outputs))

        modules = [self.model.get_submodule(name) for name in answers]
        patched = [vars(module).get("forward") for module in modules]  # by someone else
        try:
            for module, outputs in zip(modules, answers.values(), strict=True):
                module.forward = answer(outputs)
            yield
        finally:
            for module, forward in zip(modules, patched, strict=True):
                vars(module).pop("forward", None)
                if forward is not None:
                    module.forward = forward


def _copied(output: Any) -> Any:
    """An output that the model may write into without reaching the tape."""
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, tuple | list):
        return type(output)(map(_copied, output))
    return output
