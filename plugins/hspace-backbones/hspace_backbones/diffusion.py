"""The noise schedule that a model was trained with, from the official names to diffusers'."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hspace.errors import RefusedError, UsageError
from hspace.schedule import alphas_cumprod

SCHEDULES = {"linear": "linear", "cosine": "squaredcos_cap_v2", "scaled_linear": "scaled_linear"}
LDM = {"schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195}
KNOWN = ("schedule", "num_train_timesteps", "beta_start", "beta_end", "network_timestep", "rescale_timesteps")
NOTES = ("formula", "output", "official_ddim")
TOLERANCE = 1e-3
"""The largest relative difference between a checkpoint's own betas and those of the arguments."""


@dataclass(frozen=True)
class Diffusion:
    """A schedule, and `timestep_scale`, which times t is what the network saw in training."""

    beta_schedule: str = "linear"
    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    timestep_scale: float = 1.0
    trained_betas: tuple[float, ...] | None = None

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Diffusion":
        """The schedule of a mapping: linear over 1000 steps unless it says otherwise.

        Linear betas are those of 1000 steps, stretched to as many as there are, as in OpenAI's code. Raises
        UsageError for a name or a schedule that is not known.
        """
        unknown = [name for name in given if name not in (*KNOWN, *NOTES)]
        if unknown:
            raise UsageError(f"diffusion takes no argument {unknown[0]!r}; it takes {', '.join(KNOWN)}")
        schedule, T = given.get("schedule", "linear"), given.get("num_train_timesteps", 1000)
        if schedule not in SCHEDULES:
            raise UsageError(f"schedule must be one of {', '.join(SCHEDULES)}; {schedule!r} was given")
        if type(T) is not int or not 2 <= T <= 100_000:
            raise UsageError(f"num_train_timesteps must be a number of steps; {T!r} was given")
        stretch = 1000 / T if schedule == "linear" else 1.0
        start, end = (
            given.get(name, default * stretch) for name, default in (("beta_start", 1e-4), ("beta_end", 0.02))
        )
        if not (isinstance(start, float) and isinstance(end, float) and 0 < start <= end < 1):
            raise UsageError(f"beta_start and beta_end must be rising and from 0 to 1; {start!r}, {end!r} were given")
        return cls(SCHEDULES[schedule], T, start, end, _timestep_scale(given, T))

    def config(self) -> dict[str, Any]:
        """What diffusers' schedulers call it."""
        betas = None if self.trained_betas is None else list(self.trained_betas)
        return {
            "beta_schedule": self.beta_schedule,
            "num_train_timesteps": self.num_train_timesteps,
            "beta_start": self.beta_start,
            "beta_end": self.beta_end,
            "trained_betas": betas,
            "prediction_type": "epsilon",
            "clip_sample": False,
        }


def of_ldm(given: Mapping[str, Any] | None, betas: Tensor | None) -> Diffusion:
    """An LDM's schedule: the one given, else the checkpoint's own betas, else that of most published ones.

    Raises RefusedError when the one given is not that of the checkpoint.
    """
    if given is None and betas is not None:
        return Diffusion("trained", len(betas), trained_betas=tuple(betas.double().tolist()))
    diffusion = Diffusion.read(LDM if given is None else given)
    if betas is not None:
        schedule = (diffusion.beta_schedule, diffusion.num_train_timesteps, diffusion.beta_start, diffusion.beta_end)
        ours, theirs = alphas_cumprod(*schedule), torch.cumprod(1 - betas.double(), dim=0)
        if len(ours) != len(theirs) or bool(((ours - theirs).abs() > TOLERANCE * theirs).any()):
            raise RefusedError("the checkpoint's own betas are not those of diffusion (schedule, beta_start, beta_end)")
    return diffusion


def _timestep_scale(given: Mapping[str, Any], T: int) -> float:
    if "rescale_timesteps" in given:
        return 1000 / T if given["rescale_timesteps"] else 1.0
    if found := re.match(r"t \* (\d+) / (\d+)", str(given.get("network_timestep", ""))):
        return int(found[1]) / int(found[2])
    return 1.0
